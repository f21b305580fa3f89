//! The options of the exporter, from code, `sentinel.toml` and the environment, and the errors in them.
//!
//! - `options`: [`Config`]: the table `[exporter]` and the variables `SENTINEL_…`
//! - `alert_options`: the table `[alerts]`; its sinks are in `sink/`
//! - `uptime_options`: the table `[uptime]`
//! - `parse`: from text or JSON to the tables as they are written, and the place of an error
//! - `watch`: a file that changes while the exporter runs

mod alert_options;
mod options;
mod parse;
mod uptime_options;
mod watch;

pub use alert_options::AlertOptions;
pub use options::Config;
pub use parse::ReadError;
pub(crate) use parse::{alerts, uptime};
pub use uptime_options::UptimeOptions;
pub use watch::{Reload, Watch};
