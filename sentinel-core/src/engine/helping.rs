//! Requests that help: how filled tables get sealed when nobody ticks.
//!
//! ```text
//!  request ─► record in stripe ─► does a table wait? ──no──► return
//!                                       │ yes
//!                             try_lock(closed) ──taken──► skip the next 64 requests of this stripe
//!                                       │ free
//!              give back 8 × steps numbers of dropped blocks, seal `steps` tenants (2 to 8), return
//! ```
//!
//! **Invariants**: a request never waits for the lock on `closed`, and it does a bounded amount of work: `steps`
//! tenants of about 100 ns each and `8 × steps` dictionary numbers. Two exceptions: a request that finds
//! more than `MAX_PARTS` sealed parts runs a whole advance, and the one that finishes a table when memory is short drops
//! whole parts and blocks (`drop_oldest_parts`).
//!
//! **Why not a background thread?** The core starts none: a library that is embedded in a forking server cannot rely on
//! one. **Why not seal when the slot changes?** The one request that opens the new slot would wait for a whole table,
//! thousands of tenants. **Why only requests of one stripe?** `sealing_stripe` lets the requests of the stripe whose
//! table is being sealed help, because requests of all stripes would compete for one lock and find it taken. Other
//! stripes join in when a second table waits.

use super::{Closed, Engine, NO_STRIPE};
use crate::util::sync::Ordering;
use std::sync::TryLockError;

/// Tenants that a helping request seals, before the factor for the number of stripes. Sealing one takes about 100 ns;
/// with steps of 64 tenants one call in 600 would take 10 µs.
const TENANTS_PER_CALL: usize = 2;
/// Requests of a stripe that do not try to help after one of them found the lock taken.
const BACKOFF_REQUESTS: usize = 64;
/// Waiting tables of a stripe up to which its requests respect the backoff.
const URGENT_TABLES: usize = 2;
/// Sealed parts that may wait. Late events without any tick or query can exceed it; then one request runs a whole
/// advance.
const MAX_PARTS: usize = 1_024;

impl Engine {
    /// Does a little of the waiting work for a request of stripe `home`, where `waiting` tables wait. When another
    /// thread holds the lock, that thread may be suspended, and trying the lock each time would cost more than the
    /// request itself: so the stripe backs off.
    #[cold]
    pub(super) fn help(&self, home: usize, waiting: usize) {
        let backoff = self.backoff[home].load(Ordering::Relaxed);
        if backoff > 0 && waiting <= URGENT_TABLES {
            self.backoff[home].store(backoff - 1, Ordering::Relaxed);
            return;
        }
        let mut closed = match self.closed.try_lock() {
            Ok(closed) => closed,
            Err(TryLockError::Poisoned(closed)) => closed.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.backoff[home].store(BACKOFF_REQUESTS, Ordering::Relaxed);
                return;
            }
        };
        let closed = &mut *closed;
        if closed.parts.len() > MAX_PARTS {
            self.advance(closed, self.clock.now_ms());
            return;
        }
        // Both kinds of work in each call, so that a table of one request, and the numbers that it frees, are done by
        // the next call. The requests of one stripe seal the tables of all stripes, so each of them does more when
        // there are more stripes.
        let steps = TENANTS_PER_CALL * (self.stripes.len() / 2).clamp(1, 4);
        closed.releasing.advance(steps * 8, &mut closed.ids);
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
        let sealing_stripe = match &closed.sealing {
            Some(sealing) => sealing.stripe,
            None if !closed.releasing.is_empty() => home,
            None => NO_STRIPE,
        };
        // Every processor reads this word for each request, so it is written only when it changes.
        if self.sealing_stripe.load(Ordering::Relaxed) != sealing_stripe {
            self.sealing_stripe.store(sealing_stripe, Ordering::Relaxed);
        }
    }
}
