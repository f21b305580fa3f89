//! Events: one finished request each, bounded and normalised at the boundary, so that nothing behind it has to check again.
//!
//! | file | content |
//! |---|---|
//! | `endpoint` | route templates, their numbers in this process, and the normaliser for raw paths |
//! | `tenant` | tenant ids: cut to 128 bytes when they arrive, escaped when they are shown |
//!
//! This file defines the event itself: status and its class, latency, and the classes of errors.

pub(crate) mod endpoint;
pub(crate) mod tenant;

use crate::util::error::ConfigError;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One finished request.
///
/// ```
/// use sentinel_core::{Event, Sentinel};
/// use std::time::Duration;
///
/// let sentinel = Sentinel::builder().build()?;
/// sentinel.record(Event {
///     tenant: b"acme",
///     endpoint: "/v1/process",
///     status: 503,
///     latency: Duration::from_millis(120).into(),
///     at: None,
/// });
/// assert_eq!(sentinel.stats().accepted, 1);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Id of the tenant that sent the request, any bytes. Empty = unknown: counted in the row `unattributed`. An id longer than 128
    /// bytes is kept as its first 96 bytes and a hash.
    pub tenant: &'a [u8],
    /// The route *template* (`/users/{id}`), never the raw path. Empty = no route matched: `unmatched`.
    pub endpoint: &'a str,
    /// HTTP status, 100–599; 499 = the client went away. Any other value drops the event as `status`.
    pub status: u16,
    /// Time from the start of the request to its end.
    pub latency: Latency,
    /// Time at which the request ended, Unix ms; `None` = now.
    pub at: Option<i64>,
}

impl Default for Event<'_> {
    /// A request of an unknown tenant to no known route that succeeded now, of unknown latency.
    fn default() -> Self {
        Self { tenant: b"", endpoint: "", status: 200, latency: Latency::UNKNOWN, at: None }
    }
}

/// Duration of a request: whole microseconds from 0 to 2³² − 1 (71 minutes; longer is clamped, and counted as adjusted), or unknown.
///
/// ```
/// use sentinel_core::Latency;
/// use std::time::Duration;
///
/// assert_eq!(Latency::from(Duration::from_micros(1_500)), Latency::from_millis(1.5));
/// assert_eq!(Latency::from_millis(f64::NAN).micros(), None); // counted as adjusted, the request still counts
/// assert_eq!(Latency::UNKNOWN.micros(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency(LatencyValue);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LatencyValue {
    /// Microseconds.
    Micros(u32),
    /// Longer than 2³² − 1 µs.
    Clamped,
    /// Nobody measured it.
    Unknown,
    /// NaN, negative or infinite.
    Invalid,
}

impl Latency {
    /// No measured latency: the request counts, percentiles leave it out.
    ///
    /// ```
    /// # use sentinel_core::Latency;
    /// assert_eq!(Latency::UNKNOWN.micros(), None);
    /// ```
    pub const UNKNOWN: Self = Self(LatencyValue::Unknown);

    /// A latency in milliseconds. NaN, negative and infinite values are invalid: the request counts, its latency does not.
    ///
    /// ```
    /// # use sentinel_core::Latency;
    /// assert_eq!(Latency::from_millis(2.0).micros(), Some(2_000));
    /// assert_eq!(Latency::from_millis(-1.0).micros(), None);
    /// ```
    pub fn from_millis(ms: f64) -> Self {
        let us = ms * 1_000.0;
        if !ms.is_finite() || ms < 0.0 {
            Self(LatencyValue::Invalid)
        } else if us >= 4_294_967_296.0 {
            Self(LatencyValue::Clamped)
        } else {
            Self(LatencyValue::Micros(us as u32))
        }
    }

    /// Whole microseconds; `None` when unknown or invalid.
    ///
    /// ```
    /// # use sentinel_core::Latency;
    /// assert_eq!(Latency::from_millis(1e12).micros(), Some(u32::MAX)); // clamped
    /// ```
    pub fn micros(self) -> Option<u32> {
        match self.0 {
            LatencyValue::Micros(us) => Some(us),
            LatencyValue::Clamped => Some(u32::MAX),
            LatencyValue::Unknown | LatencyValue::Invalid => None,
        }
    }

    /// Microseconds of a latency that was neither clamped nor unknown nor invalid: almost every one.
    #[inline]
    pub(crate) fn plain(self) -> Option<u32> {
        if let LatencyValue::Micros(us) = self.0 { Some(us) } else { None }
    }

    pub(crate) fn is_invalid(self) -> bool {
        self.0 == LatencyValue::Invalid
    }

    pub(crate) fn is_clamped(self) -> bool {
        self.0 == LatencyValue::Clamped
    }
}

