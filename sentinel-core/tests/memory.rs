//! The budget, by an allocator that counts: whatever comes, ticked each second, the most that is held at once is within it, who
//! fails is still named, and what memory cost in detail is said.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use common::{Counting, SLOW_AFTER, START};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sentinel_core::{Block, Clock, Event, Kind, Latency, Mode, Query, Sentinel};
use std::collections::BTreeMap;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SLOT_MS: i64 = 10_000;
const SLOTS: i64 = 75;
const MIB: usize = 1 << 20;

/// A sentinel, and the bytes that all calls of it have left allocated, and held at most.
struct Measured {
    sentinel: Sentinel,
    held: isize,
    most: isize,
}

impl Measured {
    fn new(budget: usize, clock: Clock) -> Self {
        let before = Counting::live();
        let builder = Sentinel::builder().budget(budget).stripes(1).slow_after(SLOW_AFTER).clock(clock);
        let sentinel = builder.build().unwrap();
        let held = Counting::live() - before;
        Self { sentinel, held, most: held }
    }

    fn act(&mut self, act: impl FnOnce(&Sentinel)) {
        let before = Counting::live();
        let ((), peak) = Counting::peak(|| act(&self.sentinel));
        self.most = self.most.max(self.held + peak);
        self.held += Counting::live() - before;
    }

