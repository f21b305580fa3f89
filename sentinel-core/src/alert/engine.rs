//! The life-cycle: one step of every alert, by what a look says of it and how much time has passed.

use super::facts::Facts;
use super::group::Notice;
use super::key::{Key, Subject, id_of};
use super::reading::{Reading, evidence, found, normal_ms, read};
use super::rule::{Rule, Rules};
use super::state::{Alert, Entry, Evidence, Phase, State, Transition, Why};
use super::time::{Time, at_least};
use super::{FOR_VERDICTS, MAX_KEYS};
use crate::util::error::ConfigError;
use crate::util::wire::MAX_COUNT;
use std::cmp::Reverse;

/// A look that is older than this (or younger) is none. Also the longest step that counts as observed: beyond it nobody has looked.
const FRESH_MS: u64 = 120_000;
/// So long a slow tenant is compared with what was normal before; then with what is normal by now.
const FROZEN_MS: u64 = 24 * 3_600_000;
/// The longest name of a service, in bytes.
const LONGEST: usize = 64;

/// The rules of a service, checked. It holds no state: [`Alerts::step`] takes it and gives it back.
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

/// What follows from a step.
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
    /// What changed now: for the ledger, and for what is written down before anything is sent.
    pub transitions: Vec<Transition>,
    /// What people are to be told now.
    pub notice: Option<Notice>,
}

impl Alerts {
    /// Checks the rules.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option, as [`Rules::validated`], or the service's name when it is empty or longer than 64 bytes.
    ///
    /// ```
    /// use sentinel_core::alert::{Alerts, Rules, TenantErrors};
    ///
    /// let none = Rules { tenant_errors: Some(TenantErrors { at_least: 0, ..TenantErrors::default() }), ..Rules::default() };
    /// let error = Alerts::new("shop", none).unwrap_err();
    /// assert_eq!(error.to_string(), "tenant_errors.at_least: 0 is not allowed; allowed: 1 to 2^53");
    /// ```
    pub fn new(service: &str, rules: Rules) -> Result<Self, ConfigError> {
        if !(1..=LONGEST).contains(&service.len()) {
            let shown: String = service.chars().take(LONGEST + 1).collect();
            return Err(ConfigError::new("service", format!("{shown:?}"), format!("1 to {LONGEST} bytes")));
        }
        Ok(Self { service: service.into(), rules: rules.validated()? })
    }

    /// The rules that it was made of.
    ///
    /// ```
    /// # use sentinel_core::alert::{Alerts, Rules};
    /// assert_eq!(Alerts::new("shop", Rules::default())?.rules(), &Rules::default());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The next state, and what follows. `now_ms` is Unix ms; `facts` is `None` when no look could be had: nothing begins or ends then, but
    /// what waits to be told is told. Made for a step a second; more than two minutes without one count as not observed.
    ///
    /// ```
    /// use sentinel_core::Kind;
    /// use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State};
    ///
    /// let alerts = Alerts::new("shop", Rules::default())?;
    /// let acme = Accused { kind: Kind::OneTenant, tenants: vec![b"acme".to_vec()], ..Accused::default() };
    /// let (state, outcome) = alerts.step(State::default(), 0, Some(&Facts::new(0, 600_000).with_verdict(acme)));
    /// assert!(outcome.transitions[0].fires() && outcome.notice.is_none()); // others may come: it waits for 15 s
    /// let (state, outcome) = alerts.step(state, 15_000, None);
    /// assert_eq!(outcome.notice.map(|notice| notice.listed.len()), Some(1));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn step(&self, mut state: State, now_ms: i64, facts: Option<&Facts>) -> (State, Outcome) {
        let limit = MAX_COUNT as i64;
        let now_ms = now_ms.clamp(-limit, limit);
        let passed = state.last_ms.map_or(0, |last| u64::try_from(now_ms - last).unwrap_or(0));
        let time = Time { now_ms, passed, observed: if passed <= FRESH_MS { passed } else { 0 } };
        let facts = facts.filter(|facts| facts.as_of_ms.abs_diff(now_ms) <= FRESH_MS);
        if facts.is_none() {
            state.counts.missing = state.counts.missing.saturating_add(1);
        }
        let mut life = Life { alerts: self, facts, time, id_ms: id_ms(&state, now_ms), transitions: Vec::new() };
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

/// Ids are made of a moment that never comes twice: where the clock was set back, of the next one after the latest.
fn id_ms(state: &State, now_ms: i64) -> i64 {
    state.latest_ms.map_or(now_ms, |latest| now_ms.max(latest.saturating_add(1)))
}

/// One step.
struct Life<'a> {
    alerts: &'a Alerts,
    facts: Option<&'a Facts>,
    time: Time,
    id_ms: i64,
    transitions: Vec<Transition>,
}

