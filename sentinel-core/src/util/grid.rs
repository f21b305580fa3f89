//! Slot numbers and the times at which slots begin and end.

/// The grid of slots: `[anchor + i·length, anchor + (i+1)·length)` in Unix ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Start of slot 0, Unix ms.
    pub(crate) anchor_ms: i64,
    /// Length of a slot, ms: 1,000 to 60,000.
    pub(crate) slot_ms: i64,
    /// Closed slots in the window: 1 to 720.
    pub(crate) slots: i64,
}

impl Grid {
    /// The slot that contains a time.
    pub(crate) fn slot_of(self, at_ms: i64) -> i64 {
        at_ms.saturating_sub(self.anchor_ms).div_euclid(self.slot_ms)
    }

    /// The oldest slot that is in the window while `open` is open.
    pub(crate) fn oldest(self, open: i64) -> i64 {
        open.saturating_sub(self.slots)
    }

    /// Start of a slot, Unix ms.
    pub(crate) fn start_of(self, slot: i64) -> i64 {
        slot.saturating_mul(self.slot_ms).saturating_add(self.anchor_ms)
    }
}
