//! One process's machinery: stripes in front, the closed slots and the judges behind, and how time moves through both.
//!
//! Requests touch a stripe and nothing else. Everything behind is moved on by whoever ticks or asks: rotate the stripes, seal
//! what they filled, judge each slot as it closes, then the open one.

use crate::baseline::Side;
use crate::block::Block;
use crate::clock::Clock;
use crate::config::Config;
use crate::endpoint::Registry;
use crate::error::MergeError;
use crate::event::Event;
use crate::flight::Flights;
use crate::slot::SlowLine;
use crate::stats::Stats;
use crate::stripe::{Filled, Grid, Shared, Stripe};
use crate::verdict::Verdict;
use crate::verdict::fleet::{Fleet, Setup};
use crate::window::Window;
use ahash::RandomState;
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

#[derive(Debug)]
pub(crate) struct Engine {
    /// The fork generation it was made in.
    pub(crate) generation: u64,
    pub(crate) source: u64,
    clock: Clock,
    shared: Arc<Shared>,
    stripes: Box<[CachePadded<Mutex<Stripe>>]>,
    /// Behind the stripes. `std` locks all over: `parking_lot`'s wait table is one for the process, which a forked child inherits.
    closed: Mutex<Closed>,
    pub(crate) flights: Flights,
}

/// Everything behind the stripes.
#[derive(Debug)]
pub(crate) struct Closed {
    setup: Setup,
    pub(crate) window: Window,
    /// Begins with the first event.
    pub(crate) fleet: Option<Fleet>,
    pub(crate) slow_line: SlowLine,
    pub(crate) now_ms: i64,
    /// The open slot.
    pub(crate) slot: i64,
}

/// The budget in eighths: blocks three, a merged view of them one (three while it is made), tables two (`config`), judges one.
const EIGHTHS: usize = 8;
const BLOCKS: usize = 3;
/// A clock that is set back by more than this begins anew; by less, time stands still until it has caught up.
const BACK_MS: i64 = 30_000;
/// Bytes that the judges keep of a tenant, its places in the ring and the dictionary included.
const TENANT_BYTES: usize = 768;

impl Engine {
    pub(crate) fn new(config: &Config, generation: u64) -> Self {
        let hasher = RandomState::new();
        // Random by the process's own keys, and different after each fork.
        let source = hasher.hash_one((generation, std::process::id()));
        let setup = Setup {
            grid: config.grid,
            max_tenants: (config.budget / EIGHTHS / TENANT_BYTES).max(1_024),
            errors: config.errors.to_string(),
            slow_after: config.slow_after,
            hasher: hasher.clone(),
        };
        let slow_line =
            SlowLine { fleet: config.slow_after.unwrap_or(SlowLine::default().fleet), ..SlowLine::default() };
        let registry = Registry::new(config.max_endpoints);
        let shared =
            Arc::new(Shared { grid: config.grid, errors: config.errors, places: config.places, hasher, registry });
        let stripe = || {
            let mut stripe = Stripe::new(Arc::clone(&shared));
            stripe.set_slow_line(&slow_line);
            CachePadded::new(Mutex::new(stripe))
        };
        let stripes = (0..config.stripes).map(|_| stripe()).collect();
        let window = Window::new(config.grid, source, config.budget * BLOCKS / EIGHTHS);
        let closed = Closed { setup, window, fleet: None, slow_line, now_ms: i64::MIN, slot: i64::MIN };
        let clock = config.clock.clone();
        Self { generation, source, clock, shared, stripes, closed: Mutex::new(closed), flights: Flights::default() }
    }

    pub(crate) fn grid(&self) -> Grid {
        self.shared.grid
    }

    /// Counts an event in this thread's stripe.
    pub(crate) fn record(&self, event: &Event<'_>, now_ms: i64) {
        let asks_to_seal = self.stripe().record(event, now_ms);
        // Somebody else is at it otherwise; a request does not wait for that.
        if asks_to_seal && let Ok(mut closed) = self.closed.try_lock() {
            self.advance(&mut closed, self.clock.now_ms());
        }
    }

