//! Alerts of a host, as its leader process decides them: look, judge, write down, hand out for sending.
//!
//! ```text
//! view ─► facts ─► Alerts::step ─► journal ─► queue a sink ─► sink ─► journal
//!         look     sentinel-core   (on disk before anything is sent)
//! ```
//!
//! Nothing here waits or sends: [`Alerting::next`] returns the messages to send, and [`Alerting::done`] takes the result of each.
//! `thread/alert_duties.rs` sends them.
//!
//! - `look`: the facts that alerts are judged by
//! - `queue`: the notices for one sink: order, pace, retries, and the account of each
//! - this file: the state of all alerts and its journal

#[cfg(unix)]
mod look;
#[cfg(unix)]
mod queue;
#[cfg(all(test, unix))]
pub(crate) mod tests;

#[cfg(unix)]
pub(crate) use look::look;
#[cfg(unix)]
pub(crate) use queue::Moment;

use crate::config::{AlertOptions, Config};
use crate::host_dir::journal::{Journal, JournalValues};
use crate::host_dir::{Name, Place, StoreError};
use crate::sink::{Failed, Sink};
use queue::Queue;
use sentinel_core::ConfigError;
use sentinel_core::alert::{Alert, Alerts, AlertsReport, Facts, Notice, Over, Rules, State};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Resolved alerts that are still shown.
const MAX_RECENT_ALERTS: usize = 20;
/// Interval at which the state of alerts is written, in ms, while there is an alert.
const WRITE_EVERY_MS: i64 = 10_000;

/// Keys of the journal. A sink's queue has the key `sink/` and its name.
const STATE_KEY: &str = "state";
const RECENT_KEY: &str = "recent";
const SINK_KEY_PREFIX: &str = "sink/";

/// Alerts of a service on a host, in its leader process.
#[derive(Debug)]
pub(crate) struct Alerting {
    service: String,
    alerts: Alerts,
    sinks: Vec<Arc<dyn Sink>>,
    queues: Vec<Queue>,
    state: State,
    recent: VecDeque<Alert>,
    journal: Journal,
    written_ms: i64,
    /// Attempts so far: the number of the last one.
    tickets: u64,
}

/// A message that is to be sent.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) ticket: u64,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) notice: Arc<Notice>,
}

impl Alerting {
    /// Goes on where the last leader has stopped.
    pub(crate) fn open(place: &Place, plan: &AlertPlan) -> Result<Self, StoreError> {
        let journal = Journal::open(place, Name::Alerts)?;
        let values = journal.values();
        let (state, recent) = (state(values), recent(values));
        let mut alerting = Self {
            service: plan.service.clone(),
            alerts: plan.alerts.clone(),
            sinks: Vec::new(),
            queues: Vec::new(),
            state,
            recent,
            journal,
            written_ms: i64::MIN,
            tickets: 0,
        };
        alerting.configure(plan);
        Ok(alerting)
    }

    /// Takes other rules and sinks. The queue of a sink that stays is kept, and a sink that has refused a message is tried again.
    pub(crate) fn configure(&mut self, plan: &AlertPlan) {
        self.alerts = plan.alerts.clone();
        self.sinks.clone_from(&plan.sinks);
        let mut before = std::mem::take(&mut self.queues);
        self.queues = plan
            .sinks
            .iter()
            .map(|sink| {
                if let Some(at) = before.iter().position(|queue| queue.name() == sink.name()) {
                    let mut queue = before.swap_remove(at);
                    queue.configure(sink.kind(), sink.pace());
                    return queue;
                }
                let mut queue = Queue::new(sink.name(), sink.kind(), sink.pace());
                if let Some(bytes) = self.journal.values().get(&key(sink.name())) {
                    queue.resume(bytes);
                }
                queue
            })
            .collect();
    }

    /// Judges the facts of now, and writes the result down before anybody can be told.
    ///
    /// # Errors
    /// The result could not be written down. People are told all the same, and the next leader may tell them again.
    pub(crate) fn step(&mut self, now_ms: i64, facts: Option<&Facts>) -> Result<(), StoreError> {
        // The engine works on a copy: should it panic, the state is not lost.
        let (state, outcome) = self.alerts.step(self.state.clone(), now_ms, facts);
        self.state = state;
        let over = outcome.transitions.iter().filter(|transition| transition.resolves());
        let over: Vec<Alert> = over.filter_map(|transition| transition.alert.clone()).collect();
        let changes = self.state.entries().next().is_some() || self.journal.is_behind();
        let due = changes && now_ms.abs_diff(self.written_ms) >= WRITE_EVERY_MS as u64;
        if outcome.transitions.is_empty() && outcome.notice.is_none() && !due {
            return Ok(());
        }
        let mut batch = vec![(STATE_KEY.to_string(), Some(self.state.encode()))];
        if !over.is_empty() {
            self.recent.extend(over);
            let many = self.recent.len().saturating_sub(MAX_RECENT_ALERTS);
            self.recent.drain(..many);
            batch.push((RECENT_KEY.into(), Some(encode(&self.recent))));
        }
        if let Some(notice) = outcome.notice {
            for queue in &mut self.queues {
                queue.offer(notice.clone());
                batch.push((key(queue.name()), Some(queue.encode())));
            }
        }
        self.written_ms = now_ms;
        self.journal.put(batch)
    }

