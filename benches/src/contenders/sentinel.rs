//! The sentinel with its default options.

use super::Contender;
use crate::Failure;
use crate::stream::{START_MS, Sample};
use sentinel_core::{Clock, Sentinel};

/// Passage of time for the sentinel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The clock moves on, and nobody ticks: records seal and judge. The main figure.
    Unticked,
    /// Somebody ticks once a second of the stream's time.
    Ticked,
    /// The clock stands still and every request carries its time: what `System` is compared with.
    Still,
    /// The machine's clock, and no request carries a time.
    System,
}

pub(crate) struct Own {
    pub(crate) sentinel: Sentinel,
    hand: Hand,
    pace: Pace,
}

/// Moves a manual clock without ticking whom it belongs to: a second, idle sentinel that shares it.
pub(crate) struct Hand(Sentinel);

impl Hand {
    /// A clock and its hand.
    pub(crate) fn new(start_ms: i64) -> Result<(Clock, Self), Failure> {
        let clock = Clock::manual(start_ms);
        let idle = Sentinel::builder().budget(4 << 20).places(8).stripes(1).clock(clock.clone()).build()?;
        Ok((clock, Self(idle)))
    }

    pub(crate) fn move_to(&self, now_ms: i64) {
        self.0.tick(now_ms);
    }
}

impl Own {
    pub(crate) fn new(pace: Pace) -> Result<Self, Failure> {
        let (clock, hand) = Hand::new(START_MS)?;
        let clock = if pace == Pace::System { Clock::system() } else { clock };
        Ok(Self { sentinel: Sentinel::builder().clock(clock).build()?, hand, pace })
    }
}

impl Contender for Own {
    fn record(&self, sample: &Sample) {
        let at = match self.pace {
            Pace::Unticked | Pace::Ticked => Some(sample.at),
            Pace::Still => Some(START_MS),
            Pace::System => None,
        };
        self.sentinel.record(sample.event(at));
    }

    fn advance(&self, now_ms: i64) {
        match self.pace {
            Pace::Ticked if now_ms % 1_000 == 0 => self.sentinel.tick(now_ms),
            Pace::Unticked | Pace::Ticked => self.hand.move_to(now_ms),
            Pace::Still | Pace::System => {}
        }
    }

    fn finish(&self, now_ms: i64) {
        self.sentinel.tick(if self.pace == Pace::Still { START_MS } else { now_ms });
    }

    fn check(&self, events: u64) -> Result<(), Failure> {
        let stats = self.sentinel.stats();
        if stats.accepted != events || stats.adjusted.future > 0 {
            return Err(format!("{events} requests were given, but: {stats:?}").into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hand_moves_a_clock_that_nobody_ticks() {
        let (clock, hand) = Hand::new(START_MS).unwrap();
        let sentinel = Sentinel::builder().clock(clock).build().unwrap();
        hand.move_to(START_MS + 12_345);
        assert_eq!(sentinel.now_ms(), START_MS + 12_345);
    }
}
