//! Who answers for more than this process.
//!
//! The core knows its own. Who shares with others (the exporter) hands in a sentinel that holds the merged view; questions go
//! there by default, and back here when it cannot answer.

use super::Sentinel;
use crate::alert::AlertsReport;
use crate::report::scope::Scope;
use crate::uptime::UptimeReport;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Who answers for a wider scope.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whose events it holds.
    pub scope: Scope,
    /// It holds them; none of its own.
    pub sentinel: Sentinel,
    /// What is not in it and why, for people; `None` when it is whole.
    pub note: Option<String>,
}

/// How sharing with other processes goes: what [`Sentinel::sharing`] says, and `/stats`.
///
/// ```
/// // Nothing is shared unless an exporter is configured.
/// assert_eq!(sentinel_core::Sentinel::builder().build()?.sharing(), None);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sharing {
    /// With whom.
    pub scope: Scope,
    /// The thread that shares runs in this process.
    pub running: bool,
    /// This process acts for all of them.
    pub leader: bool,
    /// Processes that live, this one included.
    pub sources: usize,
    /// When this process last published what it counted, Unix ms.
    pub published_ms: Option<i64>,
    /// When it last read what the others did, Unix ms.
    pub collected_ms: Option<i64>,
    /// What was not done, or not believed, by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// What went wrong last, for people.
    pub last_error: Option<String>,
}

/// Why a wider scope cannot answer, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Shares a sentinel's events with other processes; see [`Sentinel::widen`].
///
/// ```
/// use sentinel_core::{Answer, Event, Scope, Sentinel, Sharing, Unavailable, Wider};
/// use std::sync::{Arc, Weak};
///
/// #[derive(Debug)]
/// struct Shared(Sentinel);
///
/// impl Wider for Shared {
///     fn begin(&self) {}
///     fn answer(&self) -> Result<Option<Answer>, Unavailable> {
///         Ok(Some(Answer { scope: Scope::Host, sentinel: self.0.clone(), note: None }))
///     }
///     fn sharing(&self) -> Option<Sharing> {
///         None // nothing to tell
///     }
/// }
///
/// let (here, there) = (Sentinel::builder().build()?, Sentinel::builder().build()?);
/// there.record(Event { tenant: b"acme", ..Event::default() });
/// let host = here.aggregator(16 << 20)?;
/// there.blocks().into_iter().for_each(|block| host.merge(block).unwrap());
/// let shared = Arc::new(Shared(host));
/// here.widen(Arc::downgrade(&shared) as Weak<dyn Wider>);
/// let report = here.report(Default::default());
/// assert_eq!((report.scope, report.totals.requests), (Scope::Host, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Wider: fmt::Debug + Send + Sync {
    /// The first record in this process (a forked child is another one). Called on the thread that records: it must not wait.
    fn begin(&self);

    /// Who answers now, as fresh as can be had in a bounded time; `None` where nothing is shared.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason: then the process answers for itself.
    fn answer(&self) -> Result<Option<Answer>, Unavailable>;

    /// How it goes.
    fn sharing(&self) -> Option<Sharing>;

    /// What there is to know about alerts; `None` where none are configured, as by default.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason.
    fn alerts(&self) -> Result<Option<AlertsReport>, Unavailable> {
        Ok(None)
    }

    /// Where uptime checks stand; `None` where none are configured, as by default.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason.
    fn uptime(&self) -> Result<Option<UptimeReport>, Unavailable> {
        Ok(None)
    }
}
