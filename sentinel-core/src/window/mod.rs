//! The window: the blocks of the last N slots, this process's and those of others, and what they amount to.

pub(crate) mod sums;
pub(crate) mod tenant_detail;

use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::slot::weights::WEIGHTS;
use crate::util::grid::Grid;
use crate::window::sums::View;
use std::collections::BTreeMap;

/// Where a block came from: (slot, source).
type Place = (i64, u64);

/// Bytes that an id takes beside the dictionary: its place in the views.
const ID_BYTES: usize = 40;
/// And in it.
const DICTIONARY_BYTES: usize = 48;

#[derive(Debug)]
pub(crate) struct Window {
    grid: Grid,
    /// This process's own source id.
    source: u64,
    blocks: BTreeMap<Place, Packed>,
    /// Own requests that have left.
    pub(crate) expired: u64,
    /// Bytes that the blocks, their ids and the views may take; beyond it blocks coarsen, then lose tenants.
    budget: usize,
    weight: usize,
    /// Of it, blocks of other sources.
    foreign_weight: usize,
    /// The slot that was open when last told.
    open: i64,
    /// Over all blocks, once somebody has asked.
    whole: Option<View>,
    /// Over the blocks since a slot, as long as none has come or gone.
    part: Option<(i64, View)>,
    pub(crate) squeezed: Squeezed,
    /// Changes with the blocks.
    version: u64,
}

