//! Blocks that have left while nobody ticked or asked: their rows give their numbers back a few at a time.

use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(crate) struct Leaving {
    blocks: VecDeque<Packed>,
    /// Rows of the first one that have gone.
    place: Place,
}

/// How far the rows of a block have been read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) at: usize,
    pub(crate) number: u32,
}

impl Leaving {
    pub(crate) fn push(&mut self, block: Packed) {
        self.blocks.push_back(block);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Gives back up to `most` numbers.
    pub(crate) fn advance(&mut self, most: usize, ids: &mut Dictionary) {
        let mut left = most;
        while let Some(block) = self.blocks.front()
            && left > 0
        {
            if let Some(number) = block.rows.number_at(&mut self.place) {
                ids.release(number);
                left -= 1;
            } else {
                self.blocks.pop_front();
                self.place = Place::default();
            }
        }
    }

    /// The first one, to be let go of at once.
    pub(crate) fn take(&mut self) -> Option<(Packed, Place)> {
        Some((self.blocks.pop_front()?, std::mem::take(&mut self.place)))
    }

    /// Gives back all the numbers that a block still has.
    pub(crate) fn release((block, mut place): (Packed, Place), ids: &mut Dictionary) {
        while let Some(number) = block.rows.number_at(&mut place) {
            ids.release(number);
        }
    }

    /// Bytes of memory.
    pub(crate) fn weight(&self) -> usize {
        self.blocks.iter().map(Packed::weight).sum()
    }
}
