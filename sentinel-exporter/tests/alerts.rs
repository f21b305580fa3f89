//! Alerts of real exporters: one of the workers judges what all have seen, one message comes, and every worker knows of it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking
#![allow(clippy::unnecessary_literal_bound)] // as the trait has it

#[allow(dead_code)] // each binary uses its part
mod common;

use common::{PATIENCE, Process, private, role, say};
use sentinel_core::alert::{AlertsReport, Notice, Phase, SinkState};
use sentinel_core::{Event, Query, Sentinel};
use sentinel_exporter::sink::{Failed, Sending, Sink};
use sentinel_exporter::{AlertOptions, Config, Exporter, TestError};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn options(json: &str) -> AlertOptions {
    serde_json::from_str(json).unwrap()
}

/// An attempt at a sink that hangs is given up after so long; whatever takes less has not waited for it.
const ATTEMPT: Duration = Duration::from_secs(10);

/// A tenant with ten errors is told at once.
const TEN: &str =
    r#"{"tenant_errors": {"at_least": 10, "for": 0, "keep_firing_for": 0}, "grouping": {"first": 0, "then": 0}}"#;

fn config(dir: &Path, alerts: &str) -> Config {
    let every = Duration::from_millis(500);
    let (service, dir, alerts) = (Some("shop".into()), Some(dir.into()), Some(options(alerts)));
    Config { service, dir, every, alerts, ..Config::default() }
}

fn hit(sentinel: &Sentinel, tenant: &str, times: usize) {
    for _ in 0..times {
        sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/v1", status: 500, ..Event::default() });
    }
}

