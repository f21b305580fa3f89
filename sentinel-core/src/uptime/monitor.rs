//! One check with its schedule, state and history, and its testimony about this side's own network.

use super::check::Check;
use super::engine::After;
use super::history::History;
use super::network::Witness;
use super::result::{Cause, CheckResult, Outcome};
use super::schedule::{Due, Schedule};
use super::state::{State, StateStep, Status};
use sha2::{Digest, Sha256};

/// Time in milliseconds after which a running probe that passed its timeout counts as lost, and a late first probe as skipped.
pub(super) const PROBE_GRACE_MS: i64 = 5_000;

/// One check with its schedule, state and history.
#[derive(Debug, Clone)]
pub(super) struct Monitor {
    pub(super) check: Check,
    pub(super) schedule: Schedule,
    pub(super) state: State,
    pub(super) history: History,
    /// Hash of the host: several checks of one host tell no more about the network than one of them.
    pub(super) host: u64,
    /// Moment of the first probe of a check that is new, changed or resumed, Unix ms; `None` once it was probed.
    pub(super) first_ms: Option<i64>,
    /// Moment on the grid of the last probe, Unix ms.
    pub(super) last_ms: i64,
    /// A probe is running, and counts as lost after this moment, Unix ms.
    pub(super) busy_ms: Option<i64>,
    /// Moments on the grid at which no process probed.
    pub(super) missed: u64,
    /// The check failed in the current outage of this side's network.
    pub(super) disowned: bool,
}

impl Monitor {
    pub(super) fn new(check: Check, now_ms: i64) -> Self {
        let schedule = Schedule::new(&check.name, u64::from(check.interval_ms()));
        Self {
            schedule,
            state: State { since_ms: now_ms, ..State::default() },
            history: History::new(now_ms),
            host: hash(check.target.host()),
            first_ms: Some(schedule.first(now_ms)),
            last_ms: now_ms,
            busy_ms: None,
            missed: 0,
            disowned: false,
            check,
        }
    }

    /// The next moment on the grid, and the number of moments that were left out before it.
    pub(super) fn due(&self, now_ms: i64) -> Due {
        match self.first_ms {
            Some(first) if now_ms <= first.saturating_add(PROBE_GRACE_MS) => Due { at_ms: first, missed: 0 },
            first => {
                let due = self.schedule.next(first.unwrap_or(self.last_ms), now_ms);
                Due { missed: due.missed + u64::from(first.is_some()), ..due }
            }
        }
    }

    /// Schedules a first probe anew.
    pub(super) fn restart(&mut self, now_ms: i64) {
        self.schedule = Schedule::new(&self.check.name, u64::from(self.check.interval_ms()));
        (self.first_ms, self.busy_ms) = (Some(self.schedule.first(now_ms)), None);
    }

    /// Makes the status unknown from now on, and marks that in the history.
    pub(super) fn forget(&mut self, now_ms: i64, cause: Cause, after: &mut After) {
        let mark = CheckResult::unknown(now_ms, self.check.interval_ms(), cause).bounded();
        if self.history.record(mark, &self.check.maintenance) {
            after.marks.push((self.check.name.clone(), mark));
        }
        self.state.forget(&mut StateStep { check: &self.check, now_ms, changes: &mut after.changes });
        self.disowned = false;
    }

    /// Makes its failures since `since_ms` (Unix ms) unknown: they were due to this side's own network.
    pub(super) fn disown(&mut self, since_ms: i64) {
        self.disowned |= self.history.disown(since_ms) > 0;
        self.state.disown(since_ms);
    }

    /// Confirms that the target is down.
    pub(super) fn turns_down(&mut self, now_ms: i64, after: &mut After) {
        let mut at = StateStep { check: &self.check, now_ms, changes: &mut after.changes };
        self.state.turn(&mut at, Status::Down);
    }

    /// The check as a witness of the network; `None` if it can tell nothing: paused, confirmed down, in maintenance or blocked.
    pub(super) fn witness(&self, now_ms: i64) -> Option<Witness> {
        let silent = self.check.paused || self.state.confirmed() == Status::Down || self.check.in_maintenance(now_ms);
        let known = self.state.last.filter(|last| last.outcome != Outcome::Unknown || self.disowned);
        let fails = self.state.last.as_ref().is_some_and(CheckResult::may_be_ours);
        // A blocked address is never dialled, so it tells nothing about the network.
        let blocked = known.is_some_and(|last| last.cause == Some(Cause::Blocked));
        (!silent && !blocked).then(|| Witness {
            host: self.host,
            at_ms: known.map(|last| last.at_ms),
            fails: fails || known.is_some_and(|last| last.outcome == Outcome::Unknown),
            streak_ms: self.state.streak_ms,
        })
    }
}

/// The first 64 bits of the SHA-256 of a text.
pub(super) fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}