    /// The stripe of this thread, or any that is free.
    fn stripe(&self) -> MutexGuard<'_, Stripe> {
        let (home, mask) = (ordinal(), self.stripes.len() - 1);
        for i in 0..self.stripes.len() {
            match self.stripes[(home + i) & mask].try_lock() {
                Ok(stripe) => return stripe,
                Err(TryLockError::Poisoned(stripe)) => return stripe.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        lock(&self.stripes[home & mask])
    }

    fn closed(&self) -> MutexGuard<'_, Closed> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is behind the stripes, moved to now. The clock is read under the lock: a thread that was held up in between must
    /// not come with a time of long ago.
    fn moved(&self) -> MutexGuard<'_, Closed> {
        let mut closed = self.closed();
        self.advance(&mut closed, self.clock.sync());
        closed
    }

    /// What is closed, moved to now, and the open slot so far.
    pub(crate) fn view(&self) -> (MutexGuard<'_, Closed>, Block) {
        let mut closed = self.moved();
        let open = self.own_open(&mut closed);
        (closed, open)
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
        let mut filled: BTreeMap<i64, Vec<(usize, Filled)>> = BTreeMap::new();
        loop {
            let mut newest = closed.slot;
            for (i, stripe) in self.stripes.iter().enumerate() {
                let mut stripe = lock(stripe);
                stripe.rotate(closed.slot);
                newest = newest.max(stripe.slot());
                for part in stripe.take_filled() {
                    filled.entry(part.slot).or_default().push((i, part));
                }
            }
            if newest == closed.slot {
                break;
            }
            // A request has opened the next slot meanwhile: all stripes go there.
            closed.slot = newest;
        }
        closed.now_ms = closed.now_ms.max(now_ms).max(grid.start_of(closed.slot));
        let names = self.shared.registry.names();
        let mut blocks = BTreeMap::new();
        for (slot, parts) in filled {
            let bounds = (grid.start_of(slot), grid.start_of(slot + 1));
            let mut sealed = Vec::new();
            for (i, part) in parts {
                let dictionary = closed.window.dictionary();
                sealed.push(Block::seal(&part.table, self.source, bounds, &names, |id| dictionary.intern(id)));
                lock(&self.stripes[i]).give_back(part.table);
            }
            blocks.insert(slot, merged(sealed));
        }
        if closed.take(blocks, grid) {
            if let Some(fleet) = &mut closed.fleet {
                closed.slow_line = fleet.slow_line(&names);
            }
            for stripe in &self.stripes {
                lock(stripe).set_slow_line(&closed.slow_line);
            }
        }
        closed.window.expire(closed.slot);
        if closed.fleet.as_ref().is_none_or(|fleet| fleet.is_due(closed.now_ms)) {
            let own = self.own_open(closed);
            closed.judge(&own, grid);
        }
    }

    /// The clock has been set back: what was counted lies in a future that is not coming. It expires, and all begins anew.
    fn begin_again(&self, closed: &mut Closed, now: i64) {
        for stripe in &self.stripes {
            closed.window.expired += lock(stripe).begin_again(now);
        }
        closed.window.clear();
        (closed.fleet, closed.now_ms, closed.slot) = (None, i64::MIN, i64::MIN);
    }

    /// What this process has in the open slot so far. A request may have opened the next one since the stripes were rotated;
    /// then a stripe's part of this slot is among those that wait to be sealed.
    fn own_open(&self, closed: &mut Closed) -> Block {
        let grid = self.shared.grid;
        let bounds = (grid.start_of(closed.slot), grid.start_of(closed.slot + 1));
        let mut parts = Vec::new();
        for stripe in &self.stripes {
            let stripe = lock(stripe);
            let names = self.shared.registry.names();
            for table in stripe.of_slot(closed.slot) {
                let dictionary = closed.window.dictionary();
                parts.push(Block::seal(table, self.source, bounds, &names, |id| dictionary.intern(id)));
            }
        }
        if parts.is_empty() { Block::empty(self.source, bounds.0, bounds.1) } else { merged(parts) }
    }

