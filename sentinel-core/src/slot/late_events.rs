//! Late events of a stripe: requests whose slot is over when they are recorded.
//!
//! ```text
//! event of slot 41 while 43 is open ─► table of slot 41 ─► waits to be sealed ─► a small block of slot 41 ─► the window
//!                                      (this file)         (stripe)              (block/seal)             (engine/closing)
//! ```
//!
//! A late event has a table like any other event, so that its counts have the same bounds; the window merges the block that is
//! made of the table into the slot that the event belongs to. An event whose slot has left the window is dropped as `late`
//! before it comes here.

use crate::slot::table::Table;

/// Late events that a stripe keeps before they wait to be sealed: each may name another tenant, in another slot.
const LATE_EVENTS: usize = 8_192;

/// Slots that a stripe has tables of late events for, at most.
const LATE_SLOTS: usize = 64;

/// A table that waits to be sealed.
#[derive(Debug)]
pub(crate) struct FilledTable {
    pub(crate) slot: i64,
    /// Requests in the table.
    pub(super) requests: u64,
    pub(crate) table: Box<Table>,
}

impl FilledTable {
    pub(super) fn new(slot: i64, table: Box<Table>) -> Self {
        Self { slot, requests: table.requests(), table }
    }
}

/// Tables of late events, one for each slot that is over.
#[derive(Debug, Default)]
pub(super) struct LateEvents {
    /// In the order of the slots.
    tables: Vec<FilledTable>,
    events: usize,
}

impl LateEvents {
    /// Whether an event of this slot has a table or may get one. No table is made while tables that wait to be sealed take all the
    /// memory.
    pub(super) fn has_room(&self, slot: i64, memory_is_full: bool) -> bool {
        let known = self.tables.iter().any(|late| late.slot == slot);
        self.events < LATE_EVENTS && (known || !memory_is_full && self.tables.len() < LATE_SLOTS)
    }

    /// The table of a slot, for one more event.
    #[cold]
    pub(super) fn table(&mut self, slot: i64, make: impl FnOnce() -> Box<Table>) -> &mut Table {
        self.events += 1;
        let at = self.tables.partition_point(|late| late.slot < slot);
        if self.tables.get(at).is_none_or(|late| late.slot != slot) {
            self.tables.insert(at, FilledTable::new(slot, make()));
        }
        self.tables[at].requests += 1;
        &mut self.tables[at].table
    }

    /// Takes all tables.
    pub(super) fn take(&mut self) -> Vec<FilledTable> {
        self.events = 0;
        std::mem::take(&mut self.tables)
    }

    /// Requests in the tables.
    pub(super) fn requests(&self) -> u64 {
        self.tables.iter().map(|late| late.requests).sum()
    }
}
