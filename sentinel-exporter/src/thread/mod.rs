//! The exporter and its thread. The thread does all work of the exporter, apart from any request.
//!
//! ```text
//! request ─► exporter ─► mailbox ─► work ─► view           publish and collect blocks, every two seconds
//!                                     │
//!                                     └───► leader_duties  lead; alert_duties and probe_duties, only while this process leads
//! ```
//!
//! - `exporter`: the handle that a host holds; it starts the thread, and one of its own in each forked child
//! - `setup`: an exporter from the arguments of a binding's constructor
//! - `mailbox`: questions to the thread and its answers, with their deadlines
//! - `work`: the loop of the thread and what it does each second
//! - `view`: the merged view of the host: blocks published by this process and collected from the others
//! - `leader_duties`: who leads, as far as alerts and checks go; `host_dir/leader.rs` has the lock itself
//! - `alert_duties`: messages under way, and the report on alerts
//! - `probe_duties`: probes under way, and the report on uptime checks
//! - `while_leading`: the life-cycle that both share
//! - `failures`: errors counted by reason, for `/stats`

#[cfg(unix)]
mod alert_duties;
mod exporter;
mod failures;
#[cfg(unix)]
mod leader_duties;
#[cfg(all(test, unix))]
mod leader_duties_tests;
mod mailbox;
#[cfg(unix)]
mod probe_duties;
mod setup;
mod view;
#[cfg(unix)]
mod while_leading;
mod work;

pub use exporter::{Exporter, TestError};
pub use setup::Setup;
