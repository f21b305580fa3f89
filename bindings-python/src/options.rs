//! Conversion of the arguments of the constructor and of queries: durations, sizes, numbers, text. A value that cannot be used is a
//! `ConfigError` that names the field.

use crate::errors::config_error;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDelta, PyFloat, PyInt, PyString};
use sentinel_core::{ConfigError, parse_duration, parse_size};
use std::path::PathBuf;
use std::time::Duration;

/// The error for a value of `field`; it shows the value's `repr`, cut at 80 bytes.
pub(crate) fn refused(field: &str, value: &Bound<'_, PyAny>, allowed: &str) -> PyErr {
    const MAX_SHOWN: usize = 80;
    let mut text = value.repr().map_or_else(|_| "a value".into(), |text| text.to_string_lossy().into_owned());
    if text.len() > MAX_SHOWN {
        text.truncate(text.floor_char_boundary(MAX_SHOWN));
        text.push('…');
    }
    config_error(value.py(), &ConfigError::new(field, text, allowed))
}

/// The result with the error of `field`.
fn with_field<T>(py: Python<'_>, field: &str, result: Result<T, ConfigError>) -> PyResult<T> {
    result.map_err(|error| config_error(py, &error.named(field)))
}

fn is_number(value: &Bound<'_, PyAny>) -> bool {
    !value.is_instance_of::<PyBool>() && (value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>())
}

/// A duration: seconds, text such as `10m`, or a `datetime.timedelta`.
pub(crate) fn duration(field: &str, value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    if let Ok(text) = value.cast::<PyString>() {
        return with_field(value.py(), field, parse_duration(&text.to_string_lossy()));
    }
    let seconds = if is_number(value) { value.extract::<f64>().ok() } else { None };
    let duration = match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        None if value.is_instance_of::<PyDelta>() => value.extract::<Duration>().ok(),
        None => None,
    };
    duration.ok_or_else(|| refused(field, value, "seconds, text such as '10m' or '90s', or a timedelta; not negative"))
}

/// A size in bytes: a whole number, or text such as `64MiB`.
pub(crate) fn size(field: &str, value: &Bound<'_, PyAny>) -> PyResult<usize> {
    match value.cast::<PyString>() {
        Ok(text) => with_field(value.py(), field, parse_size(&text.to_string_lossy())),
        Err(_) => whole(field, value, "bytes, or text such as '64MiB'"),
    }
}

/// A whole number, 0 or above.
pub(crate) fn count(field: &str, value: &Bound<'_, PyAny>) -> PyResult<usize> {
    whole(field, value, "a whole number")
}

fn whole(field: &str, value: &Bound<'_, PyAny>, allowed: &str) -> PyResult<usize> {
    let number = if value.is_instance_of::<PyInt>() && is_number(value) { value.extract::<usize>().ok() } else { None };
    number.ok_or_else(|| refused(field, value, allowed))
}

/// A value that the core parses from text.
pub(crate) fn parsed<T>(field: &str, value: &Bound<'_, PyAny>, allowed: &str) -> PyResult<T>
where
    T: std::str::FromStr<Err = ConfigError>,
{
    let text = value.cast::<PyString>().map_err(|_| refused(field, value, allowed))?;
    with_field(value.py(), field, text.to_string_lossy().parse())
}

/// Text that UTF-8 can encode.
pub(crate) fn text(field: &str, value: &Bound<'_, PyAny>, allowed: &str) -> PyResult<String> {
    let text = value.cast::<PyString>().map_err(|_| refused(field, value, allowed))?;
    text.to_str().map(Into::into).map_err(|_| refused(field, value, allowed))
}

/// `True` or `False`.
pub(crate) fn flag(field: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.cast::<PyBool>().map(PyBoolMethods::is_true).map_err(|_| refused(field, value, "True or False"))
}

/// A path: text, or an object with `__fspath__`.
pub(crate) fn path(field: &str, value: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    value.extract().map_err(|_| refused(field, value, "a path"))
}
