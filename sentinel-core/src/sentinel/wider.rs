//! Answers for more than this process.
//!
//! The core knows the events of its own process. A [`Wider`], which the exporter implements, hands in a sentinel with the merged view
//! of all processes. Questions go there by default, and to the own sentinel when the wider scope cannot answer.

use super::Sentinel;
use crate::alert::AlertsReport;
use crate::report::scope::Scope;
use crate::uptime::UptimeReport;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A sentinel that answers for a wider scope.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Scope of the events that the sentinel holds.
    pub scope: Scope,
    /// The merged view, which records no events itself.
    pub sentinel: Sentinel,
    /// Text for people about missing processes and the reason; `None` when the view is complete.
    pub note: Option<String>,
}

/// State of the exchange with other processes, as [`Sentinel::sharing`] and `/stats` give it.
///
/// ```
/// // Nothing is shared unless an exporter is configured.
/// assert_eq!(sentinel_core::Sentinel::builder().build()?.sharing(), None);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sharing {
    /// Scope that is shared.
    pub scope: Scope,
    /// Whether the exporter's thread runs in this process.
    pub running: bool,
    /// Whether this process is the leader, which acts for all of them.
    pub leader: bool,
    /// Live processes, this one included.
    pub sources: usize,
    /// Time at which this process last published its counts, Unix ms.
    pub published_ms: Option<i64>,
    /// Time at which this process last read the counts of the others, Unix ms.
    pub collected_ms: Option<i64>,
    /// Operations that failed and inputs that were refused, counted by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// The last failure, as text for people.
    pub last_error: Option<String>,
}

/// The reason why a wider scope cannot answer, as text for people.
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
    /// Called at the first record in this process (a forked child is another process), on the thread that records: it must not wait.
    fn begin(&self);

    /// The sentinel that answers now, as fresh as it can be within a bounded time; `None` when nothing is shared.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason. Then the process answers for itself.
    fn answer(&self) -> Result<Option<Answer>, Unavailable>;

    /// State of the exchange; `None` when nothing is shared.
    fn sharing(&self) -> Option<Sharing>;

    /// Alerts and the state of their sinks; `None` when no alerts are configured, as by default.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason.
    fn alerts(&self) -> Result<Option<AlertsReport>, Unavailable> {
        Ok(None)
    }

    /// Uptime checks with their status; `None` when no checks are configured, as by default.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason.
    fn uptime(&self) -> Result<Option<UptimeReport>, Unavailable> {
        Ok(None)
    }
}
