//! One tenant, a few, one endpoint, or everyone? The verdict on errors and the verdict on latency, with their evidence.
//!
//! Two judges, one for each side, read the counts and baselines of `baseline/` once a second:
//!
//! ```text
//!  blocks ─► fleet ─► counts of both sides ─► judge (errors)  ─► decide each window ─► combine, hold, latch ─► Finding
//!                                          └► judge (latency) ─► decide each window ─► combine, hold, latch ─► Finding
//!                                                                                      Finding + ids ─► Verdict ─► sentence
//! ```
//!
//! | file | content |
//! |---|---|
//! | `decide` | the decision for one window: one tenant, a few, one endpoint, everyone, unclear or quiet |
//! | `rules` | the constants of the decision and its two tests, with their formulas |
//! | `judge` | one verdict of all windows over time: hysteresis, latch, taint, overdispersion |
//! | `learning` | normal rate and learned time outside a window |
//! | `fleet` | drives both judges through slots and seconds, and turns a finding into a verdict |
//! | `counting` | turns blocks into the judges' counts, and limits the tenants that have counts of their own |
//! | `ranking_baseline` | normal rates and latencies of single tenants, for rankings |
//! | `handover` | gives the baseline to another process, or begins with one |
//! | `sentence` | the words of a verdict |
//!
//! This file defines the results: [`Kind`], [`Verdict`] for people and programs, and `Finding` in numbers.

mod counting;
mod decide;
pub(crate) mod fleet;
mod handover;
mod judge;
mod learning;
pub(crate) mod ranking_baseline;
mod rules;
pub(crate) mod sentence;

pub(crate) use rules::COLD_OUTAGE_RATE;
use rules::Comparison;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Kind of an incident, or quiet.
///
/// ```
/// use sentinel_core::Kind;
///
/// assert_eq!(Kind::OneTenant.to_string(), "one_tenant");
/// assert_eq!(serde_json::to_string(&Kind::Everyone).unwrap(), "\"everyone\"");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Nothing is out of the ordinary.
    Quiet,
    /// One tenant explains the bad requests.
    OneTenant,
    /// Two to five tenants explain them together.
    FewTenants,
    /// One endpoint fails for several tenants.
    OneEndpoint,
    /// The service itself fails: everyone is hit.
    Everyone,
    /// There are more bad requests than normal, and nobody explains them.
    Unclear,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::OneTenant => "one_tenant",
            Self::FewTenants => "few_tenants",
            Self::OneEndpoint => "one_endpoint",
            Self::Everyone => "everyone",
            Self::Unclear => "unclear",
        }
    }

    /// Headline for people: `ONE TENANT`.
    ///
    /// ```
    /// assert_eq!(sentinel_core::Kind::FewTenants.headline(), "FEW TENANTS");
    /// ```
    pub const fn headline(self) -> &'static str {
        match self {
            Self::Quiet => "QUIET",
            Self::OneTenant => "ONE TENANT",
            Self::FewTenants => "FEW TENANTS",
            Self::OneEndpoint => "ONE ENDPOINT",
            Self::Everyone => "EVERYONE",
            Self::Unclear => "UNCLEAR",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Answer to "who causes it?", with the evidence. Fields without a meaning for this kind are `None`.
///
/// ```
/// use sentinel_core::{Clock, Event, Kind, Sentinel};
///
/// let start = 1_700_000_000_000;
/// let sentinel = Sentinel::builder().clock(Clock::manual(start)).build()?;
/// for second in 0..180 {
///     for request in 0..20_u32 {
///         let (tenant, fails) = (format!("tenant_{request}"), request == 7 && second >= 120);
///         let status = if fails { 500 } else { 200 };
///         sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/v1/process", status, ..Event::default() });
///     }
///     sentinel.tick(start + 1_000 * (second + 1));
/// }
/// let verdict = sentinel.verdict();
/// assert_eq!(verdict.kind, Kind::OneTenant);
/// assert_eq!(verdict.tenants, ["tenant_7"]);
/// assert!(verdict.active);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// One tenant, a few, one endpoint, everyone, unclear, or quiet.
    pub kind: Kind,
    /// Ids of the culprits, largest excess first; empty unless tenants are to blame.
    pub tenants: Vec<String>,
    /// Failing endpoint: the one of `one_endpoint`, or the one where a single culprit has most of its errors and not
    /// most of its traffic.
    pub endpoint: Option<String>,
    /// Length of the judged window, milliseconds.
    pub window_ms: Option<u64>,
    /// Share of all errors (or slow requests) in that window that the culprits have, 0 to 1.
    pub share: Option<f64>,
    /// Share of the errors beyond the expected ones that the culprits have, 0 to 1.
    pub excess_share: Option<f64>,
    /// Errors (or slow requests) of the culprits.
    pub errors: Option<u64>,
    /// Errors (or slow requests) of all tenants.
    pub of: Option<u64>,
    /// Rate of the other tenants, 0 to 1: the rate without the culprits. For `everyone`, the rate of all.
    pub rate_without: Option<f64>,
    /// Rate that was expected of the same tenants, 0 to 1.
    pub rate_normal: Option<f64>,
    /// Time at which the verdict was first shown, Unix ms.
    pub since_ms: Option<i64>,
    /// The verdict still holds in the last ten seconds.
    pub active: bool,
    /// One sentence for people.
    pub text: String,
    /// Slow requests are counted, not errors.
    #[serde(skip)]
    pub(crate) slow: bool,
    /// Less than a minute is known of the time outside the judged window.
    #[serde(skip)]
    pub(crate) cold: bool,
}

impl Verdict {
    /// Verdict of a service without unusual `errors`.
    pub(crate) fn quiet(errors: &str, slow: bool) -> Self {
        Self {
            kind: Kind::Quiet,
            tenants: Vec::new(),
            endpoint: None,
            window_ms: None,
            share: None,
            excess_share: None,
            errors: None,
            of: None,
            rate_without: None,
            rate_normal: None,
            since_ms: None,
            active: false,
            text: format!("no unusual {errors}"),
            slow,
            cold: false,
        }
    }
}

/// Result of a decision in numbers: indexes of keys instead of names.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// Culprits that explain the bad requests: indexes of tenants, rising.
    pub(crate) tenants: Vec<u32>,
    /// Index of the failing endpoint.
    pub(crate) endpoint: Option<u32>,
    /// Index of the judged window in `Horizon::windows`.
    pub(crate) window: usize,
    /// Observed and expected bad requests of the culprits (or the endpoint), and of all.
    pub(crate) group: Comparison,
    pub(crate) all: Comparison,
    pub(crate) excess_share: Option<f64>,
    /// All tenants that passed the gate, largest excess first; `tenants` are the first of them.
    pub(crate) culprits: Vec<u32>,
}

impl Finding {
    pub(crate) const QUIET: Self = Self {
        kind: Kind::Quiet,
        tenants: Vec::new(),
        endpoint: None,
        window: 0,
        group: Comparison { e: 0.0, x: 0.0, n: 0.0 },
        all: Comparison { e: 0.0, x: 0.0, n: 0.0 },
        excess_share: None,
        culprits: Vec::new(),
    };

    /// Whether two findings are the same verdict: same kind and tenants, and the same endpoint when that is to blame.
    fn is_same_as(&self, other: &Self) -> bool {
        let identity = |v: &Self| (v.kind, if v.kind == Kind::OneEndpoint { v.endpoint } else { None });
        identity(self) == identity(other) && self.tenants == other.tenants
    }
}
