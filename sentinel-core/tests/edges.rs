//! Edges between parts of the core: what a coarse histogram says of another line, what a histogram that finds no memory says, and
//! that everything which comes also goes.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use sentinel_core::{Block, Builder, By, Clock, Event, Latency, Query, Sentinel};
use std::time::Duration;

const START: i64 = 1_700_000_400_000;
const SLOT_MS: i64 = 10_000;
const MIB: usize = 1 << 20;

fn request(sentinel: &Sentinel, tenant: &str, us: u64, at: i64) {
    let latency = Latency::from(Duration::from_micros(us));
    sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/v1", status: 200, latency, at: Some(at) });
}

fn built(clock: &Clock, with: impl FnOnce(Builder) -> Builder) -> Sentinel {
    with(Sentinel::builder().stripes(1).clock(clock.clone())).build().unwrap()
}

/// Coarse histograms name two buckets by the first: a line between the two must not lose the second.
#[test]
fn slow_requests_of_coarse_blocks_keep_their_bounds() {
    let clock = Clock::manual(START);
    // The writer's memory is short, and its line is another one.
    let writer = built(&clock, |builder| builder.budget(4 * MIB).slow_after(Duration::from_secs(2)));
    let (mut id, mut real) = (0_u64, 0);
    for slot in 0..40 {
        let now = START + slot * SLOT_MS;
        writer.tick(now);
        for _ in 0..2_000 {
            id += 1;
            request(&writer, &format!("{id:0>24x}"), 1_000, now);
        }
        // Slower than 100 ms, rounded up to the end of its bucket, which is 102.4 ms.
        (0..10).for_each(|_| request(&writer, "acme", 104_000, now));
        real += 10;
    }
    assert!(writer.stats().blocks_coarsened > 0);
    let reader = built(&clock, |builder| builder.slow_after(Duration::from_millis(100)));
    for block in writer.blocks() {
        reader.merge(Block::decode(&block.encode()).unwrap()).unwrap();
    }
    let row = reader.tenant(b"acme", None).unwrap().row;
    assert!(row.requests <= real && real <= row.requests + row.bound.requests);
    assert!(
        row.slow <= real && real <= row.slow + row.bound.slow,
        "{real} are slow: {} + {}",
        row.slow,
        row.bound.slow
    );
}

/// When a histogram finds no further page, what it has counted so far is still there, and what is lost is said.
#[test]
fn a_histogram_without_memory_keeps_what_it_has() {
    let clock = Clock::manual(START);
    let sentinel = built(&clock, |builder| builder.budget(4 * MIB).max_endpoints(4_000));
    // Eight buckets each and eight hundred requests; others with nine, so that some pages are taken and some are left.
    for i in 0..800 {
        (0..40).for_each(|tenant| request(&sentinel, &format!("t{tenant}"), 1_000 << (i % 8), START));
    }
    for i in 0..9 {
        (0..40).for_each(|tenant| request(&sentinel, &format!("other{tenant}"), 100 << i, START));
    }
    // Late tables with many endpoints take all the memory of the tables.
    for endpoint in 0..1_500 {
        let endpoint = format!("/e{endpoint}");
        sentinel.record(Event { tenant: b"acme", endpoint: &endpoint, at: Some(START - SLOT_MS), ..Event::default() });
    }
    for slot in 2..20 {
        let at = Some(START - slot * SLOT_MS);
        sentinel.record(Event { tenant: b"acme", endpoint: "/e1499", at, ..Event::default() });
    }
    // The ninth.
    let before = sentinel.stats().adjusted.latency_unplaced;
    (0..40).for_each(|tenant| request(&sentinel, &format!("t{tenant}"), 3_000_000, START));
    let said = sentinel.stats().adjusted.latency_unplaced - before;
    assert!(said > 0, "there was memory: this says nothing");
    for tenant in 0..40 {
        let row = sentinel.tenant(format!("t{tenant}").as_bytes(), None).unwrap().row;
        let (p50, p95) = (row.p50_ms.unwrap_or(0.0), row.p95_ms.unwrap_or(0.0));
        // Half of 800 is the last of 8 ms; with the ninth, where that found memory, the first of 16.
        let right = ((p50 - 8.0).abs() < 0.26 || (p50 - 16.0).abs() < 0.52) && (p95 - 128.0).abs() < 4.1;
        assert!(
            right,
            "t{tenant}: one of 801 requests found no memory ({said} of 40), p50 is {p50} for 8, p95 {p95} for 128"
        );
    }
}

/// Ids come and go in every way; what they took is given back.
#[test]
fn everything_that_comes_goes() {
    let clock = Clock::manual(START);
    let here = built(&clock, |builder| builder.places(64).window(Duration::from_mins(2)));
    let (mut used, mut start) = (Vec::new(), START);
    for cycle in 0..12 {
        let there = built(&clock, |builder| builder.window(Duration::from_mins(2)));
        for slot in 0..10 {
            let now = start + slot * SLOT_MS;
            for i in 0..300 {
                request(&here, &format!("{cycle}-{slot}-{i}"), 1_000 + i, now + i as i64);
                request(&here, &format!("{cycle}-{i}"), 1_000 + i, now - 40_000);
                request(&there, &format!("{cycle}-there-{i}"), 1_000, now);
                if i % 100 == 50 {
                    clock_moves(&clock, now + i as i64);
                    // Older and newer snapshots, the newest twice, and in any order.
                    let mut blocks = there.blocks();
                    blocks.reverse();
                    blocks.extend(there.blocks());
                    blocks.into_iter().for_each(|block| here.merge(block).unwrap());
                    let mut flight = here.start();
                    flight.tenant(format!("{cycle}-flight-{slot}").as_bytes());
                    drop(here.report(Query { by: By::Load, ..Query::default() }));
                    drop(here.tenant(b"nobody", None));
                    flight.finish("/v1", 200);
                }
            }
        }
        // Longer than any memory of the judges: a slot at a time, so that nothing is skipped.
        start += 10 * SLOT_MS;
        for _ in 0..200 {
            start += SLOT_MS;
            here.tick(start);
        }
        assert_eq!(here.report(Query::default()).totals.requests, 0);
        used.push(here.memory().used);
    }
    let (first, last) = (used[2..8].iter().max().unwrap(), used[8..].iter().max().unwrap());
    assert!(*last <= first + first / 5, "{used:?}");
}

/// Another sentinel that moves the time.
fn clock_moves(clock: &Clock, now: i64) {
    built(clock, |builder| builder).tick(now);
}
