//! A panic of this library does not reach the host: each entry from Python is [`guarded`].

use pyo3::prelude::*;

pub(crate) use sentinel_core::panics::guarded;

/// For tests: the next calls of this entry panic. `None` lets all entries work again.
#[pyfunction]
#[pyo3(signature = (entry, /))]
#[allow(clippy::needless_pass_by_value)] // PyO3 hands over owned arguments
pub(crate) fn _fail_at(entry: Option<String>) {
    sentinel_core::panics::fail_at(entry.as_deref());
}
