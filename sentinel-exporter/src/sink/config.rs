//! Options of sinks: a table for each, as `type = "slack"`, with the options of that type.

use super::address::Address;
use super::email_config::EmailConfig;
use super::options::SinkOptions;
use super::webhook::Key;
use super::{Email, Sink, Slack, Webhook};
use crate::values::{self, Secret};
use sentinel_core::ConfigError;
use serde::{Deserialize, Deserializer};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that a log file may have.
const MAX_SIZE: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 40;
/// Old log files that are kept.
const KEEP: std::ops::RangeInclusive<usize> = 1..=100;

/// One sink. In a configuration a sink is a table with a `type`; several sinks of a type need a `name` each.
///
/// ```
/// use sentinel_exporter::sink::SinkConfig;
///
/// let config: SinkConfig = serde_json::from_str(r#"{"type":"slack","url":"https://hooks.slack.com/services/T0/B0/x"}"#)?;
/// assert_eq!((config.name(), config.build()?.kind()), ("slack", "slack"));
/// assert!(!format!("{config:?}").contains("services"));
///
/// let error = serde_json::from_str::<SinkConfig>(r#"{"type":"slack","url":"hooks.slack.com/services/T0/B0/x"}"#).unwrap_err();
/// assert!(error.to_string().starts_with("url: a value that is not shown is not allowed; allowed: a URL that begins with https://"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SinkConfig {
    /// `slack`
    Slack(SlackConfig),
    /// `webhook`
    Webhook(WebhookConfig),
    /// `email`
    Email(EmailConfig),
    /// `log`
    Log(LogConfig),
}

impl<'de> Deserialize<'de> for SinkConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        values::deserialize(deserializer, "sink", SinkOptions::config)
    }
}

impl SinkConfig {
    /// Name of the sink: its type, unless the table gives another.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{LogConfig, SinkConfig};
    /// let log = LogConfig { name: Some("audit".into()), ..LogConfig::default() };
    /// assert_eq!(SinkConfig::Log(log).name(), "audit");
    /// ```
    pub fn name(&self) -> &str {
        let (name, kind) = match self {
            Self::Slack(config) => (&config.name, "slack"),
            Self::Webhook(config) => (&config.name, "webhook"),
            Self::Email(config) => (&config.name, "email"),
            Self::Log(config) => (&config.name, "log"),
        };
        name.as_deref().unwrap_or(kind)
    }

    /// Checks every value, for options that a program has made. [`build`](Self::build) reads the files that they name.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option, and shows no secret.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{Secret, SinkConfig, SlackConfig};
    /// let error = SinkConfig::Slack(SlackConfig::new(Secret::new("canary"))).validated().unwrap_err();
    /// assert_eq!((error.field.as_str(), error.value.as_str()), ("url", "a value that is not shown"));
    /// ```
    pub fn validated(self) -> Result<Self, ConfigError> {
        Ok(match self {
            Self::Slack(config) => Self::Slack(config.validated()?),
            Self::Webhook(config) => Self::Webhook(config.validated()?),
            Self::Email(config) => Self::Email(config.validated()?),
            Self::Log(config) => Self::Log(config.validated()?),
        })
    }

    /// Makes the sink, which opens no connection yet.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option; also if a file with certificates cannot be read.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{LogConfig, Sink, SinkConfig};
    /// assert_eq!(SinkConfig::Log(LogConfig::default()).build()?.name(), "log");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn build(&self) -> Result<Arc<dyn Sink>, ConfigError> {
        Ok(match self {
            Self::Slack(config) => Arc::new(Slack::new(config)?),
            Self::Webhook(config) => Arc::new(Webhook::new(config)?),
            Self::Email(config) => Arc::new(Email::new(config)?),
            #[cfg(unix)]
            Self::Log(config) => Arc::new(super::Log::new(config)?),
            #[cfg(not(unix))]
            Self::Log(_) => {
                return Err(ConfigError::plain("type", "\"log\"", "slack, webhook or email on this system"));
            }
        })
    }
}

/// Options of [`Slack`].
///
/// ```
/// use sentinel_exporter::sink::{Secret, SlackConfig};
///
/// let config = SlackConfig { name: Some("on-call".into()), ..SlackConfig::new(Secret::new("https://hooks.slack.com/x")) };
/// assert!(config.validated().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlackConfig {
    /// Name of the sink: 1 to 64 of `A-Z a-z 0-9 . _ -`. Default `slack`.
    pub name: Option<String>,
    /// URL of the incoming webhook, which is a password: `https://`, or `http://` to this host.
    pub url: Secret,
    /// PEM file with issuers of certificates to believe besides the public ones: an absolute path, at most 1 MiB.
    pub ca_file: Option<PathBuf>,
}

