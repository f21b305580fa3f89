//! Nobody ticks and nobody asks: requests alone move everything on. Time is moved by another sentinel that shares the clock;
//! the measured one only records, for many slots, and is asked at the very end.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use common::{Counting, Hit, Oracle, SLOW_AFTER, START, check};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sentinel_core::{BaselineKind, Builder, Clock, Event, Kind, Query, Sentinel};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SLOT_MS: i64 = 10_000;
const MIB: usize = 1 << 20;

/// A sentinel that is left alone, and one that moves its clock.
fn alone(build: impl FnOnce(Builder) -> Builder) -> (Sentinel, Sentinel) {
    let clock = Clock::manual(START);
    let left = build(Sentinel::builder().stripes(1).slow_after(SLOW_AFTER).clock(clock.clone())).build().unwrap();
    (left, Sentinel::builder().clock(clock).build().unwrap())
}

fn request(sentinel: &Sentinel, tenant: &str, endpoint: &str, status: u16, at: Option<i64>) {
    sentinel.record(Event { tenant: tenant.as_bytes(), endpoint, status, at, ..Event::default() });
}

fn balanced(sentinel: &Sentinel) {
    let stats = sentinel.stats();
    assert_eq!(stats.offered, stats.accepted + stats.dropped.status + stats.dropped.late + stats.dropped.no_memory);
    assert_eq!(stats.accepted, stats.in_window + stats.expired, "{stats:?}");
}

/// Records slot after slot under the eye of an allocator that counts, beside the sentinel's own account: the most that each said.
fn most_memory(sentinel: &Sentinel, timer: &Sentinel, slots: i64, mut slot: impl FnMut(i64, i64)) -> (usize, usize) {
    let (used, peak) = Counting::peak(|| {
        let mut most = 0;
        for i in 0..slots {
            let now = START + i * SLOT_MS;
            timer.tick(now);
            slot(i, now);
            if i % 16 == 0 || i + 1 == slots {
                most = most.max(sentinel.memory().used);
                balanced(sentinel);
            }
        }
        most
    });
    (used, peak as usize)
}

#[test]
fn the_ledger_balances_and_one_look_is_right() {
    for (seed, stripes) in [(1, 1), (2, 4), (3, 2)] {
        let (left, timer) = alone(|builder| builder.places(64).stripes(stripes));
        let (mut oracle, mut rng) = (Oracle::default(), StdRng::seed_from_u64(seed));
        for slot in 0..90 {
            // Busy slots, silent ones, and some with a few requests.
            let many = [0, 3, 400, 900][rng.random_range(0..4)];
            for i in 0..many {
                let now = START + slot * SLOT_MS + i * SLOT_MS / many;
                timer.tick(now);
                let late = if rng.random_bool(0.1) { rng.random_range(0..500_000) } else { 0 };
                let tenant = format!("t{}", (3_000.0 * rng.random::<f64>().powi(3)) as u32);
                let error = tenant == "t7" || rng.random_bool(0.02);
                let hit = Hit { tenant, error, slow: rng.random_bool(0.03), at: (now - late).max(START) };
                hit.record(&left);
                oracle.record(&hit);
                if rng.random_bool(0.01) {
                    balanced(&left);
                }
            }
        }
        // Of every part that waits, whatever it is of.
        let (report, _) = check(&left, &oracle, None);
        assert_eq!(report.stats.in_window, report.totals.requests);
        balanced(&left);
    }
}

#[test]
fn what_waited_is_judged_as_if_somebody_had_looked() {
    let (left, timer) = alone(|builder| builder);
    let mut id = 0;
    for second in 0..17 * 60 {
        let at = START + second * 1_000;
        timer.tick(at);
        for i in 0..60 {
            id += 1;
            request(&left, &format!("tenant_{}", i % 20), "/v1", if id % 500 == 0 { 500 } else { 200 }, Some(at + i));
        }
        let incident = second >= 15 * 60;
        request(&left, "acme", "/v1", if incident { 503 } else { 200 }, Some(at));
        request(&left, "always", "/v1", if second % 2 == 0 { 500 } else { 200 }, Some(at));
    }
    let report = left.report(Query::default());
    assert_eq!(report.baseline, BaselineKind::Own);
    assert_eq!(
        (report.verdict.kind, &report.verdict.tenants[..]),
        (Kind::OneTenant, &["acme".to_string()][..]),
        "{report}"
    );
    let row = report.tenants.iter().find(|row| row.tenant_id == "always").unwrap();
    assert!(row.chronic && !row.culprit, "{report}");
}

/// Hours of nothing but new ids.
#[test]
fn new_ids_for_hours_stay_within_the_budget() {
    let mut found = Vec::new();
    for (budget, slots, each, len) in [(4, 400, 2_000, 16), (8, 300, 3_000, 16), (64, 130, 6_000, 24)] {
        let (left, timer) = alone(|builder| builder.budget(budget * MIB));
        let mut id = 0_u64;
        let (used, peak) = most_memory(&left, &timer, slots, |_, now| {
            for i in 0..each {
                id += 1;
                request(&left, &format!("{id:0>len$x}"), "/v1", 200, Some(now + i));
            }
        });
        found.push((budget, used, peak));
    }
    assert!(found.iter().all(|(budget, used, peak)| used.max(peak) <= &(budget * MIB)), "MiB, used, peak: {found:?}");
}

