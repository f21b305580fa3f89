//! The exporter shares what the processes of one host count, so that any of them answers for all: which tenant causes elevated errors
//! or latency right now.
//!
//! ```text
//! block ─► publish ─► rollup store ─► collect ─► block of another process
//!           rollup/    directory: a file for each source and slot, a lock for each source
//!           leader     one process that alerts people and probes targets for all
//! ```
//!
//! The core ([`sentinel_core`]) counts and judges without a file or a thread. This crate does the rest on a thread of its own,
//! apart from any request.
//!
//! - [`Exporter`] is the handle that a host holds, and owns the thread;
//! - [`rollup`] is the store in which the processes of a host meet;
//! - [`probe`] probes one uptime check once;
//! - [`sink`] sends one message once: Slack, webhook, mail, log;
//! - [`Leader`] decides which process acts for all;
//! - [`Config`] has the options, and [`Watch`] follows a configuration file that changes;
//! - [`Flusher`] writes closed slots as JSON lines, for other systems.

// Rooms, from the top; each sees only rooms in lines below its own:
//   thread
//   alerting, uptime
//   config
//   rollup, probe, sink
//   host_dir, net, values
mod alerting;
mod config;
mod host_dir;
mod net;
pub mod probe;
pub mod rollup;
pub mod sink;
mod thread;
mod uptime;
mod values;

pub use config::{AlertOptions, Config, ReadError, Reload, UptimeOptions, Watch};
#[cfg(unix)]
pub use host_dir::Leader;
pub use sink::flush::Flush;
#[cfg(unix)]
pub use sink::flusher::{FlushError, Flusher};
pub use thread::{Exporter, Setup, TestError};
