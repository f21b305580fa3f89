//! What a leader does for its host, on the exporter's runtime: it has uptime checks probed, and messages on their way.

use super::failures::{Failure, Failures};
use super::mailbox::TestRequest;
use super::probe_duties::{Found, Round};
use crate::alerting::{AlertPlan, Alerting, Attempt, look};
use crate::config::Config;
use crate::host_dir::{Leader, Name, Place};
use crate::sink::{Failed, Sink, Tried};
use crate::uptime::CheckPlan;
use sentinel_core::alert::{AlertsReport, Facts, Notice};
use sentinel_core::uptime::UptimeReport;
use sentinel_core::{ConfigError, Sentinel};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longest that one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);

const NO_ANSWER: &str = "no answer in time";

/// An attempt that has ended.
pub(crate) struct Sent {
    ticket: u64,
    result: Result<(), Failed>,
}

/// Something that has ended, or whose time has come.
pub(crate) enum Happened {
    /// An attempt to send a message.
    Sent(Sent),
    /// A probe.
    Found(Found),
    /// Something may be sent or probed now.
    Time,
}

/// What one process does about alerts and checks: nothing but to know of them, until it leads.
pub(crate) struct Desk {
    /// Where what must survive is.
    state: Place,
    leader: Leader,
    plan: Option<AlertPlan>,
    /// Sinks that code has made: they are there whatever a file says.
    made: Vec<Arc<dyn Sink>>,
    /// While it leads.
    alerting: Option<Alerting>,
    on_their_way: JoinSet<Sent>,
    /// Uptime checks: by the same leader, since it is the one that tells of them.
    round: Round,
    /// Of what it counts time from.
    began: Instant,
    /// What whoever leads has written, or why that is not known.
    read: Option<Result<AlertsReport, String>>,
    /// Why it cannot do what a leader has to.
    hindered: Option<String>,
}

impl Desk {
    /// Of the processes that meet at `place`, with what must survive in `state`.
    pub(crate) fn new(place: Place, state: Place, made: Vec<Arc<dyn Sink>>) -> Self {
        let leader = Leader::of(place, Name::Alerting);
        let (on_their_way, began) = (JoinSet::new(), Instant::now());
        let round = Round::new(state.clone());
        Self { state, leader, plan: None, made, alerting: None, on_their_way, round, began, read: None, hindered: None }
    }

    /// What a configuration says is to be done here.
    pub(crate) fn plan(&self, config: &Config) -> Result<Option<AlertPlan>, ConfigError> {
        AlertPlan::of(config, &self.made)
    }

    /// Other checks, or none any more.
    pub(crate) fn check(&mut self, checks: Option<CheckPlan>, now_ms: i64, failures: &mut Failures) {
        self.round.configure(checks, now_ms, failures);
    }

    /// Other rules and sinks, or none any more.
    pub(crate) fn configure(&mut self, plan: Option<AlertPlan>, now_ms: i64, failures: &mut Failures) {
        if plan.is_none() {
            self.hush();
        }
        if let (Some(alerting), Some(plan)) = (&mut self.alerting, &plan) {
            alerting.configure(plan);
            let forgotten = alerting.forget(now_ms);
            self.note(forgotten.map_err(|error| error.to_string()), failures);
        }
        self.plan = plan;
        self.read = None;
    }

    /// Takes over from whoever led, or leaves it to whoever leads now. Only who knows what to check or to alert about contends for
    /// that: any other process of the service would keep everybody quiet.
    pub(crate) fn lead(&mut self, now_ms: i64, failures: &mut Failures) {
        if self.plan.is_none() && !self.round.is_planned() {
            self.step_down();
            return;
        }
        let leads = self.leader.lead();
        if leads {
            self.round.take_over(now_ms, failures);
        } else {
            self.round.stop();
        }
        if !leads || self.alerting.as_mut().is_some_and(|alerting| !alerting.is_held()) {
            self.hush();
            self.hindered = self.leader.error().map(ToString::to_string);
        }
        if let Some(error) = self.leader.error() {
            failures.error(Failure::Alerts, error);
        }
        let Some(plan) = self.plan.as_ref().filter(|_| leads && self.alerting.is_none()) else { return };
        match Alerting::open(&self.state, plan) {
            Ok(mut alerting) => {
                if alerting.torn() > 0 {
                    failures.count(Failure::Torn);
                }
                if let Some(error) = alerting.unread() {
                    failures.error(Failure::Alerts, error);
                }
                let forgotten = alerting.forget(now_ms);
                self.alerting = Some(alerting);
                self.note(forgotten.map_err(|error| error.to_string()), failures);
            }
            Err(error) => self.note(Err(error.to_string()), failures),
        }
    }

    /// Whether this process is the one that alerts people.
    pub(crate) fn leads(&self) -> bool {
        self.alerting.is_some()
    }

    /// Leaves it to others.
    pub(crate) fn step_down(&mut self) {
        self.round.stop();
        self.hush();
        self.leader.close();
    }

    /// What is on its way goes again, by whoever leads next.
    fn hush(&mut self) {
        if self.alerting.take().is_some() {
            // What has ended by now is not heard either: it would be taken for another one.
            self.on_their_way = JoinSet::new();
        }
    }

    /// Judges what is known of the host now.
    pub(crate) fn judge(
        &mut self,
        own: &Sentinel,
        view: Result<(&Sentinel, Option<String>), String>,
        failures: &mut Failures,
    ) {
        let Some(alerting) = &self.alerting else { return };
        let facts = look(own, view, alerting.rules(), alerting.state());
        self.judge_by(&facts, own.now_ms(), failures);
    }

