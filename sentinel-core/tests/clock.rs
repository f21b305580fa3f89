//! Time as it comes in real life: steps of milliseconds, machines that slept for hours, gaps of years, requests that say they
//! ended at any moment there is. Against a plain oracle that keeps every event and does its sums in 128 bits.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use sentinel_core::{Block, Clock, Event, Kind, Mode, Query, Sentinel, Tail};
use std::collections::BTreeSet;
use std::time::Duration;

const START: i64 = 1_700_000_004_000;
const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * 24 * HOUR;
const TENANTS: [&str; 5] = ["acme", "beta", "gamma", "delta", ""];

#[derive(Debug, Clone, Copy)]
struct Grid {
    anchor_ms: i64,
    slot_ms: i64,
    slots: i64,
}

impl Grid {
    fn slot_of(self, at_ms: i64) -> i128 {
        (i128::from(at_ms) - i128::from(self.anchor_ms)).div_euclid(i128::from(self.slot_ms))
    }

    /// A time that i64 cannot hold is its last one.
    fn start_of(self, slot: i128) -> i64 {
        let ms = slot * i128::from(self.slot_ms) + i128::from(self.anchor_ms);
        ms.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    fn sentinel(self, clock: &Clock) -> Sentinel {
        let ms = |ms: i64| Duration::from_millis(ms as u64);
        let builder = Sentinel::builder().slot(ms(self.slot_ms)).window(ms(self.slots * self.slot_ms));
        builder.anchor_ms(self.anchor_ms).clock(clock.clone()).stripes(1).build().unwrap()
    }
}

/// An accepted event.
#[derive(Debug)]
struct Kept {
    tenant: usize,
    error: bool,
    slot: i128,
}

#[derive(Debug)]
struct Oracle {
    grid: Grid,
    now_ms: i64,
    offered: u64,
    late: u64,
    status: u64,
    future: u64,
    kept: Vec<Kept>,
}

impl Oracle {
    fn new(grid: Grid, now_ms: i64) -> Self {
        Self { grid, now_ms, offered: 0, late: 0, status: 0, future: 0, kept: Vec::new() }
    }

    fn oldest(&self) -> i128 {
        self.grid.slot_of(self.now_ms) - i128::from(self.grid.slots)
    }

    fn record(&mut self, tenant: usize, status: u16, at: Option<i64>) {
        self.offered += 1;
        if !(100..600).contains(&status) {
            self.status += 1;
            return;
        }
        let at_ms = at.unwrap_or(self.now_ms);
        self.future += u64::from(i128::from(at_ms) > i128::from(self.now_ms) + i128::from(self.grid.slot_ms));
        let slot = self.grid.slot_of(at_ms.min(self.now_ms));
        if slot < self.oldest() {
            self.late += 1;
        } else {
            self.kept.push(Kept { tenant, error: status >= 500, slot });
        }
    }

    fn since(&self, first: i128) -> impl Iterator<Item = &Kept> {
        self.kept.iter().filter(move |kept| kept.slot >= first)
    }

    /// Checks the properties that hold at any moment, also before the first look.
    fn check_ledger(&self, sentinel: &Sentinel) {
        let stats = sentinel.stats();
        assert_eq!(stats.offered, stats.accepted + stats.dropped.late + stats.dropped.status);
        assert_eq!(stats.accepted, stats.in_window + stats.expired);
        let found = (stats.offered, stats.dropped.status, stats.adjusted.future);
        assert_eq!(found, (self.offered, self.status, self.future));
        // A request for the slot that is open counts there without a look at the clock: where nobody has ticked since, it may
        // be one that has left the window meanwhile. It expires with its slot.
        assert!(stats.dropped.late <= self.late, "{stats:?}");
        assert!(stats.in_window >= self.since(self.oldest()).count() as u64, "expired too early: {stats:?}");
    }

