//! An exporter from the arguments of a binding's constructor: over the options of the environment, over those of a file.

use super::exporter::Exporter;
use crate::config::{self, Config, ReadError};
use sentinel_core::{ConfigError, Sentinel};
use std::fmt;
use std::path::{Path, PathBuf};

/// Options that a constructor takes for sharing, alerts and uptime checks. `None` is filled in from the environment, then from the
/// file.
///
/// ```
/// use sentinel_core::Sentinel;
/// use sentinel_exporter::Setup;
///
/// let sentinel = Sentinel::builder().build()?;
/// let setup = Setup { alerts: Some(r#"{"tenant_errors": {"at_least": 0}}"#.into()), ..Setup::default() };
/// let error = setup.exporter(&sentinel).unwrap_err();
/// assert_eq!(error.to_string(), "alerts.tenant_errors.at_least: 0 is not allowed; allowed: 1 to 2^53");
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct Setup {
    /// [`Config::service`]
    pub service: Option<String>,
    /// [`Config::dir`]
    pub dir: Option<PathBuf>,
    /// [`Config::state_dir`]
    pub state_dir: Option<PathBuf>,
    /// A `sentinel.toml`, which is watched.
    pub config: Option<PathBuf>,
    /// [`Config::alerts`] as JSON, in place of what the file says of them.
    pub alerts: Option<String>,
    /// Uptime checks as JSON, in place of what the file says of them.
    pub uptime: Option<String>,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There are secrets in the alerts, and in what is sent to what is checked.
        let Self { service, dir, state_dir, config, alerts, uptime } = self;
        let [alerts, uptime] = [alerts, uptime].map(|given| given.as_ref().map(|_| "…"));
        f.debug_struct("Setup")
            .field("service", service)
            .field("dir", dir)
            .field("state_dir", state_dir)
            .field("config", config)
            .field("alerts", &alerts)
            .field("uptime", &uptime)
            .finish()
    }
}

impl Setup {
    /// The exporter; `None` where nothing asks for one.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option, the variable or the path of the key.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// # use sentinel_exporter::Setup;
    /// let sentinel = Sentinel::builder().build()?;
    /// assert!(Setup::default().exporter(&sentinel)?.is_none()); // unless the environment names a service
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn exporter(self, sentinel: &Sentinel) -> Result<Option<Exporter>, ConfigError> {
        let Self { service, dir, state_dir, config: file, alerts, uptime } = self;
        let read = match &file {
            Some(file) => Config::from_file(file).map_err(|error| read_error(file, error))?,
            None => Config::default(),
        };
        // A program's options are in place of the file's, and may hold a secret in the wrong place: an error shows none of
        // their text. They are checked before the environment adds to them, whose errors show text.
        let given = alerts.is_some() || uptime.is_some();
        let read = match uptime {
            Some(json) => Config { uptime: Some(config::uptime(&json).map_err(ConfigError::without_text)?), ..read },
            None => read,
        };
        let mut config = read.env()?;
        config.service = service.or(config.service);
        config.dir = dir.or(config.dir);
        config.state_dir = state_dir.or(config.state_dir);
        if let Some(json) = alerts {
            config.alerts = Some(config::alerts(&json).map_err(ConfigError::without_text)?);
        }
        // What cannot be used is refused, whether it is needed or not.
        let config = config.validated()?;
        let nothing = config.alerts.is_none() && config.uptime.is_none() && file.is_none();
        if config.service.is_none() && config.flush.is_none() && nothing {
            return Ok(None);
        }
        let exporter = Exporter::watching(sentinel, config, file.as_deref());
        // A file that a sink needs may be gone since.
        let shown = |error: ConfigError| if given { error.without_text() } else { error };
        exporter.map(Some).map_err(shown)
    }
}

