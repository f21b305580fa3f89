//! The state of alerts: phase, evidence, and whether people were told; and the state that outlives a step.

use super::key::{AlertId, Key, Subject};
use super::rule::Severity;
use crate::event::tenant::shown;
use crate::uptime::Cause;
use crate::verdict::Kind;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// The phase of an alert.
///
/// ```text
/// ok ─► pending ─► firing ◄─► recovering ─► ok
///  ▲       │
///  └───────┘
/// ```
///
/// ```
/// use sentinel_core::alert::Phase;
///
/// assert_eq!(serde_json::to_string(&Phase::Recovering).unwrap(), r#""recovering""#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No condition: nothing is kept of it.
    Ok,
    /// The condition is there, but not for long enough yet.
    Pending,
    /// The alert fires, and people are told.
    Firing,
    /// The condition is over, but not for long enough yet.
    Recovering,
}

/// The reason why an alert is over.
///
/// ```
/// assert_eq!(serde_json::to_string(&sentinel_core::alert::Why::RuleOff).unwrap(), r#""rule_off""#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Why {
    /// The condition is over.
    Recovered,
    /// The rule was switched off, or the subject is no longer watched.
    RuleOff,
}

/// The figures that an alert fired on. Later looks do not change them, except when a target that is down begins to flap.
///
/// ```
/// # use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State};
/// # use sentinel_core::Kind;
/// let accused = Accused { kind: Kind::Everyone, window_ms: 60_000, rate_without: Some(0.25), ..Accused::default() };
/// let facts = Facts::new(7, 600_000).with_verdict(accused);
/// let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
/// let evidence = &outcome.transitions[0].alert.as_ref().unwrap().evidence;
/// assert_eq!((evidence.window_ms, evidence.what.as_str(), evidence.rate_without), (60_000, "5xx", Some(0.25)));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Evidence {
    /// Moment of the look, Unix ms.
    pub at_ms: i64,
    /// Length of the window that was judged, in milliseconds.
    pub window_ms: u64,
    /// Kind of the verdict; `None` for other rules.
    pub kind: Option<Kind>,
    /// Name of what is counted: `5xx`, or `slow requests`; empty for targets.
    pub what: String,
    /// Errors (or slow requests) of the subject; of all the accused, where a verdict names several tenants.
    pub errors: u64,
    /// Errors (or slow requests) of all tenants.
    pub of: u64,
    /// Requests of the tenant in the report's window; 0 for other subjects.
    pub requests: u64,
    /// `errors` as a share of `of`, 0 to 1.
    pub share: Option<f64>,
    /// Share of the errors beyond the normal ones, 0 to 1.
    pub excess_share: Option<f64>,
    /// Rate without the accused, 0 to 1; the rate of all when everyone is accused.
    pub rate_without: Option<f64>,
    /// Rate that is normal there, 0 to 1.
    pub rate_normal: Option<f64>,
    /// p95 of the tenant's latencies, in milliseconds.
    pub p95_ms: Option<f64>,
    /// The tenant's normal p95, in milliseconds.
    pub normal_p95_ms: Option<f64>,
    /// Endpoint where it fails; `None` when the errors are spread.
    pub endpoint: Option<String>,
    /// Ids of other tenants that the same verdict accuses, at most 8.
    #[serde(serialize_with = "shown_ids")]
    pub with: Vec<Vec<u8>>,
    /// The tenant always fails at this rate.
    pub chronic: bool,
    /// Details of the target; `None` for rules about requests.
    pub target: Option<TargetEvidence>,
    /// A sentence about data that the look was missing.
    pub note: Option<String>,
}

