//! What one probe found: the one thing that availability is computed from, and its twenty bytes.

use crate::util::error::DecodeError;
use crate::util::wire::{MAX_COUNT, invalid};
use serde::Serialize;
use std::fmt;

/// What is known of a target by one result. Of two results of one moment the later one in this order counts.
///
/// ```
/// use sentinel_core::uptime::Outcome;
///
/// assert!(Outcome::Down > Outcome::Unknown && Outcome::Unknown > Outcome::Up);
/// assert_eq!(serde_json::to_string(&Outcome::Up).unwrap(), r#""up""#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It answered as it should.
    Up,
    /// Nothing is known: it was paused, or this side's network was down.
    Unknown,
    /// It did not.
    Down,
}

/// Why a result is not up. In our words: nothing of what a target sent.
///
/// ```
/// use sentinel_core::uptime::Cause;
///
/// assert_eq!(Cause::Certificate.to_string(), "certificate");
/// assert_eq!(serde_json::to_string(&Cause::Dns).unwrap(), r#""dns""#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The name has no address.
    Dns,
    /// The address must not be dialled (SSRF).
    Blocked,
    /// Nobody accepts the connection.
    Connect,
    /// TLS cannot be agreed on.
    Tls,
    /// The certificate is not valid: expired, of another name, of nobody who is believed.
    Certificate,
    /// No answer within the timeout.
    Timeout,
    /// The connection broke, or what came is not HTTP.
    Protocol,
    /// More redirects than allowed, or one that leads nowhere.
    Redirects,
    /// The status is not one of those expected.
    Status,
    /// The body lacks what it should contain, or contains what it should not.
    Body,
    /// The body is not JSON, or has another value.
    Json,
    /// It answered as it should, but too late.
    Latency,
    /// Of an unknown result: this side's own network was down.
    OwnNetwork,
    /// Of an unknown result: the check was paused.
    Paused,
    /// Of an unknown result: something else is checked from then on.
    Changed,
}

impl Cause {
    /// The place in the list is what is written.
    const ALL: [Self; 15] = [
        Self::Dns,
        Self::Blocked,
        Self::Connect,
        Self::Tls,
        Self::Certificate,
        Self::Timeout,
        Self::Protocol,
        Self::Redirects,
        Self::Status,
        Self::Body,
        Self::Json,
        Self::Latency,
        Self::OwnNetwork,
        Self::Paused,
        Self::Changed,
    ];

