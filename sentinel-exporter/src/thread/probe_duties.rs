//! Probes on their way: the part of uptime checks that lives on the exporter's runtime.

use super::failures::{Failure, Failures};
use crate::host_dir::Place;
use crate::probe::Probed;
use crate::uptime::{CheckPlan, Probing};
use sentinel_core::alert::{Facts, State};
use sentinel_core::uptime::{Cause, Check, CheckResult, Outcome, UptimeReport};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long what the leader has written is good for, where others ask.
const REUSE_REPORT_FOR: Duration = Duration::from_secs(1);
/// Somebody probes at least so often, wherever there are checks: a third of the silence that is worth a word.
const MIN_SILENCE_MS: i64 = 60_000;
/// The thread does something every second. When it has not for so long it was stopped, and deadlines have passed meanwhile.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// A probe that has ended.
pub(crate) struct Found {
    check: Box<Check>,
    /// How long the thread had stood still when it began.
    stood: Duration,
    probed: Probed,
}

/// What one process does about uptime checks: nothing but to know of them, until it leads.
pub(crate) struct Round {
    /// Where what must survive is.
    state: Place,
    plan: Option<CheckPlan>,
    /// While it leads.
    probing: Option<Probing>,
    on_their_way: JoinSet<Found>,
    /// The thread's last turn, and how long it has stood still in all: stopped, or busy with something else.
    turned: Instant,
    stood: Duration,
    /// What whoever leads has written, or why that is not known, and when that was seen.
    read: Option<(Instant, Result<UptimeReport, String>)>,
    /// Why it cannot do what a leader has to.
    hindered: Option<String>,
}

impl Round {
    pub(crate) fn new(state: Place) -> Self {
        let (on_their_way, turned) = (JoinSet::new(), Instant::now());
        Self {
            state,
            plan: None,
            probing: None,
            on_their_way,
            turned,
            stood: Duration::ZERO,
            read: None,
            hindered: None,
        }
    }

    /// Other checks, or none any more.
    pub(crate) fn configure(&mut self, plan: Option<CheckPlan>, now_ms: i64, failures: &mut Failures) {
        match (&mut self.probing, &plan) {
            (Some(probing), Some(plan)) => {
                let configured = probing.configure(plan, now_ms);
                self.note(configured.map_err(|error| error.to_string()), failures);
            }
            _ => self.stop(),
        }
        (self.plan, self.read) = (plan, None);
    }

    /// Whether there is anything to check.
    pub(crate) fn is_planned(&self) -> bool {
        self.plan.is_some()
    }

    /// Takes over from whoever led before, unless that was this process.
    pub(crate) fn take_over(&mut self, now_ms: i64, failures: &mut Failures) {
        if self.probing.as_mut().is_some_and(|probing| !probing.is_held()) {
            self.stop();
        }
        let Some(plan) = self.plan.as_ref().filter(|_| self.probing.is_none()) else { return };
        match Probing::open(&self.state, plan, now_ms) {
            Ok(probing) => {
                if probing.torn() > 0 {
                    failures.count(Failure::Torn);
                }
                (self.probing, self.hindered) = (Some(probing), None);
            }
            Err(error) => self.note(Err(error.to_string()), failures),
        }
    }

    /// Leaves it to others. What is on its way is nobody's business any more.
    pub(crate) fn stop(&mut self) {
        if self.probing.take().is_some() {
            self.on_their_way = JoinSet::new();
        }
    }

    /// A turn of the thread begins.
    pub(crate) fn turn(&mut self) {
        let since = self.turned.elapsed();
        if since > STALLED_AFTER {
            self.stood += since;
        }
        self.turned = Instant::now();
    }

    /// It has ended: nobody was heard meanwhile.
    pub(crate) fn turned(&mut self) {
        self.stood += self.turned.elapsed();
        self.turned = Instant::now();
    }

    /// Probes who is due now.
    pub(crate) fn begin(&mut self, now_ms: i64) {
        let Some((probing, plan)) = self.probing.as_mut().zip(self.plan.as_ref()) else { return };
        let room = room(plan.at_once).saturating_sub(self.on_their_way.len());
        for check in probing.next(now_ms, room) {
            let (check, prober, stood) = (Box::new(check), plan.prober.clone(), self.stood);
            self.on_their_way.spawn(async move {
                let probed = prober.probe(&check, now_ms).await;
                Found { check, stood, probed }
            });
        }
    }

    /// When somebody is due next.
    pub(crate) fn wakes(&self, now_ms: i64) -> Option<Instant> {
        let (probing, plan) = self.probing.as_ref().zip(self.plan.as_ref())?;
        // While there is no room, the end of one is what is waited for.
        let at = probing.wakes_ms().filter(|_| self.on_their_way.len() < room(plan.at_once))?;
        Some(Instant::now() + Duration::from_millis(u64::try_from(at.saturating_sub(now_ms)).unwrap_or(0)))
    }

