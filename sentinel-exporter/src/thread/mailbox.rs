//! What one process's exporter thread and those who ask it tell each other. A forked child has another one, and never touches this.

use super::failures::{Failure, Failures};
use crate::sink::Tried;
use sentinel_core::alert::AlertsReport;
use sentinel_core::uptime::UptimeReport;
use sentinel_core::{Scope, Sentinel, Sharing};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const NOT_ANSWERED: &str = "the exporter has not answered";
/// How long is waited for a thread that has left a question unanswered.
const WAIT_WHILE_STUCK: Duration = Duration::from_millis(5);
/// Test alerts that wait, at most.
const MAX_TESTS: usize = 16;
/// Between two attempts to start the thread.
const START_BACKOFF: Duration = Duration::from_secs(10);
/// A thread that has not begun a turn for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// How far the thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody has needed it yet.
    Idle,
    Running,
    /// It does its last work.
    Closing,
    /// It is gone, and does not come back.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Mailbox {
    /// The fork generation it is of.
    pub(crate) generation: u64,
    state: Mutex<MailboxState>,
    changed: Condvar,
    /// Wakes the thread.
    pub(crate) wake: Notify,
}

#[derive(Debug)]
pub(crate) struct MailboxState {
    pub(crate) phase: Phase,
    /// Questions so far, and up to which one the view is as fresh as they want it.
    asked: u64,
    answered: u64,
    /// Questions that nobody has answered in time, and the last of them: the thread is stuck until that is answered.
    late: u64,
    stuck_until: u64,
    /// The merged view; why there is none, or why it cannot be trusted now.
    pub(crate) view: Result<Sentinel, String>,
    /// What it leaves out.
    pub(crate) note: Option<String>,
    pub(crate) failures: Failures,
    pub(crate) leader: bool,
    /// The thread's last turn began then.
    pub(crate) last_turn: Option<Instant>,
    /// The thread could not be started: not tried again before.
    not_before: Option<Instant>,
    pub(crate) sources: usize,
    pub(crate) published_ms: Option<i64>,
    pub(crate) collected_ms: Option<i64>,
    /// What is known of alerts; `None` where none are configured.
    pub(crate) alerts: Option<Result<AlertsReport, String>>,
    /// Somebody wants to know that.
    alerts_requested: bool,
    /// What is known of uptime checks; `None` where none are configured.
    pub(crate) uptime: Option<Result<Arc<UptimeReport>, String>>,
    /// Somebody wants to know that.
    uptime_requested: bool,
    /// Test alerts that nobody has sent yet.
    tests: Vec<TestRequest>,
}

/// Somebody tries whether alerts arrive.
#[derive(Debug)]
pub(crate) struct TestRequest {
    /// At this sink alone.
    pub(crate) sink: Option<String>,
    /// How it goes, each sink at first as one that has not answered.
    pub(crate) answers: Sender<Tried>,
}

impl MailboxState {
    fn is_stuck(&self) -> bool {
        self.answered < self.stuck_until
    }

    /// Why there is nobody to ask.
    fn gone(&self) -> String {
        match (&self.view, self.not_before) {
            (Err(why), Some(_)) => why.clone(),
            _ => "the exporter is closed".into(),
        }
    }
}

impl Mailbox {
    pub(crate) fn new(generation: u64) -> Self {
        let state = MailboxState {
            phase: Phase::Idle,
            asked: 0,
            answered: 0,
            late: 0,
            stuck_until: 0,
            view: Err("the exporter has only just begun".into()),
            note: None,
            failures: Failures::default(),
            leader: false,
            last_turn: None,
            not_before: None,
            sources: 1,
            published_ms: None,
            collected_ms: None,
            alerts: None,
            alerts_requested: false,
            uptime: None,
            uptime_requested: false,
            tests: Vec::new(),
        };
        Self { generation, state: Mutex::new(state), changed: Condvar::new(), wake: Notify::new() }
    }

    /// Held for moments: never while anything is read or written.
    pub(crate) fn state(&self) -> MutexGuard<'_, MailboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first caller begins it.
    pub(crate) fn begin(&self) -> bool {
        let mut state = self.state();
        let first = state.phase == Phase::Idle && state.not_before.is_none_or(|then| then <= Instant::now());
        if first {
            state.phase = Phase::Running;
        }
        first
    }

    /// The view, with all that was recorded here and published elsewhere until now; waits for it, but not longer than `within`.
    pub(crate) fn ask(&self, within: Duration) -> Result<(Sentinel, Option<String>), String> {
        let state = self.wait(within, |_| {})?;
        Ok((state.view.clone()?, state.note.clone()))
    }

    /// What is known of alerts now; waits as [`Mailbox::ask`] does.
    pub(crate) fn ask_alerts(&self, within: Duration) -> Result<Option<AlertsReport>, String> {
        let state = self.wait(within, |state| state.alerts_requested = true)?;
        state.alerts.clone().transpose()
    }

    /// Whether somebody wants to know of alerts, since it was asked last.
    pub(crate) fn take_alerts_request(&self) -> bool {
        std::mem::take(&mut self.state().alerts_requested)
    }

    /// What is known of uptime checks now; waits as [`Mailbox::ask`] does.
    pub(crate) fn ask_uptime(&self, within: Duration) -> Result<Option<UptimeReport>, String> {
        let told = self.wait(within, |state| state.uptime_requested = true)?.uptime.clone().transpose()?;
        // Of many checks it is large: copied when nobody waits for the lock.
        Ok(told.map(Arc::unwrap_or_clone))
    }

