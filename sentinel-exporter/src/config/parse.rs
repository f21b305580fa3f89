//! From a file's text to options: what is wrong is named by its line, or by the path of its key.

use super::alert_options::AlertOptions;
use super::options::Options;
use super::uptime_options::UptimeOptions;
use crate::values::HIDDEN;
use sentinel_core::ConfigError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Bytes of a configuration.
const MOST: u64 = 1 << 20;

/// Why a configuration cannot be used.
///
/// ```
/// use sentinel_exporter::{Config, ReadError};
///
/// let error = Config::from_toml("[exporter]\nservice = ").unwrap_err();
/// assert!(matches!(error, ReadError::Text { line: 2, .. }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {kind}; allowed: a file of at most 1 MiB that this user may read")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// The text is not TOML.
    #[error("line {line}: {message}")]
    Text {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A key is unknown, or its value is not allowed. The field is the path of the key, as `exporter.every`.
    #[error(transparent)]
    Value(#[from] ConfigError),
}

/// The whole file. Other tables come with what they configure; until then they are mistakes.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) exporter: Options,
    pub(crate) alerts: Option<AlertOptions>,
    pub(crate) uptime: Option<UptimeOptions>,
}

/// What a text says, not checked yet.
pub(crate) fn document(text: &str) -> Result<Document, ReadError> {
    let wrong = |error: &toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        ReadError::Text { line, message: error.message().into() }
    };
    let document = toml::Deserializer::parse(text).map_err(|error| wrong(&error))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        of_path(&error.path().to_string(), error.inner().message()).map_or_else(|| wrong(error.inner()), Into::into)
    })
}

/// The options of a table from JSON, not checked yet: what it is in a file.
pub(crate) fn table<T: DeserializeOwned>(table: &str, json: &str) -> Result<T, ConfigError> {
    let mut json = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => table.to_string(),
            path => format!("{table}.{path}"),
        };
        // Without where in the text: that is nothing that somebody has written.
        let message = error.inner().to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        of_path(&path, message).unwrap_or_else(|| ConfigError::new(&path, message, "what the documentation gives"))
    })
}

/// An error of serde's at the path of a key.
fn of_path(path: &str, message: &str) -> Option<ConfigError> {
    if let Some(error) = typed(path, message) {
        return Some(error);
    }
    // serde says "unknown field `x`, expected one of …" and "invalid type: …, expected …".
    let (value, allowed) = message.split_once(", expected ")?;
    // A secret that stands in the wrong place is one all the same.
    let hides = ["alerts", "uptime"].iter().any(|table| path.starts_with(table)) && value.contains('"');
    Some(ConfigError::new(path, if hides { HIDDEN } else { value }, allowed))
}

/// The text of an error in a table that was read by itself, so that it is told by whoever reads what is around it.
pub(crate) fn below(path: &str, message: &str) -> String {
    let path = if path == "." { ITSELF } else { path };
    let error = match message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
        Some((field, _)) => ConfigError::new(field, "none", "a value"),
        None => typed(path, message).unwrap_or_else(|| {
            let (value, allowed) =
                message.split_once(", expected ").unwrap_or((message, "what the documentation gives"));
            ConfigError::new(path, if value.contains('"') { HIDDEN } else { value }, allowed)
        }),
    };
    error.to_string()
}

/// What a table that is read by itself is called in its errors.
const ITSELF: &str = "check";

