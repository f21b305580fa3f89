//! Whether a target is up or down: results that are confirmed, changes that are told, and those that are not while it flaps.

use super::check::{Check, Confirm};
use super::result::{Cause, CheckResult, Outcome};
use crate::util::wire::MAX_COUNT;
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// So many changes within [`FLAPS_MS`] are flapping.
pub(super) const FLAPS: usize = 6;
const FLAPS_MS: i64 = 3_600_000;
/// Without a change for so long it has settled.
const SETTLED_MS: i64 = 1_800_000;
const DAY_MS: i64 = 86_400_000;
/// Results no further apart are in a row, however short the interval is.
const ROW_MS: i64 = 120_000;

/// What is known of a target now.
///
/// ```
/// assert_eq!(sentinel_core::uptime::Status::Down.to_string(), "down");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing: not probed yet or for too long, paused, or this side's network is down.
    #[default]
    Unknown,
    /// It answers as it should.
    Up,
    /// It does not, and that is confirmed.
    Down,
}

impl Status {
    /// As it is spelled everywhere.
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

/// What has changed.
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
    /// It is up: confirmed.
    Up,
    /// Nothing is known of it any more: it was paused, removed, or is another target now. Its alerts are over.
    Unknown,
    /// It goes up and down so often that single changes are no news.
    Flapping,
    /// It has stopped flapping; it is what its [`Status`] says.
    Settled {
        /// What it is.
        status: Status,
    },
    /// Its certificate expires soon, or has expired.
    CertificateExpiring {
        /// When, Unix ms.
        expires_ms: i64,
    },
    /// Its certificate does not expire soon any more.
    CertificateRenewed {
        /// When it expires, Unix ms.
        expires_ms: i64,
    },
    /// Most targets fail at once: it is this side's network. Of no single check.
    NetworkDown,
    /// Targets answer again.
    NetworkUp,
}

impl What {
    /// As it is spelled everywhere.
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

/// A change, once: for the ledger, and where it [`tells`](Change::tells) for people.
///
/// ```
/// # use sentinel_core::uptime::{Change, What};
/// let change = Change { check: None, at_ms: 5_000, since_ms: 0, what: What::NetworkDown, cause: None, tells: true };
/// assert_eq!(serde_json::to_string(&change).unwrap(), r#"{"check":null,"at_ms":5000,"since_ms":0,"what":"network_down","cause":null,"tells":true}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The check's name; `None` where it is about all of them.
    pub check: Option<String>,
    /// When it was known, Unix ms.
    pub at_ms: i64,
    /// Since when it is so: the first of the results that confirmed it, Unix ms.
    pub since_ms: i64,
    /// What has changed.
    #[serde(flatten)]
    pub what: What,
    /// Why it is down.
    pub cause: Option<Cause>,
    /// People are to be told. Not of the first time up, and not of single changes while it flaps.
    pub tells: bool,
}

/// What follows from a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Stays,
    /// One failure less than it takes: time to know whether others can be reached.
    Nearly,
    /// As many failures in a row as it takes: whether they are the target's is for `network` to say.
    Fails,
}

/// Where a check stands: what is confirmed, and what is being counted.
///
/// ```
/// assert_eq!(sentinel_core::uptime::State::default().confirmed(), sentinel_core::uptime::Status::Unknown);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// What was confirmed last.
    pub(super) status: Status,
    pub(super) since_ms: i64,
    pub(super) cause: Option<Cause>,
    /// Results in a row that say the same, and when the first of them began.
    pub(super) streak: u32,
    pub(super) streak_ms: i64,
    pub(super) last: Option<CheckResult>,
    /// When to ask again, so that it is known soon.
    pub(super) confirm_ms: Option<i64>,
    /// It would be down, and others are asked first.
    pub(super) held: bool,
    /// The last confirmed changes, at most [`FLAPS`].
    pub(super) turns: VecDeque<i64>,
    pub(super) flapping: bool,
    pub(super) expires_ms: Option<i64>,
    /// People know that it expires.
    pub(super) expiring: bool,
}

impl State {
    /// What was confirmed last, whatever has been known since.
    ///
    /// ```
    /// # use sentinel_core::uptime::{State, Status};
    /// assert_eq!(State::default().confirmed(), Status::Unknown);
    /// ```
    pub fn confirmed(&self) -> Status {
        self.status
    }

    /// What is known at `now_ms`: nothing, where the last result does not reach until then.
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

