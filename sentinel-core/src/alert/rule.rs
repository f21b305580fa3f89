//! The rules: the condition of each alert, how long it must last, and when it is over. Validated once, then trusted.

use crate::util::duration;
use crate::util::error::ConfigError;
use crate::util::wire::MAX_COUNT;
use crate::verdict::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Failures of all tenants from which on a share of them can begin an alert, and up to which such an alert is over.
pub(super) const SHARE_MIN_ERRORS: u64 = 50;
pub(super) const SHARE_OVER_ERRORS: u64 = SHARE_MIN_ERRORS / 2;
/// An alert ends at this part of its share, and at this multiple of the normal latency. (One on errors ends at half of them.)
pub(super) const SHARE_OVER_FACTOR: f64 = 0.8;
pub(super) const LATENCY_OVER_FACTOR: f64 = 1.5;

/// Longest time that a condition may have to last, or to be over.
const MAX_HOLD: Duration = Duration::from_hours(24);

/// The rule of an alert, in the order of importance.
///
/// ```
/// use sentinel_core::alert::{Rule, Severity};
///
/// assert_eq!(Rule::TenantShare.to_string(), "tenant_share");
/// assert_eq!(Rule::VerdictErrors.severity(), Severity::Critical);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// The verdict on errors accuses a tenant, an endpoint or everyone.
    VerdictErrors,
    /// Most targets fail at once: this side's own network is down.
    OwnNetwork,
    /// The target of an uptime check is down, or goes up and down.
    TargetDown,
    /// The verdict on latency accuses a tenant, an endpoint or everyone.
    VerdictLatency,
    /// A tenant has at least a configured number of errors.
    TenantErrors,
    /// A tenant has a large share of all failures.
    TenantShare,
    /// A tenant is much slower than it normally is.
    TenantLatency,
    /// The certificate of a target expires soon, or has expired.
    CertificateExpiring,
}

impl Rule {
    pub(super) const ALL: [Self; 8] = [
        Self::VerdictErrors,
        Self::OwnNetwork,
        Self::TargetDown,
        Self::VerdictLatency,
        Self::TenantErrors,
        Self::TenantShare,
        Self::TenantLatency,
        Self::CertificateExpiring,
    ];

    /// The name in JSON, configuration and logs.
    ///
    /// ```
    /// assert_eq!(sentinel_core::alert::Rule::VerdictLatency.name(), "verdict_latency");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::VerdictErrors => "verdict_errors",
            Self::OwnNetwork => "own_network",
            Self::TargetDown => "target_down",
            Self::VerdictLatency => "verdict_latency",
            Self::TenantErrors => "tenant_errors",
            Self::TenantShare => "tenant_share",
            Self::TenantLatency => "tenant_latency",
            Self::CertificateExpiring => "certificate_expiring",
        }
    }

    /// `Critical` for verdicts on errors, the own network and targets that are down; `Warning` for the others.
    ///
    /// ```
    /// use sentinel_core::alert::{Rule, Severity};
    ///
    /// assert_eq!(Rule::TenantErrors.severity(), Severity::Warning);
    /// ```
    pub const fn severity(self) -> Severity {
        match self {
            Self::VerdictErrors | Self::OwnNetwork | Self::TargetDown => Severity::Critical,
            _ => Severity::Warning,
        }
    }

    /// The rule is about uptime checks, not about requests.
    pub(super) const fn is_of_targets(self) -> bool {
        matches!(self, Self::OwnNetwork | Self::TargetDown | Self::CertificateExpiring)
    }

    /// The rule is about a verdict, not about a row.
    pub(super) const fn is_verdict(self) -> bool {
        matches!(self, Self::VerdictErrors | Self::VerdictLatency)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The urgency of an alert.
///
/// ```
/// use sentinel_core::alert::Severity;
///
/// assert!(Severity::Critical > Severity::Warning);
/// assert_eq!(Severity::Critical.name(), "critical");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// Someone should look during the day.
    Warning,
    /// Someone should look now.
    Critical,
}

