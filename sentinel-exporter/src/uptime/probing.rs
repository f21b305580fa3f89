//! The uptime checks of a service on a host, in its leader process.

use super::result_log::ResultLog;
use crate::config::Config;
use crate::host_dir::{Place, StoreError};
use crate::probe::Prober;
use sentinel_core::ConfigError;
use sentinel_core::alert::{Facts, State};
use sentinel_core::uptime::{After, Check, CheckResult, Checks, Uptime, UptimeReport};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Interval in ms at which the state of all checks together is written: the next leader takes the time from it.
const SHARED_EVERY_MS: i64 = 60_000;
/// The core waits for a clock that was set back by less than this, in ms; see `Uptime`.
const SET_BACK_MS: i64 = 60_000;

/// The checks and their prober, made from a configuration.
#[derive(Debug, Clone)]
pub(crate) struct CheckPlan {
    pub(crate) service: String,
    pub(crate) checks: Checks,
    pub(crate) prober: Prober,
    pub(crate) at_once: usize,
}

impl CheckPlan {
    /// The plan of a configuration; `None` where there is nothing to check.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some((service, options)) = config.service.as_deref().zip(config.uptime.as_ref()) else { return Ok(None) };
        let (checks, prober) = options.made().map_err(|error| error.within("uptime"))?;
        Ok(Some(Self { service: service.into(), checks, prober, at_once: options.at_once }))
    }
}

/// The checks, when each is due, and the log of results.
#[derive(Debug)]
pub(crate) struct Probing {
    service: String,
    uptime: Uptime,
    log: ResultLog,
    /// When each is due, Unix ms; `None` while it is paused.
    checks: HashMap<Arc<str>, Option<i64>>,
    /// Checks by the time when they are due, Unix ms.
    due: BTreeSet<(i64, Arc<str>)>,
    now_ms: i64,
    shared_ms: i64,
}

impl Probing {
    /// Goes on where the last leader has stopped.
    pub(crate) fn open(place: &Place, plan: &CheckPlan, now_ms: i64) -> Result<Self, StoreError> {
        let mut uptime = Uptime::default();
        // No result is known yet, so nothing follows from it.
        let _ = uptime.configure(plan.checks.clone(), now_ms);
        let log = ResultLog::open(place, &mut uptime)?;
        let (checks, due, service) = (HashMap::new(), BTreeSet::new(), plan.service.clone());
        let mut probing = Self { service, uptime, log, checks, due, now_ms, shared_ms: i64::MIN };
        probing.arrange(&plan.checks, now_ms);
        // What cannot be written now is written with the next results.
        let _ = probing.write(now_ms);
        Ok(probing)
    }

    /// Takes other checks.
    ///
    /// # Errors
    /// The log could not be written.
    pub(crate) fn configure(&mut self, plan: &CheckPlan, now_ms: i64) -> Result<(), StoreError> {
        // The log is made anew below: it has the changes that follow, and not the checks that are gone.
        let _ = self.uptime.configure(plan.checks.clone(), now_ms);
        self.arrange(&plan.checks, now_ms);
        self.log.renew(&self.uptime)
    }

    fn arrange(&mut self, checks: &Checks, now_ms: i64) {
        (self.due, self.checks) = (BTreeSet::new(), HashMap::new());
        for check in checks.iter() {
            self.checks.insert(check.name.as_str().into(), None);
            self.plan(&check.name, now_ms);
        }
    }

    /// Computes when a check is due.
    fn plan(&mut self, name: &str, now_ms: i64) {
        let Some((name, _)) = self.checks.get_key_value(name) else { return };
        let name = Arc::clone(name);
        let due_ms = self.uptime.next(&name, now_ms);
        if let Some(before) = self.checks.insert(Arc::clone(&name), due_ms).flatten() {
            self.due.remove(&(before, Arc::clone(&name)));
        }
        if let Some(due_ms) = due_ms {
            self.due.insert((due_ms, name));
        }
    }

