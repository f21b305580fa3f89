//! What waits to be judged, and what of it goes when there is no room.

use super::Closed;
use crate::block::packed::Packed;
use crate::block::release_queue::Leaving;
use crate::block::seal::Sealing;
use crate::verdict::fleet::Fleet;

/// Windows that wait for a judge at most: where nobody ticks or asks, what is older is never judged.
const BACKLOG: i64 = 2;

impl Closed {
    /// Where nobody ticks or asks, parts pile up. What is too old to be judged goes, and what memory will soon not hold, a few rows
    /// at a time; what it does not hold any more goes at once.
    pub(super) fn drop_oldest_parts(&mut self, newest: i64) {
        let oldest = self.window.oldest(newest, BACKLOG);
        let soon = self.window.budget() / 16 * 15;
        while self.parts.len() > 1
            && let Some((slot, _)) = self.parts.front()
            && (*slot < oldest || self.waiting_weight() + self.window.weight(&self.ids) > soon)
            && let Some((_, part)) = self.parts.pop_front()
        {
            self.window.expired += part.requests();
            self.leaving.push(part);
        }
        while self.waiting_weight() + self.leaving.weight() + self.window.weight(&self.ids) > self.window.budget() {
            if let Some(left) = self.leaving.take() {
                Leaving::release(left, &mut self.ids);
            } else if self.window.expire_oldest(&mut self.ids) {
            } else if self.parts.len() > 1
                && let Some((_, part)) = self.parts.pop_front()
            {
                self.window.expired += part.requests();
                part.release(&mut self.ids);
            } else {
                return;
            }
            self.ids.tidy();
        }
    }

    /// Requests that are sealed or about to be, and not in the window's closed slots.
    pub(super) fn waiting(&self) -> u64 {
        let parts = self.parts.iter().map(|(_, part)| part).chain(&self.open).map(Packed::requests).sum::<u64>();
        parts + self.sealing.as_ref().map_or(0, Sealing::requests)
    }

    pub(super) fn waiting_weight(&self) -> usize {
        self.parts.iter().map(|(_, part)| part).chain(&self.open).map(Packed::weight).sum()
    }

    /// Bytes of all that is behind the stripes.
    pub(super) fn weight(&self) -> usize {
        self.window.weight(&self.ids)
            + self.waiting_weight()
            + self.sealing.as_ref().map_or(0, Sealing::weight)
            + self.leaving.weight()
            + self.fleet.as_ref().map_or(0, Fleet::weight)
    }
}