    /// Whether somebody wants to know of uptime checks, since it was asked last.
    pub(crate) fn take_uptime_request(&self) -> bool {
        std::mem::take(&mut self.state().uptime_requested)
    }

    /// Has a test alert sent.
    pub(crate) fn test(&self, test: TestRequest) -> Result<(), String> {
        let mut state = self.state();
        if state.phase != Phase::Running {
            return Err(state.gone());
        }
        if state.tests.len() >= MAX_TESTS {
            return Err(format!("{MAX_TESTS} test alerts wait to be sent"));
        }
        state.tests.push(test);
        self.wake.notify_one();
        Ok(())
    }

    pub(crate) fn tests(&self) -> Vec<TestRequest> {
        std::mem::take(&mut self.state().tests)
    }

    fn wait(
        &self,
        within: Duration,
        want: impl FnOnce(&mut MailboxState),
    ) -> Result<MutexGuard<'_, MailboxState>, String> {
        let mut state = self.state();
        want(&mut state);
        if state.phase != Phase::Running {
            return Err(state.gone());
        }
        state.asked += 1;
        let question = state.asked;
        self.wake.notify_one();
        // Who is known to be stuck is not waited for by everybody who asks.
        let patience = if state.is_stuck() { within.min(WAIT_WHILE_STUCK) } else { within };
        let waiting = |state: &mut MailboxState| state.answered < question && state.phase == Phase::Running;
        let (mut state, waited) =
            self.changed.wait_timeout_while(state, patience, waiting).unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            state.late = state.late.saturating_add(1);
            state.stuck_until = question;
            return Err(format!("{NOT_ANSWERED} within {} ms", within.as_millis()));
        }
        if state.phase != Phase::Running {
            return Err(state.gone());
        }
        Ok(state)
    }

    /// Asks it to end, and waits for that until `deadline`. Says whether it has.
    pub(crate) fn close(&self, deadline: Instant) -> bool {
        let mut state = self.state();
        match state.phase {
            Phase::Idle => state.phase = Phase::Closed,
            Phase::Running => state.phase = Phase::Closing,
            Phase::Closing | Phase::Closed => {}
        }
        self.wake.notify_one();
        self.changed.notify_all();
        let left = deadline.saturating_duration_since(Instant::now());
        let (state, _) = self
            .changed
            .wait_timeout_while(state, left, |state| state.phase != Phase::Closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.phase == Phase::Closed
    }

    /// The thread is gone.
    pub(crate) fn closed(&self) {
        self.state().phase = Phase::Closed;
        self.changed.notify_all();
    }

    /// The thread cannot be had now.
    pub(crate) fn not_begun(&self, why: String) {
        let mut state = self.state();
        state.failures.error(Failure::Thread, &why);
        (state.phase, state.not_before) = (Phase::Idle, Some(Instant::now() + START_BACKOFF));
        state.view = Err(why);
        self.changed.notify_all();
    }

    /// The number of the last question, for [`Mailbox::answer`].
    pub(crate) fn question(&self) -> Option<u64> {
        let state = self.state();
        (state.asked > state.answered).then_some(state.asked)
    }

    /// Whoever has asked until then has his answer.
    pub(crate) fn answer(&self, question: u64) {
        self.state().answered = question;
        self.changed.notify_all();
    }

    pub(crate) fn sharing(&self) -> Sharing {
        let state = self.state();
        let is_stuck = state.is_stuck();
        let mut failures = state.failures.counts();
        if state.late > 0 {
            failures.insert("late", state.late);
        }
        Sharing {
            scope: if state.view.is_ok() && !is_stuck { Scope::Host } else { Scope::Process },
            running: state.phase == Phase::Running,
            // One that does nothing does not act for others either.
            leader: state.leader && state.last_turn.is_some_and(|last_turn| last_turn.elapsed() < STUCK_AFTER),
            sources: state.sources,
            published_ms: state.published_ms,
            collected_ms: state.collected_ms,
            failures,
            // A directory that hangs cannot say so.
            last_error: if is_stuck { Some(format!("late: {NOT_ANSWERED}")) } else { state.failures.last() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_core::uptime::Uptime;

    /// What the thread puts there is what is told, and that somebody wants to know it is told to the thread once.
    #[test]
    fn what_is_put_there_is_told() {
        let mailbox = Mailbox::new(0);
        let within = Duration::from_secs(10);
        assert!(mailbox.ask_uptime(within).is_err(), "nobody runs");
        assert!(mailbox.take_uptime_request() && !mailbox.take_uptime_request());
        mailbox.begin();
        let mut report = Uptime::default().report(7);
        report.service = "shop".into();
        for told in [None, Some(Ok(report)), Some(Err("nobody probes".to_string()))] {
            std::thread::scope(|scope| {
                let asked = scope.spawn(|| mailbox.ask_uptime(within));
                let question = loop {
                    if let Some(question) = mailbox.question() {
                        break question;
                    }
                    std::thread::yield_now();
                };
                assert!(mailbox.take_uptime_request() && !mailbox.take_alerts_request());
                mailbox.state().uptime = told.clone().map(|told| told.map(Arc::new));
                mailbox.answer(question);
                assert_eq!(asked.join().unwrap(), told.transpose());
            });
        }
    }
}
