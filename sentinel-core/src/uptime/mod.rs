//! Uptime checks: the schedule of probes, the confirmed status of each target, and its availability.
//!
//! ```text
//! Checks ─► Schedule ─► (a probe: exporter) ─► CheckResult ─► State ─► Change ─► alerts
//! check     schedule                            result         state    network
//! target    expect                                 └─► History ─► Availability
//! maintenance                                          history    availability
//! ```
//!
//! The module is pure: it has no clock, no thread and no socket. [`Uptime`] holds all checks; `now` is an argument, and a prober (in the
//! exporter) brings the results. Time without knowledge is reported as unknown, never as up or down: before a check was created, while
//! it was paused, while no process probed, and while this side's own network was down.
//!
//! | file | contents |
//! |---|---|
//! | `check`, `target`, `expect`, `maintenance` | the configuration of a check, with its ranges |
//! | `schedule` | the moments at which a check is probed |
//! | `result` | the result of one probe, and its 20 bytes |
//! | `state` | results become a confirmed status, changes and flapping |
//! | `network` | whether a failure is the target's or this side's own network's |
//! | `history`, `availability`, `days` | kept results and hours, and the sums over them |
//! | `monitor` | one check with its schedule, state and history |
//! | `engine` | all checks: [`Uptime`] |
//! | `standing`, `check_status` | the status of checks for `/uptime`, and for alerts |
//! | `codec` | history and state as bytes |
//!
//! The way of a result: [`Uptime::next`] and [`Uptime::begin`] say when to probe; [`Uptime::record`] takes the result, stores it in the
//! history, moves the state, and asks `network` before it calls a target down.
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

/// Largest number of checks.
pub const MAX_CHECKS: usize = 10_000;
/// Raw results that are kept of each check.
pub const KEPT_RESULTS: usize = 1_000;
/// Full hours that are kept of each check (90 days), beside the current one.
pub const KEPT_HOURS: i64 = 90 * 24;
/// Longest name of a check, tag and name of a header, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 64;
/// Largest number of headers of a check.
const MAX_CHECK_HEADERS: usize = 32;
/// Longest value of a header, in bytes.
const MAX_HEADER_VALUE_BYTES: usize = 4_096;
/// Largest number of statuses, of JSON pointers and of tags of a check.
const MAX_CONDITIONS: usize = 16;
/// Longest text that a body is searched for, and longest JSON pointer, in bytes.
const MAX_CONDITION_BYTES: usize = 1_024;
/// Largest number of maintenance windows of a check.
const MAX_MAINTENANCE_WINDOWS: usize = 16;
