//! The target of closed slots: the standard output, or a file.

use sentinel_core::ConfigError;
use std::fmt;
use std::path::PathBuf;

/// Target of closed slots as JSON lines, for other systems: `stdout`, or an absolute or relative path.
///
/// ```
/// use sentinel_exporter::Flush;
///
/// assert_eq!("stdout".parse(), Ok(Flush::Stdout));
/// assert_eq!("/var/log/slots.jsonl".parse(), Ok(Flush::File("/var/log/slots.jsonl".into())));
/// assert!("".parse::<Flush>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flush {
    /// The standard output of the process. Workers that share one pipe mix their lines there: give them a file.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

impl std::str::FromStr for Flush {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "" => Err(ConfigError::plain("flush", "\"\"", "stdout, or a path")),
            "stdout" => Ok(Self::Stdout),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl fmt::Display for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
