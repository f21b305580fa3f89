//! Alerts become notices: alerts of the same moment share one, and an alert that goes on is repeated rarely.
//!
//! The first new alert waits `first` (15 s) for others. While any alert fires, a further notice waits `then` (5 min) after the last
//! one. An alert that goes on is repeated after `repeat` (4 h). Durations add up from step to step, as in `engine`.

use super::LISTED;
use super::engine::Alerts;
use super::key::{AlertId, Key, id_of};
use super::rule::{Grouping, Rule};
use super::state::{Alert, Entry, Phase, State};
use super::time::{StepTime, at_least};
use serde::Serialize;
use std::cmp::Reverse;
use std::time::Duration;

/// Shortest time after which a certificate that expires soon is told again.
const CERTIFICATE_REPEAT: Duration = Duration::from_hours(24);

/// Number of resolved alerts that nobody has been told about at which a notice is made at once, so that their number is bounded.
const MAX_UNTOLD_OVER: usize = 512;

/// The news about an alert in a notice.
///
/// ```
/// assert_eq!(serde_json::to_string(&sentinel_core::alert::Status::Still).unwrap(), r#""still""#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// The alert began to fire.
    Firing,
    /// The alert still fires and was told before.
    Still,
    /// The alert is over; also when no notice told its beginning ([`Alert::told`]).
    Resolved,
}

/// An alert in a notice.
///
/// ```
/// # use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State, Status};
/// # use sentinel_core::Kind;
/// # let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
/// # let alerts = Alerts::new("shop", Rules::default())?;
/// let (state, _) = alerts.step(State::default(), 7, Some(&facts));
/// let notice = alerts.step(state, 15_007, None).1.notice.unwrap();
/// assert_eq!(notice.listed[0].status, Status::Firing);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// The news about it.
    pub status: Status,
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
}

/// One notice to people, about one or several alerts.
///
/// ```
/// # use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State};
/// # use sentinel_core::Kind;
/// # let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
/// # let alerts = Alerts::new("shop", Rules::default())?;
/// let (state, _) = alerts.step(State::default(), 7, Some(&facts));
/// let notice = alerts.step(state, 15_007, None).1.notice.unwrap();
/// assert_eq!((notice.firing, notice.resolved, notice.more, notice.still), (1, 0, 0, 0));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Notice {
    /// Id of the notice, the same in every process that resumes the state.
    pub id: AlertId,
    /// The moment when it was made, Unix ms.
    pub at_ms: i64,
    /// Name of the service.
    pub service: String,
    /// The most important of its alerts, at most 20: new ones first, then repeated ones, then resolved ones.
    pub listed: Vec<Listed>,
    /// Number of its alerts beyond those listed.
    pub more: usize,
    /// Number of its alerts that began to fire.
    pub firing: usize,
    /// Number of its alerts that are over.
    pub resolved: usize,
    /// Number of alerts of the service that fire and were told before, repeated here or not.
    pub still: usize,
    /// Conditions that found no place among the followed alerts at the last look.
    pub without_place: u64,
    /// A test whether notices arrive: it concerns no alert.
    pub test: bool,
}

impl Notice {
    /// A notice without alerts, to test whether notices arrive. The id is derived from the service and the moment (Unix ms).
    ///
    /// ```
    /// use sentinel_core::alert::Notice;
    ///
    /// let message = Notice::test("shop", 1_700_000_000_000).message();
    /// assert_eq!(message.title, "🔔 Sentinel: test alert of shop");
    /// ```
    #[must_use]
    pub fn test(service: &str, at_ms: i64) -> Self {
        Self {
            id: id_of([service.as_bytes(), b"test", &at_ms.to_le_bytes()]),
            at_ms,
            service: service.into(),
            listed: Vec::new(),
            more: 0,
            firing: 0,
            resolved: 0,
            still: 0,
            without_place: 0,
            test: true,
        }
    }

    /// Combines two notices that were not sent yet: an alert that began in this one and is over in the `later` one is removed here and
    /// told there as fired and resolved. Returns whether this notice still has something to tell.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Alerts, Facts, Grouping, Rules, State, Verdicts};
    /// # use sentinel_core::Kind;
    /// # use std::time::Duration;
    /// let grouping = Grouping { first: Duration::ZERO, then: Duration::ZERO, ..Grouping::default() };
    /// let verdict = Verdicts { keep_firing_for: Duration::ZERO, ..Verdicts::default() };
    /// let alerts = Alerts::new("shop", Rules { verdict, grouping, ..Rules::default() })?;
    /// let facts = Facts::new(0, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
    /// let (state, outcome) = alerts.step(State::default(), 0, Some(&facts));
    /// let mut fired = outcome.notice.unwrap();
    /// let mut over = alerts.step(state, 60_000, Some(&Facts::new(60_000, 600_000))).1.notice.unwrap();
    /// assert!(!fired.combine(&mut over)); // nothing is left to tell
    /// assert!(over.message().title.starts_with("✅ Sentinel: fired and resolved within 60 seconds: Everyone is hit"));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn combine(&mut self, later: &mut Self) -> bool {
        let over = |listed: &Listed| listed.status == Status::Resolved;
        self.listed.retain(|listed| {
            let same = |other: &&mut Listed| over(other) && other.alert.id == listed.alert.id;
            if listed.status == Status::Firing
                && let Some(other) = later.listed.iter_mut().find(same)
            {
                other.alert.told = false;
                self.firing = self.firing.saturating_sub(1);
                return false;
            }
            true
        });
        !self.listed.is_empty() || self.more > 0 || self.test
    }
}