/// An error of ours that serde has carried as text, with the path to it.
fn typed(path: &str, message: &str) -> Option<ConfigError> {
    let (field, rest) = message.split_once(": ")?;
    let (value, allowed) = rest.split_once(" is not allowed; allowed: ")?;
    // A value that does not know what it is called.
    let field = if [ITSELF, "duration"].contains(&field) { path.into() } else { format!("{path}.{field}") };
    Some(ConfigError::new(&field, value, allowed))
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> Result<String, ReadError> {
    let failed = |kind| ReadError::File { path: path.into(), kind };
    let read = || {
        // Not to wait for a pipe's writer.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut text = String::new();
        let length = File::open(path)?.take(MOST + 1).read_to_string(&mut text)?;
        if length as u64 > MOST { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
    };
    read().map_err(|error: io::Error| failed(error.kind()))
}

#[cfg(test)]
mod tests {
    use crate::{Config, ReadError};

    fn error(text: &str) -> String {
        Config::from_toml(text).unwrap_err().to_string()
    }

    #[test]
    fn every_error_names_its_path() {
        for (text, begins) in [
            ("[exporter]\nevery = 90", "exporter.every: 90 s is not allowed; allowed: 0.5 s to 60 s"),
            ("[exporter]\nevery = 'soon'", "exporter.every: \"soon\" is not allowed; allowed: seconds, or"),
            ("[exporter]\nevery = -1", "exporter.every: \"-1\" is not allowed"),
            (
                "[exporter]\nevery = true",
                "exporter.every: invalid type: boolean `true` is not allowed; allowed: text or",
            ),
            ("[exporter]\nevery = [1]", "exporter.every: invalid type: sequence is not allowed"),
            ("[exporter]\nevery = 1979-05-27", "exporter.every: "),
            ("[exporter]\ntenants = 15", "exporter.tenants: 15 is not allowed; allowed: 16 to 4096"),
            ("[exporter]\ntenants = 16.5", "exporter.tenants: \"16.5\" is not allowed; allowed: a whole number"),
            (
                "[exporter]\nbudget = '1MiB'",
                "exporter.budget: 1048576 is not allowed; allowed: 4194304 to 68719476736 bytes",
            ),
            ("[exporter]\nbudget = 'much'", "exporter.budget: \"much\" is not allowed"),
            ("[exporter]\nservice = '.x'", "exporter.service: \".x\" is not allowed; allowed: 1 to 64 of"),
            ("[exporter]\ndir = 'here'", "exporter.dir: \"here\" is not allowed; allowed: an absolute path"),
            ("[exporter]\nflush = ''", "exporter.flush: \"\" is not allowed; allowed: stdout, or a path"),
            ("[exporter]\nevry = 2", "exporter.evry: unknown field `evry` is not allowed; allowed: one of `service`"),
            ("exporter = 2", "exporter: invalid type: integer `2` is not allowed"),
            ("[alerts]\nx = 1", "alerts.x: unknown field `x` is not allowed; allowed: one of `verdict`"),
            ("[alerts]\ntenant_errors = { at_least = 0 }", "alerts.tenant_errors.at_least: 0 is not allowed"),
            ("[alerts]\ngrouping = { first = 'soon' }", "alerts.grouping.first: "),
            ("[[alerts.sinks]]\ntype = 'pager'", "alerts.sinks[0].type: \"pager\" is not allowed; allowed: slack, "),
            ("[[alerts.sinks]]\ntype = 'slack'\nurl = 3", "alerts.sinks[0].url: "),
            ("[[targets]]\nurl = ''", "targets: unknown field `targets` is not allowed"),
            ("\n[exporter]\nevery = ", "line 3: "),
            ("\n[exporter]\nevery = 1\nevery = 2", "line 4: duplicate key"),
            ("[exporter]\r\n\u{0}", "line 2: "),
        ] {
            let error = error(text);
            assert!(error.starts_with(begins), "{text:?}: {error}");
        }
    }

    #[test]
    fn numbers_and_text_are_one() {
        for text in ["every = 1", "every = 1.0", "every = '1'", "every = '1s'", "every = '1000ms'"] {
            let config = Config::from_toml(&format!("[exporter]\n{text}")).unwrap();
            assert_eq!(config.every.as_millis(), 1_000, "{text}");
        }
        assert_eq!(Config::from_toml("[exporter]").unwrap(), Config::default());
    }

    #[test]
    fn a_file_is_a_small_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sentinel.toml");
        std::fs::write(&path, "[exporter]\ntenants = 64").unwrap();
        assert_eq!(Config::from_file(&path).unwrap().tenants, 64);
        std::fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
        let kind = |path: &std::path::Path| match Config::from_file(path).unwrap_err() {
            ReadError::File { kind, .. } => kind,
            other => panic!("{other}"),
        };
        assert_eq!(kind(&path), std::io::ErrorKind::FileTooLarge);
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(kind(&path), std::io::ErrorKind::InvalidData);
        assert_eq!(kind(dir.path()), std::io::ErrorKind::InvalidInput);
        assert_eq!(kind("/dev/null".as_ref()), std::io::ErrorKind::InvalidInput);
    }
}