/// An error of a value as it is; one of the file itself as one of the option that names it.
fn read_error(file: &Path, error: ReadError) -> ConfigError {
    match error {
        ReadError::Value(error) => error,
        error => {
            let allowed = "a file in the form that the documentation gives";
            ConfigError::new("config", format!("{:?} ({error})", file.display().to_string()), allowed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_refused_where_nothing_asks_for_it() {
        let sentinel = Sentinel::builder().build().unwrap();
        let setup = Setup { dir: Some("here".into()), ..Setup::default() };
        assert_eq!(setup.exporter(&sentinel).unwrap_err().field, "dir");
    }

    #[test]
    fn what_is_checked_may_have_secrets() {
        let setup = Setup { uptime: Some(r#"{"checks": ["canary-7f3a"]}"#.into()), ..Setup::default() };
        assert!(format!("{setup:?}").contains(r#"uptime: Some("…")"#) && !format!("{setup:?}").contains("canary"));
    }

    #[test]
    fn no_text_below_alerts_is_shown() {
        const CANARY: &str = "canary-7f3a";
        for (field, json) in [
            ("alerts", r#""CANARY""#),
            ("alerts.sinks", r#"{"sinks": "CANARY"}"#),
            ("alerts.sinks[0]", r#"{"sinks": ["CANARY"]}"#),
            ("alerts.sinks[0].type", r#"{"sinks": [{"type": "CANARY"}]}"#),
            ("alerts.sinks[0].url", r#"{"sinks": [{"type": "slack", "url": "CANARY"}]}"#),
            ("alerts.sinks[0].name", r#"{"sinks": [{"type": "log", "name": "CANARY CANARY"}]}"#),
            ("alerts.sinks[0].encryption", r#"{"sinks": [{"type": "email", "encryption": "CANARY"}]}"#),
            (
                "alerts.sinks[1].name",
                r#"{"sinks": [{"type": "log", "name": "CANARY"}, {"type": "log", "name": "CANARY"}]}"#,
            ),
            ("alerts.sinks[0].url", r#"{"sinks": [{"type": "slack", "url": {"env": "CANARY"}}]}"#),
            ("alerts.sinks[0].url", r#"{"sinks": [{"type": "slack", "url": {"file": "/CANARY"}}]}"#),
            (
                "alerts.sinks[0].ca_file",
                r#"{"sinks": [{"type": "slack", "url": "https://x.example/", "ca_file": "/CANARY"}]}"#,
            ),
            ("alerts.tenant_errors", r#"{"tenant_errors": "CANARY"}"#),
            ("alerts.tenant_errors.at_least", r#"{"tenant_errors": {"at_least": "CANARY"}}"#),
            ("alerts.tenant_errors.for", r#"{"tenant_errors": {"for": "CANARY"}}"#),
            ("alerts.verdict.kinds[0]", r#"{"verdict": {"kinds": ["CANARY"]}}"#),
        ] {
            let sentinel = Sentinel::builder().build().unwrap();
            let setup = Setup {
                alerts: Some(json.replace("CANARY", CANARY)),
                service: Some("shop".into()),
                ..Setup::default()
            };
            assert!(!format!("{setup:?}").contains(CANARY));
            let error = setup.exporter(&sentinel).unwrap_err();
            assert_eq!(error.field, field, "{error}");
            assert!(!error.to_string().contains(CANARY), "{error}");
        }
        // What is no secret, and helps.
        for (json, text) in [
            (r#"{"grouping": {"first": "1h"}}"#, "alerts.grouping.first: 1h is not allowed; allowed: 0s to 10m"),
            (r#"{"verdict": 7}"#, "alerts.verdict: invalid type: integer `7` is not allowed"),
            (r#"{"sinks": [{"type": "slack"}]}"#, "alerts.sinks[0].url: none is not allowed"),
            (r#"{"sinks": [{"type": "slack", "uri": 7}]}"#, "alerts.sinks[0].uri: unknown field `uri` is not allowed"),
            (
                r#"{"sinks": [{"type": "slack", "url": {"env": "NOT_SET"}}]}"#,
                "alerts.sinks[0].url: the variable NOT_SET is not allowed",
            ),
        ] {
            let sentinel = Sentinel::builder().build().unwrap();
            let setup = Setup { alerts: Some(json.into()), service: Some("shop".into()), ..Setup::default() };
            let error = setup.exporter(&sentinel).unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
        }
    }
}
