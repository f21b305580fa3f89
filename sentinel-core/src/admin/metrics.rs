//! `/metrics`: the fleet's totals and the sentinel's own ledger in the Prometheus text format, without a series per tenant.

use crate::report::Query;
use crate::report::scope::Scope;
use crate::sentinel::Sentinel;
use crate::verdict::{Kind, Verdict};
use std::fmt::Write;

/// The text, by the exposition format 0.0.4.
pub(super) fn text(sentinel: &Sentinel) -> String {
    // Prometheus scrapes each process and adds them up, so each one reports its own events only.
    let report = sentinel.report(Query { limit: 1, scope: Some(Scope::Process), ..Query::default() });
    let (stats, memory, mut out) = (report.stats, sentinel.memory(), String::new());
    let mut metric = |name: &str, kind: &str, help: &str, samples: &[(&str, f64)]| {
        // Writing to a String cannot fail.
        let _ = write!(out, "# HELP sentinel_{name} {help}\n# TYPE sentinel_{name} {kind}\n");
        for (labels, value) in samples {
            let _ = writeln!(out, "sentinel_{name}{labels} {value}");
        }
    };
    let count = |count: u64| count as f64;
    metric("events_offered_total", "counter", "Events handed to record.", &[("", count(stats.offered))]);
    metric("events_accepted_total", "counter", "Events that were counted.", &[("", count(stats.accepted))]);
    let dropped = stats.dropped;
    metric(
        "events_dropped_total",
        "counter",
        "Events that were not counted, by reason.",
        &[
            ("{reason=\"status\"}", count(dropped.status)),
            ("{reason=\"late\"}", count(dropped.late)),
            ("{reason=\"no_memory\"}", count(dropped.no_memory)),
        ],
    );
    let adjusted = stats.adjusted;
    metric(
        "events_adjusted_total",
        "counter",
        "Counted events that had to be adjusted, by reason.",
        &[
            ("{reason=\"latency\"}", count(adjusted.latency)),
            ("{reason=\"latency_clamped\"}", count(adjusted.latency_clamped)),
            ("{reason=\"future\"}", count(adjusted.future)),
            ("{reason=\"tenant_truncated\"}", count(adjusted.tenant_truncated)),
            ("{reason=\"endpoint_other\"}", count(adjusted.endpoint_other)),
            ("{reason=\"latency_unplaced\"}", count(adjusted.latency_unplaced)),
        ],
    );
    let totals = &report.totals;
    metric("window_requests", "gauge", "Requests in the window.", &[("", count(totals.requests))]);
    metric("window_errors", "gauge", "Errors in the window.", &[("", count(totals.errors))]);
    metric("window_aborted", "gauge", "Requests in the window whose client went away.", &[("", count(totals.aborted))]);
    metric("window_tenants", "gauge", "Tenants that have a row in the window.", &[("", count(totals.tenants))]);
    let quantiles = [
        ("{quantile=\"0.5\"}", totals.p50_ms),
        ("{quantile=\"0.95\"}", totals.p95_ms),
        ("{quantile=\"0.99\"}", totals.p99_ms),
    ];
    let known: Vec<(&str, f64)> = quantiles.iter().filter_map(|(label, ms)| Some((*label, (*ms)? / 1_000.0))).collect();
    metric("window_latency_seconds", "gauge", "Percentiles of the latency in the window.", &known);
    verdict(&mut metric, "error_verdict", "The verdict on errors: 1 for the kind that is shown.", &report.verdict);
    verdict(
        &mut metric,
        "latency_verdict",
        "The verdict on latency: 1 for the kind that is shown.",
        &report.latency_verdict,
    );
    metric("memory_bytes", "gauge", "Memory in use, by the sentinel's own account.", &[("", memory.used as f64)]);
    metric("memory_budget_bytes", "gauge", "Memory that may be in use.", &[("", memory.budget as f64)]);
    out
}

/// Labels and values of one metric.
type Samples<'a> = &'a [(&'a str, f64)];

fn verdict(metric: &mut dyn FnMut(&str, &str, &str, Samples<'_>), name: &str, help: &str, shown: &Verdict) {
    let sample = |label, kind| (label, f64::from(u8::from(shown.kind == kind)));
    let samples = [
        sample("{kind=\"quiet\"}", Kind::Quiet),
        sample("{kind=\"one_tenant\"}", Kind::OneTenant),
        sample("{kind=\"few_tenants\"}", Kind::FewTenants),
        sample("{kind=\"one_endpoint\"}", Kind::OneEndpoint),
        sample("{kind=\"everyone\"}", Kind::Everyone),
        sample("{kind=\"unclear\"}", Kind::Unclear),
    ];
    metric(name, "gauge", help, &samples);
}
