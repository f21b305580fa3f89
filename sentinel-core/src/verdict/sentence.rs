//! The sentence of a verdict. Counts stand beside every percentage.

use super::{Kind, Verdict};
use crate::util::civil::clock;
use crate::util::units::{grouped, percent, percent_of, span};
use std::fmt;

/// What the sentence needs beside the verdict itself.
pub(crate) struct Evidence<'a> {
    /// What is counted: `5xx`, or `slow requests`.
    pub(crate) errors: &'a str,
    /// Requests of everybody in the judged window.
    pub(crate) requests: u64,
}

/// One sentence: who causes how much of it, by which counts, in which window, since when, and whether it goes on.
pub(crate) fn sentence(verdict: &Verdict, evidence: &Evidence<'_>) -> String {
    let what = evidence.errors;
    let (own, of) = (verdict.errors.unwrap_or(0), verdict.of.unwrap_or(0));
    let counts = format!("{} of {}", grouped(own), grouped(of));
    let when = when(verdict);
    let share = verdict.share.unwrap_or(0.0);
    let part = match verdict.excess_share {
        Some(excess) if share < 0.5 => {
            format!("{} of the new {what} ({} of all: {counts}, {when})", percent(excess), percent(share))
        }
        _ => format!("{} of all {what} ({counts}, {when})", percent(share)),
    };
    match verdict.kind {
        Kind::Quiet => format!("no unusual {what}"),
        Kind::OneTenant => format!("{} causes {part}", verdict.tenants.join(", ")),
        Kind::FewTenants => format!("{} cause {part}", verdict.tenants.join(", ")),
        Kind::OneEndpoint => {
            format!("{} has {part}, for several tenants", verdict.endpoint.as_deref().unwrap_or_default())
        }
        Kind::Everyone => {
            let rate = percent_of(of, evidence.requests);
            format!(
                "{rate} of all requests: {what} across tenants ({} of {}, {when})",
                grouped(of),
                grouped(evidence.requests)
            )
        }
        Kind::Unclear => format!(
            "{} {what} of {} requests, more than normal, and nobody explains them ({when})",
            grouped(of),
            grouped(evidence.requests)
        ),
    }
}

/// `last 2 minutes, since 14:03:10, still active`.
fn when(verdict: &Verdict) -> String {
    let window = verdict.window_ms.map_or_else(String::new, |ms| format!("last {}", span(ms)));
    let since = verdict.since_ms.map_or_else(String::new, |ms| format!(", since {}", clock(ms)));
    format!("{window}{since}, {}", if verdict.active { "still active" } else { "no longer active" })
}

/// The second line: what would be left, and where it fails.
fn without(verdict: &Verdict) -> Option<String> {
    let (rate, normal) = (percent(verdict.rate_without?), percent(verdict.rate_normal?));
    let what = if verdict.slow { "share of slow requests" } else { "error rate" };
    let subject = match verdict.kind {
        Kind::OneTenant | Kind::OneEndpoint => "without it the",
        Kind::FewTenants => "without them the",
        Kind::Everyone | Kind::Unclear => "the",
        Kind::Quiet => return None,
    };
    let place = match (verdict.kind, &verdict.endpoint) {
        (Kind::OneTenant, Some(endpoint)) => format!("; it fails at {endpoint}"),
        _ => String::new(),
    };
    Some(format!("{subject} {what} is {rate} (normal {normal}){place}"))
}

impl fmt::Display for Verdict {
    /// `ONE TENANT  tenant_acme causes 68% of all 5xx (204 of 300, last 2 minutes, since 14:03:10, still active)`, and what
    /// would be left without it on a second line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_verdict(f, self, "")
    }
}

pub(crate) fn write_verdict(f: &mut fmt::Formatter<'_>, verdict: &Verdict, label: &str) -> fmt::Result {
    let head = format!("{label}{}", verdict.kind.headline());
    write!(f, "{head}  {}", verdict.text)?;
    match without(verdict) {
        Some(line) => write!(f, "\n{:width$}{line}", "", width = head.len() + 2),
        None => Ok(()),
    }
}