fn wait(within: Duration, what: impl Fn() -> bool) {
    let begin = Instant::now();
    while !what() {
        assert!(begin.elapsed() < within, "not within {within:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Writes a line a notice to a file that all processes share.
#[derive(Debug)]
struct Lines(PathBuf);

impl Sink for Lines {
    fn name(&self) -> &str {
        "lines"
    }

    fn kind(&self) -> &'static str {
        "lines"
    }

    fn send<'a>(&'a self, notice: &'a Notice) -> Sending<'a> {
        Box::pin(async move {
            let mut file = std::fs::File::options().create(true).append(true).open(&self.0).unwrap();
            file.write_all(format!("{} {}\n", notice.id, notice.message().title).as_bytes()).unwrap();
            Ok(())
        })
    }
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(Into::into).collect()
}

#[test]
#[ignore = "a part of the others, in a process of its own"]
fn child() {
    let Some((role, dir)) = role() else { return };
    let sentinel = Sentinel::builder().build().unwrap();
    let sinks: Vec<Arc<dyn Sink>> = vec![Arc::new(Lines(dir.join("told")))];
    let exporter = Exporter::with_sinks(&sentinel, config(&dir, TEN), None, sinks).unwrap();
    hit(&sentinel, "acme", role.parse().unwrap());
    exporter.publish();
    loop {
        let leads = sentinel.alerts().is_ok_and(|alerts| alerts.unwrap().leader);
        say(if leads { "leads" } else { "follows" });
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn eight_processes_send_one_alert_and_the_next_leader_does_not_repeat_it() {
    let (_guard, dir) = private();
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let told = dir.join("told");
    // None of them has seen enough.
    let mut processes: Vec<Process> = (0..8).map(|_| Process::start("5", &dir)).collect();
    wait(PATIENCE, || !lines(&told).is_empty());
    std::thread::sleep(Duration::from_secs(3));
    let first = lines(&told);
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(first[0].contains("🚨 Sentinel: Tenant acme has "), "{first:?}");
    // The leader is killed: another process leads, and sends nothing of what is known.
    let words = |process: &Process| process.heard_so_far().last();
    let leader = processes.iter().position(|process| words(process).as_deref() == Some("leads")).unwrap();
    processes.remove(leader).kill();
    wait(PATIENCE, || processes.iter().any(|process| words(process).as_deref() == Some("leads")));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(lines(&told), first);
    // It is not told again, although nobody knew of it but those that were killed.
    assert!(lines(&told).len() == 1);
}

/// Does as it is told.
#[derive(Debug)]
struct Moody {
    name: &'static str,
    mood: Arc<Mutex<Mood>>,
    took: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Takes,
    Later,
    Refuses,
    Panics,
    Hangs,
}

impl Sink for Moody {
    fn name(&self) -> &str {
        self.name
    }

    fn kind(&self) -> &'static str {
        "moody"
    }

    fn send<'a>(&'a self, notice: &'a Notice) -> Sending<'a> {
        let mood = *self.mood.lock().unwrap();
        let later = || Failed::Later { why: "503".into(), after: None };
        Box::pin(async move {
            match mood {
                Mood::Takes => self.took.lock().unwrap().push(notice.message().title),
                Mood::Later => return Err(later()),
                Mood::Refuses => return Err(Failed::Refused { why: "404".into() }),
                // Without the hook, which takes its time to find names for a backtrace.
                Mood::Panics => std::panic::resume_unwind(Box::new("a bug of the sink")),
                Mood::Hangs => std::future::pending().await,
            }
            Ok(())
        })
    }
}

struct Worker {
    sentinel: Sentinel,
    exporter: Exporter,
    mood: Arc<Mutex<Mood>>,
    took: Arc<Mutex<Vec<String>>>,
}

fn worker(config: Config, mood: Mood) -> Worker {
    let sentinel = Sentinel::builder().build().unwrap();
    let (mood, took) = (Arc::new(Mutex::new(mood)), Arc::default());
    let sink = Moody { name: "moody", mood: Arc::clone(&mood), took: Arc::clone(&took) };
    let exporter = Exporter::with_sinks(&sentinel, config, None, vec![Arc::new(sink)]).unwrap();
    Worker { sentinel, exporter, mood, took }
}

impl Worker {
    fn sink(&self) -> sentinel_core::alert::SinkReport {
        report_of(&self.sentinel).sinks[0].clone()
    }
}

/// On a busy machine an answer may come too late.
fn report_of(sentinel: &Sentinel) -> AlertsReport {
    let begun = Instant::now();
    loop {
        match sentinel.alerts() {
            Ok(alerts) => return alerts.unwrap(),
            Err(why) => assert!(begun.elapsed() < PATIENCE, "{why}"),
        }
    }
}

#[test]
fn every_worker_knows_of_an_alert_and_of_how_it_was_sent() {
    let (_guard, dir) = private();
    let leader = worker(config(&dir, TEN), Mood::Takes);
    leader.exporter.start();
    wait(PATIENCE, || report_of(&leader.sentinel).leader);
    let other = worker(config(&dir, TEN), Mood::Takes);
    hit(&other.sentinel, "acme", 12);
    wait(PATIENCE, || leader.took.lock().unwrap().len() == 1);
    wait(PATIENCE, || leader.sink().delivered == 1);
    let (here, there) = (report_of(&leader.sentinel), report_of(&other.sentinel));
    assert_eq!((here.leader, there.leader), (true, false));
    assert_eq!((&here.sinks, here.alerts[0].phase), (&there.sinks, Phase::Firing));
    assert_eq!(here.alerts[0].title, there.alerts[0].title);
    assert_eq!(here.alerts[0].title, "🚨 Sentinel: Tenant acme has 12 5xx in the last 10 minutes (endpoint /v1)");
    assert!(other.took.lock().unwrap().is_empty());
    assert_eq!(leader.sentinel.sharing().unwrap().failures, BTreeMap::default());
    // Over the admin view as well.
    let admin = other.sentinel.admin().public();
    let response = admin.respond(&sentinel_core::admin::Request::get("/alerts", ""));
    let json: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((response.status, &json["alerts"][0]["subject"]["tenant_id"]), (200, &"acme".into()));
}

/// A job of the same service, started first, that has no alerts.
#[test]
fn a_process_without_alerts_does_not_keep_the_others_quiet() {
    let (_guard, dir) = private();
    let job = Sentinel::builder().build().unwrap();
    let _exporter = Exporter::new(&job, Config { alerts: None, ..config(&dir, TEN) }).unwrap();
    hit(&job, "acme", 12);
    wait(PATIENCE, || job.sharing().unwrap().leader);
    let worker = worker(config(&dir, TEN), Mood::Takes);
    worker.exporter.start();
    wait(PATIENCE, || !worker.took.lock().unwrap().is_empty());
    assert!(worker.took.lock().unwrap()[0].contains("Tenant acme has 12 5xx"));
    assert_eq!(job.alerts(), Ok(None));
}

#[test]
fn a_sink_that_fails_hangs_or_panics_hurts_nobody() {
    let (_guard, dir) = private();
    for mood in [Mood::Panics, Mood::Later, Mood::Hangs] {
        let dir = dir.join(format!("{mood:?}"));
        let worker = worker(config(&dir, TEN), mood);
        hit(&worker.sentinel, "acme", 12);
        wait(PATIENCE, || worker.sink().offered == 1);
        // Answers come meanwhile.
        for _ in 0..10 {
            let asked = Instant::now();
            assert_eq!(worker.sentinel.report(Query::default()).totals.requests, 12);
            assert!(asked.elapsed() < ATTEMPT);
        }
        if mood != Mood::Hangs {
            wait(PATIENCE, || worker.sink().state == SinkState::Retrying);
            assert!(worker.sink().last_error.is_some());
            *worker.mood.lock().unwrap() = Mood::Takes;
            wait(PATIENCE, || worker.sink().delivered == 1);
            assert_eq!(worker.sink().state, SinkState::Ok);
        }
        // The end does not wait for it.
        let closing = Instant::now();
        assert!(worker.exporter.close(PATIENCE));
        assert!(closing.elapsed() < ATTEMPT, "{:?}", closing.elapsed());
        // Late on a busy machine.
        let failures = worker.sentinel.sharing().unwrap().failures;
        assert!(failures.keys().all(|name| *name == "late"), "{failures:?}");
    }
}

/// When each request came, and by which id.
type Came = Arc<Mutex<Vec<(Instant, String)>>>;

/// A webhook's server: answers each request as the test says, and notes when it came and its `webhook-id`.
fn receiver(answers: Vec<&'static str>) -> (u16, Came) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&came);
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut id, mut length) = (String::new(), 0);
            for line in (&mut stream).lines() {
                let line = line.unwrap().to_ascii_lowercase();
                match line.split_once(": ") {
                    Some(("webhook-id", value)) => id = value.into(),
                    Some(("content-length", value)) => length = value.parse().unwrap(),
                    _ if line.is_empty() => break,
                    _ => {}
                }
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
            noted.lock().unwrap().push((Instant::now(), id));
            // Nothing more to say: it holds the connection and is silent.
            let Some(answer) = answers.next() else {
                std::thread::sleep(PATIENCE);
                return;
            };
            let head = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.get_mut().write_all(head.as_bytes());
        }
    });
    (port, came)
}

