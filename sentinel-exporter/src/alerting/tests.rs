//! Leaders that are killed at any moment, sinks that are dead for an hour, disks that are full: who is told, and how often.
#![allow(clippy::unwrap_used, clippy::unnecessary_literal_bound, clippy::needless_pass_by_value)] // a test fails by panicking; as the trait has it

use super::*;
use crate::desk::{Desk, Happened};
use crate::sink::Sending;
use rand::{Rng, SeedableRng, rngs::StdRng};
use sentinel_core::Kind;
use sentinel_core::alert::{Accused, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

const START: i64 = 1_700_000_000_000;

fn place(dir: &Path) -> Place {
    std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    Place::new(Some(dir), "shop").unwrap()
}

/// Tells at once, and ends at once.
fn plan<const N: usize>(sinks: [Arc<dyn Sink>; N]) -> Plan {
    let options: AlertOptions = serde_json::from_str(
        r#"{"verdict": {"keep_firing_for": 0}, "grouping": {"first": 0, "then": 0, "repeat": "168h"}}"#,
    )
    .unwrap();
    let config = Config { service: Some("shop".into()), alerts: Some(options), ..Config::default() };
    Plan::of(&config, &sinks).unwrap().unwrap()
}

fn accused(tenant: &str) -> Accused {
    Accused { kind: Kind::OneTenant, tenants: vec![tenant.into()], window_ms: 60_000, ..Accused::default() }
}

fn quiet(at_ms: i64) -> Facts {
    Facts::new(at_ms, 600_000)
}

fn hit(at_ms: i64, tenant: &str) -> Facts {
    quiet(at_ms).with_verdict(accused(tenant))
}

/// A sink in name only: the test says how it goes.
#[derive(Debug)]
struct Named(&'static str);

impl Sink for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn kind(&self) -> &'static str {
        "named"
    }

    fn send<'a>(&'a self, _: &'a Notice) -> Sending<'a> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn it_is_on_disk_before_it_is_sent_and_whoever_leads_next_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (place, plan) = (place(dir.path()), plan([Arc::new(Named("a")), Arc::new(Named("b"))]));
    let mut first = Alerting::open(&place, &plan).unwrap();
    first.step(START, Some(&hit(START, "acme"))).unwrap();
    let known = Alerting::read(&place, &plan).unwrap();
    assert_eq!(known.sinks.iter().map(|sink| sink.pending).collect::<Vec<_>>(), [1, 1]);
    let sent = first.next(Duration::ZERO, START);
    assert_eq!(sent.len(), 2);
    first.done(sent[0].ticket, Ok(()), (Duration::ZERO, START), 0.0).unwrap();
    // Killed while the other one is on its way.
    drop(first);
    let mut second = Alerting::open(&place, &plan).unwrap();
    let again = second.next(Duration::ZERO, START + 5_000);
    assert_eq!(
        again.iter().map(|one| (one.sink.name(), one.notice.id)).collect::<Vec<_>>(),
        [("b", sent[1].notice.id)]
    );
    second.done(again[0].ticket, Ok(()), (Duration::ZERO, START), 0.0).unwrap();
    // It goes on: nobody is told again.
    second.step(START + 6_000, Some(&hit(START + 6_000, "acme"))).unwrap();
    assert!(second.next(Duration::from_secs(9), START + 6_000).is_empty());
    second.step(START + 7_000, Some(&quiet(START + 7_000))).unwrap();
    let over = second.next(Duration::from_secs(9), START + 7_000);
    assert_eq!(over[0].notice.listed[0].status, Status::Resolved);
    let (here, there) = (second.report(), Alerting::read(&place, &plan).unwrap());
    assert_eq!((here.recent.len(), &here.recent, &here.sinks), (1, &there.recent, &there.sinks));
    assert_eq!(here.alerts, there.alerts);
    assert!(here.leader && !there.leader);
}

