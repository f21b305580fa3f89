//! Uptime checks that do not lie: what is probed when, whether it is up, and for how much of the time it was.
//!
//! ```text
//! Checks ─► Schedule ─► (a probe, elsewhere) ─► CheckResult ─► State ─► Change ─► alerts, elsewhere
//! check     schedule                            result         state    network
//! target    expect                                 └─► History ─► Availability
//! maintenance                                          history    availability
//! ```
//!
//! Pure: no clock, no thread, no socket. [`Uptime`] holds all checks and moves them by what it is told: `now` is an argument, results come from a
//! prober. What is unknown is said to be unknown: before a check came to be, while it was paused, while nobody probed, while this side's own
//! network was down.
//!
//! ```
//! use sentinel_core::uptime::{Cause, Check, CheckResult, Checks, Status, Target, Uptime};
//!
//! let mut uptime = Uptime::default();
//! uptime.configure(Checks::new(vec![Check::new("shop", Target::new("https://shop.example/health")?)])?, 0);
//! let mut told = Vec::new();
//! for (at_ms, up) in [(1_000, true), (11_000, true), (61_000, false), (71_000, false), (81_000, false), (91_000, true), (101_000, true)] {
//!     let result = if up { CheckResult::up(at_ms, 60_000) } else { CheckResult::down(at_ms, 60_000, Cause::Timeout) };
//!     let after = uptime.record("shop", at_ms + 200, result, None);
//!     told.extend(after.changes.into_iter().filter(|change| change.tells).map(|change| (change.at_ms, change.what.name())));
//! }
//! assert_eq!(told, [(81_200, "down"), (101_200, "up")]);
//! let window = uptime.availability("shop", 1_000, 161_000).unwrap();
//! assert_eq!((window.up_ms, window.down_ms, window.unknown_ms), (130_000, 30_000, 0));
//! # Ok::<(), sentinel_core::ConfigError>(())
//! ```

mod availability;
mod check;
mod check_status;
mod codec;
mod days;
mod engine;
mod expect;
mod history;
mod maintenance;
mod monitor;
mod network;
mod result;
mod schedule;
mod standing;
mod state;
mod target;

pub use availability::{Availability, availability};
pub use check::{Check, Checks, Confirm, Method};
pub use check_status::CheckStatus;
pub use days::Days;
pub use engine::{After, Uptime};
pub use expect::{Answer, Expect, Statuses};
pub use history::{History, ResultCounts};
pub use maintenance::{Day, Maintenance};
pub use network::Network;
pub use result::{Cause, CheckResult, Outcome};
pub use schedule::{Due, Schedule};
pub use standing::{CheckStanding, StatusCounts, UptimeReport, Window};
pub use state::{Change, State, Status, What};
pub use target::{Hidden, Kind, Target};

/// Checks at a time.
pub const MAX_CHECKS: usize = 10_000;
/// Raw results that are kept of a check.
pub const KEPT_RESULTS: usize = 1_000;
/// Hours that are kept of a check: 90 days, and the one that is going on.
pub const KEPT_HOURS: i64 = 90 * 24;
/// The longest name, tag and name of a header, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 64;
/// Headers of a check, and the longest value of one, in bytes.
const MAX_CHECK_HEADERS: usize = 32;
const MAX_HEADER_VALUE_BYTES: usize = 4_096;
/// Conditions of one kind: statuses, JSON pointers, tags.
const MAX_CONDITIONS: usize = 16;
/// The longest text that a body is searched for, in bytes.
const MAX_CONDITION_BYTES: usize = 1_024;
/// Maintenance windows of a check.
const MAX_MAINTENANCE_WINDOWS: usize = 16;
