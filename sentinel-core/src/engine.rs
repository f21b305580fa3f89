//! One process's machinery: stripes in front, the closed slots and the judges behind, and how time moves through both.
//!
//! Requests touch a stripe and nothing else. Everything behind is moved on by whoever ticks or asks: rotate the stripes, seal
//! what they filled, judge each slot as it closes, then the open one. Where nobody does, requests seal a few tenants at a time.

use crate::baseline::Side;
use crate::block::Block;
use crate::budget::Budget;
use crate::clock::{Clock, Stamp};
use crate::config::Config;
use crate::dictionary::Dictionary;
use crate::endpoint::{EndpointId, Registry};
use crate::error::MergeError;
use crate::event::Event;
use crate::flight::Flights;
use crate::gather::Shelf;
use crate::home;
use crate::inheritance::Baseline;
use crate::leaving::Leaving;
use crate::live::{Live, MAX_LIVE};
use crate::lock::{Guard, Lock};
use crate::packed::Packed;
use crate::rollup::Published;
use crate::seal::Sealing;
use crate::slot::{SlowLine, WEIGHTS};
use crate::stats::{Memory, Stats};
use crate::stripe::{Filled, Grid, Shared, Stripe, Subject, hash, meaning};
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::tenant;
use crate::verdict::Verdict;
use crate::verdict::fleet::{Fleet, Setup};
use crate::window::Window;
use ahash::RandomState;
use crossbeam_utils::CachePadded;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, TryLockError};
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
/// A clock that is set back by more than this begins anew; by less, time stands still until it has caught up.
const BACK_MS: i64 = 30_000;
/// What a request does of the work that waits, where nobody ticks: a tenant is sealed in about 100 ns.
const STEPS: usize = 2;
/// Requests that do not help once another was found at it.
const PATIENCE: usize = 64;
/// Tables that wait in a stripe until it does not wait any longer itself.
const PRESSING: usize = 2;
/// Windows that wait for a judge at most: where nobody ticks or asks, what is older is never judged.
const BACKLOG: i64 = 2;
const IDLE: usize = usize::MAX;
/// Parts that wait at most. Late events over and over, and nobody who asks: then a request does all that waits.
const MAX_PARTS: usize = 1_024;

impl Engine {
    pub(crate) fn new(config: &Config, generation: u64) -> Self {
        let hasher = RandomState::new();
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
        let home = home::of_thread(self.stripes.len());
        let stripe = self.stripes[home].try_lock().unwrap_or_else(|| self.another_stripe(home));
        (home, stripe)
    }

