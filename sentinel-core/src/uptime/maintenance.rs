//! When nobody minds that a target is down: once, or every week, on a clock with a fixed offset from UTC.

use crate::util::duration;
use crate::util::error::ConfigError;
use crate::util::wire::MAX_COUNT;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use std::time::Duration;

const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;
const WEEK: i64 = 7 * DAY;
/// 1 January 1970 was a Thursday; the Monday of its week.
const FIRST_MONDAY: i64 = -3 * DAY;

/// A maintenance window: failures in it are no news, and its time is neither up nor down.
///
/// ```
/// use sentinel_core::uptime::Maintenance;
///
/// let text = r#"[{"once": {"from": "2026-03-01T22:00+02:00", "to": "2026-03-02T01:30+02:00"}},
///                {"weekly": {"days": ["sat", "sun"], "at": "03:00", "for": "90m", "offset": "-05:00"}}]"#;
/// let windows: Vec<Maintenance> = serde_json::from_str(text)?;
/// assert!(windows[0].contains(1_772_398_800_000)); // 21:00 UTC
/// assert!(!windows[0].contains(1_772_398_800_000 + 3 * 3_600_000));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Maintenance {
    /// From one moment to another, as `2026-03-01T22:00:00+02:00` or `…Z`.
    Once {
        /// Its beginning, Unix ms.
        #[serde(deserialize_with = "moment")]
        from: i64,
        /// Its end, Unix ms; after its beginning.
        #[serde(deserialize_with = "moment")]
        to: i64,
    },
    /// On these days of every week.
    Weekly {
        /// The days on which it begins, by the clock with this offset: `mon` to `sun`.
        days: Vec<Day>,
        /// When, in milliseconds since midnight by that clock: `"03:00"`.
        #[serde(deserialize_with = "time_of_day")]
        at: i64,
        /// How long: 1 min to 24 h.
        #[serde(rename = "for", with = "duration")]
        length: Duration,
        /// That clock's offset from UTC in milliseconds: `"+02:00"`. Fixed: it knows no summer time. Default UTC.
        #[serde(default, deserialize_with = "offset")]
        offset: i64,
    },
}

/// A day of the week.
///
/// ```
/// use sentinel_core::uptime::Day;
/// assert_eq!(serde_json::from_str::<Day>(r#""sun""#).unwrap(), Day::Sun);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Maintenance {
    /// From one moment to another, Unix ms.
    ///
    /// ```
    /// let window = sentinel_core::uptime::Maintenance::once(10, 20);
    /// assert!(window.contains(10) && !window.contains(20));
    /// ```
    pub const fn once(from: i64, to: i64) -> Self {
        Self::Once { from, to }
    }

    /// This moment (Unix ms) is part of it.
    ///
    /// ```
    /// use sentinel_core::uptime::{Day, Maintenance};
    /// use std::time::Duration;
    ///
    /// let weekly = Maintenance::Weekly { days: vec![Day::Thu], at: 0, length: Duration::from_hours(1), offset: 0 };
    /// assert!(weekly.contains(0) && !weekly.contains(3_600_000) && weekly.contains(7 * 86_400_000));
    /// ```
    pub fn contains(&self, at_ms: i64) -> bool {
        let at_ms = at_ms.clamp(-(MAX_COUNT as i64), MAX_COUNT as i64);
        Spans::of(std::slice::from_ref(self), at_ms, at_ms + 1).overlap(at_ms, at_ms + 1) > 0
    }

    /// Checks every value; `field` is what it is called in the configuration.
    pub(super) fn check(&self, field: &str) -> Result<(), ConfigError> {
        match self {
            Self::Once { from, to } if from >= to => {
                Err(ConfigError::plain(&format!("{field}.once.to"), "not after from", "a moment after from"))
            }
            Self::Once { .. } => Ok(()),
            Self::Weekly { days, at, length, offset } => {
                let weekly = |name: &str| format!("{field}.weekly.{name}");
                if days.is_empty() || days.len() > 7 {
                    return Err(ConfigError::plain(&weekly("days"), days.len().to_string(), "1 to 7 days, mon to sun"));
                }
                if !(0..DAY).contains(at) {
                    return Err(ConfigError::plain(&weekly("at"), at.to_string(), "00:00 to 23:59"));
                }
                if !(-14 * 60 * MINUTE..=14 * 60 * MINUTE).contains(offset) {
                    return Err(ConfigError::plain(&weekly("offset"), offset.to_string(), "-14:00 to +14:00"));
                }
                let allowed = Duration::from_mins(1)..=Duration::from_hours(24);
                if !allowed.contains(length) {
                    return Err(ConfigError::plain(&weekly("for"), duration::written(*length), "1m to 24h"));
                }
                Ok(())
            }
        }
    }

    /// Adds what of it lies in `[from, to)`.
    fn spans(&self, from: i64, to: i64, out: &mut Vec<(i64, i64)>) {
        let mut add = |begins: i64, ends: i64| {
            let span = (begins.max(from), ends.min(to));
            if span.0 < span.1 {
                out.push(span);
            }
        };
        match self {
            Self::Once { from, to } => add(*from, *to),
            Self::Weekly { days, at, length, offset } => {
                let length = i64::try_from(length.as_millis()).unwrap_or(DAY).min(WEEK);
                for day in days {
                    let first = FIRST_MONDAY + *day as i64 * DAY + (*at).clamp(0, DAY) - (*offset).clamp(-DAY, DAY);
                    // The first one that ends after `from`.
                    let mut begins = first + (from - length - first).div_euclid(WEEK) * WEEK;
                    while begins < to {
                        add(begins, begins + length);
                        begins += WEEK;
                    }
                }
            }
        }
    }
}