    pub(crate) fn judge_by(&mut self, facts: &Facts, now_ms: i64, failures: &mut Failures) {
        let Some(alerting) = &mut self.alerting else { return };
        let facts = self.round.facts(facts.clone(), alerting.state());
        let stepped = alerting.step(now_ms, Some(&facts));
        self.note(stepped.map_err(|error| error.to_string()), failures);
    }

    /// Sends what is to be sent now.
    pub(crate) fn send(&mut self, now_ms: i64) {
        let at = self.began.elapsed();
        let Some(alerting) = &mut self.alerting else { return };
        for Attempt { ticket, sink, notice } in alerting.next(at, now_ms) {
            self.on_their_way.spawn(async move { Sent { ticket, result: attempt(sink, notice).await } });
        }
    }

    /// A turn of the thread begins.
    pub(crate) fn turn(&mut self) {
        self.round.turn();
    }

    /// It has ended.
    pub(crate) fn turned(&mut self) {
        self.round.turned();
    }

    /// Probes who is due now.
    pub(crate) fn probe(&mut self, now_ms: i64) {
        self.round.begin(now_ms);
    }

    /// How a probe has ended.
    pub(crate) fn found(&mut self, found: Found, now_ms: i64, failures: &mut Failures) {
        self.round.heard(found, now_ms, failures);
    }

    /// The next thing that happens.
    pub(crate) async fn happens(&mut self, now_ms: i64) -> Happened {
        let messages = self.alerting.as_ref().and_then(Alerting::wakes).map(|at| self.began + at);
        let wakes = messages.into_iter().chain(self.round.wakes(now_ms)).min();
        let time = async {
            match wakes {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            sent = sent(&mut self.on_their_way) => Happened::Sent(sent),
            found = self.round.found() => Happened::Found(found),
            () = time => Happened::Time,
        }
    }

    /// How an attempt has ended.
    pub(crate) fn heard(&mut self, sent: &Sent, now_ms: i64, failures: &mut Failures) {
        let Some(alerting) = &mut self.alerting else { return };
        let result = sent.result.as_ref().copied();
        let done = alerting.done(sent.ticket, result, (self.began.elapsed(), now_ms), fastrand::f64());
        self.note(done.map_err(|error| error.to_string()), failures);
    }

    /// Waits for what is on its way, not for longer than `within`, and begins nothing more.
    pub(crate) async fn finish(&mut self, within: Duration, now_ms: impl Fn() -> i64, failures: &mut Failures) {
        let end = tokio::time::Instant::now() + within;
        while !self.on_their_way.is_empty() {
            let Ok(sent) = tokio::time::timeout_at(end, sent(&mut self.on_their_way)).await else { return };
            self.heard(&sent, now_ms(), failures);
        }
    }

    /// Sends one that is about nothing to who is asked for, whoever leads.
    pub(crate) fn test(&mut self, test: &TestRequest, now_ms: i64) {
        let Some(plan) = &self.plan else { return };
        let notice = Arc::new(Notice::test(&plan.service, now_ms));
        for sink in plan.sinks.iter().filter(|sink| test.sink.as_ref().is_none_or(|name| name == sink.name())) {
            let (sink, notice, answers) = (Arc::clone(sink), Arc::clone(&notice), test.answers.clone());
            let tried = |error| Tried { name: sink.name().into(), kind: sink.kind().into(), error };
            // Who has asked may have gone.
            let _ = answers.send(tried(Some(NO_ANSWER.into())));
            let arrived = tried(None);
            tokio::spawn(async move {
                let error = attempt(sink, notice).await.err().map(|failed| failed.to_string());
                let _ = answers.send(Tried { error, ..arrived });
            });
        }
    }

    /// What there is to know of uptime checks; `None` where none are configured.
    pub(crate) fn uptime(&mut self, now_ms: i64) -> Option<Result<UptimeReport, String>> {
        self.round.read(now_ms);
        self.round.report(now_ms)
    }

    /// Looks at what whoever leads has written, unless that is this process.
    pub(crate) fn read(&mut self) {
        if let (None, Some(plan)) = (&self.alerting, &self.plan) {
            self.read = Some(Alerting::read(&self.state, plan).map_err(|error| error.to_string()));
        }
    }

    /// What there is to know; `None` where no alerts are configured.
    pub(crate) fn report(&self) -> Option<Result<AlertsReport, String>> {
        self.plan.as_ref()?;
        let mut report = match &self.alerting {
            Some(alerting) => alerting.report(),
            None => match self.read.clone().unwrap_or_else(|| Err("nobody has looked yet".into())) {
                Ok(report) => report,
                Err(why) => return Some(Err(why)),
            },
        };
        report.note.clone_from(&self.hindered);
        Some(Ok(report))
    }

    fn note(&mut self, done: Result<(), String>, failures: &mut Failures) {
        if let Err(why) = &done {
            failures.error(Failure::Alerts, why);
        }
        self.hindered = done.err();
    }
}

/// The next attempt that ends; never, while there is none.
async fn sent(on_their_way: &mut JoinSet<Sent>) -> Sent {
    loop {
        match on_their_way.join_next().await {
            Some(Ok(sent)) => return sent,
            // It was given up.
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
    }
}

/// Tries it once, whatever the sink does.
async fn attempt(sink: Arc<dyn Sink>, notice: Arc<Notice>) -> Result<(), Failed> {
    let later = |why: &str| Err(Failed::Later { why: why.into(), after: None });
    let sending = tokio::spawn(async move { timeout(ATTEMPT, sink.send(&notice)).await });
    let abort = Abort(sending.abort_handle());
    let ended = sending.await;
    drop(abort);
    match ended {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => later(NO_ANSWER),
        Err(_) => later("the sink has panicked"),
    }
}

/// Who waits no more takes what is waited for with it.
struct Abort(tokio::task::AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}
