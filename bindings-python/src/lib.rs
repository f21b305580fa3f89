//! The native part of the Python package `tenant_sentinel`: the core and the exporter behind Python classes.
//!
//! - Classes: `sentinel` and `guard` (called by applications), `admin` (mounted by the adapters), `watched` (a request of the ASGI
//!   adapter), `errors` (the exceptions).
//! - Python values in: `constructor` and `query` (arguments), `options` (durations, sizes, numbers), `nested` (the dicts of alerts
//!   and checks), `boundary` (the values of a request).
//! - Python values out: `values`.
//! - The host: `detached` (other threads run meanwhile), `panics` (no panic reaches Python), `fork` (a child starts from zero),
//!   `exporters` (publish at exit).

// The doc comments of Python classes are their docstrings, in Python's notation.
#![allow(clippy::doc_markdown, clippy::doc_link_with_quotes)]

mod admin;
mod boundary;
mod constructor;
mod detached;
mod errors;
mod exporters;
mod fork;
mod guard;
mod nested;
mod options;
mod panics;
mod query;
mod sentinel;
mod values;
mod watched;

/// The module `tenant_sentinel._native`.
#[pyo3::pymodule(gil_used = true)]
mod _native {
    #[pymodule_export]
    use crate::admin::Admin;
    #[pymodule_export]
    use crate::errors::ConfigError;
    #[pymodule_export]
    use crate::guard::Guard;
    #[pymodule_export]
    use crate::panics::_fail_at;
    #[pymodule_export]
    use crate::sentinel::Sentinel;
    #[pymodule_export]
    use crate::watched::Request;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::fork::install_handler();
        let drain = wrap_pyfunction!(crate::detached::_drain, module)?;
        module.py().import("atexit")?.call_method1("register", (drain,))?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
