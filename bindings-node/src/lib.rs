//! The native part of the Node package `tenant-sentinel`, called by the JavaScript in `lib/core`.
//!
//! - `native`: the class that a `Sentinel` of JavaScript calls
//! - `batch`: events that JavaScript hands over many at a time
//! - `admin`: the admin view that adapters mount
//! - `options`: options of the constructor and of queries, from text
//! - `shared`: one sentinel for several worker threads
//! - `test_alert`: test messages to alert sinks, on a thread of their own
//! - `panics`: keeps a defect of this package from ending the application

mod admin;
mod batch;
mod native;
mod options;
mod panics;
mod shared;
mod test_alert;
