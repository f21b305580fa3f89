//! Single calls by criterion: `record` for a tenant that is known, and a report when nothing new has closed.
//!
//! `cargo bench --package sentinel-benches`. What is beside the peers, and every target, is in `make bench`.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sentinel_core::{By, Clock, Event, Latency, Query, Sentinel};
use std::hint::black_box;
use std::time::Duration;

const START_MS: i64 = 1_700_000_000_000;
const SLOTS: i64 = 60;

/// Sixteen hexadecimal digits.
fn id(tenant: u64) -> String {
    format!("{:016x}", (tenant + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn event(id: &str, n: u64, at: i64) -> Event<'_> {
    let latency = Latency::from(Duration::from_micros(5_000 + (n * 7_919) % 90_000));
    let status = if n.is_multiple_of(20) { 503 } else { 200 };
    Event { tenant: id.as_bytes(), endpoint: "/v1/payments/capture", status, latency, at: Some(at) }
}

/// A sentinel whose window has so many tenants in each slot, ten requests of each; `None` when it cannot be built.
fn filled(ids: &[String]) -> Option<Sentinel> {
    let sentinel = Sentinel::builder().clock(Clock::manual(START_MS)).build().ok()?;
    for slot in 0..SLOTS {
        let at = START_MS + slot * 10_000;
        sentinel.tick(at);
        for round in 0..10 {
            ids.iter().zip(round..).for_each(|(id, n)| sentinel.record(event(id, n, at)));
        }
    }
    sentinel.tick(START_MS + SLOTS * 10_000);
    Some(sentinel)
}

fn record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    for tenants in [1, 1_000, 10_000] {
        let ids: Vec<String> = (0..tenants).map(id).collect();
        let Ok(sentinel) = Sentinel::builder().clock(Clock::manual(START_MS)).build() else { return };
        ids.iter().for_each(|id| sentinel.record(event(id, 1, START_MS)));
        let mut n = 0;
        group.bench_function(BenchmarkId::new("known", tenants), |bencher| {
            bencher.iter(|| {
                n += 1;
                // A stride that meets all of them, in no order that a processor foresees.
                let id = &ids[(n * 7_919 % tenants) as usize];
                sentinel.record(black_box(event(id, n, START_MS)));
            });
        });
    }
    group.finish();
}

fn report(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("report");
    let ids: Vec<String> = (0..1_000).map(id).collect();
    let Some(sentinel) = filled(&ids) else { return };
    for by in By::ALL {
        group.bench_function(BenchmarkId::new("warm", by), |bencher| {
            bencher.iter(|| black_box(sentinel.report(Query { by, limit: 10, ..Query::default() })));
        });
    }
    group.finish();
}

criterion_group! {
    name = calls;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    targets = record, report
}
criterion_main!(calls);
