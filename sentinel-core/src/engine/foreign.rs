//! Exchange with other processes: blocks, requests in flight and baselines, in both directions.
//!
//! Another process's block is cumulative: a newer block of the same source and slot replaces the older one, so a
//! repeated delivery cannot count twice. Blocks of slots that the judges have closed amend their counts at once; blocks
//! of the open slot are counted at each judgement.

use super::{Closed, Engine};
use crate::baseline::Amendment;
use crate::baseline::wire::Baseline;
use crate::block::Block;
use crate::block::packed::Packed;
use crate::block::published::Published;
use crate::engine::in_flight_wire::{Live, MAX_LIVE_TENANTS};
use crate::util::error::MergeError;

impl Engine {
    /// This process's blocks, oldest first; the open slot's block, as full as it is now, comes last.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let closed = self.advanced();
        closed.window.own().chain(&closed.open).map(|block| block.to_block(&closed.ids)).collect()
    }

    /// Takes in another source's block of one slot; a newer block replaces an older one of the same source and slot.
    ///
    /// # Errors
    /// The block covers no slot of this grid, comes from this very process, lies outside the window, or does not fit
    /// into the budget.
    pub(crate) fn merge(&self, block: Block) -> Result<(), MergeError> {
        let grid = self.shared.grid;
        let (from_ms, to_ms, source) = (block.summary.from_ms, block.summary.to_ms, block.summary.source);
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
            // Nobody may tick here, and still old blocks must leave as new ones come. Before the judges have started
            // nothing is judged: a tick starts them, after all blocks of a first collection have been merged.
            if closed.fleet.is_some() {
                self.advance(closed, now_ms);
            } else {
                closed.slot = closed.slot.max(grid.slot_of(now_ms));
                closed.window.expire(closed.slot, &mut closed.ids);
            }
        }
        let open = closed.slot;
        // A block one slot ahead is accepted: the clock of its host runs ahead.
        if slot < grid.oldest(open) || slot > open + 1 {
            let (from_ms, to_ms) = (grid.start_of(grid.oldest(open)), grid.start_of(open));
            return Err(MergeError::OutsideWindow { start_ms: block.summary.from_ms, from_ms, to_ms });
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
            fleet.amend(slot, &block, Amendment::Replace, ids);
        }
        window.replace(slot, block, ids);
        Ok(())
    }

    /// This process's blocks that changed since `published` last saw them, each cut to its heaviest `tenants` rows.
    pub(crate) fn rollup(&self, published: &mut Published, tenants: usize) -> Vec<Block> {
        let mut closed = self.advanced();
        let Closed { window, ids, open, .. } = &mut *closed;
        published.begin(self.source, &window.own().chain(&*open).map(|block| block.summary.from_ms).collect());
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

    /// Requests in flight in this process, of at most `tenants` tenants.
    pub(crate) fn live(&self, tenants: usize) -> Live {
        Live::new(self.source, self.clock.now_ms(), self.flights.by_tenant(|started| self.since(started)), tenants)
    }

    /// Replaces the known requests in flight of other processes, cut to `MAX_LIVE_TENANTS` in all.
    pub(crate) fn set_live(&self, mut live: Vec<Live>) {
        let mut left = MAX_LIVE_TENANTS;
        for part in &mut live {
            part.in_flight.truncate(left);
            left -= part.in_flight.len();
        }
        self.closed().live = live;
    }

    /// Baseline for another process, with at most `tenants` tenants by name; `None` before the first event.
    pub(crate) fn baseline(&self, tenants: usize) -> Option<Baseline> {
        let closed = self.closed();
        closed.fleet.as_ref().map(|fleet| fleet.baseline(tenants, &closed.ids))
    }

    /// Keeps another process's baseline for the start of the judges. Returns false when the judges have started
    /// already, or when the baseline does not fit: another slot length, a future time, or older than two windows.
    pub(crate) fn inherit(&self, baseline: Baseline) -> bool {
        let mut closed = self.closed();
        let (grid, now_ms) = (self.shared.grid, self.clock.now_ms());
        // After more than two windows nobody knows any more what was normal in between.
        let age = now_ms.saturating_sub(baseline.until_ms);
        let is_past = (0..=2 * grid.slot_ms * grid.slots).contains(&age) && baseline.latencies_until_ms <= now_ms;
        let fits = closed.fleet.is_none() && is_past && baseline.slot_ms == grid.slot_ms as u64;
        if fits {
            closed.inherited = Some(baseline);
        }
        fits
    }
}