impl From<Duration> for Latency {
    fn from(latency: Duration) -> Self {
        u32::try_from(latency.as_micros()).map_or(Self(LatencyValue::Clamped), |us| Self(LatencyValue::Micros(us)))
    }
}

/// Result of a request, by its status: 100–399, 400–498, 500–599, 499.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusClass {
    Success,
    ClientError,
    ServerError,
    Aborted,
}

/// Status of a request whose client went away before the answer was complete.
pub(crate) const ABORTED_STATUS: u16 = 499;

impl StatusClass {
    /// The class of an HTTP status; `None` outside 100–599.
    pub(crate) fn of(status: u16) -> Option<Self> {
        match status {
            ABORTED_STATUS => Some(Self::Aborted),
            100..=399 => Some(Self::Success),
            400..=498 => Some(Self::ClientError),
            500..=599 => Some(Self::ServerError),
            _ => None,
        }
    }
}

/// Classes of statuses that count as errors. The default is server errors, `5xx`.
///
/// ```
/// use sentinel_core::ErrorClasses;
///
/// let classes: ErrorClasses = "4xx,5xx".parse()?;
/// assert_eq!(classes, ErrorClasses::SERVER | ErrorClasses::CLIENT);
/// assert_eq!(classes.to_string(), "4xx+5xx");
/// assert!("6xx".parse::<ErrorClasses>().is_err());
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorClasses(u8);

impl ErrorClasses {
    /// `4xx`: statuses 400–498.
    ///
    /// ```
    /// # use sentinel_core::ErrorClasses;
    /// assert_eq!(ErrorClasses::CLIENT.to_string(), "4xx");
    /// ```
    pub const CLIENT: Self = Self(1);
    /// `5xx`: statuses 500–599, unhandled exceptions included.
    ///
    /// ```
    /// # use sentinel_core::ErrorClasses;
    /// assert_eq!(ErrorClasses::SERVER.to_string(), "5xx");
    /// ```
    pub const SERVER: Self = Self(2);
    /// `aborted`: the client went away (499).
    ///
    /// ```
    /// # use sentinel_core::ErrorClasses;
    /// assert_eq!(ErrorClasses::ABORTED.to_string(), "aborted");
    /// ```
    pub const ABORTED: Self = Self(4);

    pub(crate) fn contain(self, class: StatusClass) -> bool {
        let bit = match class {
            StatusClass::Success => 0,
            StatusClass::ClientError => Self::CLIENT.0,
            StatusClass::ServerError => Self::SERVER.0,
            StatusClass::Aborted => Self::ABORTED.0,
        };
        self.0 & bit != 0
    }
}

impl std::ops::BitOr for ErrorClasses {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Default for ErrorClasses {
    fn default() -> Self {
        Self::SERVER
    }
}

impl FromStr for ErrorClasses {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let allowed = "5xx, 4xx or aborted, separated by commas";
        let mut classes = Self(0);
        for name in text.split(',').map(str::trim) {
            classes = classes
                | match name {
                    "4xx" => Self::CLIENT,
                    "5xx" => Self::SERVER,
                    "aborted" => Self::ABORTED,
                    _ => return Err(ConfigError::new("errors", format!("{text:?}"), allowed)),
                };
        }
        Ok(classes)
    }
}

impl fmt::Display for ErrorClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Self::CLIENT, "4xx"), (Self::SERVER, "5xx"), (Self::ABORTED, "aborted")];
        let set: Vec<_> = names.iter().filter(|(class, _)| self.0 & class.0 != 0).map(|(_, name)| *name).collect();
        f.write_str(&set.join("+"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_class() {
        for status in 0..=u16::MAX {
            let expected = match status {
                499 => Some(StatusClass::Aborted),
                s if (100..400).contains(&s) => Some(StatusClass::Success),
                s if (400..500).contains(&s) => Some(StatusClass::ClientError),
                s if (500..600).contains(&s) => Some(StatusClass::ServerError),
                _ => None,
            };
            assert_eq!(StatusClass::of(status), expected, "{status}");
        }
    }

    #[test]
    fn latency_at_its_edges() {
        assert_eq!(Latency::from_millis(4_294_967.295).micros(), Some(u32::MAX));
        assert!(!Latency::from_millis(4_294_967.295).is_clamped());
        assert!(Latency::from_millis(4_294_967.296).is_clamped());
        assert!(Latency::from(Duration::MAX).is_clamped());
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e-9, -1e308] {
            assert!(Latency::from_millis(bad).is_invalid(), "{bad}");
        }
        assert_eq!(Latency::from_millis(1e308).micros(), Some(u32::MAX));
        assert_eq!(Latency::from_millis(-0.0).micros(), Some(0));
    }
}
