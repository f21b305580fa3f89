//! The report: one shape for every caller, in every language, over HTTP and from the replay.
//!
//! | file | content |
//! |---|---|
//! | `snapshot` | reads the engine at one moment and fills a report in |
//! | `ranking` | the five rankings |
//! | `text` | the printed report |
//! | `interval` | latencies as an `HdrHistogram` log |
//! | `scope` | process or host |
//!
//! This file defines the question ([`Query`]) and the answers ([`Report`], [`TenantReport`]).

pub(crate) mod interval;
pub(crate) mod ranking;
pub(crate) mod scope;
pub(crate) mod snapshot;
pub(crate) mod text;

use crate::report::ranking::By;
use crate::report::scope::Scope;
use crate::slot::stats::Stats;
use crate::verdict::Verdict;
use serde::Serialize;
use std::time::Duration;

/// A question to a sentinel.
///
/// ```
/// use sentinel_core::{By, Query, Sentinel};
/// use std::time::Duration;
///
/// let sentinel = Sentinel::builder().build()?;
/// let query = Query { by: By::Latency, window: Some(Duration::from_secs(120)), ..Query::default() };
/// assert_eq!(sentinel.report(query).window_ms, 120_000);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// The ranking; by errors by default.
    pub by: By,
    /// Length of the trailing window that the answer covers, rounded up to whole slots; at most (and by default) the whole window.
    pub window: Option<Duration>,
    /// Tenants listed at most; 10 by default.
    pub limit: usize,
    /// Whether the answer has counts slot by slot, of all tenants together and of each listed one; `false` by default.
    pub series: bool,
    /// Scope of the events; the widest one that can answer by default.
    pub scope: Option<Scope>,
}

impl Default for Query {
    fn default() -> Self {
        Self { by: By::Errors, window: None, limit: 10, series: false, scope: None }
    }
}

/// A ranking and the verdicts. Times are Unix milliseconds, latencies milliseconds, shares and rates 0 to 1; a number without a
/// meaning yet is `None` (`null`), never 0. `Display` prints the report for people.
///
/// ```
/// use sentinel_core::{Clock, Event, Query, Sentinel};
/// use std::time::Duration;
///
/// let sentinel = Sentinel::builder().clock(Clock::manual(1_700_000_000_000)).build()?;
/// let latency = Duration::from_millis(20).into();
/// for (tenant, status) in [("acme", 500), ("acme", 503), ("beta", 200), ("beta", 502)] {
///     sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/v1/process", status, latency, at: None });
/// }
/// let report = sentinel.report(Query::default());
/// assert_eq!((report.totals.errors, report.totals.requests), (3, 4));
/// assert_eq!(report.tenants[0].tenant_id, "acme");
/// assert!(report.to_string().ends_with("\
/// Top tenants by 5xx (last 10 minutes)
/// 1. acme   67% of all 5xx  (endpoint: /v1/process)  2 of 3, 2 requests
/// 2. beta   33%  1 of 3, 2 requests"));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The moment of this report, Unix ms.
    pub as_of: i64,
    /// Start of the time that the ranking covers, Unix ms. The ranking covers `[from_ms, to_ms)`.
    pub from_ms: i64,
    /// End of the time that the ranking covers, Unix ms.
    pub to_ms: i64,
    /// Length of the closed slots of the window, ms; the open slot comes on top.
    pub window_ms: u64,
    /// Source of the expected rates.
    pub baseline: BaselineKind,
    /// Scope of the events.
    pub scope: Scope,
    /// Text for people: the reason why no wider scope answers, when one is configured or was asked for, or what this one leaves out.
    pub scope_note: Option<String>,
    /// Processes whose events are in the report.
    pub sources: usize,
    /// Whether counts are exact, or within the bounds that each row gives.
    pub mode: Mode,
    /// Counts of all tenants together.
    pub totals: Totals,
    /// The verdict on errors.
    pub verdict: Verdict,
    /// The verdict on latency.
    pub latency_verdict: Verdict,
    /// Quantity that the tenants are ranked by.
    pub by: By,
    /// Classes that count as errors, such as `5xx` or `4xx+5xx`.
    pub errors: String,
    /// The ranked tenants, the worst first.
    pub tenants: Vec<TenantRow>,
    /// Counts of all tenants without a row, together.
    pub tail: Tail,
    /// The ledger: events offered, accepted, dropped and adjusted.
    pub stats: Stats,
    /// Counts of all tenants, slot by slot; `None` unless the query asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
}

