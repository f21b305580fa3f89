//! The URL of a check, validated once. Path and query may contain secrets, so no output shows them.

use crate::util::error::ConfigError;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The kind of a probe, given by the scheme of the URL.
///
/// ```
/// use sentinel_core::uptime::{Kind, Target};
/// assert_eq!(Target::new("tcp://db.internal:5432")?.kind(), Kind::Tcp);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// `http://` and `https://`: a request and an answer.
    Http,
    /// `tcp://host:port`: the connection is accepted.
    Tcp,
    /// `tls://host`: the TLS handshake succeeds. Also reads the expiry of the certificate. Port 443 unless given.
    Tls,
}

/// Longest URL, in bytes.
const MAX_URL_BYTES: usize = 2_048;
/// The text that stands for a hidden path and query.
const HIDDEN_PART: &str = "…";
/// The allowed form, for errors.
const ALLOWED_TARGETS: &str =
    "http://, https://, tcp:// or tls://, a host, perhaps a port, without a user, at most 2048 bytes";

/// A URL to probe, of at most 2,048 bytes, without a user and password (use headers) and without a fragment. A host name that is not ASCII
/// must have its `xn--` form.
///
/// ```
/// use sentinel_core::uptime::Target;
///
/// let target = Target::new("https://shop.example:8443/health?key=hunter2")?;
/// assert_eq!((target.host(), target.port(), target.is_encrypted()), ("shop.example", 8443, true));
/// assert_eq!(target.path(), "/health?key=hunter2");
/// assert_eq!(target.to_string(), "https://shop.example:8443/…");
/// assert!(!format!("{target:?}").contains("hunter2"));
/// let error = Target::new("https://me:hunter2@shop.example/").unwrap_err();
/// assert!(!error.to_string().contains("hunter2"));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    kind: Kind,
    encrypted: bool,
    /// In lower case; an IPv6 address without brackets.
    host: String,
    port: u16,
    /// Path with query; empty unless the probe is HTTP.
    path: String,
    /// The port is not the default of the scheme.
    unusual: bool,
}

impl Target {
    /// Parses a URL.
    ///
    /// # Errors
    /// A [`ConfigError`] for the field `target`. The error shows no part of the URL but a known scheme.
    ///
    /// ```
    /// use sentinel_core::uptime::Target;
    ///
    /// assert!(Target::new("https://[::1]:8443/").is_ok());
    /// for wrong in ["", "shop.example", "ftp://shop.example", "https://", "tcp://db", "http://a b/", "http://a:0/", "tcp://db:1/x"] {
    ///     assert_eq!(Target::new(wrong).unwrap_err().field, "target", "{wrong}");
    /// }
    /// ```
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Self::parse(url).ok_or_else(|| {
            let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
            let known = ["http", "https", "tcp", "tls"].contains(&scheme);
            let shown = if known { format!("{scheme}://{HIDDEN_PART}") } else { HIDDEN_PART.into() };
            ConfigError::new("target", shown, ALLOWED_TARGETS)
        })
    }

    fn parse(url: &str) -> Option<Self> {
        if url.len() > MAX_URL_BYTES || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (scheme, rest) = url.split_once("://")?;
        let (kind, encrypted, usual) = match scheme {
            "http" => (Kind::Http, false, Some(80)),
            "https" => (Kind::Http, true, Some(443)),
            "tcp" => (Kind::Tcp, false, None),
            "tls" => (Kind::Tls, true, Some(443)),
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        } else {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if !(1..=253).contains(&host.len()) || !host.bytes().all(name) {
                return None;
            }
            (host, port)
        };
        let given = match port.strip_prefix(':') {
            Some(digits) if (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse::<u16>().ok().filter(|port| *port > 0)?)
            }
            None if port.is_empty() => None,
            Some(_) | None => return None,
        };
        let port = given.or(usual)?;
        let path = match kind {
            Kind::Http if path.contains('#') => return None,
            Kind::Http if path.starts_with('/') => path.into(),
            Kind::Http => format!("/{path}"),
            _ if path.is_empty() || path == "/" => String::new(),
            _ => return None,
        };
        Some(Self { kind, encrypted, host: host.to_ascii_lowercase(), port, path, unusual: Some(port) != usual })
    }

    /// The kind of the probe.
    ///
    /// ```
    /// use sentinel_core::uptime::{Kind, Target};
    /// assert_eq!(Target::new("https://shop.example").unwrap().kind(), Kind::Http);
    /// ```
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the probe uses TLS.
    ///
    /// ```
    /// assert!(!sentinel_core::uptime::Target::new("http://shop.example").unwrap().is_encrypted());
    /// ```
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Host name or address in lower case, an IPv6 address without brackets. The host is neither resolved nor checked against the rules for
    /// allowed addresses.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Target::new("http://[::1]/").unwrap().host(), "::1");
    /// ```
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port: 1 to 65535.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Target::new("http://shop.example").unwrap().port(), 80);
    /// ```
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query for the request; empty unless the probe is HTTP. May contain secrets.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Target::new("http://shop.example?a=1").unwrap().path(), "/?a=1");
    /// ```
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.kind, self.encrypted) {
            (Kind::Http, true) => "https",
            (Kind::Http, false) => "http",
            (Kind::Tcp, _) => "tcp",
            (Kind::Tls, _) => "tls",
        };
        write!(f, "{scheme}://")?;
        if self.host.contains(':') { write!(f, "[{}]", self.host) } else { f.write_str(&self.host) }?;
        if self.unusual {
            write!(f, ":{}", self.port)?;
        }
        match self.path.as_str() {
            "" => Ok(()),
            "/" => f.write_str("/"),
            _ => write!(f, "/{HIDDEN_PART}"),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Hidden(url) = Hidden::deserialize(deserializer)?;
        Self::new(&url)
            .map_err(|error| D::Error::invalid_value(Unexpected::Other(&error.value), &error.allowed.as_str()))
    }
}

/// The value of a header. `Debug` output and errors do not show it, and it cannot be serialised. The exporter's `sink::Secret` holds
/// one, which it can also read from a variable or a file.
///
/// ```
/// use sentinel_core::uptime::Hidden;
///
/// let value: Hidden = serde_json::from_str(r#""Bearer hunter2""#)?;
/// assert_eq!((format!("{value:?}"), value.reveal()), ("Hidden(…)".into(), "Bearer hunter2"));
/// assert!(!serde_json::from_str::<Hidden>("112233").unwrap_err().to_string().contains("112233"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// Wraps a text.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Hidden::new("hunter2").reveal(), "hunter2");
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the request.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Hidden::new("").reveal(), "");
    /// ```
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HiddenVisitor;

        impl Visitor<'_> for HiddenVisitor {
            type Value = Hidden;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Hidden, E> {
                Ok(Hidden(text.into()))
            }

            // The errors of serde would show the value.
            fn visit_bool<E: Error>(self, _: bool) -> Result<Hidden, E> {
                Err(not_text())
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Hidden, E> {
                Err(not_text())
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Hidden, E> {
                Err(not_text())
            }

            fn visit_i128<E: Error>(self, _: i128) -> Result<Hidden, E> {
                Err(not_text())
            }

            fn visit_u128<E: Error>(self, _: u128) -> Result<Hidden, E> {
                Err(not_text())
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Hidden, E> {
                Err(not_text())
            }
        }

        deserializer.deserialize_any(HiddenVisitor)
    }
}

/// The error for a value that is not text, as a token of digits without quotes.
fn not_text<E: Error>() -> E {
    E::invalid_type(Unexpected::Other("a value that is not shown"), &"text")
}