    #[cold]
    fn another_stripe(&self, home: usize) -> Guard<'_, Stripe> {
        let mask = self.stripes.len() - 1;
        let free = (1..self.stripes.len()).find_map(|i| self.stripes[(home + i) & mask].try_lock());
        free.unwrap_or_else(|| self.stripes[home].lock())
    }

    /// A request does a little of the work that waits, unless somebody else is at it: he may have been interrupted, and then
    /// asking him every time would cost more than the request.
    #[cold]
    fn help(&self, home: usize, waiting: usize) {
        let patience = self.patience[home].load(Ordering::Relaxed);
        if patience > 0 && waiting <= PRESSING {
            self.patience[home].store(patience - 1, Ordering::Relaxed);
            return;
        }
        let mut closed = match self.closed.try_lock() {
            Ok(closed) => closed,
            Err(TryLockError::Poisoned(closed)) => closed.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.patience[home].store(PATIENCE, Ordering::Relaxed);
                return;
            }
        };
        let closed = &mut *closed;
        if closed.parts.len() > MAX_PARTS {
            self.advance(closed, self.clock.now_ms());
            return;
        }
        // Some of each, so that a table of one request, and what it lets go of, is done with by the next one.
        // One stripe's requests seal for all, so the more stripes there are the more each of them does.
        let steps = STEPS * (self.stripes.len() / 2).clamp(1, 4);
        closed.leaving.advance(steps * 8, &mut closed.ids);
        if closed.sealing.is_none() {
            let mask = self.stripes.len() - 1;
            let waiting = |i: usize| self.stripes[i].try_lock()?.take_filled();
            let found = (0..self.stripes.len()).map(|i| (home + i) & mask).find_map(|i| Some((i, waiting(i)?)));
            if let Some((i, filled)) = found {
                closed.begin(self, i, filled);
            }
        }
        let Closed { sealing, ids, .. } = closed;
        if let Some(sealing) = sealing
            && sealing.advance(steps, ids)
        {
            let slot = sealing.slot;
            self.finish(closed);
            closed.drop_oldest_parts(slot);
        }
        let busy = match &closed.sealing {
            Some(sealing) => sealing.stripe,
            None if !closed.leaving.is_empty() => home,
            None => IDLE,
        };
        // All processors read it for each request: written only when it changes.
        if self.busy.load(Ordering::Relaxed) != busy {
            self.busy.store(busy, Ordering::Relaxed);
        }
    }

    /// Finishes what is being sealed.
    fn finish(&self, closed: &mut Closed) {
        let Some(sealing) = closed.sealing.take() else {
            return;
        };
        let (slot, stripe) = (sealing.slot, sealing.stripe);
        let (packed, mut table) = sealing.finish(&mut closed.ids);
        // One that was much larger than it had to be makes room; the next one grows as far as it must.
        if table.is_worth_keeping() {
            table.reset(SlowLine::default());
            let surplus = self.stripes[stripe].lock().give_back(table);
            drop(surplus);
        }
        closed.parts.push_back((slot, packed));
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

    /// What has ended is sealed, judged and closed; then the open slot is judged, if it is time.
    fn advance(&self, closed: &mut Closed, now_ms: i64) {
        let grid = self.shared.grid;
        if now_ms < closed.now_ms.saturating_sub(BACK_MS) {
            self.begin_again(closed, grid.slot_of(now_ms));
        }
        closed.slot = closed.slot.max(grid.slot_of(now_ms));
        self.collect(closed);
        closed.now_ms = closed.now_ms.max(now_ms).max(grid.start_of(closed.slot));
        let mut slots: BTreeMap<i64, Vec<Packed>> = BTreeMap::new();
        if let Some(open) = closed.open.take() {
            slots.entry(grid.slot_of(open.head.from_ms)).or_default().push(open);
        }
        for (slot, part) in closed.parts.drain(..) {
            slots.entry(slot).or_default().push(part.sorted());
        }
        // A slot of all stripes may hold as many tenants as their tables.
        let places = self.shared.places * self.stripes.len();
        let ids = &mut closed.ids;
        let mut blocks: BTreeMap<i64, Packed> =
            slots.into_iter().map(|(slot, parts)| (slot, merged(parts, places, ids))).collect();
        let open = blocks.remove(&closed.slot);
        if closed.take(blocks, grid) {
            if let Some(fleet) = &mut closed.fleet {
                closed.slow_line = self.shared.registry.with_names(|names| fleet.slow_line(names));
            }
            for stripe in &self.stripes {
                stripe.lock().set_slow_line(&closed.slow_line);
            }
        }
        closed.window.expire(closed.slot, &mut closed.ids);
        closed.open = open;
        if closed.fleet.as_ref().is_none_or(|fleet| fleet.is_due(closed.now_ms)) {
            closed.judge(grid);
        }
        let Closed { leaving, ids, .. } = closed;
        leaving.advance(usize::MAX, ids);
        ids.tidy();
        self.busy.store(IDLE, Ordering::Relaxed);
    }

    /// Seals all that the stripes hold, the open slot so far included. A stripe's lock is held for a swap.
    fn collect(&self, closed: &mut Closed) {
        self.finish(closed);
        loop {
            for (i, stripe) in self.stripes.iter().enumerate() {
                stripe.lock().rotate(closed.slot);
                let waiting = stripe.lock().take_all();
                for filled in waiting {
                    closed.begin(self, i, filled);
                    self.finish(closed);
                }
                let open = stripe.lock().take_open();
                if let Some(filled) = open {
                    closed.begin(self, i, filled);
                    self.finish(closed);
                }
            }
            let newest = self.stripes.iter().map(|stripe| stripe.lock().slot()).max().unwrap_or(closed.slot);
            if newest <= closed.slot {
                return;
            }
            // A request has opened the next slot meanwhile: all stripes go there.
            closed.slot = newest;
        }
    }

    /// The clock has been set back: what was counted lies in a future that is not coming. It expires, and all begins anew.
    fn begin_again(&self, closed: &mut Closed, now: i64) {
        for stripe in &self.stripes {
            closed.window.expired += stripe.lock().begin_again(now);
        }
        closed.window.expired += closed.waiting();
        closed.window.clear();
        (closed.open, closed.sealing) = (None, None);
        closed.parts.clear();
        closed.leaving = Leaving::default();
        closed.ids = Dictionary::new(self.shared.hasher.clone());
        (closed.fleet, closed.now_ms, closed.slot) = (None, i64::MIN, i64::MIN);
    }

    /// Own blocks, oldest first, the open slot as far as it is last.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let closed = self.moved();
        closed.window.own().chain(&closed.open).map(|block| block.to_block(&closed.ids)).collect()
    }

    /// Takes another source's block of one slot in; a newer one of the same slot replaces it.
    pub(crate) fn merge(&self, block: Block) -> Result<(), MergeError> {
        let grid = self.shared.grid;
        let (from_ms, to_ms, source) = (block.head.from_ms, block.head.to_ms, block.head.source);
        let slot = grid.slot_of(from_ms);
        if to_ms - from_ms != grid.slot_ms || grid.start_of(slot) != from_ms {
            let found_ms = to_ms.abs_diff(from_ms);
            return Err(MergeError::Slots { found_ms, expected_ms: grid.slot_ms as u64 });
        }
        if source == self.source {
            return Err(MergeError::OwnBlock { found: source });
        }
        let mut closed = self.closed();
        let closed = &mut *closed;
        let now_ms = self.clock.sync();
        if grid.slot_of(now_ms) != closed.slot {
            // Blocks must leave as others come, though nobody may tick or ask here. The judges begin with a tick, once all that is
            // known has come.
            if closed.fleet.is_some() {
                self.advance(closed, now_ms);
            } else {
                closed.slot = closed.slot.max(grid.slot_of(now_ms));
                closed.window.expire(closed.slot, &mut closed.ids);
            }
        }
        let open = closed.slot;
        // A slot ahead is another host's clock.
        if slot < grid.oldest(open) || slot > open + 1 {
            let (from_ms, to_ms) = (grid.start_of(grid.oldest(open)), grid.start_of(open));
            return Err(MergeError::OutsideWindow { start_ms: block.head.from_ms, from_ms, to_ms });
        }
        let Closed { window, ids, fleet, .. } = closed;
        if window.is_full_of_others(ids) && !window.knows(slot, source) {
            return Err(MergeError::Full { budget: window.budget() });
        }
        let block = Packed::from_block(block, ids);
        if !window.has_room(slot, &block, ids) {
            block.release(ids);
            return Err(MergeError::Full { budget: window.budget() });
        }
        let judged = fleet.as_mut().filter(|fleet| slot < fleet.slot());
        if window.is_newer(slot, &block)
            && let Some(fleet) = judged
        {
            fleet.amend(slot, &block, true, ids);
        }
        window.replace(slot, block, ids);
        Ok(())
    }

    /// Own blocks that have changed since `published` last saw them, with at most `tenants` rows.
    pub(crate) fn rollup(&self, published: &mut Published, tenants: usize) -> Vec<Block> {
        let mut closed = self.moved();
        let Closed { window, ids, open, .. } = &mut *closed;
        published.begin(self.source, &window.own().chain(&*open).map(|block| block.head.from_ms).collect());
        let mut out = Vec::new();
        for block in window.own().chain(&*open).filter(|block| published.is_new(block)) {
            match block.heaviest(tenants, ids) {
                Some(heaviest) => {
                    out.push(heaviest.to_block(ids));
                    heaviest.release(ids);
                }
                None => out.push(block.to_block(ids)),
            }
        }
        out
    }

    /// Own requests in flight, those of at most `tenants` tenants.
    pub(crate) fn live(&self, tenants: usize) -> Live {
        Live::new(self.source, self.clock.now_ms(), self.flights.by_tenant(|started| self.since(started)), tenants)
    }

    /// Requests in flight elsewhere, in place of those that were known.
    pub(crate) fn set_live(&self, mut live: Vec<Live>) {
        let mut left = MAX_LIVE;
        for part in &mut live {
            part.in_flight.truncate(left);
            left -= part.in_flight.len();
        }
        self.closed().live = live;
    }

    /// What is known of the time before the window; `None` before anything is.
    pub(crate) fn baseline(&self, tenants: usize) -> Option<Baseline> {
        let closed = self.closed();
        closed.fleet.as_ref().map(|fleet| fleet.baseline(tenants, &closed.ids))
    }

    /// Begins with what another process knew; too late once this one has judged.
    pub(crate) fn inherit(&self, baseline: Baseline) -> bool {
        let mut closed = self.closed();
        let (grid, now_ms) = (self.shared.grid, self.clock.now_ms());
        // Of a time that has come, and not so long ago that nobody knows what was normal since.
        let age = now_ms.saturating_sub(baseline.until_ms);
        let is_past = (0..=2 * grid.slot_ms * grid.slots).contains(&age) && baseline.latencies_until_ms <= now_ms;
        let fits = closed.fleet.is_none() && is_past && baseline.slot_ms == grid.slot_ms as u64;
        if fits {
            closed.heritage = Some(baseline);
        }
        fits
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
    /// Begins to seal a table of a stripe.
    fn begin(&mut self, engine: &Engine, stripe: usize, Filled { slot, table, .. }: Filled) {
        let grid = engine.shared.grid;
        let bounds = (grid.start_of(slot), grid.start_of(slot + 1));
        // Close to the budget, new histograms are coarse from the beginning.
        let coarse = self.waiting_weight() + self.window.weight(&self.ids) > self.window.budget();
        let registry = &engine.shared.registry;
        let sealing = registry.with_names(|names| {
            let last = self.parts.back().map_or(0, |(_, part)| part.rows.weight());
            Sealing::new(table, (slot, stripe), engine.source, bounds, names, (coarse, last))
        });
        self.sealing = Some(sealing);
    }

    /// Where nobody ticks or asks, parts pile up. What is too old to be judged goes, and what memory will soon not hold, a few rows
    /// at a time; what it does not hold any more goes at once.
    fn drop_oldest_parts(&mut self, newest: i64) {
        let oldest = self.window.oldest(newest, BACKLOG);
        let soon = self.window.budget() / 16 * 15;
        while self.parts.len() > 1
            && let Some((slot, _)) = self.parts.front()
            && (*slot < oldest || self.waiting_weight() + self.window.weight(&self.ids) > soon)
            && let Some((_, part)) = self.parts.pop_front()
        {
            self.window.expired += part.requests();
            self.leaving.push(part);
        }
        while self.waiting_weight() + self.leaving.weight() + self.window.weight(&self.ids) > self.window.budget() {
            if let Some(left) = self.leaving.take() {
                Leaving::release(left, &mut self.ids);
            } else if self.window.expire_oldest(&mut self.ids) {
            } else if self.parts.len() > 1
                && let Some((_, part)) = self.parts.pop_front()
            {
                self.window.expired += part.requests();
                part.release(&mut self.ids);
            } else {
                return;
            }
            self.ids.tidy();
        }
    }

    /// Requests that are sealed or about to be, and not in the window's closed slots.
    fn waiting(&self) -> u64 {
        let parts = self.parts.iter().map(|(_, part)| part).chain(&self.open).map(Packed::requests).sum::<u64>();
        parts + self.sealing.as_ref().map_or(0, Sealing::requests)
    }

    fn waiting_weight(&self) -> usize {
        self.parts.iter().map(|(_, part)| part).chain(&self.open).map(Packed::weight).sum()
    }

    /// Bytes of all that is behind the stripes.
    fn weight(&self) -> usize {
        self.window.weight(&self.ids)
            + self.waiting_weight()
            + self.sealing.as_ref().map_or(0, Sealing::weight)
            + self.leaving.weight()
            + self.fleet.as_ref().map_or(0, Fleet::weight)
    }

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

    /// Takes sealed slots in, oldest first, and closes every slot before the open one. Says whether anything moved.
    fn take(&mut self, blocks: BTreeMap<i64, Packed>, grid: Grid) -> bool {
        let mut moved = !blocks.is_empty();
        for (slot, block) in blocks {
            if self.fleet.is_none() {
                let first =
                    self.window.since(i64::MIN).next().map_or(slot, |block| grid.slot_of(block.head.from_ms).min(slot));
                self.begin_judging(first);
            }
            let known = self.fleet.as_ref().map_or(slot, Fleet::slot);
            if slot < known {
                if let Some(fleet) = &mut self.fleet {
                    fleet.amend(slot, &block, false, &mut self.ids);
                }
                self.window.insert(slot, block, &mut self.ids);
                continue;
            }
            self.close_until(slot, grid);
            self.window.expire(slot, &mut self.ids);
            self.close(slot, Some(block), grid);
        }
        moved |= self.fleet.as_ref().is_some_and(|fleet| fleet.slot() < self.slot);
        self.close_until(self.slot, grid);
        moved
    }

    /// The judges begin with slot `first`, and with what another process knew of the time before.
    fn begin_judging(&mut self, first: i64) {
        self.fleet = Some(match self.heritage.take() {
            Some(baseline) => Fleet::heir(self.setup.clone(), first, &baseline, &mut self.ids),
            None => Fleet::new(self.setup.clone(), first),
        });
    }

    /// Closes slots that nothing of this process came in for. A long silence is skipped once the judges' ring is empty.
    fn close_until(&mut self, slot: i64, grid: Grid) {
        while let Some(fleet) = &mut self.fleet
            && fleet.slot() < slot
        {
            let (known, memory) = (fleet.slot(), fleet.memory());
            let silent = self.window.between(known.saturating_sub(memory), slot).next().is_none();
            if silent && slot.saturating_sub(known) > memory {
                fleet.skip_to(slot);
            } else {
                self.close(known, None, grid);
                self.window.expire(known, &mut self.ids);
            }
        }
    }

    /// Judges a slot at its end and closes it.
    fn close(&mut self, slot: i64, own: Option<Packed>, grid: Grid) {
        let Self { window, ids, fleet, .. } = self;
        if let Some(fleet) = fleet {
            let open: Vec<&Packed> = own.iter().chain(window.of_slot(slot)).collect();
            fleet.observe(&open, ids);
            fleet.evaluate(grid.start_of(slot + 1), window, &open, ids);
            fleet.close(window, &open, ids);
        }
        if let Some(own) = own {
            window.insert(slot, own, ids);
        }
    }

    /// Judges the open slot as of now. The first event begins it all.
    fn judge(&mut self, grid: Grid) {
        if self.fleet.is_none() {
            let first = self.window.since(i64::MIN).next().map(|block| grid.slot_of(block.head.from_ms));
            let Some(first) = first.map(|first| first.min(self.slot)).or(self.open.as_ref().map(|_| self.slot)) else {
                return;
            };
            self.begin_judging(first);
            self.close_until(self.slot, grid);
        }
        let Self { window, ids, fleet, open, .. } = self;
        if let Some(fleet) = fleet {
            let open: Vec<&Packed> = open.iter().chain(window.of_slot(self.slot)).collect();
            fleet.observe(&open, ids);
            fleet.evaluate(self.now_ms, window, &open, ids);
        }
    }
}

