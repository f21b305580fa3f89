//! An exporter from what a binding's constructor was given: over that of the environment, over that of a file.

use crate::config::Config;
use crate::exporter::Exporter;
use crate::read::ReadError;
use sentinel_core::{ConfigError, Sentinel};
use std::fmt;
use std::path::{Path, PathBuf};

/// What a constructor takes for sharing and alerts. What is `None` is as the environment says or the file, in that order.
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
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There are secrets in the alerts.
        let Self { service, dir, state_dir, config, alerts } = self;
        let alerts = alerts.as_ref().map(|_| "…");
        f.debug_struct("Setup")
            .field("service", service)
            .field("dir", dir)
            .field("state_dir", state_dir)
            .field("config", config)
            .field("alerts", &alerts)
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
        let Self { service, dir, state_dir, config: file, alerts } = self;
        let read = match &file {
            Some(file) => Config::from_file(file).map_err(|error| read_error(file, error))?,
            None => Config::default(),
        };
        let mut config = read.env()?;
        config.service = service.or(config.service);
        config.dir = dir.or(config.dir);
        config.state_dir = state_dir.or(config.state_dir);
        if let Some(json) = alerts {
            config.alerts = Some(crate::read::alerts(&json)?);
        }
        if config.service.is_none() && config.flush.is_none() && config.alerts.is_none() && file.is_none() {
            return Ok(None);
        }
        Exporter::watching(sentinel, config, file.as_deref()).map(Some)
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
    fn nothing_shows_a_secret() {
        let sentinel = Sentinel::builder().build().unwrap();
        for alerts in [
            r#""https://canary""#,
            r#"{"sinks": "https://canary"}"#,
            r#"{"sinks": ["https://canary"]}"#,
            r#"{"sinks": {"url": "https://canary"}}"#,
            r#"{"sinks": [{"type": "email", "host": "smtp://u:canary@h", "from": "a@example.com", "to": "b@example.com"}]}"#,
            r#"{"verdict": "https://canary"}"#,
            r#"{"tenant_errors": {"at_least": "canary"}}"#,
        ] {
            let setup = Setup { service: Some("shop".into()), alerts: Some(alerts.into()), ..Setup::default() };
            assert!(!format!("{setup:?}").contains("canary"));
            let error = setup.exporter(&sentinel).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
