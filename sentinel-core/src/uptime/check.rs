//! The configuration of a check: deserialised, validated once, then trusted.

use super::expect::{Expect, some_duration};
use super::maintenance::Maintenance;
use super::target::{Hidden, Kind, Target};
use super::{
    MAX_CHECK_HEADERS, MAX_CHECKS, MAX_CONDITIONS, MAX_HEADER_VALUE_BYTES, MAX_MAINTENANCE_WINDOWS, MAX_NAME_BYTES,
};
use crate::util::duration;
use crate::util::error::ConfigError;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

/// One check. A name and a target are required, the rest has defaults. Durations are text (`"10s"`) or seconds.
///
/// ```
/// use sentinel_core::uptime::{Check, Checks};
///
/// let text = r#"{"name": "shop", "target": "https://shop.example/health", "interval": "30s", "headers": {"authorization": "Bearer hunter2"}}"#;
/// let check: Check = serde_json::from_str(text)?;
/// assert_eq!((check.interval.as_secs(), check.timeout().as_secs(), check.confirm.failures), (30, 10, 3));
/// assert!(!format!("{check:?}").contains("hunter2"));
/// assert_eq!(Checks::new(vec![check])?.iter().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Name in messages and across restarts: unique, 1 to 64 bytes, no control characters.
    pub name: String,
    /// URL to probe: `http://`, `https://`, `tcp://` or `tls://`.
    pub target: Target,
    /// Time between two probes: 1 s to 24 h. Default 60 s.
    #[serde(default = "minute", with = "duration")]
    pub interval: Duration,
    /// Longest time for the whole probe, from resolving the name to the last byte: 10 ms to 60 s, and no longer than the interval.
    /// Default 10 s, or the interval where that is shorter.
    #[serde(default, deserialize_with = "some_duration")]
    pub timeout: Option<Duration>,
    /// Method of an HTTP check. Default `GET`.
    #[serde(default)]
    pub method: Method,
    /// Request headers of an HTTP check: at most 32, with values of at most 4,096 bytes. Headers that frame the message cannot be set.
    #[serde(default)]
    pub headers: BTreeMap<String, Hidden>,
    /// Conditions that the answer must meet.
    #[serde(default)]
    pub expect: Expect,
    /// Number of redirects that are followed: 0 to 10. Default 10. With 0, a redirect is the answer.
    #[serde(default = "ten")]
    pub redirects: u8,
    /// The certificate must be valid. Default true.
    #[serde(default = "yes")]
    pub verify_tls: bool,
    /// Number of days before the certificate expires at which people are told: 0 (never) to 365. Default 14.
    #[serde(default = "fortnight")]
    pub certificate_days: u16,
    /// Results that it takes to be down, and up.
    #[serde(default)]
    pub confirm: Confirm,
    /// The check is not probed, and its status is unknown. Default false.
    #[serde(default)]
    pub paused: bool,
    /// Windows in which failures are not reported: at most 16.
    #[serde(default)]
    pub maintenance: Vec<Maintenance>,
    /// Tags for people: at most 16, each of 1 to 64 bytes.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// The method of an HTTP check.
///
/// ```
/// assert_eq!(sentinel_core::uptime::Method::default().name(), "GET");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// HEAD: the answer has no body.
    Head,
    /// OPTIONS.
    Options,
    /// POST, without a body.
    Post,
}

impl Method {
    /// The method as it is sent.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Method::Head.name(), "HEAD");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
        }
    }
}

/// Number of results in a row that make a target down, or up again. Meanwhile the target is probed more often.
///
/// ```
/// let confirm = sentinel_core::uptime::Confirm::default();
/// assert_eq!((confirm.failures, confirm.successes, confirm.every.as_secs()), (3, 2, 10));
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Confirm {
    /// Failures in a row: 1 to 10. Default 3.
    pub failures: u32,
    /// Successes in a row: 1 to 10. Default 2.
    pub successes: u32,
    /// Time until the next probe while a change is being confirmed (the interval, if that is shorter): 100 ms to 10 s. Default 10 s.
    #[serde(with = "duration")]
    pub every: Duration,
}

impl Default for Confirm {
    fn default() -> Self {
        Self { failures: 3, successes: 2, every: Duration::from_secs(10) }
    }
}

