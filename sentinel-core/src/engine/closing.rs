//! Moves time: judges and closes the slots that ended, takes in late events, then judges the open slot.
//!
//! The judges are always at one slot, `Fleet::slot`. A sealed block is older, equal or newer:
//!
//! ```text
//!  block's slot < judges' slot   late events: amend the judges' counts, merge into the slot's block
//!  block's slot = judges' slot   judge as of the slot's end, close, add to the window
//!  block's slot > judges' slot   first close the slots in between, which are empty here
//! ```
//!
//! A slot is judged as of its end while it is still the judges' open slot: a query at time T has seen all events before
//! T, so at a boundary the open slot is the full slot that ends there. A process that nobody ticks closes its slots
//! later, in order and with the same times, so it has the same baseline as one that ticks every second.

use super::sealing::merged;
use super::{Closed, Engine, NO_STRIPE};
use crate::baseline::Amendment;
use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::block::release_queue::ReleaseQueue;
use crate::util::grid::Grid;
use crate::util::sync::Ordering;
use crate::verdict::fleet::Fleet;
use std::collections::BTreeMap;

/// A clock that falls back by more than this restarts the engine; after a smaller step time stands still until the
/// clock has caught up. `util::clock` follows the system's clock back only in steps of more than 60 s and keeps running
/// through smaller ones, so every step that it does follow exceeds these 30 s.
const RESTART_BACK_MS: i64 = 30_000;

impl Engine {
    /// Seals what the stripes hold, judges and closes every slot that ended, then judges the open slot when that is
    /// due.
    pub(super) fn advance(&self, closed: &mut Closed, now_ms: i64) {
        let grid = self.shared.grid;
        if now_ms < closed.now_ms.saturating_sub(RESTART_BACK_MS) {
            self.begin_again(closed, grid.slot_of(now_ms));
        }
        closed.slot = closed.slot.max(grid.slot_of(now_ms));
        self.collect(closed);
        closed.now_ms = closed.now_ms.max(now_ms).max(grid.start_of(closed.slot));
        let mut slots: BTreeMap<i64, Vec<Packed>> = BTreeMap::new();
        if let Some(open) = closed.open.take() {
            slots.entry(grid.slot_of(open.summary.from_ms)).or_default().push(open);
        }
        for part in closed.parts.drain(..) {
            slots.entry(part.slot).or_default().push(part.block.sorted());
        }
        // A merged slot may hold as many tenants as the tables of all stripes together.
        let places = self.shared.places * self.stripes.len();
        let ids = &mut closed.ids;
        let mut blocks: BTreeMap<i64, Packed> =
            slots.into_iter().map(|(slot, parts)| (slot, merged(parts, places, ids))).collect();
        let open = blocks.remove(&closed.slot);
        if closed.take_in(blocks, grid) {
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
            closed.judge_open(grid);
        }
        let Closed { releasing, ids, .. } = closed;
        releasing.advance(usize::MAX, ids);
        ids.tidy();
        self.sealing_stripe.store(NO_STRIPE, Ordering::Relaxed);
    }

    /// Restarts after the clock was set back. The counted requests lie in the future of the new time, so they all
    /// expire, and the judges start without a baseline.
    fn begin_again(&self, closed: &mut Closed, now: i64) {
        for stripe in &self.stripes {
            closed.window.expired += stripe.lock().begin_again(now);
        }
        closed.window.expired += closed.waiting();
        closed.window.clear();
        (closed.open, closed.sealing) = (None, None);
        closed.parts.clear();
        closed.releasing = ReleaseQueue::default();
        closed.ids = Dictionary::new(self.shared.hasher.clone());
        (closed.fleet, closed.now_ms, closed.slot) = (None, i64::MIN, i64::MIN);
    }
}

impl Closed {
    /// Takes sealed slots in, oldest first, and closes every slot before the open one. Returns true when a block came
    /// in or a slot closed: then the slow line may have changed.
    fn take_in(&mut self, blocks: BTreeMap<i64, Packed>, grid: Grid) -> bool {
        let mut moved = !blocks.is_empty();
        for (slot, block) in blocks {
            if self.fleet.is_none() {
                let first = self
                    .window
                    .since(i64::MIN)
                    .next()
                    .map_or(slot, |block| grid.slot_of(block.summary.from_ms).min(slot));
                self.begin_judging(first);
            }
            let known = self.fleet.as_ref().map_or(slot, Fleet::slot);
            if slot < known {
                if let Some(fleet) = &mut self.fleet {
                    fleet.amend(slot, &block, Amendment::Add, &mut self.ids);
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

    /// Starts the judges at slot `first`, with the baseline of another process when one was handed over.
    fn begin_judging(&mut self, first: i64) {
        self.fleet = Some(match self.inherited.take() {
            Some(baseline) => Fleet::with_baseline(self.settings.clone(), first, &baseline, &mut self.ids),
            None => Fleet::new(self.settings.clone(), first),
        });
    }

    /// Closes the slots before `slot`, for which this process has no requests. When a silence outlasts the judges'
    /// memory, they skip it in closed form.
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

    /// Judges a slot as of its end and closes it.
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

    /// Judges the open slot as of `now_ms`; the first event starts the judges.
    fn judge_open(&mut self, grid: Grid) {
        if self.fleet.is_none() {
            let first = self.window.since(i64::MIN).next().map(|block| grid.slot_of(block.summary.from_ms));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sentinel;
    use crate::event::Event;
    use crate::util::clock::Clock;

    /// Drives `advance` directly: `Clock` would not pass on some of these jumps.
    #[test]
    fn the_ledger_balances_after_every_jump_of_the_clock() {
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
            assert!(
                closed.now_ms >= now_ms && closed.now_ms <= now_ms + RESTART_BACK_MS,
                "{jump}: it is {}",
                closed.now_ms
            );
            drop(closed);
            let stats = engine.stats();
            assert_eq!((stats.accepted, stats.in_window + stats.expired), (accepted, accepted), "{jump}");
        }
    }
}
