//! One process's engine: stripes in front, closed slots and judges behind, and the code that moves time through both.
//!
//! ```text
//!  requests touch                │ ticks and queries touch (one lock, `closed`)
//!                                │
//!  record ─► stripe 0 ─ table ─┐ │
//!  record ─► stripe 1 ─ table ─┼─┼─► sealing ─► parts ─► merged slot ─► judges ─► window
//!  record ─► stripe n ─ table ─┘ │   (a table   (sealed   (one block    (verdict/  (window/)
//!  start  ─► flights             │    becomes    tables)   a slot)       fleet)
//!                                │    rows)
//! ```
//!
//! A request locks one stripe for some tens of nanoseconds, counts, and returns. The core has no thread, so *the caller
//! moves time*: a tick, a query and a rollup run [`Engine::advance`], and so does a merge in a new slot. In this order
//! it
//!
//! 1. seals the tables of all stripes, the open slot's included (`sealing`); a stripe's lock is held for a pointer swap
//!    only;
//! 2. closes every slot that ended, oldest first: judges it as of its end, then adds it to the baselines and the window
//!    (`closing`);
//! 3. drops blocks older than the window, and judges the open slot when half a second has passed since the last
//!    judgement.
//!
//! When nobody ticks or asks, filled tables pile up behind the stripes. Then each request seals a few tenants of them
//! (`helping`), so that no single request pays for a whole slot, and `eviction` keeps the result within the budget.
//!
//! **Invariant**: each accepted request is in exactly one place (a stripe's table, the table being sealed, a part, a
//! block of the window) or counted as expired, and it changes place only under the lock on `closed`. So `accepted = in
//! the window + expired` holds whenever that lock is held (`Engine::stats_of`).
//!
//! **Why a query swaps tables instead of copying them.** Sealing the open table under its stripe's lock made requests
//! wait for milliseconds. A query takes the table away, puts the spare one in its place and seals without that lock;
//! the open slot is the merge of the parts that the ticks and queries so far have taken.
//!
//! | file | content |
//! |---|---|
//! | `closing` | moves time: closes slots that ended, takes in late events of older slots, restarts after a clock was set back |
//! | `sealing` | turns filled tables into rows and merges the parts of a slot into one block |
//! | `helping` | lets requests seal a few tenants when nobody ticks |
//! | `eviction` | drops the oldest parts and blocks when memory is short, and sums what waits |
//! | `foreign` | exchanges blocks, requests in flight and baselines with other processes |
//! | `flights` | the requests in flight of this process |
//! | `in_flight_wire` | the bytes in which requests in flight travel between processes |
//!
//! A late event goes to a table of its own in its stripe (`slot/late_events.rs`), is sealed like any other, and reaches its
//! old slot in `closing` (`Closed::take_in`): the slot's block is merged with it and the judges' counts are amended.

mod closing;
mod eviction;
pub(crate) mod flights;
mod foreign;
mod helping;
pub(crate) mod in_flight_wire;
mod sealing;

