//! The status of checks as alerts read it, for those checks that may need an alert.

use super::engine::Uptime;
use super::monitor::Monitor;
use super::result::Cause;
use super::state::Status;
use std::collections::BTreeSet;

/// The status of a check, without its history.
///
/// ```
/// use sentinel_core::uptime::{Cause, Check, CheckResult, Checks, Status, Target, Uptime};
///
/// let mut uptime = Uptime::default();
/// uptime.configure(Checks::new(vec![Check::new("shop", Target::new("https://shop.example/health")?)])?, 0);
/// for at_ms in [0, 10_000, 20_000] {
///     uptime.record("shop", at_ms, CheckResult::down(at_ms, 60_000, Cause::Timeout), None);
/// }
/// let troubled = uptime.troubled(&[].into());
/// assert_eq!((troubled[0].confirmed, troubled[0].cause, troubled[0].since_ms), (Status::Down, Some(Cause::Timeout), 0));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckStatus {
    /// Name of the check.
    pub name: String,
    /// The probed URL without parts that may be secret.
    pub target: String,
    /// The status that was confirmed last; unknown when nothing was confirmed since the check was created, paused or changed.
    pub confirmed: Status,
    /// Moment since which the target has this status, Unix ms.
    pub since_ms: i64,
    /// Cause of the failure while the target is down.
    pub cause: Option<Cause>,
    /// HTTP status of the last result.
    pub http_status: Option<u16>,
    /// The target changes so often that single changes are not reported.
    pub flapping: bool,
    /// Expiry of the certificate that was seen last, Unix ms.
    pub expires_ms: Option<i64>,
    /// The certificate expires within the configured days, or has expired.
    pub expiring: bool,
    /// The target uses TLS, so it has a certificate, known or not.
    pub encrypted: bool,
}

impl CheckStatus {
    fn of(Monitor { check, state, .. }: &Monitor) -> Self {
        Self {
            name: check.name.clone(),
            target: check.target.to_string(),
            confirmed: state.status,
            since_ms: state.since_ms,
            cause: state.cause.filter(|_| state.status == Status::Down),
            http_status: state.last.and_then(|last| last.status),
            flapping: state.flapping,
            expires_ms: state.expires_ms,
            expiring: state.expiring,
            encrypted: check.target.is_encrypted(),
        }
    }
}

impl Uptime {
    /// Checks that are down, flap or have an expiring certificate, and all checks with these `names`. Paused checks are left out.
    ///
    /// ```
    /// use sentinel_core::uptime::{Check, Checks, Target, Uptime};
    ///
    /// let mut uptime = Uptime::default();
    /// uptime.configure(Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?)])?, 0);
    /// assert_eq!(uptime.troubled(&[].into()).len(), 0);
    /// assert_eq!(uptime.troubled(&["db", "gone"].into()).len(), 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn troubled(&self, names: &BTreeSet<&str>) -> Vec<CheckStatus> {
        let troubled = |monitor: &&Monitor| {
            let state = &monitor.state;
            state.status == Status::Down
                || state.flapping
                || state.expiring
                || names.contains(monitor.check.name.as_str())
        };
        self.monitors.values().filter(|monitor| !monitor.check.paused).filter(troubled).map(CheckStatus::of).collect()
    }
}
