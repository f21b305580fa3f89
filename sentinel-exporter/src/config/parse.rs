//! From a file's text, or a program's JSON, to options: an error names the line, or the path of the key.

use super::alert_options::{AlertOptions, AlertTable};
use super::options::Options;
use super::uptime_options::{UptimeOptions, UptimeTable};
use crate::values::{Raw, or_named, read};
use sentinel_core::ConfigError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Bytes of a configuration.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Reason why a configuration cannot be used.
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
        /// The system's error.
        kind: io::ErrorKind,
    },
    /// The text is not TOML.
    #[error("line {line}: {message}")]
    Text {
        /// Number of the line, from 1.
        line: usize,
        /// The mistake on that line.
        message: String,
    },
    /// A key is unknown, or its value is not allowed. The field is the path of the key, as `exporter.every`.
    #[error(transparent)]
    Value(#[from] ConfigError),
}

/// The whole file, as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) exporter: Options,
    pub(crate) alerts: Option<AlertTable>,
    pub(crate) uptime: Option<UptimeTable>,
}

/// Reads a text. Each value has the type of its option; none is in range yet.
pub(crate) fn document(text: &str) -> Result<Document, ReadError> {
    let raw = toml::Deserializer::parse(text).and_then(Raw::deserialize).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        ReadError::Text { line, message: error.message().into() }
    })?;
    Ok(read(raw).map_err(|error| or_named(error, "file"))?)
}

/// Reads `[alerts]` from JSON, and checks every value.
pub(crate) fn alerts(json: &str) -> Result<AlertOptions, ConfigError> {
    let options = from_json(json).and_then(AlertTable::options).and_then(AlertOptions::validated);
    options.map_err(|error| error.within("alerts"))
}

/// Reads `[uptime]` from JSON, and checks every value.
pub(crate) fn uptime(json: &str) -> Result<UptimeOptions, ConfigError> {
    let options = from_json(json).and_then(UptimeTable::options).and_then(UptimeOptions::validated);
    options.map_err(|error| error.within("uptime"))
}

fn from_json<T: DeserializeOwned>(json: &str) -> Result<T, ConfigError> {
    read(serde_json::from_str(json).map_err(|_| ConfigError::hidden("", "JSON"))?)
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> Result<String, ReadError> {
    let failed = |kind| ReadError::File { path: path.into(), kind };
    let read = || {
        // Reading a pipe would wait for its writer.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut text = String::new();
        let length = File::open(path)?.take(MAX_CONFIG_BYTES + 1).read_to_string(&mut text)?;
        if length as u64 > MAX_CONFIG_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
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
