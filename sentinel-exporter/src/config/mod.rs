//! Options: what code, `sentinel.toml` and the environment say, and what is wrong with it.

mod alert_options;
mod options;
mod parse;
mod uptime_options;
mod watch;

pub use alert_options::AlertOptions;
pub use options::Config;
pub use parse::ReadError;
pub(crate) use parse::table;
pub use uptime_options::UptimeOptions;
pub use watch::{Reload, Watch};