use crate::baseline::side::Side;
use crate::baseline::wire::Baseline;
use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::block::release_queue::ReleaseQueue;
use crate::block::seal::Sealing;
use crate::config::Config;
use crate::engine::flights::Flights;
use crate::engine::in_flight_wire::Live;
use crate::event::Event;
use crate::event::endpoint::{Registry, ResolvedEndpoint};
use crate::event::tenant;
use crate::slot::sample::HashedId;
use crate::slot::stats::{Memory, Stats};
use crate::slot::stripe::{Attribution, Shared, Stripe, hash, meaning};
use crate::slot::table::SlowLine;
use crate::slot::thread_stripe;
use crate::util::budget::Budget;
use crate::util::clock::{Clock, Stamp};
use crate::util::grid::Grid;
use crate::util::lock::{Lock, LockGuard};
use crate::util::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::verdict::Verdict;
use crate::verdict::fleet::{Fleet, FleetSettings};
use crate::window::Window;
use crate::window::tenant_detail::TenantDetailCache;
use ahash::RandomState;
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Engine {
    /// Fork generation of the process that made this engine; a forked child makes an engine of its own.
    pub(crate) generation: u64,
    /// Random id of this process's blocks.
    pub(crate) source: u64,
    clock: Clock,
    shared: Arc<Shared>,
    stripes: Box<[CachePadded<Lock<Stripe>>]>,
    /// For each stripe: requests that still pass before one tries to help again, 0 to `helping::BACKOFF_REQUESTS`.
    backoff: Box<[CachePadded<AtomicUsize>]>,
    /// Index of the stripe whose table is being sealed, or `NO_STRIPE`. Only requests of that stripe help, so that
    /// threads on other stripes do not compete for the lock on `closed`.
    sealing_stripe: CachePadded<AtomicUsize>,
    /// Everything behind the stripes. The lock is not one of `parking_lot`: all its locks share one wait table, and a
    /// forked child would inherit the parent's waiters.
    closed: Mutex<Closed>,
    pub(crate) flights: Flights,
    pub(crate) adapter_failures: AtomicUsize,
    /// Configured memory budget, bytes.
    budget: usize,
}

/// Everything behind the stripes: sealed tables, the window, the judges, and the time up to which they have been moved.
#[derive(Debug)]
pub(crate) struct Closed {
    settings: FleetSettings,
    pub(crate) ids: Dictionary,
    pub(crate) window: Window,
    /// The part of the open slot that the last advance sealed.
    pub(crate) open: Option<Packed>,
    /// Sealed tables that no advance has taken into the window yet, in the order of sealing.
    parts: VecDeque<SealedPart>,
    pub(crate) details: TenantDetailCache,
    sealing: Option<Sealing>,
    releasing: ReleaseQueue,
    /// Both judges; `None` until the first event.
    pub(crate) fleet: Option<Fleet>,
    /// Baseline of another process, kept until the judges begin with it.
    inherited: Option<Baseline>,
    /// Requests in flight in other processes, as last published.
    pub(crate) live: Vec<Live>,
    /// Latencies above this line count as slow in new tables.
    pub(crate) slow_line: SlowLine,
    /// Time of the last advance, Unix ms; never falls except when the clock was set back (see `closing`).
    pub(crate) now_ms: i64,
    /// Number of the open slot.
    pub(crate) slot: i64,
}

/// A sealed table of one stripe: a part of a slot, with unsorted rows.
#[derive(Debug)]
struct SealedPart {
    slot: i64,
    block: Packed,
}

// The budget is divided once, here: 3 sixteenths for the stripes' tables, 9 for the window, 2 for the judges, 1 for
// requests in flight. One sixteenth stays free, and together with unused parts of the other shares it holds short-lived
// memory.
/// Number of equal parts that the budget is divided into.
const BUDGET_SHARES: usize = 16;
/// Share of the stripes' tables; `config` chooses the places of a table so that the tables fit.
pub(crate) const TABLE_SHARE: usize = 3;
/// Share of the window: blocks, the dictionary of their ids, and the views of the rankings.
const WINDOW_SHARE: usize = 9;
/// Share of the requests in flight.
const FLIGHT_SHARE: usize = 1;
/// Bytes that one tick needs for a moment whatever the budget: a slot's rows twice, and a report. The window's share
/// provides them, so the window's limit is `WINDOW_SHARE` sixteenths minus 448 KiB.
const TICK_BYTES: usize = 448 << 10;
/// Share of the judges: counts and baselines of tenants and endpoints.
const JUDGE_SHARE: usize = 2;
/// Value of `sealing_stripe` while no table is being sealed.
const NO_STRIPE: usize = usize::MAX;

