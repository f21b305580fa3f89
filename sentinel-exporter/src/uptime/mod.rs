//! Uptime checks of a host, as its leader process does them: find the checks that are due, record results, write them down.
//!
//! ```text
//! Uptime::next ─► begin ─► probe ─► Uptime::record ─► log ─► alerts, by Uptime::troubled
//! sentinel-core            probe/   sentinel-core     log    alerting/
//! ```
//!
//! Nothing here waits or probes: [`Probing::next`] returns the checks to probe, and [`Probing::done`] takes the result of each.
//! `thread/probe_duties.rs` runs the probes.
//!
//! - `probing`: the checks, when each is due, and what follows from a result
//! - `result_log`: the log on disk that keeps 90 days of results

#[cfg(unix)]
mod result_log;
#[cfg(all(test, unix))]
mod tests;

#[cfg(unix)]
pub(crate) use probing::{CheckPlan, Probing};

#[cfg(unix)]
mod probing;
