//! One process's machinery: stripes in front, the closed slots and the judges behind, and how time moves through both.
//!
//! Requests touch a stripe and nothing else. Everything behind is moved on by whoever ticks or asks: rotate the stripes, seal
//! what they filled, judge each slot as it closes, then the open one. Where nobody does, requests seal a few tenants at a time.

mod closing;
mod eviction;
pub(crate) mod flights;
mod foreign;
mod helping;
pub(crate) mod in_flight_wire;
mod sealing;

use crate::baseline::slot_counts::Side;
use crate::baseline::wire::Baseline;
use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::block::release_queue::Leaving;
use crate::block::seal::Sealing;
use crate::config::Config;
use crate::engine::flights::Flights;
use crate::engine::in_flight_wire::Live;
use crate::event::Event;
use crate::event::endpoint::{EndpointId, Registry};
use crate::event::tenant;
use crate::slot::stats::{Memory, Stats};
use crate::slot::stripe::{Shared, Stripe, Subject, hash, meaning};
use crate::slot::table::SlowLine;
use crate::slot::thread_stripe;
use crate::util::budget::Budget;
use crate::util::clock::{Clock, Stamp};
use crate::util::grid::Grid;
use crate::util::lock::{Guard, Lock};
use crate::util::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::verdict::Verdict;
use crate::verdict::fleet::{Fleet, Setup};
use crate::window::Window;
use crate::window::tenant_detail::Shelf;
use ahash::RandomState;
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Engine {
    /// The fork generation it was made in.
    pub(crate) generation: u64,
    pub(crate) source: u64,
    clock: Clock,
    shared: Arc<Shared>,
    stripes: Box<[CachePadded<Lock<Stripe>>]>,
    /// For each stripe: requests until one of them asks again whether it can help.
    patience: Box<[CachePadded<AtomicUsize>]>,
    /// The stripe whose table is being sealed: its requests help, and do not get into each other's way. `IDLE` = none.
    busy: CachePadded<AtomicUsize>,
    /// Behind the stripes. No lock of `parking_lot`: its wait table is one for the process, which a forked child inherits.
    closed: Mutex<Closed>,
    pub(crate) flights: Flights,
    pub(crate) adapter_failures: AtomicUsize,
    budget: usize,
}

/// Everything behind the stripes.
#[derive(Debug)]
pub(crate) struct Closed {
    setup: Setup,
    pub(crate) ids: Dictionary,
    pub(crate) window: Window,
    /// The open slot, as far as it has been looked at.
    pub(crate) open: Option<Packed>,
    /// Sealed, but in no window yet, and not sorted: (slot, rows).
    parts: VecDeque<(i64, Packed)>,
    pub(crate) shelf: Shelf,
    sealing: Option<Sealing>,
    leaving: Leaving,
    /// Begins with the first event.
    pub(crate) fleet: Option<Fleet>,
    /// What another process knew, until the judges begin.
    heritage: Option<Baseline>,
    /// Requests in flight in other processes.
    pub(crate) live: Vec<Live>,
    pub(crate) slow_line: SlowLine,
    pub(crate) now_ms: i64,
    /// The open slot.
    pub(crate) slot: i64,
}

/// The budget in sixteenths. What is left of it, and whatever a share does not use, serves what is short-lived.
const SHARES: usize = 16;
/// Of the tables (`config` fits their number to it).
pub(crate) const TABLES: usize = 3;
/// Of the blocks, the dictionary of their ids, and the views.
const WINDOW: usize = 9;
/// Of the requests in flight.
const FLIGHTS: usize = 1;
/// What a tick takes for a moment, whatever the budget: a slot's rows twice, a report.
const SLACK: usize = 448 << 10;
/// Of the judges.
const JUDGES: usize = 2;
const IDLE: usize = usize::MAX;

