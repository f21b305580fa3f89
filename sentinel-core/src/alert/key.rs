//! What an alert is about, and what it is known by.

use super::rule::Rule;
use crate::event::tenant::{escaped, shown};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;

/// Whom an alert is about.
///
/// ```
/// use sentinel_core::alert::Subject;
///
/// let tenant = Subject::Tenant(b"ac\nme".to_vec());
/// assert_eq!(tenant.shown(), r"ac\u{a}me"); // what people see leads back to the id
/// assert_eq!(serde_json::to_string(&tenant).unwrap(), r#"{"tenant_id":"ac\\u{a}me"}"#);
/// assert_eq!(Subject::Everyone.shown(), "everyone");
/// assert_eq!(serde_json::to_string(&Subject::Target("shop".into())).unwrap(), r#"{"target":"shop"}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// The service.
    Everyone,
    /// A route template, as reports show it.
    Endpoint(String),
    /// A tenant, by the id that it has: any bytes.
    Tenant(Vec<u8>),
    /// An uptime check, by its name.
    Target(String),
    /// This side's own network, where most targets fail at once.
    OwnNetwork,
}

impl Subject {
    /// As people see it: in one line, without characters that deceive, and reversible.
    ///
    /// ```
    /// # use sentinel_core::alert::Subject;
    /// assert_eq!(Subject::Tenant(b"acme".to_vec()).shown(), "acme");
    /// ```
    pub fn shown(&self) -> String {
        match self {
            Self::Everyone => "everyone".into(),
            Self::Endpoint(endpoint) => endpoint.clone(),
            Self::Tenant(id) => shown(id),
            Self::Target(name) => escaped(name.as_bytes()),
            Self::OwnNetwork => "own_network".into(),
        }
    }

    pub(super) fn into_tenant(self) -> Option<Vec<u8>> {
        if let Self::Tenant(id) = self { Some(id) } else { None }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = match self {
            Self::Everyone | Self::OwnNetwork => return serializer.serialize_str(&self.shown()),
            Self::Endpoint(_) => "endpoint",
            Self::Tenant(_) => "tenant_id",
            Self::Target(_) => "target",
        };
        serializer.collect_map([(name, self.shown())])
    }
}

/// What makes two alerts the same one.
///
/// ```
/// use sentinel_core::alert::{Key, Rule, Subject};
///
/// let key = Key { rule: Rule::TenantErrors, subject: Subject::Tenant(b"acme".to_vec()) };
/// assert_eq!(serde_json::to_string(&key).unwrap(), r#"{"rule":"tenant_errors","subject":{"tenant_id":"acme"}}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Key {
    /// The rule.
    pub rule: Rule,
    /// Whom it is about.
    pub subject: Subject,
}

/// What an alert is known by everywhere: 32 hex digits, the same in every process that resumes the state.
///
/// ```
/// # use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State};
/// # use sentinel_core::Kind;
/// let accused = Accused { kind: Kind::Everyone, ..Accused::default() };
/// let facts = Facts::new(7, 600_000).with_verdict(accused);
/// let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
/// let id = outcome.transitions[0].alert.as_ref().unwrap().id;
/// assert_eq!(id.to_string().len(), 32);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub(super) [u8; 16]);

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for AlertId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// SHA-256 of length-prefixed parts, its first 16 bytes.
pub(super) fn id_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> AlertId {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    AlertId(id)
}
