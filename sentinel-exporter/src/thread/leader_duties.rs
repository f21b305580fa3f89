//! The duties of the leader process of a host: alerts and uptime checks.
//!
//! One lock, `alerts.lock`, decides for both which process has them, since alerts tell of the checks. Any other process only knows the
//! plans, and reads what the leader has written when it is asked.

use super::alert_duties::{AlertDuties, EndedAttempt};
use super::failures::{Failure, Failures};
use super::probe_duties::{EndedProbe, ProbeDuties};
use crate::alerting::look;
use crate::host_dir::{Leader, Name, Place};
use crate::sink::Sink;
use sentinel_core::Sentinel;
use sentinel_core::alert::Facts;
use std::sync::Arc;

/// Something that the thread has to react to.
pub(crate) enum DutyEvent {
    /// An attempt to send a message has ended.
    AttemptEnded(EndedAttempt),
    /// A probe has ended.
    ProbeEnded(EndedProbe),
    /// The time of a message or a probe has come.
    TimeCame,
}

/// Alerts and uptime checks of one process. It does nothing about them until it leads.
pub(crate) struct LeaderDuties {
    leader: Leader,
    pub(crate) alerts: AlertDuties,
    pub(crate) probes: ProbeDuties,
}

impl LeaderDuties {
    /// For the processes that meet at `place`; what must survive a restart is in `state_dir`. `sinks` are those that code has made.
    pub(crate) fn new(place: Place, state_dir: Place, sinks: Vec<Arc<dyn Sink>>) -> Self {
        Self {
            leader: Leader::of(place, Name::Alerting),
            probes: ProbeDuties::new(state_dir.clone()),
            alerts: AlertDuties::new(state_dir, sinks),
        }
    }

    /// Tries to lead, and starts or stops the duties accordingly. Only a process with a plan tries: a leader that knows neither alerts
    /// nor checks would keep those that do from acting.
    pub(crate) fn lead(&mut self, now_ms: i64, failures: &mut Failures) {
        if !self.alerts.is_planned() && !self.probes.is_planned() {
            self.step_down();
            return;
        }
        let leads = self.leader.lead();
        if leads {
            self.probes.take_over(now_ms, failures);
        } else {
            self.probes.stop();
        }
        if !leads || self.alerts.is_lost() {
            self.alerts.stop();
            self.alerts.hinder(self.leader.error().map(ToString::to_string));
        }
        if let Some(error) = self.leader.error() {
            failures.error(Failure::Alerts, error);
        }
        if leads {
            self.alerts.take_over(now_ms, failures);
        }
    }

    /// Stops the duties, and lets another process lead.
    pub(crate) fn step_down(&mut self) {
        self.probes.stop();
        self.alerts.stop();
        self.leader.close();
    }

    /// Judges alerts by the view of the host, or by `own` where the view cannot be had.
    pub(crate) fn judge(
        &mut self,
        own: &Sentinel,
        view: Result<(&Sentinel, Option<String>), String>,
        failures: &mut Failures,
    ) {
        let Some(alerting) = self.alerts.running() else { return };
        let facts = look(own, view, alerting.rules(), alerting.state());
        self.judge_by(facts, own.now_ms(), failures);
    }

    /// Judges alerts by these facts, and those of uptime checks.
    pub(crate) fn judge_by(&mut self, facts: Facts, now_ms: i64, failures: &mut Failures) {
        let Some(alerting) = self.alerts.running() else { return };
        let facts = self.probes.facts(facts, alerting.state());
        self.alerts.judge(&facts, now_ms, failures);
    }

    /// The next thing that happens; never, while nothing is under way or due.
    pub(crate) async fn next_event(&mut self, now_ms: i64) -> DutyEvent {
        let wakes = self.alerts.wakes().into_iter().chain(self.probes.wakes(now_ms)).min();
        let time = async {
            match wakes {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = self.alerts.next_ended() => DutyEvent::AttemptEnded(ended),
            ended = self.probes.next_ended() => DutyEvent::ProbeEnded(ended),
            () = time => DutyEvent::TimeCame,
        }
    }
}
