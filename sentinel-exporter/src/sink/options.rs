//! The table of a sink as it is written: every option of every type, none of them in range yet.
//!
//! One struct serves all types, so that the path of a wrong key does not depend on the type that is written beside it.

use super::config::{LogConfig, LogTarget, SinkConfig, SlackConfig, WebhookConfig, keep_refused};
use super::email_config::{EmailConfig, Encryption, PORTS};
use crate::values::{SecretOption, TextOrNumber};
use sentinel_core::{ConfigError, parse_size};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::path::PathBuf;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkOptions {
    r#type: Option<String>,
    name: Option<String>,
    url: Option<SecretOption>,
    secret: Option<SecretOption>,
    host: Option<String>,
    port: Option<i64>,
    encryption: Option<Encryption>,
    username: Option<String>,
    password: Option<SecretOption>,
    from: Option<String>,
    to: Option<Destination>,
    ca_file: Option<PathBuf>,
    max_size: Option<TextOrNumber>,
    keep: Option<i64>,
}

/// The addresses of a mail, or the target of a log.
#[derive(Debug, Clone)]
enum Destination {
    One(String),
    Many(Vec<String>),
}

/// Options of a type besides `type` and `name`.
const OPTIONS: [(&str, &[&str]); 4] = [
    ("slack", &["url", "ca_file"]),
    ("webhook", &["url", "secret", "ca_file"]),
    ("email", &["host", "port", "encryption", "username", "password", "from", "to", "ca_file"]),
    ("log", &["to", "max_size", "keep"]),
];

impl SinkOptions {
    /// The options of the sink's type, in range.
    pub(crate) fn config(self) -> Result<SinkConfig, ConfigError> {
        let Self { r#type: kind, name, url, secret, host, port, encryption, .. } = self;
        let Self { username, password, from, to, ca_file, max_size, keep, .. } = self;
        let kinds = "slack, webhook, email or log";
        let kind = kind.ok_or_else(|| ConfigError::plain("type", "none", kinds))?;
        let Some((kind, options)) = OPTIONS.iter().find(|(name, _)| *name == kind) else {
            return Err(ConfigError::new("type", format!("{kind:?}"), kinds));
        };
        let given = [
            ("url", url.is_some()),
            ("secret", secret.is_some()),
            ("host", host.is_some()),
            ("port", port.is_some()),
            ("encryption", encryption.is_some()),
            ("username", username.is_some()),
            ("password", password.is_some()),
            ("from", from.is_some()),
            ("to", to.is_some()),
            ("ca_file", ca_file.is_some()),
            ("max_size", max_size.is_some()),
            ("keep", keep.is_some()),
        ];
        if let Some((field, _)) = given.iter().find(|(field, given)| *given && !options.contains(field)) {
            let allowed = format!("type, name, {} for {kind}", options.join(", "));
            return Err(ConfigError::plain(field, format!("unknown field `{field}`"), allowed));
        }
        match *kind {
            "slack" => SinkConfig::Slack(SlackConfig { name, url: needed("url", url)?.secret("url")?, ca_file }),
            "webhook" => SinkConfig::Webhook(WebhookConfig {
                name,
                url: needed("url", url)?.secret("url")?,
                secret: secret.map(|secret| secret.secret("secret")).transpose()?,
                ca_file,
            }),
            "email" => SinkConfig::Email(EmailConfig {
                name,
                host: needed("host", host)?,
                port: port.map(port_of).transpose()?,
                encryption: encryption.unwrap_or_default(),
                username,
                password: password.map(|password| password.secret("password")).transpose()?,
                from: needed("from", from)?,
                to: match needed("to", to)? {
                    Destination::One(one) => vec![one],
                    Destination::Many(many) => many,
                },
                ca_file,
            }),
            _ => {
                let default = LogConfig::default();
                let size = |TextOrNumber(text)| parse_size(&text).map_err(|error| error.named("max_size"));
                let files = |keep: i64| usize::try_from(keep).map_err(|_| keep_refused(keep));
                SinkConfig::Log(LogConfig {
                    name,
                    to: match to {
                        None => LogTarget::Stderr,
                        Some(Destination::One(to)) if to == "stderr" => LogTarget::Stderr,
                        Some(Destination::One(path)) => LogTarget::File(path.into()),
                        Some(Destination::Many(_)) => {
                            return Err(ConfigError::plain("to", "a list", "stderr, or an absolute path"));
                        }
                    },
                    max_size: max_size.map_or(Ok(default.max_size), size)?,
                    keep: keep.map_or(Ok(default.keep), files)?,
                })
            }
        }
        .validated()
    }
}

fn needed<T>(field: &str, value: Option<T>) -> Result<T, ConfigError> {
    value.ok_or_else(|| ConfigError::plain(field, "none", "one"))
}

fn port_of(port: i64) -> Result<u16, ConfigError> {
    u16::try_from(port).map_err(|_| ConfigError::plain("port", port.to_string(), PORTS))
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DestinationVisitor;

        impl<'de> Visitor<'de> for DestinationVisitor {
            type Value = Destination;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or a list of text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Destination, E> {
                Ok(Destination::One(text.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Destination, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(Destination::Many(all))
            }
        }

        deserializer.deserialize_any(DestinationVisitor)
    }
}
