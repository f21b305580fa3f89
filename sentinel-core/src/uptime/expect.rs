//! The conditions that an answer must meet, and one function that returns the first violated one.

use super::result::Cause;
use super::{MAX_CONDITION_BYTES, MAX_CONDITIONS};
use crate::util::duration;
use crate::util::error::ConfigError;
use serde::de::{DeserializeSeed, Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Conditions that an HTTP answer must meet, all of them. Default: a status of 200 to 299.
///
/// ```
/// use sentinel_core::uptime::{Answer, Cause, Expect};
/// use std::time::Duration;
///
/// let text = r#"{"status": ["2xx", 304], "contains": "ok", "json": {"/db/ready": true}, "max_latency": "800ms"}"#;
/// let expect: Expect = serde_json::from_str(text)?;
/// let answer = |body| Answer { status: 200, body, latency: Duration::from_millis(120) };
/// assert_eq!(expect.judge(&answer(br#"{"db": {"ready": true}, "is": "ok"}"#)), Ok(()));
/// assert_eq!(expect.judge(&answer(br#"{"db": {"ready": false}, "is": "ok"}"#)), Err(Cause::Json));
/// assert_eq!(expect.judge(&answer(b"sorry")), Err(Cause::Body));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// The status is one of these. Default `2xx`.
    pub status: Statuses,
    /// The body contains this text: 1 to 1,024 bytes.
    pub contains: Option<String>,
    /// The body does not contain this text: 1 to 1,024 bytes.
    pub lacks: Option<String>,
    /// The body is JSON and has these values at these JSON pointers (RFC 6901); at most 16.
    pub json: std::collections::BTreeMap<String, serde_json::Value>,
    /// The answer takes no longer than this: 1 ms to the timeout.
    #[serde(deserialize_with = "some_duration")]
    pub max_latency: Option<Duration>,
}

/// The answer that a prober received.
///
/// ```
/// use sentinel_core::uptime::{Answer, Cause, Expect};
/// let answer = Answer { status: 503, body: b"", latency: std::time::Duration::ZERO };
/// assert_eq!(Expect::default().judge(&answer), Err(Cause::Status));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The status of the last answer, after redirects.
    pub status: u16,
    /// The body as far as it was read; the prober stops at a size limit.
    pub body: &'a [u8],
    /// Time from the beginning of the probe to the end of the body, or of the head when no condition reads the body.
    pub latency: Duration,
}

impl Expect {
    /// Judges an answer.
    ///
    /// # Errors
    /// The [`Cause`] of the first violated condition, in the order status, body, JSON, latency.
    ///
    /// ```
    /// use sentinel_core::uptime::{Answer, Cause, Expect};
    /// use std::time::Duration;
    ///
    /// let expect = Expect { max_latency: Some(Duration::from_secs(1)), ..Expect::default() };
    /// let answer = |ms| Answer { status: 200, body: b"", latency: Duration::from_millis(ms) };
    /// assert_eq!(expect.judge(&answer(1_000)), Ok(()));
    /// assert_eq!(expect.judge(&answer(1_001)), Err(Cause::Latency));
    /// ```
    pub fn judge(&self, answer: &Answer<'_>) -> Result<(), Cause> {
        let has = |text: &String| {
            let part = text.as_bytes();
            part.is_empty() || answer.body.windows(part.len()).any(|found| found == part)
        };
        if !self.status.contains(answer.status) {
            return Err(Cause::Status);
        }
        if !self.contains.as_ref().is_none_or(has) || self.lacks.as_ref().is_some_and(has) {
            return Err(Cause::Body);
        }
        if !self.json.is_empty() {
            let found: serde_json::Value = serde_json::from_slice(answer.body).map_err(|_| Cause::Json)?;
            if self
                .json
                .iter()
                .any(|(pointer, wanted)| !found.pointer(pointer).is_some_and(|found| same(found, wanted)))
            {
                return Err(Cause::Json);
            }
        }
        self.in_time(answer.latency)
    }

    /// Judges the latency alone, for a check that is not HTTP.
    ///
    /// # Errors
    /// [`Cause::Latency`] when it is longer than `max_latency`.
    ///
    /// ```
    /// use sentinel_core::uptime::Expect;
    /// assert_eq!(Expect::default().in_time(std::time::Duration::from_hours(1)), Ok(()));
    /// ```
    pub fn in_time(&self, latency: Duration) -> Result<(), Cause> {
        if self.max_latency.is_some_and(|most| latency > most) { Err(Cause::Latency) } else { Ok(()) }
    }

    /// Whether any condition reads the body.
    ///
    /// ```
    /// assert!(!sentinel_core::uptime::Expect::default().needs_body());
    /// ```
    pub fn needs_body(&self) -> bool {
        self.contains.is_some() || self.lacks.is_some() || !self.json.is_empty()
    }

