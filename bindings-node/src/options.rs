//! What the constructor and the queries take, as text by name, and errors that name the field where that cannot be used.

use sentinel_core::{Builder, By, ConfigError, Query, Scope, parse_duration, parse_size};
use sentinel_exporter::Setup;
use std::path::PathBuf;
use std::time::Duration;

/// Rows that a report lists, at most.
const MOST_ROWS: usize = 100_000;

/// An error with its parts, which the facade makes an error of JavaScript's of.
#[allow(clippy::needless_pass_by_value)] // for `map_err`
pub(crate) fn refused(error: ConfigError) -> napi::Error {
    let parts = serde_json::json!({ "field": error.field, "value": error.value, "allowed": error.allowed });
    napi::Error::new(napi::Status::InvalidArg, parts.to_string())
}

fn named<T>(field: &str, result: Result<T, ConfigError>) -> Result<T, ConfigError> {
    result.map_err(|error| ConfigError::new(field, error.value, error.allowed))
}

fn count(field: &str, text: &str) -> Result<usize, ConfigError> {
    text.parse().map_err(|_| ConfigError::new(field, text, "a whole number"))
}

/// Sets one option.
pub(crate) fn set(builder: Builder, field: &str, text: &str) -> Result<Builder, ConfigError> {
    Ok(match field {
        "window" => builder.window(named(field, parse_duration(text))?),
        "slot" => builder.slot(named(field, parse_duration(text))?),
        "budget" => builder.budget(named(field, parse_size(text))?),
        "errors" => builder.errors(named(field, text.parse())?),
        "places" => builder.places(count(field, text)?),
        "max_endpoints" => builder.max_endpoints(count(field, text)?),
        "stripes" => builder.stripes(count(field, text)?),
        "slow_after" => builder.slow_after(named(field, parse_duration(text))?),
        other => return Err(ConfigError::new(other, "an option of this name", "the options that are documented")),
    })
}

/// A trailing part of the window.
pub(crate) fn window(text: Option<&str>) -> Result<Option<Duration>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    let window = named("window", parse_duration(text))?;
    if window.is_zero() { Err(ConfigError::new("window", text, "a duration above 0")) } else { Ok(Some(window)) }
}

/// Whose events.
pub(crate) fn scope(text: Option<&str>) -> Result<Option<Scope>, ConfigError> {
    text.map(|text| named("scope", text.parse())).transpose()
}

/// What a report is asked for.
pub(crate) fn query(
    by: Option<&str>,
    limit: Option<&str>,
    within: Option<&str>,
    series: bool,
    scope: Option<&str>,
) -> Result<Query, ConfigError> {
    let default = Query::default();
    Ok(Query {
        by: by.map_or(Ok(default.by), |text| named("by", text.parse::<By>()))?,
        limit: limit.map_or(Ok(default.limit), |text| count("limit", text))?.min(MOST_ROWS),
        window: window(within)?,
        series,
        scope: self::scope(scope)?,
    })
}

/// Sets one option of what shares with other processes, alerts and probes; whether it is one of these.
pub(crate) fn set_up(setup: &mut Setup, field: &str, text: &str) -> bool {
    let path = || Some(PathBuf::from(text));
    match field {
        "service" => setup.service = Some(text.into()),
        "dir" => setup.dir = path(),
        "state_dir" => setup.state_dir = path(),
        "config" => setup.config = path(),
        "alerts" => setup.alerts = Some(text.into()),
        "uptime" => setup.uptime = Some(text.into()),
        _ => return false,
    }
    true
}

/// How long a test of sinks may take: ten seconds, a minute at most.
pub(crate) fn timeout(text: Option<&str>) -> Result<Duration, ConfigError> {
    let within = text.map_or(Ok(Duration::from_secs(10)), |text| named("timeout", parse_duration(text)))?;
    Ok(within.min(Duration::from_mins(1)))
}
