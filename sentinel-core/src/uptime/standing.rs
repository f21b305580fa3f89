//! Where checks stand, for programs and pages: nothing in it is a secret.

use super::availability::Availability;
use super::days::Days;
use super::monitor::Monitor;
use super::result::CheckResult;
use super::state::Status;
use super::target::Kind;
use crate::util::civil::HOUR_MS;
use serde::Serialize;

/// The windows that are told of each check, in hours: 24 h, 7 d, 30 d, 90 d.
const WINDOW_HOURS: [i64; 4] = [24, 7 * 24, 30 * 24, 90 * 24];

/// Answers `uptime()` and `/uptime`, the same from every process of a host: where all checks stand.
///
/// ```
/// let report = sentinel_core::uptime::Uptime::default().report(7);
/// assert_eq!((report.as_of, report.service.as_str(), report.leader, report.counts.up), (7, "", false, 0));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UptimeReport {
    /// The service.
    pub service: String,
    /// The moment, Unix ms.
    pub as_of: i64,
    /// This process is the one that probes.
    pub leader: bool,
    /// Since when this side's own network is down, Unix ms.
    pub network_down_since_ms: Option<i64>,
    /// How many checks have which status: all of them, however many are listed.
    pub counts: StatusCounts,
    /// Those that are down first, then those of which nothing is known, then those that are up; each by name.
    pub checks: Vec<CheckStanding>,
    /// Why it may be stale, or not all.
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

    /// Without what each check was day by day, which is most of it.
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

    /// With so many checks at most; [`UptimeReport::counts`] still says how many there are.
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

/// How many checks have which [`Status`]: together, all.
///
/// ```
/// let counts = sentinel_core::uptime::Uptime::default().report(0).counts;
/// assert_eq!(serde_json::to_string(&counts).unwrap(), r#"{"down":0,"unknown":0,"up":0}"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct StatusCounts {
    /// Those that are down.
    pub down: usize,
    /// Those of which nothing is known now: paused ones too.
    pub unknown: usize,
    /// Those that are up.
    pub up: usize,
}

/// Where a check stands. A number that has no meaning yet is `null`, never 0.
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
    /// Its name.
    pub name: String,
    /// What is probed, without what may be a secret.
    pub target: String,
    /// How.
    pub kind: Kind,
    /// What is known now.
    pub status: Status,
    /// What was confirmed last: an alert about it goes on while [`CheckStanding::status`] is unknown.
    pub confirmed: Status,
    /// Since when that is so, Unix ms.
    pub since_ms: i64,
    /// It goes up and down so often that single changes are no news.
    pub flapping: bool,
    /// It is not probed.
    pub paused: bool,
    /// Failures are no news now.
    pub maintenance: bool,
    /// The last result.
    pub last: Option<CheckResult>,
    /// When its certificate expires, Unix ms.
    pub certificate_expires_ms: Option<i64>,
    /// That is soon.
    pub certificate_expiring: bool,
    /// When it came to be, Unix ms: before that everything is unknown.
    pub created_ms: i64,
    /// Its interval, in milliseconds.
    pub interval_ms: u32,
    /// Moments at which nobody probed although it was due.
    pub missed: u64,
    /// Its tags.
    pub tags: Vec<String>,
    /// The last 24 h, 7 d, 30 d and 90 d.
    pub windows: Vec<Window>,
    /// The last 90 days, one by one, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<Days>,
}

/// A window with what follows from its parts.
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
    /// How long it was to be: 24, 168, 720 or 2,160.
    pub hours: i64,
    /// See [`Availability::uptime`].
    pub uptime: Option<f64>,
    /// See [`Availability::coverage`].
    pub coverage: Option<f64>,
    /// See [`Availability::uptime_text`].
    pub uptime_text: String,
    /// What it is made of; where the hours of a longer history are asked, it begins at a full hour.
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
