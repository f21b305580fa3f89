//! Options of the mail sink.

use super::address;
use super::config::{check_file, check_name};
use super::email::mailbox;
use crate::values::Secret;
use sentinel_core::ConfigError;
use serde::Deserialize;
use std::path::PathBuf;

/// Recipients of a mail.
const MAX_RECIPIENTS: usize = 50;
/// Ports that a server may listen at.
pub(super) const PORTS: &str = "1 to 65535";

/// Encryption of the connection to a mail server.
///
/// ```
/// assert_eq!(sentinel_exporter::sink::Encryption::default().port(), 587);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// The connection begins in the clear and is encrypted before any mail or password is sent; a server without STARTTLS is
    /// not used. Port 587.
    #[default]
    Starttls,
    /// Encrypted from the first byte. Port 465.
    Tls,
    /// Not encrypted. Port 25. A password goes unencrypted to this host alone.
    None,
}

impl Encryption {
    /// The usual port.
    ///
    /// ```
    /// assert_eq!(sentinel_exporter::sink::Encryption::Tls.port(), 465);
    /// ```
    pub fn port(self) -> u16 {
        match self {
            Self::Starttls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// Options of [`Email`](super::Email).
///
/// ```
/// use sentinel_exporter::sink::{EmailConfig, Secret};
///
/// let config = EmailConfig::new("mail.example", "Sentinel <sentinel@shop.example>", ["ops@shop.example"]);
/// let config = EmailConfig { username: Some("sentinel".into()), password: Some(Secret::new("hunter2")), ..config };
/// assert!(!format!("{:?}", config.validated()?).contains("hunter2"));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailConfig {
    /// Name of the sink: 1 to 64 of `A-Z a-z 0-9 . _ -`. Default `email`.
    pub name: Option<String>,
    /// The mail server: a host name or an IP address.
    pub host: String,
    /// Port of the server: 1 to 65535. Default the usual port of the encryption.
    pub port: Option<u16>,
    /// Encryption of the connection. Default `starttls`.
    pub encryption: Encryption,
    /// User to sign in as. Default none.
    pub username: Option<String>,
    /// Password of the user; needed if there is a user.
    pub password: Option<Secret>,
    /// Sender: an address, with a name or without.
    pub from: String,
    /// Recipients: 1 to 50 addresses.
    pub to: Vec<String>,
    /// PEM file with issuers of certificates to believe besides the public ones: an absolute path, at most 1 MiB.
    pub ca_file: Option<PathBuf>,
}

impl EmailConfig {
    /// Mail through this server, without signing in.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{EmailConfig, Encryption};
    /// let config = EmailConfig::new("mail.example", "sentinel@shop.example", ["ops@shop.example"]);
    /// assert_eq!(config.encryption, Encryption::Starttls);
    /// ```
    pub fn new<T: Into<String>>(host: &str, from: &str, to: impl IntoIterator<Item = T>) -> Self {
        Self {
            name: None,
            host: host.into(),
            port: None,
            encryption: Encryption::default(),
            username: None,
            password: None,
            from: from.into(),
            to: to.into_iter().map(Into::into).collect(),
            ca_file: None,
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{EmailConfig, Encryption, Secret};
    /// let config = EmailConfig::new("mail.example", "sentinel@shop.example", ["ops@shop.example"]);
    /// let clear = EmailConfig { encryption: Encryption::None, ..config };
    /// assert!(clear.clone().validated().is_ok());
    /// let error = EmailConfig { username: Some("sentinel".into()), password: Some(Secret::new("x")), ..clear }.validated().unwrap_err();
    /// assert_eq!(error.field, "encryption");
    /// ```
    pub fn validated(self) -> Result<Self, ConfigError> {
        check_name(self.name.as_deref())?;
        check_file(self.ca_file.as_deref())?;
        let host = &self.host;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
        if host.is_empty() || host.len() > 253 || !host.bytes().all(plain) {
            // Somebody may have written a URL there, with a password in it.
            let allowed = "a host name, or an IP address";
            let may_be_secret = host.contains(['@', '/']);
            return Err(if may_be_secret {
                ConfigError::hidden("host", allowed)
            } else {
                ConfigError::new("host", format!("{host:?}"), allowed)
            });
        }
        if self.port == Some(0) {
            return Err(ConfigError::plain("port", "0", PORTS));
        }
        mailbox("from", &self.from)?;
        if !(1..=MAX_RECIPIENTS).contains(&self.to.len()) {
            return Err(ConfigError::plain(
                "to",
                format!("{} addresses", self.to.len()),
                format!("1 to {MAX_RECIPIENTS}"),
            ));
        }
        for (index, to) in self.to.iter().enumerate() {
            mailbox(&format!("to[{index}]"), to)?;
        }
        match (&self.username, &self.password) {
            (Some(_), None) => return Err(ConfigError::plain("password", "none", "one, since there is a username")),
            (None, Some(_)) => return Err(ConfigError::plain("username", "none", "one, since there is a password")),
            (Some(_), Some(_)) if self.encryption == Encryption::None && !address::is_loopback(host) => {
                let allowed = "starttls or tls, since there is a password and another host";
                return Err(ConfigError::plain("encryption", "\"none\"", allowed));
            }
            _ => {}
        }
        Ok(self)
    }
}
