//! Questions to the exporter's thread of one process, and its answers. A forked child has a mailbox of its own, and never touches
//! that of its parent.

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
/// Time that a caller waits for a thread that has left a question unanswered.
const WAIT_WHILE_STUCK: Duration = Duration::from_millis(5);
/// Most test alerts that wait to be sent.
const MAX_TESTS: usize = 16;
/// Time between two attempts to start the thread.
const START_BACKOFF: Duration = Duration::from_secs(10);
/// A thread that has not begun a turn for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Life-cycle of the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The thread was not needed yet.
    Idle,
    Running,
    /// The thread publishes what is left, and ends.
    Closing,
    /// The thread has ended, and is not started again.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Mailbox {
    /// Fork generation of the process that the mailbox belongs to.
    pub(crate) generation: u64,
    state: Mutex<MailboxState>,
    changed: Condvar,
    /// Wakes the thread.
    pub(crate) wake: Notify,
}

#[derive(Debug)]
pub(crate) struct MailboxState {
    pub(crate) phase: Phase,
    /// Questions so far, and the last one that was answered: the view is as fresh as that question wants it.
    asked: u64,
    answered: u64,
    /// Questions that were not answered in time, and the last of them: the thread is stuck until that one is answered.
    late: u64,
    stuck_until: u64,
    /// The merged view; or why there is none, or why it cannot be trusted now.
    pub(crate) view: Result<Sentinel, String>,
    /// Blocks that the view leaves out, and why; for reports.
    pub(crate) note: Option<String>,
    pub(crate) failures: Failures,
    pub(crate) leader: bool,
    /// Start of the last turn of the thread.
    pub(crate) last_turn: Option<Instant>,
    /// After a failed start of the thread: the earliest time of the next attempt.
    not_before: Option<Instant>,
    pub(crate) sources: usize,
    pub(crate) published_ms: Option<i64>,
    pub(crate) collected_ms: Option<i64>,
    /// Report on alerts, or why there is none; `None` where no alerts are configured.
    pub(crate) alerts: Option<Result<AlertsReport, String>>,
    /// A caller waits for that report.
    alerts_requested: bool,
    /// Report on uptime checks, or why there is none; `None` where no checks are configured.
    pub(crate) uptime: Option<Result<Arc<UptimeReport>, String>>,
    /// A caller waits for that report.
    uptime_requested: bool,
    /// Test alerts that the thread has not sent yet.
    tests: Vec<TestRequest>,
}

/// Request to send a test alert.
#[derive(Debug)]
pub(crate) struct TestRequest {
    /// Name of the only sink to try; all sinks where it is `None`.
    pub(crate) sink: Option<String>,
    /// Results, one a sink; each sink is first reported as one that has not answered.
    pub(crate) answers: Sender<Tried>,
}

impl MailboxState {
    fn is_stuck(&self) -> bool {
        self.answered < self.stuck_until
    }

    /// Error for a caller when no thread runs.
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

    /// The lock is held for moments, and never while a file is read or written.
    pub(crate) fn state(&self) -> MutexGuard<'_, MailboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the thread as running; only the first caller gets `true`, and starts it.
    pub(crate) fn begin(&self) -> bool {
        let mut state = self.state();
        let first = state.phase == Phase::Idle && state.not_before.is_none_or(|then| then <= Instant::now());
        if first {
            state.phase = Phase::Running;
        }
        first
    }

    /// The view, with all that was recorded here and published elsewhere until now. Waits for it, at most `within`.
    pub(crate) fn ask(&self, within: Duration) -> Result<(Sentinel, Option<String>), String> {
        let state = self.wait(within, |_| {})?;
        Ok((state.view.clone()?, state.note.clone()))
    }

    /// The report on alerts as of now; waits as [`Mailbox::ask`] does.
    pub(crate) fn ask_alerts(&self, within: Duration) -> Result<Option<AlertsReport>, String> {
        let state = self.wait(within, |state| state.alerts_requested = true)?;
        state.alerts.clone().transpose()
    }

    /// Whether a caller has asked for the report on alerts since the last call.
    pub(crate) fn take_alerts_request(&self) -> bool {
        std::mem::take(&mut self.state().alerts_requested)
    }

    /// The report on uptime checks as of now; waits as [`Mailbox::ask`] does.
    pub(crate) fn ask_uptime(&self, within: Duration) -> Result<Option<UptimeReport>, String> {
        let told = self.wait(within, |state| state.uptime_requested = true)?.uptime.clone().transpose()?;
        // A report on many checks is large: it is copied after the lock is released.
        Ok(told.map(Arc::unwrap_or_clone))
    }

    /// Whether a caller has asked for the report on uptime checks since the last call.
    pub(crate) fn take_uptime_request(&self) -> bool {
        std::mem::take(&mut self.state().uptime_requested)
    }

    /// Asks the thread to send a test alert.
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
        // A thread that is known to be stuck does not keep every caller waiting for as long.
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

    /// Asks the thread to end, and waits for that until `deadline`. Returns whether it has ended.
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

    /// Notes that the thread has ended.
    pub(crate) fn closed(&self) {
        self.state().phase = Phase::Closed;
        self.changed.notify_all();
    }

    /// Notes that the thread could not be started.
    pub(crate) fn not_begun(&self, why: String) {
        let mut state = self.state();
        state.failures.error(Failure::Thread, &why);
        (state.phase, state.not_before) = (Phase::Idle, Some(Instant::now() + START_BACKOFF));
        state.view = Err(why);
        self.changed.notify_all();
    }

    /// Number of the last question that is not answered, for [`Mailbox::answer`].
    pub(crate) fn question(&self) -> Option<u64> {
        let state = self.state();
        (state.asked > state.answered).then_some(state.asked)
    }

    /// Answers all questions up to this one.
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
            // A thread that is stuck does not act for other processes either.
            leader: state.leader && state.last_turn.is_some_and(|last_turn| last_turn.elapsed() < STUCK_AFTER),
            sources: state.sources,
            published_ms: state.published_ms,
            collected_ms: state.collected_ms,
            failures,
            // A thread that waits for a directory cannot report that itself.
            last_error: if is_stuck { Some(format!("late: {NOT_ANSWERED}")) } else { state.failures.last() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_core::uptime::Uptime;

    /// Callers get the report that the thread has put there, and the thread sees their request once.
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
