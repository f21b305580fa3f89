//! The moments at which a check is probed: a grid of its own, so that checks spread over their interval and do not drift. Missed moments
//! are skipped, not made up for.

use super::monitor::hash;

/// Longest delay of a probe behind its moment, in milliseconds. Later moments are skipped: after a break all checks would run at once.
const MAX_LATE_MS: u64 = 5_000;
/// Longest time until the first probe of a new, changed or resumed check, in milliseconds.
const MAX_FIRST_WAIT_MS: u64 = 60_000;

/// The moments of a check: `phase + k · interval` in Unix ms, with phase = hash(name) mod interval. The grid is the same in every process,
/// so the next leader process continues it.
///
/// ```
/// use sentinel_core::uptime::Schedule;
///
/// let schedule = Schedule::new("checkout", 60_000);
/// let first = schedule.first(1_700_000_000_000);
/// let second = schedule.next(first, first + 250).at_ms; // however late the first one was
/// assert_eq!(second, first + 60_000);
/// // Asleep for ten minutes: nine moments are left out, not made up for.
/// let due = schedule.next(second, second + 600_000);
/// assert_eq!((due.at_ms, due.missed), (second + 600_000, 9));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    interval_ms: u64,
    hash: u64,
}

/// The moment of the next probe, and the number of moments that were skipped.
///
/// ```
/// assert_eq!(sentinel_core::uptime::Due { at_ms: 5, missed: 0 }.at_ms, 5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Moment on the grid, Unix ms. The probe is due when this is not after now.
    pub at_ms: i64,
    /// Moments before it that were skipped.
    pub missed: u64,
}

impl Schedule {
    /// The schedule of a check with this name and interval (1 to 2^40 ms, clamped).
    ///
    /// ```
    /// use sentinel_core::uptime::Schedule;
    /// assert_ne!(Schedule::new("a", 60_000).phase_ms(), Schedule::new("b", 60_000).phase_ms());
    /// ```
    pub fn new(name: &str, interval_ms: u64) -> Self {
        Self { interval_ms: interval_ms.clamp(1, 1 << 40), hash: hash(name) }
    }

    /// Position of the moments within the interval, in milliseconds: below the interval.
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Schedule::new("a", 10_000).phase_ms() < 10_000);
    /// ```
    pub fn phase_ms(&self) -> u64 {
        self.hash % self.interval_ms
    }

    /// The first probe of a check that is new, changed or resumed at `now_ms`: at its phase within the next minute, or the next interval where
    /// that is shorter.
    ///
    /// ```
    /// let daily = sentinel_core::uptime::Schedule::new("a", 86_400_000);
    /// assert!((1_000..61_000).contains(&daily.first(1_000)));
    /// ```
    pub fn first(&self, now_ms: i64) -> i64 {
        let step = self.interval_ms.min(MAX_FIRST_WAIT_MS);
        let wait = (self.phase_ms() as i64).saturating_sub(now_ms).rem_euclid(step as i64);
        now_ms.saturating_add(wait)
    }

    /// The probe after the one at `last_ms` (Unix ms). When several moments have passed, only the latest is due, and not even that one
    /// when it is more than 5 s (or half an interval) ago. After the clock was set back by more than an interval the schedule starts anew.
    ///
    /// ```
    /// use sentinel_core::uptime::Schedule;
    ///
    /// let schedule = Schedule::new("checkout", 60_000);
    /// let moment = schedule.first(1_700_000_000_000);
    /// let due = schedule.next(moment, moment + 150_000); // 30 s after the second moment that was missed
    /// assert_eq!((due.at_ms, due.missed), (moment + 180_000, 2));
    /// assert_eq!(schedule.next(moment, moment - 86_400_000).at_ms, moment - 86_400_000);
    /// ```
    pub fn next(&self, last_ms: i64, now_ms: i64) -> Due {
        let interval = self.interval_ms as i64;
        if last_ms.saturating_sub(now_ms) > interval {
            return Due { at_ms: self.at_or_after(now_ms), missed: 0 };
        }
        let next = self.at_or_after(last_ms.saturating_add(1));
        if next > now_ms {
            return Due { at_ms: next, missed: 0 };
        }
        let latest = self.at_or_after(now_ms.saturating_add(1)).saturating_sub(interval);
        let late = now_ms.saturating_sub(latest) as u64 > MAX_LATE_MS.min(self.interval_ms / 2);
        let at_ms = if late { latest.saturating_add(interval) } else { latest };
        Due { at_ms, missed: (at_ms.saturating_sub(next) / interval) as u64 }
    }

    /// The first moment that is not before `ms`.
    fn at_or_after(&self, ms: i64) -> i64 {
        ms.saturating_add((self.phase_ms() as i64).saturating_sub(ms).rem_euclid(self.interval_ms as i64))
    }
}