    /// Another's block: it is the caller's until it is taken.
    fn merge(&mut self, bytes: &[u8]) -> bool {
        let before = Counting::live();
        let block = Block::decode(bytes).unwrap();
        let (taken, peak) = Counting::peak(|| self.sentinel.merge(block).is_ok());
        self.most = self.most.max(self.held + peak);
        self.held += Counting::live() - before;
        taken
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Flood {
    Ids,
    LongIds,
    /// Each flood of ids is of another length.
    Lengths,
    Endpoints,
    Slow,
    Sources,
}

/// Memory that the run took, and the state at its end.
#[derive(Debug)]
#[allow(dead_code)] // for the message
struct Found {
    flood: Flood,
    budget: usize,
    /// By the sentinel's own account, and by the allocator.
    used: usize,
    most: usize,
    coarsened: u64,
    pruned: u64,
    /// Regulars of twenty of which the window still knows every request.
    whole: usize,
}

fn request(sentinel: &Sentinel, tenant: &str, endpoint: &str, status: u16, us: u32, at: i64) {
    let latency = Latency::from(Duration::from_micros(u64::from(us)));
    sentinel.record(Event { tenant: tenant.as_bytes(), endpoint, status, latency, at: Some(at) });
}

/// Twenty regulars with latencies of their own, and one that fails in the last two minutes.
fn regulars(
    measured: &mut Measured,
    rng: &mut StdRng,
    truth: &mut BTreeMap<String, Vec<(i64, u32)>>,
    slot: i64,
    now: i64,
) {
    for i in 0..20 {
        let us = (1_000 + 300 * i) * rng.random_range(100..400) / 100;
        truth.entry(format!("regular-{i}")).or_default().push((slot, us));
        measured.act(|sentinel| request(sentinel, &format!("regular-{i}"), "/v1", 200, us, now));
    }
    let status = if slot >= SLOTS - 12 { 503 } else { 200 };
    measured.act(|sentinel| request(sentinel, "planted", "/v1", status, 2_000, now));
}

/// A second of a flood.
fn second(flood: Flood, measured: &mut Measured, next: &mut u64, rng: &mut StdRng, each: u64, now: i64) {
    for i in 0..each {
        *next += 1;
        let (id, us) = (*next, rng.random_range(500..20_000));
        measured.act(|sentinel| match flood {
            Flood::Ids => request(sentinel, &format!("{id:0>16x}"), "/v1", 200, us, now),
            Flood::LongIds => request(sentinel, &format!("{id:0>128x}"), "/v1", 200, us, now),
            Flood::Lengths => {
                let len = 16 + 8 * (now / 60_000 % 15) as usize;
                request(sentinel, &format!("{id:0>len$x}"), "/v1", 200, us, now);
            }
            Flood::Endpoints => {
                request(sentinel, &format!("t{}", id % 300), &format!("/v{}", (id * 7 + i) % 1_000), 200, us, now);
            }
            Flood::Slow => request(sentinel, &format!("{id:0>16x}"), "/v1", 200, 300_000 + us * 40, now),
            Flood::Sources => {}
        });
    }
}

/// A slot of many other processes, each with tenants of its own.
fn sources(measured: &mut Measured, clock: &Clock, slot: i64, each: u64, now: i64) {
    for source in 0..6 {
        let there = Sentinel::builder().stripes(1).clock(clock.clone()).build().unwrap();
        for i in 0..each * 3 {
            request(&there, &format!("{source}-{slot}-{i:0>24}"), "/v1", 200, 5_000 + i as u32, now);
        }
        for block in there.blocks() {
            measured.merge(&block.encode());
        }
    }
}

fn run(flood: Flood, budget: usize, each: u64) -> Found {
    let clock = Clock::manual(START);
    let (mut measured, mut rng) = (Measured::new(budget * MIB, clock.clone()), StdRng::seed_from_u64(budget as u64));
    let (mut truth, mut next, mut used) = (BTreeMap::new(), 0, 0);
    for slot in 0..SLOTS {
        for s in 0..10 {
            let now = START + slot * SLOT_MS + s * 1_000;
            measured.act(|sentinel| sentinel.tick(now));
            regulars(&mut measured, &mut rng, &mut truth, slot, now);
            second(flood, &mut measured, &mut next, &mut rng, each, now);
            if flood == Flood::Sources && s == 9 {
                sources(&mut measured, &clock, slot, each, now);
            }
        }
        if slot % 6 == 5 {
            measured.act(|sentinel| drop(sentinel.report(Query::default())));
            let window = Some(Duration::from_mins(2));
            measured.act(|sentinel| drop(sentinel.report(Query { window, ..Query::default() })));
        }
        used = used.max(measured.sentinel.memory().used);
    }
    let report = measured.sentinel.report(Query::default());
    let first = &report.tenants[0];
    assert_eq!(
        (first.tenant_id.as_str(), first.errors, first.bound.errors),
        ("planted", 120, 0),
        "{flood:?}: {report}"
    );
    assert_eq!(
        (report.verdict.kind, &report.verdict.tenants[..]),
        (Kind::OneTenant, &["planted".into()][..]),
        "{report}"
    );
    let oldest = SLOTS - 1 - 60;
    let coarse =
        truth.iter().filter(|(id, known)| percentiles_are_right(&measured.sentinel, id, known, oldest)).count();
    let stats = measured.sentinel.stats();
    assert!(coarse == 0 || stats.blocks_coarsened > 0 || report.mode == Mode::Bounded, "{flood:?}: {stats:?}");
    let (coarsened, pruned) = (stats.blocks_coarsened, stats.blocks_pruned);
    let known = |id: &&String| measured.sentinel.tenant(id.as_bytes(), None).is_some_and(|t| t.row.bound.requests == 0);
    let whole = truth.keys().filter(known).count();
    Found { flood, budget, used, most: measured.most as usize, coarsened, pruned, whole }
}

/// Within 3.2 % of the exact nearest-rank value, within 6.3 % where the row says so; which of them.
fn percentiles_are_right(sentinel: &Sentinel, id: &str, known: &[(i64, u32)], oldest: i64) -> bool {
    let Some(row) = sentinel.tenant(id.as_bytes(), None).map(|tenant| tenant.row) else {
        return false;
    };
    let mut us: Vec<u32> = known.iter().filter(|(slot, _)| *slot >= oldest).map(|(_, us)| *us).collect();
    us.sort_unstable();
    if row.bound.requests > 0 {
        return false;
    }
    assert_eq!(row.requests, us.len() as u64, "{row:?}");
    let within = if row.latency_coarse { 0.063 } else { 0.032 };
    for (percent, found) in [(50, row.p50_ms), (95, row.p95_ms), (99, row.p99_ms)] {
        let exact = f64::from(us[(us.len() * percent).div_ceil(100) - 1]) / 1_000.0;
        let found = found.unwrap();
        assert!((found - exact).abs() <= within * exact, "{id}, p{percent}: {found} for {exact}");
    }
    row.latency_coarse
}

fn check(flood: Flood, budgets: &[(usize, u64)]) {
    let found: Vec<Found> = budgets.iter().map(|&(budget, each)| run(flood, budget, each)).collect();
    let fits = |found: &Found| found.most.max(found.used) <= found.budget * MIB;
    assert!(found.iter().all(fits), "{found:#?}");
}

#[test]
fn who_fails_is_named_and_what_memory_cost_is_said() {
    for flood in [Flood::Ids, Flood::LongIds, Flood::Slow] {
        let found = run(flood, 8, 200);
        assert!(found.coarsened > 0 && found.pruned > 0 && found.whole == 20, "{found:?}");
    }
}

#[test]
fn a_thousand_endpoints() {
    check(Flood::Endpoints, &[(4, 200), (8, 200)]);
}

// Most bytes held at once, by what was called: (record; a tick that closes a slot; a report of two minutes).

#[test]
fn distinct_ids() {
    check(Flood::Ids, &[(4, 200), (8, 300), (16, 400), (64, 800)]);
}

#[test]
fn long_ids() {
    check(Flood::LongIds, &[(4, 200), (16, 300)]);
}

#[test]
fn everybody_is_slow() {
    check(Flood::Slow, &[(4, 200), (8, 300)]);
}

#[test]
fn ids_of_every_length() {
    check(Flood::Lengths, &[(4, 200), (16, 300)]);
}

#[test]
fn other_sources() {
    check(Flood::Sources, &[(4, 300), (8, 300), (16, 300)]);
}

#[test]
#[ignore = "bug: none of 20 is left whole: others' ids count, but one's own blocks are pruned for them"]
fn other_sources_do_not_push_out_ones_own() {
    let found = run(Flood::Sources, 16, 100);
    assert_eq!(found.whole, 20, "{found:?}");
}

/// Requests that hang, each of somebody else.
#[test]
fn requests_in_flight() {
    let mut measured = Measured::new(4 * MIB, Clock::manual(START));
    let mut flights = Vec::with_capacity(65_536);
    measured.act(|sentinel| {
        for id in 0..65_536 {
            let mut flight = sentinel.start();
            flight.tenant(format!("{id:0>128}").as_bytes());
            flights.push(flight);
        }
        drop(sentinel.report(Query::default()));
    });
    let used = measured.sentinel.memory().used;
    assert!(used <= 4 * MIB, "{used} bytes of {}", 4 * MIB);
}

/// When a flood has left the window, it costs nothing any more.
#[test]
fn a_flood_of_one_length_is_forgotten() {
    calm_after(&[16]);
}

#[test]
fn floods_of_many_lengths_are_forgotten() {
    calm_after(&[8, 24, 40, 56, 72, 88, 104, 120]);
}

/// A minute of a flood of each length, then calm for longer than the window.
fn calm_after(lengths: &[usize]) {
    let clock = Clock::manual(START);
    let mut measured = Measured::new(4 * MIB, clock);
    let (mut rng, mut truth, mut id) = (StdRng::seed_from_u64(1), BTreeMap::new(), 0_u64);
    let flood = 6 * lengths.len() as i64;
    for slot in 0..flood + 65 {
        let now = START + slot * SLOT_MS;
        measured.act(|sentinel| sentinel.tick(now));
        regulars(&mut measured, &mut rng, &mut truth, slot, now);
        for _ in 0..if slot < flood { 2_000 } else { 0 } {
            id += 1;
            let len = lengths[slot as usize / 6];
            measured.act(|sentinel| request(sentinel, &format!("{id:0>len$x}"), "/v1", 200, 1_000, now));
        }
    }
    let (report, before) = (measured.sentinel.report(Query::default()), measured.sentinel.stats().blocks_pruned);
    measured.act(|sentinel| sentinel.tick(START + (flood + 66) * SLOT_MS));
    let memory = measured.sentinel.memory();
    assert_eq!((report.mode, report.totals.tenants), (Mode::Exact, 21), "{memory:?}, {} held", measured.held);
    assert_eq!(measured.sentinel.stats().blocks_pruned, before);
}
