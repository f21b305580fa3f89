//! Uptime checks of real exporters: real targets, one of the workers probes, every one of them knows, and people are told.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking
#![allow(clippy::unnecessary_literal_bound)] // as the trait has it

#[allow(dead_code)] // each binary uses its part
mod common;

use common::{PATIENCE, Process, private, role, say};
use sentinel_core::Sentinel;
use sentinel_core::alert::Notice;
use sentinel_core::uptime::{Cause, CheckStanding, Status, UptimeReport};
use sentinel_exporter::sink::{Sending, Sink};
use sentinel_exporter::{Config, Exporter, Setup};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A server that answers with this status; with 0 it hangs up, with 1 it thinks for a while and says 200.
struct Target {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    asked: Arc<AtomicU64>,
}

impl Target {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (status, asked) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicU64::new(0)));
        let (answers, counts) = (Arc::clone(&status), Arc::clone(&asked));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                counts.fetch_add(1, Ordering::Relaxed);
                let status = answers.load(Ordering::Relaxed);
                if status == 1 {
                    std::thread::sleep(Duration::from_millis(250));
                }
                let status = if status == 1 { 200 } else { status };
                if status > 0 {
                    let mut request = [0; 1_024];
                    let _ = stream.read(&mut request);
                    let _ = write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok");
                }
            }
        });
        Self { address, status, asked }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl Sink for Told {
    fn name(&self) -> &str {
        "told"
    }

    fn kind(&self) -> &'static str {
        "told"
    }

    fn send<'a>(&'a self, notice: &'a Notice) -> Sending<'a> {
        Box::pin(async move {
            let mut told = self.0.lock().unwrap();
            told.extend(notice.listed.iter().map(|one| one.alert.message().title.replace("Sentinel: ", "")));
            Ok(())
        })
    }
}

fn table(checks: &[(&str, SocketAddr)]) -> String {
    let check = |(name, address): &(&str, SocketAddr)| {
        format!(
            "[[uptime.checks]]\nname = '{name}'\ntarget = 'http://{address}/health?key=canary'\ninterval = '1s'\n\
            timeout = '500ms'\nconfirm = {{ every = '100ms' }}\n"
        )
    };
    let checks: Vec<String> = checks.iter().map(check).collect();
    format!("[alerts]\ngrouping = {{ first = 0, then = 0 }}\n[uptime]\nallow = ['loopback']\n{}", checks.concat())
}

fn config(dir: &Path, checks: &[(&str, SocketAddr)]) -> Config {
    let text = format!("[exporter]\nservice = 'shop'\nevery = '0.5s'\ndir = '{}'\n{}", dir.display(), table(checks));
    Config::from_toml(&text).unwrap()
}

