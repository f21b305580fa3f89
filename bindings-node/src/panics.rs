//! A defect in here is not the host's: each entry from JavaScript is [`guarded`].

use napi_derive::napi;

pub(crate) use sentinel_core::panics::guarded;

/// For calls that must answer something.
pub(crate) fn internal_error() -> napi::Error {
    napi::Error::from_reason("tenant-sentinel failed inside; requests go on, nothing is answered")
}

/// For tests: the next calls of this entry panic. Nothing has all entries work again.
#[napi(catch_unwind)]
#[allow(clippy::needless_pass_by_value, dead_code, unreachable_pub)] // what napi hands over is owned, and Node calls it
pub fn fail_at(entry: Option<String>) {
    sentinel_core::panics::fail_at(entry.as_deref());
}