/// An alert that a notice is about, listed in it or not.
struct Told {
    status: Status,
    /// Bad requests behind it.
    weight: u64,
    alert: Alert,
}

impl Told {
    /// The sort key of a notice: by status, then by rule, then by falling weight, then by key.
    fn order(&self) -> (Status, Rule, Reverse<u64>, &Key) {
        (self.status, self.alert.key.rule, Reverse(self.weight), &self.alert.key)
    }
}

/// The time after which an alert that goes on is told again: a day at least for a certificate, which expires for weeks.
fn repeats(entry: &Entry, repeat: Duration) -> Duration {
    let daily = entry.alert.as_ref().is_some_and(|alert| alert.key.rule == Rule::CertificateExpiring);
    if daily { repeat.max(CERTIFICATE_REPEAT) } else { repeat }
}

impl Alerts {
    /// Makes the notice that is due at this step, if any, and marks its alerts as told.
    pub(super) fn group(&self, state: &mut State, time: StepTime) -> Option<Notice> {
        let Grouping { first, then, repeat } = self.rules.grouping;
        let add = |ms: &mut Option<u64>| *ms = ms.map(|ms| ms.saturating_add(time.passed_ms));
        add(&mut state.quiet_ms);
        state.entries.values_mut().for_each(|entry| add(&mut entry.told_ms));
        let fires = |entry: &&mut Entry| matches!(entry.phase, Phase::Firing | Phase::Recovering);
        let news = !state.over.is_empty() || state.entries.values_mut().filter(fires).any(|e| e.told_ms.is_none());
        if !news {
            state.waited_ms = None;
        } else if state.waited_ms.is_some() {
            add(&mut state.waited_ms);
        } else {
            state.waited_ms = Some(0);
        }
        let again = |entry: &Entry| entry.told_ms.is_some_and(|ms| at_least(ms, repeats(entry, repeat)));
        let tell_news = state.waited_ms.is_some_and(|ms| at_least(ms, first))
            && state.quiet_ms.is_none_or(|ms| at_least(ms, then))
            || state.over.len() >= MAX_UNTOLD_OVER;
        if !tell_news && !state.entries.values().any(again) {
            return None;
        }

        let mut about: Vec<Told> = Vec::new();
        let mut still = 0;
        for entry in state.entries.values_mut() {
            let again = again(entry);
            let Some(alert) = &mut entry.alert else { continue };
            let status = if alert.told { Status::Still } else { Status::Firing };
            still += usize::from(alert.told);
            if !alert.told || again {
                about.push(Told { status, weight: entry.weight, alert: alert.clone() });
                (alert.told, entry.told_ms) = (true, Some(0));
            }
        }
        let over = std::mem::take(&mut state.over).into_iter();
        about.extend(over.map(|alert| Told { status: Status::Resolved, weight: alert.evidence.errors, alert }));
        (state.waited_ms, state.quiet_ms) = (None, state.entries.values().any(|e| e.alert.is_some()).then_some(0));
        about.sort_by(|a, b| a.order().cmp(&b.order()));
        let with = |wanted: Status| about.iter().filter(|told| told.status == wanted).count();
        let (firing, resolved) = (with(Status::Firing), with(Status::Resolved));
        state.counts.notices = state.counts.notices.saturating_add(1);
        Some(Notice {
            id: self.notice_id(state.counts.notices, &about),
            at_ms: time.now_ms,
            service: self.service.clone(),
            more: about.len().saturating_sub(LISTED),
            firing,
            resolved,
            still,
            without_place: state.counts.without_place,
            test: false,
            listed: about.into_iter().take(LISTED).map(|Told { status, alert, .. }| Listed { status, alert }).collect(),
        })
    }

    /// An id of the notice's number and contents, so that two leaders that resume the same state agree on it.
    fn notice_id(&self, number: u64, about: &[Told]) -> AlertId {
        let number = number.to_le_bytes();
        let mut parts: Vec<&[u8]> = vec![self.service.as_bytes(), b"notice", &number];
        for Told { status, alert, .. } in about {
            parts.push(&alert.id.0);
            parts.push(if *status == Status::Resolved { b"resolved" } else { b"firing" });
        }
        id_of(parts)
    }
}