    /// Own blocks, oldest first, the open slot as far as it is last.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut closed = self.moved();
        let open = self.own_open(&mut closed);
        let mut out: Vec<Block> = closed.window.own().map(|block| Block::clone(block)).collect();
        out.extend(Some(open).filter(|open| open.requests() > 0));
        out
    }

    /// Takes another source's block of one slot in; a newer one of the same slot replaces it.
    pub(crate) fn merge(&self, mut block: Block) -> Result<(), MergeError> {
        let grid = self.shared.grid;
        let slot = grid.slot_of(block.from_ms);
        if block.to_ms - block.from_ms != grid.slot_ms || grid.start_of(slot) != block.from_ms {
            let found_ms = block.to_ms.abs_diff(block.from_ms);
            return Err(MergeError::Slots { found_ms, expected_ms: grid.slot_ms as u64 });
        }
        if block.source == self.source {
            return Err(MergeError::OwnBlock { found: block.source });
        }
        let mut closed = self.closed();
        let now_ms = self.clock.sync();
        if grid.slot_of(now_ms) != closed.slot {
            // Blocks must leave as others come, though nobody may tick or ask here.
            self.advance(&mut closed, now_ms);
        }
        let open = closed.slot;
        // A slot ahead is another host's clock.
        if slot < grid.oldest(open) || slot > open + 1 {
            let (from_ms, to_ms) = (grid.start_of(grid.oldest(open)), grid.start_of(open));
            return Err(MergeError::OutsideWindow { start_ms: block.from_ms, from_ms, to_ms });
        }
        if !closed.window.has_room(slot, &block) {
            return Err(MergeError::Full { budget: closed.window.budget() });
        }
        for row in &mut block.rows {
            row.id = closed.window.dictionary().intern(row.id.as_bytes());
        }
        let block = Arc::new(block);
        if closed.window.replace(slot, block.clone())
            && let Some(fleet) = &mut closed.fleet
            && slot < fleet.slot()
        {
            fleet.amend(slot, &block, true);
        }
        Ok(())
    }

    pub(crate) fn verdict(&self, side: Side) -> Verdict {
        self.closed().verdict(side)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats_of(&self.closed())
    }

    /// The ledger. Tables move to the window only under the lock that is held here, so it balances at any moment.
    pub(crate) fn stats_of(&self, closed: &Closed) -> Stats {
        let mut stats = closed.ledger();
        stats.flights_unseen = self.flights.unseen();
        for stripe in &self.stripes {
            let stripe = lock(stripe);
            stats.add(&stripe.ledger);
            stats.in_window += stripe.requests();
        }
        stats
    }
}