/// Counts slot by slot, oldest first. Slot `i` covers `[from_ms + i · slot_ms, from_ms + (i + 1) · slot_ms)`. The last slot is the open
/// one, with its counts so far.
///
/// ```
/// use sentinel_core::{Clock, Event, Query, Sentinel};
///
/// let sentinel = Sentinel::builder().clock(Clock::manual(1_700_000_000_000)).build()?;
/// sentinel.record(Event { tenant: b"acme", status: 500, ..Event::default() });
/// let report = sentinel.report(Query { series: true, ..Query::default() });
/// let series = report.series.unwrap();
/// assert_eq!((series.slot_ms, series.errors.len(), series.errors.last()), (10_000, 61, Some(&1)));
/// assert_eq!(report.tenants[0].series.as_ref(), Some(&series)); // there is nobody else
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Series {
    /// Start of the first slot, Unix ms.
    pub from_ms: i64,
    /// Length of a slot, ms.
    pub slot_ms: u64,
    /// Requests of each slot.
    pub requests: Vec<u64>,
    /// Errors of each slot, among its requests.
    pub errors: Vec<u64>,
}

/// Source of the expected rates.
///
/// ```
/// let report = sentinel_core::Sentinel::builder().build()?.report(Default::default());
/// assert_eq!(report.baseline, sentinel_core::BaselineKind::Cold);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BaselineKind {
    /// The past of each tenant, from before the window.
    Own,
    /// Less than a minute is known of the time before the window, so mostly one small rate is expected of every tenant.
    Cold,
}

/// Whether counts are exact.
///
/// ```
/// let report = sentinel_core::Sentinel::builder().build()?.report(Default::default());
/// assert_eq!(report.mode, sentinel_core::Mode::Exact);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// Every tenant has its row and every count is exact.
    Exact,
    /// There were more tenants than places: `count ≤ true ≤ count + bound`, and every tenant that exceeds the bounds has a row.
    Bounded,
}

/// Counts of all tenants together.
///
/// ```
/// let report = sentinel_core::Sentinel::builder().build()?.report(Default::default());
/// assert_eq!((report.totals.requests, report.totals.error_rate, report.totals.p95_ms), (0, None, None));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Requests in the window.
    pub requests: u64,
    /// Errors among the requests.
    pub errors: u64,
    /// Slow requests among the requests.
    pub slow: u64,
    /// Errors divided by requests, 0 to 1; `None` without requests.
    pub error_rate: Option<f64>,
    /// Requests whose client went away (499).
    pub aborted: u64,
    /// Tenants that have a row.
    pub tenants: u64,
    /// Median latency, ms: half of the requests were faster. `None` without a measured latency.
    pub p50_ms: Option<f64>,
    /// 95th percentile of the latency, ms; within 3.2 % of the exact value, like every percentile here.
    pub p95_ms: Option<f64>,
    /// 99th percentile of the latency, ms.
    pub p99_ms: Option<f64>,
}

/// One ranked tenant.
///
/// ```
/// use sentinel_core::{Event, Latency, Sentinel};
///
/// let sentinel = Sentinel::builder().build()?;
/// sentinel.record(Event { tenant: b"acme", endpoint: "/", latency: Latency::from_millis(8.0), ..Event::default() });
/// let row = &sentinel.report(Default::default()).tenants[0];
/// assert_eq!((row.tenant_id.as_str(), row.requests, row.error_rate), ("acme", 1, Some(0.0)));
/// assert_eq!(row.latency_deviation, None); // no past to compare with
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TenantRow {
    /// Id of the tenant, escaped for display: control characters, characters that change the direction of text, backslashes.
    pub tenant_id: String,
    /// Requests of this tenant in the window.
    pub requests: u64,
    /// Errors among the requests.
    pub errors: u64,
    /// Slow requests among the requests: above the latency that 5 % of the fleet's requests exceed, or above the configured limit.
    pub slow: u64,
    /// Errors divided by requests, 0 to 1; `None` without requests.
    pub error_rate: Option<f64>,
    /// Share of all errors, 0 to 1; `None` without errors in the window.
    pub error_share: Option<f64>,
    /// Share of all errors beyond the expected ones, 0 to 1; `None` when no tenant has any.
    pub excess_share: Option<f64>,
    /// Share of all requests, 0 to 1.
    pub request_share: Option<f64>,
    /// Numbers by which the counts may fall short of the truth.
    pub bound: Bound,
    /// Whether the tenant passed the gate of the error verdict that is shown.
    pub culprit: bool,
    /// Whether the tenant always fails like this: it is listed, not accused.
    pub chronic: bool,
    /// Median latency of this tenant, ms; `None` without a measured latency.
    pub p50_ms: Option<f64>,
    /// 95th percentile of this tenant's latency, ms.
    pub p95_ms: Option<f64>,
    /// 99th percentile of this tenant's latency, ms.
    pub p99_ms: Option<f64>,
    /// Memory was short: these percentiles are within 6.3 % of the exact ones, not 3.2 %.
    pub latency_coarse: bool,
    /// The tenant's p95 divided by its own normal p95; `None` while no normal p95 is known.
    pub latency_deviation: Option<f64>,
    /// Share of the time spent on requests, 0 to 1, requests in flight included: the share of the mean concurrency (Little's law).
    pub load_share: Option<f64>,
    /// Requests that have begun and not ended; from `Sentinel::start`.
    pub in_flight: u64,
    /// Age of the oldest request in flight, ms; `None` without any.
    pub oldest_in_flight_ms: Option<u64>,
    /// The endpoint with most of the tenant's errors; `None` without errors.
    pub top_endpoint: Option<TopEndpoint>,
    /// Counts of the tenant slot by slot; `None` unless the query asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
}

