//! Exporters of several workers in one process: they answer for each other, whatever happens to the directory, the thread or one
//! of them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use sentinel_core::{BaselineKind, Clock, Event, Query, Report, Scope, Sentinel};
use sentinel_exporter::rollup::{Directory, Place, RollupStore};
use sentinel_exporter::{Config, Exporter, Flush};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

struct Worker {
    sentinel: Sentinel,
    exporter: Exporter,
}

/// A boundary of slots.
const START: i64 = 1_700_000_400_000;
/// Long enough for anything on a busy machine.
const LONG: Duration = Duration::from_mins(1);

fn private() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

fn config(dir: &Path) -> Config {
    let every = Duration::from_millis(500);
    Config { service: Some("shop".into()), dir: Some(dir.into()), every, ..Config::default() }
}

fn worker(config: Config) -> Worker {
    let sentinel = Sentinel::builder().build().unwrap();
    let exporter = Exporter::new(&sentinel, config).unwrap();
    Worker { sentinel, exporter }
}

fn hit(worker: &Worker, tenant: &str, times: usize, status: u16) {
    for _ in 0..times {
        worker.sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/v1", status, ..Event::default() });
    }
}

fn report(worker: &Worker) -> Report {
    worker.sentinel.report(Query { limit: 100, ..Query::default() })
}

