//! While ids fit, every number is exact: random streams against a plain oracle that keeps every event and recounts by hand.
//!
//! One process and every kind of call in any order; any number of sources whose blocks are merged in any order, twice, and
//! after older snapshots; any number of threads. `support` is the oracle.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use sentinel_core::{Block, By, Query, Sentinel};
use std::time::Duration;
use support::{Ev, Grid, Oracle};

const START_MS: i64 = 1_700_000_000_000;

/// When an event says that it happened, by how it lies in the window.
#[derive(Debug, Clone, Copy)]
enum When {
    Unsaid,
    /// Parts of a window ago.
    Ago(f64),
    /// Parts of a slot ahead.
    Ahead(f64),
    /// The first moment of the window, and so many ms beside it.
    Oldest(i64),
    /// One slot ahead, and so many ms beside it.
    SlotAhead(i64),
}

impl When {
    fn at(self, grid: Grid, now_ms: i64) -> Option<i64> {
        let ms = match self {
            Self::Unsaid => return None,
            Self::Ago(windows) => now_ms - (windows * grid.window_ms() as f64) as i64,
            Self::Ahead(slots) => now_ms + (slots * grid.slot_ms as f64) as i64,
            Self::Oldest(beside) => grid.start_of(grid.slot_of(now_ms) - grid.slots) + beside,
            Self::SlotAhead(beside) => now_ms + grid.slot_ms + beside,
        };
        Some(ms)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Record(Ev, When),
    Batch(Vec<(Ev, When)>),
    /// Time moves on by so many slots.
    Tick(f64),
    Report(Query),
    Tenant(Vec<u8>, Option<Duration>),
    Stats,
    Blocks,
}

fn grid() -> impl Strategy<Value = Grid> {
    let slot_s = prop::sample::select(vec![1_i64, 2, 5, 10, 30, 60]);
    (slot_s, 0_i64..40, prop::sample::select(vec![0_i64, 3, 12_345])).prop_map(|(slot_s, more, anchor_ms)| {
        let slots = (30 + slot_s - 1) / slot_s + more;
        Grid { anchor_ms: anchor_ms % (slot_s * 1_000), slot_ms: slot_s * 1_000, slots }
    })
}

/// Ids of every kind of length that is stored in its own way, and the reserved row.
fn tenant() -> impl Strategy<Value = Vec<u8>> {
    let long = |c: char, len: usize| vec![c as u8; len];
    let named = [b"acme".to_vec(), b"beta".to_vec(), Vec::new(), b"unattributed".to_vec()];
    let lengths = [long('d', 38), long('e', 39), long('f', 128), long('g', 129), long('h', 1_000)];
    let some = prop::sample::select([&named[..], &lengths[..]].concat());
    prop_oneof![3 => some, 2 => (0..30).prop_map(|i| format!("t{i}").into_bytes())]
}

fn event() -> impl Strategy<Value = Ev> {
    let endpoint = prop::sample::select(vec!["", "/v1/process", "/v1/list", "/users/{id}", "/x", "other", "unmatched"]);
    let status = prop_oneof![
        6 => Just(200_u16),
        3 => 500_u16..=599,
        1 => 400_u16..500,
        1 => prop::sample::select(vec![499_u16, 100, 399, 99, 0, 600, 65_535]),
    ];
    let ms = prop_oneof![
        1 => Just(None),
        3 => (0.0..0.05).prop_map(Some),
        4 => (0.0..1_000.0).prop_map(Some),
        2 => (0.0..5e6).prop_map(Some),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -1.0, 1e308, 4_294_967.295, 4_294_967.296]).prop_map(Some),
    ];
    (tenant(), endpoint, status, ms).prop_map(|(tenant, endpoint, status, ms)| Ev {
        tenant,
        endpoint: endpoint.into(),
        status,
        ms,
        at: None,
    })
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        4 => Just(When::Unsaid),
        5 => (0.0..1.0).prop_map(When::Ago),
        1 => (1.0..3.0).prop_map(When::Ago),
        1 => (0.0..3.0).prop_map(When::Ahead),
        1 => (-1_i64..=1).prop_map(When::Oldest),
        1 => (-1_i64..=1).prop_map(When::SlotAhead),
    ]
}

fn window() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![1 => Just(None), 2 => (0_u64..700_000).prop_map(|ms| Some(Duration::from_millis(ms)))]
}