fn wait<T>(what: impl Fn() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn known(sentinel: &Sentinel) -> Option<UptimeReport> {
    sentinel.uptime().ok().flatten()
}

fn standing(sentinel: &Sentinel, name: &str) -> Option<CheckStanding> {
    known(sentinel)?.checks.into_iter().find(|check| check.name == name)
}

fn becomes(sentinel: &Sentinel, name: &str, status: Status) -> CheckStanding {
    wait(|| standing(sentinel, name).filter(|check| check.status == status && check.confirmed == status))
}

/// No request ever comes: `start` is enough.
#[test]
fn down_and_up_again_without_a_request() {
    let (_guard, dir) = private();
    let (shop, other) = (Target::start(), Target::start());
    let sentinel = Sentinel::builder().build().unwrap();
    let told = Arc::new(Told::default());
    let checks = [("shop", shop.address), ("other", other.address)];
    let exporter = Exporter::with_sinks(&sentinel, config(&dir, &checks), None, vec![told.clone()]).unwrap();
    exporter.start();
    let up = becomes(&sentinel, "shop", Status::Up);
    assert_eq!((up.target.as_str(), up.last.unwrap().status), (&format!("http://{}/…", shop.address)[..], Some(200)));
    shop.answers(503);
    let down = becomes(&sentinel, "shop", Status::Down);
    assert_eq!(down.last.unwrap().cause, Some(Cause::Status));
    wait(|| (told.0.lock().unwrap().len() == 1).then_some(()));
    shop.answers(200);
    becomes(&sentinel, "shop", Status::Up);
    wait(|| (told.0.lock().unwrap().len() == 2).then_some(()));
    let titles = told.0.lock().unwrap().clone();
    assert_eq!(titles[0], "🚨 Target shop is down: status 503");
    assert!(titles[1].starts_with("✅ Target shop is up again after "), "{titles:?}");
    let report = known(&sentinel).unwrap();
    assert!(report.leader && report.service == "shop" && report.note.is_none());
    let day = &report.checks.iter().find(|check| check.name == "shop").unwrap().windows[0].availability;
    assert!(day.down_ms > 0 && day.up_ms > 0, "{day:?}");
    assert!(!format!("{report:?} {:?}", sentinel.sharing()).contains("canary"));
    assert!(exporter.close(PATIENCE));
}

#[test]
#[ignore = "a part of the test below, in a process of its own"]
fn child() {
    let Some((role, dir)) = role() else { return };
    let sentinel = Sentinel::builder().build().unwrap();
    let exporter = Exporter::new(&sentinel, config(&dir, &[("shop", role.parse().unwrap())])).unwrap();
    exporter.start();
    loop {
        let report = known(&sentinel);
        let leads = report.as_ref().is_some_and(|report| report.leader);
        let up = report.is_some_and(|report| report.checks.iter().any(|check| check.windows[0].availability.up_ms > 0));
        say(if leads {
            "leads"
        } else if up {
            "knows"
        } else {
            "waits"
        });
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A worker, and what it has said last.
struct Worker {
    process: Process,
    said: RefCell<String>,
}

impl Worker {
    fn says(&self, word: &str) -> bool {
        if let Some(said) = self.process.heard_so_far().last() {
            self.said.replace(said);
        }
        *self.said.borrow() == word
    }
}

/// Four workers: the target is asked by one, all know, and the next one goes on when that one is killed.
#[test]
fn one_of_the_workers_probes_for_all() {
    let (_guard, dir) = private();
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let shop = Target::start();
    let start = |_| Worker { process: Process::start(&shop.address.to_string(), &dir), said: RefCell::default() };
    let mut processes: Vec<Worker> = (0..4).map(start).collect();
    let says = |worker: &Worker, word: &str| worker.says(word);
    let all = |processes: &[Worker]| {
        processes.iter().filter(|process| says(process, "leads")).count() == 1
            && processes.iter().all(|process| says(process, "leads") || says(process, "knows"))
    };
    wait(|| all(&processes).then_some(()));
    let (before, began) = (shop.asked(), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let rate = (shop.asked() - before) as f64 / began.elapsed().as_secs_f64();
    // One a second, and a few more where a busy machine makes one fail; four workers would make four. That they come at all is
    // waited for below.
    assert!(rate < 3.0, "{rate} probes a second of one check with an interval of a second");
    let leader = processes.iter().position(|process| says(process, "leads")).unwrap();
    processes.remove(leader).process.kill();
    wait(|| processes.iter().any(|process| says(process, "leads")).then_some(()));
    let before = shop.asked();
    wait(|| (shop.asked() > before + 1).then_some(()));
}

/// Another file: what is new is probed, what is gone is not, what is wrong changes nothing and says so.
#[test]
fn a_file_that_changes() {
    let (_guard, dir) = private();
    let (one, other) = (Target::start(), Target::start());
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| {
        std::fs::write(file.path(), text).unwrap();
    };
    let exporter_table = format!("[exporter]\nservice = 'shop'\nevery = '0.5s'\ndir = '{}'\n", dir.display());
    write(&format!("{exporter_table}{}", table(&[("one", one.address)])));
    let sentinel = Sentinel::builder().build().unwrap();
    let setup = Setup { config: Some(file.path().into()), ..Setup::default() };
    let exporter = setup.exporter(&sentinel).unwrap().unwrap();
    exporter.start();
    becomes(&sentinel, "one", Status::Up);
    write(&format!("{exporter_table}{}", table(&[("other", other.address)])));
    becomes(&sentinel, "other", Status::Up);
    assert!(standing(&sentinel, "one").is_none());
    let asked = one.asked();
    write(&format!("{exporter_table}[uptime]\nat_once = 0\n"));
    wait(|| sentinel.sharing()?.last_error.filter(|error| error.contains("uptime.at_once: 0 is not allowed")));
    let before = other.asked();
    wait(|| (other.asked() > before + 1).then_some(()));
    assert_eq!(one.asked(), asked, "nobody asks what is gone");
    assert!(exporter.close(PATIENCE));
}

/// Options as an object of a program; an error names the path of a wrong one and shows nothing of its text.
#[test]
fn an_object_is_a_table() {
    let sentinel = Sentinel::builder().build().unwrap();
    let error = |uptime: &str| {
        let setup = Setup { service: Some("shop".into()), uptime: Some(uptime.into()), ..Setup::default() };
        setup.exporter(&sentinel).map(|_| ()).unwrap_err().to_string()
    };
    for (uptime, begins) in [
        (r#"{"checks": [{"name": "a"}]}"#, "uptime.checks[0].target: none is not allowed"),
        (
            r#"{"checks": [{"name": "a", "target": "ftp://canary"}]}"#,
            "uptime.checks[0].target: a value that is not shown is not allowed",
        ),
        (
            r#"{"checks": [{"name": "a", "target": "http://a/", "timeout": "9m"}]}"#,
            "uptime.checks[0].timeout: 9m is not allowed; allowed: 10ms to 1m",
        ),
        (
            r#"{"checks": [{"name": "a", "target": "http://a/", "redirects": "canary"}]}"#,
            "uptime.checks[0].redirects: a value that is not shown is not allowed",
        ),
        (r#"{"checks": [{"name": "a", "target": "http://a/", "expect": {"statsu": 1}}]}"#, "uptime.checks[0].expect"),
        (
            r#"{"checks": [{"name": "a", "target": "http://a/", "headers": {"authorization": {"env": "NOT_SET"}}}]}"#,
            "uptime.checks[0].headers: the variable NOT_SET is not allowed",
        ),
        (
            r#"{"checks": [{"name": "a", "target": "http://a/", "headers": {"a": 7}}]}"#,
            "uptime.checks[0].headers: a value that is not shown",
        ),
        (r#"{"checks": "canary"}"#, "uptime.checks: "),
        (r#"{"allow": ["canary canary"]}"#, "uptime.allow"),
        (r#""canary""#, "uptime: "),
    ] {
        let found = error(uptime);
        assert!(found.starts_with(begins) && !found.contains("canary"), "{uptime}: {found}");
    }
    let setup = Setup { uptime: Some(r#"{"checks": []}"#.into()), ..Setup::default() };
    assert_eq!(setup.exporter(&sentinel).map(|_| ()).unwrap_err().field, "service");
}

/// Stopped for a while, again and again, with a probe on its way: the target is not down for it.
#[test]
fn a_process_that_stands_still_blames_nobody() {
    let (_guard, dir) = private();
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let shop = Target::start();
    shop.answers(1);
    let worker = Worker { process: Process::start(&shop.address.to_string(), &dir), said: RefCell::default() };
    wait(|| worker.says("leads").then_some(()));
    for _ in 0..4 {
        // While it is asked.
        let before = shop.asked();
        wait(|| (shop.asked() > before).then_some(()));
        worker.process.stop();
        std::thread::sleep(Duration::from_millis(2_600));
        worker.process.go_on();
    }
    let before = shop.asked();
    wait(|| (shop.asked() > before + 1).then_some(()));
    drop(worker);
    // What is written is what it has found.
    let sentinel = Sentinel::builder().build().unwrap();
    let exporter = Exporter::new(&sentinel, config(&dir, &[("shop", shop.address)])).unwrap();
    exporter.start();
    let day = wait(|| standing(&sentinel, "shop")).windows.remove(0).availability;
    assert!(day.down_ms == 0 && day.up_ms > 0 && day.unknown_ms > 0, "{day:?}");
}

/// So many probes at a time and no more, however many are due.
#[test]
fn no_more_at_once_than_is_allowed() {
    let (_guard, dir) = private();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, most) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let (open, seen) = (Arc::new(AtomicU64::new(0)), Arc::clone(&most));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let open = Arc::clone(&open);
            seen.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Until the prober has had enough.
            std::thread::spawn(move || {
                let mut request = [0; 1_024];
                while stream.read(&mut request).is_ok_and(|length| length > 0) {}
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    let names: Vec<String> = (0..12).map(|i| format!("shop-{i}")).collect();
    let checks: Vec<_> = names.iter().map(|name| (name.as_str(), address)).collect();
    let mut config = config(&dir, &checks);
    config.uptime.as_mut().unwrap().at_once = 3;
    let sentinel = Sentinel::builder().build().unwrap();
    let exporter = Exporter::new(&sentinel, config).unwrap();
    exporter.start();
    wait(|| known(&sentinel).filter(|report| report.checks.iter().all(|check| check.last.is_some())));
    assert!(exporter.close(PATIENCE));
    // Those whose end the listener has not seen yet may be open beside them.
    assert!((3..=6).contains(&most.load(Ordering::SeqCst)), "{most:?} of 12");
}

/// A target is down: a worker that does not probe says so as well, and when the one that does ends, nobody is told that it is over.
#[test]
fn who_takes_over_knows_that_it_is_down() {
    let (_guard, dir) = private();
    let shop = Target::start();
    let begin = || {
        let (sentinel, told) = (Sentinel::builder().build().unwrap(), Arc::new(Told::default()));
        let config = config(&dir, &[("shop", shop.address)]);
        let exporter = Exporter::with_sinks(&sentinel, config, None, vec![told.clone()]).unwrap();
        exporter.start();
        (sentinel, exporter, told)
    };
    let (one, first, _told) = begin();
    becomes(&one, "shop", Status::Up);
    let (other, second, told) = begin();
    becomes(&other, "shop", Status::Up);
    shop.answers(503);
    becomes(&one, "shop", Status::Down);
    let follows = wait(|| standing(&other, "shop").filter(|check| check.last.is_some_and(|last| last.is_down())));
    let said = (follows.status, follows.confirmed);
    std::thread::sleep(Duration::from_secs(2));
    assert!(first.close(PATIENCE));
    wait(|| known(&other)?.leader.then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    let told = told.0.lock().unwrap().clone();
    assert!(second.close(PATIENCE));
    assert!(told.is_empty(), "nothing has changed, and people were told {told:?}");
    assert_eq!(said, (Status::Down, Status::Down), "a follower says");
}

/// The whole table is removed while a target is down: nobody is told for ever that it still is.
#[test]
fn without_a_table_its_alerts_are_over() {
    let (_guard, dir) = private();
    let shop = Target::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    let exporter_table = format!("[exporter]\nservice = 'shop'\nevery = '0.5s'\ndir = '{}'\n", dir.display());
    let all = format!("{exporter_table}{}", table(&[("shop", shop.address)]));
    std::fs::write(file.path(), &all).unwrap();
    let sentinel = Sentinel::builder().build().unwrap();
    let setup = Setup { config: Some(file.path().into()), ..Setup::default() };
    let exporter = setup.exporter(&sentinel).unwrap().unwrap();
    exporter.start();
    shop.answers(503);
    let firing = || sentinel.alerts().ok().flatten().map(|alerts| alerts.alerts.len());
    wait(|| (firing() == Some(1)).then_some(()));
    std::fs::write(file.path(), all.split("[uptime]").next().unwrap()).unwrap();
    wait(|| (firing() == Some(0)).then_some(()));
    assert_eq!(sentinel.uptime(), Ok(None));
    assert!(exporter.close(PATIENCE));
}
