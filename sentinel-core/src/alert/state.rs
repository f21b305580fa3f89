//! What is known of each alert: where it stands in its life, why it began, and whether people know.

use super::key::{AlertId, Key, Subject};
use super::rule::Severity;
use crate::event::tenant::shown;
use crate::uptime::Cause;
use crate::verdict::Kind;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Where an alert stands in its life.
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
    /// Nothing is the matter; nothing is kept of it.
    Ok,
    /// Its condition is there, not for long enough.
    Pending,
    /// It is told.
    Firing,
    /// Its condition is over, not for long enough.
    Recovering,
}

/// Why an alert is over.
///
/// ```
/// assert_eq!(serde_json::to_string(&sentinel_core::alert::Why::RuleOff).unwrap(), r#""rule_off""#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Why {
    /// Its condition is over.
    Recovered,
    /// Its rule was switched off.
    RuleOff,
}

/// What an alert fired on. It stays as it was then, whatever becomes normal later.
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
    /// The moment of the look, Unix ms.
    pub at_ms: i64,
    /// The window that was judged, in milliseconds.
    pub window_ms: u64,
    /// Of a verdict: its kind.
    pub kind: Option<Kind>,
    /// What is counted: `5xx`, or `slow requests`.
    pub what: String,
    /// Those of the subject; of all the accused, where a verdict names a few.
    pub errors: u64,
    /// Those of everybody.
    pub of: u64,
    /// Requests of the tenant in the report's window; 0 where it is not about one.
    pub requests: u64,
    /// Share of those of everybody, 0 to 1.
    pub share: Option<f64>,
    /// Share of those beyond the normal ones, 0 to 1.
    pub excess_share: Option<f64>,
    /// The rate without the accused; of all, when it is everyone.
    pub rate_without: Option<f64>,
    /// The rate that is normal there.
    pub rate_normal: Option<f64>,
    /// 95 % of the tenant's requests were faster.
    pub p95_ms: Option<f64>,
    /// What that normally is.
    pub normal_p95_ms: Option<f64>,
    /// Where it fails.
    pub endpoint: Option<String>,
    /// Tenants that are accused with it, by their ids.
    #[serde(serialize_with = "shown_ids")]
    pub with: Vec<Vec<u8>>,
    /// The tenant always fails like this.
    pub chronic: bool,
    /// Of a rule about targets.
    pub target: Option<TargetEvidence>,
    /// What the look left out.
    pub note: Option<String>,
}

/// What is known of a target.
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
    /// What is probed, without what may be a secret; empty where it is about all of them.
    pub url: String,
    /// Since when it is so, Unix ms.
    pub since_ms: i64,
    /// Why it is down.
    pub cause: Option<Cause>,
    /// The status of the last answer.
    pub http_status: Option<u16>,
    /// It goes up and down.
    pub flapping: bool,
    /// When the certificate expires, Unix ms.
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
    /// What it is known by.
    pub id: AlertId,
    /// Its rule and subject.
    #[serde(flatten)]
    pub key: Key,
    /// How urgent it is.
    pub severity: Severity,
    /// When it fired, Unix ms.
    pub fired_ms: i64,
    /// When it was over, Unix ms.
    pub resolved_ms: Option<i64>,
    /// How long it has been firing, in milliseconds; a clock that is set back does not shorten it.
    pub lasted_ms: u64,
    /// Why it is over.
    pub why: Option<Why>,
    /// A notice has told that it fires.
    pub told: bool,
    /// What it fired on.
    pub evidence: Evidence,
}

/// A step in the life of an alert. Those that [`notify`](Transition::notifies) carry the alert; sinks get them in [notices](super::Notice).
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
    /// When, Unix ms.
    pub at_ms: i64,
    /// Of what.
    #[serde(flatten)]
    pub key: Key,
    /// Where it stood.
    pub from: Phase,
    /// Where it stands.
    pub to: Phase,
    /// The alert, where it has fired.
    pub alert: Option<Alert>,
}

impl Transition {
    /// It fires, or it is over: people are to know.
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

    /// It begins to fire.
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

    /// It is over.
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

/// An alert that is followed.
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
    /// Pending, firing or recovering.
    pub phase: Phase,
    /// Since when, Unix ms.
    pub since_ms: i64,
    /// How long of that its condition was seen there (or over), in milliseconds.
    pub held_ms: u64,
    /// The last look could tell; `false`: it stays as it is for want of data.
    pub known: bool,
    /// The bad requests behind it: what it is ordered by.
    pub weight: u64,
    /// What was normal when its condition was first seen, in milliseconds.
    pub normal_p95_ms: Option<f64>,
    /// Once it has fired.
    pub alert: Option<Alert>,
    /// How long ago a notice told that it fires, in milliseconds.
    pub told_ms: Option<u64>,
}

/// What was not followed, since the state began.
///
/// ```
/// assert_eq!(sentinel_core::alert::State::default().counts().dropped, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Alerts that found no place, and pending ones that lost theirs to more important ones.
    pub dropped: u64,
    /// Of them, those whose condition was there at the last look.
    pub without_place: u64,
    /// Looks that were missing or too old.
    pub missing: u64,
    /// Notices, so far.
    pub notices: u64,
}

/// Everything that outlives a step. Bounded: 1,024 alerts that are followed, and those that are over until the next notice.
///
/// ```
/// use sentinel_core::alert::State;
///
/// let state = State::default();
/// assert_eq!(State::decode(&state.encode()), Ok(state));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// When the last step was, Unix ms.
    pub(super) last_ms: Option<i64>,
    /// The latest moment that an id was made of.
    pub(super) latest_ms: Option<i64>,
    pub(super) entries: BTreeMap<Key, Entry>,
    /// Over, and nobody has been told.
    pub(super) over: Vec<Alert>,
    /// How long something has been waiting to be told.
    pub(super) waited_ms: Option<u64>,
    /// How long ago the last notice was; `None` when all it told of was over.
    pub(super) quiet_ms: Option<u64>,
    pub(super) counts: Counts,
}

impl State {
    /// What is followed, the most important first.
    ///
    /// ```
    /// assert_eq!(sentinel_core::alert::State::default().entries().count(), 0);
    /// ```
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// Tenants whose rows the next look should have: about them an alert is pending, firing or recovering.
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

    /// Uptime checks that an alert about a target is followed of: what is known of them has to be among the [`Facts`](super::Facts).
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

    /// What was not followed.
    ///
    /// ```
    /// # use sentinel_core::alert::State;
    /// assert_eq!(State::default().counts().missing, 0);
    /// ```
    pub fn counts(&self) -> Counts {
        self.counts
    }
}
