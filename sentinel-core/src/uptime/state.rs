//! The state of a check: results become a confirmed status and changes, and flapping silences single changes.
//!
//! ```text
//!               `failures` in a row, and `network` agrees
//!   unknown ─┬────────────────────────────────────────────► down
//!            │   `successes` in a row       `failures` ▲      │
//!            └──────────────────────► up ──────────────┘      │
//!                                     ▲     `successes`       │
//!                                     └───────────────────────┘
//! ```
//!
//! The confirmed status and the displayed one differ: [`State::confirmed`] stays until the opposite is confirmed, so an alert does not
//! end because nobody probes; [`State::status`] becomes unknown when the last result no longer covers the moment.
//!
//! Invariants:
//! - A status is confirmed by results in a row only. A result that is unknown, or a failure in a maintenance window, ends the row.
//! - A row allows pauses of two intervals or two minutes, whichever is longer: when many targets hang and few can be probed at a time,
//!   each waits for its turn and is down all the same.
//! - `since_ms` is the first result of the row that confirmed the status, not the last: an outage began when it was first seen.
//! - [`State::record`] never calls a target down itself. The returned row is `NearlyComplete` one failure early, so that other checks can be asked
//!   in time, and `Complete` with the last one; the engine asks `network` and then calls [`State::turn`].
//!
//! Flapping: the sixth change within an hour is told as flapping. Further changes are recorded and not told, until half an hour passes
//! without one. Changes are counted, not failures, so an outage of any length is one change.

use super::check::{Check, Confirm};
use super::result::{Cause, CheckResult, Outcome};
use crate::util::civil::DAY_MS;
use crate::util::wire::MAX_COUNT;
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// Number of confirmed changes within [`FLAPPING_WINDOW_MS`] that are flapping.
pub(super) const FLAPPING_CHANGES: usize = 6;
const FLAPPING_WINDOW_MS: i64 = 3_600_000;
/// Time without a change after which a flapping target has settled, in milliseconds.
const SETTLED_MS: i64 = 1_800_000;
/// Results no further apart than this (in milliseconds) are in a row, however short the interval is.
const MIN_ROW_MS: i64 = 120_000;

/// The status of a target.
///
/// ```
/// assert_eq!(sentinel_core::uptime::Status::Down.to_string(), "down");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No knowledge: not probed yet or for too long, paused, or this side's network is down.
    #[default]
    Unknown,
    /// The target answers as expected.
    Up,
    /// The target does not answer as expected, and that is confirmed.
    Down,
}

impl Status {
    /// The name in JSON and messages.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Status::Up.name(), "up");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kind of a change.
///
/// ```
/// use sentinel_core::uptime::What;
/// assert_eq!(What::CertificateExpiring { expires_ms: 7 }.name(), "certificate_expiring");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
#[non_exhaustive]
pub enum What {
    /// The target is down: confirmed.
    Down,
    /// The target is up: confirmed.
    Up,
    /// The status is unknown from now on: the check was paused, removed or changed. Alerts about it end.
    Unknown,
    /// The target changes so often that single changes are not reported.
    Flapping,
    /// The target has stopped flapping, with this [`Status`].
    Settled {
        /// Status after flapping.
        status: Status,
    },
    /// The certificate expires within the configured days, or has expired.
    CertificateExpiring {
        /// Expiry, Unix ms.
        expires_ms: i64,
    },
    /// The certificate does not expire soon any more.
    CertificateRenewed {
        /// Expiry of the new certificate, Unix ms.
        expires_ms: i64,
    },
    /// Most targets fail at once: this side's network is down. The change belongs to no single check.
    NetworkDown,
    /// Targets answer again.
    NetworkUp,
}

impl What {
    /// The name in JSON and messages.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::What::NetworkDown.name(), "network_down");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
            Self::Unknown => "unknown",
            Self::Flapping => "flapping",
            Self::Settled { .. } => "settled",
            Self::CertificateExpiring { .. } => "certificate_expiring",
            Self::CertificateRenewed { .. } => "certificate_renewed",
            Self::NetworkDown => "network_down",
            Self::NetworkUp => "network_up",
        }
    }
}

/// One change, for the ledger, and for people where [`Change::tells`] is set.
///
/// ```
/// # use sentinel_core::uptime::{Change, What};
/// let change = Change { check: None, at_ms: 5_000, since_ms: 0, what: What::NetworkDown, cause: None, tells: true };
/// assert_eq!(serde_json::to_string(&change).unwrap(), r#"{"check":null,"at_ms":5000,"since_ms":0,"what":"network_down","cause":null,"tells":true}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Name of the check; `None` for a change of this side's network.
    pub check: Option<String>,
    /// Moment when the change was known, Unix ms.
    pub at_ms: i64,
    /// Start of the new status, Unix ms: the first of the results that confirmed it.
    pub since_ms: i64,
    /// The kind of a change.
    #[serde(flatten)]
    pub what: What,
    /// Cause of the failure.
    pub cause: Option<Cause>,
    /// People should be told. False for the first time up, and for single changes while the target flaps.
    pub tells: bool,
}