fn query() -> impl Strategy<Value = Query> {
    let limit = prop_oneof![3 => Just(1_000_usize), 1 => 0_usize..6];
    (prop::sample::select(By::ALL.to_vec()), window(), limit).prop_map(|(by, window, limit)| Query {
        by,
        window,
        limit,
        ..Query::default()
    })
}

/// Mostly within a slot, sometimes several, rarely beyond all that was.
fn slots_on() -> impl Strategy<Value = f64> {
    prop_oneof![6 => 0.0..1.0, 4 => 1.0..4.0, 1 => 5.0..60.0, 1 => 60.0..500.0]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (event(), when()).prop_map(|(event, when)| Step::Record(event, when)),
        4 => vec((event(), when()), 0..20).prop_map(Step::Batch),
        4 => slots_on().prop_map(Step::Tick),
        4 => query().prop_map(Step::Report),
        2 => (tenant(), window()).prop_map(|(id, window)| Step::Tenant(id, window)),
        1 => Just(Step::Stats),
        1 => Just(Step::Blocks),
    ]
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 4_000, ..ProptestConfig::default() }
}

fn ticked(now_ms: i64, grid: Grid, slots: f64) -> i64 {
    now_ms + (slots * grid.slot_ms as f64) as i64
}

/// Every ranking over the whole window and a part of it, and every tenant.
fn check_all(oracle: &Oracle, sentinel: &Sentinel) {
    for by in By::ALL {
        for window in [None, Some(Duration::from_millis(oracle.grid.window_ms() as u64 / 3))] {
            let query = Query { by, window, limit: 1_000, ..Query::default() };
            oracle.check_report(&sentinel.report(query), &query);
        }
    }
    for id in oracle.facts(None).rows.keys() {
        oracle.check_tenant(id, sentinel.tenant(id, None).as_ref(), None);
    }
    oracle.check_stats(&sentinel.stats());
}

fn run(oracle: &mut Oracle, sentinel: &Sentinel, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Record(event, when) => {
                let event = Ev { at: when.at(oracle.grid, oracle.now_ms), ..event };
                oracle.record(&event);
                sentinel.record(event.event());
            }
            Step::Batch(batch) => {
                let at = |when: When| when.at(oracle.grid, oracle.now_ms);
                let events: Vec<Ev> = batch.into_iter().map(|(event, when)| Ev { at: at(when), ..event }).collect();
                for event in &events {
                    oracle.record(event);
                }
                sentinel.record_batch(events.iter().map(Ev::event));
            }
            Step::Tick(slots) => {
                oracle.tick(ticked(oracle.now_ms, oracle.grid, slots));
                sentinel.tick(oracle.now_ms);
            }
            Step::Report(query) => oracle.check_report(&sentinel.report(query), &query),
            Step::Tenant(id, window) => oracle.check_tenant(&id, sentinel.tenant(&id, window).as_ref(), window),
            Step::Stats => {}
            Step::Blocks => check_blocks(oracle, &sentinel.blocks()),
        }
        oracle.check_stats(&sentinel.stats());
    }
}

/// Blocks are whole slots in rising order, and all that is in the window.
fn check_blocks(oracle: &Oracle, blocks: &[Block]) {
    assert!(blocks.windows(2).all(|pair| pair[0].to_ms() <= pair[1].from_ms()));
    for block in blocks {
        let start = oracle.grid.start_of(oracle.grid.slot_of(block.from_ms()));
        assert_eq!((block.from_ms(), block.to_ms()), (start, start + oracle.grid.slot_ms));
        assert_eq!(&Block::decode(&block.encode()).unwrap(), block);
    }
    assert_eq!(blocks.iter().map(Block::requests).sum::<u64>(), oracle.facts(None).all.requests);
}

