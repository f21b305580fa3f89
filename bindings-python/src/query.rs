//! The arguments of a report: what it ranks by, how many tenants it lists, and which events it covers.

use crate::options::{count, duration, parsed, refused};
use pyo3::prelude::*;
use sentinel_core::{Query, Scope};
use std::time::Duration;

/// Tenants that a report lists, at most.
const MAX_LISTED_TENANTS: usize = 100_000;

/// The query of `report` and `text`; missing arguments take the core's defaults.
pub(crate) fn query(
    by: Option<&Bound<'_, PyAny>>,
    limit: Option<&Bound<'_, PyAny>>,
    window: Option<&Bound<'_, PyAny>>,
    scope: Option<&Bound<'_, PyAny>>,
) -> PyResult<Query> {
    let mut query = Query { window: self::window(window)?, scope: self::scope(scope)?, ..Query::default() };
    if let Some(value) = by {
        query.by = parsed("by", value, "errors, error_rate, latency, load or requests")?;
    }
    if let Some(value) = limit {
        query.limit = count("limit", value)?.min(MAX_LISTED_TENANTS);
    }
    Ok(query)
}

/// The trailing part of the window, above 0; `None` is all of it.
pub(crate) fn window(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Duration>> {
    let Some(value) = value else { return Ok(None) };
    let window = duration("window", value)?;
    if window.is_zero() { Err(refused("window", value, "a duration above 0")) } else { Ok(Some(window)) }
}

/// Whose events; `None` is the widest scope that can answer.
pub(crate) fn scope(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Scope>> {
    value.map(|value| parsed("scope", value, "'process' or 'host'")).transpose()
}
