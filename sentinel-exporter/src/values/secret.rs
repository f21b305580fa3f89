//! Text that is needed to send something and is shown to nobody: addresses that are passwords, keys, passwords.

use super::raw::Raw;
use super::read::is_name;
use sentinel_core::ConfigError;
use sentinel_core::uptime::Hidden;
use serde::de::{self, Unexpected};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::path::{Path, PathBuf};

/// Bytes of a secret that is read from a file.
const MAX_SECRET_BYTES: u64 = 16 << 10;
/// Bytes of a variable's name that an error shows.
const MAX_VARIABLE_BYTES: usize = 64;
/// A secret as a configuration has it.
const FORMS: &str = "text, { env = \"NAME\" } or { file = \"/path\" }";

/// Text that is in no log, no error and no `Debug` output. A configuration has the text itself, or its place: `{ env = "SLACK_URL"
/// }`, `{ file = "/run/secrets/slack" }`.
///
/// ```
/// use sentinel_exporter::sink::Secret;
///
/// let secret: Secret = serde_json::from_str(r#""hunter2""#)?;
/// assert_eq!(format!("{secret:?}"), "Secret(…)");
/// assert_eq!(secret.reveal(), "hunter2");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Hidden);

impl Secret {
    /// A secret that is this text.
    ///
    /// ```
    /// use sentinel_exporter::sink::Secret;
    ///
    /// assert!(Secret::new("hunter2") != Secret::new("hunter3"));
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        Self(Hidden::new(text))
    }

    /// The text, to send it.
    ///
    /// ```
    /// # use sentinel_exporter::sink::Secret;
    /// assert_eq!(Secret::new("hunter2").reveal(), "hunter2");
    /// ```
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// The secret as the value of a header.
    pub(crate) fn into_header(self) -> Hidden {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A secret as it is written: the text, or where the text stands. Reading one fails for no value; [`secret`](Self::secret)
/// says what is wrong, without the value.
#[derive(Debug, Clone)]
pub(crate) enum SecretOption {
    Text(Secret),
    /// A table of this many entries.
    Places(usize),
    /// The name of a variable of the environment.
    Variable(String),
    File(PathBuf),
    /// A table whose only key means nothing.
    UnknownPlace(String),
    /// A password of digits, for example, is a number to who reads it.
    NotText,
}

impl SecretOption {
    /// The secret, read from where it stands.
    ///
    /// # Errors
    /// A [`ConfigError`] of `field`: a variable that is not set, a file that is none, or a value that is no text.
    pub(crate) fn secret(self, field: &str) -> Result<Secret, ConfigError> {
        let wrong = |value: &str, allowed: &str| Err(ConfigError::plain(field, value, allowed));
        match self {
            Self::Text(secret) => Ok(secret),
            Self::Variable(name) => match std::env::var(&name) {
                Ok(text) => Ok(Secret::new(text)),
                Err(_) => Err(not_set(field, &name)),
            },
            Self::File(path) => match read(&path) {
                Ok(text) => Ok(Secret::new(text)),
                Err(why) => {
                    let value = format!("the file {} ({why})", path.display());
                    Err(ConfigError::new(field, value, "a file of at most 16 KiB of text that this user may read"))
                }
            },
            Self::Places(0) => wrong("an empty table", "env or file"),
            Self::Places(_) => wrong("more than one place", "env or file"),
            Self::UnknownPlace(key) => Err(ConfigError::new(field, format!("unknown field `{key}`"), "env or file")),
            Self::NotText => Err(ConfigError::hidden(field, FORMS)),
        }
    }
}

/// The error names a variable as far as its name is one: somebody may have written the secret itself there.
fn not_set(field: &str, name: &str) -> ConfigError {
    let usual = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let (value, allowed) = (format!("the variable {name}"), "one that is set");
    if name.len() > MAX_VARIABLE_BYTES || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        ConfigError::hidden(field, "the name of a variable that is set")
    } else if name.bytes().all(usual) {
        ConfigError::plain(field, value, allowed)
    } else {
        ConfigError::new(field, value, allowed)
    }
}

impl From<Raw> for SecretOption {
    fn from(raw: Raw) -> Self {
        match raw {
            Raw::Text(text) => Self::Text(Secret::new(text)),
            Raw::Table(mut places) if places.len() == 1 => match places.remove(0) {
                (key, Raw::Text(name)) if key == "env" => Self::Variable(name),
                (key, Raw::Text(path)) if key == "file" => Self::File(path.into()),
                (key, _) if key == "env" || key == "file" || !is_name(&key) => Self::NotText,
                (key, _) => Self::UnknownPlace(key),
            },
            Raw::Table(places) => Self::Places(places.len()),
            _ => Self::NotText,
        }
    }
}

impl<'de> Deserialize<'de> for SecretOption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer).map(Into::into)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SecretOption::deserialize(deserializer)?
            .secret("")
            .map_err(|error| de::Error::invalid_value(Unexpected::Other(&error.value), &error.allowed.as_str()))
    }
}

/// A file's text without the line break that editors put at its end.
fn read(path: &Path) -> Result<String, &'static str> {
    use std::io::Read;
    // Not to wait for a pipe's writer.
    if !std::fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return Err("is not a file that can be read");
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|_| "cannot be read")?;
    let length = file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text).map_err(|_| "is not text")?;
    if length as u64 > MAX_SECRET_BYTES {
        Err("is longer than 16 KiB")
    } else {
        Ok(text.trim_end_matches(['\n', '\r']).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<Secret, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn it_is_the_text_or_where_the_text_stands() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "canary\n").unwrap();
        let json = serde_json::json!({ "file": path }).to_string();
        assert_eq!(of(&json), Ok(Secret::new("canary")));
        // Set by cargo.
        assert_eq!(of(r#"{"env":"CARGO_PKG_NAME"}"#), Ok(Secret::new(env!("CARGO_PKG_NAME"))));
        std::fs::write(&path, "x".repeat(16_385)).unwrap();
        for (json, why) in [
            (json.as_str(), "longer than 16 KiB"),
            (r#"{"file":"/dev/zero"}"#, "not a file"),
            (r#"{"file":"/nowhere"}"#, "not a file"),
            (r#"{"env":"NOT_SET_AT_ALL"}"#, "the variable NOT_SET_AT_ALL"),
            (r#"{"envy":"X"}"#, "unknown field `envy`"),
            (r#"{"env":"CARGO_PKG_NAME","file":"/x"}"#, "more than one place"),
            ("{}", "an empty table"),
            (r#"{"env":7}"#, "expected text, { env"),
            ("3", "expected text, { env"),
            ("[]", "expected text, { env"),
            ("null", "expected text, { env"),
        ] {
            let error = of(json).unwrap_err();
            assert!(error.contains(why), "{json}: {error}");
        }
    }

    #[test]
    fn nothing_shows_it() {
        assert!(!format!("{:?}", Some(Secret::new("canary"))).contains("canary"));
        for number in ["112233", "-112233", "112233.5", "11223344556677889900112233", "[112233]"] {
            assert!(!of(number).unwrap_err().contains("112233"), "{number}");
        }
    }
}
