//! Errors of a configuration: each is a value that names the option by its path, shows what its type lets be shown, and
//! says what is allowed.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod edges;
mod secrets;

use sentinel_core::ConfigError;
use sentinel_exporter::{Config, ReadError};

/// The error of a text.
fn refused(toml: &str) -> ConfigError {
    match Config::from_toml(toml) {
        Err(ReadError::Value(error)) => error,
        other => panic!("{toml}: {other:?}"),
    }
}