#[test]
fn a_sink_that_is_gone_is_forgotten_and_one_that_is_new_begins() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(dir.path());
    let mut alerting = Alerting::open(&place, &plan([Arc::new(Named("a")), Arc::new(Named("b"))])).unwrap();
    alerting.step(START, Some(&hit(START, "acme"))).unwrap();
    alerting.configure(&plan([Arc::new(Named("b")), Arc::new(Named("c"))]));
    let names = |alerting: &Alerting| alerting.journal.values().keys().cloned().collect::<Vec<_>>();
    // Whoever leads next may still have it, for as long as anybody wants to know.
    alerting.forget(START + 24 * 3_600_000).unwrap();
    assert_eq!(names(&alerting), ["sink/a", "sink/b", "state"]);
    let sent = alerting.next(Duration::ZERO, START);
    assert_eq!(sent.iter().map(|one| one.sink.name()).collect::<Vec<_>>(), ["b"]);
    alerting.forget(START + 24 * 3_600_000 + 1).unwrap();
    assert_eq!(names(&alerting), ["sink/b", "state"]);
    // Configured anew while one is on its way: how that went says nothing of the one that is sent again.
    alerting.configure(&plan([Arc::new(Named("b")), Arc::new(Named("c"))]));
    let again = alerting.next(Duration::ZERO, START);
    alerting.done(sent[0].ticket, Err(&Failed::Refused { why: "404".into() }), (Duration::ZERO, START), 0.0).unwrap();
    let report = alerting.report();
    assert_eq!(report.sinks.iter().map(|sink| sink.pending).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(report.sinks[0].last_error, None);
    alerting.done(again[0].ticket, Ok(()), (Duration::ZERO, START), 0.0).unwrap();
    assert_eq!(alerting.report().sinks[0].delivered, 1);
}

#[test]
fn people_are_told_although_it_cannot_be_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let (place, plan) = (place(dir.path()), plan([Arc::new(Named("a"))]));
    let mut alerting = Alerting::open(&place, &plan).unwrap();
    alerting.journal.fill();
    assert!(alerting.step(START, Some(&hit(START, "acme"))).is_err());
    let sent = alerting.next(Duration::ZERO, START);
    assert_eq!(sent.len(), 1);
    // There is room again: whoever leads next knows what was told.
    alerting.done(sent[0].ticket, Ok(()), (Duration::ZERO, START), 0.0).unwrap();
    let known = Alerting::read(&place, &plan).unwrap();
    assert_eq!((known.alerts.len(), known.sinks[0].delivered), (1, 1));
    alerting.journal.fill();
    assert!(alerting.step(START + 1_000, Some(&quiet(START + 1_000))).is_err());
    // Nothing happens any more, and it is written all the same.
    alerting.step(START + 12_000, Some(&quiet(START + 12_000))).unwrap();
    assert_eq!(Alerting::read(&place, &plan).unwrap().alerts, []);
}

#[test]
fn who_cannot_write_at_all_says_so_and_judges_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (place, plan) = (place(dir.path()), plan([Arc::new(Named("a"))]));
    drop(Alerting::open(&place, &plan).unwrap());
    // What is there cannot be read, nor anything put in its place.
    let blocked = place.path().join("alerts.journal");
    std::fs::create_dir_all(blocked.join("not empty")).unwrap();
    let mut failures = crate::failures::Failures::default();
    let mut desk = Desk::new(place.clone(), place, Vec::new());
    desk.configure(Some(plan), START, &mut failures);
    desk.lead(START, &mut failures);
    desk.judge_by(&hit(START, "acme"), START, &mut failures);
    let report = desk.report().unwrap().unwrap();
    assert_eq!((report.alerts.len(), report.sinks[0].pending), (1, 1));
    assert!(report.note.is_some_and(|note| note.starts_with("alerts.journal: cannot write it")));
    assert!(failures.counts()["alerts"] >= 2);
}

#[test]
fn two_hosts_cannot_share_what_must_survive() {
    let (one, other, state) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut failures = crate::failures::Failures::default();
    let mut desk = |dir: &tempfile::TempDir| {
        let mut desk = Desk::new(place(dir.path()), place(state.path()), Vec::new());
        desk.configure(Some(plan([Arc::new(Named("a"))])), START, &mut failures);
        desk.lead(START, &mut failures);
        desk
    };
    let (first, mut second) = (desk(&one), desk(&other));
    assert!(first.leads() && !second.leads());
    second.read();
    let note = second.report().unwrap().unwrap().note.unwrap();
    assert_eq!(note, "state.lock: no lock: another process holds it");
}

#[test]
fn who_has_nothing_to_alert_about_leaves_it_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut failures = crate::failures::Failures::default();
    let mut desk = |plan| {
        let mut desk = Desk::new(place(dir.path()), place(dir.path()), Vec::new());
        desk.configure(plan, START, &mut failures);
        desk.lead(START, &mut failures);
        desk
    };
    let (bare, knowing) = (desk(None), desk(Some(plan([]))));
    assert!(!bare.leads() && knowing.leads());
}

