//! Where a check stands, in short: what alerts are judged by, of those that there is something to say about.

use super::engine::Uptime;
use super::monitor::Monitor;
use super::result::Cause;
use super::state::Status;
use std::collections::BTreeSet;

/// Where a check stands, without its history.
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
    /// Its name.
    pub name: String,
    /// What is probed, without what may be a secret.
    pub target: String,
    /// What was confirmed last; unknown: nothing is known of it any more, because it was paused, or is another target now.
    pub confirmed: Status,
    /// Since when that is so, Unix ms.
    pub since_ms: i64,
    /// Why it is down.
    pub cause: Option<Cause>,
    /// The status of the last answer.
    pub http_status: Option<u16>,
    /// It goes up and down so often that single changes are no news.
    pub flapping: bool,
    /// When the certificate expires that was seen last, Unix ms.
    pub expires_ms: Option<i64>,
    /// That is soon, or was.
    pub expiring: bool,
    /// TLS is spoken: there is a certificate, known or not.
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
    /// Those that are down, flap or have a certificate that expires; and those of these names, however they stand.
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
