//! The merged view of the host, in a sentinel that records nothing itself: blocks that this process publishes, and blocks that it has
//! collected from the others.

use super::failures::{Failure, Failures};
use crate::rollup::{Collected, Found, Publication, RollupStore, Slot, StoreError};
use sentinel_core::{Baseline, Block, Live, MergeError, Published, Sentinel};

/// Tenants in the baseline that the leader process writes down; the others are summed up in it.
const MAX_BASELINE_TENANTS: usize = 2_048;

/// A block that the view could not take in.
struct RefusedBlock {
    why: String,
    /// When the block came, Unix ms.
    at_ms: i64,
}

pub(crate) struct View {
    /// Holds the blocks of all processes of this host.
    merged: Sentinel,
    store: Box<dyn RollupStore>,
    published: Published,
    /// Whether the baseline of an earlier leader was read.
    began: bool,
    sources: usize,
    /// The last block that could not be taken in.
    refused: Option<RefusedBlock>,
    /// From this moment on (Unix ms) all blocks are read again: one that was refused may fit by then.
    again_ms: Option<i64>,
    now_ms: i64,
}

impl View {
    pub(crate) fn new(merged: Sentinel, store: Box<dyn RollupStore>) -> Self {
        Self {
            merged,
            store,
            published: Published::default(),
            began: false,
            sources: 1,
            refused: None,
            again_ms: None,
            now_ms: i64::MIN,
        }
    }

    /// The sentinel that answers for the host.
    pub(crate) fn merged(&self) -> &Sentinel {
        &self.merged
    }

    /// Processes that were alive at the last collection, this one included.
    pub(crate) fn sources(&self) -> usize {
        self.sources
    }

    /// A note on a refused block, for as long as the block would be in the window.
    pub(crate) fn note(&self, own: &Sentinel) -> Option<String> {
        let RefusedBlock { why, at_ms } = self.refused.as_ref()?;
        (*at_ms > Self::oldest_ms(own)).then(|| format!("some of what processes have published is left out: {why}"))
    }

    /// Publishes the blocks of this process that have changed, at most `tenants` rows of a slot, and takes them into the view.
    pub(crate) fn publish(
        &mut self,
        own: &Sentinel,
        tenants: usize,
        failures: &mut Failures,
    ) -> Result<(), StoreError> {
        let blocks = own.rollup(&mut self.published, tenants);
        let encoded: Vec<(i64, i64, Vec<u8>)> =
            blocks.iter().map(|block| (block.from_ms(), block.to_ms(), block.encode())).collect();
        let slots: Vec<Slot<'_>> =
            encoded.iter().map(|(from_ms, to_ms, bytes)| Slot { from_ms: *from_ms, to_ms: *to_ms, bytes }).collect();
        let live = own.live(tenants).encode();
        let publication =
            Publication { source: own.source(), slots: &slots, live: &live, oldest_ms: Self::oldest_ms(own) };
        let done = self.store.publish(&publication);
        // When a publication fails, all blocks are published again. A block that comes twice counts once.
        if !done.as_ref().is_ok_and(|done| done.complete) {
            self.published.forget();
        }
        let _ = done?;
        for block in &blocks {
            if let Some(why) = take(&self.merged, block.clone(), failures) {
                self.refused = Some(RefusedBlock { why, at_ms: own.now_ms() });
            }
        }
        Ok(())
    }

    /// Takes in the blocks that other processes have published since the last call.
    pub(crate) fn collect(&mut self, own: &Sentinel, failures: &mut Failures) -> Result<(), StoreError> {
        let now_ms = own.now_ms();
        if !self.began {
            self.begin(failures);
        }
        let was_set_back = now_ms < self.now_ms;
        if was_set_back || self.again_ms.is_some_and(|again_ms| again_ms <= now_ms) {
            // The clock was set back and the view has begun anew, or a block that was refused may fit now.
            self.store.forget();
            self.published.forget();
            self.again_ms = None;
        }
        self.now_ms = now_ms;
        let mut live = vec![own.live(usize::MAX)];
        let Self { merged, store, refused, again_ms, .. } = self;
        let slot_ms = own.slot().as_millis() as i64;
        let collected = store.collect(Self::oldest_ms(own), &mut |found| match found {
            Found::Slot { bytes, .. } => match Block::decode(bytes) {
                Ok(block) => {
                    if let Some(why) = take(merged, block, failures) {
                        *refused = Some(RefusedBlock { why, at_ms: now_ms });
                        again_ms.get_or_insert(now_ms + slot_ms);
                    }
                }
                Err(_) => failures.count(Failure::Decode),
            },
            Found::Live { source, bytes } => match Live::decode(bytes) {
                Ok(one) if one.source() == source => live.push(one),
                _ => failures.count(Failure::Decode),
            },
        })?;
        self.merged.set_live(live);
        self.merged.tick(now_ms);
        let Collected { sources, skipped, .. } = collected;
        self.sources = sources.max(1);
        failures.skipped(skipped);
        self.began = true;
        Ok(())
    }

    /// Takes over the baseline that an earlier leader has written down, so that a new worker knows at once what is normal.
    fn begin(&mut self, failures: &mut Failures) {
        match self.store.recall() {
            Ok(Some(bytes)) => match Baseline::decode(&bytes) {
                Ok(baseline) => drop(self.merged.inherit(baseline)),
                Err(_) => failures.count(Failure::Decode),
            },
            Ok(None) => {}
            Err(error) => failures.error(Failure::Recall, &error),
        }
    }

    /// Writes the baseline down; for the leader process.
    pub(crate) fn hand_on(&mut self, failures: &mut Failures) {
        if let Some(baseline) = self.merged.baseline(MAX_BASELINE_TENANTS)
            && let Err(error) = self.store.remember(&baseline.encode())
        {
            failures.error(Failure::Remember, &error);
        }
    }

    /// Ends the publications of this process. Its blocks stay.
    pub(crate) fn close(&mut self) {
        self.store.close();
    }

    /// Start of the window and one slot before it, Unix ms.
    fn oldest_ms(own: &Sentinel) -> i64 {
        let window = own.window() + own.slot();
        own.now_ms().saturating_sub(window.as_millis() as i64)
    }
}

/// Merges a block. Returns why the block was refused, where that is a loss.
fn take(merged: &Sentinel, block: Block, failures: &mut Failures) -> Option<String> {
    match merged.merge(block) {
        Ok(()) => None,
        // The block has left the window by now.
        Err(MergeError::OutsideWindow { start_ms, to_ms, .. }) if start_ms < to_ms => {
            failures.count(Failure::Outside);
            None
        }
        Err(error) => {
            failures.error(Failure::Merge, &error);
            Some(error.to_string())
        }
    }
}
