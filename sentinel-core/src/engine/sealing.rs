//! From filled tables to sealed parts of slots.

use super::{Closed, Engine};
use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::block::seal::Sealing;
use crate::slot::stripe::Filled;
use crate::slot::table::SlowLine;
use crate::slot::weights::WEIGHTS;

impl Engine {
    /// Finishes what is being sealed.
    pub(super) fn finish(&self, closed: &mut Closed) {
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

    /// Seals all that the stripes hold, the open slot so far included. A stripe's lock is held for a swap.
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
            // A request has opened the next slot meanwhile: all stripes go there.
            closed.slot = newest;
        }
    }
}

impl Closed {
    /// Begins to seal a table of a stripe.
    pub(super) fn begin(&mut self, engine: &Engine, stripe: usize, Filled { slot, table, .. }: Filled) {
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
}

/// Parts of a slot as one block of at most six times `places` tenants.
pub(super) fn merged(mut parts: Vec<Packed>, places: usize, ids: &mut Dictionary) -> Packed {
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
