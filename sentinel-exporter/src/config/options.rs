//! Options of the exporter, given by a program, `sentinel.toml` or the environment.

use super::alert_options::{AlertOptions, AlertTable};
use super::parse::{self, ReadError};
use super::uptime_options::{UptimeOptions, UptimeTable};
use crate::host_dir::check_service;
use crate::probe::Allow;
use crate::sink::flush::Flush;
use crate::sink::{SinkConfig, SlackConfig, WebhookConfig};
use crate::values::{Secret, TextOrNumber};
use sentinel_core::{ConfigError, parse_duration, parse_size};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time between two publications of a process.
const EVERY: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_mins(1);
/// Tenants that a process may publish of a slot.
const TENANTS: RangeInclusive<usize> = 16..=4_096;
/// Memory that the view of a host may take, in bytes.
const BUDGET: RangeInclusive<u64> = 4 << 20..=64 << 30;

/// Options of the exporter. In `sentinel.toml` they are the table `[exporter]`; in the environment they begin with `SENTINEL_`.
///
/// ```
/// use sentinel_exporter::Config;
/// use std::time::Duration;
///
/// let config = Config::from_toml("[exporter]\nservice = 'checkout'\nevery = '1s'")?;
/// assert_eq!(config, Config { service: Some("checkout".into()), every: Duration::from_secs(1), ..Config::default() });
///
/// let error = Config::from_toml("[exporter]\nevery = '90s'").unwrap_err();
/// assert_eq!(error.to_string(), "exporter.every: 90 s is not allowed; allowed: 0.5 s to 60 s");
/// # Ok::<(), sentinel_exporter::ReadError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Options", into = "Options")]
pub struct Config {
    /// Name that the processes of a service share: 1 to 64 of `A-Z a-z 0-9 . _ -`, not beginning with a dot. Default none:
    /// the process shares nothing.
    pub service: Option<String>,
    /// Directory that the processes share, an absolute path. Default: a private directory in memory; see
    /// [`Place`](crate::rollup::Place).
    pub dir: Option<PathBuf>,
    /// Time between two publications of a process: 0.5 s to 60 s. Default 2 s.
    pub every: Duration,
    /// Tenants that a process publishes of a slot, the most important first: 16 to 4,096. Default 512. The others are summed
    /// up.
    pub tenants: usize,
    /// Memory for the blocks of other processes, in bytes: 4 MiB to 64 GiB. Default 32 MiB.
    pub budget: usize,
    /// Target of closed slots as JSON lines. Default none.
    pub flush: Option<Flush>,
    /// Directory of the state that must survive a restart: firing alerts, untold notices, and 90 days of uptime checks. An
    /// absolute path. Default: `dir`; if that is in memory, a restart of the machine loses it.
    pub state_dir: Option<PathBuf>,
    /// Alerts: the table `[alerts]` of the file. None by default.
    pub alerts: Option<AlertOptions>,
    /// Uptime checks: the table `[uptime]` of the file. None by default.
    pub uptime: Option<UptimeOptions>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service: None,
            dir: None,
            every: Duration::from_secs(2),
            tenants: 512,
            budget: 32 << 20,
            flush: None,
            state_dir: None,
            alerts: None,
            uptime: None,
        }
    }
}

impl Config {
    /// Reads the text of a `sentinel.toml`. An option that the text does not mention has its default. Durations are text (`"2s"`) or seconds,
    /// sizes text (`"32MiB"`) or bytes.
    ///
    /// # Errors
    /// A [`ReadError`]: the place in the text that is not TOML, or the path of the key that is unknown or out of range.
    ///
    /// ```
    /// use sentinel_exporter::Config;
    ///
    /// assert_eq!(Config::from_toml("")?, Config::default());
    /// let error = Config::from_toml("[exporter]\nevry = 2").unwrap_err();
    /// assert!(error.to_string().starts_with("exporter.evry: unknown field `evry` is not allowed; allowed: "));
    /// # Ok::<(), sentinel_exporter::ReadError>(())
    /// ```
    pub fn from_toml(text: &str) -> Result<Self, ReadError> {
        let parse::Document { exporter, alerts, uptime } = parse::document(text)?;
        let alerts = alerts.map(AlertTable::options).transpose().map_err(|error| error.within("alerts"))?;
        let uptime = uptime.map(UptimeTable::options).transpose().map_err(|error| error.within("uptime"))?;
        let exporter = exporter.config().map_err(|error| error.within("exporter"))?;
        let config = Self { alerts, uptime, ..exporter };
        if let Some(alerts) = config.alerts.clone() {
            alerts.validated().map_err(|error| error.within("alerts"))?;
        }
        if let Some(uptime) = config.uptime.clone() {
            uptime.validated().map_err(|error| error.within("uptime"))?;
        }
        Ok(config)
    }

