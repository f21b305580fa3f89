//! What is known of a check day by day: what an availability bar is drawn from.

use super::availability::Availability;
use super::history::History;
use super::maintenance::Maintenance;
use crate::util::wire::MAX_COUNT;
use serde::Serialize;

/// Days that are told of a check: as many as are kept.
const DAYS: i64 = 90;
const DAY: i64 = 86_400_000;

/// The last 90 days by UTC, the oldest first: of day i what is known of `[from_ms + i · 86,400,000, from_ms + (i + 1) · 86,400,000)`. The last
/// one is not over: it ends at `to_ms`. The four parts of a day are its length, to the millisecond. A day before the check came to be is
/// unknown, all of it, and so is that part of the day on which it did.
///
/// They are the end of the window of 90 days, which begins less than a day earlier: at this time of the day.
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
    /// When the first one begins, Unix ms: midnight.
    pub from_ms: i64,
    /// When the last one ends so far, Unix ms.
    pub to_ms: i64,
    /// So long it was up on each, in milliseconds.
    pub up_ms: Vec<u32>,
    /// So long it was down.
    pub down_ms: Vec<u32>,
    /// So long it was in maintenance.
    pub maintenance_ms: Vec<u32>,
    /// So long nobody knows.
    pub unknown_ms: Vec<u32>,
}

impl Days {
    pub(super) fn of(history: &History, maintenance: &[Maintenance], now_ms: i64) -> Self {
        let limit = MAX_COUNT as i64;
        let now_ms = now_ms.clamp(DAYS * DAY - limit, limit);
        // At midnight it is the day that ends.
        let from_ms = ((now_ms - 1).div_euclid(DAY) - (DAYS - 1)) * DAY;
        let room = || Vec::with_capacity(DAYS as usize);
        let (up_ms, down_ms, maintenance_ms, unknown_ms) = (room(), room(), room(), room());
        let mut days = Self { from_ms, to_ms: now_ms, up_ms, down_ms, maintenance_ms, unknown_ms };
        for from in (0..DAYS).map(|day| from_ms + day * DAY) {
            let day = history.availability(from, now_ms.min(from + DAY), maintenance);
            days.to_ms = day.to_ms;
            days.up_ms.push(day.up_ms as u32);
            days.down_ms.push(day.down_ms as u32);
            days.maintenance_ms.push(day.maintenance_ms as u32);
            days.unknown_ms.push(day.unknown_ms as u32);
        }
        days
    }

    /// The window from `from_ms` until they end: what lies before its first midnight is asked of the history, the rest is added up here,
    /// so that of many windows no result is measured twice.
    pub(super) fn window(&self, history: &History, maintenance: &[Maintenance], from_ms: i64) -> Availability {
        let midnight = from_ms.div_euclid(DAY).saturating_add(1).saturating_mul(DAY);
        let skip = usize::try_from(midnight.saturating_sub(self.from_ms) / DAY).unwrap_or(0);
        let whole = || history.availability(from_ms, self.to_ms, maintenance);
        let Some(rest) = self.iter().skip(skip).reduce(|sum, day| sum.and(&day).unwrap_or(sum)) else { return whole() };
        history.availability(from_ms, rest.from_ms, maintenance).and(&rest).unwrap_or_else(whole)
    }

    /// Each as a window of its own, the oldest first.
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
            let from_ms = self.from_ms.saturating_add(day * DAY);
            Availability {
                from_ms,
                to_ms: from_ms.saturating_add(DAY).min(self.to_ms),
                up_ms: u64::from(*up),
                down_ms: u64::from(*down),
                maintenance_ms: u64::from(*maintenance),
                unknown_ms: u64::from(*unknown),
            }
        })
    }
}
