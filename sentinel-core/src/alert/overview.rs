//! What there is to know about alerts: those that are followed, those that were, and whether people were reached.

use super::key::Key;
use super::state::{Alert, Counts, Phase, State};
use serde::Serialize;
use std::collections::BTreeMap;

/// Answers `alerts()` and `/alerts`, the same from every process of a host.
///
/// ```
/// use sentinel_core::alert::{Accused, Alerts, AlertsReport, Facts, Rules, State};
/// use sentinel_core::Kind;
///
/// let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
/// let (state, _) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
/// let report = AlertsReport::new("shop", &state);
/// assert!(report.alerts[0].title.starts_with("🚨 Sentinel: Everyone is hit"));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AlertsReport {
    /// The service.
    pub service: String,
    /// When the rules were last looked at, Unix ms; `None` when never.
    pub as_of: Option<i64>,
    /// This process is the one that looks and sends.
    pub leader: bool,
    /// Alerts that are pending, firing or recovering, the most important first.
    pub alerts: Vec<Followed>,
    /// Alerts that are over, the latest first; 20 at most.
    pub recent: Vec<Over>,
    /// What was not followed.
    pub counts: Counts,
    /// Where people are told.
    pub sinks: Vec<SinkReport>,
    /// Why it may not be all.
    pub note: Option<String>,
}

impl AlertsReport {
    /// Of a state, without sinks.
    ///
    /// ```
    /// # use sentinel_core::alert::{AlertsReport, State};
    /// assert_eq!(AlertsReport::new("shop", &State::default()).as_of, None);
    /// ```
    #[must_use]
    pub fn new(service: &str, state: &State) -> Self {
        let followed = |(key, entry): (&Key, &super::Entry)| Followed {
            key: key.clone(),
            phase: entry.phase,
            since_ms: entry.since_ms,
            known: entry.known,
            title: entry.alert.as_ref().map_or_else(
                || format!("pending: {} of {}", key.rule, key.subject.shown()),
                |alert| alert.message().title,
            ),
            alert: entry.alert.clone(),
        };
        Self {
            service: service.into(),
            as_of: state.last_ms,
            leader: false,
            alerts: state.entries().map(followed).collect(),
            recent: Vec::new(),
            counts: state.counts(),
            sinks: Vec::new(),
            note: None,
        }
    }
}

/// An alert that is followed.
///
/// ```
/// # use sentinel_core::alert::{Accused, Alerts, AlertsReport, Facts, Phase, Rules, State};
/// # use sentinel_core::Kind;
/// # let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
/// # let (state, _) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
/// assert_eq!(AlertsReport::new("shop", &state).alerts[0].phase, Phase::Firing);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Followed {
    /// Its rule and subject.
    #[serde(flatten)]
    pub key: Key,
    /// Pending, firing or recovering.
    pub phase: Phase,
    /// Since when it is in that phase, Unix ms.
    pub since_ms: i64,
    /// The last look could tell; `false`: it stays as it is for want of data.
    pub known: bool,
    /// What people are told, in one line.
    pub title: String,
    /// Once it has fired.
    pub alert: Option<Alert>,
}

/// An alert that is over.
///
/// ```
/// use sentinel_core::alert::{Accused, Alerts, Facts, Over, Rules, State};
/// # use sentinel_core::Kind;
/// # let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
/// # let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
/// let over = Over::from(outcome.transitions[0].alert.clone().unwrap());
/// assert!(over.title.contains("Everyone"));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Over {
    /// What people were told, in one line.
    pub title: String,
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
}

impl From<Alert> for Over {
    fn from(alert: Alert) -> Self {
        Self { title: alert.message().title, alert }
    }
}

/// Whether notices reach people there. `offered = delivered + dropped + pending`, at any moment.
///
/// ```
/// use sentinel_core::alert::{SinkReport, SinkState};
///
/// let sink = SinkReport::new("ops", "slack");
/// assert_eq!((sink.state, sink.offered), (SinkState::Ok, 0));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SinkReport {
    /// What it is called.
    pub name: String,
    /// What kind it is, as `slack`.
    pub kind: String,
    /// Whether it takes notices.
    pub state: SinkState,
    /// Notices for it.
    pub offered: u64,
    /// Those that it has taken.
    pub delivered: u64,
    /// Those that it never got, by reason: `combined` (told together with a later one), `expired`, `overflow`, `refused`.
    pub dropped: BTreeMap<String, u64>,
    /// Those that wait.
    pub pending: u64,
    /// When it has taken one last, Unix ms.
    pub delivered_ms: Option<i64>,
    /// Why the last attempt failed; `None` after one that did not.
    pub last_error: Option<String>,
}

impl SinkReport {
    /// One that was offered nothing yet.
    ///
    /// ```
    /// # use sentinel_core::alert::SinkReport;
    /// assert_eq!(SinkReport::new("ops", "slack").pending, 0);
    /// ```
    #[must_use]
    pub fn new(name: &str, kind: &str) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            state: SinkState::Ok,
            offered: 0,
            delivered: 0,
            dropped: BTreeMap::new(),
            pending: 0,
            delivered_ms: None,
            last_error: None,
        }
    }
}

/// Whether a sink takes notices.
///
/// ```
/// assert_eq!(serde_json::to_string(&sentinel_core::alert::SinkState::Retrying).unwrap(), r#""retrying""#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SinkState {
    /// It has taken the last one, or got none.
    Ok,
    /// The last attempt failed; it is tried again.
    Retrying,
    /// It has refused one for good: nothing is sent there until its configuration changes, or a process of the service starts to lead.
    Disabled,
}