    /// Validates every value; `field` is its path in the configuration.
    pub(super) fn check(&self, field: &str, timeout: Duration) -> Result<(), ConfigError> {
        for (name, text) in [("contains", &self.contains), ("lacks", &self.lacks)] {
            if let Some(text) = text
                && !(1..=MAX_CONDITION_BYTES).contains(&text.len())
            {
                let value = format!("{} bytes", text.len());
                return Err(ConfigError::plain(
                    &format!("{field}.{name}"),
                    value,
                    format!("1 to {MAX_CONDITION_BYTES} bytes"),
                ));
            }
        }
        if self.json.len() > MAX_CONDITIONS {
            let allowed = format!("at most {MAX_CONDITIONS}");
            return Err(ConfigError::plain(&format!("{field}.json"), self.json.len().to_string(), allowed));
        }
        let pointer = |text: &str| (text.is_empty() || text.starts_with('/')) && text.len() <= MAX_CONDITION_BYTES;
        if let Some(wrong) = self.json.keys().find(|text| !pointer(text)) {
            let shown: String = wrong.chars().take(64).collect();
            return Err(ConfigError::new(
                &format!("{field}.json"),
                format!("{shown:?}"),
                "a JSON pointer, as /db/ready",
            ));
        }
        if let Some(most) = self.max_latency
            && !(Duration::from_millis(1)..=timeout).contains(&most)
        {
            let allowed = format!("1ms to {} (the timeout)", duration::written(timeout));
            return Err(ConfigError::plain(&format!("{field}.max_latency"), duration::written(most), allowed));
        }
        Ok(())
    }
}

/// Hides the texts of `contains` and `lacks`, and the JSON values: a body may contain secrets.
impl fmt::Debug for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, contains, lacks, json, max_latency } = self;
        let hidden = |text: &Option<String>| text.as_ref().map(|_| "…");
        f.debug_struct("Expect")
            .field("status", status)
            .field("contains", &hidden(contains))
            .field("lacks", &hidden(lacks))
            .field("json", &json.keys())
            .field("max_latency", max_latency)
            .finish()
    }
}

/// JSON equality, except that 1 and 1.0 are the same number: a service may write either.
fn same(found: &serde_json::Value, wanted: &serde_json::Value) -> bool {
    let number = |value: &serde_json::Value| value.as_f64().map(f64::to_bits);
    found == wanted || number(found).is_some_and(|found| Some(found) == number(wanted))
}

/// HTTP statuses: `[200, "3xx", "401-403"]`, or one of them.
///
/// ```
/// use sentinel_core::uptime::Statuses;
///
/// let statuses: Statuses = serde_json::from_str(r#"[200, "3xx", "401-403"]"#)?;
/// assert!(statuses.contains(302) && statuses.contains(403) && !statuses.contains(404));
/// assert!(Statuses::default().contains(204));
/// assert!(serde_json::from_str::<Statuses>(r#""6xx""#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Statuses {
    /// Whether this status is one of them.
    ///
    /// ```
    /// assert!(!sentinel_core::uptime::Statuses::default().contains(304));
    /// ```
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![200..=299])
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StatusesVisitor;

        impl<'de> Visitor<'de> for StatusesVisitor {
            type Value = Statuses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("statuses: 200, \"2xx\", \"401-403\", or a list of these")
            }

            fn visit_i64<E: Error>(self, status: i64) -> Result<Statuses, E> {
                StatusVisitor.visit_i64(status).map(|range| Statuses(vec![range]))
            }

            fn visit_u64<E: Error>(self, status: u64) -> Result<Statuses, E> {
                StatusVisitor.visit_u64(status).map(|range| Statuses(vec![range]))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
                StatusVisitor.visit_str(text).map(|range| Statuses(vec![range]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statuses, A::Error> {
                let mut ranges = Vec::new();
                while let Some(range) = list.next_element_seed(StatusVisitor)? {
                    ranges.push(range);
                }
                if (1..=MAX_CONDITIONS).contains(&ranges.len()) {
                    Ok(Statuses(ranges))
                } else {
                    Err(A::Error::invalid_length(ranges.len(), &format!("1 to {MAX_CONDITIONS} statuses").as_str()))
                }
            }
        }

        deserializer.deserialize_any(StatusesVisitor)
    }
}

/// One of several statuses: a number, or text that [`range`] reads.
struct StatusVisitor;

impl<'de> DeserializeSeed<'de> for StatusVisitor {
    type Value = RangeInclusive<u16>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for StatusVisitor {
    type Value = RangeInclusive<u16>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("200, \"2xx\" or \"401-403\", from 100 to 599")
    }

    fn visit_u64<E: Error>(self, status: u64) -> Result<Self::Value, E> {
        range(&status.to_string()).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(status), &self))
    }

    fn visit_i64<E: Error>(self, status: i64) -> Result<Self::Value, E> {
        range(&status.to_string()).ok_or_else(|| E::invalid_value(Unexpected::Signed(status), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let shown: String = text.chars().take(32).collect();
        range(text).ok_or_else(|| E::invalid_value(Unexpected::Str(&shown), &self))
    }
}

/// `200`, `2xx` or `401-403` as a range within 100 to 599.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    if let Some(class) = text.strip_suffix("xx") {
        let first = number(&format!("{class}00"))?;
        return (class.len() == 1).then_some(first..=first + 99);
    }
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (number(from)?, number(to)?);
    (from <= to).then_some(from..=to)
}

/// For an optional field with a default: a duration as text or seconds.
pub(super) fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration::deserialize(deserializer).map(Some)
}
