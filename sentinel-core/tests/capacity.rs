//! Beyond capacity: the guarantees of the bounded slot table, against an exact map, whatever ids come and however blocks are
//! merged.
//!
//! For each listed tenant and each of requests, errors and slow requests `count ≤ true ≤ count + bound`; who has more than the
//! offset in any of them is listed; rows and tail add up; `mode` is `bounded` exactly when something was let go. `common::check`
//! holds all that; here are the streams that try to break it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use common::{Counting, Hit, Oracle, SLOW_AFTER, START, bounds, check, counts, everyone, sent};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use sentinel_core::{Builder, By, Clock, Kind, Mode, Query, Sentinel};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SLOT_MS: i64 = 10_000;

fn small(places: usize) -> Builder {
    let minute = Duration::from_mins(1);
    Sentinel::builder().places(places).stripes(1).window(minute).slow_after(SLOW_AFTER).clock(Clock::manual(START))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stream {
    RandomIds,
    AllErring,
    AllSlow,
    Churn,
    RoundRobin,
    Zipf,
}

const STREAMS: [Stream; 6] =
    [Stream::RandomIds, Stream::AllErring, Stream::AllSlow, Stream::Churn, Stream::RoundRobin, Stream::Zipf];

impl Stream {
    /// The tenant of the `i`-th request in slot `slot`.
    fn hit(self, rng: &mut StdRng, slot: i64, i: usize) -> Hit {
        let (rare, u) = (rng.random_bool(0.02), rng.random::<f64>());
        let tenant = match self {
            // Every tenth request is of somebody who has been here.
            Self::RandomIds | Self::AllErring | Self::AllSlow if i.is_multiple_of(10) => {
                format!("regular-{}", rng.random_range(0..20))
            }
            Self::RandomIds | Self::AllErring | Self::AllSlow => format!("random-{:016x}", rng.random::<u64>()),
            Self::Churn => format!("slot-{slot}-{}", (900.0 * u * u) as u32),
            // In turn, who has weight w in every w-th round: the order that Misra–Gries likes least.
            Self::RoundRobin => {
                let (round, place) = (i / 400, i % 400);
                let weight = 1 + place % 7;
                if round.is_multiple_of(weight) { format!("turn-{place}") } else { "turn-0".into() }
            }
            Self::Zipf => format!("rank-{}", (2_000.0_f64.powf(u)) as u32),
        };
        let error = self == Self::AllErring || rare || self == Self::Zipf && tenant.ends_with('7');
        let slow = self == Self::AllSlow || rng.random_bool(0.03);
        Hit { tenant, error, slow, at: START + slot * SLOT_MS + rng.random_range(0..SLOT_MS) }
    }
}

/// Feeds `each` requests a slot and looks after every slot.
fn feed(sentinel: &Sentinel, oracle: &mut Oracle, seed: u64, stream: Stream, slots: i64, each: usize) {
    let mut rng = StdRng::seed_from_u64(seed);
    for slot in 0..slots {
        sentinel.tick(START + (slot + 1) * SLOT_MS - 1);
        for i in 0..each {
            let hit = stream.hit(&mut rng, slot, i);
            hit.record(sentinel);
            oracle.record(&hit);
        }
        check(sentinel, oracle, None);
    }
}

#[test]
fn every_stream_keeps_the_guarantees() {
    for (seed, stream) in STREAMS.into_iter().enumerate() {
        for places in [8, 20, 64] {
            let (sentinel, mut oracle) = (small(places).build().unwrap(), Oracle::default());
            // Longer than the window, so that slots leave it too.
            feed(&sentinel, &mut oracle, seed as u64, stream, 9, 1_200);
            let (report, offset) = check(&sentinel, &oracle, None);
            assert_eq!(report.mode, Mode::Bounded, "{stream:?}");
            check(&sentinel, &oracle, Some(Duration::from_secs(20)));
            // In the worst case all of a slot's weight falls into one sub-table of ⌈k/8⌉ places.
            let truth = oracle.since(report.from_ms);
            for m in 0..3 {
                let weight: u64 = truth.values().map(|real| real[m]).sum();
                let most = weight / (places.div_ceil(8) as u64 + 1);
                assert!(
                    offset[m] <= most,
                    "{stream:?}, {places} places: offset {} of weight {m} above {most}",
                    offset[m]
                );
            }
            let stats = sentinel.stats();
            assert_eq!((stats.offered, stats.accepted), (9 * 1_200, stats.in_window + stats.expired));
        }
    }
}

#[test]
fn the_offset_stays_near_an_eighth_of_its_limit_on_random_ids() {
    // Sub-tables share the load: an unlucky one has half as much again, not eight times as much.
    let (sentinel, mut oracle) = (small(64).build().unwrap(), Oracle::default());
    feed(&sentinel, &mut oracle, 5, Stream::AllErring, 1, 20_000);
    let (_, offset) = check(&sentinel, &oracle, None);
    let limit = 20_000 / 8 / (64 / 8 + 1);
    for weight in &offset[..2] {
        assert!((1..=limit * 3 / 2).contains(weight), "{offset:?} for {limit}");
    }
}

#[test]
fn a_quiet_failing_tenant_is_exact_and_first_under_a_flood() {
    for places in [8, 16, 64] {
        let (sentinel, mut oracle) = (small(places).build().unwrap(), Oracle::default());
        let mut rng = StdRng::seed_from_u64(places as u64);
        for slot in 0..5 {
            for i in 0..4_000 {
                let failing = i % 1_000 == 500;
                let tenant = if failing { "victim".into() } else { format!("{:032x}", rng.random::<u128>()) };
                let hit = Hit { tenant, error: failing, slow: false, at: START + slot * SLOT_MS + i };
                sentinel.tick(hit.at);
                hit.record(&sentinel);
                oracle.record(&hit);
            }
        }
        let (report, offset) = check(&sentinel, &oracle, None);
        assert!(report.mode == Mode::Bounded && offset[0] > 0 && offset[1..] == [0, 0], "{offset:?}");
        for by in [By::Errors, By::ErrorRate] {
            let report = sentinel.report(Query { by, ..Query::default() });
            let first = &report.tenants[0];
            assert_eq!(
                (first.tenant_id.as_str(), counts(first)[1], bounds(first)[1]),
                ("victim", 20, 0),
                "by {by}, {places} places"
            );
            assert_eq!(first.error_share, Some(1.0));
        }
        assert!(sentinel.tenant(b"victim", None).is_some_and(|tenant| tenant.row.errors == 20));
        let worst = sentinel.verdict();
        assert_eq!(
            (worst.kind, worst.tenants.as_slice()),
            (Kind::OneTenant, &["victim".to_string()][..]),
            "{places} places"
        );
    }
}

#[test]
fn a_slow_tenant_is_exact_and_first_under_a_flood() {
    for places in [8, 32] {
        let (sentinel, mut oracle) = (small(places).build().unwrap(), Oracle::default());
        let mut rng = StdRng::seed_from_u64(7);
        for i in 0..15_000 {
            let slow = i % 500 == 77;
            let tenant = if slow { "snail".into() } else { format!("{:032x}", rng.random::<u128>()) };
            let hit = Hit { tenant, error: false, slow, at: START + i };
            sentinel.tick(hit.at);
            hit.record(&sentinel);
            oracle.record(&hit);
        }
        let (_, offset) = check(&sentinel, &oracle, None);
        assert!(offset[0] > 0 && offset[1..] == [0, 0], "{offset:?}");
        let report = sentinel.report(Query { by: By::Latency, ..Query::default() });
        let first = &report.tenants[0];
        assert_eq!((first.tenant_id.as_str(), first.slow, first.bound.slow), ("snail", 30, 0), "{places} places");
    }
}

/// Records hits into several sentinels, lets them exchange blocks all along, and ends with everyone having everything.
fn exchange(rng: &mut StdRng, sentinels: &[Sentinel], hits: &[(usize, Hit)], end: i64) -> Oracle {
    let mut oracle = Oracle::default();
    let snapshot = |rng: &mut StdRng, from: usize, to: usize| {
        let mut blocks = sentinels[from].blocks();
        blocks.shuffle(rng);
        for block in blocks.iter().filter(|_| from != to) {
            sentinels[to].merge(sent(block)).unwrap();
        }
    };
    for (to, hit) in hits {
        hit.record(&sentinels[*to]);
        oracle.record(hit);
        if rng.random_bool(0.01) {
            snapshot(rng, rng.clone().random_range(0..sentinels.len()), *to);
        }
    }
    let mut pairs: Vec<(usize, usize)> =
        (0..sentinels.len()).flat_map(|a| (0..sentinels.len()).map(move |b| (a, b))).collect();
    pairs.shuffle(rng);
    sentinels.iter().for_each(|sentinel| sentinel.tick(end));
    pairs.iter().for_each(|&(from, to)| snapshot(rng, from, to));
    oracle
}

#[test]
fn every_merge_order_keeps_the_guarantees() {
    for seed in 0..18 {
        let mut rng = StdRng::seed_from_u64(seed);
        let stream = STREAMS[seed as usize % STREAMS.len()];
        let many = rng.random_range(1..=6);
        let end = START + 4 * SLOT_MS - 1;
        let sentinels: Vec<Sentinel> = (0..many)
            .map(|_| small([8, 16, 40][rng.random_range(0..3)]).clock(Clock::manual(end)).build().unwrap())
            .collect();
        let hit = |rng: &mut StdRng, i: usize| stream.hit(rng, i as i64 / 1_000, i);
        let hits: Vec<_> = (0..4_000).map(|i| (rng.random_range(0..many), hit(&mut rng, i))).collect();
        let oracle = exchange(&mut rng, &sentinels, &hits, end);
        let mut seen = Vec::new();
        for sentinel in &sentinels {
            let (report, offset) = check(sentinel, &oracle, None);
            assert_eq!((report.sources, report.mode), (many, Mode::Bounded), "seed {seed}");
            check(sentinel, &oracle, Some(SLOT));
            seen.push((report.tenants, report.tail, report.totals, offset));
        }
        // The same blocks in another order are the same answer.
        for (i, other) in seen.iter().enumerate() {
            assert_eq!((&other.1, &other.2, other.3), (&seen[0].1, &seen[0].2, seen[0].3), "seed {seed}, sentinel {i}");
            for (a, b) in other.0.iter().zip(&seen[0].0) {
                assert_eq!(
                    (&a.tenant_id, counts(a), bounds(a), a.p95_ms),
                    (&b.tenant_id, counts(b), bounds(b), b.p95_ms),
                    "seed {seed}"
                );
            }
        }
    }
}

const SLOT: Duration = Duration::from_secs(10);

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_hits_in_any_split_keep_the_guarantees(
        places in prop_oneof![Just(8_usize), Just(9), Just(16), Just(64)],
        many in 1_usize..=6,
        seed in any::<u64>(),
        hits in prop::collection::vec((0_u16..400, any::<bool>(), prop::bool::weighted(0.2), 0_i64..4, any::<u8>()), 0..700),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let end = START + 4 * SLOT_MS - 1;
        let sentinels: Vec<Sentinel> = (0..many).map(|_| small(places).clock(Clock::manual(end)).build().unwrap()).collect();
        // A few ids come often, most of them seldom.
        let hit = |&(id, error, slow, slot, to): &(u16, bool, bool, i64, u8)| {
            let id = if id < 200 { id / 20 } else { id };
            (usize::from(to) % many, Hit { tenant: format!("t{id}"), error: error && id % 3 == 0, slow, at: START + slot * SLOT_MS })
        };
        let hits: Vec<_> = hits.iter().map(hit).collect();
        let oracle = exchange(&mut rng, &sentinels, &hits, end);
        for sentinel in &sentinels {
            check(sentinel, &oracle, None);
        }
    }
}