/// Waits until something is so.
fn wait(within: Duration, what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < within, "not within {within:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Asks until the answer is as it should be, or says what it was.
fn until(worker: &Worker, what: impl Fn(&Report) -> bool) -> Report {
    let begin = Instant::now();
    loop {
        let report = report(worker);
        if what(&report) {
            return report;
        }
        assert!(begin.elapsed() < LONG, "{report:#?}\n{:#?}", worker.sentinel.sharing());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn leads(worker: &Worker) -> bool {
    worker.sentinel.sharing().unwrap().leader
}

#[test]
fn every_worker_answers_for_all() {
    let dir = private();
    let workers: Vec<Worker> = (0..4).map(|_| worker(config(dir.path()))).collect();
    for (i, worker) in workers.iter().enumerate() {
        hit(worker, "acme", 10 + i, 500);
        hit(worker, &format!("own{i}"), 5, 200);
    }
    for worker in &workers {
        let report = until(worker, |report| report.scope == Scope::Host && report.totals.requests == 66);
        assert_eq!((report.totals.errors, report.sources, report.scope_note), (46, 4, None));
        assert_eq!(report.totals.tenants, 5);
        let acme = &report.tenants[0];
        assert_eq!((acme.tenant_id.as_str(), acme.requests, acme.bound.requests), ("acme", 46, 0));
    }
    // One's own events are in the very next answer.
    hit(&workers[0], "acme", 1, 500);
    assert_eq!(report(&workers[0]).totals.errors, 47);
    let own = workers[0].sentinel.report(Query { scope: Some(Scope::Process), ..Query::default() });
    assert_eq!((own.scope, own.totals.requests, own.sources), (Scope::Process, 16, 1));
    assert_eq!(workers[1].sentinel.tenant(b"own3", None).unwrap().row.requests, 5);
    wait(LONG, || workers.iter().filter(|worker| leads(worker)).count() == 1);
}

#[test]
fn what_a_worker_counted_stays_when_it_goes_and_another_leads() {
    let dir = private();
    let (stays, goes) = (worker(config(dir.path())), worker(config(dir.path())));
    goes.exporter.start();
    wait(LONG, || leads(&goes));
    stays.exporter.start();
    hit(&goes, "acme", 1_000, 500);
    let hangs = goes.sentinel.start_as(b"hangs");
    until(&stays, |report| report.tenants.iter().any(|row| row.tenant_id == "hangs" && row.in_flight == 1));
    hangs.discard();
    assert!(goes.exporter.close(LONG), "it ends");
    let after = report(&stays);
    assert_eq!((after.totals.errors, after.scope), (1_000, Scope::Host), "all it had counted, at once");
    assert!(after.tenants.iter().all(|row| row.in_flight == 0));
    drop(goes);
    assert_eq!(report(&stays).totals.errors, 1_000);
    wait(LONG, || leads(&stays));
}

#[test]
fn nothing_runs_before_it_is_needed() {
    let dir = private();
    let idle = worker(config(dir.path()));
    let running = |worker: &Worker| worker.sentinel.sharing().unwrap().running;
    assert!(!running(&idle));
    let _ = idle.sentinel.stats();
    assert!(!running(&idle) && fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing was opened");
    hit(&idle, "acme", 1, 200);
    assert!(running(&idle), "the first record starts it");

    let asked = worker(config(dir.path()));
    let _ = report(&asked);
    assert!(running(&asked), "a question does too");

    assert!(idle.exporter.close(LONG) && idle.exporter.close(LONG));
    hit(&idle, "acme", 1, 200);
    let report = report(&idle);
    assert_eq!((report.scope, report.totals.requests), (Scope::Process, 2), "counting goes on");
    assert_eq!(report.scope_note.as_deref(), Some("the exporter is closed"));
}

#[test]
fn a_directory_that_fails_is_said_and_counted_and_found_again() {
    let dir = private();
    let place = dir.path().join("run");
    fs::write(&place, "in the way").unwrap();
    let one = worker(config(&place));
    hit(&one, "acme", 3, 500);
    let narrow = until(&one, |report| report.scope_note.as_ref().is_some_and(|note| note.contains("directory")));
    assert_eq!((narrow.scope, narrow.totals.requests), (Scope::Process, 3));
    let sharing = one.sentinel.sharing().unwrap();
    assert!(sharing.failures["publish"] > 0 && sharing.last_error.is_some(), "{sharing:?}");
    assert_eq!(sharing.scope, Scope::Process);

    fs::remove_file(&place).unwrap();
    let wide = until(&one, |report| report.scope == Scope::Host);
    assert_eq!(wide.totals.requests, 3);
    // What others have to read is removed: it is published again.
    wait(LONG, || fs::remove_dir_all(&place).is_ok());
    let other = worker(config(&place));
    until(&other, |report| report.totals.requests == 3);
}

#[test]
fn a_foreign_file_among_them_changes_nothing() {
    let dir = private();
    let (one, other) = (worker(config(dir.path())), worker(config(dir.path())));
    hit(&one, "acme", 3, 500);
    hit(&other, "acme", 4, 500);
    until(&one, |report| report.totals.requests == 7);
    let shop = dir.path().join("shop");
    fs::write(shop.join("baseline"), "not one").unwrap();
    let mut files = fs::read_dir(&shop).unwrap().map(|entry| entry.unwrap().path());
    let rollup = files.find(|path| path.extension().is_some_and(|kind| kind == "rollup")).unwrap();
    let slot = rollup.file_stem().unwrap().to_str().unwrap().split_once('.').unwrap().1.to_owned();
    fs::write(shop.join(format!("0000000000000001.{slot}.rollup")), b"SNTB\x01nonsense").unwrap();
    assert_eq!(until(&one, |report| report.scope == Scope::Host).totals.requests, 7);
    let young = worker(config(dir.path()));
    until(&young, |report| report.totals.requests == 7 && report.scope == Scope::Host);
    let failures = young.sentinel.sharing().unwrap().failures;
    assert!(failures.keys().any(|reason| reason.starts_with("skipped_")), "{failures:?}");
}

#[test]
fn slots_are_flushed_as_lines() {
    let dir = private();
    let (file, path) = (dir.path().join("slots.jsonl"), dir.path().join("run"));
    let one = worker(Config { flush: Some(Flush::File(file.clone())), ..config(&path) });
    hit(&one, "acme", 3, 500);
    assert!(one.exporter.close(LONG));
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let errors: u64 = lines.iter().map(|line| line["errors"].as_u64().unwrap()).sum();
    assert_eq!(errors, 3);
    assert_eq!(lines[0]["tenants"][0]["tenant_id"], "acme");
}

#[test]
fn without_a_service_it_ticks_and_shares_nothing() {
    let one = worker(Config::default());
    hit(&one, "acme", 3, 500);
    let narrow = report(&one);
    assert_eq!((narrow.scope, narrow.scope_note), (Scope::Process, None));
    let asked = one.sentinel.report(Query { scope: Some(Scope::Host), ..Query::default() });
    assert!(asked.scope_note.unwrap().contains("no service name"));
    assert!(one.sentinel.sharing().unwrap().running);
}

#[test]
fn a_file_that_changes_changes_what_may() {
    let dir = private();
    let (file, flushed) = (dir.path().join("sentinel.toml"), dir.path().join("slots.jsonl"));
    let shares = format!("[exporter]\nservice = \"shop\"\ndir = {:?}\n", dir.path().join("run"));
    fs::write(&file, &shares).unwrap();
    let sentinel = Sentinel::builder().build().unwrap();
    let exporter = Exporter::from_file(&sentinel, &file).unwrap();
    let one = Worker { sentinel, exporter };
    hit(&one, "acme", 1, 200);
    until(&one, |report| report.scope == Scope::Host);
    fs::write(&file, "[exporter]\nevery = \"never\"").unwrap();
    let last = || one.sentinel.sharing().unwrap().last_error.unwrap_or_default();
    wait(LONG, || last().contains("exporter.every"));
    assert_eq!(report(&one).scope, Scope::Host, "what ran before runs on");
    fs::write(&file, format!("{shares}flush = {flushed:?}\n")).unwrap();
    wait(3 * LONG, || {
        hit(&one, "acme", 1, 200);
        flushed.exists()
    });
}

/// Two releases of a service may be configured differently: what does not fit together is left out, and said to be.
#[test]
fn what_does_not_fit_is_left_out_and_said() {
    let dir = private();
    let one = worker(config(dir.path()));
    let sentinel = Sentinel::builder().slot(Duration::from_secs(20)).build().unwrap();
    let exporter = Exporter::new(&sentinel, config(dir.path())).unwrap();
    let other = Worker { sentinel, exporter };
    hit(&one, "acme", 3, 500);
    hit(&other, "acme", 4, 500);
    let found = until(&one, |report| report.scope == Scope::Host && report.scope_note.is_some());
    assert_eq!(found.totals.requests, 3);
    assert!(found.scope_note.unwrap().contains("left out"));
    assert!(one.sentinel.sharing().unwrap().failures["merge"] > 0);
}

/// A host whose clock is ahead for us: what its slots hold is not lost, it counts when we get there.
#[test]
fn what_another_clock_is_ahead_with_counts_when_its_time_comes() {
    let dir = private();
    let of = |clock: &Clock| {
        let sentinel = Sentinel::builder().clock(clock.clone()).build().unwrap();
        let exporter = Exporter::new(&sentinel, config(dir.path())).unwrap();
        Worker { sentinel, exporter }
    };
    let (ahead, here) = (Clock::manual(START + 45_000), Clock::manual(START));
    let (other, one) = (of(&ahead), of(&here));
    hit(&other, "acme", 7, 500);
    assert!(other.exporter.publish());
    hit(&one, "acme", 1, 500);
    let early = until(&one, |report| report.scope_note.is_some());
    assert_eq!(early.totals.requests, 1);
    assert!(early.scope_note.unwrap().contains("left out"));
    // The same clock comes to that slot by and by.
    for second in 1..=60 {
        one.sentinel.tick(START + second * 1_000);
    }
    until(&one, |report| report.totals.requests == 8);
}

/// As a new worker finds it: the leader before it has left what it knew.
#[test]
fn a_new_worker_knows_what_was_normal() {
    let dir = private();
    let clock = Clock::manual(START);
    let there = Sentinel::builder().clock(clock.clone()).build().unwrap();
    for slot in 0..120 {
        for i in 0..40 {
            let status = if i % 4 == 0 { 500 } else { 200 };
            there.record(Event { tenant: b"always", endpoint: "/v1", status, ..Event::default() });
            there.record(Event { tenant: b"healthy", endpoint: "/v1", ..Event::default() });
            (0..4).for_each(|_| there.record(Event { tenant: b"large", endpoint: "/v1", ..Event::default() }));
        }
        there.tick(START + (slot + 1) * 10_000);
    }
    let mut store = Directory::new(Place::new(Some(dir.path()), "shop").unwrap());
    let baseline = there.baseline(512).unwrap();
    store.remember(&baseline.encode()).unwrap();
    let young = Sentinel::builder().clock(clock).build().unwrap();
    let exporter = Exporter::new(&young, config(dir.path())).unwrap();
    let young = Worker { sentinel: young, exporter };
    hit(&young, "always", 1, 200);
    let report = until(&young, |report| report.scope == Scope::Host);
    assert_eq!(report.baseline, BaselineKind::Own);
}

/// Every slot once, whatever becomes of the directory.
#[test]
fn slots_are_flushed_once_whether_others_can_read_them_or_not() {
    let dir = private();
    let (file, place) = (dir.path().join("slots.jsonl"), dir.path().join("run"));
    fs::write(&place, "in the way").unwrap();
    let clock = Clock::manual(START);
    let sentinel = Sentinel::builder().clock(clock.clone()).build().unwrap();
    let config = Config { flush: Some(Flush::File(file.clone())), ..config(&place) };
    let exporter = Exporter::new(&sentinel, config).unwrap();
    let one = Worker { sentinel, exporter };
    for slot in 0..5 {
        hit(&one, "acme", 1, 500);
        one.sentinel.tick(START + (slot + 1) * 10_000);
        let _ = report(&one);
        if slot == 2 {
            fs::remove_file(&place).unwrap(); // from here on it can be shared
        }
        if slot == 3 {
            until(&one, |report| report.scope == Scope::Host);
            // A file may be written meanwhile. All of it is published anew.
            wait(LONG, || fs::remove_dir_all(&place).is_ok());
        }
    }
    one.exporter.close(LONG);
    let text = fs::read_to_string(&file).unwrap();
    let starts: Vec<i64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["from_ms"].as_i64().unwrap())
        .collect();
    assert_eq!(starts, (0..5).map(|slot| START + slot * 10_000).collect::<Vec<_>>());
}

/// Code may say more than the file: that is no change of the file.
#[test]
fn what_code_says_over_a_file_stays() {
    let dir = private();
    let file = dir.path().join("sentinel.toml");
    fs::write(&file, "[exporter]\nevery = \"30s\"\n").unwrap();
    let sentinel = Sentinel::builder().build().unwrap();
    let exporter = Exporter::watching(&sentinel, config(&dir.path().join("run")), Some(&file)).unwrap();
    let one = Worker { sentinel, exporter };
    hit(&one, "acme", 1, 200);
    until(&one, |report| report.scope == Scope::Host);
    // Published twice a second, as code says, and not every thirty.
    let published = || one.sentinel.sharing().unwrap().published_ms;
    let first = published();
    wait(LONG, || published() > first);
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(one.sentinel.sharing().unwrap().failures.get("config"), None);
}