/// The part of the evidence about a target.
///
/// ```
/// # use sentinel_core::alert::{Alerts, Facts, Rules, State};
/// # use sentinel_core::uptime::{Cause, Check, CheckResult, Checks, Target, Uptime};
/// # let mut uptime = Uptime::default();
/// # uptime.configure(Checks::new(vec![Check::new("shop", Target::new("https://shop.example/health")?)])?, 0);
/// # for at_ms in [0, 10_000, 20_000] {
/// #     uptime.record("shop", at_ms, CheckResult::down(at_ms, 60_000, Cause::Timeout), None);
/// # }
/// let facts = Facts::new(20_000, 600_000).with_targets(uptime.troubled(&[].into()), None);
/// let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 20_000, Some(&facts));
/// let target = outcome.transitions[0].alert.as_ref().unwrap().evidence.target.clone().unwrap();
/// assert_eq!((target.url.as_str(), target.cause, target.since_ms), ("https://shop.example/…", Some(Cause::Timeout), 0));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct TargetEvidence {
    /// The probed URL without parts that may be secret; empty when the alert is about all targets.
    pub url: String,
    /// Moment since which the target has this status, Unix ms.
    pub since_ms: i64,
    /// Cause of the failure.
    pub cause: Option<Cause>,
    /// HTTP status of the last answer.
    pub http_status: Option<u16>,
    /// The target goes up and down repeatedly.
    pub flapping: bool,
    /// Expiry of the certificate, Unix ms.
    pub expires_ms: Option<i64>,
}

fn shown_ids<S: Serializer>(ids: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ids.iter().map(|id| shown(id)))
}

/// An alert that fires or has fired.
///
/// ```
/// # use sentinel_core::alert::{Accused, Alerts, Facts, Rule, Rules, State, Subject};
/// # use sentinel_core::Kind;
/// let accused = Accused { kind: Kind::OneTenant, tenants: vec![b"acme".to_vec()], ..Accused::default() };
/// let facts = Facts::new(7, 600_000).with_verdict(accused);
/// let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
/// let alert = outcome.transitions[0].alert.as_ref().unwrap();
/// assert_eq!((alert.key.rule, alert.key.subject.shown().as_str(), alert.fired_ms), (Rule::VerdictErrors, "acme", 7));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Alert {
    /// Id of this firing.
    pub id: AlertId,
    /// Rule and subject.
    #[serde(flatten)]
    pub key: Key,
    /// Urgency.
    pub severity: Severity,
    /// Moment when it fired, Unix ms.
    pub fired_ms: i64,
    /// Moment when it was over, Unix ms.
    pub resolved_ms: Option<i64>,
    /// Time for which it has been firing, in milliseconds; a clock that is set back does not shorten it.
    pub lasted_ms: u64,
    /// Reason why it is over.
    pub why: Option<Why>,
    /// A notice has told people that it fires.
    pub told: bool,
    /// The figures that it fired on.
    pub evidence: Evidence,
}

/// A change of phase. A transition that [notifies](Transition::notifies) carries the alert; sinks get alerts in [notices](super::Notice).
///
/// ```
/// # use sentinel_core::alert::{Accused, Alerts, Facts, Phase, Rules, State};
/// # use sentinel_core::Kind;
/// let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
/// let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
/// let transition = &outcome.transitions[0];
/// assert_eq!((transition.from, transition.to), (Phase::Ok, Phase::Firing));
/// assert!(transition.notifies());
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Transition {
    /// Moment of the change, Unix ms.
    pub at_ms: i64,
    /// Rule and subject of the alert.
    #[serde(flatten)]
    pub key: Key,
    /// Phase before the change.
    pub from: Phase,
    /// Phase after the change.
    pub to: Phase,
    /// The alert; `None` before it has fired.
    pub alert: Option<Alert>,
}

impl Transition {
    /// The alert fires or is over, so people should know.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State};
    /// # use sentinel_core::Kind;
    /// # let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
    /// # let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
    /// assert!(outcome.transitions.iter().all(|transition| transition.notifies()));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn notifies(&self) -> bool {
        self.fires() || self.resolves()
    }

    /// The alert begins to fire.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State};
    /// # use sentinel_core::Kind;
    /// # let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
    /// # let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
    /// assert!(outcome.transitions[0].fires() && !outcome.transitions[0].resolves());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn fires(&self) -> bool {
        self.to == Phase::Firing && matches!(self.from, Phase::Ok | Phase::Pending)
    }

    /// The alert is over.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State, Verdicts};
    /// # use sentinel_core::Kind;
    /// # let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
    /// # let (state, _) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
    /// let off = Rules { verdict: Verdicts { errors: false, ..Verdicts::default() }, ..Rules::default() };
    /// let (_, outcome) = Alerts::new("shop", off)?.step(state, 8, None);
    /// assert!(outcome.transitions[0].resolves());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn resolves(&self) -> bool {
        self.to == Phase::Ok && matches!(self.from, Phase::Firing | Phase::Recovering)
    }
}

