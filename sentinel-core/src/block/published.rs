//! What a process publishes for others: the blocks that have changed since it last did, and nothing twice.

use crate::block::packed::Packed;
use std::collections::{BTreeMap, BTreeSet};

/// What of a sentinel's blocks has been published; whoever publishes keeps it. A forked child's blocks are all new.
///
/// ```
/// use sentinel_core::{Clock, Event, Published, Sentinel};
///
/// let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
/// let mut published = Published::default();
/// sentinel.record(Event::default());
/// assert_eq!(sentinel.rollup(&mut published, 512).len(), 1);
/// assert_eq!(sentinel.rollup(&mut published, 512).len(), 0); // nothing has changed
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Published {
    source: u64,
    /// Requests of each slot, by its start. They only grow.
    requests: BTreeMap<i64, u64>,
}

impl Published {
    /// Forgets what was published, so that all of it comes again: after it has been lost.
    ///
    /// ```
    /// # use sentinel_core::{Clock, Event, Published, Sentinel};
    /// # let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
    /// # let mut published = Published::default();
    /// # sentinel.record(Event::default());
    /// sentinel.rollup(&mut published, 512);
    /// published.forget();
    /// assert_eq!(sentinel.rollup(&mut published, 512).len(), 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn forget(&mut self) {
        self.requests.clear();
    }

    /// There are these slots now, by their starts. Of others, such as those of a time that was taken back, nothing is remembered.
    pub(crate) fn begin(&mut self, source: u64, slots: &BTreeSet<i64>) {
        if self.source != source {
            *self = Self { source, ..Self::default() };
        }
        self.requests.retain(|slot, _| slots.contains(slot));
    }

    /// Has it changed since it was last seen?
    pub(crate) fn is_new(&mut self, block: &Packed) -> bool {
        self.requests.insert(block.head.from_ms, block.requests()) != Some(block.requests())
    }
}
