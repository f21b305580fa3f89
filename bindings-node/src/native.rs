//! What the facade calls.

use crate::admin::NativeAdmin;
use crate::batch::Events;
use crate::options;
use crate::panics::{guarded, internal_error};
use crate::shared::Shared;
use crate::testing::{self, Done};
use napi_derive::napi;
use sentinel_core::uptime::UptimeReport;
use sentinel_core::{ConfigError, Event, Guard, Latency, Unavailable};
use sentinel_exporter::{Exporter, Setup};
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Numbers that endpoints get, at most: what the word of an event has room for.
const MOST_ENDPOINTS: usize = 4_096;

/// A sentinel, as one thread of Node holds it.
#[napi]
pub struct Native {
    shared: Arc<Shared>,
    /// By number; 0 is no route.
    endpoints: Mutex<Vec<String>>,
    /// Requests in flight that are told of, by number.
    flights: Mutex<Flights>,
}

#[derive(Default)]
struct Flights {
    guards: Vec<Option<Guard>>,
    free: Vec<u32>,
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Native {
    fn of(shared: Arc<Shared>) -> Self {
        Self { shared, endpoints: Mutex::new(vec![String::new()]), flights: Mutex::default() }
    }

    /// Runs an entry's work; a panic in it is counted, and makes nothing of it.
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

    /// What is asked for, as JSON.
    fn asked<T: Serialize>(&self, entry: &str, ask: impl FnOnce() -> T) -> napi::Result<String> {
        let json = self.guarded(entry, || serde_json::to_string(&ask()));
        json.and_then(Result::ok).ok_or_else(internal_error)
    }
}

#[napi]
#[allow(clippy::needless_pass_by_value)] // what napi hands over is owned
impl Native {
    /// With these options, name and value in turn; the environment's for all others.
    #[napi(constructor, catch_unwind)]
    pub fn new(given: Vec<String>) -> napi::Result<Self> {
        let built = guarded("new", || {
            let mut builder = sentinel_core::Sentinel::builder().env()?;
            let mut token = std::env::var("SENTINEL_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
            let mut setup = Setup::default();
            for pair in given.chunks_exact(2) {
                if pair[0] == "admin_token" {
                    token = Some(pair[1].clone());
                } else if !options::set_up(&mut setup, &pair[0], &pair[1]) {
                    builder = options::set(builder, &pair[0], &pair[1])?;
                }
            }
            let core = builder.build()?;
            let exporter = setup.exporter(&core)?;
            if let Some(token) = &token {
                core.admin().token(token)?;
            }
            Ok::<_, ConfigError>(Shared::new(core, exporter, token))
        });
        built.ok_or_else(internal_error)?.map(Self::of).map_err(options::refused)
    }

    /// The one with this key, which another thread holds.
    #[napi(factory, catch_unwind)]
    pub fn attach(key: u32) -> napi::Result<Self> {
        let error =
            || ConfigError::new("handle", key.to_string(), "a handle of a sentinel that this process still holds");
        Shared::find(key).map(Self::of).ok_or_else(|| options::refused(error()))
    }

    /// By which other threads find it.
    #[napi(getter, catch_unwind)]
    pub fn key(&self) -> u32 {
        self.shared.key
    }

    /// The number of an endpoint in events; nothing when there are too many.
    #[napi(catch_unwind)]
    pub fn endpoint(&self, template: String) -> Option<u32> {
        let mut endpoints = held(&self.endpoints);
        (endpoints.len() < MOST_ENDPOINTS).then(|| {
            endpoints.push(template);
            (endpoints.len() - 1) as u32
        })
    }

    /// Records the first `count` events of a batch; those without a time of their own ended at `began`, or now. Returns how many
    /// were lost to defects.
    #[napi(catch_unwind)]
    pub fn flush(&self, memory: &[u8], capacity: u32, count: u32, began: Option<f64>) -> u32 {
        let mut events = Events::new(memory, capacity as usize, count as usize);
        let endpoints = held(&self.endpoints);
        // One look at the clock for all.
        let began = began.map_or_else(|| self.shared.core.now_ms(), |ms| ms as i64);
        let mut recorded = 0;
        loop {
            // Once for all of them: one that panics costs itself, and the others go on.
            let all = guarded("flush", || {
                for read in events.by_ref() {
                    self.shared.core.record(read.event(&endpoints, began));
                    recorded += 1;
                }
            });
            if all.is_some() {
                return count - recorded;
            }
            self.count_failure();
            // There were too many: nothing is tried any more.
            if guarded("", || ()).is_none() {
                return count - recorded;
            }
        }
    }

    /// Records one event that no batch has room for. False: lost to a defect.
    #[napi(catch_unwind)]
    pub fn record(&self, tenant: &[u8], endpoint: String, status: u16, latency: Option<f64>, at: Option<f64>) -> bool {
        let recorded = self.guarded("record", || {
            let latency = latency.map_or(Latency::UNKNOWN, Latency::from_millis);
            let at = at.map(|ms| ms as i64);
            self.shared.core.record(Event { tenant, endpoint: &endpoint, status, latency, at });
        });
        recorded.is_some()
    }

    /// Shows a request as in flight, until it is no longer.
    #[napi(catch_unwind)]
    pub fn take_off(&self, tenant: &[u8]) -> u32 {
        let guard = self.guarded("take_off", || self.shared.core.start_as(tenant));
        let mut flights = held(&self.flights);
        if let Some(number) = flights.free.pop() {
            flights.guards[number as usize] = guard;
            return number;
        }
        flights.guards.push(guard);
        (flights.guards.len() - 1) as u32
    }

    /// Says whose it is.
    #[napi(catch_unwind)]
    pub fn rename(&self, number: u32, tenant: &[u8]) {
        self.guarded("rename", || {
            if let Some(Some(guard)) = held(&self.flights).guards.get_mut(number as usize) {
                guard.tenant(tenant);
            }
        });
    }

    /// It is in flight no longer; the facade records it.
    #[napi(catch_unwind)]
    pub fn land(&self, number: u32) {
        self.guarded("land", || {
            let mut flights = held(&self.flights);
            if let Some(guard) = flights.guards.get_mut(number as usize).and_then(Option::take) {
                guard.discard();
            }
            flights.free.push(number);
        });
    }

    /// Something of the facade's or of an adapter's failed.
    #[napi(catch_unwind)]
    pub fn adapter_failed(&self) {
        self.count_failure();
    }

    /// Who is worst, and the verdicts, as JSON.
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
        let query = query.map_err(options::refused)?;
        self.asked("report", || self.shared.core.report(query))
    }

