//! The native part of the Node package `tenant-sentinel`: what the core does, for the facade in `lib/`.
//!
//! `native` is what the facade calls, `batch` the events that it hands over, `admin` what adapters mount, `options` what the
//! constructor and the queries take, `shared` how worker threads share one sentinel, `testing` what takes seconds, `panics` sees to
//! it that nothing of this takes the host down.

mod admin;
mod batch;
mod native;
mod options;
mod panics;
mod shared;
mod testing;