/// The row of failures after a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureRow {
    /// Neither of the others; also while the target is down already.
    Incomplete,
    /// One failure is missing: other checks should be asked now whether the network works.
    NearlyComplete,
    /// As many failures in a row as `confirm.failures` says; `network` decides whether the target is down.
    Complete,
}

/// The surroundings of a change of [`State`]: the check that it belongs to, the time, and the list that collects changes.
pub(super) struct StateStep<'a> {
    pub(super) check: &'a Check,
    /// Unix ms.
    pub(super) now_ms: i64,
    pub(super) changes: &'a mut Vec<Change>,
}

/// The state of a check: the confirmed status, and the row of results that is being counted.
///
/// ```
/// assert_eq!(sentinel_core::uptime::State::default().confirmed(), sentinel_core::uptime::Status::Unknown);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The status that was confirmed last.
    pub(super) status: Status,
    /// Moment since which it holds, Unix ms.
    pub(super) since_ms: i64,
    pub(super) cause: Option<Cause>,
    /// Number of results in a row with the same outcome, and the start of the first one, Unix ms.
    pub(super) streak: u32,
    pub(super) streak_ms: i64,
    pub(super) last: Option<CheckResult>,
    /// Moment of an early probe that continues a row, Unix ms.
    pub(super) confirm_ms: Option<i64>,
    /// The row of failures is complete, and other checks are asked first.
    pub(super) held: bool,
    /// Moments of the last confirmed changes, Unix ms; at most [`FLAPPING_CHANGES`].
    pub(super) turns: VecDeque<i64>,
    pub(super) flapping: bool,
    pub(super) expires_ms: Option<i64>,
    /// An expiring certificate was reported.
    pub(super) expiring: bool,
}

impl State {
    /// The status that was confirmed last, however old its results are.
    ///
    /// ```
    /// # use sentinel_core::uptime::{State, Status};
    /// assert_eq!(State::default().confirmed(), Status::Unknown);
    /// ```
    pub fn confirmed(&self) -> Status {
        self.status
    }

    /// The status at `now_ms` (Unix ms): unknown when the last result does not cover that moment.
    ///
    /// ```
    /// # use sentinel_core::uptime::{State, Status};
    /// assert_eq!(State::default().status(0), Status::Unknown);
    /// ```
    pub fn status(&self, now_ms: i64) -> Status {
        let known = |last: &CheckResult| last.outcome != Outcome::Unknown && now_ms < last.until_ms();
        if self.last.as_ref().is_some_and(known) { self.status } else { Status::Unknown }
    }

    /// The last result failed, confirmed or not.
    pub(super) fn is_failing(&self) -> bool {
        self.last.as_ref().is_some_and(CheckResult::is_down)
    }

    /// Takes a result that is newer than all before. With `calm` (maintenance) a failure does not count.
    pub(super) fn record(&mut self, at: &mut StateStep<'_>, result: CheckResult, calm: bool) -> FailureRow {
        let before = self.last.replace(result);
        self.confirm_ms = None;
        let mut row = FailureRow::Incomplete;
        let continues =
            before.is_some_and(|before| before.outcome == result.outcome && result.at_ms < follows_until(&before));
        if result.outcome == Outcome::Unknown || (result.is_down() && calm) {
            (self.streak, self.held) = (0, false);
        } else {
            if !continues || self.streak == 0 {
                (self.streak, self.streak_ms, self.held) = (0, result.at_ms, false);
            }
            self.streak = self.streak.saturating_add(1);
            let Confirm { failures, successes, .. } = at.check.confirm;
            let (becomes, takes) = if result.is_down() { (Status::Down, failures) } else { (Status::Up, successes) };
            match (self.status == becomes, self.streak >= takes) {
                (true, _) => {}
                (false, false) => {
                    self.confirm_soon(at.check, at.now_ms);
                    if becomes == Status::Down && self.streak + 1 == takes {
                        row = FailureRow::NearlyComplete;
                    }
                }
                (false, true) if becomes == Status::Down => row = FailureRow::Complete,
                (false, true) => self.turn(at, becomes),
            }
        }
        if self.is_failing() && self.status == Status::Down {
            self.cause = result.cause;
        }
        self.settle(at);
        row
    }

    /// Makes a probe due before the interval is over.
    pub(super) fn confirm_soon(&mut self, check: &Check, now_ms: i64) {
        let wait = check.confirm.every.min(check.interval);
        self.confirm_ms = Some(now_ms.saturating_add(millis(wait)).min(MAX_COUNT as i64));
    }