impl SlackConfig {
    /// Slack by this URL.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{Secret, SlackConfig};
    /// assert_eq!(SlackConfig::new(Secret::new("https://hooks.slack.com/x")).name, None);
    /// ```
    pub fn new(url: Secret) -> Self {
        Self { name: None, url, ca_file: None }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{Secret, SlackConfig};
    /// // A password is not sent in the clear.
    /// assert!(SlackConfig::new(Secret::new("http://hooks.slack.com/x")).validated().is_err());
    /// ```
    pub fn validated(self) -> Result<Self, ConfigError> {
        check_name(self.name.as_deref())?;
        check_file(self.ca_file.as_deref())?;
        Address::parse("url", &self.url, false)?;
        Ok(self)
    }
}

/// Options of [`Webhook`].
///
/// ```
/// use sentinel_exporter::sink::{Secret, WebhookConfig};
///
/// let url = Secret::new("https://shop.example/alerts");
/// let secret = Some(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
/// assert!(WebhookConfig { secret, ..WebhookConfig::new(url) }.validated().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Name of the sink: 1 to 64 of `A-Z a-z 0-9 . _ -`. Default `webhook`.
    pub name: Option<String>,
    /// URL to post to: `https://` or `http://`, without a user.
    pub url: Secret,
    /// Key that signs messages: `whsec_` and 24 to 64 bytes in base64. Default none: messages are not signed.
    pub secret: Option<Secret>,
    /// PEM file with issuers of certificates to believe besides the public ones: an absolute path, at most 1 MiB.
    pub ca_file: Option<PathBuf>,
}

impl WebhookConfig {
    /// A webhook at this URL, not signed.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{Secret, WebhookConfig};
    /// assert_eq!(WebhookConfig::new(Secret::new("https://shop.example/alerts")).secret, None);
    /// ```
    pub fn new(url: Secret) -> Self {
        Self { name: None, url, secret: None, ca_file: None }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{Secret, WebhookConfig};
    /// assert!(WebhookConfig::new(Secret::new("https://user:password@shop.example/alerts")).validated().is_err());
    /// ```
    pub fn validated(self) -> Result<Self, ConfigError> {
        check_name(self.name.as_deref())?;
        check_file(self.ca_file.as_deref())?;
        Address::parse("url", &self.url, true)?;
        self.secret.as_ref().map(Key::parse).transpose()?;
        Ok(self)
    }
}

/// Target of a log's lines. In a configuration `stderr`, or a path.
///
/// ```
/// use sentinel_exporter::sink::LogTarget;
///
/// assert_ne!(LogTarget::Stderr, LogTarget::File("/var/log/alerts.jsonl".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LogTarget {
    /// The standard error of the process.
    #[default]
    Stderr,
    /// A file, which the sink appends to and rotates.
    File(PathBuf),
}

/// Options of [`Log`](super::Log).
///
/// ```
/// use sentinel_exporter::sink::{LogConfig, LogTarget};
///
/// let config = LogConfig::default();
/// assert_eq!((config.to, config.max_size, config.keep), (LogTarget::Stderr, 10 << 20, 3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Name of the sink: 1 to 64 of `A-Z a-z 0-9 . _ -`. Default `log`.
    pub name: Option<String>,
    /// Target of the lines. Default `stderr`.
    pub to: LogTarget,
    /// Bytes that a file may have: 64 KiB to 1 TiB. One line may be longer. Default 10 MiB.
    pub max_size: usize,
    /// Old files that are kept, as `alerts.jsonl.1`: 1 to 100. Default 3.
    pub keep: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { name: None, to: LogTarget::default(), max_size: 10 << 20, keep: 3 }
    }
}

impl LogConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{LogConfig, LogTarget};
    /// let here = LogConfig { to: LogTarget::File("alerts.jsonl".into()), ..LogConfig::default() };
    /// assert_eq!(here.validated().unwrap_err().to_string(), "to: \"alerts.jsonl\" is not allowed; allowed: stderr, or an absolute path");
    /// ```
    pub fn validated(self) -> Result<Self, ConfigError> {
        check_name(self.name.as_deref())?;
        if let LogTarget::File(path) = &self.to
            && !path.is_absolute()
        {
            let value = format!("{:?}", path.display().to_string());
            return Err(ConfigError::new("to", value, "stderr, or an absolute path"));
        }
        if !MAX_SIZE.contains(&(self.max_size as u64)) {
            let allowed = format!("{} to {} bytes", MAX_SIZE.start(), MAX_SIZE.end());
            return Err(ConfigError::plain("max_size", self.max_size.to_string(), allowed));
        }
        if !KEEP.contains(&self.keep) {
            return Err(keep_refused(self.keep));
        }
        Ok(self)
    }
}

/// The error of a number of files to keep.
pub(super) fn keep_refused(keep: impl Display) -> ConfigError {
    ConfigError::plain("keep", keep.to_string(), format!("{} to {}", KEEP.start(), KEEP.end()))
}

pub(super) fn check_name(name: Option<&str>) -> Result<(), ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match name {
        Some(name) if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) => {
            // Somebody may have written a URL there, which may be a password.
            let allowed = "1 to 64 of A-Z a-z 0-9 . _ -";
            let may_be_secret = name.len() > 64 || name.contains('/');
            Err(if may_be_secret {
                ConfigError::hidden("name", allowed)
            } else {
                ConfigError::new("name", format!("{name:?}"), allowed)
            })
        }
        _ => Ok(()),
    }
}

pub(super) fn check_file(path: Option<&Path>) -> Result<(), ConfigError> {
    match path {
        Some(path) if !path.is_absolute() => {
            Err(ConfigError::new("ca_file", format!("{:?}", path.display().to_string()), "an absolute path"))
        }
        _ => Ok(()),
    }
}