    fn check_report(&self, sentinel: &Sentinel, slots: i64) {
        let window = Some(Duration::from_millis((slots * self.grid.slot_ms) as u64));
        let report = sentinel.report(Query { window, limit: 100, ..Query::default() });
        let first = self.grid.slot_of(self.now_ms) - i128::from(slots);
        assert_eq!((report.as_of, report.from_ms, report.to_ms), (self.now_ms, self.grid.start_of(first), self.now_ms));
        let (requests, errors) = (self.since(first).count(), self.since(first).filter(|kept| kept.error).count());
        let totals = &report.totals;
        assert_eq!((totals.requests, totals.errors), (requests as u64, errors as u64));
        let tenants: BTreeSet<usize> = self.since(first).map(|kept| kept.tenant).collect();
        assert_eq!((totals.tenants, report.tenants.len()), (tenants.len() as u64, tenants.len()));
        for row in &report.tenants {
            let is = |name: &str| row.tenant_id == if name.is_empty() { "unattributed" } else { name };
            let own = || self.since(first).filter(|kept| is(TENANTS[kept.tenant]));
            let counts = (own().count() as u64, own().filter(|kept| kept.error).count() as u64);
            assert_eq!((row.requests, row.errors), counts, "{}", row.tenant_id);
        }
        assert_eq!((report.mode, report.tail), (Mode::Exact, Tail::default()));
        let inside = self.since(self.oldest()).count() as u64;
        assert_eq!(report.stats.in_window, inside, "after a look the ledger is as of now");
        assert_eq!(sentinel.blocks().iter().map(Block::requests).sum::<u64>(), inside);
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Tenant, status, and ms beside now, or a moment of its own.
    Record(usize, u16, Option<At>),
    Tick(At),
    /// The clock moves while this sentinel is told nothing: the next call finds out.
    Elsewhere(At),
    Look(i64),
}

#[derive(Debug, Clone, Copy)]
enum At {
    Beside(i64),
    /// A window away, and ms beside that: where slots come in and go out.
    Window(bool, i64),
    Exactly(i64),
}

impl At {
    fn from(self, now_ms: i64, grid: Grid) -> i64 {
        let window_ms = grid.slots * grid.slot_ms;
        match self {
            Self::Beside(ms) => now_ms.saturating_add(ms),
            Self::Window(back, ms) => {
                now_ms.saturating_add(if back { -window_ms } else { window_ms } + ms % grid.slot_ms)
            }
            Self::Exactly(ms) => ms,
        }
    }
}

/// From a millisecond to ten years, in either direction, each length as likely as another.
fn beside() -> impl Strategy<Value = i64> {
    let some = |most: i64| -most..=most;
    prop_oneof![some(1_000), some(15_000), some(60_000), some(HOUR), some(24 * HOUR), some(10 * YEAR)]
}

fn extreme() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, START, i64::MAX - 1, i64::MAX])
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![5 => Just(200_u16), 3 => Just(503), 1 => prop::sample::select(vec![0, 99, 600, 65_535])];
    let at = prop_oneof![
        3 => Just(None),
        6 => beside().prop_map(|ms| Some(At::Beside(ms))),
        2 => (-60_000_i64..60_000).prop_map(|ms| Some(At::Window(true, ms))),
        1 => extreme().prop_map(|ms| Some(At::Exactly(ms))),
    ];
    let window = || (-60_000_i64..60_000).prop_map(|ms| At::Window(false, ms));
    // The end of time is no place for most of a life.
    let moved =
        || prop_oneof![60 => beside().prop_map(At::Beside), 15 => window(), 1 => extreme().prop_map(At::Exactly)];
    prop_oneof![
        8 => (0..TENANTS.len(), status, at).prop_map(|(tenant, status, at)| Step::Record(tenant, status, at)),
        2 => moved().prop_map(Step::Tick),
        2 => moved().prop_map(Step::Elsewhere),
        3 => (1_i64..1_000).prop_map(Step::Look),
    ]
}

fn grid() -> impl Strategy<Value = Grid> {
    prop::sample::select(vec![
        (0, 10_000, 60),
        (0, 1_000, 30),
        (0, 60_000, 720),
        (1_234, 10_000, 60),
        (59_999, 60_000, 5),
    ])
    .prop_map(|(anchor_ms, slot_ms, slots)| Grid { anchor_ms, slot_ms, slots })
}

