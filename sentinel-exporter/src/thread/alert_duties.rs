//! Alerts of the leader process on the exporter's runtime: the messages that it sends, and what any process knows of alerts.

use super::failures::{Failure, Failures};
use super::mailbox::TestRequest;
use super::while_leading::{Duty, WhileLeading};
use crate::alerting::{AlertPlan, Alerting, Attempt, Moment};
use crate::config::Config;
use crate::host_dir::Place;
use crate::sink::{Failed, Sink, Tried};
use sentinel_core::ConfigError;
use sentinel_core::alert::{AlertsReport, Facts, Notice};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Longest that one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

const NO_ANSWER: &str = "no answer in time";

/// An attempt to send a message, when it has ended.
pub(crate) struct EndedAttempt {
    ticket: u64,
    result: Result<(), Failed>,
}

impl Duty for Alerting {
    type Ended = EndedAttempt;
    const FAILURE: Failure = Failure::Alerts;

    fn is_held(&mut self) -> bool {
        Self::is_held(self)
    }

    fn torn(&self) -> u64 {
        Self::torn(self)
    }
}

/// Alerts of one process. It only knows the plan, until it leads.
pub(crate) struct AlertDuties {
    /// Directory of the journal.
    state_dir: Place,
    /// Rules and sinks; `None` where no alerts are configured.
    plan: Option<AlertPlan>,
    /// Sinks that code has made: they are there whatever a file says.
    made_sinks: Vec<Arc<dyn Sink>>,
    running: WhileLeading<Alerting>,
    /// Start of the time that queues count pauses in.
    began: Instant,
    /// Report that was read from the leader's journal, or why it could not be.
    read: Option<Result<AlertsReport, String>>,
}

impl AlertDuties {
    pub(crate) fn new(state_dir: Place, made_sinks: Vec<Arc<dyn Sink>>) -> Self {
        Self { state_dir, plan: None, made_sinks, running: WhileLeading::new(), began: Instant::now(), read: None }
    }

    /// The plan that a configuration asks for, with the sinks that code has made.
    pub(crate) fn plan_of(&self, config: &Config) -> Result<Option<AlertPlan>, ConfigError> {
        AlertPlan::of(config, &self.made_sinks)
    }

    /// Takes another plan, or none any more.
    pub(crate) fn configure(&mut self, plan: Option<AlertPlan>, now_ms: i64, failures: &mut Failures) {
        if plan.is_none() {
            self.stop();
        }
        if let (Some(alerting), Some(plan)) = (self.running.get_mut(), &plan) {
            alerting.configure(plan);
            let forgotten = alerting.forget(now_ms);
            self.running.note(forgotten, failures);
        }
        self.plan = plan;
        self.read = None;
    }

    pub(crate) fn is_planned(&self) -> bool {
        self.plan.is_some()
    }

    /// Goes on where the last leader has stopped, unless this process does already.
    pub(crate) fn take_over(&mut self, now_ms: i64, failures: &mut Failures) {
        let Some(plan) = &self.plan else { return };
        if !self.running.start(|| Alerting::open(&self.state_dir, plan), failures) {
            return;
        }
        let Some(alerting) = self.running.get_mut() else { return };
        if let Some(error) = alerting.unread() {
            failures.error(Failure::Alerts, error);
        }
        let forgotten = alerting.forget(now_ms);
        self.running.note(forgotten, failures);
    }

    /// Whether this process is the one that alerts people.
    pub(crate) fn leads(&self) -> bool {
        self.running.is_running()
    }

    pub(crate) fn running(&self) -> Option<&Alerting> {
        self.running.get()
    }

    /// Whether this process alerts people and has lost the journal.
    pub(crate) fn is_lost(&mut self) -> bool {
        self.running.is_lost()
    }

    /// Stops alerting. The next leader sends again what is on its way.
    pub(crate) fn stop(&mut self) {
        self.running.stop();
    }

    pub(crate) fn hinder(&mut self, why: Option<String>) {
        self.running.hinder(why);
    }

    pub(crate) fn judge(&mut self, facts: &Facts, now_ms: i64, failures: &mut Failures) {
        let Some(alerting) = self.running.get_mut() else { return };
        let stepped = alerting.step(now_ms, Some(facts));
        self.running.note(stepped, failures);
    }