/// Nobody takes anything for an hour, while more tenants fail and recover than can be followed.
#[test]
fn an_hour_of_dead_sinks_takes_a_bounded_place() {
    let dir = tempfile::tempdir().unwrap();
    let sinks: Vec<Arc<dyn Sink>> = vec![Arc::new(Named("a")), Arc::new(Named("b"))];
    let options: AlertOptions = serde_json::from_str(
        r#"{"tenant_errors": {"at_least": 10, "for": 0, "keep_firing_for": 0}, "grouping": {"first": 0, "then": 0}}"#,
    )
    .unwrap();
    let config = Config { service: Some("shop".into()), alerts: Some(options), ..Config::default() };
    let plan = Plan::of(&config, &sinks).unwrap().unwrap();
    let place = place(dir.path());
    let mut alerting = Alerting::open(&place, &plan).unwrap();
    let dead = Failed::Later { why: "refused".into(), after: None };
    let mut attempts = 0;
    for second in 0..3_600_i64 {
        let now_ms = START + second * 1_000;
        let at = Duration::from_secs(second as u64);
        if second % 20 == 0 {
            let mut facts = quiet(now_ms);
            for tenant in 0..1_500 {
                let row = sentinel_core::alert::Row { requests: 100, errors: 50, ..Default::default() };
                facts.row(format!("tenant-{second}-{tenant}").as_bytes(), row);
            }
            alerting.step(now_ms, Some(&facts)).unwrap();
        } else if second % 20 == 10 {
            alerting.step(now_ms, Some(&quiet(now_ms))).unwrap();
        }
        for Attempt { ticket, .. } in alerting.next(at, now_ms) {
            attempts += 1;
            alerting.done(ticket, Err(&dead), (at, now_ms), 1.0).unwrap();
        }
    }
    assert!((20..200).contains(&attempts), "{attempts}");
    for sink in alerting.report().sinks {
        let dropped: u64 = sink.dropped.values().sum();
        assert_eq!((sink.offered, sink.delivered), (360, 0));
        assert_eq!(sink.offered, dropped + sink.pending);
        assert!(sink.pending <= 64, "{sink:?}");
    }
    let size = std::fs::metadata(place.path().join("alerts.journal")).unwrap().len();
    assert!(size < 8 << 20, "{size}");
}

/// Tells a test over a socket, and has it acknowledged.
#[derive(Debug)]
struct Wire(String);

impl Sink for Wire {
    fn name(&self) -> &str {
        "wire"
    }

    fn kind(&self) -> &'static str {
        "wire"
    }

    fn send<'a>(&'a self, notice: &'a Notice) -> Sending<'a> {
        Box::pin(async move {
            let later = |error: std::io::Error| Failed::Later { why: error.kind().to_string(), after: None };
            let mut line = notice.id.to_string();
            for listed in &notice.listed {
                let status = serde_json::to_string(&listed.status).unwrap();
                let (who, id) = (listed.alert.key.subject.shown(), listed.alert.id);
                line = format!("{line} {who}={}={id}", status.trim_matches('"'));
            }
            let stream = tokio::net::TcpStream::connect(&self.0).await.map_err(later)?;
            let (read, mut write) = stream.into_split();
            write.write_all((line + "\n").as_bytes()).await.map_err(later)?;
            let mut answer = String::new();
            tokio::io::BufReader::new(read).read_line(&mut answer).await.map_err(later)?;
            if answer == "ok\n" { Ok(()) } else { Err(Failed::Later { why: "no answer".into(), after: None }) }
        })
    }
}

const DIR: &str = "SENTINEL_TEST_ALERTS_DIR";

/// One of the processes: it leads when it can, judges what the test says is the case, and sends.
#[test]
#[ignore = "a part of another test, in a process of its own"]
fn one_of_them() {
    let Some(dir) = std::env::var_os(DIR).map(std::path::PathBuf::from) else { return };
    let place = place(&dir);
    let plan = plan([Arc::new(Wire(std::fs::read_to_string(dir.join("address")).unwrap()))]);
    let mut failures = crate::failures::Failures::default();
    let mut desk = Desk::new(place.clone(), place, Vec::new());
    desk.configure(Some(plan), START, &mut failures);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        loop {
            let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
            let led = desk.leads();
            desk.lead(now_ms, &mut failures);
            if desk.leads() && !led {
                std::fs::write(dir.join("leader"), std::process::id().to_string()).unwrap();
            }
            let failing = std::fs::read_to_string(dir.join("failing")).unwrap();
            let facts = if failing.is_empty() { quiet(now_ms) } else { hit(now_ms, &failing) };
            desk.judge_by(&facts, now_ms, &mut failures);
            desk.send(now_ms);
            tokio::select! {
                happened = desk.happens(now_ms) => {
                    if let Happened::Sent(sent) = happened {
                        desk.heard(&sent, now_ms, &mut failures);
                    }
                }
                () = tokio::time::sleep(Duration::from_millis(2)) => {}
            }
        }
    });
}

