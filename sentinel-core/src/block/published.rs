//! The blocks that a process has published for others, so that it publishes each change once.

use crate::block::packed::Packed;
use std::collections::{BTreeMap, BTreeSet};

/// The blocks of a sentinel that have been published; the publisher keeps this value. A forked child's blocks are all new.
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
    /// Requests of each slot, by its start in Unix ms; counts only grow.
    requests: BTreeMap<i64, u64>,
}

impl Published {
    /// Forgets the published blocks, so that all of them come again: for when they have been lost.
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

    /// Forgets all slots but these (starts in Unix ms): others have left the window, or lie in a time that was taken back.
    pub(crate) fn begin(&mut self, source: u64, slots: &BTreeSet<i64>) {
        if self.source != source {
            *self = Self { source, ..Self::default() };
        }
        self.requests.retain(|slot, _| slots.contains(slot));
    }

    /// Whether a block has changed since this was last asked.
    pub(crate) fn is_new(&mut self, block: &Packed) -> bool {
        self.requests.insert(block.summary.from_ms, block.requests()) != Some(block.requests())
    }
}
