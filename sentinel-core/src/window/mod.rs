//! The window: the blocks of the last N slots, of this process and of others, and views of their sums.
//!
//! - this file: which blocks are in the window, and which shrink or leave when memory is short
//! - `sums`: each tenant's counts over blocks, enough to rank by
//! - `tenant_detail`: everything about one tenant, for the few that a report lists

pub(crate) mod sums;
pub(crate) mod tenant_detail;

use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::slot::weights::WEIGHTS;
use crate::util::grid::Grid;
use crate::window::sums::View;
use std::collections::BTreeMap;

/// A block's slot, and the id of the process that counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct BlockKey {
    slot: i64,
    source: u64,
}

impl BlockKey {
    /// The least key of a slot.
    const fn first_of(slot: i64) -> Self {
        Self { slot, source: 0 }
    }

    /// The greatest key of a slot.
    const fn last_of(slot: i64) -> Self {
        Self { slot, source: u64::MAX }
    }
}

/// The view of the blocks since a slot.
#[derive(Debug)]
struct PartView {
    first: i64,
    view: View,
}

/// Bytes that an id takes in the views.
const ID_BYTES: usize = 40;
/// Bytes that an id takes in the dictionary.
const DICTIONARY_BYTES: usize = 48;

/// The blocks of the last N slots.
#[derive(Debug)]
pub(crate) struct Window {
    grid: Grid,
    /// Id of this process.
    source: u64,
    blocks: BTreeMap<BlockKey, Packed>,
    /// Requests of this process that have left the window.
    pub(crate) expired: u64,
    /// Bytes that the blocks, their ids and the views may take; beyond it blocks become coarse, then lose tenants.
    budget: usize,
    /// Bytes of the blocks.
    weight: usize,
    /// Bytes of the blocks of other sources, with their ids.
    foreign_weight: usize,
    /// The newest slot that [`Window::expire`] was told of.
    open: i64,
    /// The view of all blocks, once a report has asked for it.
    whole: Option<View>,
    /// The view of the blocks since a slot, as long as none is added or removed.
    part: Option<PartView>,
    pub(crate) squeezed: Squeezed,
    /// Changes whenever a block is added or removed.
    version: u64,
}

/// Times that memory was too short for a block as it was.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Squeezed {
    pub(crate) coarsened: u64,
    pub(crate) pruned: u64,
}

impl Window {
    pub(crate) fn new(grid: Grid, source: u64, budget: usize) -> Self {
        Self {
            grid,
            source,
            blocks: BTreeMap::new(),
            expired: 0,
            budget,
            weight: 0,
            foreign_weight: 0,
            open: i64::MIN,
            whole: None,
            part: None,
            squeezed: Squeezed::default(),
            version: 0,
        }
    }

    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    /// Changes whenever a block is added or removed; cached answers compare it.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Bytes of the blocks, of the dictionary, and of the ids in the views.
    pub(crate) fn weight(&self, ids: &Dictionary) -> usize {
        self.weight + ids.weight() + ids.len() * ID_BYTES
    }

    /// Whether the budget is used up, and more than half of it by blocks of other sources.
    pub(crate) fn is_full_of_others(&mut self, ids: &mut Dictionary) -> bool {
        self.squeeze(ids);
        self.weight(ids) > self.budget && self.foreign_weight > self.budget / 2
    }

    pub(crate) fn knows(&self, slot: i64, source: u64) -> bool {
        self.blocks.contains_key(&BlockKey { slot, source })
    }

    /// Removes the oldest block; `false` when there is none.
    pub(crate) fn expire_oldest(&mut self, ids: &mut Dictionary) -> bool {
        let Some((&key, block)) = self.blocks.first_key_value() else {
            return false;
        };
        self.expired += if key.source == self.source { block.requests() } else { 0 };
        self.swap(key, None, ids);
        true
    }

    /// Whether there is room for another source's block. Not when other sources have so many that pruning their tenants cannot
    /// make them fit, unless the block replaces one that weighs as much.
    pub(crate) fn has_room(&mut self, slot: i64, block: &Packed, ids: &mut Dictionary) -> bool {
        let is_full = self.is_full_of_others(ids);
        let known = self.blocks.get(&BlockKey { slot, source: block.summary.source });
        !is_full || known.is_some_and(|known| block.weight() <= known.weight())
    }