impl Closed {
    pub(crate) fn verdict(&self, side: Side) -> Verdict {
        match (&self.fleet, side) {
            (Some(fleet), _) => fleet.verdict(side),
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
        stats.in_window = self.window.own().map(|block| block.requests()).sum();
        stats.foreign_blocks = self.window.foreign().count() as u64;
        stats.tenants_let_go = self.fleet.as_ref().map_or(0, Fleet::let_go);
        stats
    }

    /// Takes sealed slots in, oldest first, and closes every slot before the open one. Says whether anything moved.
    fn take(&mut self, blocks: BTreeMap<i64, Block>, grid: Grid) -> bool {
        let mut moved = !blocks.is_empty();
        for (slot, block) in blocks {
            if self.fleet.is_none() {
                let first =
                    self.window.since(i64::MIN).next().map_or(slot, |block| grid.slot_of(block.from_ms).min(slot));
                self.fleet = Some(Fleet::new(self.setup.clone(), first));
            }
            let known = self.fleet.as_ref().map_or(slot, Fleet::slot);
            if slot < known {
                let added = self.window.insert(slot, block);
                if let Some(fleet) = &mut self.fleet {
                    fleet.amend(slot, &added, false);
                }
                continue;
            }
            self.close_until(slot, grid);
            self.close(slot, Some(block), grid);
        }
        moved |= self.fleet.as_ref().is_some_and(|fleet| fleet.slot() < self.slot);
        self.close_until(self.slot, grid);
        moved
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
                self.window.expire(known);
            }
        }
    }

    /// Judges a slot at its end and closes it.
    fn close(&mut self, slot: i64, own: Option<Block>, grid: Grid) {
        let bounds = (grid.start_of(slot), grid.start_of(slot + 1));
        let own = own.unwrap_or_else(|| Block::empty(self.window.source(), bounds.0, bounds.1));
        let foreign: Vec<Arc<Block>> = self.window.of_slot(slot).cloned().collect();
        let open = with_others(&own, &foreign);
        if let Some(fleet) = &mut self.fleet {
            fleet.observe(&open);
            fleet.evaluate(bounds.1, &self.window, &open);
            fleet.close(&self.window, &open);
        }
        if own.requests() > 0 {
            self.window.insert(slot, own);
        }
    }

    /// Judges the open slot as of now. The first event begins it all.
    fn judge(&mut self, own: &Block, grid: Grid) {
        if self.fleet.is_none() {
            let first = self.window.since(i64::MIN).next().map(|block| grid.slot_of(block.from_ms));
            let Some(first) = first.map(|first| first.min(self.slot)).or((own.requests() > 0).then_some(self.slot))
            else {
                return;
            };
            self.fleet = Some(Fleet::new(self.setup.clone(), first));
            self.close_until(self.slot, grid);
        }
        let foreign: Vec<Arc<Block>> = self.window.of_slot(self.slot).cloned().collect();
        let open = with_others(own, &foreign);
        if let Some(fleet) = &mut self.fleet {
            fleet.observe(&open);
            fleet.evaluate(self.now_ms, &self.window, &open);
        }
    }
}

fn merged(mut parts: Vec<Block>) -> Block {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let line = parts.last().map_or(0, |part| part.slow_above);
    Block::merge(&parts.iter().collect::<Vec<_>>(), line)
}

fn with_others<'a>(own: &'a Block, others: &'a [Arc<Block>]) -> Vec<&'a Block> {
    let own = (own.requests() > 0).then_some(own);
    own.into_iter().chain(others.iter().map(|block| &**block)).collect()
}

fn lock(stripe: &CachePadded<Mutex<Stripe>>) -> MutexGuard<'_, Stripe> {
    // Nothing in a stripe panics half-way by design; should it, its counts are still the best there is.
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads are numbered as they come.
fn ordinal() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static ORDINAL: Cell<Option<usize>> = const { Cell::new(None) };
    }
    // While a thread's locals are torn down it has no number: any stripe will do.
    let known = ORDINAL.try_with(|ordinal| {
        ordinal.get().unwrap_or_else(|| {
            let own = NEXT.fetch_add(1, Ordering::Relaxed);
            ordinal.set(Some(own));
            own
        })
    });
    known.unwrap_or(0)
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
        let config = Sentinel::builder().stripes(2).validated().expect("valid");
        let engine = Engine::new(&config, 0);
        let start = 1_700_000_000_000;
        let mut accepted = 0;
        for jump in [0, 30_000, 10 * year, 0, -10 * year, 0, 70_000, 0] {
            let now_ms = start + jump;
            for i in 0..5 {
                engine
                    .record(&Event { tenant: b"acme", status: 500, at: Some(now_ms - i), ..Event::default() }, now_ms);
                accepted += 1;
            }
            let mut closed = engine.closed();
            engine.advance(&mut closed, now_ms);
            let open = engine.own_open(&mut closed);
            let seen = open.requests() + closed.window.since(i64::MIN).map(|block| block.requests()).sum::<u64>();
            assert!(seen >= 5, "{jump}: {seen} seen");
            assert!(closed.now_ms >= now_ms && closed.now_ms <= now_ms + BACK_MS, "{jump}: it is {}", closed.now_ms);
            drop(closed);
            let stats = engine.stats();
            assert_eq!((stats.accepted, stats.in_window + stats.expired), (accepted, accepted), "{jump}");
        }
    }
}
