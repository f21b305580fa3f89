//! Leaders that are killed, disks that are full, logs that grow: what was found is known again, and nothing else.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test fails by panicking; figures are kept by the test runner

use super::{CheckPlan, Probing};
use crate::config::{Config, UptimeOptions};
use crate::host_dir::{Place, StoreError};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};
use sentinel_core::uptime::{Cause, CheckResult, CheckStatus, Checks, History, Status, Uptime};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const START: i64 = 1_700_000_000_000;

fn place(dir: &Path) -> Place {
    std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    Place::new(Some(dir), "shop").unwrap()
}

fn plan(names: &[&str]) -> CheckPlan {
    let mut uptime = UptimeOptions::default();
    uptime
        .add(&names.iter().map(|name| format!("{name}=https://{name}.example/")).collect::<Vec<_>>().join(","))
        .unwrap();
    let config = Config { service: Some("shop".into()), uptime: Some(uptime), ..Config::default() };
    CheckPlan::of(&config).unwrap().unwrap()
}

fn named(count: usize) -> CheckPlan {
    let names: Vec<String> = (0..count).map(|i| format!("c{i}")).collect();
    plan(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn result(at_ms: i64, outcome: u8) -> CheckResult {
    match outcome % 3 {
        0 => CheckResult::up(at_ms, 60_000),
        1 => CheckResult { status: Some(503), ..CheckResult::down(at_ms, 60_000, Cause::Status) },
        _ => CheckResult { latency_us: Some(1_234), ..CheckResult::down(at_ms, 60_000, Cause::Timeout) },
    }
}

fn bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir.join("shop")).unwrap().filter_map(Result::ok);
    files
        .filter(|file| file.path().extension().is_some_and(|end| end == "log"))
        .map(|file| file.metadata().unwrap().len())
        .sum()
}

fn histories(uptime: &Uptime) -> Vec<(String, History)> {
    uptime.names().map(|name| (name.to_owned(), uptime.history(name).unwrap().clone())).collect()
}

fn confirmed(uptime: &Uptime) -> Vec<CheckStatus> {
    uptime.troubled(&uptime.names().collect())
}

#[test]
fn each_is_probed_when_it_is_due_and_once_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut probing = Probing::open(&place(dir.path()), &named(50), START).unwrap();
    let (mut now, mut begun) = (START, std::collections::BTreeMap::new());
    while now < START + 600_000 {
        for check in probing.next(now, 7) {
            let times: &mut Vec<i64> = begun.entry(check.name.clone()).or_default();
            times.push(now);
            probing.done(&check.name, now + 5, CheckResult::up(now, 60_000), None);
        }
        assert!(probing.wakes_ms().unwrap() >= now - 1_000, "nobody waits");
        now += 20;
    }
    assert_eq!(begun.len(), 50);
    for times in begun.values() {
        // A second success is asked for at once; then every minute.
        assert!((10..=12).contains(&times.len()), "{times:?}");
        assert!(times.windows(2).skip(2).all(|pair| (pair[1] - pair[0] - 60_000).abs() < 100), "{times:?}");
    }
    // Who is on his way is not asked again; who is lost is, when he should have come back.
    let mut over = |from: i64, seconds: i64| -> usize {
        (0..seconds * 10).map(|tick| probing.next(from + tick * 100, 50).len()).sum()
    };
    assert_eq!(over(now, 60), 50);
    assert_eq!(over(now + 60_000, 60), 50);
    // The clock is set back by an hour: nobody waits for it to come again.
    assert!((49..=50).contains(&over(now - 3_600_000, 60)), "the last may be due a tick later");
}