    /// As it is spelled everywhere.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Cause::OwnNetwork.name(), "own_network");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Blocked => "blocked",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Redirects => "redirects",
            Self::Status => "status",
            Self::Body => "body",
            Self::Json => "json",
            Self::Latency => "latency",
            Self::OwnNetwork => "own_network",
            Self::Paused => "paused",
            Self::Changed => "changed",
        }
    }

    /// Its number in bytes; 0 is none.
    /// The other side has answered: the network is there, whatever else is wrong.
    pub(super) const fn is_answer(self) -> bool {
        matches!(self, Self::Status | Self::Body | Self::Json | Self::Latency | Self::Redirects | Self::Certificate)
    }

    /// Nobody has answered, which may be the doing of this side's own network.
    pub(super) const fn may_be_ours(self) -> bool {
        matches!(self, Self::Dns | Self::Connect | Self::Timeout | Self::Tls | Self::Protocol)
    }

    pub(crate) const fn tag(cause: Option<Self>) -> u8 {
        match cause {
            Some(cause) => cause as u8 + 1,
            None => 0,
        }
    }

    pub(crate) fn of_tag(tag: u64) -> Result<Option<Self>, DecodeError> {
        match tag.checked_sub(1) {
            None => Ok(None),
            Some(place) => match Self::ALL.get(place as usize) {
                Some(cause) => Ok(Some(*cause)),
                None => Err(invalid("cause", tag, "a cause of this version")),
            },
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The longest interval that a result can have been taken at, in milliseconds: a day.
pub(super) const MAX_INTERVAL_MS: u32 = 86_400_000;
/// The highest status that an HTTP answer can have.
const MAX_STATUS: u16 = 999;
/// Of a latency in bytes: there is none.
const NO_LATENCY: u32 = u32::MAX;

/// What one probe found.
///
/// ```
/// use sentinel_core::uptime::{Cause, CheckResult, Outcome};
///
/// let up = CheckResult::up(1_700_000_000_000, 60_000);
/// let down = CheckResult::down(1_700_000_060_000, 60_000, Cause::Timeout);
/// assert_eq!((up.outcome, down.cause), (Outcome::Up, Some(Cause::Timeout)));
/// assert_eq!(up.until_ms(), 1_700_000_120_000); // two intervals: one lost probe is no gap
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CheckResult {
    /// When the probe began, Unix ms.
    pub at_ms: i64,
    /// What is known by it.
    pub outcome: Outcome,
    /// Why it is not up.
    pub cause: Option<Cause>,
    /// The interval that the check had then, in milliseconds: 1 to 86,400,000.
    pub interval_ms: u32,
    /// How long the answer took, in microseconds.
    pub latency_us: Option<u32>,
    /// The HTTP status: 1 to 999.
    pub status: Option<u16>,
}

impl CheckResult {
    /// Bytes of [`CheckResult::to_bytes`].
    pub const BYTES: usize = 20;

    /// It answered as it should.
    ///
    /// ```
    /// let result = sentinel_core::uptime::CheckResult { status: Some(204), ..sentinel_core::uptime::CheckResult::up(0, 60_000) };
    /// assert!(!result.is_down());
    /// ```
    pub const fn up(at_ms: i64, interval_ms: u32) -> Self {
        Self { at_ms, outcome: Outcome::Up, cause: None, interval_ms, latency_us: None, status: None }
    }

    /// It did not.
    ///
    /// ```
    /// use sentinel_core::uptime::{Cause, CheckResult};
    /// assert!(CheckResult::down(0, 60_000, Cause::Connect).is_down());
    /// ```
    pub const fn down(at_ms: i64, interval_ms: u32, cause: Cause) -> Self {
        Self { outcome: Outcome::Down, cause: Some(cause), ..Self::up(at_ms, interval_ms) }
    }

    /// Nothing is known from this moment on.
    ///
    /// ```
    /// use sentinel_core::uptime::{Cause, CheckResult};
    /// assert!(!CheckResult::unknown(0, 60_000, Cause::Paused).is_down());
    /// ```
    pub const fn unknown(at_ms: i64, interval_ms: u32, cause: Cause) -> Self {
        Self { outcome: Outcome::Unknown, cause: Some(cause), ..Self::up(at_ms, interval_ms) }
    }

    /// It did not answer as it should.
    ///
    /// ```
    /// assert!(!sentinel_core::uptime::CheckResult::up(0, 60_000).is_down());
    /// ```
    pub const fn is_down(&self) -> bool {
        matches!(self.outcome, Outcome::Down)
    }

    /// Until when it holds if no other follows, Unix ms: two intervals from when the probe began.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::CheckResult::up(500, 1_000).until_ms(), 2_500);
    /// ```
    pub const fn until_ms(&self) -> i64 {
        self.at_ms.saturating_add(2 * self.interval_ms as i64)
    }

    /// Every value within its range: what is stored is what can be read back.
    /// A failure that may be the doing of this side's own network.
    pub(super) fn may_be_ours(&self) -> bool {
        self.is_down() && self.cause.is_none_or(Cause::may_be_ours)
    }

    pub(super) fn bounded(mut self) -> Self {
        let limit = MAX_COUNT as i64;
        self.at_ms = self.at_ms.clamp(-limit, limit);
        self.interval_ms = self.interval_ms.clamp(1, MAX_INTERVAL_MS);
        self.latency_us = self.latency_us.map(|us| us.min(NO_LATENCY - 1));
        self.status = self.status.filter(|status| (1..=MAX_STATUS).contains(status));
        if self.outcome == Outcome::Up {
            self.cause = None;
        }
        self
    }

    /// The bytes that a log keeps of it. What is out of range is bounded first.
    ///
    /// ```
    /// use sentinel_core::uptime::{Cause, CheckResult};
    ///
    /// let result = CheckResult::down(1_700_000_000_000, 60_000, Cause::Status);
    /// assert_eq!(CheckResult::from_bytes(&result.to_bytes()), Ok(result));
    /// ```
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let Self { at_ms, outcome, cause, interval_ms, latency_us, status } = self.bounded();
        let mut out = [0; Self::BYTES];
        out[..8].copy_from_slice(&at_ms.to_le_bytes());
        out[8..12].copy_from_slice(&interval_ms.to_le_bytes());
        out[12..16].copy_from_slice(&latency_us.unwrap_or(NO_LATENCY).to_le_bytes());
        out[16..18].copy_from_slice(&status.unwrap_or(0).to_le_bytes());
        out[18] = outcome as u8;
        out[19] = Cause::tag(cause);
        out
    }

    /// Reads what [`CheckResult::to_bytes`] wrote.
    ///
    /// # Errors
    /// A [`DecodeError`] that names the field that no result can have.
    ///
    /// ```
    /// assert!(sentinel_core::uptime::CheckResult::from_bytes(&[0xff; 20]).is_err());
    /// ```
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Result<Self, DecodeError> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let at_ms = (i64::from(word(4) as i32) << 32) | i64::from(word(0));
        let (latency_us, status) = (word(12), u16::from_le_bytes([bytes[16], bytes[17]]));
        let result = Self {
            at_ms,
            outcome: outcome_of(u64::from(bytes[18]))?,
            cause: Cause::of_tag(u64::from(bytes[19]))?,
            interval_ms: word(8),
            latency_us: (latency_us != NO_LATENCY).then_some(latency_us),
            status: (status != 0).then_some(status),
        };
        if result == result.bounded() { Ok(result) } else { Err(invalid("result", at_ms as u64, "values in range")) }
    }
}

