//! The native part of the Python package `tenant_sentinel`: what the core does, under the names that it has there.
//!
//! `sentinel` and `guard` are what an application calls, `admin` what its adapters mount, `boundary` what Python values mean,
//! `options` what the constructor takes, `nested` the longest of it, `values` what comes out. `exporters` are the threads that share
//! with other processes.
//! `detached` is how other threads run meanwhile, `panics` sees to it that nothing of this takes the host down, `fork` that a
//! child process starts from zero.

// The comments of what Python sees are docstrings, and read there.
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

/// What `import tenant_sentinel._native` runs.
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
        crate::fork::watch();
        let drain = wrap_pyfunction!(crate::detached::_drain, module)?;
        module.py().import("atexit")?.call_method1("register", (drain,))?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