    /// Reads a file, as [`Config::from_toml`] does its text.
    ///
    /// # Errors
    /// A [`ReadError`]; also when the file cannot be read, is larger than 1 MiB or is not a file.
    ///
    /// ```
    /// use sentinel_exporter::{Config, ReadError};
    ///
    /// let error = Config::from_file("/nowhere/sentinel.toml".as_ref()).unwrap_err();
    /// assert!(matches!(error, ReadError::File { .. }));
    /// ```
    pub fn from_file(path: &Path) -> Result<Self, ReadError> {
        Self::from_toml(&parse::text(path)?)
    }

    /// Takes `SENTINEL_SERVICE`, `SENTINEL_DIR`, `SENTINEL_STATE_DIR`, `SENTINEL_EXPORTER_EVERY`, `SENTINEL_EXPORTER_TENANTS`, `SENTINEL_EXPORTER_BUDGET`
    /// and `SENTINEL_EXPORTER_FLUSH` where they are set and not empty; `SENTINEL_SLACK_URL`, and `SENTINEL_WEBHOOK_URL` with
    /// `SENTINEL_WEBHOOK_SECRET`, each add a sink and so have people alerted. `SENTINEL_CHECKS` adds uptime checks
    /// (`shop=https://shop.example/health, tcp://db:5432`), which may go where `SENTINEL_CHECKS_ALLOW` says (`private, 10.0.0.0/8`).
    ///
    /// # Errors
    /// A [`ConfigError`] that names the variable.
    ///
    /// ```
    /// # use sentinel_exporter::Config;
    /// let config = Config { tenants: 64, ..Config::default() }.env()?;
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn env(self) -> Result<Self, ConfigError> {
        self.variables(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Adds the checks that the environment names.
    pub(crate) fn checks_of_env(self) -> Result<Self, ConfigError> {
        self.checks(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// As [`env`](Self::env), with the variables as an argument.
    pub(crate) fn variables(mut self, get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        for (variable, key) in VARIABLES {
            if let Some(value) = get(variable).filter(|value| !value.is_empty()) {
                self.set(key, &value).map_err(|error| error.named(variable))?;
            }
        }
        self.sinks(&get)?.checks(get)
    }

    /// Adds the checks that the environment names; a configured check of the same name wins.
    pub(crate) fn checks(mut self, get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let given = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        if let Some(list) = given(CHECKS) {
            let uptime = self.uptime.get_or_insert_default();
            uptime.add(&list).map_err(|error| error.named(CHECKS))?;
            uptime.clone().validated().map_err(|error| error.named(CHECKS))?;
        }
        if let Some((list, uptime)) = given(ALLOW).zip(self.uptime.as_mut()) {
            let words = list.split([',', ' ']).filter(|word| !word.is_empty());
            uptime.allow = Allow::new(words).map_err(|error| error.named(ALLOW))?;
        }
        Ok(self)
    }

    /// Adds the sinks that the environment names; a configured sink of the same name wins.
    fn sinks(mut self, get: &impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let secret = |name: &str| get(name).filter(|value| !value.is_empty()).map(Secret::new);
        let slack = secret("SENTINEL_SLACK_URL").map(|url| SinkConfig::Slack(SlackConfig::new(url)));
        let webhook = secret("SENTINEL_WEBHOOK_URL").map(|url| {
            SinkConfig::Webhook(WebhookConfig { secret: secret("SENTINEL_WEBHOOK_SECRET"), ..WebhookConfig::new(url) })
        });
        for sink in [slack, webhook].into_iter().flatten() {
            let prefix = format!("SENTINEL_{}_", sink.name().to_ascii_uppercase());
            let sink = sink.validated().map_err(|error| {
                let variable = format!("{prefix}{}", error.field.to_ascii_uppercase());
                error.named(&variable)
            })?;
            let alerts = self.alerts.get_or_insert_default();
            if alerts.sinks.iter().all(|other| other.name() != sink.name()) {
                alerts.sinks.push(sink);
            }
        }
        Ok(self)
    }

    /// Checks every value, for a `Config` that a program has made.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option.
    ///
    /// ```
    /// # use sentinel_exporter::Config;
    /// assert!(Config::default().validated().is_ok());
    /// let error = Config { tenants: 3, ..Config::default() }.validated().unwrap_err();
    /// assert_eq!(error.to_string(), "tenants: 3 is not allowed; allowed: 16 to 4096");
    /// ```
    pub fn validated(self) -> Result<Self, ConfigError> {
        let config = self.values()?;
        // Otherwise each worker would tell people about the requests that it alone has seen.
        let needs = [("alerts are", config.alerts.is_some()), ("uptime checks are", config.uptime.is_some())];
        if let Some((what, _)) = needs.iter().find(|(_, given)| *given && config.service.is_none()) {
            let allowed = format!("the name of the service that {what} about");
            return Err(ConfigError::plain("service", "none", allowed));
        }
        Ok(config)
    }

    /// Checks each value by itself; a value that another one needs may still come.
    fn values(self) -> Result<Self, ConfigError> {
        if let Some(service) = &self.service {
            check_service(service)?;
        }
        for (field, dir) in [("dir", &self.dir), ("state_dir", &self.state_dir)] {
            if let Some(dir) = dir.as_ref().filter(|dir| !dir.is_absolute()) {
                return Err(ConfigError::new(field, format!("{:?}", dir.display().to_string()), "an absolute path"));
            }
        }
        if let Some(alerts) = self.alerts.clone() {
            alerts.validated().map_err(|error| error.within("alerts"))?;
        }
        if let Some(uptime) = self.uptime.clone() {
            uptime.validated().map_err(|error| error.within("uptime"))?;
        }
        if !EVERY.contains(&self.every) {
            return Err(ConfigError::plain("every", format!("{} s", self.every.as_secs_f64()), "0.5 s to 60 s"));
        }
        if !TENANTS.contains(&self.tenants) {
            let allowed = format!("{} to {}", TENANTS.start(), TENANTS.end());
            return Err(ConfigError::plain("tenants", self.tenants.to_string(), allowed));
        }
        if !BUDGET.contains(&(self.budget as u64)) {
            let allowed = format!("{} to {} bytes", BUDGET.start(), BUDGET.end());
            return Err(ConfigError::plain("budget", self.budget.to_string(), allowed));
        }
        Ok(self)
    }

    /// Sets one option from its text, of a file or of a variable.
    fn set(&mut self, key: &str, text: &str) -> Result<(), ConfigError> {
        let mut next = self.clone();
        match key {
            "service" => next.service = Some(text.into()),
            "dir" => next.dir = Some(text.into()),
            "state_dir" => next.state_dir = Some(text.into()),
            "every" => next.every = parse_duration(text).map_err(|error| error.named(key))?,
            "tenants" => {
                let count = text.trim().parse();
                next.tenants = count.map_err(|_| ConfigError::new(key, format!("{text:?}"), "a whole number"))?;
            }
            "budget" => next.budget = parse_size(text).map_err(|error| error.named(key))?,
            _ => next.flush = Some(text.parse()?),
        }
        *self = next.values()?;
        Ok(())
    }
}

const CHECKS: &str = "SENTINEL_CHECKS";
const ALLOW: &str = "SENTINEL_CHECKS_ALLOW";

const VARIABLES: [(&str, &str); 7] = [
    ("SENTINEL_SERVICE", "service"),
    ("SENTINEL_DIR", "dir"),
    ("SENTINEL_STATE_DIR", "state_dir"),
    ("SENTINEL_EXPORTER_EVERY", "every"),
    ("SENTINEL_EXPORTER_TENANTS", "tenants"),
    ("SENTINEL_EXPORTER_BUDGET", "budget"),
    ("SENTINEL_EXPORTER_FLUSH", "flush"),
];

/// The table `[exporter]` as it is written: each value as the text that it stands for, so that files and variables are read
/// in one way.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<TextOrNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<TextOrNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<TextOrNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenants: Option<TextOrNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<TextOrNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flush: Option<TextOrNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_dir: Option<TextOrNumber>,
}

impl Options {
    /// The options, in range.
    fn config(self) -> Result<Config, ConfigError> {
        let Self { service, dir, every, tenants, budget, flush, state_dir } = self;
        let mut config = Config::default();
        for (key, given) in [
            ("service", service),
            ("dir", dir),
            ("every", every),
            ("tenants", tenants),
            ("budget", budget),
            ("flush", flush),
            ("state_dir", state_dir),
        ] {
            if let Some(TextOrNumber(text)) = given {
                config.set(key, &text).map_err(|error| error.named(key))?;
            }
        }
        Ok(config)
    }
}

impl TryFrom<Options> for Config {
    type Error = ConfigError;

    fn try_from(options: Options) -> Result<Self, ConfigError> {
        options.config()
    }
}

impl From<Config> for Options {
    fn from(config: Config) -> Self {
        // Alerts and uptime checks are tables of their own, and have secrets.
        let Config { service, dir, every, tenants, budget, flush, state_dir, alerts: _, uptime: _ } = config;
        Self {
            service: service.map(TextOrNumber),
            dir: dir.map(|dir| TextOrNumber(dir.display().to_string())),
            every: Some(TextOrNumber(format!("{}us", every.as_micros()))),
            tenants: Some(TextOrNumber(tenants.to_string())),
            budget: Some(TextOrNumber(budget.to_string())),
            flush: flush.map(|flush| TextOrNumber(flush.to_string())),
            state_dir: state_dir.map(|dir| TextOrNumber(dir.display().to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_environment_names_the_variable() {
        let one = |name: &'static str, value: &'static str| move |asked: &str| (asked == name).then(|| value.into());
        let config = Config::default().variables(one("SENTINEL_EXPORTER_BUDGET", "1GiB")).unwrap();
        assert_eq!(config.budget, 1 << 30);
        let config = Config::default().variables(one("SENTINEL_SERVICE", "shop")).unwrap();
        assert_eq!(config.service.as_deref(), Some("shop"));
        assert_eq!(Config::default().variables(one("SENTINEL_SERVICE", "")).unwrap(), Config::default());
        for (name, value) in [
            ("SENTINEL_SERVICE", "../shop"),
            ("SENTINEL_DIR", "here"),
            ("SENTINEL_EXPORTER_EVERY", "soon"),
            ("SENTINEL_EXPORTER_TENANTS", "1.5"),
            ("SENTINEL_EXPORTER_BUDGET", "64 apples"),
            ("SENTINEL_STATE_DIR", "here"),
        ] {
            let error = Config::default().variables(one(name, value)).unwrap_err();
            assert_eq!(error.field, name);
            assert!(error.value.contains(value), "{error}");
        }
    }

    #[test]
    fn sinks_of_the_environment_join_those_that_are_configured() {
        let get = |name: &str| match name {
            "SENTINEL_SLACK_URL" => Some("https://hooks.slack.com/services/canary".into()),
            "SENTINEL_WEBHOOK_URL" => Some("https://example.com/canary".into()),
            _ => None,
        };
        let names = |config: &Config| -> Vec<String> {
            config.alerts.iter().flat_map(|alerts| &alerts.sinks).map(|sink| sink.name().into()).collect()
        };
        let config = Config::default().variables(get).unwrap();
        assert_eq!(names(&config), ["slack", "webhook"]);
        assert!(!format!("{config:?}").contains("canary"));
        let own = "[[alerts.sinks]]\ntype = 'log'\nname = 'slack'";
        assert_eq!(names(&Config::from_toml(own).unwrap().variables(get).unwrap()), ["slack", "webhook"]);
        let wrong = |name: &str| (name == "SENTINEL_SLACK_URL").then(|| "canary".into());
        let error = Config::default().variables(wrong).unwrap_err();
        assert_eq!(error.field, "SENTINEL_SLACK_URL");
        assert!(!error.to_string().contains("canary"));
    }

    /// The file has alerts, a variable sets another option, and the service comes as an argument.
    #[test]
    fn what_one_value_needs_of_another_may_come_later() {
        let config = Config::from_toml("[alerts]").unwrap();
        let get = |name: &str| (name == "SENTINEL_EXPORTER_EVERY").then(|| "1s".into());
        let config = config.variables(get).unwrap();
        assert_eq!(config.clone().validated().unwrap_err().field, "service");
        assert!(Config { service: Some("shop".into()), ..config }.validated().is_ok());
    }

    #[test]
    fn every_range_has_its_edges() {
        let ms = Duration::from_millis;
        let of = |every, tenants, budget| Config { every, tenants, budget, ..Config::default() }.validated();
        for good in [of(ms(500), 16, 4 << 20), of(ms(60_000), 4_096, 64 << 30)] {
            assert!(good.is_ok());
        }
        for (bad, field) in [
            (of(ms(499), 16, 4 << 20), "every"),
            (of(ms(60_001), 16, 4 << 20), "every"),
            (of(ms(500), 15, 4 << 20), "tenants"),
            (of(ms(500), 4_097, 4 << 20), "tenants"),
            (of(ms(500), 16, (4 << 20) - 1), "budget"),
            (of(ms(500), 16, (64 << 30) + 1), "budget"),
        ] {
            assert_eq!(bad.unwrap_err().field, field);
        }
    }

    proptest! {
        #[test]
        fn it_is_written_and_read_back(
            service in proptest::option::of("[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}"),
            dir in proptest::option::of("/[ -~]{0,40}"),
            every_us in 500_000_u64..=60_000_000,
            tenants in 16_usize..=4_096,
            budget in 4_usize << 20..=64 << 30,
            flush in proptest::option::of("[ -~]{1,40}"),
        ) {
            let config = Config {
                service,
                dir: dir.map(PathBuf::from),
                every: Duration::from_micros(every_us),
                tenants,
                budget,
                flush: flush.map(|flush| flush.parse().unwrap()),
                ..Config::default()
            };
            let table = toml::to_string(&config).unwrap();
            let read = Config::from_toml(&format!("[exporter]\n{table}"));
            prop_assert_eq!(read, Ok(config));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Config::from_toml(&text);
            let _ = Config::from_toml(&format!("[exporter]\n{text}"));
        }
    }
}
