//! What long silences, other processes and panics may not do to a sentinel.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use sentinel_core::{Block, Clock, Event, Kind, MergeError, Query, Sentinel};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::time::Duration;

const START: i64 = 1_700_000_000_000;
const SLOT: i64 = 10_000;
const YEAR: i64 = 365 * 86_400_000;

fn at(now_ms: i64) -> Sentinel {
    Sentinel::builder().clock(Clock::manual(now_ms)).stripes(1).build().unwrap()
}

fn small(now_ms: i64) -> Sentinel {
    Sentinel::builder().clock(Clock::manual(now_ms)).stripes(1).budget(4 << 20).build().unwrap()
}

fn request(sentinel: &Sentinel, tenant: &str, endpoint: &str) {
    sentinel.record(Event { tenant: tenant.as_bytes(), endpoint, ..Event::default() });
}

/// A block of another process, whose slot is open at `now_ms`.
fn foreign(now_ms: i64, tenants: usize, endpoints: usize) -> Block {
    let there = at(now_ms);
    for i in 0..tenants.max(endpoints) {
        request(&there, &format!("tenant-{}", i % tenants), &format!("/endpoint/{}", i % endpoints));
    }
    there.blocks().remove(0)
}

#[test]
fn a_sentinel_may_cross_a_caught_panic() {
    fn check<T: Send + Sync + UnwindSafe + RefUnwindSafe>(_: &T) {}
    let sentinel = at(START);
    check(&sentinel);
    let handler = catch_unwind(AssertUnwindSafe(|| {
        let mut request = sentinel.start();
        request.tenant(b"acme");
        request.endpoint("/v1/process");
        panic!("a handler");
    }));
    assert!(handler.is_err());
    let report = sentinel.report(Query::default());
    // The server's error, not a client that went away.
    assert_eq!((report.totals.errors, report.totals.aborted), (1, 0));
    assert_eq!(report.tenants[0].top_endpoint.as_ref().unwrap().endpoint, "/v1/process");
}

/// Ten years of nothing are skipped, also when the first thing after them is another process's block.
#[test]
fn a_long_silence_costs_nothing() {
    for wakes_by_merge in [false, true] {
        let sentinel = at(START);
        (0..200).for_each(|i| request(&sentinel, &format!("tenant-{i}"), "/"));
        sentinel.tick(START + SLOT);
        let later = START + 10 * YEAR;
        sentinel.tick(later - 1);
        if wakes_by_merge {
            let there = at(later);
            request(&there, "acme", "/");
            sentinel.merge(there.blocks().remove(0)).unwrap();
        }
        sentinel.tick(later + 5 * SLOT);
        let report = sentinel.report(Query::default());
        assert_eq!((report.totals.requests, report.stats.expired), (u64::from(wakes_by_merge), 200));
        assert_eq!((report.verdict.kind, report.latency_verdict.kind), (Kind::Quiet, Kind::Quiet));
    }
}

/// A process that only collects is neither ticked nor asked; what is old must leave as new blocks come.
#[test]
fn who_only_merges_does_not_fill_up() {
    let clock = Clock::manual(START);
    let built = |budget| Sentinel::builder().clock(clock.clone()).stripes(1).budget(budget).build().unwrap();
    let (reader, mover) = (built(4 << 20), built(64 << 20));
    for slot in 1..=3_000 {
        mover.tick(START + slot * SLOT); // moves the clock that both share
        reader.merge(foreign(START + slot * SLOT, 10, 10)).unwrap();
    }
    assert!(reader.stats().foreign_blocks <= 62, "{}", reader.stats().foreign_blocks);
    assert_eq!(reader.report(Query::default()).totals.requests, 61 * 10);
}

/// Blocks that cannot be pruned are refused before they push out one's own tenants.
#[test]
fn blocks_of_others_do_not_push_out_own_tenants() {
    let own = small(START);
    (0..100).for_each(|i| request(&own, &format!("own-{i:03}"), "/"));
    own.tick(START + SLOT);
    let mut refused = None;
    for _ in 0..600 {
        match own.merge(foreign(START, 1, 100)) {
            Ok(()) => {}
            Err(error) => refused = Some(error),
        }
    }
    assert!(matches!(refused, Some(MergeError::Full { .. })), "{refused:?}");
    let report = own.report(Query { limit: 200, ..Query::default() });
    let seen = report.tenants.iter().filter(|row| row.tenant_id.starts_with("own-")).count();
    assert_eq!(seen, 100);
}

/// A process whose clock is a little ahead has begun the next slot already.
#[test]
fn a_peer_may_be_a_slot_ahead() {
    let here = at(START + SLOT - 1);
    here.merge(foreign(START + SLOT, 1, 1)).unwrap();
    assert_eq!(here.report(Query::default()).totals.requests, 1);
    here.tick(START + 3 * SLOT);
    assert_eq!(here.report(Query::default()).totals.requests, 1);
    assert!(here.merge(foreign(START + 5 * SLOT, 1, 1)).is_err());
}

/// The latency verdict needs a past of each tenant, which a short window gives too.
#[test]
fn every_window_has_a_latency_verdict() {
    for (slot, window) in [(10, 30), (10, 40), (10, 50), (10, 60), (10, 70), (5, 35), (1, 45), (10, 600), (30, 600)] {
        let sentinel = Sentinel::builder()
            .clock(Clock::manual(START))
            .slot(Duration::from_secs(slot))
            .window(Duration::from_secs(window))
            .build()
            .unwrap();
        let mut named = 0;
        for second in 0..900_i64 {
            for i in 0..40_i64 {
                let slow = if i == 7 && second >= 780 { 30.0 } else { 1.0 };
                let latency = sentinel_core::Latency::from_millis(slow * (10.0 + (i + second) as f64 % 7.0));
                let tenant = format!("tenant-{i}");
                let at = Some(START + 1_000 * second + i);
                sentinel.record(Event { tenant: tenant.as_bytes(), latency, at, ..Event::default() });
            }
            sentinel.tick(START + 1_000 * (second + 1));
            let verdict = sentinel.latency_verdict();
            assert!(second > 780 || verdict.kind == Kind::Quiet, "{slot} s of {window} s, second {second}: {verdict}");
            named += usize::from(verdict.tenants == ["tenant-7"]);
        }
        assert!(named > 60, "{slot} s of {window} s: named for {named} s");
    }
}