#[test]
fn one_leads_and_others_read() {
    let dir = tempfile::tempdir().unwrap();
    let (place, plan) = (place(dir.path()), plan(&["a", "b"]));
    let mut probing = Probing::open(&place, &plan, START).unwrap();
    assert!(matches!(Probing::open(&place, &plan, START), Err(StoreError::Lock { .. })));
    for at in [0, 60_000, 120_000] {
        probing.done("a", START + at, CheckResult::up(START + at, 60_000), None);
        probing.done("b", START + at, result(START + at, 1), None);
        probing.write(START + at).unwrap();
    }
    let now = START + 130_000;
    let (own, mut read) = (probing.report(now), Probing::read(&place, &plan, now).unwrap());
    assert!(own.leader && !read.leader);
    read.leader = true;
    assert_eq!((own.counts.down, read.counts.down), (1, 1));
    let windows = |report: &sentinel_core::uptime::UptimeReport| {
        let mut all: Vec<_> = report.checks.iter().map(|check| (check.name.clone(), check.windows.clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    assert_eq!(windows(&own), windows(&read));
    assert!(probing.is_held());
    std::fs::remove_dir_all(place.path()).unwrap();
    assert!(!probing.is_held());
}

#[test]
fn what_a_full_disk_does_not_take_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let (place, plan) = (place(dir.path()), named(40));
    let mut probing = Probing::open(&place, &plan, START).unwrap();
    let found = |probing: &mut Probing, at: i64| {
        (0..40).for_each(|i| _ = probing.done(&format!("c{i}"), START + at, result(START + at, i as u8), None));
        probing.write(START + at)
    };
    found(&mut probing, 0).unwrap();
    probing.fill();
    assert!(found(&mut probing, 60_000).is_err());
    found(&mut probing, 120_000).unwrap();
    let wanted = histories(probing.uptime());
    drop(probing);
    let again = Probing::open(&place, &plan, START + 121_000).unwrap();
    assert_eq!(histories(again.uptime()), wanted);
    assert_eq!(wanted[0].1.results().count(), 3);
}

/// A day and a half of 20 checks a minute apart: what is kept takes no more than 20 bytes a result, at any moment.
#[test]
fn the_log_does_not_grow_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (place, plan) = (place(dir.path()), named(20));
    let mut probing = Probing::open(&place, &plan, START).unwrap();
    let (mut largest, mut rng) = (0, StdRng::seed_from_u64(7));
    for minute in 0..2_200 {
        let now = START + minute * 60_000;
        for i in 0..20 {
            let latency_us = Some(rng.random_range(1_000..900_000));
            let at_ms = now + i * 977 + rng.random_range(0..40);
            let up = CheckResult { latency_us, status: Some(200), ..CheckResult::up(at_ms, 60_000) };
            probing.done(&format!("c{i}"), at_ms + 50, up, None);
            probing.write(at_ms + 50).unwrap();
        }
        if minute > 1_100 {
            largest = largest.max(bytes(dir.path()));
        }
    }
    let kept: usize = histories(probing.uptime()).iter().map(|(_, history)| history.results().count()).sum();
    assert_eq!(kept, 20 * 1_000);
    eprintln!("at most {:.1} bytes a result that is kept", largest as f64 / kept as f64);
    assert!(largest <= 20 * kept as u64, "{largest}");
}

#[test]
fn a_part_that_has_doubled_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (place, plan) = (place(dir.path()), named(200));
    let mut probing = Probing::open(&place, &plan, START).unwrap();
    let mut largest = 0.0_f64;
    for minute in 0..4_000 {
        let now = START + minute * 60_000;
        (0..200).for_each(|i| {
            let up = CheckResult {
                latency_us: Some(90_000 + i * 7 + minute as u32),
                ..CheckResult::up(now + i64::from(i), 60_000)
            };
            probing.done(&format!("c{i}"), now + 500, up, None);
        });
        probing.write(now + 500).unwrap();
        if minute > 1_500 && minute % 50 == 0 {
            largest = largest.max(bytes(dir.path()) as f64 / 200_000.0);
        }
    }
    eprintln!("at most {largest:.1} bytes a result that is kept");
    assert!(largest < 20.0, "{largest}");
}

/// Other checks while the disk is full: what is found then is of the right ones.
#[test]
fn a_reload_on_a_full_disk_mixes_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let (place, names) = (place(dir.path()), (0..60).map(|i| format!("c{i}")).collect::<Vec<_>>());
    let of = |step: usize| plan(&names.iter().step_by(step).map(String::as_str).collect::<Vec<_>>());
    let mut probing = Probing::open(&place, &of(2), START).unwrap();
    // Nobody can make a new file there, and the old ones can be written.
    let mode =
        |mode| std::fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    let root = rustix::process::geteuid().is_root();
    let block = place.path().join(format!(".{:016x}.0.tmp", std::process::id()));
    // Root may write anywhere, but not remove a directory as if it were a file.
    if root {
        std::fs::create_dir(&block).unwrap();
    } else {
        mode(0o500);
    }
    assert!(probing.configure(&of(1), START + 1).is_err());
    let found = |probing: &mut Probing, at: i64| {
        names.iter().enumerate().for_each(|(i, name)| {
            _ = probing.done(name, START + at, result(START + at, u8::from(i == 3)), None);
        });
        probing.write(START + at)
    };
    assert!(found(&mut probing, 5).is_err());
    if root {
        std::fs::remove_dir(&block).unwrap();
    } else {
        mode(0o700);
    }
    found(&mut probing, 60_000).unwrap();
    let wanted = histories(probing.uptime());
    drop(probing);
    let again = Probing::open(&place, &of(1), START + 61_000).unwrap();
    assert_eq!((again.torn(), histories(again.uptime())), (0, wanted));
}