#[test]
fn long_new_ids_stay_within_the_budget() {
    let mut found = Vec::new();
    for (budget, slots, each) in [(4, 200, 2_000), (16, 200, 3_000)] {
        let (left, timer) = alone(|builder| builder.budget(budget * MIB));
        let mut id = 0_u64;
        let (used, peak) = most_memory(&left, &timer, slots, |_, now| {
            for i in 0..each {
                id += 1;
                request(&left, &format!("{id:0>128x}"), "/v1", 200, Some(now + i));
            }
        });
        found.push((budget, used, peak));
    }
    assert!(found.iter().all(|(budget, used, peak)| used.max(peak) <= &(budget * MIB)), "MiB, used, peak: {found:?}");
}

/// Blocks that a busy time has left in the window count too when nobody looks any more.
#[test]
fn a_full_window_and_then_nobody_stays_within_the_budget() {
    const BUDGET: usize = 4 * MIB;
    let (left, timer) = alone(|builder| builder.budget(BUDGET));
    let mut id = 0_u64;
    let (used, peak) = most_memory(&left, &timer, 240, |slot, now| {
        for i in 0..2_000 {
            id += 1;
            request(&left, &format!("{id:0>16x}"), "/v1", 200, Some(now + i));
        }
        if slot < 120 {
            left.tick(now);
        }
    });
    assert!(used <= BUDGET && peak <= BUDGET, "{used} and {peak} bytes of {BUDGET}");
}

/// A request a slot: what one has to do is no more than what one does.
#[test]
fn a_trickle_is_sealed_as_fast_as_it_comes() {
    const BUDGET: usize = 4 * MIB;
    let (left, timer) = alone(|builder| builder.budget(BUDGET));
    let (used, _) = most_memory(&left, &timer, 6_000, |_, now| request(&left, "acme", "/v1", 200, Some(now)));
    let kept = left.stats().in_window;
    assert!(used <= BUDGET && kept <= 200, "{used} bytes of {BUDGET}, {kept} slots kept of the 120 of two windows");
}

/// A flood, and then a request a slot: the flood's table is not what the rest waits for.
#[test]
fn a_flood_and_then_a_trickle_stay_within_the_budget() {
    const BUDGET: usize = 4 * MIB;
    let (left, timer) = alone(|builder| builder.budget(BUDGET));
    let (used, _) = most_memory(&left, &timer, 3_000, |slot, now| {
        let many = if slot == 0 { 20_000 } else { 1 };
        (0..many).for_each(|i| request(&left, &format!("t{i}"), "/v1", 200, Some(now)));
    });
    assert!(used <= BUDGET, "{used} bytes of {BUDGET}");
}

#[test]
fn late_events_without_end_stay_within_the_budget() {
    let mut found = Vec::new();
    for (budget, tenants) in [(4, 50), (4, 100_000), (8, 100_000), (64, 1_000_000)] {
        let (left, timer) = alone(|builder| builder.budget(budget * MIB));
        let mut rng = StdRng::seed_from_u64(1);
        let (used, peak) = most_memory(&left, &timer, 150, |slot, now| {
            for _ in 0..2_000 {
                let late = rng.random_range(0..(slot + 1).min(60) * SLOT_MS);
                request(&left, &format!("t{}", rng.random_range(0..tenants)), "/v1", 200, Some(now - late));
            }
        });
        found.push((budget, tenants, used, peak));
    }
    // What sealing takes for a moment is up to a tenth of the smallest budget.
    assert!(
        found.iter().all(|(budget, _, used, peak)| *used <= budget * MIB && *peak <= budget * MIB * 11 / 10),
        "MiB, ids, used, peak: {found:?}"
    );
}

/// A late event for each slot of the window: a table each, as long as the endpoints are many.
#[test]
fn late_events_at_many_endpoints_stay_within_the_budget() {
    let mut found = Vec::new();
    for (budget, endpoints) in [(4, 1_000), (64, 1_000), (64, 4_000)] {
        let (left, timer) = alone(|builder| builder.budget(budget * MIB).max_endpoints(endpoints));
        timer.tick(START + 60 * SLOT_MS);
        let now = START + 60 * SLOT_MS;
        for i in 0..endpoints {
            request(&left, "acme", &format!("/v{i}"), 200, Some(now));
        }
        let last = format!("/v{}", endpoints - 1);
        (0..60).for_each(|slot| request(&left, "acme", &last, 200, Some(START + slot * SLOT_MS)));
        found.push((budget, endpoints, left.memory().used));
    }
    assert!(found.iter().all(|(budget, _, used)| used <= &(budget * MIB)), "MiB, endpoints, used: {found:?}");
}

/// A tick does what was there when it began; late events that come meanwhile are for the next one.
#[test]
fn a_tick_ends_while_late_events_come() {
    const MOST: u64 = 1_500_000;
    let now = START + 60 * SLOT_MS;
    let (left, timer) = alone(|builder| builder.stripes(4));
    timer.tick(now);
    let (sent, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let send = || {
        while !ended.load(Ordering::Relaxed) && sent.load(Ordering::Relaxed) < MOST {
            let i = sent.fetch_add(1, Ordering::Relaxed);
            request(&left, "acme", "/v1", 200, Some(START + (i % 50) as i64 * SLOT_MS));
        }
    };
    let most = std::thread::scope(|scope| {
        scope.spawn(send);
        scope.spawn(send);
        let during = (0..4).map(|_| {
            let before = sent.load(Ordering::Relaxed);
            while sent.load(Ordering::Relaxed).min(MOST) < (before + 1_000).min(MOST) {
                std::thread::yield_now();
            }
            // What finds no memory is dropped, and quickly: it does not count.
            let before = left.stats().accepted;
            left.tick(now);
            left.stats().accepted - before
        });
        let most = during.max().unwrap();
        ended.store(true, Ordering::Relaxed);
        most
    });
    assert!(most < MOST / 3, "{most} events came during one tick");
    balanced(&left);
    assert_eq!(left.report(Query::default()).totals.requests, left.stats().accepted);
}