    /// Starts an attempt for each sink that has a message due.
    pub(crate) fn send_due(&mut self, now_ms: i64) {
        let now = Moment::new(self.began.elapsed(), now_ms);
        let Some(alerting) = self.running.get_mut() else { return };
        for Attempt { ticket, sink, notice } in alerting.next(now) {
            self.running.spawn(async move { EndedAttempt { ticket, result: attempt(sink, notice).await } });
        }
    }

    /// When a message is due next.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        self.running.get().and_then(Alerting::wakes).map(|at| self.began + at)
    }

    /// The next attempt that ends; never, while there is none.
    pub(crate) async fn next_ended(&mut self) -> EndedAttempt {
        self.running.next_ended().await
    }

    /// Notes the result of an attempt.
    pub(crate) fn attempt_ended(&mut self, ended: &EndedAttempt, now_ms: i64, failures: &mut Failures) {
        let Some(alerting) = self.running.get_mut() else { return };
        let result = ended.result.as_ref().copied();
        let done = alerting.done(ended.ticket, result, Moment::new(self.began.elapsed(), now_ms), fastrand::f64());
        self.running.note(done, failures);
    }

    /// Waits for the attempts under way, not for longer than `within`, and starts none.
    pub(crate) async fn finish(&mut self, within: Duration, now_ms: impl Fn() -> i64, failures: &mut Failures) {
        let end = tokio::time::Instant::now() + within;
        while self.running.task_count() > 0 {
            let Ok(ended) = tokio::time::timeout_at(end, self.next_ended()).await else { return };
            self.attempt_ended(&ended, now_ms(), failures);
        }
    }

    /// Sends a test alert to one sink or all, whether this process leads or not.
    pub(crate) fn send_test(&mut self, test: &TestRequest, now_ms: i64) {
        let Some(plan) = &self.plan else { return };
        let notice = Arc::new(Notice::test(&plan.service, now_ms));
        for sink in plan.sinks.iter().filter(|sink| test.sink.as_ref().is_none_or(|name| name == sink.name())) {
            let (sink, notice, answers) = (Arc::clone(sink), Arc::clone(&notice), test.answers.clone());
            let tried = |error| Tried { name: sink.name().into(), kind: sink.kind().into(), error };
            // The caller may have stopped waiting.
            let _ = answers.send(tried(Some(NO_ANSWER.into())));
            let arrived = tried(None);
            tokio::spawn(async move {
                let error = attempt(sink, notice).await.err().map(|failed| failed.to_string());
                let _ = answers.send(Tried { error, ..arrived });
            });
        }
    }

    /// Reads what the leader has written, unless this process leads.
    pub(crate) fn read_from_leader(&mut self) {
        if let (false, Some(plan)) = (self.leads(), &self.plan) {
            self.read = Some(Alerting::read(&self.state_dir, plan).map_err(|error| error.to_string()));
        }
    }

    /// The report; `None` where no alerts are configured.
    pub(crate) fn report(&self) -> Option<Result<AlertsReport, String>> {
        self.plan.as_ref()?;
        let mut report = match self.running.get() {
            Some(alerting) => alerting.report(),
            None => match self
                .read
                .clone()
                .unwrap_or_else(|| Err("this process has not read the report of the leader yet".into()))
            {
                Ok(report) => report,
                Err(why) => return Some(Err(why)),
            },
        };
        report.note = self.running.hindrance().cloned();
        Some(Ok(report))
    }
}

/// Tries to send a notice once; a sink that panics or hangs is a failed attempt.
async fn attempt(sink: Arc<dyn Sink>, notice: Arc<Notice>) -> Result<(), Failed> {
    let later = |why: &str| Err(Failed::Later { why: why.into(), after: None });
    let sending = tokio::spawn(async move { timeout(ATTEMPT_TIMEOUT, sink.send(&notice)).await });
    let abort = AbortOnDrop(sending.abort_handle());
    let ended = sending.await;
    drop(abort);
    match ended {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => later(NO_ANSWER),
        Err(_) => later("the sink has panicked"),
    }
}

/// Ends a task when its owner waits for it no more.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