    /// The next probe that ends; never, while there is none.
    pub(crate) async fn found(&mut self) -> Found {
        loop {
            match self.on_their_way.join_next().await {
                Some(Ok(found)) => return found,
                // It was given up, or has panicked: the check is probed again when it should have ended.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// How a probe has ended, and all that have ended by now: they are written down together.
    pub(crate) fn heard(&mut self, found: Found, now_ms: i64, failures: &mut Failures) {
        let Some(probing) = &mut self.probing else { return };
        let mut next = Some(found);
        while let Some(Found { check, stood, probed }) = next {
            // What was asked of something else is nobody's answer.
            if probing.is_current(&check) {
                let result = excused(&check, probed.result, self.stood.saturating_sub(stood));
                probing.done(&check.name, now_ms, result, probed.expires_ms);
            }
            next = loop {
                match self.on_their_way.try_join_next() {
                    Some(Ok(found)) => break Some(found),
                    Some(Err(_)) => {}
                    None => break None,
                }
            };
        }
        let written = probing.write(now_ms);
        self.note(written.map_err(|error| error.to_string()), failures);
    }

    /// Adds what alerts are judged by, where this process leads.
    pub(crate) fn facts(&self, facts: Facts, state: &State) -> Facts {
        match (&self.probing, &self.plan) {
            (Some(probing), _) => probing.facts(facts, state),
            // Nothing is checked any more: what there was to say is over.
            (None, None) => facts.with_targets(Vec::new(), None),
            // It could not take over yet.
            (None, Some(_)) => facts,
        }
    }

    /// Looks at what whoever leads has written, unless that is this process.
    pub(crate) fn read(&mut self, now_ms: i64) {
        let fresh = self.read.as_ref().is_some_and(|(at, _)| at.elapsed() < REUSE_REPORT_FOR);
        if let (None, Some(plan), false) = (&self.probing, &self.plan, fresh) {
            let read = Probing::read(&self.state, plan, now_ms).map_err(|error| error.to_string());
            self.read = Some((Instant::now(), read));
        }
    }

    /// What there is to know; `None` where no checks are configured.
    pub(crate) fn report(&self, now_ms: i64) -> Option<Result<UptimeReport, String>> {
        self.plan.as_ref()?;
        let mut report = match (&self.probing, &self.read) {
            (Some(probing), _) => probing.report(now_ms),
            (None, Some((_, Ok(report)))) => report.clone(),
            (None, Some((_, Err(why)))) => return Some(Err(why.clone())),
            (None, None) => return Some(Err("nobody has looked yet".into())),
        };
        report.note = self.hindered.clone().or_else(|| (!report.leader).then(|| silence(&report)).flatten());
        Some(Ok(report))
    }

    fn note(&mut self, done: Result<(), String>, failures: &mut Failures) {
        if let Err(why) = &done {
            failures.error(Failure::Uptime, why);
        }
        self.hindered = done.err();
    }
}

/// Nothing was found for longer than can be: who leads may know of no checks.
fn silence(report: &UptimeReport) -> Option<String> {
    let watched = || report.checks.iter().filter(|check| !check.paused);
    let expected_ms = i64::from(watched().map(|check| check.interval_ms).min()?).max(MIN_SILENCE_MS);
    let Some(began) = watched().filter_map(|check| check.last.map(|last| last.at_ms)).max() else {
        return Some("nobody has probed yet".into());
    };
    let silent_ms = report.as_of.saturating_sub(began);
    let minutes = silent_ms / 60_000;
    (silent_ms > 3 * expected_ms)
        .then(|| format!("nobody has probed for {minutes} minutes: have all processes of the service the same checks?"))
}

/// While this process stood still nobody was heard: who may have been in time is not called late.
fn excused(check: &Check, result: CheckResult, stood: Duration) -> CheckResult {
    let limits = (check.timeout(), check.expect.max_latency);
    let excused = match (result.cause, limits, result.latency_us) {
        (Some(Cause::Timeout), (timeout, _), _) => stood * 2 > timeout,
        (Some(Cause::Latency), (_, Some(most)), Some(us)) => {
            Duration::from_micros(us.into()).saturating_sub(stood) <= most
        }
        _ => false,
    };
    if !excused {
        return result;
    }
    CheckResult { outcome: Outcome::Unknown, cause: Some(Cause::OwnNetwork), ..result }
}

/// As many probes at a time as are allowed, and no more than a quarter of the file descriptors: the others are the host's.
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
        assert!(silence(&uptime.report(240_001)).unwrap().starts_with("nobody has probed for 3 minutes"));
        assert_eq!(silence(&Uptime::default().report(i64::MAX)), None);
        let mut uptime = Uptime::default();
        let _ = uptime.configure(Checks::new(vec![check("a", false)]).unwrap(), 0);
        assert_eq!(silence(&uptime.report(0)).as_deref(), Some("nobody has probed yet"));
    }

    #[test]
    fn most_file_descriptors_are_the_hosts() {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(room(usize::MAX) as u64 <= limit / 4 || limit == u64::MAX);
        assert_eq!(room(1), 1);
    }
}
