//! Leaders that are killed at any moment, disks that cannot be written, and who leads: who is told, and how often.
#![allow(clippy::unwrap_used, clippy::unnecessary_literal_bound)] // a test fails by panicking; as the trait has it

use super::failures::Failures;
use super::leader_duties::{DutyEvent, LeaderDuties};
use crate::alerting::Alerting;
use crate::alerting::tests::{Named, START, hit, place, plan, quiet};
use crate::sink::{Failed, Sending, Sink};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sentinel_core::alert::Notice;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

#[test]
fn who_cannot_write_at_all_says_so_and_judges_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (place, plan) = (place(dir.path()), plan([Arc::new(Named("a"))]));
    drop(Alerting::open(&place, &plan).unwrap());
    // What is there cannot be read, nor anything put in its place.
    let blocked = place.path().join("alerts.journal");
    std::fs::create_dir_all(blocked.join("not empty")).unwrap();
    let mut failures = Failures::default();
    let mut duties = LeaderDuties::new(place.clone(), place, Vec::new());
    duties.alerts.configure(Some(plan), START, &mut failures);
    duties.lead(START, &mut failures);
    duties.judge_by(hit(START, "acme"), START, &mut failures);
    let report = duties.alerts.report().unwrap().unwrap();
    assert_eq!((report.alerts.len(), report.sinks[0].pending), (1, 1));
    assert!(report.note.is_some_and(|note| note.starts_with("alerts.journal: cannot write it")));
    assert!(failures.counts()["alerts"] >= 2);
}

#[test]
fn two_hosts_cannot_share_what_must_survive() {
    let (one, other, state) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut failures = Failures::default();
    let mut duties = |dir: &tempfile::TempDir| {
        let mut duties = LeaderDuties::new(place(dir.path()), place(state.path()), Vec::new());
        duties.alerts.configure(Some(plan([Arc::new(Named("a"))])), START, &mut failures);
        duties.lead(START, &mut failures);
        duties
    };
    let (first, mut second) = (duties(&one), duties(&other));
    assert!(first.alerts.leads() && !second.alerts.leads());
    second.alerts.read_from_leader();
    let note = second.alerts.report().unwrap().unwrap().note.unwrap();
    assert_eq!(note, "state.lock: no lock: another process holds it");
}

#[test]
fn who_has_nothing_to_alert_about_leaves_it_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut failures = Failures::default();
    let mut duties = |plan| {
        let mut duties = LeaderDuties::new(place(dir.path()), place(dir.path()), Vec::new());
        duties.alerts.configure(plan, START, &mut failures);
        duties.lead(START, &mut failures);
        duties
    };
    let (bare, knowing) = (duties(None), duties(Some(plan([]))));
    assert!(!bare.alerts.leads() && knowing.alerts.leads());
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
    let mut failures = Failures::default();
    let mut duties = LeaderDuties::new(place.clone(), place, Vec::new());
    duties.alerts.configure(Some(plan), START, &mut failures);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        loop {
            let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
            let led = duties.alerts.leads();
            duties.lead(now_ms, &mut failures);
            if duties.alerts.leads() && !led {
                std::fs::write(dir.join("leader"), std::process::id().to_string()).unwrap();
            }
            let failing = std::fs::read_to_string(dir.join("failing")).unwrap();
            let facts = if failing.is_empty() { quiet(now_ms) } else { hit(now_ms, &failing) };
            duties.judge_by(facts, now_ms, &mut failures);
            duties.alerts.send_due(now_ms);
            tokio::select! {
                event = duties.next_event(now_ms) => {
                    if let DutyEvent::AttemptEnded(ended) = event {
                        duties.alerts.attempt_ended(&ended, now_ms, &mut failures);
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
        command.args(["--ignored", "--exact", "thread::leader_duties_tests::one_of_them"]).env(DIR, dir);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Notices that came, one line each: its id, then what it says.
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
