//! Uptime checks of the leader process on the exporter's runtime: the probes that it starts, and what any process knows of checks.

use super::failures::{Failure, Failures};
use super::while_leading::{Duty, WhileLeading};
use crate::host_dir::Place;
use crate::probe::Probed;
use crate::uptime::{CheckPlan, Probing};
use sentinel_core::alert::{Facts, State};
use sentinel_core::uptime::{Cause, Check, CheckResult, Outcome, UptimeReport};
use std::time::{Duration, Instant};

/// Time for which a report that was read from the leader's log is told again, before it is read anew.
const REUSE_REPORT_FOR: Duration = Duration::from_secs(1);
/// Shortest interval that a report expects between two probes: three times as long without one is worth a note.
const MIN_SILENCE_MS: i64 = 60_000;
/// The thread takes a turn every second. When it has not for so long, the process was stopped, and deadlines have passed meanwhile.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// A probe that has ended.
pub(crate) struct EndedProbe {
    check: Box<Check>,
    /// Value of [`ProbeDuties::stalled`] when the probe began.
    stalled: Duration,
    probed: Probed,
}

impl Duty for Probing {
    type Ended = EndedProbe;
    const FAILURE: Failure = Failure::Uptime;

    fn is_held(&mut self) -> bool {
        Self::is_held(self)
    }

    fn torn(&self) -> u64 {
        Self::torn(self)
    }
}

/// A report that was read from the leader's log.
struct ReadReport {
    at: Instant,
    report: Result<UptimeReport, String>,
}

/// Uptime checks of one process. It only knows the plan, until it leads.
pub(crate) struct ProbeDuties {
    /// Directory of the log.
    state_dir: Place,
    /// The checks; `None` where none are configured.
    plan: Option<CheckPlan>,
    running: WhileLeading<Probing>,
    /// When the last turn of the thread began or ended.
    turned: Instant,
    /// Time in all during which the thread read no result: it was stopped, or busy.
    stalled: Duration,
    read: Option<ReadReport>,
}

impl ProbeDuties {
    pub(crate) fn new(state_dir: Place) -> Self {
        Self {
            state_dir,
            plan: None,
            running: WhileLeading::new(),
            turned: Instant::now(),
            stalled: Duration::ZERO,
            read: None,
        }
    }

    /// Takes other checks, or none any more.
    pub(crate) fn configure(&mut self, plan: Option<CheckPlan>, now_ms: i64, failures: &mut Failures) {
        match (self.running.get_mut(), &plan) {
            (Some(probing), Some(plan)) => {
                let configured = probing.configure(plan, now_ms);
                self.running.note(configured, failures);
            }
            _ => self.stop(),
        }
        (self.plan, self.read) = (plan, None);
    }

    pub(crate) fn is_planned(&self) -> bool {
        self.plan.is_some()
    }

    /// Goes on where the last leader has stopped, unless this process does already.
    pub(crate) fn take_over(&mut self, now_ms: i64, failures: &mut Failures) {
        if self.running.is_lost() {
            self.stop();
        }
        if let Some(plan) = &self.plan {
            self.running.start(|| Probing::open(&self.state_dir, plan, now_ms), failures);
        }
    }

    /// Stops probing. Nobody reads the results of the probes under way.
    pub(crate) fn stop(&mut self) {
        self.running.stop();
    }

    /// Notes that a turn of the thread begins. A thread that has slept too long before it was stopped.
    pub(crate) fn turn_began(&mut self) {
        let since = self.turned.elapsed();
        if since > STALLED_AFTER {
            self.stalled += since;
        }
        self.turned = Instant::now();
    }

    /// Notes that a turn of the thread has ended: no result was read during it.
    pub(crate) fn turn_ended(&mut self) {
        self.stalled += self.turned.elapsed();
        self.turned = Instant::now();
    }

