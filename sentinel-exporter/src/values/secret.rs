//! Secrets: addresses that are passwords, keys, passwords.

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::path::PathBuf;

/// Most bytes of a secret that is read from a file.
const MAX_SECRET_BYTES: u64 = 16 << 10;
/// Text that stands for a secret in errors.
pub(crate) const HIDDEN: &str = "a value that is not shown";

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
pub struct Secret(String);

impl Secret {
    /// Makes a secret of this text.
    ///
    /// ```
    /// use sentinel_exporter::sink::Secret;
    ///
    /// assert!(Secret::new("hunter2") != Secret::new("hunter3"));
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the code that sends it.
    ///
    /// ```
    /// # use sentinel_exporter::sink::Secret;
    /// assert_eq!(Secret::new("hunter2").reveal(), "hunter2");
    /// ```
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecretVisitor;

        impl<'de> Visitor<'de> for SecretVisitor {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, { env = \"NAME\" } or { file = \"/path\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret(text.into()))
            }

            // Not serde's own words about a value: they would show it.
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
                Err(not_text())
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
                Err(not_text())
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
                Err(not_text())
            }

            fn visit_i128<E: de::Error>(self, _: i128) -> Result<Secret, E> {
                Err(not_text())
            }

            fn visit_u128<E: de::Error>(self, _: u128) -> Result<Secret, E> {
                Err(not_text())
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
                Err(not_text())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                let Some((key, place)) = map.next_entry::<String, String>()? else {
                    return Err(de::Error::custom("an empty table, expected env or file"));
                };
                let secret = match key.as_str() {
                    "env" => {
                        std::env::var(&place).map_err(|_| format!("the variable {place}, expected one that is set"))
                    }
                    "file" => {
                        read(&place.clone().into()).map_err(|why| format!("the file {place} ({why}), expected text"))
                    }
                    other => Err(format!("unknown field `{other}`, expected env or file")),
                };
                if map.next_key::<String>()?.is_some() {
                    return Err(de::Error::custom("more than one place, expected env or file"));
                }
                secret.map(Secret).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(SecretVisitor)
    }
}

/// Error of a value that is not text: a password of digits is read as a number.
fn not_text<E: de::Error>() -> E {
    E::custom(format_args!("{HIDDEN}, expected text, {{ env = \"NAME\" }} or {{ file = \"/path\" }}"))
}

/// A file's text without the line break that editors put at its end.
fn read(path: &PathBuf) -> Result<String, &'static str> {
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
            ("3", "expected text, { env"),
            ("[]", "expected text, { env"),
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
