//! A service on virtual time: requests at a steady rate, and somebody who ticks once a second.

use crate::Failure;
use crate::alloc::Count;
use crate::contenders::sentinel::Hand;
use crate::stream::{Maker, SLOT_MS, START_MS, Tenants};
use sentinel_core::Sentinel;

/// Requests a second, unless something else is said.
pub(crate) const RATE: usize = 5_000;
/// Slots of the default window.
pub(crate) const WINDOW_SLOTS: i64 = 60;
/// Moves of the clock a second.
const MOVES: usize = 10;

pub(crate) struct Service {
    pub(crate) sentinel: Sentinel,
    pub(crate) now_ms: i64,
    hand: Hand,
    maker: Maker,
    /// The slot that each tenant was last seen in.
    seen: Vec<i64>,
    /// Pairs of a tenant and a slot so far.
    pub(crate) rows: u64,
}

impl Service {
    /// With default options.
    pub(crate) fn new(tenants: u64) -> Result<Self, Failure> {
        Self::counted(tenants).map(|(service, _)| service)
    }

    /// And what is allocated from the sentinel's birth on; all else is there already.
    pub(crate) fn counted(tenants: u64) -> Result<(Self, Count), Failure> {
        let (clock, hand) = Hand::new(START_MS)?;
        let maker = Maker::new(Tenants::Zipf(tenants), RATE * (SLOT_MS / 1_000) as usize)?;
        let seen = vec![0; tenants as usize];
        let count = Count::begin();
        let sentinel = Sentinel::builder().clock(clock).build()?;
        Ok((Self { sentinel, now_ms: START_MS, hand, maker, seen, rows: 0 }, count))
    }

    /// A second of requests.
    pub(crate) fn second(&mut self) {
        for _ in 0..MOVES {
            self.now_ms += 1_000 / MOVES as i64;
            self.hand.move_to(self.now_ms - 1);
            self.requests(RATE / MOVES);
        }
        self.hand.move_to(self.now_ms);
    }

    /// Seconds of requests, each with its tick.
    pub(crate) fn seconds(&mut self, seconds: usize) {
        for _ in 0..seconds {
            self.second();
            self.sentinel.tick(self.now_ms);
        }
    }

    /// Requests while time stands still.
    pub(crate) fn requests(&mut self, requests: usize) {
        let at = self.sentinel.now_ms();
        for _ in 0..requests {
            let (tenant, sample) = self.maker.next();
            let last = &mut self.seen[tenant as usize];
            self.rows += u64::from(*last != at / SLOT_MS);
            *last = at / SLOT_MS;
            self.sentinel.record(sample.event(Some(at)));
        }
    }

    /// Distinct tenants in the window: the closed slots and the open one.
    pub(crate) fn distinct(&self) -> usize {
        let first = self.now_ms / SLOT_MS - WINDOW_SLOTS;
        self.seen.iter().filter(|slot| **slot >= first).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_of_service() {
        let mut service = Service::new(50).unwrap();
        service.seconds(60);
        let report = service.sentinel.report(sentinel_core::Query::default());
        assert_eq!(report.totals.requests, 60 * RATE as u64);
        assert_eq!(report.totals.tenants as usize, service.distinct());
        assert_eq!(service.now_ms, START_MS + 60_000);
        // All slots but the open one, which is empty yet.
        assert_eq!((service.sentinel.blocks().len(), service.rows), (6, 300));
    }
}
