//! Errors as Python sees them.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

pyo3::create_exception!(
    tenant_sentinel,
    ConfigError,
    PyValueError,
    "An option or an argument that cannot be used. `field` names it, `value` is what was given, `allowed` what would do."
);

/// The core's error, with its parts as attributes.
pub(crate) fn config_error(py: Python<'_>, error: &sentinel_core::ConfigError) -> PyErr {
    let raised = ConfigError::new_err(error.to_string());
    let value = raised.value(py);
    for (name, part) in [("field", &error.field), ("value", &error.value), ("allowed", &error.allowed)] {
        if let Err(error) = value.setattr(name, part) {
            return error;
        }
    }
    raised
}

/// For calls that must answer something.
pub(crate) fn internal_error() -> PyErr {
    PyRuntimeError::new_err("tenant_sentinel failed inside; requests go on, nothing is answered")
}
