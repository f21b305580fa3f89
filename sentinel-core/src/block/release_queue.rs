//! Blocks that have left without a tick or a query: requests give the numbers of their rows back, a few each.

use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::block::rows::RowCursor;
use std::collections::VecDeque;

/// Blocks that wait to give their numbers back, oldest first.
#[derive(Debug, Default)]
pub(crate) struct ReleaseQueue {
    blocks: VecDeque<Packed>,
    /// Rows of the first block that have given their numbers back.
    released: RowCursor,
}

/// A block some of whose first rows have given their numbers back.
#[derive(Debug)]
pub(crate) struct PartlyReleased {
    block: Packed,
    released: RowCursor,
}

impl PartlyReleased {
    /// Gives back the numbers that the block still has.
    pub(crate) fn release(mut self, ids: &mut Dictionary) {
        while let Some(number) = self.block.rows.number_at(&mut self.released) {
            ids.release(number);
        }
    }
}

impl ReleaseQueue {
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
            if let Some(number) = block.rows.number_at(&mut self.released) {
                ids.release(number);
                left -= 1;
            } else {
                self.blocks.pop_front();
                self.released = RowCursor::default();
            }
        }
    }

    /// Takes the first block, to be released at once.
    pub(crate) fn take(&mut self) -> Option<PartlyReleased> {
        Some(PartlyReleased { block: self.blocks.pop_front()?, released: std::mem::take(&mut self.released) })
    }

    /// Bytes of memory.
    pub(crate) fn weight(&self) -> usize {
        self.blocks.iter().map(Packed::weight).sum()
    }
}