/// How often memory was too short for a block as it was.
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

    /// Another one whenever a block has come or gone.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Bytes that it takes, and the ids.
    pub(crate) fn weight(&self, ids: &Dictionary) -> usize {
        self.weight + ids.weight() + ids.len() * ID_BYTES
    }

    /// Others' blocks take more than half of what there is, and that is all in use.
    pub(crate) fn is_full_of_others(&mut self, ids: &mut Dictionary) -> bool {
        self.squeeze(ids);
        self.weight(ids) > self.budget && self.foreign_weight > self.budget / 2
    }

    pub(crate) fn knows(&self, slot: i64, source: u64) -> bool {
        self.blocks.contains_key(&(slot, source))
    }

    /// Lets go of the oldest block.
    pub(crate) fn expire_oldest(&mut self, ids: &mut Dictionary) -> bool {
        let Some((&place, block)) = self.blocks.first_key_value() else {
            return false;
        };
        self.expired += if place.1 == self.source { block.requests() } else { 0 };
        self.swap(place, None, ids);
        true
    }

    /// Is there room for another source's block? Not when others have so many that pruning their tenants cannot make them
    /// fit, unless it takes the place of one that weighs as much.
    pub(crate) fn has_room(&mut self, slot: i64, block: &Packed, ids: &mut Dictionary) -> bool {
        let is_full = self.is_full_of_others(ids);
        let known = self.blocks.get(&(slot, block.head.source));
        !is_full || known.is_some_and(|known| block.weight() <= known.weight())
    }

    /// Lets go of everything; own requests have expired.
    pub(crate) fn clear(&mut self) {
        self.expired += self.own().map(Packed::requests).sum::<u64>();
        self.blocks.clear();
        self.version += 1;
        (self.weight, self.foreign_weight, self.open) = (0, 0, i64::MIN);
        (self.whole, self.part) = (None, None);
    }

    /// Adds what this process counted; a slot that has a block already gets the sum of both.
    pub(crate) fn insert(&mut self, slot: i64, block: Packed, ids: &mut Dictionary) {
        let block = match self.blocks.get(&(slot, self.source)) {
            Some(known) => {
                let sum = Packed::merge(&[known, &block], known.head.slow_above, ids);
                block.release(ids);
                sum
            }
            None => block,
        };
        self.put((slot, self.source), block, ids);
    }

    /// Puts another source's block in place of its older snapshot of that slot. Counts only grow: a snapshot with fewer
    /// requests is an older one that comes late, and is not taken.
    pub(crate) fn replace(&mut self, slot: i64, block: Packed, ids: &mut Dictionary) {
        if self.is_newer(slot, &block) {
            self.put((slot, block.head.source), block, ids);
        } else {
            block.release(ids);
        }
    }

    /// Would another source's block be taken?
    pub(crate) fn is_newer(&self, slot: i64, block: &Packed) -> bool {
        let known = self.blocks.get(&(slot, block.head.source));
        known.is_none_or(|known| known.requests() <= block.requests())
    }

    /// The oldest slot of so many windows before `newest`.
    pub(crate) fn oldest(&self, newest: i64, windows: i64) -> i64 {
        newest.saturating_sub(self.grid.slots.saturating_mul(windows))
    }

    fn put(&mut self, place: Place, block: Packed, ids: &mut Dictionary) {
        self.swap(place, Some(block), ids);
        self.squeeze(ids);
    }

    /// A block takes a place, or none does: all that is known of the blocks follows. The old one gives its numbers back.
    fn swap(&mut self, place: Place, block: Option<Packed>, ids: &mut Dictionary) {
        self.part = None;
        self.version += 1;
        if let Some(block) = &block {
            self.weigh(place, block, true);
        }
        let old = match block {
            Some(block) => self.blocks.insert(place, block),
            None => self.blocks.remove(&place),
        };
        if let Some(old) = old {
            self.weigh(place, &old, false);
            old.release(ids);
        }
    }

    fn weigh(&mut self, (_, source): Place, block: &Packed, comes: bool) {
        if let Some(whole) = &mut self.whole {
            whole.apply(block, comes);
        }
        // Each tenant of another source may be one that nobody else knows.
        let weight = block.weight();
        let with_ids = weight + block.rows.len() * (ID_BYTES + DICTIONARY_BYTES);
        let foreign = if source == self.source { 0 } else { with_ids };
        if comes {
            (self.weight, self.foreign_weight) = (self.weight + weight, self.foreign_weight + foreign);
        } else {
            (self.weight, self.foreign_weight) = (self.weight - weight, self.foreign_weight - foreign);
        }
    }

    /// Over budget, blocks get coarse histograms, the largest first; then the largest lose the tenants that weigh least, by
    /// halves, until it fits: those of other sources as long as they take more than half, so that nobody else's blocks push
    /// out one's own. What the judges have not seen yet is left whole: who is cut first has no errors, which would look like
    /// a rise to them.
    fn squeeze(&mut self, ids: &mut Dictionary) {
        while self.weight(ids) > self.budget {
            let foreign = self.foreign_weight > self.budget / 2;
            let seen = self.blocks.range(..(self.open, 0));
            let side = seen.filter(|((_, source), _)| (*source != self.source) == foreign);
            // Those that are not coarse yet come first.
            let largest = side.max_by_key(|(_, block)| (!block.coarse, block.rows.weight()));
            // Where one's own have nothing to give, those of others have; never the other way round.
            let others = self.blocks.range(..(self.open, 0));
            let others = others.filter(|((_, source), _)| *source != self.source && !foreign);
            let largest = largest.filter(|(_, block)| !block.coarse || block.rows.len() >= 2 * WEIGHTS);
            let largest = largest.or_else(|| others.max_by_key(|(_, block)| (!block.coarse, block.rows.weight())));
            let Some((&place, largest)) = largest else {
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
            self.swap(place, Some(smaller), ids);
        }
    }

    /// Lets go of what is older than the window of the open slot.
    pub(crate) fn expire(&mut self, open: i64, ids: &mut Dictionary) {
        while let Some((&place, block)) = self.blocks.first_key_value()
            && place.0 < self.grid.oldest(open)
        {
            if place.1 == self.source {
                self.expired += block.requests();
            }
            self.swap(place, None, ids);
        }
        self.open = self.open.max(open);
    }

    /// The blocks of a slot.
    pub(crate) fn of_slot(&self, slot: i64) -> impl Iterator<Item = &Packed> {
        self.blocks.range((slot, 0)..=(slot, u64::MAX)).map(|(_, block)| block)
    }

    /// The blocks of slots from `first` to before `end`, oldest first.
    pub(crate) fn between(&self, first: i64, end: i64) -> impl Iterator<Item = &Packed> {
        self.blocks.range((first, 0)..(end, 0)).map(|(_, block)| block)
    }

    /// The blocks of slots from `first` on, oldest first.
    pub(crate) fn since(&self, first: i64) -> impl Iterator<Item = &Packed> + Clone {
        self.blocks.range((first, 0)..).map(|(_, block)| block)
    }

    /// Own blocks, oldest first.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Packed> {
        self.blocks.iter().filter(|((_, source), _)| *source == self.source).map(|(_, block)| block)
    }

    /// Blocks of others.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &Packed> {
        self.blocks.iter().filter(|((_, source), _)| *source != self.source).map(|(_, block)| block)
    }

    /// Brings the view of everything since a slot up to date; [`Window::view`] reads it.
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
        } else if self.part.as_ref().is_none_or(|(known, view)| *known != first || view.line() != line) {
            self.part = Some((first, View::of(self.since(first), line)));
        }
    }

    /// Forgets the view of a part, where it is too large to be kept beside the one of the whole.
    pub(crate) fn looked(&mut self, ids: &Dictionary) {
        if self.part.as_ref().is_some_and(|(_, view)| self.weight(ids) + view.weight() > self.budget) {
            self.part = None;
        }
    }

    /// The view of everything since a slot, as [`Window::look`] has left it.
    pub(crate) fn view(&self, first: i64) -> Option<&View> {
        if self.is_whole(first) { self.whole.as_ref() } else { self.part.as_ref().map(|(_, view)| view) }
    }

    fn is_whole(&self, first: i64) -> bool {
        self.blocks.first_key_value().is_none_or(|((slot, _), _)| *slot >= first)
    }
}