/// The union of windows within some time: spans in rising order that do not touch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spans(Vec<(i64, i64)>);

/// The longest time that windows are laid out over: more than is kept of any check.
const LONGEST: i64 = 400 * DAY;

impl Spans {
    /// Of `[from, to)`; where that is longer than 400 days, of its end.
    pub(super) fn of(windows: &[Maintenance], from: i64, to: i64) -> Self {
        let from = from.max(to.saturating_sub(LONGEST));
        let mut all = Vec::new();
        windows.iter().for_each(|window| window.spans(from, to, &mut all));
        all.sort_unstable();
        let mut union: Vec<(i64, i64)> = Vec::with_capacity(all.len());
        for (begins, ends) in all {
            match union.last_mut() {
                Some(last) if begins <= last.1 => last.1 = last.1.max(ends),
                _ => union.push((begins, ends)),
            }
        }
        Self(union)
    }

    /// How much of `[from, to)` they are, in milliseconds.
    pub(super) fn overlap(&self, from: i64, to: i64) -> u64 {
        let first = self.0.partition_point(|span| span.1 <= from);
        let within = self.0[first..].iter().take_while(|span| span.0 < to);
        within.map(|span| (span.1.min(to) - span.0.max(from)).max(0) as u64).sum()
    }
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    parsed(deserializer, parse_moment, "a moment, as 2026-03-01T22:00+02:00 or 2026-03-01T20:00:00Z")
}

fn time_of_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    parsed(deserializer, |text| hours_minutes(text, 24), "a time of day, as 03:00")
}

fn offset<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    parsed(deserializer, parse_offset, "an offset from UTC, as +02:00 or Z")
}

fn parsed<'de, D: Deserializer<'de>>(
    deserializer: D,
    parse: impl Fn(&str) -> Option<i64>,
    expected: &str,
) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &expected))
}

/// Two digits.
fn two(text: &str) -> Option<i64> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `HH:MM` in milliseconds, of less than so many hours.
fn hours_minutes(text: &str, hours: i64) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (two(hour)?, two(minute)?);
    (hour < hours && minute < 60).then_some((hour * 60 + minute) * MINUTE)
}

fn parse_offset(text: &str) -> Option<i64> {
    match text.split_at_checked(1)? {
        ("Z", "") => Some(0),
        ("+", rest) => hours_minutes(rest, 15),
        ("-", rest) => hours_minutes(rest, 15).map(|ms| -ms),
        _ => None,
    }
}

/// RFC 3339 with an offset, seconds optional, years 1970 to 9999.
fn parse_moment(text: &str) -> Option<i64> {
    let (date, time) = text.split_at_checked(10)?;
    let mut date = date.split('-');
    let (year, month, day) = (date.next()?, two(date.next()?)?, two(date.next()?)?);
    let year: i64 = year.bytes().all(|byte| byte.is_ascii_digit()).then(|| year.parse().ok())??;
    let time = time.strip_prefix('T')?;
    let (clock, offset) = time.split_at_checked(time.find(['Z', '+', '-'])?)?;
    let (minutes, seconds) = match clock.len() {
        5 => (clock, 0),
        8 => (clock.get(..5)?, two(clock.get(5..)?.strip_prefix(':')?)?),
        _ => return None,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let longest = *days.get(usize::try_from(month - 1).ok()?)?;
    if !(1970..=9999).contains(&year) || !(1..=longest).contains(&day) || seconds > 59 {
        return None;
    }
    // Days since 1970, as H. Hinnant counts them ("chrono-compatible low-level date algorithms"): the year begins in March.
    let shifted = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let since = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468;
    Some(since * DAY + hours_minutes(minutes, 24)? + seconds * 1_000 - parse_offset(offset)?)
}