    /// Takes a result that is newer than all before. `calm`: failures are no news now (maintenance).
    pub(super) fn record(
        &mut self,
        check: &Check,
        now_ms: i64,
        result: CheckResult,
        calm: bool,
        out: &mut Vec<Change>,
    ) -> Step {
        let before = self.last.replace(result);
        self.confirm_ms = None;
        let mut step = Step::Stays;
        let continues =
            before.is_some_and(|before| before.outcome == result.outcome && result.at_ms < follows_until(&before));
        if result.outcome == Outcome::Unknown || (result.is_down() && calm) {
            (self.streak, self.held) = (0, false);
        } else {
            if !continues || self.streak == 0 {
                (self.streak, self.streak_ms, self.held) = (0, result.at_ms, false);
            }
            self.streak = self.streak.saturating_add(1);
            let Confirm { failures, successes, .. } = check.confirm;
            let (becomes, takes) = if result.is_down() { (Status::Down, failures) } else { (Status::Up, successes) };
            match (self.status == becomes, self.streak >= takes) {
                (true, _) => {}
                (false, false) => {
                    self.confirm_soon(check, now_ms);
                    if becomes == Status::Down && self.streak + 1 == takes {
                        step = Step::Nearly;
                    }
                }
                (false, true) if becomes == Status::Down => step = Step::Fails,
                (false, true) => self.turn(check, now_ms, becomes, out),
            }
        }
        if self.is_failing() && self.status == Status::Down {
            self.cause = result.cause;
        }
        self.settle(check, now_ms, out);
        step
    }

    /// It is asked again before its interval is over.
    pub(super) fn confirm_soon(&mut self, check: &Check, now_ms: i64) {
        let wait = check.confirm.every.min(check.interval);
        self.confirm_ms = Some(now_ms.saturating_add(millis(wait)).min(MAX_COUNT as i64));
    }

    /// It is down, or up, and that is confirmed.
    pub(super) fn turn(&mut self, check: &Check, now_ms: i64, to: Status, out: &mut Vec<Change>) {
        let from = std::mem::replace(&mut self.status, to);
        (self.since_ms, self.held) = (self.streak_ms, false);
        self.cause = self.last.and_then(|last| last.cause);
        let mut news = to == Status::Down || from == Status::Down;
        let mut begins = false;
        if news {
            self.turns.retain(|turn| now_ms.saturating_sub(*turn) < FLAPS_MS);
            if self.turns.len() == FLAPS {
                self.turns.pop_front();
            }
            self.turns.push_back(now_ms);
            begins = !self.flapping && self.turns.len() == FLAPS;
            self.flapping |= begins;
        }
        news &= !self.flapping;
        let what = if to == Status::Down { What::Down } else { What::Up };
        out.push(self.change(check, now_ms, what, news));
        if begins {
            out.push(self.change(check, now_ms, What::Flapping, true));
        }
    }

    fn settle(&mut self, check: &Check, now_ms: i64, out: &mut Vec<Change>) {
        // A clock that was set back does not keep it flapping for longer.
        self.turns.iter_mut().for_each(|turn| *turn = (*turn).min(now_ms));
        let quiet = self.turns.back().is_none_or(|turn| now_ms.saturating_sub(*turn) >= SETTLED_MS);
        if self.flapping && quiet {
            self.flapping = false;
            self.turns.clear();
            out.push(self.change(check, now_ms, What::Settled { status: self.status }, true));
        }
    }

    /// When the certificate that was seen expires, Unix ms.
    pub(super) fn certificate(&mut self, check: &Check, now_ms: i64, expires_ms: i64, out: &mut Vec<Change>) {
        let expires_ms = expires_ms.clamp(-(MAX_COUNT as i64), MAX_COUNT as i64);
        self.expires_ms = Some(expires_ms);
        let soon = i64::from(check.certificate_days) * DAY_MS;
        let expiring = soon > 0 && expires_ms.saturating_sub(now_ms) <= soon;
        let what = match (std::mem::replace(&mut self.expiring, expiring), expiring) {
            (false, true) => What::CertificateExpiring { expires_ms },
            (true, false) => What::CertificateRenewed { expires_ms },
            _ => return,
        };
        out.push(Change { since_ms: now_ms, cause: None, ..self.change(check, now_ms, what, true) });
    }

    /// Its failures since then were this side's own.
    pub(super) fn disown(&mut self, since_ms: i64) {
        if let Some(last) = self.last.as_mut().filter(|last| last.may_be_ours() && last.at_ms >= since_ms) {
            (last.outcome, last.cause) = (Outcome::Unknown, Some(Cause::OwnNetwork));
            (self.streak, self.held, self.confirm_ms) = (0, false, None);
        }
    }

    /// Nothing is known of it any more: it was paused, removed or is another one. What ends is told to whom it was told.
    pub(super) fn forget(&mut self, check: &Check, now_ms: i64, out: &mut Vec<Change>) {
        let Self { status, flapping, expiring, .. } = std::mem::take(self);
        self.since_ms = now_ms;
        if status != Status::Unknown {
            let told = status == Status::Down || flapping || expiring;
            out.push(Change { since_ms: now_ms, ..self.change(check, now_ms, What::Unknown, told) });
        }
    }

    /// The clock was set back: what is counted begins anew, what is confirmed stays.
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

/// A result that began before then follows this one in a row. Not only for two intervals: where many hang and few can be asked at a
/// time, each has to wait for its turn, and they are down all the same.
fn follows_until(before: &CheckResult) -> i64 {
    before.until_ms().max(before.at_ms.saturating_add(ROW_MS))
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