impl Severity {
    /// The name in JSON, configuration and logs.
    ///
    /// ```
    /// assert_eq!(sentinel_core::alert::Severity::Warning.name(), "warning");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// All rules. The rules on verdicts and on targets are on by default. Durations are text (`"10m"`) or seconds.
///
/// ```
/// use sentinel_core::alert::{Rules, TenantShare};
///
/// let rules: Rules = serde_json::from_str(r#"{"tenant_share": {"above": 0.5, "for": "1m"}, "verdict": {"latency": false}}"#)?;
/// assert_eq!(rules.tenant_share.map(|rule| rule.r#for.as_secs()), Some(60));
/// assert!(rules.verdict.errors && !rules.verdict.latency);
///
/// let rules = Rules { tenant_share: Some(TenantShare { above: 50.0, ..TenantShare::default() }), ..Rules::default() };
/// let error = rules.validated().unwrap_err();
/// assert_eq!(error.to_string(), "tenant_share.above: 50 is not allowed; allowed: 0.01 to 0.99");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Rules on the verdicts.
    pub verdict: Verdicts,
    /// Rules on the targets of uptime checks.
    pub targets: Targets,
    /// A tenant has at least this many errors. Off by default: the right number depends on the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_errors: Option<TenantErrors>,
    /// A tenant has a large share of all failures. Off by default: the verdict reports a share that is unusual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_share: Option<TenantShare>,
    /// A tenant is much slower than it normally is. Off by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_latency: Option<TenantLatency>,
    /// Grouping of alerts into notices, and their repetition.
    pub grouping: Grouping,
}

/// Alerts about those whom a verdict accuses: one tenant, each of a few, an endpoint, everyone.
///
/// ```
/// use sentinel_core::Kind;
/// use sentinel_core::alert::Verdicts;
///
/// let rule = Verdicts::default();
/// assert!(rule.errors && rule.latency && rule.kinds.contains(&Kind::Everyone) && !rule.kinds.contains(&Kind::Unclear));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Verdicts {
    /// The verdict on errors.
    pub errors: bool,
    /// The verdict on latency.
    pub latency: bool,
    /// Kinds of verdicts that make an alert: `one_tenant`, `few_tenants`, `one_endpoint`, `everyone` (all of them by default).
    pub kinds: Vec<Kind>,
    /// Time for which the verdict must last: 0 to 24 h. Default 0: the verdict itself appears only after it has lasted.
    #[serde(with = "duration")]
    pub r#for: Duration,
    /// Time for which the condition must be over before the alert ends: 0 to 24 h. Default 2 min.
    #[serde(with = "duration")]
    pub keep_firing_for: Duration,
}

/// Kinds of verdicts that accuse somebody.
const ACCUSING_KINDS: [Kind; 4] = [Kind::OneTenant, Kind::FewTenants, Kind::OneEndpoint, Kind::Everyone];

impl Default for Verdicts {
    fn default() -> Self {
        Self {
            errors: true,
            latency: true,
            kinds: ACCUSING_KINDS.to_vec(),
            r#for: Duration::ZERO,
            keep_firing_for: DEFAULT_KEEP_FIRING,
        }
    }
}

/// Default time for which a condition must be over before its alert ends.
const DEFAULT_KEEP_FIRING: Duration = Duration::from_mins(2);
/// Default time for which the condition of a rule on a tenant must last.
const DEFAULT_HOLD: Duration = Duration::from_secs(30);

/// Alerts about uptime checks. Each check says itself when its target counts as down or up; alerts see the confirmed status.
///
/// ```
/// use sentinel_core::alert::Targets;
///
/// let rule: Targets = serde_json::from_str(r#"{"certificates": false}"#)?;
/// assert!(rule.down && rule.own_network && !rule.certificates);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Targets {
    /// A target is down, or goes up and down.
    pub down: bool,
    /// A certificate expires within the number of days that its check sets. Repeated once a day.
    pub certificates: bool,
    /// Most targets fail at once: one alert about this side's own network instead of one about each target.
    pub own_network: bool,
    /// Time for which a target must be down before the alert fires: 0 to 24 h. Default 0.
    #[serde(with = "duration")]
    pub r#for: Duration,
    /// Time for which a target must be up before the alert ends: 0 to 24 h. Default 0.
    #[serde(with = "duration")]
    pub keep_firing_for: Duration,
}

