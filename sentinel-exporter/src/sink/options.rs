//! The table of a sink as it is written: every option of every type, none of them checked.
//!
//! One struct, not one a type: serde keeps what it reads of an enum in a buffer, and forgets which key was wrong.

use super::config::{LogConfig, LogTarget, SinkConfig, SlackConfig, WebhookConfig};
use super::email_config::{EmailConfig, Encryption};
use crate::values::{Given, HIDDEN, Secret};
use sentinel_core::{ConfigError, parse_size};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::path::PathBuf;

/// A sink's table, for whoever reads it as part of a larger one: the path of a wrong key is then that of the whole.
#[derive(Debug, Clone)]
pub(crate) struct SinkOptions(Table);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    r#type: Option<String>,
    name: Option<String>,
    url: Option<Secret>,
    secret: Option<Secret>,
    host: Option<String>,
    port: Option<u16>,
    encryption: Option<Encryption>,
    username: Option<String>,
    password: Option<Secret>,
    from: Option<String>,
    to: Option<To>,
    ca_file: Option<PathBuf>,
    max_size: Option<Given>,
    keep: Option<usize>,
}

/// Addresses of a mail, or where a log goes.
#[derive(Debug, Clone)]
enum To {
    One(String),
    Many(Vec<String>),
}

/// Options that a type has besides `type` and `name`.
const OPTIONS: [(&str, &[&str]); 4] = [
    ("slack", &["url", "ca_file"]),
    ("webhook", &["url", "secret", "ca_file"]),
    ("email", &["host", "port", "encryption", "username", "password", "from", "to", "ca_file"]),
    ("log", &["to", "max_size", "keep"]),
];

impl SinkOptions {
    /// The configuration, checked.
    pub(crate) fn config(self) -> Result<SinkConfig, ConfigError> {
        let Table { r#type: kind, name, url, secret, host, port, encryption, .. } = self.0;
        let Table { username, password, from, to, ca_file, max_size, keep, .. } = self.0;
        let kinds = "slack, webhook, email or log";
        let kind = kind.ok_or_else(|| ConfigError::new("type", "none", kinds))?;
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
            return Err(ConfigError::new(field, format!("unknown field `{field}`"), allowed));
        }
        match *kind {
            "slack" => SinkConfig::Slack(SlackConfig { name, url: needed("url", url)?, ca_file }),
            "webhook" => SinkConfig::Webhook(WebhookConfig { name, url: needed("url", url)?, secret, ca_file }),
            "email" => SinkConfig::Email(EmailConfig {
                name,
                host: needed("host", host)?,
                port,
                encryption: encryption.unwrap_or_default(),
                username,
                password,
                from: needed("from", from)?,
                to: match needed("to", to)? {
                    To::One(one) => vec![one],
                    To::Many(many) => many,
                },
                ca_file,
            }),
            _ => {
                let default = LogConfig::default();
                let size = |Given(text): Given| {
                    parse_size(&text).map_err(|error| ConfigError::new("max_size", error.value, error.allowed))
                };
                SinkConfig::Log(LogConfig {
                    name,
                    to: match to {
                        None => LogTarget::Stderr,
                        Some(To::One(to)) if to == "stderr" => LogTarget::Stderr,
                        Some(To::One(path)) => LogTarget::File(path.into()),
                        Some(To::Many(_)) => {
                            return Err(ConfigError::new("to", "a list", "stderr, or an absolute path"));
                        }
                    },
                    max_size: max_size.map_or(Ok(default.max_size), size)?,
                    keep: keep.unwrap_or(default.keep),
                })
            }
        }
        .validated()
    }
}

fn needed<T>(field: &str, value: Option<T>) -> Result<T, ConfigError> {
    value.ok_or_else(|| ConfigError::new(field, "none", "one"))
}

impl<'de> Deserialize<'de> for SinkOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = SinkOptions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table with a type")
            }

            // Somebody may write an address where its table belongs, and serde would show it.
            fn visit_str<E: de::Error>(self, _: &str) -> Result<SinkOptions, E> {
                Err(E::custom(format_args!("{HIDDEN}, expected a table with a type")))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SinkOptions, A::Error> {
                Table::deserialize(MapAccessDeserializer::new(map)).map(SinkOptions)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

impl<'de> Deserialize<'de> for To {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = To;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or a list of text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<To, E> {
                Ok(To::One(text.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<To, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(To::Many(all))
            }
        }

        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        #[serde(rename = "sinks")]
        _sinks: Vec<SinkOptions>,
    }

    /// The key that is wrong, in a longer text.
    fn wrong(toml: &str) -> (String, String) {
        let text = format!("[[sinks]]\ntype = 'log'\n[[sinks]]\n{toml}");
        let error =
            serde_path_to_error::deserialize::<_, Document>(toml::Deserializer::parse(&text).unwrap()).unwrap_err();
        (error.path().to_string(), error.inner().message().into())
    }

    #[test]
    fn a_key_that_is_wrong_is_named_by_its_path() {
        for (toml, path, message) in [
            ("urll = 'canary'", "sinks[1].urll", "unknown field `urll`, expected one of `type`, `name`"),
            ("url = 112233", "sinks[1].url", "a value that is not shown, expected text"),
            ("url = { envy = 'X' }", "sinks[1].url", "unknown field `envy`, expected env or file"),
            ("to = ['ops@shop.example', 3]", "sinks[1].to[1]", "invalid type: integer `3`, expected a string"),
            ("to = 3", "sinks[1].to", "invalid type: integer `3`, expected text, or a list of text"),
            ("port = 65536", "sinks[1].port", "invalid value: integer `65536`, expected u16"),
            (
                "encryption = 'ssl'",
                "sinks[1].encryption",
                "unknown variant `ssl`, expected one of `starttls`, `tls`, `none`",
            ),
        ] {
            let found = wrong(toml);
            assert_eq!(found.0, path);
            assert!(found.1.starts_with(message), "{}", found.1);
        }
    }
}
