//! placeholder until the sinks come
use super::Sink;
use sentinel_core::ConfigError;
use serde::Deserialize;
use std::sync::Arc;
/// x
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SinkConfig {
    /// x
    Log {},
}
impl SinkConfig {
    /// x
    pub fn build(&self) -> Result<Arc<dyn Sink>, ConfigError> {
        Err(ConfigError::new("type", "x", "y"))
    }
}