    /// The report as people read it.
    #[napi(catch_unwind)]
    pub fn text(
        &self,
        by: Option<String>,
        limit: Option<String>,
        window: Option<String>,
        scope: Option<String>,
    ) -> napi::Result<String> {
        let query = options::query(by.as_deref(), limit.as_deref(), window.as_deref(), false, scope.as_deref());
        let query = query.map_err(options::refused)?;
        self.guarded("text", || self.shared.core.report(query).to_string()).ok_or_else(internal_error)
    }

    /// The verdict on errors, as JSON.
    #[napi(catch_unwind)]
    pub fn verdict(&self) -> napi::Result<String> {
        self.asked("verdict", || self.shared.core.verdict())
    }

    /// The verdict on latency, as JSON.
    #[napi(catch_unwind)]
    pub fn latency_verdict(&self) -> napi::Result<String> {
        self.asked("latency_verdict", || self.shared.core.latency_verdict())
    }

    /// One tenant in detail as JSON, `null` when it is not in the window.
    #[napi(catch_unwind)]
    pub fn tenant(&self, id: &[u8], window: Option<String>, scope: Option<String>) -> napi::Result<String> {
        let window = options::window(window.as_deref()).map_err(options::refused)?;
        let scope = options::scope(scope.as_deref()).map_err(options::refused)?;
        self.asked("tenant", || self.shared.core.tenant_within(scope, id, window))
    }

