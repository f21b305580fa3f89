//! One tenant, a few, one endpoint, or everyone? The verdict on errors and the verdict on latency, with their evidence.
//!
//! `rules` holds the constants and the two tests, `decide` judges one window, `judge` combines windows over time (hysteresis,
//! latch, taint), `fleet` drives both judges through slots and seconds. Here: what they find, and how it is told.

mod decide;
pub(crate) mod fleet;
mod handover;
mod judge;
mod learning;
mod rules;
pub(crate) mod sentence;

pub(crate) use rules::COLD_RATE;
use rules::Sums;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of incident it is, if any.
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
    /// Nothing out of the ordinary.
    Quiet,
    /// One tenant explains it.
    OneTenant,
    /// Two to five tenants explain it together.
    FewTenants,
    /// One endpoint fails for several tenants.
    OneEndpoint,
    /// It is the service: everyone is hit.
    Everyone,
    /// Something is wrong and nobody explains it.
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

    /// As people read it: `ONE TENANT`.
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

/// The answer: who causes it, and why that can be believed. Fields without a meaning for this kind are `None`.
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
    /// The culprits, ordered by excess; empty unless tenants are to blame.
    pub tenants: Vec<String>,
    /// The failing endpoint: of `one_endpoint`, or of the one tenant when most of its errors and not most of its traffic are there.
    pub endpoint: Option<String>,
    /// The window that was judged, in milliseconds.
    pub window_ms: Option<u64>,
    /// Their share of all errors (or slow requests) in that window, 0 to 1.
    pub share: Option<f64>,
    /// Their share of the errors beyond the normal ones, 0 to 1.
    pub excess_share: Option<f64>,
    /// Their errors (or slow requests).
    pub errors: Option<u64>,
    /// Errors (or slow requests) of everybody.
    pub of: Option<u64>,
    /// The rate of the others, 0 to 1: what is left without them. For `everyone`, the rate of all.
    pub rate_without: Option<f64>,
    /// The rate that was expected of the others, 0 to 1.
    pub rate_normal: Option<f64>,
    /// When it was entered, Unix ms.
    pub since_ms: Option<i64>,
    /// It is still so in the last ten seconds.
    pub active: bool,
    /// One sentence for people.
    pub text: String,
    /// It counts slow requests, not errors.
    #[serde(skip)]
    pub(crate) slow: bool,
    /// Less than a minute is known of the time before the window that it judged.
    #[serde(skip)]
    pub(crate) cold: bool,
}

impl Verdict {
    /// Nobody stands out in `errors`.
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

/// A verdict in numbers: keys instead of names.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// Sorted keys.
    pub(crate) tenants: Vec<u32>,
    pub(crate) endpoint: Option<u32>,
    /// Window of the horizon.
    pub(crate) window: usize,
    pub(crate) group: Sums,
    pub(crate) all: Sums,
    pub(crate) excess_share: Option<f64>,
    /// Everyone who passed the gate, ordered by excess.
    pub(crate) culprits: Vec<u32>,
}

impl Finding {
    pub(crate) const QUIET: Self = Self {
        kind: Kind::Quiet,
        tenants: Vec::new(),
        endpoint: None,
        window: 0,
        group: Sums { e: 0.0, x: 0.0, n: 0.0 },
        all: Sums { e: 0.0, x: 0.0, n: 0.0 },
        excess_share: None,
        culprits: Vec::new(),
    };

    /// Kind and tenants, and the endpoint where it is to blame: what makes a verdict another one.
    fn is_same_as(&self, other: &Self) -> bool {
        let identity = |v: &Self| (v.kind, if v.kind == Kind::OneEndpoint { v.endpoint } else { None });
        identity(self) == identity(other) && self.tenants == other.tenants
    }
}