impl Default for Targets {
    fn default() -> Self {
        let none = Duration::ZERO;
        Self { down: true, certificates: true, own_network: true, r#for: none, keep_firing_for: none }
    }
}

/// A tenant has at least this many errors in the window. The alert ends at half of that.
///
/// ```
/// use sentinel_core::alert::TenantErrors;
///
/// let rule = TenantErrors { at_least: 500, ..TenantErrors::default() };
/// assert_eq!(serde_json::to_string(&rule).unwrap(), r#"{"at_least":500,"for":"30s","keep_firing_for":"2m"}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantErrors {
    /// Errors in the window: 1 to 2^53. Default 100.
    pub at_least: u64,
    /// Time for which the condition must last before the alert fires: 0 to 24 h. Default 30 s.
    #[serde(with = "duration")]
    pub r#for: Duration,
    /// Time for which the condition must be over before the alert ends: 0 to 24 h. Default 2 min.
    #[serde(with = "duration")]
    pub keep_firing_for: Duration,
}

impl Default for TenantErrors {
    fn default() -> Self {
        Self { at_least: 100, r#for: DEFAULT_HOLD, keep_firing_for: DEFAULT_KEEP_FIRING }
    }
}

/// A tenant's share of all failures in the window is certainly larger than this (Wilson lower bound, z 1.96, from 50 failures
/// of all tenants on). The alert ends at 0.8 of that, or at 25 failures of all tenants.
///
/// ```
/// use sentinel_core::alert::TenantShare;
///
/// assert_eq!(TenantShare::default().above, 0.5);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantShare {
    /// Share of all failures: 0.01 to 0.99. Default 0.5.
    pub above: f64,
    /// Time for which the condition must last before the alert fires: 0 to 24 h. Default 30 s.
    #[serde(with = "duration")]
    pub r#for: Duration,
    /// Time for which the condition must be over before the alert ends: 0 to 24 h. Default 2 min.
    #[serde(with = "duration")]
    pub keep_firing_for: Duration,
}

impl Default for TenantShare {
    fn default() -> Self {
        Self { above: 0.5, r#for: DEFAULT_HOLD, keep_firing_for: DEFAULT_KEEP_FIRING }
    }
}

/// A tenant's p95 is more than `factor` times its own normal p95. The alert ends at 1.5 times the p95 that was normal when it began.
///
/// ```
/// use sentinel_core::alert::TenantLatency;
///
/// let rule = TenantLatency::default();
/// assert_eq!((rule.factor, rule.min_requests), (3.0, 100));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantLatency {
    /// Multiple of the normal p95: 2 to 1,000. Default 3.
    pub factor: f64,
    /// Smallest number of requests of the tenant in the window: 20 to 2^53. Default 100.
    pub min_requests: u64,
    /// Time for which the condition must last before the alert fires: 0 to 24 h. Default 30 s.
    #[serde(with = "duration")]
    pub r#for: Duration,
    /// Time for which the condition must be over before the alert ends: 0 to 24 h. Default 2 min.
    #[serde(with = "duration")]
    pub keep_firing_for: Duration,
}

impl Default for TenantLatency {
    fn default() -> Self {
        Self { factor: 3.0, min_requests: 100, r#for: DEFAULT_HOLD, keep_firing_for: DEFAULT_KEEP_FIRING }
    }
}

/// Times of notices.
///
/// ```
/// use sentinel_core::alert::Grouping;
///
/// assert_eq!(Grouping::default().repeat.as_secs(), 4 * 3_600);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grouping {
    /// Time that the first alert waits for others: 0 to 10 min. Default 15 s.
    #[serde(with = "duration")]
    pub first: Duration,
    /// Shortest time between two notices about changes while any alert fires: 0 to 24 h. Default 5 min.
    #[serde(with = "duration")]
    pub then: Duration,
    /// Time after which an alert that goes on is told again: 5 min to 7 days. Default 4 h.
    #[serde(with = "duration")]
    pub repeat: Duration,
}

impl Default for Grouping {
    fn default() -> Self {
        Self { first: Duration::from_secs(15), then: Duration::from_mins(5), repeat: Duration::from_hours(4) }
    }
}

