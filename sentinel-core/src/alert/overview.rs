//! The report on alerts: followed ones, past ones, and whether notices reach people.

use super::key::Key;
use super::state::{Alert, Counts, Phase, State};
use serde::Serialize;
use std::collections::BTreeMap;

/// The answer of `alerts()` and `/alerts`, the same from every process of a host.
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
    /// Name of the service.
    pub service: String,
    /// Moment of the last step, Unix ms; `None` before the first.
    pub as_of: Option<i64>,
    /// This process is the leader: it evaluates the rules and sends the notices.
    pub leader: bool,
    /// Alerts that are pending, firing or recovering, the most important rule first.
    pub alerts: Vec<Followed>,
    /// Alerts that are over, the latest first; 20 at most.
    pub recent: Vec<Over>,
    /// Counters since the state began.
    pub counts: Counts,
    /// The sinks that notices go to.
    pub sinks: Vec<SinkReport>,
    /// A sentence about why the report may be incomplete or old.
    pub note: Option<String>,
}

impl AlertsReport {
    /// A report on a state, without sinks and past alerts.
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

/// A followed alert with its title.
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
    /// Rule and subject.
    #[serde(flatten)]
    pub key: Key,
    /// Pending, firing or recovering.
    pub phase: Phase,
    /// Moment when the phase began, Unix ms.
    pub since_ms: i64,
    /// The last look had data for it; `false`: the alert stays as it is until data returns.
    pub known: bool,
    /// Title of its message.
    pub title: String,
    /// The alert; `None` until it has fired.
    pub alert: Option<Alert>,
}

/// A past alert with its title.
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
    /// Title of its last message.
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

/// The deliveries of one sink. `offered = delivered + dropped + pending`, at any moment.
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
    /// Name in the configuration.
    pub name: String,
    /// Kind of sink, as `slack`.
    pub kind: String,
    /// Whether the sink accepts notices.
    pub state: SinkState,
    /// Notices for this sink.
    pub offered: u64,
    /// Notices that it accepted.
    pub delivered: u64,
    /// Notices that it never got, by reason: `combined` (told together with a later one), `expired`, `overflow`, `refused`.
    pub dropped: BTreeMap<String, u64>,
    /// Notices that wait to be sent.
    pub pending: u64,
    /// Moment of the last accepted notice, Unix ms; `None` before the first.
    pub delivered_ms: Option<i64>,
    /// Reason why the last attempt failed; `None` after a success.
    pub last_error: Option<String>,
}

impl SinkReport {
    /// A sink that was offered nothing yet.
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

/// Whether a sink accepts notices.
///
/// ```
/// assert_eq!(serde_json::to_string(&sentinel_core::alert::SinkState::Retrying).unwrap(), r#""retrying""#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SinkState {
    /// The sink accepted the last notice, or got none.
    Ok,
    /// The last attempt failed; it is tried again.
    Retrying,
    /// The sink refused a notice for good: nothing is sent there until its configuration changes or another process becomes the leader.
    Disabled,
}