const fn minute() -> Duration {
    Duration::from_mins(1)
}

const fn ten() -> u8 {
    10
}

const fn yes() -> bool {
    true
}

const fn fortnight() -> u16 {
    14
}

/// Headers that frame or encode the message: the prober sets them itself.
const RESERVED_HEADERS: [&str; 9] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Check {
    /// A check with all defaults.
    ///
    /// ```
    /// use sentinel_core::uptime::{Check, Target};
    /// let check = Check::new("shop", Target::new("https://shop.example/")?);
    /// assert_eq!(check.interval.as_secs(), 60);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn new(name: impl Into<String>, target: Target) -> Self {
        Self {
            name: name.into(),
            target,
            interval: minute(),
            timeout: None,
            method: Method::Get,
            headers: BTreeMap::new(),
            expect: Expect::default(),
            redirects: ten(),
            verify_tls: true,
            certificate_days: fortnight(),
            confirm: Confirm::default(),
            paused: false,
            maintenance: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// The effective timeout.
    ///
    /// ```
    /// # use sentinel_core::uptime::{Check, Target};
    /// # let check = Check::new("shop", Target::new("https://shop.example/").unwrap());
    /// let quick = Check { interval: std::time::Duration::from_secs(2), ..check };
    /// assert_eq!(quick.timeout(), quick.interval);
    /// ```
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(self.interval.min(Duration::from_secs(10)))
    }

    /// The interval in milliseconds.
    ///
    /// ```
    /// # use sentinel_core::uptime::{Check, Target};
    /// assert_eq!(Check::new("shop", Target::new("https://shop.example/").unwrap()).interval_ms(), 60_000);
    /// ```
    pub fn interval_ms(&self) -> u32 {
        u32::try_from(self.interval.as_millis()).unwrap_or(u32::MAX)
    }

    /// Whether a maintenance window covers this moment, Unix ms.
    ///
    /// ```
    /// # use sentinel_core::uptime::{Check, Target};
    /// assert!(!Check::new("shop", Target::new("https://shop.example/").unwrap()).in_maintenance(0));
    /// ```
    pub fn in_maintenance(&self, at_ms: i64) -> bool {
        self.maintenance.iter().any(|window| window.contains(at_ms))
    }

    /// Something else is checked: knowledge about the other check does not apply to this one.
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.target != other.target || self.method != other.method || self.expect != other.expect
    }

    /// Validates every value; `at` is the path of the check in the configuration.
    fn check(&self, at: &str) -> Result<(), ConfigError> {
        let field = |name: &str| format!("{at}.{name}");
        let word = |text: &str| (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if !word(&self.name) {
            let shown: String = self.name.chars().take(MAX_NAME_BYTES).collect();
            return Err(ConfigError::new(&field("name"), format!("{shown:?}"), "1 to 64 bytes, no control characters"));
        }
        within(&field("interval"), self.interval, Duration::from_secs(1)..=Duration::from_hours(24))?;
        let longest = Duration::from_mins(1).min(self.interval);
        within(&field("timeout"), self.timeout(), Duration::from_millis(10)..=longest)?;
        let every = Duration::from_millis(100)..=Duration::from_secs(10);
        within(&field("confirm.every"), self.confirm.every, every)?;
        for (name, count) in [("failures", self.confirm.failures), ("successes", self.confirm.successes)] {
            number(&field(&format!("confirm.{name}")), count, 1..=10)?;
        }
        number(&field("redirects"), u32::from(self.redirects), 0..=10)?;
        number(&field("certificate_days"), u32::from(self.certificate_days), 0..=365)?;
        self.check_http(&field)?;
        self.expect.check(&field("expect"), self.timeout())?;
        number(&field("maintenance"), self.maintenance.len() as u32, 0..=MAX_MAINTENANCE_WINDOWS as u32)?;
        for (place, window) in self.maintenance.iter().enumerate() {
            window.check(&field(&format!("maintenance[{place}]")))?;
        }
        number(&field("tags"), self.tags.len() as u32, 0..=MAX_CONDITIONS as u32)?;
        if let Some(place) = self.tags.iter().position(|tag| !word(tag)) {
            let allowed = "1 to 64 bytes, no control characters";
            return Err(ConfigError::plain(&field(&format!("tags[{place}]")), "a tag", allowed));
        }
        Ok(())
    }

    fn check_http(&self, field: &impl Fn(&str) -> String) -> Result<(), ConfigError> {
        number(&field("headers"), self.headers.len() as u32, 0..=MAX_CHECK_HEADERS as u32)?;
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        for (name, value) in &self.headers {
            let lower = name.to_ascii_lowercase();
            if !(1..=MAX_NAME_BYTES).contains(&name.len())
                || !name.bytes().all(token)
                || RESERVED_HEADERS.contains(&lower.as_str())
            {
                let shown: String = name.chars().take(MAX_NAME_BYTES).collect();
                let allowed = "a name of 1 to 64 bytes that does not frame the message";
                return Err(ConfigError::new(&field("headers"), format!("{shown:?}"), allowed));
            }
            let sent = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
            if value.reveal().len() > MAX_HEADER_VALUE_BYTES || !value.reveal().bytes().all(sent) {
                let allowed = "at most 4096 bytes of visible ASCII";
                return Err(ConfigError::hidden(&field(&format!("headers.{name}")), allowed));
            }
        }
        if self.method == Method::Head && self.expect.needs_body() {
            return Err(ConfigError::plain(
                &field("method"),
                "HEAD",
                "a method whose answer has a body, because expect reads it",
            ));
        }
        let http = self.target.kind() == Kind::Http;
        let only = [
            ("method", self.method != Method::Get),
            ("headers", !self.headers.is_empty()),
            ("expect", self.expect != Expect { max_latency: self.expect.max_latency, ..Expect::default() }),
        ];
        match only.iter().find(|(_, given)| *given && !http) {
            Some((name, _)) => Err(ConfigError::plain(&field(name), "given", "http:// and https:// only")),
            None => Ok(()),
        }
    }
}