proptest! {
    #![proptest_config(cases(160))]

    #[test]
    fn any_calls_in_any_order(grid in grid(), client_errors: bool, max_endpoints in 1_usize..6, stripes in 0_u32..4, steps in vec(step(), 1..60)) {
        let mut oracle = Oracle::new(grid, START_MS).options(client_errors, max_endpoints);
        let sentinel = oracle.sentinel(|builder| builder.stripes(1 << stripes));
        run(&mut oracle, &sentinel, steps);
        check_all(&oracle, &sentinel);
    }

    /// Everything in one slot, so that nothing is known but the cold rate.
    #[test]
    fn rates_are_ranked_by_their_lower_bound(counts in vec((1_usize..120, 0_usize..40), 2..12)) {
        let mut oracle = Oracle::new(Grid { anchor_ms: 0, slot_ms: 10_000, slots: 60 }, START_MS);
        let sentinel = oracle.sentinel(|builder| builder);
        for (i, (requests, errors)) in counts.into_iter().enumerate() {
            for request in 0..requests {
                let status = if request < errors { 500 } else { 200 };
                let tenant = format!("t{i}").into_bytes();
                let event = Ev { tenant, endpoint: "/".into(), status, ms: None, at: None };
                oracle.record(&event);
                sentinel.record(event.event());
            }
        }
        check_all(&oracle, &sentinel);
    }

    /// The documented edge: the limit, rounded up to the end of its bucket, of which each power of two has sixteen.
    #[test]
    fn slow_requests_are_counted_above_the_edge(
        grid in grid(), octave in 0_u32..32, part in 0.0..1.0, steps in vec(step(), 1..40),
    ) {
        let limit_us = (2.0_f64.powi(octave as i32) * (1.0 + part)) as u64;
        let width_us = 1 << limit_us.ilog2().saturating_sub(4);
        let edge_us = (limit_us / width_us + 1) * width_us;
        let limit = Duration::from_micros(limit_us);
        let mut oracle = Oracle::new(grid, START_MS).slow_from_us(edge_us);
        let sentinel = oracle.sentinel(|builder| builder.slow_after(limit));
        for us in [edge_us - 1, edge_us, edge_us + 1] {
            let event = Ev { tenant: b"edge".to_vec(), endpoint: "/".into(), status: 200, ms: Some((us as f64 + 0.5) / 1_000.0), at: None };
            oracle.record(&event);
            sentinel.record(event.event());
        }
        run(&mut oracle, &sentinel, steps);
        check_all(&oracle, &sentinel);
    }
}

/// A moment of a fleet's life: time moves on, one source records, or everybody sends its blocks so far.
#[derive(Debug, Clone)]
enum Moment {
    Event(usize, Ev, When),
    Tick(f64),
    Snapshot,
}

fn moment() -> impl Strategy<Value = Moment> {
    prop_oneof![
        16 => (0_usize..6, event(), when()).prop_map(|(source, event, when)| Moment::Event(source, event, when)),
        2 => (0.0..3.0).prop_map(Moment::Tick),
        1 => Just(Moment::Snapshot),
    ]
}

fn send(to: &Sentinel, blocks: &[Block]) {
    for block in blocks {
        to.merge(Block::decode(&block.encode()).unwrap()).unwrap();
    }
}

proptest! {
    #![proptest_config(cases(120))]

    /// Source 0 is the one that answers; the others' blocks reach it shuffled and repeated, older snapshots before.
    #[test]
    fn any_split_over_sources_merged_in_any_order(
        grid in grid(), sources in 1_usize..6, moments in vec(moment(), 1..80), shuffle in any::<prop::sample::Index>(), seed: u64,
    ) {
        let mut oracles = vec![Oracle::new(grid, START_MS); sources];
        let sentinels: Vec<Sentinel> = oracles.iter().map(|oracle| oracle.sentinel(|builder| builder)).collect();
        for moment in moments {
            match moment {
                Moment::Event(source, event, when) => {
                    let (oracle, sentinel) = (&mut oracles[source % sources], &sentinels[source % sources]);
                    let event = Ev { at: when.at(grid, oracle.now_ms), ..event };
                    oracle.record(&event);
                    sentinel.record(event.event());
                }
                Moment::Tick(slots) => {
                    let now_ms = ticked(oracles[0].now_ms, grid, slots);
                    for oracle in &mut oracles {
                        oracle.tick(now_ms);
                    }
                    for sentinel in &sentinels {
                        sentinel.tick(now_ms);
                    }
                }
                Moment::Snapshot => sentinels[1..].iter().for_each(|sentinel| send(&sentinels[0], &sentinel.blocks())),
            }
        }
        let mut blocks: Vec<Block> = sentinels[1..].iter().flat_map(Sentinel::blocks).collect();
        shuffled(&mut blocks, seed);
        send(&sentinels[0], &blocks);
        let again = if blocks.is_empty() { 0 } else { shuffle.index(blocks.len()) };
        send(&sentinels[0], &blocks[again..]);

        let mut all = oracles[0].clone();
        oracles[1..].iter().for_each(|oracle| all.absorb(oracle));
        check_all(&all, &sentinels[0]);

        // Two that have counted nothing themselves, told in different orders, say the same.
        let now_ms = all.now_ms;
        let ask = |blocks: &[Block]| {
            let central = Oracle::new(grid, now_ms).sentinel(|builder| builder);
            send(&central, blocks);
            By::ALL.map(|by| central.report(Query { by, limit: 1_000, ..Query::default() }))
        };
        let first = ask(&blocks);
        blocks.reverse();
        prop_assert_eq!(&first, &ask(&blocks));
        shuffled(&mut blocks, !seed);
        prop_assert_eq!(&first, &ask(&blocks));
    }
}

