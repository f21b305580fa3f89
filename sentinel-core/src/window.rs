//! The window: the blocks of the last N slots, this process's and those of others, and what they amount to.

use crate::block::Block;
use crate::stripe::Grid;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::tenant::TenantId;

/// The merged view of all blocks may take one part in so many of what they take themselves.
const VIEW: usize = 3;

/// Where a block came from: (slot, source).
type Place = (i64, u64);

#[derive(Debug)]
pub(crate) struct Window {
    grid: Grid,
    /// This process's own source id.
    source: u64,
    blocks: BTreeMap<Place, Arc<Block>>,
    /// Own requests that have left.
    pub(crate) expired: u64,
    /// Bytes that the blocks may take; beyond it the largest are pruned.
    budget: usize,
    weight: usize,
    /// Of it, blocks of other sources.
    foreign_weight: usize,
    /// The slot that was open when last told.
    open: i64,
    dictionary: Dictionary,
    cached: Option<(i64, Arc<Block>)>,
}

impl Window {
    pub(crate) fn new(grid: Grid, source: u64, budget: usize) -> Self {
        let (blocks, dictionary) = (BTreeMap::new(), Dictionary::default());
        Self {
            grid,
            source,
            blocks,
            expired: 0,
            budget,
            weight: 0,
            foreign_weight: 0,
            open: i64::MIN,
            dictionary,
            cached: None,
        }
    }

    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    /// Is there room for another source's block? Not when others have so many that pruning their tenants cannot make them
    /// fit, unless it takes the place of one that weighs as much.
    pub(crate) fn has_room(&mut self, slot: i64, block: &Block) -> bool {
        self.prune();
        let is_full = self.weight > self.budget && self.foreign_weight > self.budget / 2;
        let known = self.blocks.get(&(slot, block.source));
        !is_full || known.is_some_and(|known| block.weight() <= known.weight())
    }

    /// Lets go of everything; own requests have expired.
    pub(crate) fn clear(&mut self) {
        self.expired += self.own().map(|block| block.requests()).sum::<u64>();
        self.blocks.clear();
        (self.weight, self.foreign_weight, self.open, self.cached) = (0, 0, i64::MIN, None);
    }

    pub(crate) fn source(&self) -> u64 {
        self.source
    }

    pub(crate) fn dictionary(&mut self) -> &mut Dictionary {
        &mut self.dictionary
    }

    /// Adds what this process counted; a slot that has a block already gets the sum of both. Gives back what was added.
    pub(crate) fn insert(&mut self, slot: i64, block: Block) -> Arc<Block> {
        let added = Arc::new(block.fitted());
        let block = match self.blocks.get(&(slot, self.source)) {
            Some(known) => Arc::new(Block::merge(&[known, &added], known.slow_above).fitted()),
            None => added.clone(),
        };
        self.put((slot, self.source), block);
        added
    }

    /// Puts another source's block in place of its older snapshot of that slot. Counts only grow: a snapshot with fewer
    /// requests is an older one that comes late, and is not taken.
    pub(crate) fn replace(&mut self, slot: i64, block: Arc<Block>) -> bool {
        let place = (slot, block.source);
        let newer = self.blocks.get(&place).is_none_or(|known| known.requests() <= block.requests());
        if newer {
            self.put(place, block);
            self.dictionary.sweep();
        }
        newer
    }

    fn put(&mut self, place: Place, block: Arc<Block>) {
        self.cached = None;
        self.weigh(place, &block, true);
        if let Some(old) = self.blocks.insert(place, block) {
            self.weigh(place, &old, false);
        }
        self.prune();
    }

    fn weigh(&mut self, (_, source): Place, block: &Block, comes: bool) {
        let weight = block.weight();
        let foreign = if source == self.source { 0 } else { weight };
        if comes {
            (self.weight, self.foreign_weight) = (self.weight + weight, self.foreign_weight + foreign);
        } else {
            (self.weight, self.foreign_weight) = (self.weight - weight, self.foreign_weight - foreign);
        }
    }