/// The clock was a day ahead and is set right: whoever starts after that goes on at once.
#[test]
fn a_future_that_is_not_coming_is_not_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let (place, plan) = (place(dir.path()), plan(&["a"]));
    let mut probing = Probing::open(&place, &plan, START + 86_400_000).unwrap();
    let up = |at: i64| CheckResult::up(START + at, 60_000);
    for minute in 0..30 {
        probing.done("a", up(minute * 60_000 + 86_400_000).at_ms, up(minute * 60_000 + 86_400_000), None);
        probing.write(START).unwrap();
    }
    probing.next(START, 10);
    // What time it is now is written down as well.
    probing.write(START + 61_000).unwrap();
    drop(probing);
    let mut again = Probing::open(&place, &plan, START + 62_000).unwrap();
    for at in [62_000, 72_000, 82_000] {
        again.done("a", START + at, result(START + at, 2), None);
    }
    assert_eq!(again.uptime().standing("a", START + 82_000).unwrap().status, Status::Down);
}

#[derive(Debug, Clone)]
enum Step {
    Found {
        check: usize,
        after: i64,
        outcome: u8,
    },
    Configure(usize),
    /// The leader is killed; so many bytes of the last frame of each file never came to the disk.
    Killed,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        30 => (0_usize..6, 1_i64..20_000, any::<u8>()).prop_map(|(check, after, outcome)| Step::Found { check, after, outcome }),
        1 => (4_usize..=6).prop_map(Step::Configure),
        2 => Just(Step::Killed),
    ];
    proptest::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Wherever the leader is replaced, the history is what it would be without that: outages of this side's own network too.
    #[test]
    fn whoever_resumes_knows_what_was_found(steps in steps(), outage in prop::option::of((0_i64..600_000, 0_i64..600_000))) {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        // One of them and four others, as many as it takes to tell a dead network.
        let names = ["a", "b", "c", "d", "e", "f"];
        let mut plan = plan(&names);
        let mut probing = Probing::open(&place, &plan, START).unwrap();
        let mut whole = Uptime::default();
        whole.configure(plan.checks.clone(), START);
        let mut now = START;
        for step in &steps {
            match step {
                Step::Found { check, after, outcome } => {
                    now += after;
                    let dead = outage.is_some_and(|(from, length)| (from..from + length).contains(&(now - START)));
                    let found = if dead { result(now, 2) } else { result(now, *outcome) };
                    probing.done(names[*check], now + 3, found, None);
                    whole.record(names[*check], now + 3, found, None);
                    probing.write(now + 3).unwrap();
                }
                Step::Configure(count) => {
                    now += 1;
                    let checks: Vec<_> = self::plan(&names).checks.iter().take(*count).cloned().collect();
                    plan.checks = Checks::new(checks).unwrap();
                    probing.configure(&plan, now).unwrap();
                    whole.configure(plan.checks.clone(), now);
                }
                Step::Killed => {
                    drop(probing);
                    probing = Probing::open(&place, &plan, now).unwrap();
                    prop_assert_eq!(probing.torn(), 0);
                    prop_assert_eq!(histories(probing.uptime()), histories(&whole));
                    prop_assert_eq!(confirmed(probing.uptime()), confirmed(&whole));
                    // What is being confirmed begins anew for both, or they would part.
                    whole = probing.uptime().clone();
                }
            }
        }
        prop_assert_eq!(histories(probing.uptime()), histories(&whole));
    }

    /// Any bytes behind what was written, or none of its end: what was whole is there.
    #[test]
    fn what_is_torn_is_left_out(count in 1_usize..30, cut in 0_usize..40, junk in proptest::collection::vec(any::<u8>(), 0..40)) {
        let dir = tempfile::tempdir().unwrap();
        let (place, plan) = (place(dir.path()), plan(&["a"]));
        let mut probing = Probing::open(&place, &plan, START).unwrap();
        for i in 0..count as i64 {
            probing.done("a", START + i * 60_000, result(START + i * 60_000, 0), None);
            probing.write(START + i * 60_000).unwrap();
        }
        drop(probing);
        let files = std::fs::read_dir(place.path()).unwrap().filter_map(Result::ok).map(|file| file.path());
        let path = files.filter(|path| path.extension().is_some_and(|end| end == "log")).max_by_key(|path| path.metadata().unwrap().len()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let cut = cut.min(bytes.len() - 8);
        bytes.truncate(bytes.len() - cut);
        bytes.extend_from_slice(&junk);
        std::fs::write(&path, &bytes).unwrap();
        let mut again = Probing::open(&place, &plan, START).unwrap();
        let known = again.uptime().history("a").unwrap().results().count();
        if cut == 0 {
            prop_assert_eq!(known, count);
        }
        prop_assert!(known <= count);
        let known: Vec<_> = again.uptime().history("a").unwrap().results().collect();
        prop_assert!(known.iter().enumerate().all(|(i, found)| *found == result(START + i as i64 * 60_000, 0)));
        again.done("a", START + 9_000_000, result(START + 9_000_000, 0), None);
        again.write(START + 9_000_000).unwrap();
        drop(again);
        let last = Probing::open(&place, &plan, START).unwrap();
        prop_assert_eq!(last.uptime().history("a").unwrap().results().count(), known.len() + 1);
    }
}