impl Engine {
    pub(crate) fn new(config: &Config, generation: u64) -> Self {
        #[cfg(not(sentinel_loom))]
        let hasher = RandomState::new();
        // A loom model must behave the same in every run.
        #[cfg(sentinel_loom)]
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        // The hasher's random keys make the id differ between processes, and `generation` makes it differ after each
        // fork. Two children of one parent in different containers may share keys and process number: the time tells
        // them apart.
        let source = hasher.hash_one((generation, std::process::id(), std::time::Instant::now()));
        let share = |share: usize| config.budget / BUDGET_SHARES * share;
        let settings = FleetSettings {
            grid: config.grid,
            budget: share(JUDGE_SHARE),
            errors: config.errors.to_string(),
            slow_after: config.slow_after,
            hasher: hasher.clone(),
        };
        let slow_line =
            SlowLine { fleet: config.slow_after.unwrap_or(SlowLine::default().fleet), ..SlowLine::default() };
        let registry = Registry::new(config.max_endpoints);
        let closed = Closed {
            settings,
            ids: Dictionary::new(hasher.clone()),
            window: Window::new(config.grid, source, share(WINDOW_SHARE) - TICK_BYTES),
            open: None,
            parts: VecDeque::new(),
            details: TenantDetailCache::default(),
            sealing: None,
            releasing: ReleaseQueue::default(),
            fleet: None,
            inherited: None,
            live: Vec::new(),
            slow_line,
            now_ms: i64::MIN,
            slot: i64::MIN,
        };
        let budget = Budget::new(share(TABLE_SHARE));
        let shared = Arc::new(Shared {
            grid: config.grid,
            statuses: meaning(config.errors),
            places: config.places,
            hasher,
            registry,
            budget,
        });
        let stripe = || {
            let mut stripe = Stripe::new(Arc::clone(&shared));
            stripe.set_slow_line(&closed.slow_line);
            CachePadded::new(Lock::new(stripe))
        };
        Self {
            generation,
            source,
            clock: config.clock.clone(),
            stripes: (0..config.stripes).map(|_| stripe()).collect(),
            backoff: (0..config.stripes).map(|_| CachePadded::new(AtomicUsize::new(0))).collect(),
            shared,
            sealing_stripe: CachePadded::new(AtomicUsize::new(NO_STRIPE)),
            closed: Mutex::new(closed),
            flights: Flights::new(share(FLIGHT_SHARE)),
            adapter_failures: AtomicUsize::new(0),
            budget: config.budget,
        }
    }

    /// The time since a stamp of this engine's clock.
    pub(crate) fn since(&self, started: &Stamp) -> Duration {
        self.clock.since(started)
    }

    pub(crate) fn grid(&self) -> Grid {
        self.shared.grid
    }

    /// Counts an event in this thread's stripe.
    #[inline]
    pub(crate) fn record(&self, event: &Event<'_>) {
        if event.tenant.len() > tenant::MAX_ID {
            return self.record_long(event);
        }
        let attribution = Attribution { tenant: self.hashed(event.tenant), truncated: false, endpoint: None };
        self.count(event, &attribution);
    }

    #[cold]
    fn record_long(&self, event: &Event<'_>) {
        let (tenant, truncated) = tenant::bounded(event.tenant);
        let attribution = Attribution { tenant: self.hashed(&tenant), truncated, endpoint: None };
        self.count(event, &attribution);
    }

