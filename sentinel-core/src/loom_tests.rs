//! Models for loom (`make loom`): every order in which a few records, a change of slot and a query can meet, up to a number of
//! preemptions. Loom sees the stripes' locks, the lock behind them, `sealing_stripe`, `backoff` and the manual clock.
#![allow(clippy::print_stderr)] // the number of orders that were tried

use crate::event::Event;
use crate::report::Query;
use crate::sentinel::Sentinel;
use crate::slot::stats::Stats;
use crate::slot::thread_stripe;
use crate::util::clock::Clock;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread::JoinHandle;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

/// A boundary of slots.
const START: i64 = 1_700_000_400_000;
/// Stack of a thread in words: a query needs more than loom's default.
const STACK: usize = 64 << 10;

/// State that all threads of a model share.
struct World {
    sentinel: Sentinel,
    clock: Clock,
    /// Records that have returned.
    recorded: AtomicU64,
}

impl World {
    /// A small sentinel in the last millisecond of a slot. Small, because loom builds one for each order that it tries.
    fn new(stripes: usize) -> Arc<Self> {
        let clock = Clock::manual(START - 1);
        let builder = Sentinel::builder().places(8).max_endpoints(1).budget(4 << 20).window(Duration::from_secs(30));
        let sentinel = builder.stripes(stripes).clock(clock.clone()).build().expect("valid");
        Arc::new(Self { sentinel, clock, recorded: AtomicU64::new(0) })
    }

    fn record(&self, tenant: &str) {
        self.sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/", status: 500, ..Event::default() });
        self.recorded.fetch_add(1, Ordering::Release);
    }

    /// Records tenants in the slot that is about to end, one in each stripe in turn.
    fn fill(&self, tenants: usize) {
        for i in (0..tenants).rev() {
            thread_stripe::set(i);
            self.record(&format!("before-{i}"));
        }
    }

    fn begin_next_slot(&self) {
        self.clock.tick(START);
    }

    /// Checks that a report contains everything recorded before it, once. Returns the requests in it.
    fn look(&self) -> u64 {
        let before = self.recorded.load(Ordering::Acquire);
        let report = self.sentinel.report(Query { limit: usize::MAX, ..Query::default() });
        balances(&report.stats);
        let seen = report.totals.requests;
        assert!(seen >= before, "{before} were recorded, {seen} are seen");
        assert!(report.stats.in_window >= seen && report.stats.expired == 0, "{seen} of {:?}", report.stats);
        assert_eq!(report.tenants.iter().map(|row| row.requests).sum::<u64>(), seen);
        seen
    }

    /// Checks, after all threads have ended, that every record is counted once.
    fn ends_with(&self, tenants: &[(&str, u64)]) {
        let all = self.recorded.load(Ordering::Acquire);
        assert_eq!(self.look(), all);
        let stats = self.sentinel.stats();
        assert_eq!((stats.offered, stats.accepted, stats.in_window, stats.expired), (all, all, all, 0));
        for (tenant, requests) in tenants {
            let found = self.sentinel.tenant(tenant.as_bytes(), None);
            assert_eq!(found.map(|found| found.row.requests), Some(*requests), "{tenant}");
        }
        assert_eq!(self.sentinel.blocks().iter().map(crate::Block::requests).sum::<u64>(), all);
    }
}

fn balances(stats: &Stats) {
    assert_eq!(stats.offered, stats.accepted + stats.dropped.status + stats.dropped.late, "{stats:?}");
    assert_eq!(stats.accepted, stats.in_window + stats.expired, "{stats:?}");
}

/// A thread of a model, whose stripe is `home`.
fn spawn(home: usize, act: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let start = move || {
        thread_stripe::set(home);
        act();
    };
    loom::thread::Builder::new().stack_size(STACK).spawn(start).expect("a thread")
}

/// Runs a model in all orders. A query takes locks some hundred times, more than loom expects.
fn model(name: &str, stripes: usize, act: impl Fn(usize) + Sync + Send + Copy + 'static) {
    let (began, orders) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let counted = orders.clone();
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        spawn(0, move || act(stripes)).join().expect("no panic");
    });
    eprintln!("{name}, {stripes} stripe(s): {orders:?} orders in {:.1?}", began.elapsed());
}

/// Two threads that record, each twice its own tenant.
fn recorders(world: &Arc<World>) -> [JoinHandle<()>; 2] {
    [(0, "a"), (1, "b")].map(|(home, tenant)| {
        let world = world.clone();
        spawn(home, move || {
            world.record(tenant);
            world.record(tenant);
        })
    })
}

/// A slot ends while two threads record and a third one queries.
fn rotation(stripes: usize) {
    let world = World::new(stripes);
    let recorders = recorders(&world);
    world.begin_next_slot();
    world.look();
    recorders.into_iter().for_each(|recorder| recorder.join().expect("no panic"));
    world.ends_with(&[("a", 2), ("b", 2)]);
}

/// A slot ends during a query, between two records of a thread.
fn overtaken(stripes: usize) {
    let world = World::new(stripes);
    world.fill(1);
    let beside = world.clone();
    let recorder = spawn(1, move || {
        beside.record("a");
        beside.begin_next_slot();
        beside.record("a");
    });
    let seen = world.look();
    assert!(world.look() >= seen);
    recorder.join().expect("no panic");
    world.ends_with(&[("a", 2), ("before-0", 1)]);
}

/// The slot has ended and waits to be sealed, which takes more than one request: requests seal while another thread queries.
fn help(stripes: usize) {
    let world = World::new(stripes);
    world.fill(8);
    world.begin_next_slot();
    let recorders = recorders(&world);
    world.look();
    recorders.into_iter().for_each(|recorder| recorder.join().expect("no panic"));
    world.ends_with(&[("a", 2), ("b", 2), ("before-0", 1), ("before-7", 1)]);
}

/// No thread queries: requests seal the waiting tables while another thread reads the ledger.
fn ledger(stripes: usize) {
    let world = World::new(stripes);
    world.fill(2);
    let recorders = recorders(&world);
    world.begin_next_slot();
    balances(&world.sentinel.stats());
    balances(&world.sentinel.stats());
    recorders.into_iter().for_each(|recorder| recorder.join().expect("no panic"));
    world.ends_with(&[("a", 2), ("b", 2), ("before-0", 1), ("before-1", 1)]);
}

/// The clock is set back by an hour while two threads record: nothing is counted twice, and nothing is lost from the ledger.
fn set_back(stripes: usize) {
    let world = World::new(stripes);
    world.fill(1);
    world.sentinel.tick(START);
    let recorders = recorders(&world);
    world.clock.set(START - 3_600_000);
    let report = world.sentinel.report(Query::default());
    balances(&report.stats);
    recorders.into_iter().for_each(|recorder| recorder.join().expect("no panic"));
    let stats = world.sentinel.report(Query::default()).stats;
    balances(&stats);
    assert_eq!(stats.offered, 5);
}

macro_rules! models {
    ($($name:ident),*) => { $(mod $name {
        #[test]
        fn on_one_stripe() {
            super::model(stringify!($name), 1, super::$name);
        }

        #[test]
        fn on_two_stripes() {
            super::model(stringify!($name), 2, super::$name);
        }
    })* };
}

models!(rotation, overtaken, help, ledger, set_back);
