//! What the constructor and the queries take: durations, sizes and numbers, each an error that names the field where it cannot be
//! used.

use crate::errors::config_error;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDelta, PyFloat, PyInt, PyString};
use sentinel_core::{ConfigError, parse_duration, parse_size};
use std::path::PathBuf;
use std::time::Duration;

/// An error of this field; the value as Python would write it, as far as it is short.
pub(crate) fn refused(field: &str, value: &Bound<'_, PyAny>, allowed: &str) -> PyErr {
    const MOST: usize = 80;
    let mut text = value.repr().map_or_else(|_| "a value".into(), |text| text.to_string_lossy().into_owned());
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push('…');
    }
    config_error(value.py(), &ConfigError::new(field, text, allowed))
}

fn named<T>(py: Python<'_>, field: &str, result: Result<T, ConfigError>) -> PyResult<T> {
    result.map_err(|error| config_error(py, &error.named(field)))
}

fn is_number(value: &Bound<'_, PyAny>) -> bool {
    !value.is_instance_of::<PyBool>() && (value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>())
}

/// Seconds, text such as `10m`, or a `datetime.timedelta`.
pub(crate) fn duration(field: &str, value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    if let Ok(text) = value.cast::<PyString>() {
        return named(value.py(), field, parse_duration(&text.to_string_lossy()));
    }
    let seconds = if is_number(value) { value.extract::<f64>().ok() } else { None };
    let duration = match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        None if value.is_instance_of::<PyDelta>() => value.extract::<Duration>().ok(),
        None => None,
    };
    duration.ok_or_else(|| refused(field, value, "seconds, text such as '10m' or '90s', or a timedelta; not negative"))
}

/// Bytes, or text such as `64MiB`.
pub(crate) fn size(field: &str, value: &Bound<'_, PyAny>) -> PyResult<usize> {
    match value.cast::<PyString>() {
        Ok(text) => named(value.py(), field, parse_size(&text.to_string_lossy())),
        Err(_) => whole(field, value, "bytes, or text such as '64MiB'"),
    }
}

/// A whole number that is not negative.
pub(crate) fn count(field: &str, value: &Bound<'_, PyAny>) -> PyResult<usize> {
    whole(field, value, "a whole number")
}

fn whole(field: &str, value: &Bound<'_, PyAny>, allowed: &str) -> PyResult<usize> {
    let number = if value.is_instance_of::<PyInt>() && is_number(value) { value.extract::<usize>().ok() } else { None };
    number.ok_or_else(|| refused(field, value, allowed))
}

/// Text that the core reads.
pub(crate) fn parsed<T>(field: &str, value: &Bound<'_, PyAny>, allowed: &str) -> PyResult<T>
where
    T: std::str::FromStr<Err = ConfigError>,
{
    let text = value.cast::<PyString>().map_err(|_| refused(field, value, allowed))?;
    named(value.py(), field, text.to_string_lossy().parse())
}

/// Text.
pub(crate) fn text(field: &str, value: &Bound<'_, PyAny>, allowed: &str) -> PyResult<String> {
    let text = value.cast::<PyString>().map_err(|_| refused(field, value, allowed))?;
    text.to_str().map(Into::into).map_err(|_| refused(field, value, allowed))
}

/// `True` or `False`.
pub(crate) fn flag(field: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.cast::<PyBool>().map(PyBoolMethods::is_true).map_err(|_| refused(field, value, "True or False"))
}

/// A path: text, or what has `__fspath__`.
pub(crate) fn path(field: &str, value: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    value.extract().map_err(|_| refused(field, value, "a path"))
}
