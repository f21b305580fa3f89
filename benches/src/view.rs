//! `view`: the admin view of a service with ten thousand tenants, and what fifty people who look at it at once cost its requests.

use crate::Failure;
use crate::service::{Service, WINDOW_SLOTS};
use crate::stream::{Maker, SLOT_MS, Tenants};
use crate::timing::median;
use rustix::time::{ClockId, clock_gettime};
use sentinel_core::admin::{Admin, Request, Response};
use sentinel_core::{Event, Sentinel};
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const TENANTS: u64 = 10_000;
const POLLERS: u32 = 50;
/// Requests between two answers.
const BETWEEN: usize = 300;
/// The view keeps an answer for that long when it is asked often.
const SHELF: Duration = Duration::from_millis(300);

/// Answers, and seconds with pollers and without.
pub(crate) fn run(warm: usize, seconds: usize) -> Result<Value, Failure> {
    let mut service = Service::new(TENANTS)?;
    service.seconds((WINDOW_SLOTS * SLOT_MS / 1_000) as usize + 15);
    let admin = service.sentinel.admin().public();
    report(&admin)?;
    let mut times = Vec::new();
    for _ in 0..warm {
        service.requests(BETWEEN);
        thread::sleep(SHELF);
        let start = Instant::now();
        report(&admin)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let bytes = report(&admin)?.body.len();
    let (without, with) = beside_pollers(seconds)?;
    Ok(json!({
        "report_ms": median(&times),
        "report_worst_ms": times.iter().copied().fold(0.0, f64::max),
        "report_bytes": bytes,
        "record_ns": without,
        "record_beside_pollers_ns": with,
        "pollers_percent": without.zip(with).map(|(without, with)| (with / without - 1.0) * 100.0),
    }))
}

/// An answer that is not shelved.
fn report(admin: &Admin) -> Result<Response, Failure> {
    let response = admin.respond(&Request::get("/report", "by=errors&limit=10"));
    if response.status == 200 { Ok(response) } else { Err(format!("/report: {}", response.status).into()) }
}

/// CPU time of the recording thread alone for a request, by turns of a second without pollers and with.
fn beside_pollers(seconds: usize) -> Result<(Option<f64>, Option<f64>), Failure> {
    let sentinel = Sentinel::builder().build()?;
    let events = events()?;
    record_for(Duration::from_secs(1), &sentinel, &events);
    let admin = sentinel.admin().public();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..seconds {
        without.push(record_for(Duration::from_secs(1), &sentinel, &events));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for poller in 0..POLLERS {
                let (admin, over) = (&admin, &over);
                scope.spawn(move || {
                    // Spread over the second, as people are.
                    thread::sleep(Duration::from_secs(1) / POLLERS * poller);
                    while !over.load(Ordering::Relaxed) {
                        let _ = black_box(report(admin));
                        thread::sleep(Duration::from_secs(1));
                    }
                });
            }
            with.push(record_for(Duration::from_secs(1), &sentinel, &events));
            over.store(true, Ordering::Relaxed);
        });
    }
    Ok((median(&without), median(&with)))
}

/// Ids and endpoints that were made before.
pub(crate) struct Made {
    pub(crate) tenant: Vec<u8>,
    pub(crate) endpoint: String,
    pub(crate) status: u16,
    pub(crate) latency: sentinel_core::Latency,
}

pub(crate) fn events() -> Result<Vec<Made>, Failure> {
    let mut maker = Maker::new(Tenants::Zipf(TENANTS), 500_000)?;
    let made = |_| {
        let (_, sample) = maker.next();
        let event = sample.event(None);
        let (tenant, endpoint) = (event.tenant.to_vec(), event.endpoint.to_owned());
        Made { tenant, endpoint, status: event.status, latency: event.latency }
    };
    Ok((0..500_000).map(made).collect())
}

/// Nanoseconds of this thread a request.
pub(crate) fn record_for(time: Duration, sentinel: &Sentinel, events: &[Made]) -> f64 {
    let thread_time = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    let (start, from, mut count) = (Instant::now(), thread_time(), 0);
    'over: loop {
        for chunk in events.chunks(1_000) {
            for Made { tenant, endpoint, status, latency } in chunk {
                sentinel.record(Event { tenant, endpoint, status: *status, latency: *latency, at: None });
            }
            count += chunk.len();
            if start.elapsed() >= time {
                break 'over;
            }
        }
    }
    (thread_time() - from) / count as f64
}
