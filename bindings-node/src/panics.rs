//! Keeps a defect of this package from ending the application: each entry from JavaScript runs inside of [`guarded`].

use napi_derive::napi;

pub(crate) use sentinel_core::panics::guarded;

/// The error of a call that has no answer because of a defect.
pub(crate) fn internal_error() -> napi::Error {
    napi::Error::from_reason("tenant-sentinel failed inside; requests go on, but this call has no answer")
}

/// For tests: the next calls of this entry panic. `undefined` makes all entries work again.
#[napi(catch_unwind)]
#[allow(clippy::needless_pass_by_value, dead_code, unreachable_pub)] // napi hands over owned values, and Node calls this
pub fn fail_at(entry: Option<String>) {
    sentinel_core::panics::fail_at(entry.as_deref());
}