fn live(grid: Grid, start: i64, steps: Vec<Step>) {
    let clock = Clock::manual(start);
    let (sentinel, mover) = (grid.sentinel(&clock), grid.sentinel(&clock));
    let mut oracle = Oracle::new(grid, start);
    for step in steps {
        match step {
            Step::Record(tenant, status, at) => {
                let at = at.map(|at| at.from(oracle.now_ms, grid));
                oracle.record(tenant, status, at);
                sentinel.record(Event { tenant: TENANTS[tenant].as_bytes(), status, at, ..Event::default() });
            }
            Step::Tick(to) | Step::Elsewhere(to) => {
                let to_ms = to.from(oracle.now_ms, grid);
                oracle.now_ms = oracle.now_ms.max(to_ms);
                if matches!(step, Step::Tick(_)) { &sentinel } else { &mover }.tick(to_ms);
                assert_eq!(sentinel.now_ms(), oracle.now_ms);
            }
            Step::Look(slots) => oracle.check_report(&sentinel, slots.min(grid.slots)),
        }
        oracle.check_ledger(&sentinel);
    }
    oracle.check_report(&sentinel, grid.slots);
    oracle.check_report(&sentinel, 1);
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 4_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn any_steps_of_time_keep_the_ledger_and_the_window(grid in grid(), steps in vec(step(), 1..80)) {
        live(grid, START, steps);
    }

    /// No year is special: neither that of the epoch nor the first or the last ones of 64 bits.
    #[test]
    fn any_year_will_do(
        start in prop::sample::select(vec![i64::MIN + 20 * YEAR, -YEAR, -1, 0, i64::MAX - 20 * YEAR, i64::MAX - HOUR, i64::MAX]),
        steps in vec(step(), 1..60),
    ) {
        live(Grid { anchor_ms: 0, slot_ms: 10_000, slots: 60 }, start, steps);
    }

    /// A machine sleeps for minutes or hours; requests that ended before come in after it woke up, as do new ones.
    #[test]
    fn what_ended_before_a_suspend_counts_where_it_belongs(
        before in vec(0_i64..600_000, 0..60), asleep in 0_i64..6 * HOUR, stragglers in vec(0_i64..600_000, 0..60), after in 0_u64..20,
    ) {
        let grid = Grid { anchor_ms: 0, slot_ms: 10_000, slots: 60 };
        let sentinel = grid.sentinel(&Clock::manual(START));
        let send = |ago: i64| sentinel.record(Event { tenant: b"acme", status: 500, at: Some(START - ago), ..Event::default() });
        before.iter().for_each(|ago| send(*ago));
        sentinel.tick(START + asleep);
        stragglers.iter().for_each(|ago| send(*ago));
        (0..after).for_each(|_| sentinel.record(Event { tenant: b"beta", ..Event::default() }));
        let from = grid.start_of(grid.slot_of(START + asleep) - 60);
        let inside = |agos: &[i64]| agos.iter().filter(|ago| START - **ago >= from).count() as u64;
        let report = sentinel.report(Query::default());
        prop_assert_eq!(report.totals.errors, inside(&before) + inside(&stragglers));
        prop_assert_eq!(report.totals.requests, inside(&before) + inside(&stragglers) + after);
        prop_assert_eq!(report.stats.dropped.late, stragglers.len() as u64 - inside(&stragglers));
        prop_assert_eq!(report.stats.expired, before.len() as u64 - inside(&before));
    }
}

/// Thousands of gaps of ten years, each noticed by a tick, a request, a question or a block: one that went through the 31
/// million slots of each would not come back.
#[test]
fn a_gap_of_ten_years_costs_nothing_and_leaves_nothing() {
    let clock = Clock::manual(START);
    let grid = Grid { anchor_ms: 0, slot_ms: 10_000, slots: 60 };
    let (sentinel, mover) = (grid.sentinel(&clock), grid.sentinel(&clock));
    let fails = |at| sentinel.record(Event { tenant: b"acme", status: 500, at, ..Event::default() });
    let mut now_ms = START;
    for gap in 0..4_000_i64 {
        (0..3).for_each(|slot| fails(Some(now_ms - slot * 10_000)));
        assert_eq!(sentinel.report(Query::default()).totals.errors, 3, "gap {gap}");
        now_ms += 10 * YEAR + gap;
        if gap % 4 == 0 { &sentinel } else { &mover }.tick(now_ms);
        match gap % 4 {
            1 => sentinel.record(Event { status: 0, ..Event::default() }),
            2 => {
                let there = grid.sentinel(&clock);
                there.record(Event::default());
                sentinel.merge(there.blocks().remove(0)).unwrap();
            }
            _ => {}
        }
        let report = sentinel.report(Query::default());
        let (merged, expired) = (u64::from(gap % 4 == 2), 3 * (gap as u64 + 1));
        let found = (report.totals.requests, report.totals.errors, report.stats.in_window, report.stats.expired);
        assert_eq!(found, (merged, 0, 0, expired), "gap {gap}");
        assert_eq!((report.verdict.kind, report.latency_verdict.kind), (Kind::Quiet, Kind::Quiet), "gap {gap}");
    }
}
