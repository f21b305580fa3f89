//! The life-cycle: one step of every alert, from the reading of a look and the time that has passed.
//!
//! ```text
//!            above            above for `for`            below
//!      ok ──────────► pending ───────────────► firing ──────────► recovering ──────────► ok
//!       ▲                │                        ▲                   │   below for
//!       └────────────────┘                        └───────────────────┘   `keep_firing_for`
//!          between, below                            above, between
//! ```
//!
//! With `for` 0 an alert goes from ok to firing at once; with `keep_firing_for` 0 from firing to ok. A rule that is switched off, or
//! a target that is gone, ends an alert from any phase.
//!
//! Invariants:
//! - An unknown reading (no look, a cold or partial one, a tenant that is not listed) changes no phase: missing data neither begins
//!   nor ends an alert.
//! - The band between "above" and "below" begins nothing and ends nothing, so a value near a threshold does not flap.
//! - At most [`MAX_KEYS`] alerts are followed. When all places are taken, a pending alert gives way to a more important condition; a
//!   firing alert keeps its place. [`Counts`](super::Counts) says how many conditions found none.
//! - Each firing has an id of its own, also when the clock was set back: an id is made of a moment that is never used twice.
//!
//! Phases last by durations that add up from step to step, and not by timestamps: time counts towards `for` only while looks are
//! taken ([`StepTime`]), so a suspended machine or a new leader does not fire on time in which nobody looked. A timestamp would
//! count that time, and would stop an alert from ending after the clock was set back.
//!
//! A slow tenant is compared with the p95 that was normal when its condition was first seen. The baseline learns from the incident
//! itself, so a tenant that stays slow would look normal after a while. After 24 hours the current baseline applies again.

use super::facts::Facts;
use super::group::Notice;
use super::key::{Key, Subject, id_of};
use super::reading::{Candidate, Reading, evidence, found, normal_ms, read};
use super::rule::{HoldTimes, Rule, Rules};
use super::state::{Alert, Entry, Evidence, Phase, State, Transition, Why};
use super::time::{StepTime, at_least};
use super::{MAX_KEYS, PLACES_FOR_VERDICTS};
use crate::util::error::ConfigError;
use crate::util::wire::MAX_COUNT;

/// A look further than this from `now_ms` is ignored. A longer step counts as not observed.
const MAX_LOOK_AGE_MS: u64 = 120_000;
/// Time for which a slow tenant is compared with the p95 that was normal before its alert; afterwards the current one applies.
const NORMAL_FROZEN_MS: u64 = 24 * 3_600_000;
/// The longest name of a service, in bytes.
pub(super) const MAX_SERVICE_BYTES: usize = 64;

/// The validated rules of one service. The state is separate: [`Alerts::step`] takes it and returns it.
///
/// ```
/// use sentinel_core::alert::{Alerts, Rules};
///
/// assert!(Alerts::new("shop", Rules::default()).is_ok());
/// assert_eq!(Alerts::new("", Rules::default()).unwrap_err().field, "service");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Alerts {
    pub(super) service: String,
    pub(super) rules: Rules,
}

/// The result of a step: changes, and perhaps a notice.
///
/// ```
/// use sentinel_core::alert::{Alerts, Outcome, Rules, State};
///
/// let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 0, None);
/// assert_eq!(outcome, Outcome::default());
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// Changes of phase in this step, for the ledger and for the journal that is written before anything is sent.
    pub transitions: Vec<Transition>,
    /// The notice that people should get now; `None` while nothing is due.
    pub notice: Option<Notice>,
}

impl Alerts {
    /// Validates the rules.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option, as [`Rules::validated`] does, or `service` when the name is not 1 to 64 bytes long.
    ///
    /// ```
    /// use sentinel_core::alert::{Alerts, Rules, TenantErrors};
    ///
    /// let none = Rules { tenant_errors: Some(TenantErrors { at_least: 0, ..TenantErrors::default() }), ..Rules::default() };
    /// let error = Alerts::new("shop", none).unwrap_err();
    /// assert_eq!(error.to_string(), "tenant_errors.at_least: 0 is not allowed; allowed: 1 to 2^53");
    /// ```
    pub fn new(service: &str, rules: Rules) -> Result<Self, ConfigError> {
        if !(1..=MAX_SERVICE_BYTES).contains(&service.len()) {
            let shown: String = service.chars().take(MAX_SERVICE_BYTES + 1).collect();
            return Err(ConfigError::new("service", format!("{shown:?}"), format!("1 to {MAX_SERVICE_BYTES} bytes")));
        }
        Ok(Self { service: service.into(), rules: rules.validated()? })
    }