fn hooked(dir: &Path, port: u16) -> Config {
    let mut config = config(dir, TEN);
    let sinks = format!(r#"[{{"type": "webhook", "url": "http://127.0.0.1:{port}/canary-path?canary-query"}}]"#);
    config.alerts.as_mut().unwrap().sinks = serde_json::from_str(&sinks).unwrap();
    config
}

#[test]
fn a_server_that_is_busy_is_asked_again_when_it_says_and_one_that_refuses_is_left_alone() {
    let (_guard, dir) = private();
    let (port, came) = receiver(vec!["429 Slow\r\nretry-after: 2", "503 Busy", "200 OK", "404 Gone"]);
    let sentinel = Sentinel::builder().build().unwrap();
    let exporter = Exporter::new(&sentinel, hooked(&dir, port)).unwrap();
    let sink = || report_of(&sentinel).sinks[0].clone();
    let balances = || {
        let sink = sink();
        assert_eq!(sink.offered, sink.delivered + sink.dropped.values().sum::<u64>() + sink.pending, "{sink:?}");
        sink
    };
    hit(&sentinel, "acme", 12);
    wait(PATIENCE, || balances().delivered == 1);
    {
        let came = came.lock().unwrap();
        assert_eq!(came.len(), 3);
        assert!(came[1].0 - came[0].0 >= Duration::from_secs(2), "it said when");
        assert!(came.iter().all(|(_, id)| *id == came[0].1), "one message, one id");
    }
    hit(&sentinel, "beta", 12);
    wait(PATIENCE, || balances().state == SinkState::Disabled);
    hit(&sentinel, "gamma", 12);
    wait(PATIENCE, || balances().pending == 1);
    assert_eq!(came.lock().unwrap().len(), 4);
    let said =
        serde_json::to_string(&report_of(&sentinel)).unwrap() + &format!("{exporter:?} {:?}", sentinel.sharing());
    let written = std::fs::read(dir.join("shop/alerts.journal")).unwrap();
    assert!(!said.contains("canary"), "{said}");
    assert!(!written.windows(6).any(|part| part == b"canary"));
}

#[test]
fn a_server_that_never_answers_is_not_waited_for_at_the_end() {
    let (_guard, dir) = private();
    let (port, came) = receiver(Vec::new());
    let sentinel = Sentinel::builder().build().unwrap();
    let exporter = Exporter::new(&sentinel, hooked(&dir, port)).unwrap();
    hit(&sentinel, "acme", 12);
    wait(PATIENCE, || came.lock().unwrap().len() == 1);
    let closing = Instant::now();
    assert!(exporter.close(PATIENCE));
    assert!(closing.elapsed() < ATTEMPT, "{:?}", closing.elapsed());
    // Whoever leads next sends it, by the same id.
    let next = Sentinel::builder().build().unwrap();
    let (port, again) = receiver(vec!["200 OK"]);
    let exporter = Exporter::new(&next, hooked(&dir, port)).unwrap();
    exporter.start();
    wait(PATIENCE, || again.lock().unwrap().len() == 1);
    assert_eq!(again.lock().unwrap()[0].1, came.lock().unwrap()[0].1);
}

#[test]
fn who_refuses_is_tried_again_after_a_restart() {
    let (_guard, dir) = private();
    let first = worker(config(&dir, TEN), Mood::Refuses);
    hit(&first.sentinel, "acme", 12);
    wait(PATIENCE, || first.sink().state == SinkState::Disabled);
    assert_eq!((first.sink().dropped["refused"], first.sink().last_error.as_deref()), (1, Some("404")));
    hit(&first.sentinel, "beta", 12);
    let begun = Instant::now();
    while first.sink().pending != 1 {
        assert!(begun.elapsed() < PATIENCE, "{:#?}\n{:#?}", first.sentinel.alerts(), first.sentinel.sharing());
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(first);
    let second = worker(config(&dir, TEN), Mood::Takes);
    second.exporter.start();
    let begun = Instant::now();
    while second.took.lock().unwrap().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{:#?}\n{:#?}", second.sentinel.alerts(), second.sentinel.sharing());
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = second.took.lock().unwrap().clone();
    assert!(took[0].contains("Tenant beta"), "{took:?}");
}

#[test]
fn a_test_alert_says_how_it_went_from_any_worker() {
    let (_guard, dir) = private();
    let leader = worker(config(&dir, TEN), Mood::Takes);
    leader.exporter.start();
    wait(PATIENCE, || report_of(&leader.sentinel).leader);
    let other = worker(config(&dir, TEN), Mood::Takes);
    let tried = other.exporter.test_alert(None, PATIENCE).unwrap();
    assert_eq!((tried[0].name.as_str(), tried[0].kind.as_str(), &tried[0].error), ("moody", "moody", &None));
    assert_eq!(*other.took.lock().unwrap(), ["🔔 Sentinel: test alert of shop"]);
    *other.mood.lock().unwrap() = Mood::Refuses;
    assert_eq!(other.exporter.test_alert(Some("moody"), PATIENCE).unwrap()[0].error.as_deref(), Some("404"));
    *other.mood.lock().unwrap() = Mood::Hangs;
    let asked = Instant::now();
    let tried = other.exporter.test_alert(None, Duration::from_millis(200)).unwrap();
    assert!(asked.elapsed() < ATTEMPT);
    assert_eq!(tried[0].error.as_deref(), Some("no answer in time"));
    // It is no alert: nothing of it is in the ledger, nobody is disabled.
    assert_eq!((other.sink().offered, other.sink().state), (0, SinkState::Ok));
    let error = other.exporter.test_alert(Some("pager"), PATIENCE).unwrap_err();
    assert!(matches!(&error, TestError::Sink(error) if error.allowed == "moody"), "{error}");
    assert!(other.exporter.close(PATIENCE));
    assert!(matches!(other.exporter.test_alert(None, PATIENCE), Err(TestError::Unavailable(_))));
}

#[test]
fn rules_change_while_it_runs_and_a_mistake_changes_nothing() {
    let (_guard, dir) = private();
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let file = dir.join("sentinel.toml");
    let write = |at_least: u64| {
        let toml = format!(
            "[exporter]\nservice = 'shop'\ndir = '{}'\nevery = '500ms'\n[alerts]\ntenant_errors = {{ at_least = {at_least}, for = 0 }}\n",
            dir.display()
        );
        std::fs::write(&file, toml).unwrap();
    };
    write(1_000);
    let sentinel = Sentinel::builder().build().unwrap();
    let exporter = Exporter::watching(&sentinel, Config::from_file(&file).unwrap(), Some(&file)).unwrap();
    hit(&sentinel, "acme", 12);
    wait(PATIENCE, || sentinel.alerts().is_ok_and(|alerts| alerts.unwrap().as_of.is_some()));
    assert_eq!(report_of(&sentinel).alerts, []);
    write(0);
    wait(PATIENCE, || {
        sentinel.sharing().unwrap().last_error.is_some_and(|error| error.contains("tenant_errors.at_least"))
    });
    assert_eq!(report_of(&sentinel).alerts, []);
    write(10);
    wait(PATIENCE, || report_of(&sentinel).alerts.len() == 1);
    drop(exporter);
}

#[test]
fn without_a_service_nobody_is_told() {
    let sentinel = Sentinel::builder().build().unwrap();
    let config = Config { alerts: Some(options(TEN)), ..Config::default() };
    assert_eq!(Exporter::new(&sentinel, config).unwrap_err().field, "service");
    assert_eq!(sentinel.alerts(), Ok(None));
    let config = Config { service: Some("shop".into()), ..Config::default() };
    let _exporter = Exporter::new(&sentinel, config).unwrap();
    assert_eq!(sentinel.alerts(), Ok(None));
    let response = sentinel.admin().public().respond(&sentinel_core::admin::Request::get("/alerts", ""));
    assert_eq!((response.status, &*response.body), (200, &b"null"[..]));
}

#[test]
fn two_sinks_of_one_name_are_refused() {
    let sentinel = Sentinel::builder().build().unwrap();
    let sink = || -> Arc<dyn Sink> { Arc::new(Lines("told".into())) };
    let config = Config { service: Some("shop".into()), ..Config::default() };
    let error = Exporter::with_sinks(&sentinel, config, None, vec![sink(), sink()]).unwrap_err();
    assert_eq!(error.field, "alerts.sinks[0].name");
}