    /// Starts a probe of each check that is due, as far as there is room.
    pub(crate) fn probe_due(&mut self, now_ms: i64) {
        let Some(plan) = &self.plan else { return };
        let room = room(plan.at_once).saturating_sub(self.running.task_count());
        let Some(probing) = self.running.get_mut() else { return };
        for check in probing.next(now_ms, room) {
            let (check, prober, stalled) = (Box::new(check), plan.prober.clone(), self.stalled);
            self.running.spawn(async move {
                let probed = prober.probe(&check, now_ms).await;
                EndedProbe { check, stalled, probed }
            });
        }
    }

    /// When a check is due next.
    pub(crate) fn wakes(&self, now_ms: i64) -> Option<Instant> {
        let (probing, plan) = self.running.get().zip(self.plan.as_ref())?;
        // While there is no room, the end of a probe wakes the thread.
        let at = probing.wakes_ms().filter(|_| self.running.task_count() < room(plan.at_once))?;
        Some(Instant::now() + Duration::from_millis(u64::try_from(at.saturating_sub(now_ms)).unwrap_or(0)))
    }

    /// The next probe that ends; never, while there is none. A check whose probe has panicked is probed again when it should have ended.
    pub(crate) async fn next_ended(&mut self) -> EndedProbe {
        self.running.next_ended().await
    }

    /// Records a probe that has ended, and all others that have ended by now: they are written down together.
    pub(crate) fn probe_ended(&mut self, ended: EndedProbe, now_ms: i64, failures: &mut Failures) {
        // One by one: a panic in one of them leaves the others where they are.
        let mut next = Some(ended);
        while let Some(EndedProbe { check, stalled, probed }) = next {
            let Some(probing) = self.running.get_mut() else { return };
            // The check may have changed since: then the result is of another target.
            if probing.is_current(&check) {
                let result = excused(&check, probed.result, self.stalled.saturating_sub(stalled));
                probing.done(&check.name, now_ms, result, probed.expires_ms);
            }
            next = self.running.try_next_ended();
        }
        let Some(probing) = self.running.get_mut() else { return };
        let written = probing.write(now_ms);
        self.running.note(written, failures);
    }

    /// Adds what alerts are judged by, where this process leads.
    pub(crate) fn facts(&self, facts: Facts, state: &State) -> Facts {
        match (self.running.get(), &self.plan) {
            (Some(probing), _) => probing.facts(facts, state),
            // Nothing is checked any more: alerts about targets are over.
            (None, None) => facts.with_targets(Vec::new(), None),
            // This process could not take over yet.
            (None, Some(_)) => facts,
        }
    }

    /// Reads what the leader has written, unless this process leads.
    pub(crate) fn read_from_leader(&mut self, now_ms: i64) {
        let fresh = self.read.as_ref().is_some_and(|read| read.at.elapsed() < REUSE_REPORT_FOR);
        if let (false, Some(plan), false) = (self.running.is_running(), &self.plan, fresh) {
            let report = Probing::read(&self.state_dir, plan, now_ms).map_err(|error| error.to_string());
            self.read = Some(ReadReport { at: Instant::now(), report });
        }
    }

    /// The report; `None` where no checks are configured.
    pub(crate) fn report(&self, now_ms: i64) -> Option<Result<UptimeReport, String>> {
        self.plan.as_ref()?;
        let mut report = match (self.running.get(), self.read.as_ref().map(|read| &read.report)) {
            (Some(probing), _) => probing.report(now_ms),
            (None, Some(Ok(report))) => report.clone(),
            (None, Some(Err(why))) => return Some(Err(why.clone())),
            (None, None) => return Some(Err("this process has not read the report of the leader yet".into())),
        };
        report.note =
            self.running.hindrance().cloned().or_else(|| (!report.leader).then(|| silence(&report)).flatten());
        Some(Ok(report))
    }
}