/// Parts of a slot as one block of at most six times `places` tenants.
fn merged(mut parts: Vec<Packed>, places: usize, ids: &mut Dictionary) -> Packed {
    let mut block = if parts.len() > 1 {
        let line = parts.last().map_or(0, |part| part.head.slow_above);
        let merged = Packed::merge(&parts.iter().collect::<Vec<_>>(), line, ids);
        parts.into_iter().for_each(|part| part.release(ids));
        merged
    } else {
        parts.remove(0)
    };
    if block.rows.len() > 2 * WEIGHTS * places
        && let Some(pruned) = block.pruned(places, ids)
    {
        std::mem::replace(&mut block, pruned).release(ids);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sentinel;
    use crate::event::Event;

    /// Virtual time that may go anywhere, which a clock in front of the engine would not let through.
    #[test]
    fn a_clock_that_is_set_back_begins_anew() {
        let year = 365 * 86_400_000_i64;
        let config = Sentinel::builder().stripes(2).clock(Clock::manual(0)).validated().expect("valid");
        let engine = Engine::new(&config, 0);
        let start = 1_700_000_000_000;
        let mut accepted = 0;
        for jump in [0, 30_000, 10 * year, 0, -10 * year, 0, 70_000, 0] {
            let now_ms = start + jump;
            for i in 0..5 {
                engine.clock.set(now_ms);
                engine.record(&Event { tenant: b"acme", status: 500, at: Some(now_ms - i), ..Event::default() });
                accepted += 1;
            }
            let mut closed = engine.closed();
            engine.advance(&mut closed, now_ms);
            let seen = closed.blocks(i64::MIN).map(Packed::requests).sum::<u64>();
            assert!(seen >= 5, "{jump}: {seen} seen");
            assert!(closed.now_ms >= now_ms && closed.now_ms <= now_ms + BACK_MS, "{jump}: it is {}", closed.now_ms);
            drop(closed);
            let stats = engine.stats();
            assert_eq!((stats.accepted, stats.in_window + stats.expired), (accepted, accepted), "{jump}");
        }
    }
}