    /// Confirms a status, and records the change.
    pub(super) fn turn(&mut self, at: &mut StateStep<'_>, to: Status) {
        let now_ms = at.now_ms;
        let from = std::mem::replace(&mut self.status, to);
        (self.since_ms, self.held) = (self.streak_ms, false);
        self.cause = self.last.and_then(|last| last.cause);
        let mut news = to == Status::Down || from == Status::Down;
        let mut begins = false;
        if news {
            self.turns.retain(|turn| now_ms.saturating_sub(*turn) < FLAPPING_WINDOW_MS);
            if self.turns.len() == FLAPPING_CHANGES {
                self.turns.pop_front();
            }
            self.turns.push_back(now_ms);
            begins = !self.flapping && self.turns.len() == FLAPPING_CHANGES;
            self.flapping |= begins;
        }
        news &= !self.flapping;
        let what = if to == Status::Down { What::Down } else { What::Up };
        at.changes.push(self.change(at.check, now_ms, what, news));
        if begins {
            at.changes.push(self.change(at.check, now_ms, What::Flapping, true));
        }
    }

    /// Ends flapping after [`SETTLED_MS`] without a change.
    fn settle(&mut self, at: &mut StateStep<'_>) {
        let now_ms = at.now_ms;
        // A clock that was set back does not prolong flapping.
        self.turns.iter_mut().for_each(|turn| *turn = (*turn).min(now_ms));
        let quiet = self.turns.back().is_none_or(|turn| now_ms.saturating_sub(*turn) >= SETTLED_MS);
        if self.flapping && quiet {
            self.flapping = false;
            self.turns.clear();
            at.changes.push(self.change(at.check, now_ms, What::Settled { status: self.status }, true));
        }
    }

    /// Takes the expiry of the certificate that a probe saw, Unix ms.
    pub(super) fn certificate(&mut self, at: &mut StateStep<'_>, expires_ms: i64) {
        let now_ms = at.now_ms;
        let expires_ms = expires_ms.clamp(-(MAX_COUNT as i64), MAX_COUNT as i64);
        self.expires_ms = Some(expires_ms);
        let soon = i64::from(at.check.certificate_days) * DAY_MS;
        let expiring = soon > 0 && expires_ms.saturating_sub(now_ms) <= soon;
        let what = match (std::mem::replace(&mut self.expiring, expiring), expiring) {
            (false, true) => What::CertificateExpiring { expires_ms },
            (true, false) => What::CertificateRenewed { expires_ms },
            _ => return,
        };
        let change = self.change(at.check, now_ms, what, true);
        at.changes.push(Change { since_ms: now_ms, cause: None, ..change });
    }

    /// Makes a failure since `since_ms` (Unix ms) unknown: this side's own network caused it.
    pub(super) fn disown(&mut self, since_ms: i64) {
        if let Some(last) = self.last.as_mut().filter(|last| last.may_be_ours() && last.at_ms >= since_ms) {
            (last.outcome, last.cause) = (Outcome::Unknown, Some(Cause::OwnNetwork));
            (self.streak, self.held, self.confirm_ms) = (0, false, None);
        }
    }

    /// Resets the state of a check that was paused, removed or changed. The change is told if people know of a problem that ends by it.
    pub(super) fn forget(&mut self, at: &mut StateStep<'_>) {
        let now_ms = at.now_ms;
        let Self { status, flapping, expiring, .. } = std::mem::take(self);
        self.since_ms = now_ms;
        if status != Status::Unknown {
            let told = status == Status::Down || flapping || expiring;
            at.changes.push(Change { since_ms: now_ms, ..self.change(at.check, now_ms, What::Unknown, told) });
        }
    }

    /// Handles a clock that was set back: the row of results starts anew, the confirmed status stays.
    pub(super) fn set_back(&mut self, now_ms: i64) {
        if self.last.is_some_and(|last| last.at_ms > now_ms) {
            self.last = None;
        }
        (self.streak, self.held, self.confirm_ms) = (0, false, None);
        self.since_ms = self.since_ms.min(now_ms);
    }

    fn change(&self, check: &Check, at_ms: i64, what: What, tells: bool) -> Change {
        Change { check: Some(check.name.clone()), at_ms, since_ms: self.since_ms, what, cause: self.cause, tells }
    }
}

/// The moment (Unix ms) before which a next result must begin to continue the row: two intervals, or [`MIN_ROW_MS`] where that is longer.
/// When many targets hang and few can be probed at a time, each waits for its turn, and is down all the same.
fn follows_until(before: &CheckResult) -> i64 {
    before.until_ms().max(before.at_ms.saturating_add(MIN_ROW_MS))
}

/// A duration in whole milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