/// Numbers by which counts may fall short of the truth: `count ≤ true ≤ count + bound`.
///
/// ```
/// # use sentinel_core::{Event, Sentinel};
/// # let sentinel = Sentinel::builder().build()?;
/// # sentinel.record(Event::default());
/// assert_eq!(sentinel.report(Default::default()).tenants[0].bound, sentinel_core::Bound::default()); // exact
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Bound {
    /// Requests that may be missing.
    pub requests: u64,
    /// Errors that may be missing.
    pub errors: u64,
    /// Slow requests that may be missing.
    pub slow: u64,
}

/// The endpoint with most of a tenant's errors.
///
/// ```
/// # use sentinel_core::{Event, Sentinel};
/// # let sentinel = Sentinel::builder().build()?;
/// sentinel.record(Event { tenant: b"acme", endpoint: "/v1/process", status: 500, ..Event::default() });
/// let top = sentinel.report(Default::default()).tenants[0].top_endpoint.clone().unwrap();
/// assert_eq!((top.endpoint.as_str(), top.errors, top.exact), ("/v1/process", 1, true));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TopEndpoint {
    /// The route template.
    pub endpoint: String,
    /// Errors of the tenant at this endpoint.
    pub errors: u64,
    /// Whether `errors` is exact. `false`: a lower bound, since the tenant used more endpoints in a slot than are kept, or its counts
    /// have a bound.
    pub exact: bool,
}

/// Counts of all tenants without a row, together.
///
/// ```
/// let report = sentinel_core::Sentinel::builder().build()?.report(Default::default());
/// assert_eq!(report.tail, sentinel_core::Tail::default());
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tail {
    /// Requests of these tenants in the window.
    pub requests: u64,
    /// Errors among the requests.
    pub errors: u64,
    /// Slow requests among the requests.
    pub slow: u64,
    /// Counts that one of these tenants may have at most: a tenant that exceeds any of the three has a row.
    pub bound: Bound,
}

/// One tenant in detail: its row, and its counts at each endpoint.
///
/// ```
/// use sentinel_core::{Event, Sentinel};
///
/// let sentinel = Sentinel::builder().build()?;
/// sentinel.record(Event { tenant: b"acme", endpoint: "/v1/process", status: 500, ..Event::default() });
/// let tenant = sentinel.tenant(b"acme", None).unwrap();
/// assert_eq!((tenant.row.errors, tenant.endpoints[0].errors), (1, 1));
/// assert!(sentinel.tenant(b"nobody", None).is_none());
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TenantReport {
    /// Scope of the events.
    pub scope: Scope,
    /// The moment of this report, Unix ms.
    pub as_of: i64,
    /// Start of the time that it covers, Unix ms: `[from_ms, to_ms)`.
    pub from_ms: i64,
    /// End of the time that it covers, Unix ms.
    pub to_ms: i64,
    /// The tenant's row, as in a report.
    #[serde(flatten)]
    pub row: TenantRow,
    /// Counts at each endpoint, those with most errors first, then those with most requests.
    pub endpoints: Vec<EndpointCounts>,
}

/// A tenant's counts at one endpoint; see [`TenantReport`].
///
/// ```
/// # use sentinel_core::{Event, Sentinel};
/// # let sentinel = Sentinel::builder().build()?;
/// sentinel.record(Event { tenant: b"acme", endpoint: "/", ..Event::default() });
/// let counts = &sentinel.tenant(b"acme", None).unwrap().endpoints[0];
/// assert_eq!((counts.endpoint.as_str(), counts.requests, counts.errors), ("/", 1, 0));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EndpointCounts {
    /// The route template.
    pub endpoint: String,
    /// Requests of the tenant at this endpoint.
    pub requests: u64,
    /// Errors among the requests.
    pub errors: u64,
}