#[test]
fn a_tiny_budget_prunes_and_still_names_who_fails() {
    const BUDGET: usize = 4 << 20;
    let before = Counting::live();
    let sentinel = Sentinel::builder()
        .stripes(1)
        .budget(BUDGET)
        .slow_after(SLOW_AFTER)
        .clock(Clock::manual(START))
        .build()
        .unwrap();
    let (mut oracle, mut rng) = (Oracle::default(), StdRng::seed_from_u64(4));
    for slot in 0..60 {
        for i in 0..5_000 {
            let hit = Hit {
                tenant: format!("{:024x}", rng.random::<u64>()),
                error: false,
                slow: i % 97 == 0,
                at: START + slot * SLOT_MS + 2 * i,
            };
            sentinel.tick(hit.at - hit.at % 1_000);
            hit.record(&sentinel);
            oracle.record(&hit);
            if i % 1_000 == 0 {
                let regular = Hit { tenant: "planted".into(), error: slot >= 48, slow: false, ..hit };
                regular.record(&sentinel);
                oracle.record(&regular);
            }
        }
    }
    assert_eq!(sentinel.stats().in_window, 60 * 5_005);
    let (report, offset) = check(&sentinel, &oracle, None);
    assert_eq!((report.mode, offset[1]), (Mode::Bounded, 0));
    let first = &sentinel.report(Query::default()).tenants[0];
    assert_eq!((first.tenant_id.as_str(), first.errors, first.bound.errors), ("planted", 60, 0));
    assert_eq!(report.verdict.tenants, ["planted"], "{:?}", report.verdict);
    // Unpruned they take 300,000 ids of 24 bytes and more.
    let wire: usize = sentinel.blocks().iter().map(|block| block.encode().len()).sum();
    assert!(wire < BUDGET / 2, "{wire} bytes of blocks");
    // The oracle and the last report are this thread's too.
    drop((oracle, report));
    let held = Counting::live() - before;
    assert!(held < 4 * BUDGET as isize, "{held} bytes for a budget of {BUDGET}");
}

#[test]
fn slow_requests_are_recounted_against_the_readers_line() {
    // What the writer calls slow: less than the reader, more, or nothing at all.
    let lines = [Some(Duration::from_secs(2)), Some(Duration::from_micros(500)), None];
    for (seed, line) in (0..).zip(lines) {
        for places in [32, 128] {
            let writer = Sentinel::builder()
                .places(places)
                .stripes(1)
                .window(Duration::from_mins(1))
                .clock(Clock::manual(START));
            let writer = if let Some(line) = line { writer.slow_after(line) } else { writer }.build().unwrap();
            let reader = small(places).build().unwrap();
            let (mut rng, mut oracle) = (StdRng::seed_from_u64(seed), Oracle::default());
            for i in 0..3_000 {
                let hit = Stream::AllSlow.hit(&mut rng, 0, i);
                let hit = Hit { slow: hit.slow && i % 5 == 0, ..hit };
                hit.record(&writer);
                oracle.record(&hit);
            }
            writer.blocks().iter().for_each(|block| reader.merge(sent(block)).unwrap());
            check(&reader, &oracle, None);
            let (report, _) = everyone(&reader, None);
            assert!(report.tenants.iter().any(|row| row.slow > 0), "{line:?}");
        }
    }
}
