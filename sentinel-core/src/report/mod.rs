//! What every caller gets: one shape in every language, over HTTP and from the replay.

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

/// What to ask for.
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
    /// The ranking; errors by default.
    pub by: By,
    /// The trailing window that the ranking covers, rounded up to whole slots; at most (and by default) the whole window.
    pub window: Option<Duration>,
    /// Tenants listed at most; 10 by default.
    pub limit: usize,
    /// With counts slot by slot, of everybody and of each listed tenant; without by default.
    pub series: bool,
    /// Whose events; the widest scope that can answer by default.
    pub scope: Option<Scope>,
}

impl Default for Query {
    fn default() -> Self {
        Self { by: By::Errors, window: None, limit: 10, series: false, scope: None }
    }
}

/// Who stands where, and the verdicts. Times are Unix milliseconds, latencies milliseconds, shares and rates 0 to 1; a number
/// that has no meaning yet is `None` (`null`), never 0. `Display` prints it for people.
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
    /// The moment of this look.
    pub as_of: i64,
    /// The ranking covers `[from_ms, to_ms)`.
    pub from_ms: i64,
    /// End of what the ranking covers.
    pub to_ms: i64,
    /// Length of the window in closed slots; the open slot comes on top.
    pub window_ms: u64,
    /// Where "expected" comes from.
    pub baseline: BaselineKind,
    /// Whose events these are.
    pub scope: Scope,
    /// Why no wider scope answers, where one is configured or was asked for; or what this one leaves out.
    pub scope_note: Option<String>,
    /// Processes whose blocks are in it.
    pub sources: usize,
    /// Exact, or within the bounds that each row gives.
    pub mode: Mode,
    /// Everybody together.
    pub totals: Totals,
    /// The verdict on errors.
    pub verdict: Verdict,
    /// The verdict on latency.
    pub latency_verdict: Verdict,
    /// The ranking.
    pub by: By,
    /// What counts as an error: `5xx`.
    pub errors: String,
    /// The ranked tenants.
    pub tenants: Vec<TenantRow>,
    /// Tenants that have no row, together.
    pub tail: Tail,
    /// The ledger.
    pub stats: Stats,
    /// Counts of everybody, slot by slot, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
}

/// Counts slot by slot, oldest first: those of `[from_ms + i · slot_ms, from_ms + (i + 1) · slot_ms)`. The last slot is open: it
/// counts what it has so far.
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
    /// Length of a slot in milliseconds.
    pub slot_ms: u64,
    /// Requests of each slot.
    pub requests: Vec<u64>,
    /// Errors among them.
    pub errors: Vec<u64>,
}

/// Where "expected" comes from.
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
    /// Each tenant's own past, from before the window.
    Own,
    /// Less than a minute is known of the time before the window: what is expected is mostly one small rate for everyone.
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
    /// There were more tenants than places: `count ≤ true ≤ count + bound`, and whoever exceeds the bounds is listed.
    Bounded,
}

/// Everybody together.
///
/// ```
/// let report = sentinel_core::Sentinel::builder().build()?.report(Default::default());
/// assert_eq!((report.totals.requests, report.totals.error_rate, report.totals.p95_ms), (0, None, None));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Errors among them.
    pub errors: u64,
    /// Slow requests among them.
    pub slow: u64,
    /// Errors a request.
    pub error_rate: Option<f64>,
    /// Requests whose client went away (499).
    pub aborted: u64,
    /// Tenants that have a row.
    pub tenants: u64,
    /// Half of the requests were faster.
    pub p50_ms: Option<f64>,
    /// 95 % of the requests were faster; within 3.2 % like every percentile here.
    pub p95_ms: Option<f64>,
    /// 99 % of the requests were faster.
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
    /// The id, cleaned for display: control and direction-changing characters are escaped.
    pub tenant_id: String,
    /// Requests.
    pub requests: u64,
    /// Errors among them.
    pub errors: u64,
    /// Slow requests: above what 5 % of the fleet's exceed, or above the configured limit.
    pub slow: u64,
    /// Errors a request.
    pub error_rate: Option<f64>,
    /// Share of all errors.
    pub error_share: Option<f64>,
    /// Share of the errors beyond the expected ones.
    pub excess_share: Option<f64>,
    /// Share of all requests.
    pub request_share: Option<f64>,
    /// How far each count may fall short of the truth.
    pub bound: Bound,
    /// Passed the gate of the error verdict that is shown.
    pub culprit: bool,
    /// Always fails like this: listed, not accused.
    pub chronic: bool,
    /// Half of its requests were faster.
    pub p50_ms: Option<f64>,
    /// 95 % of its requests were faster.
    pub p95_ms: Option<f64>,
    /// 99 % of its requests were faster.
    pub p99_ms: Option<f64>,
    /// Memory was short: these percentiles are within 6.3 % of the exact ones, not 3.2 %.
    pub latency_coarse: bool,
    /// Its p95 in units of its own normal p95.
    pub latency_deviation: Option<f64>,
    /// Its share of the time spent on requests, those in flight included: its share of the mean concurrency (Little's law).
    pub load_share: Option<f64>,
    /// Requests that have begun and not ended; from `Sentinel::start`.
    pub in_flight: u64,
    /// Age of the oldest of them, in milliseconds.
    pub oldest_in_flight_ms: Option<u64>,
    /// Where most of its errors are; `None` without errors.
    pub top_endpoint: Option<TopEndpoint>,
    /// Its counts slot by slot, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
}

/// How far counts may fall short of the truth: `count ≤ true ≤ count + bound`.
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
    /// Of the requests.
    pub requests: u64,
    /// Of the errors.
    pub errors: u64,
    /// Of the slow requests.
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
    /// The tenant's errors there.
    pub errors: u64,
    /// `false`: a lower bound, the tenant failed at more endpoints in a slot than are kept.
    pub exact: bool,
}

/// Tenants that have no row, together.
///
/// ```
/// let report = sentinel_core::Sentinel::builder().build()?.report(Default::default());
/// assert_eq!(report.tail, sentinel_core::Tail::default());
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tail {
    /// Requests.
    pub requests: u64,
    /// Errors among them.
    pub errors: u64,
    /// Slow requests among them.
    pub slow: u64,
    /// The most that any one of them may have: whoever exceeds it in requests, errors or slow requests has a row.
    pub bound: Bound,
}

/// One tenant in detail: its row, and where its requests went.
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
    /// Whose events these are.
    pub scope: Scope,
    /// The moment of this look.
    pub as_of: i64,
    /// It covers `[from_ms, to_ms)`.
    pub from_ms: i64,
    /// End of what it covers.
    pub to_ms: i64,
    /// As in a report.
    #[serde(flatten)]
    pub row: TenantRow,
    /// By errors, then by requests.
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
    /// Requests.
    pub requests: u64,
    /// Errors among them.
    pub errors: u64,
}
