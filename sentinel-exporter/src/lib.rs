//! What the processes of one host tell each other, so that any of them answers for all: which tenant causes elevated errors or
//! latency right now.
//!
//! ```text
//! block ─► publish ─► rollup store ─► collect ─► block of another process
//!           rollup/    directory: a file a source and slot, a lock a source
//!           leader     the one that does for all what must be done once
//! ```
//!
//! The core ([`sentinel_core`]) counts and judges, without a file or a thread; this crate does what needs them, apart from any
//! request.
//!
//! - [`Exporter`] is what a host holds; its thread does all of this, apart from any request;
//! - [`rollup`] is where processes meet, and the store of one host;
//! - [`probe`] is one uptime check, asked once;
//! - [`Leader`] says which one acts for all;
//! - [`Config`] is what it is told, [`Watch`] a configuration file that changes;
//! - [`Flusher`] writes closed slots as JSON lines, for other systems.

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