/// A followed alert: pending, firing or recovering.
///
/// ```
/// # use sentinel_core::alert::{Accused, Alerts, Facts, Phase, Rules, State};
/// # use sentinel_core::Kind;
/// # let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
/// let (state, _) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
/// let (key, entry) = state.entries().next().unwrap();
/// assert_eq!((entry.phase, entry.since_ms, entry.known), (Phase::Firing, 7, true));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// Pending, firing or recovering; never ok.
    pub phase: Phase,
    /// Moment when the phase began, Unix ms.
    pub since_ms: i64,
    /// Time in this phase during which looks saw the condition there (when recovering: over), in milliseconds.
    pub held_ms: u64,
    /// The last look had data for it; `false`: the alert stays as it is until data returns.
    pub known: bool,
    /// Bad requests behind it; alerts of one rule are ordered by this number.
    pub weight: u64,
    /// p95 that was normal when the condition was first seen, in milliseconds.
    pub normal_p95_ms: Option<f64>,
    /// The alert; `None` until it has fired.
    pub alert: Option<Alert>,
    /// Time since a notice last told that it fires, in milliseconds; `None` before the first.
    pub told_ms: Option<u64>,
}

/// Counters since the state began.
///
/// ```
/// assert_eq!(sentinel_core::alert::State::default().counts().dropped, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Conditions that found no place, and pending alerts that lost theirs to more important ones.
    pub dropped: u64,
    /// Conditions without a place at the last look.
    pub without_place: u64,
    /// Looks that were missing or too old.
    pub missing: u64,
    /// Notices made.
    pub notices: u64,
}

/// The state that outlives a step. Bounded: at most 1,024 followed alerts, and resolved alerts until the next notice.
///
/// ```
/// use sentinel_core::alert::State;
///
/// let state = State::default();
/// assert_eq!(State::decode(&state.encode()), Ok(state));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// Moment of the last step, Unix ms.
    pub(super) last_ms: Option<i64>,
    /// The latest moment that an id was made of, Unix ms.
    pub(super) latest_ms: Option<i64>,
    pub(super) entries: BTreeMap<Key, Entry>,
    /// Resolved alerts that no notice has told yet.
    pub(super) over: Vec<Alert>,
    /// Time for which news has been waiting for a notice, in milliseconds.
    pub(super) waited_ms: Option<u64>,
    /// Time since the last notice, in milliseconds; `None` when nothing was firing after it.
    pub(super) quiet_ms: Option<u64>,
    pub(super) counts: Counts,
}

impl State {
    /// The followed alerts, the most important rule first.
    ///
    /// ```
    /// assert_eq!(sentinel_core::alert::State::default().entries().count(), 0);
    /// ```
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// Ids of tenants with a followed alert of a tenant rule: the next look should have their rows.
    ///
    /// ```
    /// # use sentinel_core::alert::State;
    /// assert_eq!(State::default().tenants().count(), 0);
    /// ```
    pub fn tenants(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.keys().filter(|key| !key.rule.is_verdict()).filter_map(|key| match &key.subject {
            Subject::Tenant(id) => Some(id.as_slice()),
            _ => None,
        })
    }

    /// Names of uptime checks with a followed alert: the next [`Facts`](super::Facts) should have their status.
    ///
    /// ```
    /// assert_eq!(sentinel_core::alert::State::default().targets().count(), 0);
    /// ```
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().filter_map(|key| match &key.subject {
            Subject::Target(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Counters of conditions without a place, missing looks and notices.
    ///
    /// ```
    /// # use sentinel_core::alert::State;
    /// assert_eq!(State::default().counts().missing, 0);
    /// ```
    pub fn counts(&self) -> Counts {
        self.counts
    }
}