impl Rules {
    /// Validates every value and returns the rules unchanged.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option, as `tenant_errors.at_least`.
    ///
    /// ```
    /// use sentinel_core::alert::{Grouping, Rules};
    /// use std::time::Duration;
    ///
    /// assert!(Rules::default().validated().is_ok());
    /// let grouping = Grouping { repeat: Duration::from_secs(1), ..Grouping::default() };
    /// let error = Rules { grouping, ..Rules::default() }.validated().unwrap_err();
    /// assert_eq!(error.to_string(), "grouping.repeat: 1s is not allowed; allowed: 5m to 168h");
    /// ```
    pub fn validated(self) -> Result<Self, ConfigError> {
        if let Some(kind) = self.verdict.kinds.iter().find(|kind| !ACCUSING_KINDS.contains(kind)) {
            return Err(ConfigError::plain("verdict.kinds", kind.to_string(), kind_names()));
        }
        if self.verdict.kinds.is_empty() {
            return Err(ConfigError::plain("verdict.kinds", "[]", format!("at least one of {}", kind_names())));
        }
        for rule in Rule::ALL {
            if let Some(HoldTimes { hold, keep_firing }) = self.hold_times(rule) {
                let table = match rule {
                    _ if rule.is_verdict() => "verdict",
                    _ if rule.is_of_targets() => "targets",
                    _ => rule.name(),
                };
                within(&format!("{table}.for"), hold, Duration::ZERO..=MAX_HOLD)?;
                within(&format!("{table}.keep_firing_for"), keep_firing, Duration::ZERO..=MAX_HOLD)?;
            }
        }
        if let Some(TenantErrors { at_least, .. }) = self.tenant_errors
            && !(1..=MAX_COUNT).contains(&at_least)
        {
            return Err(ConfigError::plain("tenant_errors.at_least", at_least.to_string(), "1 to 2^53"));
        }
        if let Some(TenantShare { above, .. }) = self.tenant_share
            && !(0.01..=0.99).contains(&above)
        {
            return Err(ConfigError::plain("tenant_share.above", above.to_string(), "0.01 to 0.99"));
        }
        if let Some(TenantLatency { factor, min_requests, .. }) = self.tenant_latency {
            if !(2.0..=1_000.0).contains(&factor) {
                return Err(ConfigError::plain("tenant_latency.factor", factor.to_string(), "2 to 1000"));
            }
            if !(20..=MAX_COUNT).contains(&min_requests) {
                return Err(ConfigError::plain("tenant_latency.min_requests", min_requests.to_string(), "20 to 2^53"));
            }
        }
        let Grouping { first, then, repeat } = self.grouping;
        within("grouping.first", first, Duration::ZERO..=Duration::from_mins(10))?;
        within("grouping.then", then, Duration::ZERO..=MAX_HOLD)?;
        within("grouping.repeat", repeat, Duration::from_mins(5)..=7 * MAX_HOLD)?;
        Ok(self)
    }

    /// The two durations of a rule; `None` while it is off.
    pub(super) fn hold_times(&self, rule: Rule) -> Option<HoldTimes> {
        let times = |hold: Duration, keep_firing: Duration| HoldTimes { hold, keep_firing };
        let verdict = |on: bool| on.then(|| times(self.verdict.r#for, self.verdict.keep_firing_for));
        let at_once = times(Duration::ZERO, Duration::ZERO);
        match rule {
            Rule::VerdictErrors => verdict(self.verdict.errors),
            Rule::VerdictLatency => verdict(self.verdict.latency),
            Rule::TargetDown => self.targets.down.then(|| times(self.targets.r#for, self.targets.keep_firing_for)),
            Rule::OwnNetwork => self.targets.own_network.then_some(at_once),
            Rule::CertificateExpiring => self.targets.certificates.then_some(at_once),
            Rule::TenantErrors => self.tenant_errors.as_ref().map(|rule| times(rule.r#for, rule.keep_firing_for)),
            Rule::TenantShare => self.tenant_share.as_ref().map(|rule| times(rule.r#for, rule.keep_firing_for)),
            Rule::TenantLatency => self.tenant_latency.as_ref().map(|rule| times(rule.r#for, rule.keep_firing_for)),
        }
    }
}

/// Times that a condition must last before an alert begins and before it ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct HoldTimes {
    /// The condition must be there for so long before the alert fires: 0 to 24 h.
    pub(super) hold: Duration,
    /// The condition must be over for so long before the alert resolves: 0 to 24 h.
    pub(super) keep_firing: Duration,
}

fn kind_names() -> String {
    ACCUSING_KINDS.map(|kind| kind.to_string()).join(", ")
}

fn within(field: &str, value: Duration, range: RangeInclusive<Duration>) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let written = duration::written;
    let allowed = format!("{} to {}", written(*range.start()), written(*range.end()));
    Err(ConfigError::plain(field, written(value), allowed))
}
