//! One check and everything about it: when it is probed, what is known of it, what it says of the network.

use super::check::Check;
use super::engine::After;
use super::history::History;
use super::network::Witness;
use super::result::{Cause, CheckResult, Outcome};
use super::schedule::{Due, Schedule};
use super::state::{State, StateStep, Status};
use sha2::{Digest, Sha256};

/// A probe that should have ended so long ago is not waited for.
pub(super) const PROBE_GRACE_MS: i64 = 5_000;

/// One check and everything about it.
#[derive(Debug, Clone)]
pub(super) struct Monitor {
    pub(super) check: Check,
    pub(super) schedule: Schedule,
    pub(super) state: State,
    pub(super) history: History,
    /// The host, hashed: checks of one host know nothing more of the network than one of them.
    pub(super) host: u64,
    /// The first moment of a check that is new, changed or resumed; then the last one that was probed at.
    pub(super) first_ms: Option<i64>,
    pub(super) last_ms: i64,
    /// A probe is on its way, until then at the latest.
    pub(super) busy_ms: Option<i64>,
    pub(super) missed: u64,
    /// It failed in the outage of this side's network that is going on.
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

    /// Its next regular moment, and what was left out before it.
    pub(super) fn due(&self, now_ms: i64) -> Due {
        match self.first_ms {
            Some(first) if now_ms <= first.saturating_add(PROBE_GRACE_MS) => Due { at_ms: first, missed: 0 },
            first => {
                let due = self.schedule.next(first.unwrap_or(self.last_ms), now_ms);
                Due { missed: due.missed + u64::from(first.is_some()), ..due }
            }
        }
    }

    pub(super) fn restart(&mut self, now_ms: i64) {
        self.schedule = Schedule::new(&self.check.name, u64::from(self.check.interval_ms()));
        (self.first_ms, self.busy_ms) = (Some(self.schedule.first(now_ms)), None);
    }

    /// From now on nothing is known of it.
    pub(super) fn forget(&mut self, now_ms: i64, cause: Cause, after: &mut After) {
        let mark = CheckResult::unknown(now_ms, self.check.interval_ms(), cause).bounded();
        if self.history.record(mark, &self.check.maintenance) {
            after.marks.push((self.check.name.clone(), mark));
        }
        self.state.forget(&mut StateStep { check: &self.check, now_ms, changes: &mut after.changes });
        self.disowned = false;
    }

    /// Its failures since then were this side's own.
    pub(super) fn disown(&mut self, since_ms: i64) {
        self.disowned |= self.history.disown(since_ms) > 0;
        self.state.disown(since_ms);
    }

    /// Confirms that the target is down.
    pub(super) fn turns_down(&mut self, now_ms: i64, after: &mut After) {
        let mut at = StateStep { check: &self.check, now_ms, changes: &mut after.changes };
        self.state.turn(&mut at, Status::Down);
    }

    pub(super) fn witness(&self, now_ms: i64) -> Option<Witness> {
        let silent = self.check.paused || self.state.confirmed() == Status::Down || self.check.in_maintenance(now_ms);
        let known = self.state.last.filter(|last| last.outcome != Outcome::Unknown || self.disowned);
        let fails = self.state.last.as_ref().is_some_and(CheckResult::may_be_ours);
        // Somebody who may not be asked knows nothing.
        let blocked = known.is_some_and(|last| last.cause == Some(Cause::Blocked));
        (!silent && !blocked).then(|| Witness {
            host: self.host,
            at_ms: known.map(|last| last.at_ms),
            fails: fails || known.is_some_and(|last| last.outcome == Outcome::Unknown),
            streak_ms: self.state.streak_ms,
        })
    }
}

/// 64 bits of a name: those that are alike are the same.
pub(super) fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}
