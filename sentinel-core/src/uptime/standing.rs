//! The report on checks for programs and pages. The report contains no secrets.

use super::availability::Availability;
use super::days::Days;
use super::monitor::Monitor;
use super::result::CheckResult;
use super::state::Status;
use super::target::Kind;
use crate::util::civil::HOUR_MS;
use serde::Serialize;

/// Windows of each check in the report, in hours: 24 h, 7 d, 30 d, 90 d.
const WINDOW_HOURS: [i64; 4] = [24, 7 * 24, 30 * 24, 90 * 24];

/// The answer of `uptime()` and `/uptime`, the same from every process of a host.
///
/// ```
/// let report = sentinel_core::uptime::Uptime::default().report(7);
/// assert_eq!((report.as_of, report.service.as_str(), report.leader, report.counts.up), (7, "", false, 0));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UptimeReport {
    /// Name of the service.
    pub service: String,
    /// Moment of the report, Unix ms.
    pub as_of: i64,
    /// This process is the leader, which probes.
    pub leader: bool,
    /// Start of an outage of this side's own network, Unix ms; `None` while it is up.
    pub network_down_since_ms: Option<i64>,
    /// Number of checks by status: of all checks, however many are listed.
    pub counts: StatusCounts,
    /// Checks that are down, then unknown ones, then those that are up; each group by name.
    pub checks: Vec<CheckStanding>,
    /// A sentence about why the report may be old or incomplete.
    pub note: Option<String>,
}

impl UptimeReport {
    pub(super) fn new(as_of: i64, network_down_since_ms: Option<i64>, mut checks: Vec<CheckStanding>) -> Self {
        let rank = |status| match status {
            Status::Down => 0,
            Status::Unknown => 1,
            Status::Up => 2,
        };
        checks.sort_by(|a, b| (rank(a.status), &a.name).cmp(&(rank(b.status), &b.name)));
        let of = |status| checks.iter().filter(|check| check.status == status).count();
        let counts = StatusCounts { down: of(Status::Down), unknown: of(Status::Unknown), up: of(Status::Up) };
        Self { service: String::new(), as_of, leader: false, network_down_since_ms, counts, checks, note: None }
    }

    /// The report without the days of each check, which are most of its size.
    ///
    /// ```
    /// # use sentinel_core::uptime::{Check, Checks, Target, Uptime};
    /// # let mut uptime = Uptime::default();
    /// # uptime.configure(Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?)])?, 0);
    /// let report = uptime.report(0);
    /// assert!(report.checks[0].days.is_some() && report.without_days().checks[0].days.is_none());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn without_days(mut self) -> Self {
        self.checks.iter_mut().for_each(|check| check.days = None);
        self
    }

    /// The report with at most `limit` checks; [`UptimeReport::counts`] still covers all of them.
    ///
    /// ```
    /// # use sentinel_core::uptime::{Check, Checks, Target, Uptime};
    /// # let mut uptime = Uptime::default();
    /// # uptime.configure(Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?), Check::new("web", Target::new("tcp://web:80")?)])?, 0);
    /// let first = uptime.report(0).first(1);
    /// assert_eq!((first.checks.len(), first.counts.unknown), (1, 2));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn first(mut self, limit: usize) -> Self {
        self.checks.truncate(limit);
        self
    }
}

/// Number of checks by [`Status`]; together all checks.
///
/// ```
/// let counts = sentinel_core::uptime::Uptime::default().report(0).counts;
/// assert_eq!(serde_json::to_string(&counts).unwrap(), r#"{"down":0,"unknown":0,"up":0}"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct StatusCounts {
    /// Checks that are down.
    pub down: usize,
    /// Checks whose status is unknown now, paused ones included.
    pub unknown: usize,
    /// Checks that are up.
    pub up: usize,
}