/// A note when no probe has ended for too long: the leader process may know of no checks.
fn silence(report: &UptimeReport) -> Option<String> {
    let watched = || report.checks.iter().filter(|check| !check.paused);
    let expected_ms = i64::from(watched().map(|check| check.interval_ms).min()?).max(MIN_SILENCE_MS);
    let Some(began) = watched().filter_map(|check| check.last.map(|last| last.at_ms)).max() else {
        return Some("no probe has ended yet".into());
    };
    let silent_ms = report.as_of.saturating_sub(began);
    let minutes = silent_ms / 60_000;
    (silent_ms > 3 * expected_ms)
        .then(|| format!("no probe has ended for {minutes} minutes; all processes of the service need the same checks"))
}

/// A result during which this process was stalled for `stalled`: a target that may have answered in time is not called late.
fn excused(check: &Check, result: CheckResult, stalled: Duration) -> CheckResult {
    let limits = (check.timeout(), check.expect.max_latency);
    let excused = match (result.cause, limits, result.latency_us) {
        (Some(Cause::Timeout), (timeout, _), _) => stalled * 2 > timeout,
        (Some(Cause::Latency), (_, Some(most)), Some(us)) => {
            Duration::from_micros(us.into()).saturating_sub(stalled) <= most
        }
        _ => false,
    };
    if !excused {
        return result;
    }
    CheckResult { outcome: Outcome::Unknown, cause: Some(Cause::OwnNetwork), ..result }
}

/// Probes at a time: as many as are configured, and no more than a quarter of the file descriptors. The others are the host's.
fn room(at_once: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(at_once, |limit| at_once.min(usize::try_from(limit / 4).unwrap_or(usize::MAX)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_core::uptime::{Expect, Target};

    #[test]
    fn who_may_have_been_in_time_is_not_called_late() {
        let ms = Duration::from_millis;
        let check = Check {
            timeout: Some(ms(1_000)),
            expect: Expect { max_latency: Some(ms(200)), ..Expect::default() },
            ..Check::new("shop", Target::new("https://shop.example/").unwrap())
        };
        let of = |cause, latency_ms: u32, stood| {
            let result = CheckResult { latency_us: Some(latency_ms * 1_000), ..CheckResult::down(0, 60_000, cause) };
            excused(&check, result, ms(stood)).outcome == Outcome::Unknown
        };
        for (cause, latency_ms, stood, wanted) in [
            (Cause::Timeout, 0, 500, false),
            (Cause::Timeout, 0, 501, true),
            (Cause::Latency, 250, 49, false),
            (Cause::Latency, 250, 50, true),
            (Cause::Status, 250, 900, false),
            (Cause::Connect, 250, 900, false),
        ] {
            assert_eq!(of(cause, latency_ms, stood), wanted, "{cause} {latency_ms} {stood}");
        }
    }

    #[test]
    fn silence_is_worth_a_word() {
        use sentinel_core::uptime::{Checks, Uptime};
        let check = |name: &str, paused| {
            let target = Target::new("https://shop.example/").unwrap();
            Check { paused, ..Check::new(name, target) }
        };
        let mut uptime = Uptime::default();
        let _ = uptime.configure(Checks::new(vec![check("a", false), check("b", true)]).unwrap(), 0);
        let _ = uptime.record("a", 60_000, CheckResult::up(60_000, 60_000), None);
        assert_eq!(silence(&uptime.report(240_000)), None);
        assert!(silence(&uptime.report(240_001)).unwrap().starts_with("no probe has ended for 3 minutes"));
        assert_eq!(silence(&Uptime::default().report(i64::MAX)), None);
        let mut uptime = Uptime::default();
        let _ = uptime.configure(Checks::new(vec![check("a", false)]).unwrap(), 0);
        assert_eq!(silence(&uptime.report(0)).as_deref(), Some("no probe has ended yet"));
    }

    #[test]
    fn most_file_descriptors_are_the_hosts() {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(room(usize::MAX) as u64 <= limit / 4 || limit == u64::MAX);
        assert_eq!(room(1), 1);
    }
}
