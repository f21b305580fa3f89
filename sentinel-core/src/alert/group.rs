//! How alerts become notices: what happens together is told together, what goes on is told again, and rarely.

use super::LISTED;
use super::engine::Alerts;
use super::key::{AlertId, id_of};
use super::rule::{Grouping, Rule};
use super::state::{Alert, Entry, Phase, State};
use super::time::{Time, at_least};
use serde::Serialize;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

/// So many that are over are not kept waiting.
const MAX_OVER: usize = 512;

/// What a notice says of an alert.
///
/// ```
/// assert_eq!(serde_json::to_string(&sentinel_core::alert::Status::Still).unwrap(), r#""still""#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// It began to fire.
    Firing,
    /// It goes on, and was told before.
    Still,
    /// It is over; also when nobody was told that it began ([`Alert::told`]).
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
    /// What is said of it.
    pub status: Status,
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
}

/// What people are told at once.
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
    /// What it is known by: the same in every process that resumes the state.
    pub id: AlertId,
    /// When it was made, Unix ms.
    pub at_ms: i64,
    /// The service.
    pub service: String,
    /// The most important alerts that it is about, 20 at most: first what fires, then what goes on, then what is over.
    pub listed: Vec<Listed>,
    /// Alerts that it is about and does not list.
    pub more: usize,
    /// Of all it is about, those that began to fire.
    pub firing: usize,
    /// Of all it is about, those that are over.
    pub resolved: usize,
    /// All others that fire: told before, or told again here.
    pub still: usize,
    /// Alerts that could not be followed, there are so many.
    pub without_place: u64,
    /// Somebody tries whether notices arrive: it is about nothing.
    pub test: bool,
}

impl Notice {
    /// One that is about nothing, to try whether notices arrive. Its id is of the service and the moment.
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

    /// Of two notices that nobody has been told yet, what began in this one and is over in the `later` one is told there, as that:
    /// it fired and resolved. Says whether anything of this one is left to tell.
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
    /// assert!(!fired.combine(&mut over)); // nothing is left of it
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

/// How often what goes on is told again. A certificate is for the day: it expires for weeks.
fn repeats(entry: &Entry, repeat: Duration) -> Duration {
    let daily = entry.alert.as_ref().is_some_and(|alert| alert.key.rule == Rule::CertificateExpiring);
    if daily { repeat.max(DAY) } else { repeat }
}

impl Alerts {
    /// Told: what is new after 15 s, then every 5 min while anything fires; what goes on, every 4 h.
    pub(super) fn group(&self, state: &mut State, time: Time) -> Option<Notice> {
        let Grouping { first, then, repeat } = self.rules.grouping;
        let add = |ms: &mut Option<u64>| *ms = ms.map(|ms| ms.saturating_add(time.passed));
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
            || state.over.len() >= MAX_OVER;
        if !tell_news && !state.entries.values().any(again) {
            return None;
        }

        let mut about: Vec<(Status, u64, Alert)> = Vec::new();
        let mut still = 0;
        for entry in state.entries.values_mut() {
            let again = again(entry);
            let Some(alert) = &mut entry.alert else { continue };
            let status = if alert.told { Status::Still } else { Status::Firing };
            still += usize::from(alert.told);
            if !alert.told || again {
                about.push((status, entry.weight, alert.clone()));
                (alert.told, entry.told_ms) = (true, Some(0));
            }
        }
        about.extend(
            std::mem::take(&mut state.over).into_iter().map(|alert| (Status::Resolved, alert.evidence.errors, alert)),
        );
        (state.waited_ms, state.quiet_ms) = (None, state.entries.values().any(|e| e.alert.is_some()).then_some(0));
        about.sort_by(|(a, x, one), (b, y, other)| {
            (a, one.key.rule, y, &one.key).cmp(&(b, other.key.rule, x, &other.key))
        });
        let with = |wanted: Status| about.iter().filter(|(status, ..)| *status == wanted).count();
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
            listed: about.into_iter().take(LISTED).map(|(status, _, alert)| Listed { status, alert }).collect(),
        })
    }

    fn notice_id(&self, number: u64, about: &[(Status, u64, Alert)]) -> AlertId {
        let number = number.to_le_bytes();
        let mut parts: Vec<&[u8]> = vec![self.service.as_bytes(), b"notice", &number];
        for (status, _, alert) in about {
            parts.push(&alert.id.0);
            parts.push(if *status == Status::Resolved { b"resolved" } else { b"firing" });
        }
        id_of(parts)
    }
}
