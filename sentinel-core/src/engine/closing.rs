//! How time moves: slots that have ended are judged and closed, then the open one is judged.

use super::sealing::merged;
use super::{Closed, Engine, IDLE};
use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::block::release_queue::Leaving;
use crate::util::grid::Grid;
use crate::util::sync::Ordering;
use crate::verdict::fleet::Fleet;
use std::collections::BTreeMap;

/// A clock that is set back by more than this begins anew; by less, time stands still until it has caught up.
const BACK_MS: i64 = 30_000;

impl Engine {
    /// What has ended is sealed, judged and closed; then the open slot is judged, if it is time.
    pub(super) fn advance(&self, closed: &mut Closed, now_ms: i64) {
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
}

impl Closed {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sentinel;
    use crate::event::Event;
    use crate::util::clock::Clock;

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
