//! The arguments of `Sentinel(...)`, and the core and the exporter that they make.

use crate::errors::{config_error, internal_error};
use crate::exporters;
use crate::nested;
use crate::options::{count, duration, parsed, path, size, text};
use crate::panics::guarded;
use pyo3::prelude::*;
use sentinel_core::{Builder, ConfigError};
use sentinel_exporter::{Exporter, Setup};
use std::sync::Arc;

/// An argument as Python gives it; `None` where it is not given.
type Argument<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

/// The keyword arguments of the constructor, each under its name. `Sentinel`'s docstring says what they mean.
pub(crate) struct Arguments<'a, 'py> {
    pub(crate) window: Argument<'a, 'py>,
    pub(crate) slot: Argument<'a, 'py>,
    pub(crate) budget: Argument<'a, 'py>,
    pub(crate) errors: Argument<'a, 'py>,
    pub(crate) places: Argument<'a, 'py>,
    pub(crate) max_endpoints: Argument<'a, 'py>,
    pub(crate) stripes: Argument<'a, 'py>,
    pub(crate) slow_after: Argument<'a, 'py>,
    pub(crate) admin_token: Argument<'a, 'py>,
    pub(crate) service: Argument<'a, 'py>,
    pub(crate) dir: Argument<'a, 'py>,
    pub(crate) config: Argument<'a, 'py>,
    pub(crate) alerts: Argument<'a, 'py>,
    pub(crate) uptime: Argument<'a, 'py>,
    pub(crate) state_dir: Argument<'a, 'py>,
}

/// The parts of a `Sentinel`.
pub(crate) struct Parts {
    pub(crate) core: sentinel_core::Sentinel,
    /// The threads that share with other processes, alert and probe; `None` without a `service`.
    pub(crate) exporter: Option<Arc<Exporter>>,
    pub(crate) admin_token: Option<String>,
}

impl Arguments<'_, '_> {
    /// Builds the core, and the exporter where one is configured. An argument goes before its environment variable.
    pub(crate) fn build(&self, py: Python<'_>) -> PyResult<Parts> {
        let refuse = |error: ConfigError| config_error(py, &error);
        let builder = self.core_options(sentinel_core::Sentinel::builder().env().map_err(refuse)?)?;
        let admin_token = self.admin_token(py)?;
        let core = guarded("new", || builder.build()).ok_or_else(internal_error)?.map_err(refuse)?;
        if let Some(token) = &admin_token {
            core.admin().token(token).map_err(refuse)?;
        }
        let exporter = exporter(py, &core, self.setup(py)?)?;
        Ok(Parts { core, exporter, admin_token })
    }

    fn core_options(&self, mut builder: Builder) -> PyResult<Builder> {
        if let Some(value) = self.window {
            builder = builder.window(duration("window", value)?);
        }
        if let Some(value) = self.slot {
            builder = builder.slot(duration("slot", value)?);
        }
        if let Some(value) = self.budget {
            builder = builder.budget(size("budget", value)?);
        }
        if let Some(value) = self.errors {
            builder = builder.errors(parsed("errors", value, "text: 5xx, 4xx or aborted, separated by commas")?);
        }
        if let Some(value) = self.places {
            builder = builder.places(count("places", value)?);
        }
        if let Some(value) = self.max_endpoints {
            builder = builder.max_endpoints(count("max_endpoints", value)?);
        }
        if let Some(value) = self.stripes {
            builder = builder.stripes(count("stripes", value)?);
        }
        if let Some(value) = self.slow_after {
            builder = builder.slow_after(duration("slow_after", value)?);
        }
        Ok(builder)
    }

    fn admin_token(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let Some(value) = self.admin_token else {
            return Ok(std::env::var("SENTINEL_ADMIN_TOKEN").ok().filter(|token| !token.is_empty()));
        };
        // The error does not show the value, which is a secret.
        text("admin_token", value, "text")
            .map(Some)
            .map_err(|_| config_error(py, &ConfigError::new("admin_token", "a value that is not text", "text")))
    }

    fn setup(&self, py: Python<'_>) -> PyResult<Setup> {
        Ok(Setup {
            service: self.service.map(|value| text("service", value, "text")).transpose()?,
            dir: self.dir.map(|value| path("dir", value)).transpose()?,
            state_dir: self.state_dir.map(|value| path("state_dir", value)).transpose()?,
            config: self.config.map(|value| path("config", value)).transpose()?,
            alerts: table(py, "alerts", self.alerts)?,
            uptime: table(py, "uptime", self.uptime)?,
        })
    }
}

/// The dict of `alerts=` or `uptime=` as JSON, which the exporter reads.
fn table(py: Python<'_>, field: &str, given: Argument<'_, '_>) -> PyResult<Option<String>> {
    let Some(given) = given else { return Ok(None) };
    let json = guarded(&format!("{field}_option"), || nested::json(field, given)).ok_or_else(internal_error)?;
    json.map(Some).map_err(|error| config_error(py, &error))
}

fn exporter(py: Python<'_>, core: &sentinel_core::Sentinel, setup: Setup) -> PyResult<Option<Arc<Exporter>>> {
    let made = guarded("exporter", || setup.exporter(core)).ok_or_else(internal_error)?;
    let exporter = made.map_err(|error| config_error(py, &error))?.map(Arc::new);
    if let Some(exporter) = &exporter {
        exporters::remember(exporter);
    }
    Ok(exporter)
}
