//! Where slots begin and end.

/// The grid of slots: `[anchor + i·length, anchor + (i+1)·length)` in Unix ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) anchor_ms: i64,
    pub(crate) slot_ms: i64,
    /// Closed slots in the window.
    pub(crate) slots: i64,
}

impl Grid {
    pub(crate) fn slot_of(self, at_ms: i64) -> i64 {
        at_ms.saturating_sub(self.anchor_ms).div_euclid(self.slot_ms)
    }

    /// The oldest slot that is in the window while `open` is open.
    pub(crate) fn oldest(self, open: i64) -> i64 {
        open.saturating_sub(self.slots)
    }

    pub(crate) fn start_of(self, slot: i64) -> i64 {
        slot.saturating_mul(self.slot_ms).saturating_add(self.anchor_ms)
    }
}
