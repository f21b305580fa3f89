//! Turns filled tables into sealed parts of slots, and the parts of a slot into one block.

use super::{Closed, Engine, SealedPart};
use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::block::seal::{Sealing, SealingInput};
use crate::slot::late_events::FilledTable;
use crate::slot::table::SlowLine;
use crate::slot::weights::WEIGHTS;

impl Engine {
    /// Finishes the table that is being sealed, if any.
    pub(super) fn finish(&self, closed: &mut Closed) {
        let Some(sealing) = closed.sealing.take() else {
            return;
        };
        let (slot, stripe) = (sealing.slot, sealing.stripe);
        let (block, mut table) = sealing.finish(&mut closed.ids);
        // A table that was much larger than its content is freed; the stripe's next table grows only as far as needed.
        if table.is_worth_keeping() {
            table.reset(SlowLine::default());
            let surplus = self.stripes[stripe].lock().give_back(table);
            drop(surplus);
        }
        closed.parts.push_back(SealedPart { slot, block });
    }

    /// Seals the tables of all stripes, the open slot's included. A stripe's lock is held only while its table is
    /// swapped.
    pub(super) fn collect(&self, closed: &mut Closed) {
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
            // A request has opened the next slot meanwhile: rotate all stripes to it.
            closed.slot = newest;
        }
    }
}

impl Closed {
    /// Begins to seal a table of a stripe.
    pub(super) fn begin(&mut self, engine: &Engine, stripe: usize, FilledTable { slot, table, .. }: FilledTable) {
        let grid = engine.shared.grid;
        // Over the window's budget, new histograms are coarse from the beginning.
        let coarse = self.waiting_weight() + self.window.weight(&self.ids) > self.window.budget();
        let registry = &engine.shared.registry;
        let sealing = registry.with_names(|names| {
            Sealing::new(SealingInput {
                table,
                slot,
                stripe,
                source: engine.source,
                from_ms: grid.start_of(slot),
                to_ms: grid.start_of(slot + 1),
                names,
                coarse,
                expected_bytes: self.parts.back().map_or(0, |part| part.block.rows.weight()),
            })
        });
        self.sealing = Some(sealing);
    }
}

/// Merges the parts of a slot into one block. A block of more than six times `places` tenants is pruned by the table's
/// own rule.
pub(super) fn merged(mut parts: Vec<Packed>, places: usize, ids: &mut Dictionary) -> Packed {
    let mut block = if parts.len() > 1 {
        let line = parts.last().map_or(0, |part| part.summary.slow_above);
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
