//! A test of sinks, which takes seconds.
//!
//! On a thread of its own, not on one of Node's pool: an environment that ends waits for those, and whoever reads a file or looks up a
//! name would wait for one of four.

use crate::options;
use crate::panics::{guarded, internal_error};
use crate::shared::Shared;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use sentinel_core::ConfigError;
use sentinel_exporter::TestError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Who is told: with an error, or with JSON. It keeps its environment alive until then.
pub(crate) type Done = ThreadsafeFunction<String>;

/// Tests under way at once, in all threads of Node.
const MOST: usize = 16;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

struct Place;

impl Place {
    fn take() -> napi::Result<Self> {
        // Counted from here on, whether there is one or not.
        let place = Self;
        if UNDER_WAY.fetch_add(1, Ordering::Relaxed) < MOST {
            return Ok(place);
        }
        Err(napi::Error::from_reason(format!("{MOST} tests are under way")))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sends an alert that is about nothing to every sink, or to one by its name.
pub(crate) fn start(shared: Arc<Shared>, sink: Option<String>, within: Duration, done: Done) -> napi::Result<()> {
    let place = Place::take()?;
    let test = move || {
        let tried = tried(&shared, sink.as_deref(), within);
        drop(place);
        // Where the environment has ended, nobody hears.
        done.call(tried, ThreadsafeFunctionCallMode::NonBlocking);
    };
    let thread = std::thread::Builder::new().name("sentinel-test".into()).spawn(test);
    thread.map(drop).map_err(|error| napi::Error::from_reason(format!("a thread cannot be started: {error}")))
}

fn tried(shared: &Shared, sink: Option<&str>, within: Duration) -> napi::Result<String> {
    let tested = guarded("test_alert", || {
        let tried = match &shared.exporter {
            Some(exporter) => exporter.test_alert(sink, within)?,
            None => return Err(TestError::Sink(no_sink(sink))),
        };
        Ok(serde_json::to_string(&tried))
    });
    if tested.is_none() {
        let _ = guarded("", || shared.core.adapter_failed());
    }
    match tested {
        Some(Ok(Ok(json))) => Ok(json),
        Some(Err(TestError::Sink(error))) => Err(options::refused(error)),
        Some(Err(error)) => Err(napi::Error::from_reason(error.to_string())),
        _ => Err(internal_error()),
    }
}

fn no_sink(sink: Option<&str>) -> ConfigError {
    let sink = sink.map_or_else(|| "none".into(), |name| format!("{name:?}"));
    ConfigError::new("sink", sink, "one that is configured, and there is none")
}
