//! The rules: what makes an alert, for how long it must last, and when it is over. Checked once, then trusted.

use crate::util::duration;
use crate::util::error::ConfigError;
use crate::util::wire::MAX_COUNT;
use crate::verdict::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Failures of everybody from which on a share of them means something, and below which an alert about it is over.
pub(super) const SHARE_FROM: u64 = 50;
pub(super) const SHARE_UNTIL: u64 = SHARE_FROM / 2;
/// Where an alert ends: at half of the errors, at 0.8 of the share, at 1.5 times the normal latency.
pub(super) const SHARE_LEAVES: f64 = 0.8;
pub(super) const LATENCY_LEAVES: f64 = 1.5;

const LONGEST: Duration = Duration::from_hours(24);

/// What an alert is about, in the order of importance.
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
    /// The verdict on errors names somebody.
    VerdictErrors,
    /// Most targets fail at once: it is this side's own network.
    OwnNetwork,
    /// The target of an uptime check is down, or goes up and down.
    TargetDown,
    /// The verdict on latency names somebody.
    VerdictLatency,
    /// A tenant has many errors.
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

    /// As it is spelled everywhere.
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

    /// Verdicts on errors and targets that are down wake people; the rest is for the day.
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

    /// A rule about targets, not about requests.
    pub(super) const fn is_of_targets(self) -> bool {
        matches!(self, Self::OwnNetwork | Self::TargetDown | Self::CertificateExpiring)
    }

    /// A rule about the verdict, not about a row.
    pub(super) const fn is_verdict(self) -> bool {
        matches!(self, Self::VerdictErrors | Self::VerdictLatency)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How urgent it is.
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
    /// Somebody should look.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// As it is spelled everywhere.
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

/// All rules; those about the verdict and about targets are on by default. Durations are text (`"10m"`) or seconds.
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
    /// The verdicts.
    pub verdict: Verdicts,
    /// The targets of uptime checks.
    pub targets: Targets,
    /// A tenant has many errors. Off by default: how many are many is known to you.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_errors: Option<TenantErrors>,
    /// A tenant has a large share of all failures. Off by default: the verdict says so when it is unusual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_share: Option<TenantShare>,
    /// A tenant is much slower than it normally is. Off by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_latency: Option<TenantLatency>,
    /// How alerts are put together, and how often they are told again.
    pub grouping: Grouping,
}

/// Alerts about whom the verdicts name: a tenant, each of a few, an endpoint, everyone.
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
    /// Which kinds: `one_tenant`, `few_tenants`, `one_endpoint`, `everyone` (all of them by default).
    pub kinds: Vec<Kind>,
    /// It must last so long: 0 to 24 h. Default 0: a verdict is only shown when it has lasted.
    #[serde(with = "duration")]
    pub r#for: Duration,
    /// It must be over so long: 0 to 24 h. Default 2 min.
    #[serde(with = "duration")]
    pub keep_firing_for: Duration,
}

const KINDS: [Kind; 4] = [Kind::OneTenant, Kind::FewTenants, Kind::OneEndpoint, Kind::Everyone];

impl Default for Verdicts {
    fn default() -> Self {
        Self { errors: true, latency: true, kinds: KINDS.to_vec(), r#for: Duration::ZERO, keep_firing_for: KEEP }
    }
}

/// How long it must be over by default.
const KEEP: Duration = Duration::from_mins(2);
/// How long rules about a tenant must hold by default.
const FOR: Duration = Duration::from_secs(30);

/// Alerts about uptime checks. What makes a target down, or up again, is said with the check: it is confirmed by then.
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
    /// A certificate expires: so many days before as its check says. Told again once a day.
    pub certificates: bool,
    /// Most targets fail at once: one alert about this side's own network, in place of one about each.
    pub own_network: bool,
    /// It must be down so long: 0 to 24 h. Default 0.
    #[serde(with = "duration")]
    pub r#for: Duration,
    /// It must be up so long: 0 to 24 h. Default 0.
    #[serde(with = "duration")]
    pub keep_firing_for: Duration,
}

impl Default for Targets {
    fn default() -> Self {
        let none = Duration::ZERO;
        Self { down: true, certificates: true, own_network: true, r#for: none, keep_firing_for: none }
    }
}

/// A tenant has at least so many errors in the window; over at half of that.
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
    /// Errors: 1 and more. Default 100.
    pub at_least: u64,
    /// It must last so long: 0 to 24 h. Default 30 s.
    #[serde(with = "duration")]
    pub r#for: Duration,
    /// It must be over so long: 0 to 24 h. Default 2 min.
    #[serde(with = "duration")]
    pub keep_firing_for: Duration,
}

