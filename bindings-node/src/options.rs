//! Options of the constructor and of queries. JavaScript hands each over as a name and a text; an error names the field.

use sentinel_core::{Builder, By, ConfigError, Query, Scope, parse_duration, parse_size};
use sentinel_exporter::Setup;
use std::path::PathBuf;
use std::time::Duration;

/// Rows that a report lists, at most; a larger limit is lowered to this.
const MAX_ROWS: usize = 100_000;

/// An error whose message is JSON with its parts; `lib/core/errors.cjs` makes a `RangeError` from it.
#[allow(clippy::needless_pass_by_value)] // for `map_err`
pub(crate) fn config_error(error: ConfigError) -> napi::Error {
    let parts = serde_json::json!({ "field": error.field, "value": error.value, "allowed": error.allowed });
    napi::Error::new(napi::Status::InvalidArg, parts.to_string())
}

fn for_field<T>(field: &str, result: Result<T, ConfigError>) -> Result<T, ConfigError> {
    result.map_err(|error| error.named(field))
}

fn count(field: &str, text: &str) -> Result<usize, ConfigError> {
    text.parse().map_err(|_| ConfigError::new(field, text, "a whole number"))
}

/// Sets one option of the sentinel.
pub(crate) fn set_option(builder: Builder, field: &str, text: &str) -> Result<Builder, ConfigError> {
    Ok(match field {
        "window" => builder.window(for_field(field, parse_duration(text))?),
        "slot" => builder.slot(for_field(field, parse_duration(text))?),
        "budget" => builder.budget(for_field(field, parse_size(text))?),
        "errors" => builder.errors(for_field(field, text.parse())?),
        "places" => builder.places(count(field, text)?),
        "max_endpoints" => builder.max_endpoints(count(field, text)?),
        "stripes" => builder.stripes(count(field, text)?),
        "slow_after" => builder.slow_after(for_field(field, parse_duration(text))?),
        other => return Err(ConfigError::new(other, "an option of this name", "the options that are documented")),
    })
}

/// Parses the window of a query.
pub(crate) fn window(text: Option<&str>) -> Result<Option<Duration>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    let window = for_field("window", parse_duration(text))?;
    if window.is_zero() { Err(ConfigError::new("window", text, "a duration above 0")) } else { Ok(Some(window)) }
}

/// Parses the scope of a query.
pub(crate) fn scope(text: Option<&str>) -> Result<Option<Scope>, ConfigError> {
    text.map(|text| for_field("scope", text.parse())).transpose()
}

/// Parses a query.
pub(crate) fn query(
    by: Option<&str>,
    limit: Option<&str>,
    within: Option<&str>,
    series: bool,
    scope: Option<&str>,
) -> Result<Query, ConfigError> {
    let default = Query::default();
    Ok(Query {
        by: by.map_or(Ok(default.by), |text| for_field("by", text.parse::<By>()))?,
        limit: limit.map_or(Ok(default.limit), |text| count("limit", text))?.min(MAX_ROWS),
        window: window(within)?,
        series,
        scope: self::scope(scope)?,
    })
}

/// Sets one option of the exporter; returns `false` for a name that is no option of the exporter.
pub(crate) fn set_exporter_option(setup: &mut Setup, field: &str, text: &str) -> bool {
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

/// Parses the time that a test of sinks may take: 10 s by default; more than a minute is lowered to a minute.
pub(crate) fn timeout(text: Option<&str>) -> Result<Duration, ConfigError> {
    let within = text.map_or(Ok(Duration::from_secs(10)), |text| for_field("timeout", parse_duration(text)))?;
    Ok(within.min(Duration::from_mins(1)))
}