    /// Pairs a tenant's id with the hash by which the tables and the dictionary find it.
    #[inline]
    pub(crate) fn hashed<'a>(&self, id: &'a [u8]) -> HashedId<'a> {
        HashedId { id, hash: hash(&self.shared.hasher, id) }
    }

    /// Looks up the endpoint of a template.
    pub(crate) fn resolve(&self, template: &str) -> ResolvedEndpoint {
        self.stripe().1.resolve(template)
    }

    #[inline]
    pub(crate) fn count(&self, event: &Event<'_>, attribution: &Attribution<'_>) {
        let (home, mut stripe) = self.stripe();
        let waiting = stripe.record(event, attribution, || self.clock.now_ms());
        drop(stripe);
        let sealing_stripe = self.sealing_stripe.load(Ordering::Relaxed);
        // While another stripe's requests seal, this stripe's requests would only compete with them for the lock. Two
        // waiting tables mean that those requests have stopped coming.
        if sealing_stripe == home || waiting > 0 && (sealing_stripe == NO_STRIPE || waiting > 1) {
            self.help(home, waiting);
        }
    }

    /// Locks this thread's stripe, or any free one when it is taken. Returns the index of this thread's stripe either
    /// way.
    #[inline]
    fn stripe(&self) -> (usize, LockGuard<'_, Stripe>) {
        let home = thread_stripe::of_thread(self.stripes.len());
        let stripe = self.stripes[home].try_lock().unwrap_or_else(|| self.another_stripe(home));
        (home, stripe)
    }

    #[cold]
    fn another_stripe(&self, home: usize) -> LockGuard<'_, Stripe> {
        let mask = self.stripes.len() - 1;
        let free = (1..self.stripes.len()).find_map(|i| self.stripes[(home + i) & mask].try_lock());
        free.unwrap_or_else(|| self.stripes[home].lock())
    }

    fn closed(&self) -> MutexGuard<'_, Closed> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks everything behind the stripes and moves it to the current time. The clock is read under the lock, so that
    /// a thread that was delayed while waiting does not bring an old time.
    pub(crate) fn advanced(&self) -> MutexGuard<'_, Closed> {
        let mut closed = self.closed();
        self.advance(&mut closed, self.clock.sync());
        closed
    }

    /// Moves everything to the current time.
    pub(crate) fn tick(&self) {
        drop(self.advanced());
    }

    pub(crate) fn verdict(&self, side: Side) -> Verdict {
        self.closed().verdict(side)
    }

    pub(crate) fn memory(&self) -> Memory {
        let used = self.closed().weight() + self.shared.budget.used() + self.flights.weight();
        Memory { used, budget: self.budget }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats_of(&self.closed())
    }

    /// Sums the ledger. A table moves to the window only under the lock on `closed`, which the caller holds, so the
    /// ledger balances at any moment.
    pub(crate) fn stats_of(&self, closed: &Closed) -> Stats {
        let mut stats = closed.ledger();
        stats.flights_unseen = self.flights.unseen();
        stats.adapter_failures = self.adapter_failures.load(Ordering::Relaxed) as u64;
        for stripe in &self.stripes {
            let stripe = stripe.lock();
            stats.add(&stripe.ledger);
            stats.in_window += stripe.requests();
        }
        stats
    }
}

impl Closed {
    /// Blocks of the slots from `first` on, oldest first; the open slot's block comes last.
    pub(crate) fn blocks(&self, first: i64) -> impl Iterator<Item = &Packed> + Clone {
        self.window.since(first).chain(&self.open)
    }

    pub(crate) fn verdict(&self, side: Side) -> Verdict {
        match (&self.fleet, side) {
            (Some(fleet), _) => fleet.verdict(side, &self.ids),
            (None, Side::Errors) => Verdict::quiet(&self.settings.errors, false),
            (None, Side::Latency) => Verdict::quiet("slow requests", true),
        }
    }

    /// Name of the counted errors, as the verdict's sentence uses it: `5xx`, `4xx+5xx`.
    pub(crate) fn errors(&self) -> &str {
        &self.settings.errors
    }

    fn ledger(&self) -> Stats {
        let mut stats = Stats { expired: self.window.expired, ..Stats::default() };
        stats.in_window = self.window.own().map(Packed::requests).sum::<u64>() + self.waiting();
        stats.foreign_blocks = self.window.foreign().count() as u64;
        stats.tenants_let_go = self.fleet.as_ref().map_or(0, Fleet::tenants_dropped);
        (stats.blocks_coarsened, stats.blocks_pruned) = (self.window.squeezed.coarsened, self.window.squeezed.pruned);
        stats
    }
}
