//! Test messages to alert sinks, which take seconds.
//!
//! A test runs on a thread of its own, not on one of Node's pool of four: an environment that ends waits for that pool, and while a test
//! has one of its threads, file reads and name look-ups of the application wait.

use crate::options;
use crate::panics::{guarded, internal_error};
use crate::shared::SharedSentinel;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use sentinel_core::ConfigError;
use sentinel_exporter::TestError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The callback of a test, called with an error or with JSON. The callback keeps its environment alive until then.
pub(crate) type TestAlertCallback = ThreadsafeFunction<String>;

/// Tests that may run at once, in all threads of Node together.
const MAX_RUNNING: usize = 16;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Counts a test as running until dropped.
struct RunningTest;

impl RunningTest {
    fn begin() -> napi::Result<Self> {
        // Counted before the check: dropping it on an error takes the count back.
        let running = Self;
        if RUNNING.fetch_add(1, Ordering::Relaxed) < MAX_RUNNING {
            return Ok(running);
        }
        Err(napi::Error::from_reason(format!("{MAX_RUNNING} tests are under way")))
    }
}

impl Drop for RunningTest {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts a test of the sink with this name, or of all sinks, and calls `done` when it ends, after `within` at the latest.
pub(crate) fn start(
    shared: Arc<SharedSentinel>,
    sink: Option<String>,
    within: Duration,
    done: TestAlertCallback,
) -> napi::Result<()> {
    let running = RunningTest::begin()?;
    let test = move || {
        let results = run(&shared, sink.as_deref(), within);
        drop(running);
        // Has no effect where the environment has ended meanwhile.
        done.call(results, ThreadsafeFunctionCallMode::NonBlocking);
    };
    let thread = std::thread::Builder::new().name("sentinel-test".into()).spawn(test);
    thread.map(drop).map_err(|error| napi::Error::from_reason(format!("a thread cannot be started: {error}")))
}

/// The result of each sink, as JSON.
fn run(shared: &SharedSentinel, sink: Option<&str>, within: Duration) -> napi::Result<String> {
    let tested = guarded("test_alert", || {
        let results = match &shared.exporter {
            Some(exporter) => exporter.test_alert(sink, within)?,
            None => return Err(TestError::Sink(no_sink(sink))),
        };
        Ok(serde_json::to_string(&results))
    });
    if tested.is_none() {
        let _ = guarded("", || shared.core.adapter_failed());
    }
    match tested {
        Some(Ok(Ok(json))) => Ok(json),
        Some(Err(TestError::Sink(error))) => Err(options::config_error(error)),
        Some(Err(error)) => Err(napi::Error::from_reason(error.to_string())),
        _ => Err(internal_error()),
    }
}

fn no_sink(sink: Option<&str>) -> ConfigError {
    let sink = sink.map_or_else(|| "none".into(), |name| format!("{name:?}"));
    ConfigError::new("sink", sink, "one that is configured, and there is none")
}
