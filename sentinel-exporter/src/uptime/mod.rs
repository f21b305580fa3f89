//! Uptime checks of a host, by the process that leads: who is due is probed, what was found is written down, then judged and told.
//!
//! ```text
//! Uptime::next ─► begin ─► probe ─► Uptime::record ─► log ─► alerts, by Uptime::troubled
//! sentinel-core            probe/   sentinel-core     log    alerting/
//! ```
//!
//! Nothing here waits or probes: [`Probing::next`] says whom to probe, and [`Probing::done`] is told what came of it. the part that
//! lives on the exporter's runtime is in `thread/probe_duties.rs`.

#[cfg(unix)]
mod result_log;
#[cfg(all(test, unix))]
mod tests;

#[cfg(unix)]
pub(crate) use probing::{CheckPlan, Probing};

#[cfg(unix)]
mod probing;
