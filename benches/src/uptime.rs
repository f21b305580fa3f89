//! `uptime`: how many targets one core can ask, and how late ten thousand checks are asked while many of them hang, nobody takes the
//! messages, and there are 90 days to remember.

use crate::Failure;
use crate::share::Shared;
use sentinel_core::Sentinel;
use sentinel_core::uptime::{Cause, Check, CheckResult, Checks, Outcome, Schedule, Status, Target, Uptime};
use sentinel_exporter::{AlertOptions, Config, Exporter, UptimeOptions};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const CHECKS: usize = 10_000;
/// Targets that never answer.
const HANGING: usize = 1_000;
/// Targets with a history.
const REMEMBERED: usize = 1_000;
const DAYS: i64 = 90;
const INTERVAL_MS: u64 = 60_000;
/// Addresses of the targets: one alone has not ports enough.
const ADDRESSES: u8 = 32;

pub(crate) fn run(seconds: u64, minutes: u64) -> Result<Value, Failure> {
    // First: what the other one frees would be counted as its memory.
    let scale = scale(minutes)?;
    let speed = speed(seconds)?;
    Ok(json!({
        "checks_per_second": speed.0,
        "exporter_cpu_us_per_check": speed.1,
        "checks_per_core_second": 1e6 / speed.1,
        "lag_p50_ms": scale.lag_ms.0,
        "lag_p99_ms": scale.lag_ms.1,
        "lag_worst_ms": scale.lag_ms.2,
        "lags": scale.lags,
        "missed": scale.missed,
        "down": scale.down,
        "rss_mb": scale.rss_mb,
        "log_mb": scale.log_mb,
        "first_report_ms": scale.first_report_ms,
    }))
}

/// Answers everybody at once, on as many addresses.
fn answering() -> Result<(Vec<SocketAddr>, Arc<AtomicU64>), Failure> {
    let asked = Arc::new(AtomicU64::new(0));
    let mut addresses = Vec::new();
    for last in 1..=ADDRESSES {
        let listener = TcpListener::bind((std::net::Ipv4Addr::new(127, 0, 1, last), 0))?;
        addresses.push(listener.local_addr()?);
        let asked = Arc::clone(&asked);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = [0; 1_024];
                if stream.read(&mut request).is_ok() {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    Ok((addresses, asked))
}

/// Takes connections, and says nothing on them for as long as anybody waits.
fn hanging() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.2.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        let mut open: VecDeque<(Instant, TcpStream)> = VecDeque::new();
        for stream in listener.incoming().map_while(Result::ok) {
            while open.front().is_some_and(|(since, _)| since.elapsed() > Duration::from_secs(15)) {
                open.pop_front();
            }
            open.push_back((Instant::now(), stream));
        }
    });
    Ok(address)
}

fn check(name: String, address: SocketAddr, interval: Duration) -> Result<Check, Failure> {
    Ok(Check { interval, ..Check::new(name, Target::new(&format!("http://{address}/health"))?) })
}

fn options(checks: Vec<Check>) -> Result<UptimeOptions, Failure> {
    let options: UptimeOptions = serde_json::from_value(json!({ "allow": ["loopback"] }))?;
    Ok(UptimeOptions { checks, ..options })
}

/// Probes a second of one exporter that has more to do than it can, and microseconds of its thread for each.
fn speed(seconds: u64) -> Result<(f64, f64), Failure> {
    let shared = Shared::new()?;
    let (addresses, asked) = answering()?;
    let second = Duration::from_secs(1);
    let checks = (0..CHECKS).map(|i| check(format!("check-{i}"), addresses[i % addresses.len()], second));
    let uptime = Some(options(checks.collect::<Result<_, _>>()?)?);
    let sentinel = Sentinel::builder().build()?;
    let exporter = Exporter::new(&sentinel, Config { uptime, ..shared.config(Config::default().every) })?;
    exporter.start();
    thread::sleep(3 * second);
    let (start, before, cpu) = (Instant::now(), asked.load(Ordering::Relaxed), exporter_cpu()?);
    thread::sleep(Duration::from_secs(seconds));
    let count = (asked.load(Ordering::Relaxed) - before) as f64;
    let (took, cpu) = (start.elapsed().as_secs_f64(), exporter_cpu()?.saturating_sub(cpu).as_secs_f64());
    exporter.close(Duration::from_secs(5));
    Ok((count / took, cpu * 1e6 / count))
}

struct Scale {
    /// Median, 99 of 100, and the worst.
    lag_ms: (f64, f64, f64),
    lags: usize,
    missed: u64,
    down: usize,
    rss_mb: f64,
    log_mb: f64,
    first_report_ms: f64,
}

