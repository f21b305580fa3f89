//! Blocks, requests in flight and baselines of other processes: those that come in, and those that go out.

use super::{Closed, Engine};
use crate::baseline::wire::Baseline;
use crate::block::Block;
use crate::block::packed::Packed;
use crate::block::published::Published;
use crate::engine::in_flight_wire::{Live, MAX_LIVE};
use crate::util::error::MergeError;

impl Engine {
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
}
