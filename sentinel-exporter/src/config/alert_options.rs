//! The table `[alerts]`: rules, grouping and sinks.

use crate::sink::options::SinkOptions;
use crate::sink::{Sink, SinkConfig};
use crate::values;
use sentinel_core::ConfigError;
use sentinel_core::alert::{Grouping, Rules, Targets, TenantErrors, TenantLatency, TenantShare, Verdicts};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Longest name of a sink, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Sinks of a service.
const MAX_SINKS: usize = 16;

/// Options of alerts. In `sentinel.toml` they are the table `[alerts]`; see [`Rules`] for what each rule takes, and
/// [`SinkConfig`] for each sink.
///
/// ```
/// use sentinel_exporter::Config;
///
/// let config = Config::from_toml(r#"
///     [exporter]
///     service = "checkout"
///     [alerts]
///     tenant_errors = { at_least = 500 }
///     [[alerts.sinks]]
///     type = "slack"
///     url = { env = "CARGO_PKG_NAME" } # or the address itself
/// "#);
/// // The variable holds no address.
/// assert_eq!(config.unwrap_err().to_string().split(':').next(), Some("alerts.sinks[0].url"));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlertOptions {
    /// Alerts about the verdicts: on by default.
    pub verdict: Verdicts,
    /// Alerts about uptime checks: on by default.
    pub targets: Targets,
    /// Alerts about a tenant with many errors: off by default.
    pub tenant_errors: Option<TenantErrors>,
    /// Alerts about a tenant with a large share of all failures: off by default.
    pub tenant_share: Option<TenantShare>,
    /// Alerts about a tenant that is much slower than it normally is: off by default.
    pub tenant_latency: Option<TenantLatency>,
    /// Grouping of alerts into messages, and the interval of repeats.
    pub grouping: Grouping,
    /// Sinks that tell people: at most 16, each with its own name. Without one, alerts are in reports alone.
    pub sinks: Vec<SinkConfig>,
}

/// The table `[alerts]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AlertTable {
    verdict: Verdicts,
    targets: Targets,
    tenant_errors: Option<TenantErrors>,
    tenant_share: Option<TenantShare>,
    tenant_latency: Option<TenantLatency>,
    grouping: Grouping,
    sinks: Vec<SinkOptions>,
}

impl AlertTable {
    /// The options, of which only the sinks are checked yet.
    pub(crate) fn options(self) -> Result<AlertOptions, ConfigError> {
        let Self { verdict, targets, tenant_errors, tenant_share, tenant_latency, grouping, sinks } = self;
        let sink =
            |(at, sink): (usize, SinkOptions)| sink.config().map_err(|error| error.within(&format!("sinks[{at}]")));
        let sinks = sinks.into_iter().enumerate().map(sink).collect::<Result<_, _>>()?;
        Ok(AlertOptions { verdict, targets, tenant_errors, tenant_share, tenant_latency, grouping, sinks })
    }
}

impl<'de> Deserialize<'de> for AlertOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        values::deserialize(deserializer, "alerts", AlertTable::options)
    }
}

impl AlertOptions {
    /// The rules alone.
    pub(crate) fn rules(&self) -> Rules {
        let Self { verdict, targets, tenant_errors, tenant_share, tenant_latency, grouping, sinks: _ } = self.clone();
        Rules { verdict, targets, tenant_errors, tenant_share, tenant_latency, grouping }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option, as `sinks[1].url`.
    ///
    /// ```
    /// use sentinel_exporter::AlertOptions;
    ///
    /// let options: AlertOptions = serde_json::from_str(r#"{"sinks": [{"type": "log"}, {"type": "log"}]}"#)?;
    /// assert_eq!(options.validated().unwrap_err().field, "sinks[1].name");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn validated(self) -> Result<Self, ConfigError> {
        self.rules().validated()?;
        self.sinks(&[])?;
        Ok(self)
    }

    /// Makes the sinks; `made` are those that a program has made, which come first.
    pub(crate) fn sinks(&self, made: &[Arc<dyn Sink>]) -> Result<Vec<Arc<dyn Sink>>, ConfigError> {
        let many = self.sinks.len() + made.len();
        if many > MAX_SINKS {
            return Err(ConfigError::plain("sinks", many.to_string(), format!("at most {MAX_SINKS}")));
        }
        let mut all = made.to_vec();
        for (at, config) in self.sinks.iter().enumerate() {
            all.push(config.build().map_err(|error| error.within(&format!("sinks[{at}]")))?);
        }
        let mut names = BTreeSet::new();
        for (at, sink) in all.iter().enumerate() {
            let field = format!("sinks[{}].name", at.saturating_sub(made.len()));
            if !(1..=MAX_NAME_BYTES).contains(&sink.name().len()) {
                let value = format!("{} bytes", sink.name().len());
                return Err(ConfigError::plain(&field, value, format!("1 to {MAX_NAME_BYTES} bytes")));
            }
            if !names.insert(sink.name()) {
                return Err(ConfigError::new(&field, format!("{:?}", sink.name()), "a name that no other sink has"));
            }
        }
        drop(names);
        Ok(all)
    }
}
