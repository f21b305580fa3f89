//! `query`: how long a report takes when nothing new has closed, and right after a slot has ended.

use crate::Failure;
use crate::service::{Service, WINDOW_SLOTS};
use crate::stream::SLOT_MS;
use crate::timing::median;
use sentinel_core::{By, Query, Sentinel};
use serde_json::{Map, Value, json};
use std::hint::black_box;
use std::time::Instant;

/// Requests between two warm reports.
const BETWEEN: usize = 300;

/// Fills the window with Zipf traffic of so many tenants and asks.
pub(crate) fn run(tenants: u64, warm: usize, rotations: usize) -> Result<Value, Failure> {
    let mut service = Service::new(tenants)?;
    service.seconds((WINDOW_SLOTS * SLOT_MS / 1_000) as usize + 15);
    let distinct = service.distinct();
    let (mut warm_by, mut after_by) = (Map::new(), Map::new());
    let (mut all_warm, mut all_after, mut medians) = (Vec::new(), Vec::new(), [0.0_f64; 2]);
    for by in By::ALL {
        ask(&service.sentinel, by);
        let times: Vec<f64> = (0..warm).map(|_| again(&mut service, by)).collect();
        let middle = median(&times).unwrap_or_default();
        medians[0] = medians[0].max(middle);
        warm_by.insert(by.to_string(), middle.into());
        all_warm.extend(times);
    }
    for by in By::ALL {
        let times: Vec<f64> = (0..rotations).map(|_| after_rotation(&mut service, by)).collect();
        let middle = median(&times).unwrap_or_default();
        medians[1] = medians[1].max(middle);
        after_by.insert(by.to_string(), middle.into());
        all_after.extend(times);
    }
    let ticks: Vec<f64> = (0..20).map(|_| tick(&mut service)).collect();
    let worst = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
    Ok(json!({
        "distinct": distinct,
        "warm_ms": medians[0],
        "warm_worst_ms": worst(&all_warm),
        "after_rotation_ms": medians[1],
        "after_rotation_worst_ms": worst(&all_after),
        "warm_by_ms": warm_by,
        "after_rotation_by_ms": after_by,
        "tick_ms": median(&ticks),
        "tick_worst_ms": worst(&ticks),
    }))
}

/// A report's time, ms.
fn ask(sentinel: &Sentinel, by: By) -> f64 {
    let start = Instant::now();
    black_box(sentinel.report(Query { by, limit: 10, ..Query::default() }));
    start.elapsed().as_secs_f64() * 1e3
}

/// Some requests came in between, and no second has passed.
fn again(service: &mut Service, by: By) -> f64 {
    service.requests(BETWEEN);
    ask(&service.sentinel, by)
}

/// A slot has just ended; whoever ticks has not come yet, and some requests opened the next one.
fn after_rotation(service: &mut Service, by: By) -> f64 {
    let to_end = (SLOT_MS - service.now_ms % SLOT_MS) / 1_000;
    service.seconds(to_end as usize - 1);
    service.second();
    service.requests(BETWEEN);
    let time = ask(&service.sentinel, by);
    service.sentinel.tick(service.now_ms);
    time
}

/// Time that the owner of the timer waits for a tick, ms.
fn tick(service: &mut Service) -> f64 {
    service.second();
    let start = Instant::now();
    service.sentinel.tick(service.now_ms);
    start.elapsed().as_secs_f64() * 1e3
}