    /// The validated rules.
    ///
    /// ```
    /// # use sentinel_core::alert::{Alerts, Rules};
    /// assert_eq!(Alerts::new("shop", Rules::default())?.rules(), &Rules::default());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Computes the next state and the outcome. `now_ms` is Unix ms. `facts` is `None` when no look was possible: no alert begins or
    /// ends then, but notices that are due are still made. Call it about once a second; a gap of more than two minutes counts as not
    /// observed.
    ///
    /// ```
    /// use sentinel_core::Kind;
    /// use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State};
    ///
    /// let alerts = Alerts::new("shop", Rules::default())?;
    /// let acme = Accused { kind: Kind::OneTenant, tenants: vec![b"acme".to_vec()], ..Accused::default() };
    /// let (state, outcome) = alerts.step(State::default(), 0, Some(&Facts::new(0, 600_000).with_verdict(acme)));
    /// assert!(outcome.transitions[0].fires() && outcome.notice.is_none()); // other alerts may follow: the notice waits for 15 s
    /// let (state, outcome) = alerts.step(state, 15_000, None);
    /// assert_eq!(outcome.notice.map(|notice| notice.listed.len()), Some(1));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn step(&self, mut state: State, now_ms: i64, facts: Option<&Facts>) -> (State, Outcome) {
        let limit = MAX_COUNT as i64;
        let now_ms = now_ms.clamp(-limit, limit);
        let passed_ms = state.last_ms.map_or(0, |last| u64::try_from(now_ms - last).unwrap_or(0));
        let observed_ms = if passed_ms <= MAX_LOOK_AGE_MS { passed_ms } else { 0 };
        let time = StepTime { now_ms, passed_ms, observed_ms };
        let facts = facts.filter(|facts| facts.as_of_ms.abs_diff(now_ms) <= MAX_LOOK_AGE_MS);
        if facts.is_none() {
            state.counts.missing = state.counts.missing.saturating_add(1);
        }
        let mut life = LifeCycle { alerts: self, facts, time, id_ms: id_ms(&state, now_ms), transitions: Vec::new() };
        life.followed(&mut state);
        life.newcomers(&mut state);
        if life.transitions.iter().any(Transition::fires) {
            state.latest_ms = Some(life.id_ms);
        }
        let transitions = life.transitions;
        state.last_ms = Some(now_ms);
        let notice = self.group(&mut state, time);
        (state, Outcome { transitions, notice })
    }
}

/// The moment that new ids are made of. No moment is used twice: after the clock was set back, it is the one after the latest.
fn id_ms(state: &State, now_ms: i64) -> i64 {
    state.latest_ms.map_or(now_ms, |latest| now_ms.max(latest.saturating_add(1)))
}

/// One step of all alerts.
struct LifeCycle<'a> {
    alerts: &'a Alerts,
    facts: Option<&'a Facts>,
    time: StepTime,
    id_ms: i64,
    transitions: Vec<Transition>,
}

