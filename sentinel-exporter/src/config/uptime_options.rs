//! The table `[uptime]`: checks, and options that all probes share.

use crate::probe::{Allow, ProbeOptions, Prober};
use crate::values::{self, Raw, SecretOption, read};
use sentinel_core::ConfigError;
use sentinel_core::uptime::{Check, Checks, Target};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Probes at a time.
const AT_ONCE: RangeInclusive<usize> = 1..=4_096;

/// Options of uptime checks. In `sentinel.toml` they are the table `[uptime]`; see [`Check`] for what each check takes. A header's value
/// may stand elsewhere: `{ env = "TOKEN" }`, `{ file = "/run/secrets/token" }`.
///
/// ```
/// use sentinel_exporter::Config;
///
/// let config = Config::from_toml(r#"
///     [exporter]
///     service = "checkout"
///     [uptime]
///     allow = ["private"]
///     [[uptime.checks]]
///     name = "shop"
///     target = "https://shop.example/health"
///     timeout = "2m"
/// "#);
/// assert_eq!(config.unwrap_err().to_string(), "uptime.checks[0].timeout: 2m is not allowed; allowed: 10ms to 1m");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct UptimeOptions {
    /// Addresses that probes may go to besides public ones: `loopback`, `private`, and ranges. Default none.
    pub allow: Allow,
    /// A PEM file of at most 1 MiB with issuers to believe besides Mozilla's list.
    pub ca_file: Option<PathBuf>,
    /// Probes at a time: 1 to 4,096, and no more than a quarter of the file descriptors that this process may have. Default 1,024.
    pub at_once: usize,
    /// The checks: at most 10,000, each with its own name.
    pub checks: Vec<Check>,
}

impl Default for UptimeOptions {
    fn default() -> Self {
        Self { allow: Allow::default(), ca_file: None, at_once: 1_024, checks: Vec::new() }
    }
}

/// The table `[uptime]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UptimeTable {
    allow: Vec<String>,
    ca_file: Option<PathBuf>,
    at_once: Option<i64>,
    checks: Vec<Raw>,
}

impl UptimeTable {
    /// The options, of which only the ranges of `allow` are checked yet.
    pub(crate) fn options(self) -> Result<UptimeOptions, ConfigError> {
        let Self { allow, ca_file, at_once, checks } = self;
        let default = UptimeOptions::default();
        let probes = |at_once: i64| usize::try_from(at_once).map_err(|_| at_once_refused(at_once));
        let check = |(at, raw)| check_of(raw).map_err(|error| error.within(&format!("checks[{at}]")));
        Ok(UptimeOptions {
            allow: Allow::new(allow)?,
            ca_file,
            at_once: at_once.map_or(Ok(default.at_once), probes)?,
            checks: checks.into_iter().enumerate().map(check).collect::<Result<_, _>>()?,
        })
    }
}

/// A check, with the values of headers read from where they stand.
fn check_of(mut raw: Raw) -> Result<Check, ConfigError> {
    let headers = raw.take("headers").map_or(Ok(BTreeMap::new()), read::<BTreeMap<String, SecretOption>>);
    let headers = headers.map_err(|error| error.within("headers"))?;
    let mut check: Check = read(raw)?;
    for (name, value) in headers {
        // Without the header's name, which somebody chose.
        let value = value.secret("headers")?;
        check.headers.insert(name, value.into_header());
    }
    Ok(check)
}

fn at_once_refused(at_once: impl Display) -> ConfigError {
    ConfigError::plain("at_once", at_once.to_string(), format!("{} to {}", AT_ONCE.start(), AT_ONCE.end()))
}

impl<'de> Deserialize<'de> for UptimeOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        values::deserialize(deserializer, "uptime", UptimeTable::options)
    }
}

impl UptimeOptions {
    /// Checks every value.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option, as `checks[1].interval`.
    ///
    /// ```
    /// use sentinel_exporter::UptimeOptions;
    ///
    /// let options: UptimeOptions = serde_json::from_str(r#"{"at_once": 0}"#)?;
    /// assert_eq!(options.validated().unwrap_err().to_string(), "at_once: 0 is not allowed; allowed: 1 to 4096");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn validated(self) -> Result<Self, ConfigError> {
        self.made()?;
        Ok(self)
    }

    /// The checks in range, and the prober for them.
    pub(crate) fn made(&self) -> Result<(Checks, Prober), ConfigError> {
        if !AT_ONCE.contains(&self.at_once) {
            return Err(at_once_refused(self.at_once));
        }
        let checks = Checks::new(self.checks.clone())?;
        let probes = ProbeOptions { allow: self.allow.clone(), ca_file: self.ca_file.clone() };
        Ok((checks, Prober::new(&probes)?))
    }

    /// Adds the checks of a list, as a variable of the environment holds it: URLs, each perhaps with a name before it
    /// (`shop=https://shop.example/health`), between commas or spaces. Without one, the host is the name.
    pub(crate) fn add(&mut self, list: &str) -> Result<(), ConfigError> {
        let configured: BTreeSet<String> = self.checks.iter().map(|check| check.name.clone()).collect();
        let entries = list.split([',', ' ', '\t', '\n']).filter(|entry| !entry.is_empty());
        for (at, entry) in entries.enumerate() {
            // A name stands before the scheme; a query may have the same sign.
            let named = entry.split_once('=').filter(|(name, _)| !name.contains(':'));
            let (name, url) = named.map_or((None, entry), |(name, url)| (Some(name), url));
            let wrong = |value: String, allowed: String| {
                ConfigError::new("checks", format!("entry {}: {value}", at + 1), allowed)
            };
            let target = Target::new(url).map_err(|error| wrong(error.value, error.allowed))?;
            let name = name.map_or_else(|| target.host().to_owned(), Into::into);
            // A configured check of the same name wins; of two in the list, one would hide the other.
            if configured.contains(&name) {
                continue;
            }
            if self.checks.iter().any(|other| other.name == name) {
                return Err(wrong(format!("{name:?}"), "a name that no other has: shop=https://shop.example/".into()));
            }
            self.checks.push(Check::new(name, target));
        }
        Ok(())
    }
}