    /// Over budget, the largest blocks lose the tenants that weigh least, by halves, until it fits: those of other sources
    /// as long as they take more than half, so that nobody else's blocks push out one's own. What the judges have not seen
    /// yet is left whole: who is cut first has no errors, which would look like a rise to them.
    fn prune(&mut self) {
        while self.weight > self.budget {
            let foreign = self.foreign_weight > self.budget / 2;
            let seen = self.blocks.range(..(self.open, 0));
            let side = seen.filter(|((_, source), _)| (*source != self.source) == foreign);
            let Some((place, largest)) = side.max_by_key(|(_, block)| block.rows.len()).map(|(at, b)| (*at, b.clone()))
            else {
                return;
            };
            let Some(halved) = largest.halved() else {
                return;
            };
            self.weigh(place, &largest, false);
            self.weigh(place, &halved, true);
            self.blocks.insert(place, Arc::new(halved));
        }
    }

    /// Lets go of what is older than the window of the open slot.
    pub(crate) fn expire(&mut self, open: i64) {
        let kept = self.blocks.split_off(&(self.grid.oldest(open), 0));
        for (place, block) in std::mem::replace(&mut self.blocks, kept) {
            self.weigh(place, &block, false);
            self.cached = None;
            if place.1 == self.source {
                self.expired += block.totals[0];
            }
        }
        self.open = self.open.max(open);
        self.dictionary.sweep();
    }

    /// The blocks of a slot.
    pub(crate) fn of_slot(&self, slot: i64) -> impl Iterator<Item = &Arc<Block>> {
        self.blocks.range((slot, 0)..=(slot, u64::MAX)).map(|(_, block)| block)
    }

    /// The blocks of slots from `first` to before `end`, oldest first.
    pub(crate) fn between(&self, first: i64, end: i64) -> impl Iterator<Item = &Arc<Block>> {
        self.blocks.range((first, 0)..(end, 0)).map(|(_, block)| block)
    }

    /// The blocks of slots from `first` on, oldest first.
    pub(crate) fn since(&self, first: i64) -> impl Iterator<Item = &Arc<Block>> {
        self.blocks.range((first, 0)..).map(|(_, block)| block)
    }

    /// Own blocks, oldest first.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Arc<Block>> {
        self.blocks.iter().filter(|((_, source), _)| *source == self.source).map(|(_, block)| block)
    }

    /// Blocks of others.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &Arc<Block>> {
        self.blocks.iter().filter(|((_, source), _)| *source != self.source).map(|(_, block)| block)
    }

    /// Everything since a slot as one block; kept until a block comes or goes.
    pub(crate) fn merged(&mut self, first: i64, slow_above: u16) -> Arc<Block> {
        if let Some((cached, block)) = &self.cached
            && *cached == first
            && block.slow_above == slow_above
        {
            return block.clone();
        }
        let parts: Vec<&Block> = self.since(first).map(|block| &**block).collect();
        let mut merged = Block::merge(&parts, slow_above).fitted();
        while merged.weight() > self.budget / VIEW
            && let Some(halved) = merged.halved()
        {
            merged = halved;
        }
        let merged = Arc::new(merged);
        self.cached = Some((first, merged.clone()));
        merged
    }
}

/// Ids that blocks share, so that a tenant's id is stored once for the whole window.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    ids: HashSet<TenantId>,
    sweep_at: usize,
}

impl Dictionary {
    pub(crate) fn intern(&mut self, id: &[u8]) -> TenantId {
        if let Some(known) = self.ids.get(id) {
            return known.clone();
        }
        let id = TenantId::new(id);
        self.ids.insert(id.clone());
        id
    }

    /// Forgets ids that no block uses any more, once there may be many.
    fn sweep(&mut self) {
        if self.ids.len() > self.sweep_at {
            self.ids.retain(TenantId::is_shared);
            self.sweep_at = 1_024 + 2 * self.ids.len();
        }
    }
}