impl LifeCycle<'_> {
    /// Advances the alerts that are already followed.
    fn followed(&mut self, state: &mut State) {
        for (key, mut entry) in std::mem::take(&mut state.entries) {
            if let Some(alert) = &mut entry.alert {
                alert.lasted_ms = alert.lasted_ms.saturating_add(self.time.passed_ms);
            }
            let Some(HoldTimes { hold, keep_firing }) = self.alerts.rules.hold_times(key.rule) else {
                self.end(state, &key, entry, Why::RuleOff);
                continue;
            };
            let thawed = entry.alert.as_ref().is_some_and(|alert| alert.lasted_ms >= NORMAL_FROZEN_MS);
            let normal_ms = entry.normal_p95_ms.filter(|_| !thawed);
            let reading = self.facts.map_or(Reading::Unknown, |facts| read(&self.alerts.rules, &key, facts, normal_ms));
            entry.known = reading != Reading::Unknown;
            self.worsens(&key, &mut entry);
            match (entry.phase, reading) {
                (_, Reading::Gone) => {
                    self.end(state, &key, entry, Why::RuleOff);
                    continue;
                }
                (_, Reading::Unknown) | (Phase::Firing, Reading::Above | Reading::Between) => {}
                (Phase::Pending, Reading::Above) => {
                    entry.held_ms = entry.held_ms.saturating_add(self.time.observed_ms);
                    if at_least(entry.held_ms, hold) {
                        self.fire(&key, &mut entry);
                    }
                }
                (Phase::Recovering, Reading::Above | Reading::Between) => self.turn(&key, &mut entry, Phase::Firing),
                (Phase::Firing, Reading::Below) if !keep_firing.is_zero() => {
                    self.turn(&key, &mut entry, Phase::Recovering);
                }
                (Phase::Recovering, Reading::Below) => {
                    entry.held_ms = entry.held_ms.saturating_add(self.time.observed_ms);
                    if at_least(entry.held_ms, keep_firing) {
                        self.end(state, &key, entry, Why::Recovered);
                        continue;
                    }
                }
                (Phase::Ok | Phase::Pending | Phase::Firing, _) => {
                    self.end(state, &key, entry, Why::Recovered);
                    continue;
                }
            }
            state.entries.insert(key, entry);
        }
    }

    /// A target that is down and begins to flap keeps its alert; the alert gets new evidence and is told again.
    fn worsens(&self, key: &Key, entry: &mut Entry) {
        let flaps = |evidence: &Evidence| evidence.target.as_ref().is_some_and(|target| target.flapping);
        let Some((facts, alert)) = self.facts.zip(entry.alert.as_mut()).filter(|_| key.rule == Rule::TargetDown) else {
            return;
        };
        let now = evidence(key, facts, None);
        if flaps(&now) && !flaps(&alert.evidence) {
            (alert.evidence, alert.told, entry.told_ms) = (now, false, None);
        }
    }

    /// Follows conditions that the look finds for the first time; the most important ones get the free places.
    fn newcomers(&mut self, state: &mut State) {
        let Some(facts) = self.facts else { return };
        let mut found = found(&self.alerts.rules, facts);
        found.sort_by(|a, b| a.importance().cmp(&b.importance()));
        let pending = state.entries.iter().filter(|(_, entry)| entry.phase == Phase::Pending);
        let mut pending: Vec<Candidate> =
            pending.map(|(key, entry)| Candidate { key: key.clone(), weight: entry.weight }).collect();
        pending.sort_by(|a, b| a.importance().cmp(&b.importance()));
        let (mut evicted, mut without_place) = (0_u64, 0_u64);
        for candidate in found {
            if let Some(entry) = state.entries.get_mut(&candidate.key) {
                entry.weight = candidate.weight;
                continue;
            }
            let reserved = candidate.key.rule.is_verdict() || candidate.key.rule == Rule::OwnNetwork;
            let places = if reserved { MAX_KEYS } else { MAX_KEYS - PLACES_FOR_VERDICTS };
            if state.entries.len() >= places {
                let less = pending.pop_if(|other| other.importance() > candidate.importance());
                let Some((other, entry)) = less.and_then(|other| state.entries.remove_entry(&other.key)) else {
                    without_place += 1;
                    continue;
                };
                evicted += 1;
                self.say(&other, entry.phase, Phase::Ok, None);
            }
            let Candidate { key, weight } = candidate;
            let normal_p95_ms = normal_ms(&key, facts);
            let (since_ms, phase) = (self.time.now_ms, Phase::Ok);
            let mut entry =
                Entry { phase, since_ms, held_ms: 0, known: true, weight, normal_p95_ms, alert: None, told_ms: None };
            match self.alerts.rules.hold_times(key.rule) {
                Some(times) if times.hold.is_zero() => self.fire(&key, &mut entry),
                _ => self.turn(&key, &mut entry, Phase::Pending),
            }
            state.entries.insert(key, entry);
        }
        let more = without_place.saturating_sub(state.counts.without_place);
        state.counts.dropped = state.counts.dropped.saturating_add(more).saturating_add(evicted);
        state.counts.without_place = without_place;
    }

    /// Makes the alert of an entry and moves it to firing.
    fn fire(&mut self, key: &Key, entry: &mut Entry) {
        let Some(facts) = self.facts else { return };
        let (kind, subject): (&[u8], &[u8]) = match &key.subject {
            Subject::Everyone => (b"everyone", b""),
            Subject::Endpoint(endpoint) => (b"endpoint", endpoint.as_bytes()),
            Subject::Tenant(id) => (b"tenant", id),
            Subject::Target(name) => (b"target", name.as_bytes()),
            Subject::OwnNetwork => (b"own_network", b""),
        };
        let moment = self.id_ms.to_le_bytes();
        entry.alert = Some(Alert {
            id: id_of([self.alerts.service.as_bytes(), key.rule.name().as_bytes(), kind, subject, &moment]),
            key: key.clone(),
            severity: key.rule.severity(),
            fired_ms: self.time.now_ms,
            resolved_ms: None,
            lasted_ms: 0,
            why: None,
            told: false,
            evidence: evidence(key, facts, entry.normal_p95_ms),
        });
        self.turn(key, entry, Phase::Firing);
    }

    /// Moves an entry to another phase.
    fn turn(&mut self, key: &Key, entry: &mut Entry, to: Phase) {
        self.say(key, entry.phase, to, entry.alert.clone());
        (entry.phase, entry.since_ms, entry.held_ms) = (to, self.time.now_ms, 0);
    }

    /// Ends an entry; an alert that fired waits in `over` until a notice tells it.
    fn end(&mut self, state: &mut State, key: &Key, entry: Entry, why: Why) {
        let resolved_ms = Some(self.time.now_ms);
        let alert = entry.alert.map(|alert| Alert { resolved_ms, why: Some(why), ..alert });
        self.say(key, entry.phase, Phase::Ok, alert.clone());
        state.over.extend(alert);
    }

    /// Records a transition.
    fn say(&mut self, key: &Key, from: Phase, to: Phase, alert: Option<Alert>) {
        self.transitions.push(Transition { at_ms: self.time.now_ms, key: key.clone(), from, to, alert });
    }
}
