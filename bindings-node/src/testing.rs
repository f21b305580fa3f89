//! A test of sinks, which takes seconds: not on the thread of the event loop.

use crate::options;
use crate::panics::{guarded, internal_error};
use crate::shared::Shared;
use napi::{Env, Task};
use sentinel_core::ConfigError;
use sentinel_exporter::TestError;
use std::sync::Arc;
use std::time::Duration;

/// What a thread of Node's pool does.
pub struct Testing {
    shared: Arc<Shared>,
    sink: Option<String>,
    within: Duration,
}

impl Testing {
    pub(crate) fn new(shared: Arc<Shared>, sink: Option<String>, within: Duration) -> Self {
        Self { shared, sink, within }
    }
}

impl Task for Testing {
    type Output = String;
    type JsValue = String;

    fn compute(&mut self) -> napi::Result<String> {
        let sink = self.sink.as_deref();
        let tested = guarded("test_alert", || {
            let tried = match &self.shared.exporter {
                Some(exporter) => exporter.test_alert(sink, self.within)?,
                None => return Err(TestError::Sink(no_sink(sink))),
            };
            Ok(serde_json::to_string(&tried))
        });
        if tested.is_none() {
            let _ = guarded("", || self.shared.core.adapter_failed());
        }
        match tested {
            Some(Ok(Ok(json))) => Ok(json),
            Some(Err(TestError::Sink(error))) => Err(options::refused(error)),
            Some(Err(error)) => Err(napi::Error::from_reason(error.to_string())),
            _ => Err(internal_error()),
        }
    }

    fn resolve(&mut self, _: Env, json: String) -> napi::Result<String> {
        Ok(json)
    }
}

fn no_sink(sink: Option<&str>) -> ConfigError {
    let sink = sink.map_or_else(|| "none".into(), |name| format!("{name:?}"));
    ConfigError::new("sink", sink, "one that is configured, and there is none")
}
