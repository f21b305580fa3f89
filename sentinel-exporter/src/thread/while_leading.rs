//! A duty of the leader process: it exists only while this process leads, together with the tasks that it has started.
//!
//! ```text
//! start   opens the files of the duty     this process has become the leader, and there is a plan
//! stop    drops the duty and its tasks    this process leads no more, its files are lost, or the plan is gone
//! ```
//!
//! Alerts and uptime checks are the two duties. The tasks go with the duty, also those that have ended and were not read yet: the next
//! duty would take their results for its own.

use super::failures::{Failure, Failures};
use crate::host_dir::StoreError;
use tokio::task::JoinSet;

/// Work that one process of a host does for all.
pub(crate) trait Duty: Sized {
    /// Result of a task that the duty has started: a message that was sent, a probe.
    type Ended: Send + 'static;
    /// The reason by which errors of this duty are counted.
    const FAILURE: Failure;

    /// Whether this process still holds the files of the duty: somebody may have removed the directory.
    fn is_held(&mut self) -> bool;

    /// Bytes that a former leader has left half written.
    fn torn(&self) -> u64;
}

/// A [`Duty`] and its tasks while this process leads; nothing at any other time.
pub(crate) struct WhileLeading<T: Duty> {
    duty: Option<T>,
    tasks: JoinSet<T::Ended>,
    /// Why the duty could not be started or written down the last time; `None` when it could.
    hindrance: Option<String>,
}

impl<T: Duty> WhileLeading<T> {
    pub(crate) fn new() -> Self {
        Self { duty: None, tasks: JoinSet::new(), hindrance: None }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.duty.as_ref()
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.duty.as_mut()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.duty.is_some()
    }

    /// Starts the duty, unless it runs. Returns whether this call has started it.
    pub(crate) fn start(&mut self, open: impl FnOnce() -> Result<T, StoreError>, failures: &mut Failures) -> bool {
        if self.duty.is_some() {
            return false;
        }
        match open() {
            Ok(duty) => {
                if duty.torn() > 0 {
                    failures.count(Failure::Torn);
                }
                (self.duty, self.hindrance) = (Some(duty), None);
                true
            }
            Err(error) => {
                self.note(Err(error), failures);
                false
            }
        }
    }

    /// Ends the duty and its tasks. The next leader does again what was under way.
    pub(crate) fn stop(&mut self) {
        if self.duty.take().is_some() {
            self.tasks = JoinSet::new();
        }
    }

    /// Whether the duty runs and has lost its files.
    pub(crate) fn is_lost(&mut self) -> bool {
        self.duty.as_mut().is_some_and(|duty| !duty.is_held())
    }

    /// Starts a task on the thread's runtime.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = T::Ended> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Tasks that run, or have ended and were not read.
    pub(crate) fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// The next task that ends; never, while there is none.
    pub(crate) async fn next_ended(&mut self) -> T::Ended {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(ended)) => return ended,
                // A task that was given up or has panicked has no result.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// A task that has ended by now.
    pub(crate) fn try_next_ended(&mut self) -> Option<T::Ended> {
        loop {
            if let Ok(ended) = self.tasks.try_join_next()? {
                return Some(ended);
            }
        }
    }

    /// Keeps the error of the last write, or that there was none.
    pub(crate) fn note(&mut self, done: Result<(), StoreError>, failures: &mut Failures) {
        if let Err(error) = &done {
            failures.error(T::FAILURE, error);
        }
        self.hindrance = done.err().map(|error| error.to_string());
    }

    pub(crate) fn hinder(&mut self, why: Option<String>) {
        self.hindrance = why;
    }

    /// Why this process cannot do what a leader has to; for reports.
    pub(crate) fn hindrance(&self) -> Option<&String> {
        self.hindrance.as_ref()
    }
}
