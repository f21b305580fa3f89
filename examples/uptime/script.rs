//! The script of the example: the same in every run, faster or slower.

use crate::targets::Behaviour;
use std::ops::Range;
use std::time::Duration;

/// Length of the script at its own speed, seconds.
pub(crate) const SECONDS: u64 = 48;

/// The shop answers 503.
const SHOP: Range<f64> = 5.0..13.0;
/// The search hangs.
const SEARCH: Range<f64> = 9.0..18.0;
/// The payments fail, do not, and so on: each longer than an interval, or nobody would see it.
const PAYMENTS: Range<f64> = 4.0..26.0;
const EACH: f64 = 2.0;
/// Nobody can be reached. Late enough that nothing else is the matter: whoever is down already says nothing of the network.
const DEAD: Range<f64> = 31.0..40.0;

/// The script at its own pace.
#[derive(Debug)]
pub(crate) struct Script {
    /// Seconds of a second that is written here.
    pace: f64,
}

impl Script {
    pub(crate) fn of(seconds: u64) -> Self {
        Self { pace: seconds as f64 / SECONDS as f64 }
    }

    pub(crate) fn end(&self) -> Duration {
        self.real(SECONDS as f64)
    }

    /// When the network of this host is dead.
    pub(crate) fn dead(&self) -> Range<Duration> {
        self.real(DEAD.start)..self.real(DEAD.end)
    }

    /// The line to print when the network goes down or comes back; `was_dead` is the state that was printed last.
    pub(crate) fn news(&self, was_dead: &mut bool, elapsed: Duration) -> Option<&'static str> {
        let dead = self.dead().contains(&elapsed);
        (std::mem::replace(was_dead, dead) != dead).then_some(if dead {
            "the network of this host is dead: nobody can be reached"
        } else {
            "the network of this host is there again"
        })
    }

    pub(crate) fn behaviour(&self, target: &str, elapsed: Duration) -> Behaviour {
        let at = elapsed.as_secs_f64() / self.pace;
        let flaps = PAYMENTS.contains(&at) && (((at - PAYMENTS.start) / EACH) as u64).is_multiple_of(2);
        match target {
            _ if DEAD.contains(&at) => Behaviour::IsGone,
            "shop" if SHOP.contains(&at) => Behaviour::Fails,
            "search" if SEARCH.contains(&at) => Behaviour::Hangs,
            "payments" if flaps => Behaviour::Fails,
            _ => Behaviour::Answers,
        }
    }

    fn real(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds * self.pace)
    }
}
