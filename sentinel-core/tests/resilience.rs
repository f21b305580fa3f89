//! Long silences, other processes and panics do no harm to a sentinel.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use sentinel_core::{Block, Clock, Event, Kind, MergeError, Mode, Query, Sentinel};
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

/// A growing snapshot takes the place of its smaller one only as far as there is room, and pruning makes room first.
#[test]
fn snapshots_that_grow_are_bounded() {
    let reader = small(START);
    let workers: Vec<Sentinel> = (0..40).map(|_| at(START)).collect();
    let (mut taken, mut refused) = (0, 0);
    for tenants in [1, 11_000] {
        for worker in &workers {
            (0..tenants).for_each(|i| request(worker, &format!("tenant-{i}"), "/"));
            match reader.merge(worker.blocks().remove(0)) {
                Ok(()) => taken += 1,
                Err(MergeError::Full { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(taken >= 41 && refused > 10, "{taken} taken, {refused} refused");
    // What was open is judged and may be pruned; the next slot has room again.
    reader.tick(START + SLOT);
    assert_eq!(reader.merge(foreign(START + SLOT, 100, 1)), Ok(()));
}

/// Errors of two sources that share a tenant leave the verdict as they leave the window.
#[test]
fn what_two_sources_saw_leaves_with_its_slot() {
    let reader = at(START);
    for source in 0..2 {
        let there = at(START);
        for i in 0..200 {
            let status = if i % 4 == source { 500 } else { 200 };
            there.record(Event { tenant: b"acme", status, ..Event::default() });
        }
        reader.merge(there.blocks().remove(0)).unwrap();
    }
    for second in 1..1_400 {
        let keeps_going = Event { tenant: b"beta", at: Some(START + 1_000 * second), ..Event::default() };
        reader.tick(START + 1_000 * second);
        reader.record(keeps_going);
    }
    let report = reader.report(Query::default());
    assert_eq!((report.totals.errors, report.verdict.kind), (0, Kind::Quiet), "{report}");
}

/// With the default budget, 2,000 tenants that are active in every slot are counted exactly.
#[test]
fn two_thousand_tenants_fit_the_default_budget() {
    let sentinel = Sentinel::builder().clock(Clock::manual(START)).build().unwrap();
    for slot in 0..61 {
        for i in 0..8_000_i64 {
            let (tenant, at) = (format!("tenant_{:036}", i % 2_000), Some(START + slot * SLOT + i % 10_000));
            let latency = sentinel_core::Latency::from_millis((1 + i % 300) as f64);
            sentinel.record(Event {
                tenant: tenant.as_bytes(),
                endpoint: "/v1/process",
                latency,
                at,
                ..Event::default()
            });
        }
        sentinel.tick(START + (slot + 1) * SLOT);
    }
    let report = sentinel.report(Query::default());
    assert_eq!((report.mode, report.tail.requests, report.totals.tenants), (Mode::Exact, 0, 2_000));
}

/// Weeks after the last request, "slow" has no meaning until there are requests again.
#[test]
fn after_a_long_silence_not_everything_is_slow() {
    let sentinel = at(START);
    let second = |start: i64, second: i64| {
        for i in 0..20_i64 {
            let latency = sentinel_core::Latency::from_millis((10 + (i + second) % 9) as f64);
            let at = Some(start + second * 1_000 + i);
            sentinel.record(Event { tenant: b"acme", latency, at, ..Event::default() });
        }
        sentinel.tick(start + (second + 1) * 1_000);
    };
    (0..200).for_each(|s| second(START, s));
    let later = START + 60 * 86_400_000;
    sentinel.tick(later);
    (0..30).for_each(|s| second(later, s));
    let totals = sentinel.report(Query::default()).totals;
    assert!(totals.slow * 4 <= totals.requests, "{} of {} are slow", totals.slow, totals.requests);
}

/// Requests that cannot be followed are counted as such, and recorded like any other.
#[test]
fn flights_beyond_the_limit_are_counted() {
    let sentinel = at(START);
    let flights: Vec<_> = (0..8_196).map(|_| sentinel.start()).collect();
    let row = &sentinel.report(Query::default()).tenants[0];
    assert_eq!((row.in_flight, sentinel.stats().flights_unseen), (8_192, 4));
    flights.into_iter().for_each(|flight| flight.finish("/", 200));
    let report = sentinel.report(Query::default());
    assert_eq!((report.totals.requests, report.tenants[0].in_flight), (8_196, 0));
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
