//! Probes on their way: the part of uptime checks that lives on the exporter's runtime.

use super::{Plan, Probing};
use crate::failures::{Failure, Failures};
use crate::probe::Probed;
use crate::rollup::Place;
use sentinel_core::alert::{Facts, State};
use sentinel_core::uptime::{Cause, Check, CheckResult, Outcome, UptimeReport};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long what the leader has written is good for, where others ask.
const READ_FOR: Duration = Duration::from_secs(1);
/// The thread does something every second. When it has not for so long it was stopped, and deadlines have passed meanwhile.
const STALLED: Duration = Duration::from_secs(2);

/// A probe that has ended.
pub(crate) struct Found {
    check: Arc<Check>,
    /// How often the thread had stood still when it began.
    stalls: u64,
    probed: Probed,
}

/// What one process does about uptime checks: nothing but to know of them, until it leads.
pub(crate) struct Round {
    /// Where what must survive is.
    state: Place,
    plan: Option<Plan>,
    /// While it leads.
    probing: Option<Probing>,
    on_their_way: JoinSet<Found>,
    /// The thread's last turn, and how often it has stood still.
    turned: Instant,
    stalls: u64,
    /// What whoever leads has written, or why that is not known, and when that was seen.
    read: Option<(Instant, Result<UptimeReport, String>)>,
    /// Why it cannot do what a leader has to.
    hindered: Option<String>,
}

impl Round {
    pub(crate) fn new(state: Place) -> Self {
        let (on_their_way, turned) = (JoinSet::new(), Instant::now());
        Self { state, plan: None, probing: None, on_their_way, turned, stalls: 0, read: None, hindered: None }
    }

    /// Other checks, or none any more.
    pub(crate) fn configure(&mut self, plan: Option<Plan>, now_ms: i64, failures: &mut Failures) {
        match (&mut self.probing, &plan) {
            (Some(probing), Some(plan)) => {
                // What is on its way was asked of what is no more.
                self.on_their_way = JoinSet::new();
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
                if let Some(error) = probing.unread() {
                    failures.error(Failure::Uptime, error);
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
        if self.turned.elapsed() > STALLED {
            self.stalls += 1;
        }
        self.turned = Instant::now();
    }

    /// Probes who is due now.
    pub(crate) fn begin(&mut self, now_ms: i64) {
        let Some((probing, plan)) = self.probing.as_mut().zip(self.plan.as_ref()) else { return };
        let room = plan.at_once.saturating_sub(self.on_their_way.len());
        for check in probing.next(now_ms, room) {
            let (prober, stalls) = (plan.prober.clone(), self.stalls);
            self.on_their_way.spawn(async move {
                let probed = prober.probe(&check, now_ms).await;
                Found { check, stalls, probed }
            });
        }
    }

    /// When somebody is due next.
    pub(crate) fn wakes(&self, now_ms: i64) -> Option<Instant> {
        let (probing, plan) = self.probing.as_ref().zip(self.plan.as_ref())?;
        // While there is no room, the end of one is what is waited for.
        let at = probing.wakes_ms().filter(|_| self.on_their_way.len() < plan.at_once)?;
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
        while let Some(Found { check, stalls, probed }) = next {
            let result = if stalls == self.stalls { probed.result } else { excused(probed.result) };
            probing.done(&check.name, now_ms, result, probed.expires_ms);
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

    /// Adds what alerts are judged by, where it is known here.
    pub(crate) fn facts(&self, facts: Facts, state: &State) -> Facts {
        match &self.probing {
            Some(probing) => probing.facts(facts, state),
            None => facts,
        }
    }

    /// Looks at what whoever leads has written, unless that is this process.
    pub(crate) fn read(&mut self, now_ms: i64) {
        let fresh = self.read.as_ref().is_some_and(|(at, _)| at.elapsed() < READ_FOR);
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
        report.note.clone_from(&self.hindered);
        Some(Ok(report))
    }

    fn note(&mut self, done: Result<(), String>, failures: &mut Failures) {
        if let Err(why) = &done {
            failures.error(Failure::Uptime, why);
        }
        self.hindered = done.err();
    }
}

/// While this process stood still nobody can have been in time.
fn excused(result: CheckResult) -> CheckResult {
    match result.cause {
        Some(Cause::Timeout | Cause::Latency) => {
            CheckResult { outcome: Outcome::Unknown, cause: Some(Cause::OwnNetwork), ..result }
        }
        _ => result,
    }
}