impl Engine {
    pub(crate) fn new(config: &Config, generation: u64) -> Self {
        #[cfg(not(sentinel_loom))]
        let hasher = RandomState::new();
        // A model must do the same each time it is run.
        #[cfg(sentinel_loom)]
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        // Random by the process's own keys, and different after each fork.
        // Neither number nor keys tell children of one parent apart who live in different containers: the moment does.
        let source = hasher.hash_one((generation, std::process::id(), std::time::Instant::now()));
        let share = |share: usize| config.budget / SHARES * share;
        let setup = Setup {
            grid: config.grid,
            budget: share(JUDGES),
            errors: config.errors.to_string(),
            slow_after: config.slow_after,
            hasher: hasher.clone(),
        };
        let slow_line =
            SlowLine { fleet: config.slow_after.unwrap_or(SlowLine::default().fleet), ..SlowLine::default() };
        let registry = Registry::new(config.max_endpoints);
        let closed = Closed {
            setup,
            ids: Dictionary::new(hasher.clone()),
            window: Window::new(config.grid, source, share(WINDOW) - SLACK),
            open: None,
            parts: VecDeque::new(),
            shelf: Shelf::default(),
            sealing: None,
            leaving: Leaving::default(),
            fleet: None,
            heritage: None,
            live: Vec::new(),
            slow_line,
            now_ms: i64::MIN,
            slot: i64::MIN,
        };
        let budget = Budget::new(share(TABLES));
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
            patience: (0..config.stripes).map(|_| CachePadded::new(AtomicUsize::new(0))).collect(),
            shared,
            busy: CachePadded::new(AtomicUsize::new(IDLE)),
            closed: Mutex::new(closed),
            flights: Flights::new(share(FLIGHTS)),
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
        let subject = Subject { tenant: event.tenant, hash: self.hash(event.tenant), truncated: false, endpoint: None };
        self.count(event, &subject);
    }

    #[cold]
    fn record_long(&self, event: &Event<'_>) {
        let (tenant, truncated) = tenant::bounded(event.tenant);
        let subject = Subject { tenant: &tenant, hash: self.hash(&tenant), truncated, endpoint: None };
        self.count(event, &subject);
    }

    /// The hash that tables and dictionary know an id by.
    #[inline]
    pub(crate) fn hash(&self, id: &[u8]) -> u64 {
        hash(&self.shared.hasher, id)
    }

    /// The number of an endpoint, and whether it has to share `other`.
    pub(crate) fn endpoint(&self, endpoint: &str) -> (EndpointId, bool) {
        self.stripe().1.endpoint(endpoint)
    }

    #[inline]
    pub(crate) fn count(&self, event: &Event<'_>, subject: &Subject<'_>) {
        let (home, mut stripe) = self.stripe();
        let waiting = stripe.record(event, subject, || self.clock.now_ms());
        drop(stripe);
        let busy = self.busy.load(Ordering::Relaxed);
        // While another stripe's requests are at it, this one's would only get into their way; unless they have stopped coming.
        if busy == home || waiting > 0 && (busy == IDLE || waiting > 1) {
            self.help(home, waiting);
        }
    }

    /// The stripe of this thread, or any that is free.
    #[inline]
    fn stripe(&self) -> (usize, Guard<'_, Stripe>) {
        let home = thread_stripe::of_thread(self.stripes.len());
        let stripe = self.stripes[home].try_lock().unwrap_or_else(|| self.another_stripe(home));
        (home, stripe)
    }

    #[cold]
    fn another_stripe(&self, home: usize) -> Guard<'_, Stripe> {
        let mask = self.stripes.len() - 1;
        let free = (1..self.stripes.len()).find_map(|i| self.stripes[(home + i) & mask].try_lock());
        free.unwrap_or_else(|| self.stripes[home].lock())
    }

    fn closed(&self) -> MutexGuard<'_, Closed> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is behind the stripes, moved to now. The clock is read under the lock: a thread that was held up in between must
    /// not come with a time of long ago.
    pub(crate) fn moved(&self) -> MutexGuard<'_, Closed> {
        let mut closed = self.closed();
        self.advance(&mut closed, self.clock.sync());
        closed
    }

    /// Moves everything to now.
    pub(crate) fn tick(&self) {
        drop(self.moved());
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

    /// The ledger. Tables move to the window only under the lock that is held here, so it balances at any moment.
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
    /// The blocks of slots from `first` on, oldest first, the open slot's last.
    pub(crate) fn blocks(&self, first: i64) -> impl Iterator<Item = &Packed> + Clone {
        self.window.since(first).chain(&self.open)
    }

    pub(crate) fn verdict(&self, side: Side) -> Verdict {
        match (&self.fleet, side) {
            (Some(fleet), _) => fleet.verdict(side, &self.ids),
            (None, Side::Errors) => Verdict::quiet(&self.setup.errors, false),
            (None, Side::Latency) => Verdict::quiet("slow requests", true),
        }
    }

    /// What the errors are called.
    pub(crate) fn errors(&self) -> &str {
        &self.setup.errors
    }

    fn ledger(&self) -> Stats {
        let mut stats = Stats { expired: self.window.expired, ..Stats::default() };
        stats.in_window = self.window.own().map(Packed::requests).sum::<u64>() + self.waiting();
        stats.foreign_blocks = self.window.foreign().count() as u64;
        stats.tenants_let_go = self.fleet.as_ref().map_or(0, Fleet::let_go);
        (stats.blocks_coarsened, stats.blocks_pruned) = (self.window.squeezed.coarsened, self.window.squeezed.pruned);
        stats
    }
}