const DIR: &str = "SENTINEL_TEST_UPTIME_DIR";

/// Few of them fail, or it would be this side's own network.
fn found(at: i64) -> CheckResult {
    result(START + at * 1_500, if at % 10 == 0 { (at / 40) as u8 } else { 0 })
}

/// A leader that says what it has written, until it is killed.
#[test]
#[ignore = "a process of the test below"]
fn one_that_writes() {
    let Some(dir) = std::env::var_os(DIR).map(std::path::PathBuf::from) else { return };
    let from: i64 = std::fs::read_to_string(dir.join("from")).unwrap().parse().unwrap();
    let mut probing = Probing::open(&place(&dir), &named(40), START + from).unwrap();
    let mut out = std::io::stdout();
    for at in from.. {
        let (name, now) = (format!("c{}", at % 40), START + at * 1_500);
        probing.done(&name, now, found(at), None);
        probing.write(now).unwrap();
        writeln!(out, "wrote {at}").unwrap();
        out.flush().unwrap();
    }
}

/// Killed at random moments: everything that was acknowledged is known, and nothing that was not found.
#[test]
fn killed_at_any_moment_what_was_acknowledged_is_there() {
    let kills: u64 = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(10);
    let dir = tempfile::tempdir().unwrap();
    let (place, plan) = (place(dir.path()), named(40));
    let (mut rng, mut from, mut more) = (StdRng::seed_from_u64(3), 0_i64, 0_u32);
    let mut wanted = Uptime::default();
    wanted.configure(plan.checks.clone(), START);
    let replay = |wanted: &mut Uptime, at: i64| _ = wanted.replay(&format!("c{}", at % 40), found(at));
    for kill in 0..kills {
        std::fs::write(dir.path().join("from"), from.to_string()).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture", "uptime::tests::one_that_writes"]).env(DIR, dir.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let (mut acknowledged, stop) = (from - 1, rng.random_range(1..6_000));
        let mut lines = lines.filter_map(|line| line.strip_prefix("wrote ")?.parse::<i64>().ok());
        for at in lines.by_ref().take(stop) {
            acknowledged = at;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = lines.last().unwrap_or(acknowledged);
        let now = START + acknowledged * 1_500 + 60_000;
        let probing = Probing::open(&place, &plan, now).unwrap();
        (from..=acknowledged).for_each(|at| replay(&mut wanted, at));
        // One that was written and not acknowledged any more may be there.
        let of = |uptime: &Uptime| -> Vec<_> {
            let names = uptime.names().map(str::to_owned).collect::<Vec<_>>();
            names.iter().map(|name| uptime.availability(name, START, now).unwrap()).collect()
        };
        if of(probing.uptime()) != of(&wanted) {
            replay(&mut wanted, acknowledged + 1);
            assert_eq!(of(probing.uptime()), of(&wanted), "kill {kill}");
            (more, acknowledged) = (more + 1, acknowledged + 1);
        }
        from = acknowledged + 1;
    }
    eprintln!("{kills} killed, {from} results, {more} of them known and not acknowledged");
}