/// A validated list of checks: all values are in range, and all names differ.
///
/// ```
/// use sentinel_core::uptime::{Check, Checks, Target};
///
/// let check = |name: &str| Check::new(name, Target::new("https://shop.example/").unwrap());
/// assert!(Checks::new(vec![check("a"), check("b")]).is_ok());
/// let error = Checks::new(vec![check("a"), check("a")]).unwrap_err();
/// assert_eq!(error.to_string(), r#"checks[1].name: "a" is not allowed; allowed: a name that no other check has"#);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checks(Vec<Check>);

impl Checks {
    /// Validates every value.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option, as `checks[2].timeout`. The error shows no header value and no path.
    ///
    /// ```
    /// use sentinel_core::uptime::{Check, Checks, Target};
    /// use std::time::Duration;
    ///
    /// let check = Check::new("shop", Target::new("https://shop.example/")?);
    /// let slow = Check { timeout: Some(Duration::from_secs(90)), ..check };
    /// let error = Checks::new(vec![slow]).unwrap_err();
    /// assert_eq!(error.to_string(), "checks[0].timeout: 90s is not allowed; allowed: 10ms to 1m");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn new(checks: Vec<Check>) -> Result<Self, ConfigError> {
        number("checks", checks.len() as u32, 0..=MAX_CHECKS as u32)?;
        let mut names = BTreeSet::new();
        for (at, check) in checks.iter().enumerate() {
            check.check(&format!("checks[{at}]"))?;
            if !names.insert(check.name.as_str()) {
                let field = format!("checks[{at}].name");
                return Err(ConfigError::new(&field, format!("{:?}", check.name), "a name that no other check has"));
            }
        }
        Ok(Self(checks))
    }

    /// The checks in the given order.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Checks::default().iter().count(), 0);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &Check> {
        self.0.iter()
    }

    pub(super) fn into_inner(self) -> Vec<Check> {
        self.0
    }
}

fn number(field: &str, value: u32, range: RangeInclusive<u32>) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(ConfigError::plain(field, value.to_string(), format!("{} to {}", range.start(), range.end())))
}

fn within(field: &str, value: Duration, range: RangeInclusive<Duration>) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let written = duration::written;
    Err(ConfigError::plain(field, written(value), format!("{} to {}", written(*range.start()), written(*range.end()))))
}
