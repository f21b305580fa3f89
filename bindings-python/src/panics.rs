//! A defect in here is not the host's: each entry from Python is [`guarded`].

use pyo3::prelude::*;

pub(crate) use sentinel_core::panics::guarded;

/// For tests: the next calls of this entry panic. `None` has all entries work again.
#[pyfunction]
#[pyo3(signature = (entry, /))]
#[allow(clippy::needless_pass_by_value)] // what is handed over is owned
pub(crate) fn _fail_at(entry: Option<String>) {
    sentinel_core::panics::fail_at(entry.as_deref());
}