    /// The ledger, as JSON.
    #[napi(catch_unwind)]
    pub fn stats(&self) -> napi::Result<String> {
        self.asked("stats", || self.shared.core.stats())
    }

    /// Memory used, and the budget, as JSON.
    #[napi(catch_unwind)]
    pub fn memory(&self) -> napi::Result<String> {
        self.asked("memory", || self.shared.core.memory())
    }

    /// Starts the thread that shares with other processes, where that is configured.
    #[napi(catch_unwind)]
    pub fn start_exporter(&self) {
        self.guarded("start_exporter", || self.shared.exporter.as_ref().map(Exporter::start));
    }

    /// Makes what was counted readable to other processes; whether that was done.
    #[napi(catch_unwind)]
    pub fn publish(&self) -> bool {
        self.guarded("publish", || self.shared.exporter.as_ref().is_some_and(Exporter::publish)).unwrap_or(false)
    }

    /// Publishes what is left and shares no more; waits for that, a second at most.
    #[napi(catch_unwind)]
    pub fn close_exporter(&self) {
        const WITHIN: Duration = Duration::from_secs(1);
        self.guarded("close_exporter", || self.shared.exporter.as_ref().map(|exporter| exporter.close(WITHIN)));
    }

    /// Whether something is shared with other processes.
    #[napi(catch_unwind)]
    pub fn shares(&self) -> bool {
        self.shared.exporter.is_some()
    }

    /// How sharing goes, as JSON; `null` where nothing is shared.
    #[napi(catch_unwind)]
    pub fn sharing(&self) -> napi::Result<String> {
        self.asked("sharing", || self.shared.core.sharing())
    }

    /// What there is to know about alerts, as JSON; `null` where none are configured.
    #[napi(catch_unwind)]
    pub fn alerts(&self) -> napi::Result<String> {
        let told = self.guarded("alerts", || self.shared.core.alerts().map(|told| serde_json::to_string(&told)));
        match told {
            Some(Ok(Ok(json))) => Ok(json),
            Some(Err(Unavailable(reason))) => Err(napi::Error::from_reason(reason)),
            _ => Err(internal_error()),
        }
    }

    /// Where uptime checks stand, as JSON; `null` where none are configured.
    #[napi(catch_unwind)]
    pub fn uptime(&self, series: bool) -> napi::Result<String> {
        let told = self.guarded("uptime", || {
            let told = self.shared.core.uptime();
            let told = told.map(|report| if series { report } else { report.map(UptimeReport::without_days) });
            told.map(|report| serde_json::to_string(&report))
        });
        match told {
            Some(Ok(Ok(json))) => Ok(json),
            Some(Err(Unavailable(reason))) => Err(napi::Error::from_reason(reason)),
            _ => Err(internal_error()),
        }
    }

    /// Sends an alert that is about nothing, and tells later how that went with each sink, as JSON.
    #[napi(catch_unwind)]
    pub fn test_alert(&self, sink: Option<String>, timeout: Option<String>, done: Done) -> napi::Result<()> {
        let within = options::timeout(timeout.as_deref()).map_err(options::refused)?;
        testing::start(Arc::clone(&self.shared), sink, within, done)
    }

    /// Judges, as of now.
    #[napi(catch_unwind)]
    pub fn tick(&self) -> napi::Result<()> {
        self.guarded("tick", || self.shared.core.tick(self.shared.core.now_ms())).ok_or_else(internal_error)
    }

    /// The admin view.
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
        made.ok_or_else(internal_error)?.map(NativeAdmin::new).map_err(options::refused)
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // What is still in flight is the facade's to record; a finaliser has nobody to tell of a panic.
        let flights = std::mem::take(&mut *held(&self.flights));
        let _ = guarded("drop", || flights.guards.into_iter().flatten().for_each(Guard::discard));
    }
}