    /// Removes all blocks; requests of this process count as expired.
    pub(crate) fn clear(&mut self) {
        self.expired += self.own().map(Packed::requests).sum::<u64>();
        self.blocks.clear();
        self.version += 1;
        (self.weight, self.foreign_weight, self.open) = (0, 0, i64::MIN);
        (self.whole, self.part) = (None, None);
    }

    /// Adds a block of this process; a slot that has one already gets the sum of both.
    pub(crate) fn insert(&mut self, slot: i64, block: Packed, ids: &mut Dictionary) {
        let key = BlockKey { slot, source: self.source };
        let block = match self.blocks.get(&key) {
            Some(known) => {
                let sum = Packed::merge(&[known, &block], known.summary.slow_above, ids);
                block.release(ids);
                sum
            }
            None => block,
        };
        self.put(key, block, ids);
    }

    /// Puts another source's block in place of that source's older snapshot of the slot. Counts only grow: a snapshot with fewer
    /// requests is an older one that comes late, and is dropped.
    pub(crate) fn replace(&mut self, slot: i64, block: Packed, ids: &mut Dictionary) {
        if self.is_newer(slot, &block) {
            self.put(BlockKey { slot, source: block.summary.source }, block, ids);
        } else {
            block.release(ids);
        }
    }

    /// Whether another source's block is at least as new as the one that is known.
    pub(crate) fn is_newer(&self, slot: i64, block: &Packed) -> bool {
        let known = self.blocks.get(&BlockKey { slot, source: block.summary.source });
        known.is_none_or(|known| known.requests() <= block.requests())
    }

    /// The oldest slot of `windows` windows that end with `newest`.
    pub(crate) fn oldest(&self, newest: i64, windows: i64) -> i64 {
        newest.saturating_sub(self.grid.slots.saturating_mul(windows))
    }

    fn put(&mut self, key: BlockKey, block: Packed, ids: &mut Dictionary) {
        self.swap(key, Some(block), ids);
        self.squeeze(ids);
    }

    /// Puts a block in place of the one with its key, or removes that one. Weights, version and views follow; the old block gives
    /// its numbers back.
    fn swap(&mut self, key: BlockKey, block: Option<Packed>, ids: &mut Dictionary) {
        self.part = None;
        self.version += 1;
        if let Some(block) = &block {
            self.weigh(key.source, block, true);
        }
        let old = match block {
            Some(block) => self.blocks.insert(key, block),
            None => self.blocks.remove(&key),
        };
        if let Some(old) = old {
            self.weigh(key.source, &old, false);
            old.release(ids);
        }
    }

    fn weigh(&mut self, source: u64, block: &Packed, comes: bool) {
        if let Some(whole) = &mut self.whole {
            whole.apply(block, comes);
        }
        // Each tenant of another source may be one that only this source has.
        let weight = block.weight();
        let with_ids = weight + block.rows.len() * (ID_BYTES + DICTIONARY_BYTES);
        let foreign = if source == self.source { 0 } else { with_ids };
        if comes {
            (self.weight, self.foreign_weight) = (self.weight + weight, self.foreign_weight + foreign);
        } else {
            (self.weight, self.foreign_weight) = (self.weight - weight, self.foreign_weight - foreign);
        }
    }

