//! The exporter and its thread, which does everything apart from any request.

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
