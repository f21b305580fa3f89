//! The merged view: what this process publishes of itself, and what it has collected of the others, in a sentinel that records
//! nothing itself.

use super::failures::{Failure, Failures};
use crate::rollup::{Collected, Found, Publication, RollupStore, Slot, StoreError};
use sentinel_core::{Baseline, Block, Live, MergeError, Published, Sentinel};

/// Tenants that are handed on to who begins: beyond them, what was normal is known of all together.
const MAX_BASELINE_TENANTS: usize = 2_048;

/// A block that the view could not take in.
struct RefusedBlock {
    why: String,
    /// When it came, Unix ms.
    at_ms: i64,
}

pub(crate) struct View {
    /// Holds all that is known of the processes of this host.
    merged: Sentinel,
    store: Box<dyn RollupStore>,
    published: Published,
    /// What the others left was read once.
    began: bool,
    sources: usize,
    /// The last block that could not be taken in: why, and when.
    refused: Option<RefusedBlock>,
    /// Something may be taken in that was not before: all is to be read again, from this moment on.
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

    /// Holds the answer.
    pub(crate) fn merged(&self) -> &Sentinel {
        &self.merged
    }

    /// Processes that lived when it last looked, this one included.
    pub(crate) fn sources(&self) -> usize {
        self.sources
    }

    /// What it leaves out, for as long as that would be in the window.
    pub(crate) fn note(&self, own: &Sentinel) -> Option<String> {
        let RefusedBlock { why, at_ms } = self.refused.as_ref()?;
        (*at_ms > Self::oldest_ms(own)).then(|| format!("some of what processes have published is left out: {why}"))
    }

    /// Publishes what has changed in this process since it last did, at most `tenants` of a slot, and takes it into the view.
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
        // What is not there for others comes again, all of it: what comes twice counts once.
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

    /// Takes in what the others have published since it last looked.
    pub(crate) fn collect(&mut self, own: &Sentinel, failures: &mut Failures) -> Result<(), StoreError> {
        let now_ms = own.now_ms();
        if !self.began {
            self.begin(failures);
        }
        let was_set_back = now_ms < self.now_ms;
        if was_set_back || self.again_ms.is_some_and(|again_ms| again_ms <= now_ms) {
            // The view may have begun anew, or there is room now, or a time has come.
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

    /// What is normal, as somebody who was here before knew it: so that a new worker is not born blind.
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

    /// Hands on what is normal; for the leader.
    pub(crate) fn hand_on(&mut self, failures: &mut Failures) {
        if let Some(baseline) = self.merged.baseline(MAX_BASELINE_TENANTS)
            && let Err(error) = self.store.remember(&baseline.encode())
        {
            failures.error(Failure::Remember, &error);
        }
    }

    /// This process counts no more; what it has published stays.
    pub(crate) fn close(&mut self) {
        self.store.close();
    }

    /// Where the window begins.
    fn oldest_ms(own: &Sentinel) -> i64 {
        let window = own.window() + own.slot();
        own.now_ms().saturating_sub(window.as_millis() as i64)
    }
}

/// Takes a block in; says why not, where that is a loss.
fn take(merged: &Sentinel, block: Block, failures: &mut Failures) -> Option<String> {
    match merged.merge(block) {
        Ok(()) => None,
        // It has left the window by now.
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