    /// The messages to send now. Each is to be followed by [`Alerting::done`].
    pub(crate) fn next(&mut self, now: Moment) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        for (sink, queue) in self.sinks.iter().zip(&mut self.queues) {
            self.tickets += 1;
            if let Some(notice) = queue.next(self.tickets, now) {
                attempts.push(Attempt { ticket: self.tickets, sink: Arc::clone(sink), notice });
            }
        }
        attempts
    }

    /// When a message is due next, since the thread started.
    pub(crate) fn wakes(&self) -> Option<Duration> {
        self.queues.iter().filter_map(Queue::wakes).min()
    }

    /// Takes the result of an attempt. `random` is 0 to 1.
    ///
    /// # Errors
    /// The result could not be written down: the next leader sends the message again.
    pub(crate) fn done(
        &mut self,
        ticket: u64,
        result: Result<(), &Failed>,
        now: Moment,
        random: f64,
    ) -> Result<(), StoreError> {
        // The result of an attempt that was given up says nothing of the one under way now.
        let Some(queue) = self.queues.iter_mut().find(|queue| queue.is_sending(ticket)) else {
            return Ok(());
        };
        let before = queue.report();
        queue.done(result, now, random);
        if queue.report() == before {
            return Ok(());
        }
        let batch = vec![(key(queue.name()), Some(queue.encode()))];
        self.journal.put(batch)
    }

    /// Forgets the queues of sinks that are not configured here, once all their notices have expired: while a service is deployed,
    /// the next leader may be a process that has such a sink.
    pub(crate) fn forget(&mut self, now_ms: i64) -> Result<(), StoreError> {
        let known: Vec<String> = self.queues.iter().map(|queue| key(queue.name())).collect();
        let gone: Vec<(String, Option<Vec<u8>>)> = self
            .journal
            .values()
            .iter()
            .filter(|(name, queue)| {
                name.starts_with(SINK_KEY_PREFIX) && !known.contains(name) && Queue::is_over(queue, now_ms)
            })
            .map(|(name, _)| (name.clone(), None))
            .collect();
        if gone.is_empty() { Ok(()) } else { self.journal.put(gone) }
    }

    /// Whether this process still holds the journal.
    pub(crate) fn is_held(&mut self) -> bool {
        self.journal.is_held()
    }

    /// The error when the last leader's journal could not be read.
    pub(crate) fn unread(&self) -> Option<&StoreError> {
        self.journal.unread()
    }

    /// Bytes that the last leader has left half written.
    pub(crate) fn torn(&self) -> u64 {
        self.journal.torn()
    }

    pub(crate) fn rules(&self) -> &Rules {
        self.alerts.rules()
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn report(&self) -> AlertsReport {
        let mut report = AlertsReport::new(&self.service, &self.state);
        report.leader = true;
        report.recent = self.recent.iter().rev().cloned().map(Over::from).collect();
        report.sinks = self.queues.iter().map(Queue::report).collect();
        report
    }

    /// The report as the leader has written it down.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) fn read(place: &Place, plan: &AlertPlan) -> Result<AlertsReport, StoreError> {
        let values = Journal::read(place, Name::Alerts)?;
        let mut report = AlertsReport::new(&plan.service, &state(&values));
        report.recent = recent(&values).into_iter().rev().map(Over::from).collect();
        let sink = |sink: &Arc<dyn Sink>| match values.get(&key(sink.name())) {
            Some(bytes) => Queue::read(sink.name(), bytes),
            None => Queue::new(sink.name(), sink.kind(), Duration::ZERO).report(),
        };
        report.sinks = plan.sinks.iter().map(sink).collect();
        Ok(report)
    }
}

/// Rules and sinks, checked and made.
#[derive(Debug, Clone)]
pub(crate) struct AlertPlan {
    pub(crate) service: String,
    pub(crate) alerts: Alerts,
    pub(crate) sinks: Vec<Arc<dyn Sink>>,
}

impl AlertPlan {
    /// The plan of a configuration, and of sinks that code has made; `None` where there is neither.
    pub(crate) fn of(config: &Config, made: &[Arc<dyn Sink>]) -> Result<Option<Self>, ConfigError> {
        let options = config.alerts.clone().or_else(|| (!made.is_empty()).then(AlertOptions::default));
        let Some((service, options)) = config.service.as_deref().zip(options) else { return Ok(None) };
        let of = || {
            let sinks = options.sinks(made)?;
            Ok(Self { service: service.into(), alerts: Alerts::new(service, options.rules())?, sinks })
        };
        of().map(Some).map_err(|error: ConfigError| error.within("alerts"))
    }
}

fn key(sink: &str) -> String {
    format!("{SINK_KEY_PREFIX}{sink}")
}

fn state(values: &JournalValues) -> State {
    // A state that cannot be read was written by another version: alerts that still fire, fire anew.
    values.get(STATE_KEY).and_then(|bytes| State::decode(bytes).ok()).unwrap_or_default()
}

fn encode(alerts: &VecDeque<Alert>) -> Vec<u8> {
    let mut out = Vec::new();
    for bytes in alerts.iter().map(Alert::encode) {
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(&bytes);
    }
    out
}

fn recent(values: &JournalValues) -> VecDeque<Alert> {
    let bytes = values.get(RECENT_KEY).map_or(&[][..], Vec::as_slice);
    queue::parts(bytes).filter_map(|part| Alert::decode(part).ok()).take(MAX_RECENT_ALERTS).collect()
}