/// Ten thousand checks for some minutes, after the first in which everything is confirmed.
fn scale(minutes: u64) -> Result<Scale, Failure> {
    let shared = Shared::new()?;
    let ((addresses, _), silent) = (answering()?, hanging()?);
    let interval = Duration::from_millis(INTERVAL_MS);
    let address = |i: usize| if i < HANGING { silent } else { addresses[i % addresses.len()] };
    let checks = (0..CHECKS).map(|i| check(format!("check-{i}"), address(i), interval));
    let checks = checks.collect::<Result<Vec<_>, _>>()?;
    // Those that answer are those with a past.
    fill(&shared, &checks[CHECKS - REMEMBERED..])?;
    let dead = TcpListener::bind("127.0.0.1:0")?;
    let sink =
        |name: &str, port: u16| json!({ "type": "webhook", "name": name, "url": format!("http://127.0.0.1:{port}/") });
    let alerts: AlertOptions = serde_json::from_value(json!({
        "grouping": { "first": 0, "then": 0 },
        "sinks": [sink("gone", 1), sink("silent", dead.local_addr()?.port())],
    }))?;
    let config =
        Config { uptime: Some(options(checks)?), alerts: Some(alerts), ..shared.config(Config::default().every) };
    let sentinel = Sentinel::builder().build()?;
    let exporter = Exporter::new(&sentinel, config)?;
    exporter.start();
    thread::sleep(Duration::from_secs(90));
    let mut lags = Vec::new();
    for _ in 0..minutes {
        thread::sleep(interval);
        lags.extend(lags_of(&sentinel)?);
    }
    let rss_mb = rss_mb()?;
    let start = Instant::now();
    let report = sentinel.uptime()?.ok_or("no checks")?;
    let first_report_ms = start.elapsed().as_secs_f64() * 1e3;
    let known = report.checks.iter().filter(|check| check.windows[3].coverage.is_some_and(|part| part > 0.9)).count();
    if known < REMEMBERED {
        return Err(format!("{known} of {REMEMBERED} checks have a past").into());
    }
    exporter.close(Duration::from_secs(5));
    lags.sort_by(f64::total_cmp);
    let at = |share: f64| lags.get(((lags.len() - 1) as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    Ok(Scale {
        lag_ms: (at(0.5), at(0.99), at(1.0)),
        lags: lags.len(),
        missed: report.checks.iter().map(|check| check.missed).sum(),
        down: report.counts.down,
        rss_mb,
        log_mb: shared.bytes()? as f64 / 1e6,
        first_report_ms,
    })
}

/// Delay of the last probe of each check that is up. Checks that are down are left out: they are confirmed off their schedule.
fn lags_of(sentinel: &Sentinel) -> Result<Vec<f64>, Failure> {
    let report = sentinel.uptime()?.ok_or("no checks")?;
    let up = report.checks.iter().filter(|check| check.status == Status::Up);
    let lag = |name: &str, at_ms: i64| {
        let phase = Schedule::new(name, INTERVAL_MS).phase_ms() as i64;
        (at_ms - phase).rem_euclid(INTERVAL_MS as i64) as f64
    };
    let lags: Vec<f64> = up.filter_map(|check| Some(lag(&check.name, check.last?.at_ms))).collect();
    if lags.len() < CHECKS - HANGING {
        let others = report.checks.iter().filter(|check| check.status != Status::Up);
        let mut why = BTreeMap::new();
        for check in others {
            let last = check.last.map(|last| (last.outcome, last.cause));
            *why.entry(format!("{:?} {last:?} {}", check.status, check.confirmed)).or_insert(0) += 1;
        }
        eprintln!("bench: {} checks are up; the others: {why:?}", lags.len());
    }
    Ok(lags)
}

/// Writes 90 days of these checks, one at a time, as the exporter's log has them: see `sentinel-exporter/src/uptime/result_log.rs`.
fn fill(shared: &Shared, checks: &[Check]) -> Result<(), Failure> {
    let dir = shared.service()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let mut parts: Vec<(Vec<u8>, u32)> = vec![(b"SNTL\x01\0\0\0".to_vec(), 0); 16];
    for (seed, check) in checks.iter().enumerate() {
        let mut uptime = Uptime::default();
        let begin = now - DAYS * 86_400_000;
        let _ = uptime.configure(Checks::new(vec![check.clone()])?, begin);
        let mut at = begin;
        while at < now - 60_000 {
            // Every five minutes, and every minute of the last day; down for a while in one hour of nine.
            let step = if now - at < 86_400_000 { 60_000 } else { 300_000 };
            let hour = at / 3_600_000 + seed as i64;
            let down = hour % 9 == 0 && at % 3_600_000 < 60_000 * (hour % 50);
            let up = CheckResult {
                latency_us: Some(8_000 + (at % 9_973) as u32),
                status: Some(200),
                ..CheckResult::up(at, step as u32)
            };
            let found =
                if down { CheckResult { outcome: Outcome::Down, cause: Some(Cause::Timeout), ..up } } else { up };
            uptime.replay(&check.name, found);
            at += step;
        }
        let bytes = uptime.encode(&check.name).ok_or("no history")?;
        let (part, number) = &mut parts[crc32fast::hash(check.name.as_bytes()) as usize % 16];
        let mut payload = vec![0, check.name.len() as u8];
        payload.extend_from_slice(check.name.as_bytes());
        payload.push(2);
        payload.extend_from_slice(&number.to_le_bytes());
        payload.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        payload.extend_from_slice(&bytes);
        *number += 1;
        let length = (payload.len() as u32).to_le_bytes();
        let mut hash = crc32fast::Hasher::new();
        hash.update(&length);
        hash.update(&payload);
        part.extend_from_slice(&length);
        part.extend_from_slice(&hash.finalize().to_le_bytes());
        part.extend_from_slice(&payload);
    }
    for (number, (part, _)) in parts.iter().enumerate() {
        std::fs::write(dir.join(format!("uptime-{number:02}.log")), part)?;
    }
    Ok(())
}

/// CPU time of the exporter's thread.
fn exporter_cpu() -> Result<Duration, Failure> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        if std::fs::read_to_string(path.join("comm"))?.starts_with("sentinel-expor") {
            let stat = std::fs::read_to_string(path.join("stat"))?;
            // After the name: state is the first, user and system time the 12th and 13th, in hundredths of a second.
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
            return Ok(Duration::from_millis(ticks * 10));
        }
    }
    Err("no exporter".into())
}

fn rss_mb() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1e3)
}
