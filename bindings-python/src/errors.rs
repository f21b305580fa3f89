//! The exceptions that Python code gets.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

pyo3::create_exception!(
    tenant_sentinel,
    ConfigError,
    PyValueError,
    "An option or an argument that cannot be used. `field` names it, `value` shows the given value, `allowed` says what is allowed."
);

/// The exception for an error of the core, with its fields as attributes.
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

/// The exception of a call that has to return an answer and panicked inside.
pub(crate) fn internal_error() -> PyErr {
    PyRuntimeError::new_err("tenant_sentinel failed inside and cannot answer this call; requests are not affected")
}
