//! The output: whole reports, or one line for each change of a verdict.

use std::fmt;
use std::io::{self, Write};

use indicatif::ProgressBar;
use sentinel_core::{By, Kind, Query, Report, Sentinel, Verdict, civil};

use crate::timeline::Look;

pub(crate) struct Output<W> {
    pub(crate) out: W,
    pub(crate) progress: ProgressBar,
    pub(crate) json: bool,
    pub(crate) by: By,
    pub(crate) limit: usize,
    /// `None`: each look prints its report. Else what was shown last, of errors and of latency.
    pub(crate) changes: Option<[Identity; 2]>,
    pub(crate) printed: bool,
}

impl<W: Write> Look for Output<W> {
    fn look(&mut self, sentinel: &Sentinel, as_of: i64) -> io::Result<()> {
        let Some(shown) = self.changes.take() else {
            return self.report(sentinel, as_of);
        };
        let verdicts = [sentinel.verdict(), sentinel.latency_verdict()];
        let now = [Identity::of(&verdicts[0]), Identity::of(&verdicts[1])];
        if now != shown {
            if self.json {
                self.report(sentinel, as_of)?;
            } else {
                for (i, about) in ["", "LATENCY "].into_iter().enumerate() {
                    if now[i] != shown[i] {
                        self.change(as_of, about, &verdicts[i])?;
                    }
                }
            }
        }
        self.changes = Some(now);
        Ok(())
    }
}

impl<W: Write> Output<W> {
    fn report(&mut self, sentinel: &Sentinel, as_of: i64) -> io::Result<()> {
        let mut report = sentinel.report(Query { by: self.by, limit: self.limit, ..Query::default() });
        report.as_of = as_of;
        let text = self.text_of(&report)?;
        self.print(&text)
    }

    fn text_of(&mut self, report: &Report) -> io::Result<String> {
        if self.json {
            return Ok(serde_json::to_string(report)?);
        }
        let text = report.to_string();
        let gap = if self.printed { "\n" } else { "" };
        Ok(format!("{gap}{}", text.trim_end()))
    }

    fn change(&mut self, as_of: i64, about: &str, verdict: &Verdict) -> io::Result<()> {
        let kind = verdict.kind.to_string().to_uppercase().replace('_', " ");
        self.print(&format!("{}  {about}{kind}  {}", Utc(as_of), verdict.text.trim_end()))
    }

    /// Flushed at once, so that whoever waits for a change sees it.
    fn print(&mut self, text: &str) -> io::Result<()> {
        self.printed = true;
        let Self { out, progress, .. } = self;
        progress.suspend(|| {
            writeln!(out, "{text}")?;
            out.flush()
        })
    }
}

/// The parts of a verdict that make it another one when they change. Shares, counts and windows may move without that.
#[derive(PartialEq, Eq)]
pub(crate) struct Identity {
    kind: Kind,
    tenants: Vec<String>,
    endpoint: Option<String>,
}

impl Identity {
    pub(crate) const QUIET: Self = Self { kind: Kind::Quiet, tenants: Vec::new(), endpoint: None };

    fn of(verdict: &Verdict) -> Self {
        if verdict.kind == Kind::Quiet {
            return Self::QUIET;
        }
        let mut tenants = verdict.tenants.clone();
        tenants.sort_unstable(); // their order follows their counts
        Self { kind: verdict.kind, tenants, endpoint: verdict.endpoint.clone() }
    }
}

/// Unix milliseconds as `2023-11-14T22:13:20Z`; milliseconds are shown when there are any.
pub(crate) struct Utc(pub(crate) i64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}", civil::date(self.0), civil::clock(self.0))?;
        match self.0.rem_euclid(1_000) {
            0 => {}
            ms => write!(f, ".{ms:03}")?,
        }
        f.write_str("Z")
    }
}
