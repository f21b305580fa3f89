//! Errors of the exporter, counted by reason, and the text of the last one: for `/stats`, never for the log of the host.

use crate::rollup::Skipped;
use std::collections::BTreeMap;
use std::fmt::Display;

/// Reason of an error: the work that was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Publish,
    Collect,
    Remember,
    Recall,
    Lead,
    Flush,
    /// A file of the right form with other content than its name says.
    Decode,
    /// A block that cannot be merged: its slots have another length, or there is no room.
    Merge,
    /// A block that came after it had left the window.
    Outside,
    /// The thread could not be started.
    Thread,
    /// The configuration file could not be used.
    Config,
    /// The journal of alerts could not be written.
    Alerts,
    /// The log of uptime checks could not be written.
    Uptime,
    /// A file was left half written, by a process that ended.
    Torn,
    Panic,
}

impl Failure {
    fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Collect => "collect",
            Self::Remember => "remember",
            Self::Recall => "recall",
            Self::Lead => "lead",
            Self::Flush => "flush",
            Self::Decode => "decode",
            Self::Merge => "merge",
            Self::Outside => "outside_window",
            Self::Thread => "thread",
            Self::Config => "config",
            Self::Alerts => "alerts",
            Self::Uptime => "uptime",
            Self::Torn => "torn",
            Self::Panic => "panic",
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Failures {
    counts: BTreeMap<&'static str, u64>,
    last: Option<String>,
}

impl Failures {
    pub(crate) fn count(&mut self, failure: Failure) {
        let count = self.counts.entry(failure.name()).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) fn error(&mut self, failure: Failure, error: &impl Display) {
        self.count(failure);
        self.last = Some(format!("{}: {error}", failure.name()));
    }

    /// Takes over the counts of files that a store has skipped so far.
    pub(crate) fn skipped(&mut self, skipped: Skipped) {
        for (reason, count) in skipped.by_reason().into_iter().filter(|(_, count)| *count > 0) {
            self.counts.insert(reason, count);
        }
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.clone()
    }

    pub(crate) fn last(&self) -> Option<String> {
        self.last.clone()
    }
}
