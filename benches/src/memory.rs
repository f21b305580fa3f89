//! `memory`: bytes by a counting allocator, the allocator of this very program.

use crate::Failure;
use crate::alloc::Count;
use crate::service::{RATE, Service, WINDOW_SLOTS};
use crate::stream::{Maker, Mix, SLOT_MS, START_MS, Sample, Tenants};
use rand::RngCore;
use sentinel_core::{By, Clock, Query, Sentinel};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::hint::black_box;

/// The default budget.
const BUDGET: i64 = 64 << 20;
const MB: f64 = 1e6;

/// Ten minutes and two more of traffic, a tick each second and a report each slot.
pub(crate) fn traffic(tenants: u64) -> Result<Value, Failure> {
    let (mut service, count) = Service::counted(tenants)?;
    let (mut held, mut after_report) = (0, 0);
    for second in 1..=(WINDOW_SLOTS * SLOT_MS / 1_000) as usize + 120 {
        service.seconds(1);
        held = held.max(count.live());
        if second % 10 == 0 {
            black_box(service.sentinel.report(Query::default()));
            after_report = count.live();
            held = held.max(after_report);
        }
    }
    Ok(json!({
        "tenants": tenants,
        "distinct": service.distinct(),
        "peak_mb": count.peak() as f64 / MB,
        "held_mb": held as f64 / MB,
        "end_mb": after_report as f64 / MB,
        "rss_mb": resident("VmHWM"),
    }))
}

/// A sentinel that nobody uses, and one that has seen one request.
pub(crate) fn idle() -> Result<Value, Failure> {
    let count = Count::begin();
    let sentinel = Sentinel::builder().clock(Clock::manual(START_MS)).build()?;
    let built = count.live();
    sentinel.record(Sample::new(1, START_MS, 0, 20_000, true).event(None));
    let recorded = count.live();
    black_box(sentinel.report(Query::default()));
    let reported = count.live();
    Ok(json!({
        "built_mb": built as f64 / MB,
        "one_event_mb": recorded as f64 / MB,
        "one_report_mb": reported as f64 / MB,
    }))
}

/// Allocations of records for tenants that are known, within a slot.
pub(crate) fn known() -> Result<Value, Failure> {
    const EVENTS: usize = 400_000;
    let samples = Maker::stream(Tenants::Zipf(1_000), EVENTS)?;
    let sentinel = Sentinel::builder().clock(Clock::manual(START_MS)).build()?;
    // Twice: the first round meets every tenant, endpoint and latency.
    samples.iter().for_each(|sample| sentinel.record(sample.event(Some(START_MS))));
    let count = Count::begin();
    samples.iter().for_each(|sample| sentinel.record(sample.event(Some(START_MS))));
    Ok(json!({ "records": EVENTS, "allocations": count.calls() }))
}

/// Tenants that fail steadily in the flood, and what each does: an error every three seconds, a success in the others.
const PLANTED: u64 = 50;
/// Beyond the numbers of the flood.
const FIRST_PLANTED: u64 = 1 << 40;

/// A flood of ids that come once, one in twenty of them failing, and fifty tenants in it that fail steadily.
pub(crate) fn flood(events: usize) -> Result<Value, Failure> {
    let planted: HashSet<String> =
        (0..PLANTED).map(|k| Sample::new(FIRST_PLANTED + k, 0, 0, 0, true).tenant().to_owned()).collect();
    let count = Count::begin();
    let sentinel = Sentinel::builder().clock(Clock::manual(START_MS)).build()?;
    let mut rng = Mix::new(1);
    let mut now_ms = START_MS;
    let mut next_id = 0_u64;
    let seconds = events.div_ceil(RATE);
    for second in 0..seconds {
        for k in 0..PLANTED {
            // In the last five minutes: who always fails is normal after a while, and would rank behind the flood.
            let failed = second + 300 >= seconds && (second as u64 + k).is_multiple_of(3);
            let sample = Sample::new(FIRST_PLANTED + k, now_ms, k as usize, 20_000, failed);
            sentinel.record(sample.event(Some(now_ms)));
        }
        for _ in 0..RATE {
            let bits = rng.next_u64();
            let latency_us = 5_000 + (bits >> 32) as u32 % 60_000;
            let failed = (bits >> 8).is_multiple_of(20);
            sentinel.record(Sample::new(next_id, now_ms, bits as usize, latency_us, failed).event(Some(now_ms)));
            next_id += 1;
        }
        now_ms += 1_000;
        sentinel.tick(now_ms);
    }
    let peak = count.peak();
    Ok(json!({
        "ids": next_id,
        "planted": planted.len(),
        "named": named(&sentinel, &planted),
        "budget_mb": BUDGET as f64 / MB,
        "peak_mb": peak as f64 / MB,
        "peak_of_budget": peak as f64 / BUDGET as f64,
        "end_mb": count.live() as f64 / MB,
        "rss_mb": resident("VmHWM"),
    }))
}

/// Planted tenants among the first fifty by errors.
fn named(sentinel: &Sentinel, planted: &HashSet<String>) -> usize {
    let report = sentinel.report(Query { by: By::Errors, limit: planted.len(), ..Query::default() });
    report.tenants.iter().filter(|row| planted.contains(&row.tenant_id)).count()
}

/// A line of this process's status, MB; where the system has none, `None`.
fn resident(line: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'))?;
    value.trim().trim_end_matches(" kB").parse::<f64>().ok().map(|kb| kb * 1024.0 / MB)
}
