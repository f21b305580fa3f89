//! Maintenance windows: once, or every week on a clock with a fixed offset from UTC.

use crate::util::civil::{CivilDate, DAY_MS, MINUTE_MS, SECOND_MS, WEEK_MS};
use crate::util::duration;
use crate::util::error::ConfigError;
use crate::util::wire::MAX_COUNT;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// Midnight of the Monday in the week of 1 January 1970, which was a Thursday; Unix ms.
const FIRST_MONDAY_MS: i64 = -3 * DAY_MS;

/// A maintenance window: failures in it are not reported, and its time counts neither as up nor as down.
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
        /// Start, Unix ms.
        #[serde(deserialize_with = "moment")]
        from: i64,
        /// End, Unix ms; after the start.
        #[serde(deserialize_with = "moment")]
        to: i64,
    },
    /// On these days of every week.
    Weekly {
        /// Days on which the window begins, on the clock with this offset: `mon` to `sun`, 1 to 7 of them.
        days: Vec<Day>,
        /// Start in milliseconds since midnight on that clock, below 24 h. Written as `"03:00"`.
        #[serde(deserialize_with = "time_of_day")]
        at: i64,
        /// Length: 1 min to 24 h.
        #[serde(rename = "for", with = "duration")]
        length: Duration,
        /// Offset of that clock from UTC in milliseconds, -14 h to +14 h. Written as `"+02:00"`. The offset is fixed, without daylight
        /// saving time. Default UTC.
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
    /// A window from one moment until before another, Unix ms.
    ///
    /// ```
    /// let window = sentinel_core::uptime::Maintenance::once(10, 20);
    /// assert!(window.contains(10) && !window.contains(20));
    /// ```
    pub const fn once(from: i64, to: i64) -> Self {
        Self::Once { from, to }
    }

    /// Whether this moment (Unix ms) is in the window.
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

    /// Validates every value; `field` is the path of the window in the configuration.
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
                if !(0..DAY_MS).contains(at) {
                    return Err(ConfigError::plain(&weekly("at"), at.to_string(), "00:00 to 23:59"));
                }
                if !(-14 * 60 * MINUTE_MS..=14 * 60 * MINUTE_MS).contains(offset) {
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

    /// Adds the parts of the window within `[from, to)`, Unix ms.
    fn spans(&self, from: i64, to: i64, out: &mut Vec<Span>) {
        let mut add = |begins: i64, ends: i64| {
            let span = Span { from_ms: begins.max(from), to_ms: ends.min(to) };
            if span.from_ms < span.to_ms {
                out.push(span);
            }
        };
        match self {
            Self::Once { from, to } => add(*from, *to),
            Self::Weekly { days, at, length, offset } => {
                let length = i64::try_from(length.as_millis()).unwrap_or(DAY_MS).min(WEEK_MS);
                for day in days {
                    let first = FIRST_MONDAY_MS + *day as i64 * DAY_MS + (*at).clamp(0, DAY_MS)
                        - (*offset).clamp(-DAY_MS, DAY_MS);
                    // Start of the first occurrence that ends after `from`.
                    let mut begins = first + (from - length - first).div_euclid(WEEK_MS) * WEEK_MS;
                    while begins < to {
                        add(begins, begins + length);
                        begins += WEEK_MS;
                    }
                }
            }
        }
    }
}

/// The time from `from_ms` until before `to_ms`, Unix ms; `from_ms` is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    from_ms: i64,
    to_ms: i64,
}

/// The union of maintenance windows: spans in rising order that do not touch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spans(Vec<Span>);

/// Longest time over which windows are laid out, in milliseconds: more than any history keeps.
const MAX_LAID_OUT_MS: i64 = 400 * DAY_MS;

impl Spans {
    /// The spans within `[from, to)`, Unix ms; within its last 400 days where that is longer.
    pub(super) fn of(windows: &[Maintenance], from: i64, to: i64) -> Self {
        let from = from.max(to.saturating_sub(MAX_LAID_OUT_MS));
        let mut all = Vec::new();
        windows.iter().for_each(|window| window.spans(from, to, &mut all));
        all.sort_unstable();
        let mut union: Vec<Span> = Vec::with_capacity(all.len());
        for span in all {
            match union.last_mut() {
                Some(last) if span.from_ms <= last.to_ms => last.to_ms = last.to_ms.max(span.to_ms),
                _ => union.push(span),
            }
        }
        Self(union)
    }

    /// Time of `[from, to)` that the spans cover, in milliseconds.
    pub(super) fn overlap(&self, from: i64, to: i64) -> u64 {
        let first = self.0.partition_point(|span| span.to_ms <= from);
        let within = self.0[first..].iter().take_while(|span| span.from_ms < to);
        within.map(|span| (span.to_ms.min(to) - span.from_ms.max(from)).max(0) as u64).sum()
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

/// A number of two digits.
fn two(text: &str) -> Option<i64> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `HH:MM` in milliseconds; the hour is below `hours`.
fn hours_minutes(text: &str, hours: i64) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (two(hour)?, two(minute)?);
    (hour < hours && minute < 60).then_some((hour * 60 + minute) * MINUTE_MS)
}

/// `Z`, `+HH:MM` or `-HH:MM` in milliseconds.
fn parse_offset(text: &str) -> Option<i64> {
    match text.split_at_checked(1)? {
        ("Z", "") => Some(0),
        ("+", rest) => hours_minutes(rest, 15),
        ("-", rest) => hours_minutes(rest, 15).map(|ms| -ms),
        _ => None,
    }
}

/// A moment of RFC 3339 with an offset, in Unix ms. Seconds are optional; the year is 1970 to 9999.
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
    let date = CivilDate { year, month, day };
    if !(1970..=9999).contains(&year) || !date.exists() || seconds > 59 {
        return None;
    }
    let midnight_ms = date.days_since_1970() * DAY_MS;
    Some(midnight_ms + hours_minutes(minutes, 24)? + seconds * SECOND_MS - parse_offset(offset)?)
}