/// Fisher and Yates, with a plain generator, so that a failing case shrinks with its seed.
fn shuffled<T>(items: &mut [T], mut seed: u64) {
    for i in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, (seed >> 33) as usize % (i + 1));
    }
}

proptest! {
    #![proptest_config(cases(60))]

    /// Time moves on and looks are taken while all threads record.
    #[test]
    fn any_split_over_threads(grid in grid(), threads in 1_usize..9, events in vec((event(), 0.0..1.0), 1..400), seconds in 0_i64..20) {
        let last_ms = START_MS + seconds * 1_000;
        // In the window whenever it arrives, and never ahead of any clock.
        let oldest_ms = grid.start_of(grid.slot_of(last_ms) - grid.slots);
        let span_ms = (START_MS - oldest_ms).max(0) as f64;
        let events: Vec<Ev> = events.into_iter().map(|(event, part)| Ev { at: Some(START_MS - (part * span_ms) as i64), ..event }).collect();
        let mut oracle = Oracle::new(grid, START_MS);
        let sentinel = oracle.sentinel(|builder| builder.stripes(4));
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (sentinel, events) = (sentinel.clone(), &events);
                scope.spawn(move || events.iter().skip(thread).step_by(threads).for_each(|event| sentinel.record(event.event())));
            }
            for second in 0..=seconds {
                sentinel.tick(START_MS + second * 1_000);
                let (stats, report) = (sentinel.stats(), sentinel.report(Query::default()));
                assert_eq!(stats.offered, stats.accepted + stats.dropped.status + stats.dropped.late, "{stats:?}");
                assert_eq!(stats.accepted, stats.in_window + stats.expired, "{stats:?}");
                assert!(report.totals.requests <= report.stats.accepted);
            }
        });
        for event in &events {
            oracle.record(event);
        }
        oracle.tick(last_ms);
        check_all(&oracle, &sentinel);
    }
}

/// A retry that arrives late must not take back what a newer snapshot has brought: snapshots of a slot only grow.
#[test]
fn an_older_snapshot_after_a_newer_one_changes_nothing() {
    let oracle = Oracle::new(Grid { anchor_ms: 0, slot_ms: 10_000, slots: 60 }, START_MS);
    let (here, there) = (oracle.sentinel(|builder| builder), oracle.sentinel(|builder| builder));
    let event = Ev { tenant: b"acme".to_vec(), endpoint: "/".into(), status: 500, ms: None, at: None };
    there.record(event.event());
    let older = there.blocks();
    there.record(event.event());
    send(&here, &there.blocks());
    send(&here, &older);
    assert_eq!(here.report(Query::default()).totals.requests, 2);
}

/// A process that only answers for others lets their blocks go when they leave the window, like any other.
#[test]
fn foreign_blocks_leave_the_window_of_who_counts_nothing() {
    for (slots, later_ms) in [(60, 10_000), (360, 86_400_000)] {
        let grid = Grid { anchor_ms: 0, slot_ms: 10_000, slots };
        let oracle = Oracle::new(grid, START_MS);
        let (here, there) = (oracle.sentinel(|builder| builder), oracle.sentinel(|builder| builder));
        let at = Some(START_MS - grid.window_ms());
        there.record(Ev { tenant: b"acme".to_vec(), endpoint: "/".into(), status: 500, ms: None, at }.event());
        send(&here, &there.blocks());
        here.tick(START_MS + later_ms);
        let report = here.report(Query::default());
        assert_eq!((report.totals.requests, report.sources, report.stats.foreign_blocks), (0, 1, 0));
    }
}
