//! What requests do of the work that waits, where nobody ticks.

use super::{Closed, Engine, IDLE};
use crate::util::sync::Ordering;
use std::sync::TryLockError;

/// What a request does of the work that waits, where nobody ticks: a tenant is sealed in about 100 ns.
const STEPS: usize = 2;
/// Requests that do not help once another was found at it.
const PATIENCE: usize = 64;
/// Tables that wait in a stripe until it does not wait any longer itself.
const PRESSING: usize = 2;
/// Parts that wait at most. Late events over and over, and nobody who asks: then a request does all that waits.
const MAX_PARTS: usize = 1_024;

impl Engine {
    /// A request does a little of the work that waits, unless somebody else is at it: he may have been interrupted, and then
    /// asking him every time would cost more than the request.
    #[cold]
    pub(super) fn help(&self, home: usize, waiting: usize) {
        let patience = self.patience[home].load(Ordering::Relaxed);
        if patience > 0 && waiting <= PRESSING {
            self.patience[home].store(patience - 1, Ordering::Relaxed);
            return;
        }
        let mut closed = match self.closed.try_lock() {
            Ok(closed) => closed,
            Err(TryLockError::Poisoned(closed)) => closed.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.patience[home].store(PATIENCE, Ordering::Relaxed);
                return;
            }
        };
        let closed = &mut *closed;
        if closed.parts.len() > MAX_PARTS {
            self.advance(closed, self.clock.now_ms());
            return;
        }
        // Some of each, so that a table of one request, and what it lets go of, is done with by the next one.
        // One stripe's requests seal for all, so the more stripes there are the more each of them does.
        let steps = STEPS * (self.stripes.len() / 2).clamp(1, 4);
        closed.leaving.advance(steps * 8, &mut closed.ids);
        if closed.sealing.is_none() {
            let mask = self.stripes.len() - 1;
            let waiting = |i: usize| self.stripes[i].try_lock()?.take_filled();
            let found = (0..self.stripes.len()).map(|i| (home + i) & mask).find_map(|i| Some((i, waiting(i)?)));
            if let Some((i, filled)) = found {
                closed.begin(self, i, filled);
            }
        }
        let Closed { sealing, ids, .. } = closed;
        if let Some(sealing) = sealing
            && sealing.advance(steps, ids)
        {
            let slot = sealing.slot;
            self.finish(closed);
            closed.drop_oldest_parts(slot);
        }
        let busy = match &closed.sealing {
            Some(sealing) => sealing.stripe,
            None if !closed.leaving.is_empty() => home,
            None => IDLE,
        };
        // All processors read it for each request: written only when it changes.
        if self.busy.load(Ordering::Relaxed) != busy {
            self.busy.store(busy, Ordering::Relaxed);
        }
    }
}
