//! How an answer reads: the sentence of a verdict and the text form of a report. Counts stand beside every percentage.

use crate::By;
use crate::report::{Report, TenantRow};
use crate::verdict::{Kind, Verdict};
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

/// `68%`; one decimal where it is below 10 % and not whole, two below 0.1 %; never 0 % or 100 % unless it is exactly that.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let decimals = match percent {
        p if p == 0.0 || p >= 100.0 => 0,
        p if p < 0.005 => return "<0.01%".into(),
        p if p >= 99.95 => return ">99.9%".into(),
        p if p < 0.1 => 2,
        p if p < 10.0 && (p - p.round()).abs() >= 0.05 || p >= 99.5 => 1,
        _ => 0,
    };
    format!("{percent:.decimals$}%")
}

fn percent_of(part: u64, whole: u64) -> String {
    if whole == 0 { "0%".into() } else { percent(part as f64 / whole as f64) }
}

/// `12,345`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `30 seconds`, `2 minutes`, `1 hour`.
pub(crate) fn span(ms: u64) -> String {
    let (count, unit) = match ms {
        ms if ms % 3_600_000 == 0 && ms > 0 => (ms / 3_600_000, "hour"),
        ms if ms % 60_000 == 0 && ms > 0 => (ms / 60_000, "minute"),
        ms => (ms / 1_000, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// The day in UTC: `2026-11-22`. As H. Hinnant counts days ("chrono-compatible low-level date algorithms"): the year begins in March.
pub(crate) fn date(ms: i64) -> String {
    let days = ms.div_euclid(86_400_000) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The time of day in UTC: `14:03:10`.
pub(crate) fn clock(ms: i64) -> String {
    let seconds = ms.div_euclid(1_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

impl fmt::Display for Verdict {
    /// `ONE TENANT  tenant_acme causes 68% of all 5xx (204 of 300, last 2 minutes, since 14:03:10, still active)`, and what
    /// would be left without it on a second line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_verdict(f, self, "")
    }
}

fn write_verdict(f: &mut fmt::Formatter<'_>, verdict: &Verdict, label: &str) -> fmt::Result {
    let head = format!("{label}{}", verdict.kind.headline());
    write!(f, "{head}  {}", verdict.text)?;
    match without(verdict) {
        Some(line) => write!(f, "\n{:width$}{line}", "", width = head.len() + 2),
        None => Ok(()),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_verdict(f, &self.verdict, "")?;
        if self.latency_verdict.kind != Kind::Quiet {
            writeln!(f)?;
            write_verdict(f, &self.latency_verdict, "LATENCY: ")?;
        }
        let window = span(self.window_ms);
        write!(f, "\n\nTop tenants by {} (last {window})", self.title())?;
        let rows: Vec<&TenantRow> = self.tenants.iter().filter(|row| self.weighs(row)).collect();
        if rows.is_empty() {
            let requests = grouped(self.totals.requests);
            let tenants = grouped(self.totals.tenants);
            return match self.totals.requests {
                0 => write!(f, "\nno requests"),
                _ => write!(
                    f,
                    "\nnone: {requests} requests of {tenants} tenants, {} {}",
                    grouped(self.totals.errors),
                    self.errors
                ),
            };
        }
        let width = rows.iter().map(|row| row.tenant_id.chars().count()).max().unwrap_or(0).min(40);
        for (i, row) in rows.iter().enumerate() {
            let number = format!("{}.", i + 1);
            write!(f, "\n{number} {:width$}   {}", row.tenant_id, self.measure(row, i == 0))?;
            if let Some(top) = &row.top_endpoint
                && matches!(self.by, By::Errors | By::ErrorRate)
                && i == 0
            {
                write!(f, "  (endpoint: {})", top.endpoint)?;
            }
            write!(f, "  {}", self.counts(row))?;
            if row.chronic {
                write!(f, "  always like this")?;
            }
        }
        if self.tail.requests > 0 {
            let (requests, errors) = (grouped(self.tail.requests), grouped(self.tail.errors));
            write!(f, "\nand tenants without a row: {errors} {} of {requests} requests", self.errors)?;
        }
        Ok(())
    }
}

impl Report {
    fn title(&self) -> &str {
        match self.by {
            By::Errors => &self.errors,
            By::ErrorRate => "error rate",
            By::Latency => "slow requests",
            By::Load => "load",
            By::Requests => "requests",
        }
    }

    /// Rows that count for nothing in this ranking are not for people.
    fn weighs(&self, row: &TenantRow) -> bool {
        match self.by {
            By::Errors | By::ErrorRate => row.errors > 0,
            By::Latency => row.slow > 0,
            By::Load => row.load_share.is_some_and(|share| share > 0.0) || row.in_flight > 0,
            By::Requests => true,
        }
    }

    /// The figure that ranks a row, spelled out in the first one.
    fn measure(&self, row: &TenantRow, first: bool) -> String {
        let share = |share: Option<f64>, of: &str| {
            let share = share.map_or_else(|| "–".into(), percent);
            if first { format!("{share} of {of}") } else { share }
        };
        match self.by {
            By::Errors => share(row.error_share, &format!("all {}", self.errors)),
            By::ErrorRate => share(row.error_rate, "its requests fail"),
            By::Latency => match (row.p95_ms, row.latency_deviation) {
                (Some(p95), Some(times)) => format!("p95 {p95:.0} ms, {times:.1} × normal"),
                (Some(p95), None) => format!("p95 {p95:.0} ms"),
                _ => "–".into(),
            },
            By::Load => share(row.load_share, "all time spent"),
            By::Requests => share(row.request_share, "all requests"),
        }
    }

    fn counts(&self, row: &TenantRow) -> String {
        let bound = |bound: u64| if bound > 0 { format!(" (up to {} more)", grouped(bound)) } else { String::new() };
        match self.by {
            By::Errors => {
                let of = format!("{} of {}", grouped(row.errors), grouped(self.totals.errors));
                format!("{of}{}, {} requests", bound(row.bound.errors), grouped(row.requests))
            }
            By::ErrorRate => format!("{} of {}{}", grouped(row.errors), grouped(row.requests), bound(row.bound.errors)),
            By::Latency => format!("{} slow of {}{}", grouped(row.slow), grouped(row.requests), bound(row.bound.slow)),
            By::Load => format!("{} requests, {} in flight", grouped(row.requests), grouped(row.in_flight)),
            By::Requests => {
                format!("{} of {}{}", grouped(row.requests), grouped(self.totals.requests), bound(row.bound.requests))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let shown = [0.0, 0.000_02, 0.000_4, 0.002, 0.003, 0.05, 0.051, 0.68, 0.995, 0.999, 0.999_8, 1.0].map(percent);
        assert_eq!(
            shown,
            ["0%", "<0.01%", "0.04%", "0.2%", "0.3%", "5%", "5.1%", "68%", "99.5%", "99.9%", ">99.9%", "100%"]
        );
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [10_000, 60_000, 120_000, 90_000, 3_600_000].map(span),
            ["10 seconds", "1 minute", "2 minutes", "90 seconds", "1 hour"]
        );
        assert_eq!(clock(1_699_999_990_000), "22:13:10");
    }
}
