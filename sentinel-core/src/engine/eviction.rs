//! Limits the sealed parts that wait for the judges: drops the oldest when nobody ticks or memory is short.

use super::Closed;
use crate::block::packed::Packed;
use crate::block::seal::Sealing;
use crate::verdict::fleet::Fleet;

/// Windows' worth of sealed parts that wait for the judges when nobody ticks or asks; older parts are dropped unjudged.
/// Within two windows a process that nobody ticks has the same baseline as one that ticks.
const BACKLOG_WINDOWS: i64 = 2;

impl Closed {
    /// Drops the oldest parts when nobody ticks or asks and parts pile up. Parts older than the backlog, and parts
    /// beyond 15/16 of the window's budget, give back their rows a few at a time; memory beyond the whole budget is
    /// freed at once.
    pub(super) fn drop_oldest_parts(&mut self, newest: i64) {
        let oldest = self.window.oldest(newest, BACKLOG_WINDOWS);
        let soon = self.window.budget() / 16 * 15;
        while self.parts.len() > 1
            && let Some(front) = self.parts.front()
            && (front.slot < oldest || self.waiting_weight() + self.window.weight(&self.ids) > soon)
            && let Some(part) = self.parts.pop_front()
        {
            self.window.expired += part.block.requests();
            self.releasing.push(part.block);
        }
        while self.waiting_weight() + self.releasing.weight() + self.window.weight(&self.ids) > self.window.budget() {
            if let Some(left) = self.releasing.take() {
                left.release(&mut self.ids);
            } else if self.window.expire_oldest(&mut self.ids) {
            } else if self.parts.len() > 1
                && let Some(part) = self.parts.pop_front()
            {
                self.window.expired += part.block.requests();
                part.block.release(&mut self.ids);
            } else {
                return;
            }
            self.ids.tidy();
        }
    }

    /// Requests in sealed parts, in the sealed part of the open slot, and in the table that is being sealed.
    pub(super) fn waiting(&self) -> u64 {
        let parts = self.parts.iter().map(|part| &part.block).chain(&self.open).map(Packed::requests).sum::<u64>();
        parts + self.sealing.as_ref().map_or(0, Sealing::requests)
    }

    /// Bytes of the sealed parts, the open slot's included.
    pub(super) fn waiting_weight(&self) -> usize {
        self.parts.iter().map(|part| &part.block).chain(&self.open).map(Packed::weight).sum()
    }

    /// Bytes of everything behind the stripes.
    pub(super) fn weight(&self) -> usize {
        self.window.weight(&self.ids)
            + self.waiting_weight()
            + self.sealing.as_ref().map_or(0, Sealing::weight)
            + self.releasing.weight()
            + self.fleet.as_ref().map_or(0, Fleet::weight)
    }
}
