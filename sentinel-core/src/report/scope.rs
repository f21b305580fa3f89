//! The scope of an answer: the events of this process, or of all processes of the service on this host.

use crate::util::error::ConfigError;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Scope of the events that an answer is about.
///
/// ```
/// use sentinel_core::Scope;
///
/// assert_eq!("host".parse(), Ok(Scope::Host));
/// let error = "planet".parse::<Scope>().unwrap_err();
/// assert_eq!(error.to_string(), "scope: \"planet\" is not allowed; allowed: process, host");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scope {
    /// This process only.
    Process,
    /// All processes of the service on this host.
    Host,
}

impl Scope {
    const ALL: [Self; 2] = [Self::Process, Self::Host];

    /// The name in every language and over HTTP: `process` or `host`.
    ///
    /// ```
    /// assert_eq!(sentinel_core::Scope::Host.name(), "host");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|scope| scope.name() == text)
            .ok_or_else(|| ConfigError::new("scope", format!("{text:?}"), names()))
    }
}
