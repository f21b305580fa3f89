//! The text form of a report. Counts stand beside every percentage.

use crate::report::ranking::By;
use crate::report::{Report, TenantRow};
use crate::util::units::{grouped, percent, span};
use crate::verdict::Kind;
use crate::verdict::sentence::write_verdict;
use std::fmt;

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
    /// The ranked quantity, for the heading.
    fn title(&self) -> &str {
        match self.by {
            By::Errors => &self.errors,
            By::ErrorRate => "error rate",
            By::Latency => "slow requests",
            By::Load => "load",
            By::Requests => "requests",
        }
    }

    /// Whether a row is printed: it has a share in the ranked quantity.
    fn weighs(&self, row: &TenantRow) -> bool {
        match self.by {
            By::Errors | By::ErrorRate => row.errors > 0,
            By::Latency => row.slow > 0,
            By::Load => row.load_share.is_some_and(|share| share > 0.0) || row.in_flight > 0,
            By::Requests => true,
        }
    }

    /// The figure that a row is ranked by; the first row spells it out.
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

    /// The counts behind the figure.
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