impl Life<'_> {
    /// Those that are followed already.
    fn followed(&mut self, state: &mut State) {
        for (key, mut entry) in std::mem::take(&mut state.entries) {
            if let Some(alert) = &mut entry.alert {
                alert.lasted_ms = alert.lasted_ms.saturating_add(self.time.passed);
            }
            let Some((hold, keep)) = self.alerts.rules.times(key.rule) else {
                self.end(state, &key, entry, Why::RuleOff);
                continue;
            };
            let thawed = entry.alert.as_ref().is_some_and(|alert| alert.lasted_ms >= FROZEN_MS);
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
                    entry.held_ms = entry.held_ms.saturating_add(self.time.observed);
                    if at_least(entry.held_ms, hold) {
                        self.fire(&key, &mut entry);
                    }
                }
                (Phase::Recovering, Reading::Above | Reading::Between) => self.turn(&key, &mut entry, Phase::Firing),
                (Phase::Firing, Reading::Below) if !keep.is_zero() => self.turn(&key, &mut entry, Phase::Recovering),
                (Phase::Recovering, Reading::Below) => {
                    entry.held_ms = entry.held_ms.saturating_add(self.time.observed);
                    if at_least(entry.held_ms, keep) {
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

    /// Those whose condition is there for the first time: the most important ones get a place.
    /// A target that is down and begins to flap: the same alert, and another thing to tell.
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

    fn newcomers(&mut self, state: &mut State) {
        let Some(facts) = self.facts else { return };
        let mut found = found(&self.alerts.rules, facts);
        found.sort_by(|a, b| importance(&a.0, a.1).cmp(&importance(&b.0, b.1)));
        let pending = state.entries.iter().filter(|(_, entry)| entry.phase == Phase::Pending);
        let mut pending: Vec<(Key, u64)> = pending.map(|(key, entry)| (key.clone(), entry.weight)).collect();
        pending.sort_by(|a, b| importance(&a.0, a.1).cmp(&importance(&b.0, b.1)));
        let (mut evicted, mut without_place) = (0_u64, 0_u64);
        for (key, weight) in found {
            if let Some(entry) = state.entries.get_mut(&key) {
                entry.weight = weight;
                continue;
            }
            let places =
                if key.rule.is_verdict() || key.rule == Rule::OwnNetwork { MAX_KEYS } else { MAX_KEYS - FOR_VERDICTS };
            if state.entries.len() >= places {
                let less = pending.pop_if(|(other, others)| importance(other, *others) > importance(&key, weight));
                let Some((other, entry)) = less.and_then(|(other, _)| state.entries.remove_entry(&other)) else {
                    without_place += 1;
                    continue;
                };
                evicted += 1;
                self.say(&other, entry.phase, Phase::Ok, None);
            }
            let normal_p95_ms = normal_ms(&key, facts);
            let (since_ms, phase) = (self.time.now_ms, Phase::Ok);
            let mut entry =
                Entry { phase, since_ms, held_ms: 0, known: true, weight, normal_p95_ms, alert: None, told_ms: None };
            match self.alerts.rules.times(key.rule) {
                Some((hold, _)) if hold.is_zero() => self.fire(&key, &mut entry),
                _ => self.turn(&key, &mut entry, Phase::Pending),
            }
            state.entries.insert(key, entry);
        }
        let more = without_place.saturating_sub(state.counts.without_place);
        state.counts.dropped = state.counts.dropped.saturating_add(more).saturating_add(evicted);
        state.counts.without_place = without_place;
    }

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

    fn turn(&mut self, key: &Key, entry: &mut Entry, to: Phase) {
        self.say(key, entry.phase, to, entry.alert.clone());
        (entry.phase, entry.since_ms, entry.held_ms) = (to, self.time.now_ms, 0);
    }

    fn end(&mut self, state: &mut State, key: &Key, entry: Entry, why: Why) {
        let resolved_ms = Some(self.time.now_ms);
        let alert = entry.alert.map(|alert| Alert { resolved_ms, why: Some(why), ..alert });
        self.say(key, entry.phase, Phase::Ok, alert.clone());
        state.over.extend(alert);
    }

    fn say(&mut self, key: &Key, from: Phase, to: Phase, alert: Option<Alert>) {
        self.transitions.push(Transition { at_ms: self.time.now_ms, key: key.clone(), from, to, alert });
    }
}

/// The most important first: by rule, then by weight.
fn importance(key: &Key, weight: u64) -> (super::Rule, Reverse<u64>, &Subject) {
    (key.rule, Reverse(weight), &key.subject)
}