struct Process(Child);

impl Process {
    fn start(dir: &Path) -> Self {
        let exe = std::env::current_exe().unwrap();
        let mut command = Command::new(exe);
        command.args(["--ignored", "--exact", "alerting::tests::one_of_them"]).env(DIR, dir);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What came: by notice, what it said, and how often it came.
type Told = Arc<Mutex<Vec<String>>>;

fn listen() -> (String, Told) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let told = Told::default();
    let heard = Arc::clone(&told);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let heard = Arc::clone(&heard);
            std::thread::spawn(move || answer(stream, &heard));
        }
    });
    (address, told)
}

fn answer(stream: TcpStream, heard: &Told) {
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    if reader.read_line(&mut line).is_ok_and(|_| line.ends_with('\n')) {
        heard.lock().unwrap().push(line.trim_end().into());
        // Time to be killed in.
        std::thread::sleep(Duration::from_millis(rand::rng().random_range(0..40)));
        let _ = reader.get_mut().write_all(b"ok\n");
    }
}

/// Processes that are killed at random, while one tenant after the other fails and recovers: each time somebody is told, and told
/// twice only by the same id. KILLS says how many are killed.
#[test]
fn kills_lose_no_alert_and_repeat_none_under_another_id() {
    let kills: usize = std::env::var("KILLS").ok().map_or(60, |kills| kills.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    place(dir.path());
    let (address, told) = listen();
    std::fs::write(dir.path().join("address"), address).unwrap();
    std::fs::write(dir.path().join("failing"), "").unwrap();
    let mut random = StdRng::seed_from_u64(8);
    let mut processes: Vec<Process> = (0..4).map(|_| Process::start(dir.path())).collect();
    let (mut killed, mut incidents) = (0, 0);
    let mut leaders = 0;
    let mut until = |what: &str, processes: &mut Vec<Process>, killed: &mut usize| {
        let begun = Instant::now();
        while !told.lock().unwrap().iter().any(|line| line.contains(what)) {
            assert!(begun.elapsed() < Duration::from_mins(1), "nobody was told of {what}");
            std::thread::sleep(Duration::from_millis(random.random_range(5..80)));
            // The leader, mostly.
            let leader = std::fs::read_to_string(dir.path().join("leader")).ok().and_then(|pid| pid.parse().ok());
            let leads = |process: &Process| Some(process.0.id()) == leader;
            let victim = match processes.iter().position(leads).filter(|_| random.random_bool(0.7)) {
                Some(leader) => {
                    leaders += 1;
                    leader
                }
                None => random.random_range(0..processes.len()),
            };
            // Another one first: it is the one that leads next, or waits for that.
            let next = Process::start(dir.path());
            drop(std::mem::replace(&mut processes[victim], next));
            *killed += 1;
        }
    };
    while killed < kills || incidents < 3 {
        let tenant = format!("tenant-{incidents}");
        let say = |text: &str| {
            std::fs::write(dir.path().join("saying"), text).unwrap();
            std::fs::rename(dir.path().join("saying"), dir.path().join("failing")).unwrap();
        };
        say(&tenant);
        until(&format!(" {tenant}=firing="), &mut processes, &mut killed);
        say("");
        until(&format!(" {tenant}=resolved="), &mut processes, &mut killed);
        incidents += 1;
    }
    processes.clear();
    let told = told.lock().unwrap();
    let mut said: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in told.iter() {
        for part in line.split(' ').skip(1) {
            // Of one alert, that it fires and that it is over are each told by one notice, however often it comes.
            said.entry(part).or_default().insert(line.split(' ').next().unwrap());
        }
    }
    for (what, by) in &said {
        assert_eq!(by.len(), 1, "{what}: {by:?}");
    }
    // A tenant that fails once has one alert.
    assert_eq!(said.len(), 2 * incidents);
    let distinct: BTreeSet<&String> = told.iter().collect();
    let again = told.len() - distinct.len();
    // The test runner keeps what `eprintln` says to itself.
    #[allow(clippy::explicit_write)]
    writeln!(
        std::io::stderr(),
        "{killed} killed, {leaders} of them led: {incidents} incidents, {} notices, {again} came again",
        distinct.len()
    )
    .unwrap();
}