    /// The checks to probe now, at most `room`; each is to be followed by [`Probing::done`].
    pub(crate) fn next(&mut self, now_ms: i64, room: usize) -> Vec<Check> {
        if now_ms < self.now_ms.saturating_sub(SET_BACK_MS) {
            self.uptime.tick(now_ms);
            // The clock was set back: results after the new time are removed from the log as well.
            let _ = self.log.renew(&self.uptime);
            let names: Vec<Arc<str>> = self.checks.keys().cloned().collect();
            names.iter().for_each(|name| self.plan(name, now_ms));
        }
        self.now_ms = now_ms;
        let due = self.due.range(..=(now_ms, Arc::from("\u{10ffff}"))).take(room).map(|(_, name)| Arc::clone(name));
        let due: Vec<Arc<str>> = due.collect();
        let mut next = Vec::new();
        for name in due {
            let begun = self.uptime.begin(&name, now_ms);
            self.plan(&name, now_ms);
            next.extend(self.uptime.check(&name).filter(|_| begun).cloned());
        }
        next
    }

    /// When a check is due next, Unix ms.
    pub(crate) fn wakes_ms(&self) -> Option<i64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whether the check is still configured as it was when the probe began.
    pub(crate) fn is_current(&self, check: &Check) -> bool {
        self.uptime.check(&check.name) == Some(check)
    }

    /// Records the result of a probe; it is on disk after the next [`Probing::write`].
    pub(crate) fn done(&mut self, name: &str, now_ms: i64, result: CheckResult, expires_ms: Option<i64>) -> After {
        let after = self.uptime.record(name, now_ms, result, expires_ms);
        if let Some(stored) = after.stored {
            self.log.result(name, stored);
        }
        self.note(&after);
        self.plan(name, now_ms);
        after.sooner.iter().for_each(|name| self.plan(name, now_ms));
        after
    }

    /// Notes further changes in this order, in which the log is read back.
    fn note(&mut self, after: &After) {
        if let Some(since_ms) = after.disowned_ms {
            self.log.disown(since_ms);
        }
        for change in &after.changes {
            match &change.check {
                // The next leader then reports the same state.
                Some(check) => self.log.state(check, &self.uptime),
                None => self.log.shared(&self.uptime),
            }
        }
    }

    /// Writes the results.
    ///
    /// # Errors
    /// The log could not be written: the results are written with the next ones.
    pub(crate) fn write(&mut self, now_ms: i64) -> Result<(), StoreError> {
        if now_ms.abs_diff(self.shared_ms) >= SHARED_EVERY_MS as u64 {
            self.shared_ms = now_ms;
            self.log.shared(&self.uptime);
        }
        self.log.write(&self.uptime, now_ms)
    }

    /// Adds the facts about targets that alerts are judged by.
    pub(crate) fn facts(&self, facts: Facts, state: &State) -> Facts {
        let followed: BTreeSet<&str> = state.targets().collect();
        facts.with_targets(self.uptime.troubled(&followed), self.uptime.network().down_since_ms())
    }

    /// Whether this process still holds the log.
    pub(crate) fn is_held(&mut self) -> bool {
        self.log.is_held()
    }

    /// Bytes that the last leader has left half written.
    pub(crate) fn torn(&self) -> u64 {
        self.log.torn()
    }

    pub(crate) fn report(&self, now_ms: i64) -> UptimeReport {
        let mut report = self.uptime.report(now_ms);
        report.service.clone_from(&self.service);
        report.leader = true;
        report
    }

    /// The report as the leader has written it down.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) fn read(place: &Place, plan: &CheckPlan, now_ms: i64) -> Result<UptimeReport, StoreError> {
        let mut uptime = Uptime::default();
        let _ = uptime.configure(plan.checks.clone(), now_ms);
        ResultLog::read(place, &mut uptime)?;
        let mut report = uptime.report(now_ms);
        report.service.clone_from(&plan.service);
        Ok(report)
    }

    #[cfg(test)]
    pub(super) fn uptime(&self) -> &Uptime {
        &self.uptime
    }

    #[cfg(test)]
    pub(super) fn fill(&mut self) {
        self.log.fill();
    }
}