    /// Over budget, the largest blocks get coarse histograms; then the largest lose the tenants that weigh least, by halves, until
    /// all fit. Blocks of other sources shrink first as long as they take more than half, so that they do not push out this
    /// process's own. Blocks that the judges have not seen yet stay whole: tenants without errors are cut first, which would look
    /// like a rise of the error rate.
    fn squeeze(&mut self, ids: &mut Dictionary) {
        while self.weight(ids) > self.budget {
            let foreign = self.foreign_weight > self.budget / 2;
            let seen = self.blocks.range(..BlockKey::first_of(self.open));
            let side = seen.filter(|(key, _)| (key.source != self.source) == foreign);
            // Blocks that are not coarse yet come first.
            let largest = side.max_by_key(|(_, block)| (!block.coarse, block.rows.weight()));
            // Once this process's blocks have nothing left to give, other sources' blocks shrink; never the other way round.
            let others = self.blocks.range(..BlockKey::first_of(self.open));
            let others = others.filter(|(key, _)| key.source != self.source && !foreign);
            let largest = largest.filter(|(_, block)| !block.coarse || block.rows.len() >= 2 * WEIGHTS);
            let largest = largest.or_else(|| others.max_by_key(|(_, block)| (!block.coarse, block.rows.weight())));
            let Some((&key, largest)) = largest else {
                return;
            };
            let smaller = if let Some(coarse) = largest.coarsened(ids) {
                self.squeezed.coarsened += 1;
                coarse
            } else if let Some(pruned) = largest.pruned(largest.rows.len() / (2 * WEIGHTS), ids) {
                self.squeezed.pruned += 1;
                pruned
            } else {
                return;
            };
            self.swap(key, Some(smaller), ids);
        }
    }

    /// Removes the blocks that are older than the window of the open slot.
    pub(crate) fn expire(&mut self, open: i64, ids: &mut Dictionary) {
        while let Some((&key, block)) = self.blocks.first_key_value()
            && key.slot < self.grid.oldest(open)
        {
            if key.source == self.source {
                self.expired += block.requests();
            }
            self.swap(key, None, ids);
        }
        self.open = self.open.max(open);
    }

    /// The blocks of a slot.
    pub(crate) fn of_slot(&self, slot: i64) -> impl Iterator<Item = &Packed> {
        self.blocks.range(BlockKey::first_of(slot)..=BlockKey::last_of(slot)).map(|(_, block)| block)
    }

    /// The blocks of slots from `first` to before `end`, oldest first.
    pub(crate) fn between(&self, first: i64, end: i64) -> impl Iterator<Item = &Packed> {
        self.blocks.range(BlockKey::first_of(first)..BlockKey::first_of(end)).map(|(_, block)| block)
    }

    /// The blocks of slots from `first` on, oldest first.
    pub(crate) fn since(&self, first: i64) -> impl Iterator<Item = &Packed> + Clone {
        self.blocks.range(BlockKey::first_of(first)..).map(|(_, block)| block)
    }

    /// Blocks of this process, oldest first.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Packed> {
        self.blocks.iter().filter(|(key, _)| key.source == self.source).map(|(_, block)| block)
    }

    /// Blocks of other sources.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &Packed> {
        self.blocks.iter().filter(|(key, _)| key.source != self.source).map(|(_, block)| block)
    }

    /// Brings the view of all blocks since slot `first` up to date; [`Window::view`] reads it.
    pub(crate) fn look(&mut self, first: i64, line: u16) {
        let of = |blocks: &mut dyn Iterator<Item = &Packed>| {
            let mut view = View::new(line);
            blocks.for_each(|block| view.apply(block, true));
            view
        };
        if self.is_whole(first) {
            if self.whole.as_ref().is_none_or(|view| view.line() != line) {
                self.whole = Some(of(&mut self.blocks.values()));
            }
        } else if self.part.as_ref().is_none_or(|part| part.first != first || part.view.line() != line) {
            self.part = Some(PartView { first, view: View::of(self.since(first), line) });
        }
    }

    /// Forgets the view of a part of the window when it does not fit into the budget.
    pub(crate) fn looked(&mut self, ids: &Dictionary) {
        if self.part.as_ref().is_some_and(|part| self.weight(ids) + part.view.weight() > self.budget) {
            self.part = None;
        }
    }

    /// The view of all blocks since slot `first`, as [`Window::look`] has left it.
    pub(crate) fn view(&self, first: i64) -> Option<&View> {
        if self.is_whole(first) { self.whole.as_ref() } else { self.part.as_ref().map(|part| &part.view) }
    }

    fn is_whole(&self, first: i64) -> bool {
        self.blocks.first_key_value().is_none_or(|(key, _)| key.slot >= first)
    }
}