impl Default for TenantErrors {
    fn default() -> Self {
        Self { at_least: 100, r#for: FOR, keep_firing_for: KEEP }
    }
}

/// A tenant's share of all failures in the window is certainly larger than this (Wilson lower bound, z 1.96, from 50 failures
/// of everybody on); over at 0.8 of that, or at 25 failures of everybody.
///
/// ```
/// use sentinel_core::alert::TenantShare;
///
/// assert_eq!(TenantShare::default().above, 0.5);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantShare {
    /// The share: 0.01 to 0.99. Default 0.5.
    pub above: f64,
    /// It must last so long: 0 to 24 h. Default 30 s.
    #[serde(with = "duration")]
    pub r#for: Duration,
    /// It must be over so long: 0 to 24 h. Default 2 min.
    #[serde(with = "duration")]
    pub keep_firing_for: Duration,
}

impl Default for TenantShare {
    fn default() -> Self {
        Self { above: 0.5, r#for: FOR, keep_firing_for: KEEP }
    }
}

/// A tenant's p95 is so many times its own normal one; over at 1.5 times what was normal when it began.
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
    /// Times the normal p95: 2 to 1,000. Default 3.
    pub factor: f64,
    /// Requests of the tenant in the window: 20 and more. Default 100.
    pub min_requests: u64,
    /// It must last so long: 0 to 24 h. Default 30 s.
    #[serde(with = "duration")]
    pub r#for: Duration,
    /// It must be over so long: 0 to 24 h. Default 2 min.
    #[serde(with = "duration")]
    pub keep_firing_for: Duration,
}

impl Default for TenantLatency {
    fn default() -> Self {
        Self { factor: 3.0, min_requests: 100, r#for: FOR, keep_firing_for: KEEP }
    }
}

/// How alerts become notices.
///
/// ```
/// use sentinel_core::alert::Grouping;
///
/// assert_eq!(Grouping::default().repeat.as_secs(), 4 * 3_600);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grouping {
    /// How long the first alert waits for others: 0 to 10 min. Default 15 s.
    #[serde(with = "duration")]
    pub first: Duration,
    /// While any is firing, changes are told no more often than this: 0 to 24 h. Default 5 min.
    #[serde(with = "duration")]
    pub then: Duration,
    /// How often what goes on is told again: 5 min to 7 days. Default 4 h.
    #[serde(with = "duration")]
    pub repeat: Duration,
}

impl Default for Grouping {
    fn default() -> Self {
        Self { first: Duration::from_secs(15), then: Duration::from_mins(5), repeat: Duration::from_hours(4) }
    }
}

impl Rules {
    /// Checks every value.
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
        if let Some(kind) = self.verdict.kinds.iter().find(|kind| !KINDS.contains(kind)) {
            return Err(ConfigError::plain("verdict.kinds", kind.to_string(), kinds()));
        }
        if self.verdict.kinds.is_empty() {
            return Err(ConfigError::plain("verdict.kinds", "[]", format!("at least one of {}", kinds())));
        }
        for rule in Rule::ALL {
            if let Some((r#for, keep)) = self.times(rule) {
                let table = match rule {
                    _ if rule.is_verdict() => "verdict",
                    _ if rule.is_of_targets() => "targets",
                    _ => rule.name(),
                };
                within(&format!("{table}.for"), r#for, Duration::ZERO..=LONGEST)?;
                within(&format!("{table}.keep_firing_for"), keep, Duration::ZERO..=LONGEST)?;
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
        within("grouping.then", then, Duration::ZERO..=LONGEST)?;
        within("grouping.repeat", repeat, Duration::from_mins(5)..=7 * LONGEST)?;
        Ok(self)
    }

    /// How long a rule must hold, and how long it must be over; `None` while it is off.
    pub(super) fn times(&self, rule: Rule) -> Option<(Duration, Duration)> {
        let verdict = |on: bool| on.then_some((self.verdict.r#for, self.verdict.keep_firing_for));
        match rule {
            Rule::VerdictErrors => verdict(self.verdict.errors),
            Rule::VerdictLatency => verdict(self.verdict.latency),
            Rule::TargetDown => self.targets.down.then_some((self.targets.r#for, self.targets.keep_firing_for)),
            Rule::OwnNetwork => self.targets.own_network.then_some((Duration::ZERO, Duration::ZERO)),
            Rule::CertificateExpiring => self.targets.certificates.then_some((Duration::ZERO, Duration::ZERO)),
            Rule::TenantErrors => self.tenant_errors.as_ref().map(|rule| (rule.r#for, rule.keep_firing_for)),
            Rule::TenantShare => self.tenant_share.as_ref().map(|rule| (rule.r#for, rule.keep_firing_for)),
            Rule::TenantLatency => self.tenant_latency.as_ref().map(|rule| (rule.r#for, rule.keep_firing_for)),
        }
    }
}

fn kinds() -> String {
    KINDS.map(|kind| kind.to_string()).join(", ")
}

fn within(field: &str, value: Duration, range: RangeInclusive<Duration>) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let written = duration::written;
    let allowed = format!("{} to {}", written(*range.start()), written(*range.end()));
    Err(ConfigError::plain(field, written(value), allowed))
}
