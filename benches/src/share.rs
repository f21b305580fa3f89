//! `share`: what it costs to publish, the answer for a host of sixteen workers, and what an exporter that is busy costs the requests.

use crate::Failure;
use crate::timing::median;
use crate::view::{Made, events, record_for};
use sentinel_core::{Clock, Event, Latency, Published, Query, Scope, Sentinel};
use sentinel_exporter::rollup::{Directory, Place, Publication, RollupStore, Slot};
use sentinel_exporter::{AlertOptions, Config, Exporter};
use serde_json::{Value, json};
use std::hint::black_box;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const WORKERS: usize = 16;
const TENANTS: usize = 512;
const SLOTS: i64 = 60;
const SLOT_MS: i64 = 10_000;
const START_MS: i64 = 1_700_000_000_000;

/// A private directory in memory that goes when it is done.
pub(crate) struct Shared(PathBuf);

impl Shared {
    pub(crate) fn new() -> Result<Self, Failure> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let path = parent.join(format!("sentinel-bench-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn config(&self, every: Duration) -> Config {
        Config { service: Some("bench".into()), dir: Some(self.0.clone()), every, ..Config::default() }
    }

    /// The service's own directory, made.
    pub(crate) fn service(&self) -> Result<PathBuf, Failure> {
        let path = self.0.join("bench");
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }

    /// Bytes of logs in there.
    pub(crate) fn bytes(&self) -> Result<u64, Failure> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(self.0.join("bench"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "log") {
                bytes += path.metadata()?.len();
            }
        }
        Ok(bytes)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Answers, and seconds with a busy exporter and without.
pub(crate) fn run(rounds: usize, seconds: usize) -> Result<Value, Failure> {
    let (publish, answer, cold) = host(rounds)?;
    let beside = beside_exporter(seconds, false)?;
    let alerting = beside_exporter(seconds, true)?;
    Ok(json!({
        "publish_ms": median(&publish),
        "publish_worst_ms": publish.iter().copied().fold(0.0, f64::max),
        "answer_ms": median(&answer),
        "answer_worst_ms": answer.iter().copied().fold(0.0, f64::max),
        "first_answer_ms": cold,
        "record_ns": beside.record_ns.0,
        "record_beside_exporter_ns": beside.record_ns.1,
        "exporter_percent": beside.percent(),
        "longest_us": beside.longest_us.0,
        "longest_beside_exporter_us": beside.longest_us.1,
        "record_beside_dead_sinks_ns": alerting.record_ns.1,
        "dead_sinks_percent": alerting.percent(),
        "longest_without_us": alerting.longest_us.0,
        "longest_beside_dead_sinks_us": alerting.longest_us.1,
    }))
}

/// One request of each tenant, with an error now and then.
fn requests(sentinel: &Sentinel, ids: &[String], salt: usize) {
    for (i, id) in ids.iter().enumerate() {
        let status = if (i + salt).is_multiple_of(97) { 500 } else { 200 };
        let latency = Latency::from_millis(5.0 + ((i * 7 + salt) % 40) as f64);
        let endpoint = ["/v1/process", "/v1/users/{id}"][(i + salt) % 2];
        sentinel.record(Event { tenant: id.as_bytes(), endpoint, status, latency, at: None });
    }
}

/// Milliseconds of publishing one change, of the answer for all when all have changed, and of the very first answer.
fn host(rounds: usize) -> Result<(Vec<f64>, Vec<f64>, f64), Failure> {
    let shared = Shared::new()?;
    let ids: Vec<String> = (0..TENANTS).map(|i| format!("tenant-{i:027}")).collect();
    let clock = Clock::manual(START_MS);
    let worker = || Sentinel::builder().stripes(1).clock(clock.clone()).build();
    let workers = (0..WORKERS).map(|_| worker()).collect::<Result<Vec<_>, _>>()?;
    for slot in 0..=SLOTS {
        for (i, worker) in workers.iter().enumerate() {
            requests(worker, &ids, i + slot as usize);
            worker.tick(START_MS + (slot + 1) * SLOT_MS - 5_000);
        }
        if slot < SLOTS {
            workers[0].tick(START_MS + (slot + 1) * SLOT_MS);
        }
    }
    // The others only publish; the last one answers.
    let (answering, others) = workers.split_last().ok_or("no workers")?;
    let mut stores = Vec::new();
    for worker in others {
        let mut store = Directory::new(Place::new(Some(&shared.0), "bench")?);
        let mut published = Published::default();
        publish(worker, &mut store, &mut published)?;
        stores.push((store, published));
    }
    // Its own beat stays out of the way.
    let exporter = Exporter::new(answering, shared.config(Duration::from_mins(1)))?;
    let start = Instant::now();
    while answering.report(Query::default()).scope != Scope::Host {
        if start.elapsed() > Duration::from_secs(10) {
            return Err(format!("no answer for the host: {:?}", answering.sharing()).into());
        }
    }
    let cold = start.elapsed().as_secs_f64() * 1e3;
    let (mut publishing, mut answers) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for (worker, (store, published)) in others.iter().zip(&mut stores) {
            requests(worker, &ids, round);
            publishing.push(publish(worker, store, published)?);
        }
        requests(answering, &ids, round);
        let start = Instant::now();
        let report = black_box(answering.report(Query::default()));
        answers.push(start.elapsed().as_secs_f64() * 1e3);
        let expected = WORKERS as u64 * TENANTS as u64 * (SLOTS as u64 + 2 + round as u64);
        if (report.scope, report.totals.requests) != (Scope::Host, expected) {
            return Err(format!("{} of {expected} requests, {:?}", report.totals.requests, report.scope_note).into());
        }
    }
    exporter.close(Duration::from_secs(5));
    Ok((publishing, answers, cold))
}

/// Milliseconds of one publication: what changed, encoded and written.
fn publish(worker: &Sentinel, store: &mut Directory, published: &mut Published) -> Result<f64, Failure> {
    let start = Instant::now();
    let blocks = worker.rollup(published, TENANTS);
    let encoded: Vec<Vec<u8>> = blocks.iter().map(sentinel_core::Block::encode).collect();
    let slots: Vec<Slot<'_>> = blocks
        .iter()
        .zip(&encoded)
        .map(|(block, bytes)| Slot { from_ms: block.from_ms(), to_ms: block.to_ms(), bytes })
        .collect();
    let live = worker.live(TENANTS).encode();
    let publication = Publication { source: worker.source(), slots: &slots, live: &live, oldest_ms: START_MS };
    let _ = store.publish(&publication)?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// Without a busy exporter, and with one.
struct Beside {
    record_ns: (Option<f64>, Option<f64>),
    longest_us: (Option<f64>, Option<f64>),
}

impl Beside {
    fn percent(&self) -> Option<f64> {
        self.record_ns.0.zip(self.record_ns.1).map(|(one, other)| (other / one - 1.0) * 100.0)
    }
}

/// Every tenant with an error fires and is told at once, to who is not there and to who takes a connection and says nothing.
fn dead_sinks() -> Result<(AlertOptions, TcpListener), Failure> {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let sink =
        |name: &str, port: u16| json!({ "type": "webhook", "name": name, "url": format!("http://127.0.0.1:{port}/") });
    let options = serde_json::from_value(json!({
        "tenant_errors": { "at_least": 1, "for": 0, "keep_firing_for": 0 },
        "grouping": { "first": 0, "then": 0 },
        "sinks": [sink("gone", 1), sink("silent", silent.local_addr()?.port())],
    }))?;
    Ok((options, silent))
}

/// Nanoseconds a request, and the longest of single calls, by turns without sharing and with an exporter that publishes as it does by
/// default, is asked once a second, and has fifteen others to read; with alerts that nobody takes as well, if `alerting`.
fn beside_exporter(seconds: usize, alerting: bool) -> Result<Beside, Failure> {
    let shared = Shared::new()?;
    let events = events()?;
    // Both ticked, as who shares is: what is compared is the sharing.
    let (alone, sharing) = (Sentinel::builder().build()?, Sentinel::builder().build()?);
    let (dead, _silent) = dead_sinks()?;
    let config = Config { alerts: alerting.then_some(dead), ..shared.config(Config::default().every) };
    let ticking = Exporter::new(&alone, Config::default())?;
    let exporter = Exporter::new(&sharing, config.clone())?;
    let others = (1..WORKERS).map(|_| Sentinel::builder().build()).collect::<Result<Vec<_>, _>>()?;
    let exporters = others.iter().map(|other| Exporter::new(other, config.clone())).collect::<Result<Vec<_>, _>>()?;
    for other in &others {
        for Made { tenant, endpoint, status, latency } in events.iter().take(20_000) {
            other.record(Event { tenant, endpoint, status: *status, latency: *latency, at: None });
        }
    }
    for sentinel in [&alone, &sharing] {
        record_for(Duration::from_secs(1), sentinel, &events);
    }
    let (mut without, mut with, mut longest) = (Vec::new(), Vec::new(), (Vec::new(), Vec::new()));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                black_box(sharing.report(Query::default()));
                thread::sleep(Duration::from_secs(1));
            }
        });
        for _ in 0..seconds {
            without.push(record_for(Duration::from_secs(1), &alone, &events));
            with.push(record_for(Duration::from_secs(1), &sharing, &events));
            longest.0.push(longest_call(Duration::from_secs(1), &alone, &events));
            longest.1.push(longest_call(Duration::from_secs(1), &sharing, &events));
        }
        over.store(true, Ordering::Relaxed);
    });
    drop((ticking, exporter, exporters));
    Ok(Beside { record_ns: (median(&without), median(&with)), longest_us: (median(&longest.0), median(&longest.1)) })
}

/// Microseconds of the longest call.
fn longest_call(time: Duration, sentinel: &Sentinel, events: &[Made]) -> f64 {
    let clock = quanta::Clock::new();
    let (start, mut longest) = (Instant::now(), Duration::ZERO);
    'over: loop {
        for chunk in events.chunks(1_000) {
            for Made { tenant, endpoint, status, latency } in chunk {
                let before = clock.raw();
                sentinel.record(Event { tenant, endpoint, status: *status, latency: *latency, at: None });
                longest = longest.max(clock.delta(before, clock.raw()));
            }
            if start.elapsed() >= time {
                break 'over;
            }
        }
    }
    longest.as_secs_f64() * 1e6
}
