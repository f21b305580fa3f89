//! The availability of a check day by day, for an availability bar.

use super::availability::Availability;
use super::history::History;
use super::maintenance::Maintenance;
use crate::util::civil::DAY_MS;
use crate::util::wire::MAX_COUNT;
use serde::Serialize;

/// Days in the report, and in the history.
const KEPT_DAYS: i64 = 90;

/// The last 90 days in UTC, the oldest first. Day i is `[from_ms + i · 86,400,000, from_ms + (i + 1) · 86,400,000)`; the last one is not
/// over and ends at `to_ms`. The four parts of a day add up to its length, to the millisecond. Time before the check was created is
/// unknown.
///
/// The window of 90 days begins less than a day before the first of these days, at the current time of day.
///
/// ```
/// use sentinel_core::uptime::{Check, CheckResult, Checks, Target, Uptime};
///
/// let (day, mut uptime) = (86_400_000, Uptime::default());
/// let now = 20_000 * day + 60_000; // a minute after midnight
/// uptime.configure(Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?)])?, now - 90_000);
/// uptime.record("db", now - 90_000, CheckResult::up(now - 90_000, 60_000), None);
/// let days = uptime.standing("db", now).unwrap().days.unwrap();
/// assert_eq!((days.up_ms.len(), days.from_ms, days.to_ms), (90, 19_911 * day, now));
/// assert_eq!((days.unknown_ms[0], days.up_ms[88], days.unknown_ms[88], days.up_ms[89]), (86_400_000, 30_000, 86_370_000, 60_000));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Days {
    /// Start of the first day, Unix ms: midnight UTC.
    pub from_ms: i64,
    /// End of the last day so far, Unix ms.
    pub to_ms: i64,
    /// Time for which the target was up on each day, in milliseconds.
    pub up_ms: Vec<u32>,
    /// Time for which the target was down, in milliseconds.
    pub down_ms: Vec<u32>,
    /// Time in maintenance windows, in milliseconds.
    pub maintenance_ms: Vec<u32>,
    /// Time without knowledge, in milliseconds.
    pub unknown_ms: Vec<u32>,
}

impl Days {
    pub(super) fn of(history: &History, maintenance: &[Maintenance], now_ms: i64) -> Self {
        let limit = MAX_COUNT as i64;
        let now_ms = now_ms.clamp(KEPT_DAYS * DAY_MS - limit, limit);
        // At midnight the last day is the one that ends.
        let from_ms = ((now_ms - 1).div_euclid(DAY_MS) - (KEPT_DAYS - 1)) * DAY_MS;
        let room = || Vec::with_capacity(KEPT_DAYS as usize);
        let (up_ms, down_ms, maintenance_ms, unknown_ms) = (room(), room(), room(), room());
        let mut days = Self { from_ms, to_ms: now_ms, up_ms, down_ms, maintenance_ms, unknown_ms };
        for from in (0..KEPT_DAYS).map(|day| from_ms + day * DAY_MS) {
            let day = history.availability(from, now_ms.min(from + DAY_MS), maintenance);
            days.to_ms = day.to_ms;
            days.up_ms.push(day.up_ms as u32);
            days.down_ms.push(day.down_ms as u32);
            days.maintenance_ms.push(day.maintenance_ms as u32);
            days.unknown_ms.push(day.unknown_ms as u32);
        }
        days
    }

    /// The window from `from_ms` to the end of the days. The history measures the part before the first midnight, and the days add up
    /// to the rest, so that several windows do not measure the same results again.
    pub(super) fn window(&self, history: &History, maintenance: &[Maintenance], from_ms: i64) -> Availability {
        let midnight = from_ms.div_euclid(DAY_MS).saturating_add(1).saturating_mul(DAY_MS);
        let skip = usize::try_from(midnight.saturating_sub(self.from_ms) / DAY_MS).unwrap_or(0);
        let whole = || history.availability(from_ms, self.to_ms, maintenance);
        let Some(rest) = self.iter().skip(skip).reduce(|sum, day| sum.and(&day).unwrap_or(sum)) else { return whole() };
        history.availability(from_ms, rest.from_ms, maintenance).and(&rest).unwrap_or_else(whole)
    }

    /// Each day as a window, the oldest first.
    ///
    /// ```
    /// # use sentinel_core::uptime::{Check, Checks, Target, Uptime};
    /// # let mut uptime = Uptime::default();
    /// # uptime.configure(Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?)])?, 0);
    /// let days = uptime.standing("db", 60_000).unwrap().days.unwrap();
    /// let all = days.iter().reduce(|sum, day| sum.and(&day).unwrap()).unwrap();
    /// assert_eq!((all.from_ms, all.to_ms, all.uptime()), (-89 * 86_400_000, 60_000, None));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Availability> {
        let parts = self.up_ms.iter().zip(&self.down_ms).zip(&self.maintenance_ms).zip(&self.unknown_ms);
        parts.zip(0_i64..).map(|((((up, down), maintenance), unknown), day)| {
            let from_ms = self.from_ms.saturating_add(day * DAY_MS);
            Availability {
                from_ms,
                to_ms: from_ms.saturating_add(DAY_MS).min(self.to_ms),
                up_ms: u64::from(*up),
                down_ms: u64::from(*down),
                maintenance_ms: u64::from(*maintenance),
                unknown_ms: u64::from(*unknown),
            }
        })
    }
}
