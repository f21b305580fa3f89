//! The class that a `Sentinel` of JavaScript calls, one for each thread that holds it.
//!
//! Every entry catches panics: a defect costs the call, is counted as `adapter_failures`, and never reaches the application. Answers
//! to queries go to JavaScript as JSON.

use crate::admin::NativeAdmin;
use crate::batch::BatchEvents;
use crate::options;
use crate::panics::{guarded, internal_error};
use crate::shared::SharedSentinel;
use crate::test_alert::{self, TestAlertCallback};
use napi_derive::napi;
use sentinel_core::uptime::UptimeReport;
use sentinel_core::{ConfigError, Event, Guard, Latency, Unavailable};
use sentinel_exporter::{Exporter, Setup};
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Numbers for endpoints, at most: a record of a batch has 12 bits for one.
const MAX_ENDPOINTS: usize = 4_096;

/// A sentinel that one thread of Node holds.
#[napi]
pub struct Native {
    shared: Arc<SharedSentinel>,
    /// Templates by their numbers; number 0 is no route.
    endpoints: Mutex<Vec<String>>,
    /// Requests in flight that JavaScript has told of, by number.
    flights: Mutex<Flights>,
}

#[derive(Default)]
struct Flights {
    guards: Vec<Option<Guard>>,
    /// Numbers that can be used again.
    free: Vec<u32>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Native {
    fn of(shared: Arc<SharedSentinel>) -> Self {
        Self { shared, endpoints: Mutex::new(vec![String::new()]), flights: Mutex::default() }
    }

    /// Runs an entry's work; a panic in it is counted, and the result is `None`.
    fn guarded<T>(&self, entry: &str, work: impl FnOnce() -> T) -> Option<T> {
        let done = guarded(entry, work);
        if done.is_none() {
            self.count_failure();
        }
        done
    }

    #[cold]
    fn count_failure(&self) {
        let _ = guarded("", || self.shared.core.adapter_failed());
    }

    /// The answer to a query, as JSON.
    fn query<T: Serialize>(&self, entry: &str, ask: impl FnOnce() -> T) -> napi::Result<String> {
        let json = self.guarded(entry, || serde_json::to_string(&ask()));
        json.and_then(Result::ok).ok_or_else(internal_error)
    }

    /// The answer to a query of the exporter, as JSON; an error with the reason when the exporter cannot answer now.
    fn query_if_available<T: Serialize>(
        &self,
        entry: &str,
        ask: impl FnOnce() -> Result<T, Unavailable>,
    ) -> napi::Result<String> {
        match self.guarded(entry, || ask().map(|answer| serde_json::to_string(&answer))) {
            Some(Ok(Ok(json))) => Ok(json),
            Some(Err(Unavailable(reason))) => Err(napi::Error::from_reason(reason)),
            _ => Err(internal_error()),
        }
    }
}

#[napi]
#[allow(clippy::needless_pass_by_value)] // napi hands over owned values
impl Native {
    /// Makes a sentinel with these options, as name, value, name, value; the environment sets all others.
    #[napi(constructor, catch_unwind)]
    pub fn new(given: Vec<String>) -> napi::Result<Self> {
        let built = guarded("new", || {
            let mut builder = sentinel_core::Sentinel::builder().env()?;
            let mut token = std::env::var("SENTINEL_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
            let mut setup = Setup::default();
            for pair in given.chunks_exact(2) {
                if pair[0] == "admin_token" {
                    token = Some(pair[1].clone());
                } else if !options::set_exporter_option(&mut setup, &pair[0], &pair[1]) {
                    builder = options::set_option(builder, &pair[0], &pair[1])?;
                }
            }
            let core = builder.build()?;
            let exporter = setup.exporter(&core)?;
            if let Some(token) = &token {
                core.admin().token(token)?;
            }
            Ok::<_, ConfigError>(SharedSentinel::new(core, exporter, token))
        });
        built.ok_or_else(internal_error)?.map(Self::of).map_err(options::config_error)
    }

    /// Finds the sentinel that another thread holds, by its key.
    #[napi(factory, catch_unwind)]
    pub fn attach(key: u32) -> napi::Result<Self> {
        let error =
            || ConfigError::new("handle", key.to_string(), "a handle of a sentinel that this process still holds");
        SharedSentinel::find(key).map(Self::of).ok_or_else(|| options::config_error(error()))
    }

    /// The key by which other threads find this sentinel.
    #[napi(getter, catch_unwind)]
    pub fn key(&self) -> u32 {
        self.shared.key
    }

    /// Numbers a template for the records of batches; `undefined` when all numbers are taken.
    #[napi(catch_unwind)]
    pub fn endpoint(&self, template: String) -> Option<u32> {
        let mut endpoints = lock(&self.endpoints);
        (endpoints.len() < MAX_ENDPOINTS).then(|| {
            endpoints.push(template);
            (endpoints.len() - 1) as u32
        })
    }

    /// Records the first `count` events of a batch. An event without a time of its own ended at `default_at` (Unix milliseconds), or
    /// now. Returns how many events were lost to defects.
    #[napi(catch_unwind)]
    pub fn flush(&self, memory: &[u8], capacity: u32, count: u32, default_at: Option<f64>) -> u32 {
        let mut events = BatchEvents::new(memory, capacity as usize, count as usize);
        let endpoints = lock(&self.endpoints);
        // The clock is read once for all events.
        let default_at = default_at.map_or_else(|| self.shared.core.now_ms(), |ms| ms as i64);
        let mut recorded = 0;
        loop {
            // One guard for all events: an event that panics is lost, and the loop goes on behind it.
            let all = guarded("flush", || {
                for event in events.by_ref() {
                    self.shared.core.record(event.event(&endpoints, default_at));
                    recorded += 1;
                }
            });
            if all.is_some() {
                return count - recorded;
            }
            self.count_failure();
            // After too many panics, `guarded` runs nothing any more: the rest is lost.
            if guarded("", || ()).is_none() {
                return count - recorded;
            }
        }
    }

    /// Records one event that is not part of a batch. Returns `false` when it was lost to a defect.
    #[napi(catch_unwind)]
    pub fn record(&self, tenant: &[u8], endpoint: String, status: u16, latency: Option<f64>, at: Option<f64>) -> bool {
        let recorded = self.guarded("record", || {
            let latency = latency.map_or(Latency::UNKNOWN, Latency::from_millis);
            let at = at.map(|ms| ms as i64);
            self.shared.core.record(Event { tenant, endpoint: &endpoint, status, latency, at });
        });
        recorded.is_some()
    }

    /// Shows a request as in flight until [`Native::end_flight`]; returns its number.
    #[napi(catch_unwind)]
    pub fn start_flight(&self, tenant: &[u8]) -> u32 {
        let guard = self.guarded("start_flight", || self.shared.core.start_as(tenant));
        let mut flights = lock(&self.flights);
        if let Some(number) = flights.free.pop() {
            flights.guards[number as usize] = guard;
            return number;
        }
        flights.guards.push(guard);
        (flights.guards.len() - 1) as u32
    }

    /// Changes the tenant of a request in flight.
    #[napi(catch_unwind)]
    pub fn set_flight_tenant(&self, number: u32, tenant: &[u8]) {
        self.guarded("set_flight_tenant", || {
            if let Some(Some(guard)) = lock(&self.flights).guards.get_mut(number as usize) {
                guard.tenant(tenant);
            }
        });
    }

    /// Ends a request in flight without recording it: JavaScript does that.
    #[napi(catch_unwind)]
    pub fn end_flight(&self, number: u32) {
        self.guarded("end_flight", || {
            let mut flights = lock(&self.flights);
            if let Some(guard) = flights.guards.get_mut(number as usize).and_then(Option::take) {
                guard.discard();
            }
            flights.free.push(number);
        });
    }

    /// Counts a failure in the JavaScript of this package or of an adapter.
    #[napi(catch_unwind)]
    pub fn adapter_failed(&self) {
        self.count_failure();
    }

    /// The report: the ranking and the verdicts, as JSON.
    #[napi(catch_unwind)]
    pub fn report(
        &self,
        by: Option<String>,
        limit: Option<String>,
        window: Option<String>,
        series: bool,
        scope: Option<String>,
    ) -> napi::Result<String> {
        let query = options::query(by.as_deref(), limit.as_deref(), window.as_deref(), series, scope.as_deref());
        let query = query.map_err(options::config_error)?;
        self.query("report", || self.shared.core.report(query))
    }

    /// The report as text.
    #[napi(catch_unwind)]
    pub fn text(
        &self,
        by: Option<String>,
        limit: Option<String>,
        window: Option<String>,
        scope: Option<String>,
    ) -> napi::Result<String> {
        let query = options::query(by.as_deref(), limit.as_deref(), window.as_deref(), false, scope.as_deref());
        let query = query.map_err(options::config_error)?;
        self.guarded("text", || self.shared.core.report(query).to_string()).ok_or_else(internal_error)
    }

    /// The verdict on errors, as JSON.
    #[napi(catch_unwind)]
    pub fn verdict(&self) -> napi::Result<String> {
        self.query("verdict", || self.shared.core.verdict())
    }

    /// The verdict on latency, as JSON.
    #[napi(catch_unwind)]
    pub fn latency_verdict(&self) -> napi::Result<String> {
        self.query("latency_verdict", || self.shared.core.latency_verdict())
    }

    /// One tenant in detail, as JSON; `null` when it is not in the window.
    #[napi(catch_unwind)]
    pub fn tenant(&self, id: &[u8], window: Option<String>, scope: Option<String>) -> napi::Result<String> {
        let window = options::window(window.as_deref()).map_err(options::config_error)?;
        let scope = options::scope(scope.as_deref()).map_err(options::config_error)?;
        self.query("tenant", || self.shared.core.tenant_within(scope, id, window))
    }

    /// The counters of the sentinel, as JSON.
    #[napi(catch_unwind)]
    pub fn stats(&self) -> napi::Result<String> {
        self.query("stats", || self.shared.core.stats())
    }

    /// Memory in use and the budget, in bytes, as JSON.
    #[napi(catch_unwind)]
    pub fn memory(&self) -> napi::Result<String> {
        self.query("memory", || self.shared.core.memory())
    }

    /// Starts the exporter's thread, where sharing with other processes is configured.
    #[napi(catch_unwind)]
    pub fn start_exporter(&self) {
        self.guarded("start_exporter", || self.shared.exporter.as_ref().map(Exporter::start));
    }

    /// Publishes the counts to other processes now; returns whether that was done.
    #[napi(catch_unwind)]
    pub fn publish(&self) -> bool {
        self.guarded("publish", || self.shared.exporter.as_ref().is_some_and(Exporter::publish)).unwrap_or(false)
    }

    /// Publishes the last counts and ends sharing; waits a second at most.
    #[napi(catch_unwind)]
    pub fn close_exporter(&self) {
        const WITHIN: Duration = Duration::from_secs(1);
        self.guarded("close_exporter", || self.shared.exporter.as_ref().map(|exporter| exporter.close(WITHIN)));
    }

    /// Whether sharing with other processes is configured.
    #[napi(catch_unwind)]
    pub fn shares(&self) -> bool {
        self.shared.exporter.is_some()
    }

    /// The state of sharing, as JSON; `null` where nothing is shared.
    #[napi(catch_unwind)]
    pub fn sharing(&self) -> napi::Result<String> {
        self.query("sharing", || self.shared.core.sharing())
    }

    /// The state of alerts, as JSON; `null` where none are configured.
    #[napi(catch_unwind)]
    pub fn alerts(&self) -> napi::Result<String> {
        self.query_if_available("alerts", || self.shared.core.alerts())
    }

    /// The state of uptime checks, as JSON; `null` where none are configured.
    #[napi(catch_unwind)]
    pub fn uptime(&self, series: bool) -> napi::Result<String> {
        self.query_if_available("uptime", || {
            let report = self.shared.core.uptime()?;
            Ok(if series { report } else { report.map(UptimeReport::without_days) })
        })
    }

    /// Sends a test message to the sink with this name, or to all sinks; calls `done` with the result of each sink, as JSON.
    #[napi(catch_unwind)]
    pub fn test_alert(
        &self,
        sink: Option<String>,
        timeout: Option<String>,
        done: TestAlertCallback,
    ) -> napi::Result<()> {
        let within = options::timeout(timeout.as_deref()).map_err(options::config_error)?;
        test_alert::start(Arc::clone(&self.shared), sink, within, done)
    }

    /// Evaluates the verdicts as of now.
    #[napi(catch_unwind)]
    pub fn tick(&self) -> napi::Result<()> {
        self.guarded("tick", || self.shared.core.tick(self.shared.core.now_ms())).ok_or_else(internal_error)
    }

    /// Makes an admin view: `public` answers without a token.
    #[napi(catch_unwind)]
    pub fn admin(&self, public: bool) -> napi::Result<NativeAdmin> {
        let made = self.guarded("admin", || {
            let admin = self.shared.core.admin();
            match &self.shared.admin_token {
                _ if public => Ok(admin.public()),
                Some(token) => admin.token(token),
                None => Ok(admin),
            }
        });
        made.ok_or_else(internal_error)?.map(NativeAdmin::new).map_err(options::config_error)
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // JavaScript records requests that are still in flight. A panic here is not counted: this runs in a finaliser.
        let flights = std::mem::take(&mut *lock(&self.flights));
        let _ = guarded("drop", || flights.guards.into_iter().flatten().for_each(Guard::discard));
    }
}