pub(super) fn outcome_of(number: u64) -> Result<Outcome, DecodeError> {
    match number {
        0 => Ok(Outcome::Up),
        1 => Ok(Outcome::Unknown),
        2 => Ok(Outcome::Down),
        other => Err(invalid("outcome", other, "0 to 2")),
    }
}

/// A result as it is kept: 20 bytes, where the plain one takes 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed {
    at: [u32; 2],
    interval_ms: u32,
    latency_us: u32,
    status: u16,
    outcome: Outcome,
    cause: u8,
}

const _: () = assert!(size_of::<Packed>() == CheckResult::BYTES);

impl Packed {
    pub(super) fn new(result: CheckResult) -> Self {
        let CheckResult { at_ms, outcome, cause, interval_ms, latency_us, status } = result.bounded();
        Self {
            at: [(at_ms >> 32) as u32, at_ms as u32],
            interval_ms,
            latency_us: latency_us.unwrap_or(NO_LATENCY),
            status: status.unwrap_or(0),
            outcome,
            cause: Cause::tag(cause),
        }
    }

    pub(super) fn at_ms(&self) -> i64 {
        (i64::from(self.at[0] as i32) << 32) | i64::from(self.at[1])
    }

    pub(super) fn get(&self) -> CheckResult {
        CheckResult {
            at_ms: self.at_ms(),
            outcome: self.outcome,
            cause: Cause::of_tag(u64::from(self.cause)).unwrap_or(None),
            interval_ms: self.interval_ms,
            latency_us: (self.latency_us != NO_LATENCY).then_some(self.latency_us),
            status: (self.status != 0).then_some(self.status),
        }
    }
}