/// The standing of a check. A number without data is `null`, never 0.
///
/// ```
/// use sentinel_core::uptime::{Check, CheckResult, Checks, Target, Uptime};
///
/// let mut uptime = Uptime::default();
/// uptime.configure(Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?)])?, 0);
/// uptime.record("db", 0, CheckResult::up(0, 60_000), None);
/// let standing = uptime.standing("db", 60_000).unwrap();
/// assert_eq!((standing.target.as_str(), standing.windows[0].hours, standing.windows[0].uptime), ("tcp://db:5432", 24, Some(1.0)));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each a field of its JSON")]
pub struct CheckStanding {
    /// Name of the check.
    pub name: String,
    /// The probed URL without parts that may be secret.
    pub target: String,
    /// Kind of probe.
    pub kind: Kind,
    /// Status now; unknown when the last result is too old.
    pub status: Status,
    /// The status that was confirmed last. An alert follows this one, so it goes on while [`CheckStanding::status`] is unknown.
    pub confirmed: Status,
    /// Moment since which `confirmed` holds, Unix ms.
    pub since_ms: i64,
    /// The target changes so often that single changes are not reported.
    pub flapping: bool,
    /// The check is not probed.
    pub paused: bool,
    /// A maintenance window covers this moment.
    pub maintenance: bool,
    /// The last result.
    pub last: Option<CheckResult>,
    /// Expiry of the certificate, Unix ms.
    pub certificate_expires_ms: Option<i64>,
    /// The certificate expires within the configured days, or has expired.
    pub certificate_expiring: bool,
    /// Moment when the check was created, Unix ms. The time before is unknown.
    pub created_ms: i64,
    /// Interval of the check, in milliseconds.
    pub interval_ms: u32,
    /// Moments at which a probe was due and no process probed.
    pub missed: u64,
    /// Tags of the check.
    pub tags: Vec<String>,
    /// Availability in the last 24 h, 7 d, 30 d and 90 d.
    pub windows: Vec<Window>,
    /// The last 90 days, one by one; `None` unless they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<Days>,
}

/// The availability in a window, with the figures derived from it.
///
/// ```
/// # use sentinel_core::uptime::{Check, Checks, Target, Uptime};
/// # let mut uptime = Uptime::default();
/// # uptime.configure(Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?)])?, 0);
/// let window = &uptime.standing("db", 60_000).unwrap().windows[0];
/// assert_eq!((window.uptime, window.coverage, window.uptime_text.as_str()), (None, Some(0.0), "–"));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Window {
    /// Nominal length in hours: 24, 168, 720 or 2,160.
    pub hours: i64,
    /// See [`Availability::uptime`].
    pub uptime: Option<f64>,
    /// See [`Availability::coverage`].
    pub coverage: Option<f64>,
    /// See [`Availability::uptime_text`].
    pub uptime_text: String,
    /// The parts of the window. A window that reaches back into hourly sums begins at a full hour.
    #[serde(flatten)]
    pub availability: Availability,
}

impl CheckStanding {
    pub(super) fn of(monitor: &Monitor, now_ms: i64) -> Self {
        let Monitor { check, state, history, .. } = monitor;
        let days = Days::of(history, &check.maintenance, now_ms);
        let window = |hours: i64| {
            let availability = days.window(history, &check.maintenance, now_ms.saturating_sub(hours * HOUR_MS));
            Window {
                hours,
                uptime: availability.uptime(),
                coverage: availability.coverage(),
                uptime_text: availability.uptime_text(),
                availability,
            }
        };
        Self {
            name: check.name.clone(),
            target: check.target.to_string(),
            kind: check.target.kind(),
            status: if check.paused { Status::Unknown } else { state.status(now_ms) },
            confirmed: state.status,
            since_ms: state.since_ms,
            flapping: state.flapping,
            paused: check.paused,
            maintenance: check.in_maintenance(now_ms),
            last: state.last,
            certificate_expires_ms: state.expires_ms,
            certificate_expiring: state.expiring,
            created_ms: history.since_ms(),
            interval_ms: check.interval_ms(),
            missed: monitor.missed,
            tags: check.tags.clone(),
            windows: WINDOW_HOURS.map(window).to_vec(),
            days: Some(days),
        }
    }
}
