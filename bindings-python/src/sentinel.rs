//! The façade, as Python sees it.

use crate::admin::Admin;
use crate::boundary;
use crate::constructor::{Arguments, Parts};
use crate::detached::detached;
use crate::errors::{config_error, internal_error};
use crate::guard::Guard;
use crate::options::{duration, flag, refused, text};
use crate::panics::guarded;
use crate::query;
use crate::values::of_json;
use crate::watched::Request;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use sentinel_core::uptime::UptimeReport;
use sentinel_core::{ConfigError, Event, Latency, Unavailable};
use sentinel_exporter::{Exporter, TestError};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a test of sinks takes: unless told otherwise, and at most.
const TEST_WITHIN: Duration = Duration::from_secs(10);
const LONGEST_TEST: Duration = Duration::from_mins(1);

/// Which tenant is causing elevated errors or latency right now: one, a few, or everyone? Told of every request, it answers from
/// the last ten minutes, in memory. It starts no thread and opens nothing, unless it shares with other processes (`service`); one
/// object serves all threads of a process, and a forked child starts from zero.
///
/// Options, each also an environment variable (`SENTINEL_WINDOW` for `window`), the argument going first:
///
/// - `window`: how far back it looks, 30 s to 24 h; seconds, text such as "10m", or a timedelta. Default 10 min.
/// - `slot`: the step in which the window moves, 1 to 60 s. Default 10 s.
/// - `budget`: the memory it may use; bytes or text such as "64MiB". Default 64 MiB.
/// - `errors`: which outcomes are errors, "5xx" or "4xx,5xx". Default "5xx".
/// - `places`: tenants that a slot is sure to keep, for each of requests, errors and slow requests. Default 2048.
/// - `max_endpoints`: distinct route templates; further ones share `other`. Default 1024.
/// - `stripes`: tables that threads spread over, a power of two. Default by the number of processors.
/// - `slow_after`: from which latency on a request is slow, a duration. Default: what 5 % of all requests exceed.
/// - `service`: the name under which the processes of a service on this host answer for each other: 1 to 64 of `A-Z a-z 0-9 . _ -`.
///   Default: each answers for itself, and no thread is started.
/// - `dir`: where they meet, an absolute path (`SENTINEL_DIR`). Default: a private directory in memory.
/// - `config`: a `sentinel.toml` with the options of `[exporter]`, `[alerts]` and `[uptime]`; watched. No environment variable.
/// - `alerts`: whom to tell, and when: a dict of the form of `[alerts]` in `sentinel.toml`, in place of that one. Needs a `service`.
///   Default: nobody is told. `SENTINEL_SLACK_URL` and `SENTINEL_WEBHOOK_URL` (with `SENTINEL_WEBHOOK_SECRET`) each add a sink.
/// - `uptime`: what is probed, and how often: a dict of the form of `[uptime]` in `sentinel.toml`, in place of that one. Needs a `service`,
///   one process of which probes. Default: nothing.
/// - `state_dir`: where alerts that fire and messages that wait survive a restart, an absolute path (`SENTINEL_STATE_DIR`). Default:
///   `dir`, which survives one of the service and, in memory, none of the machine.
/// - `admin_token`: what the admin view asks for, 8 to 1,024 visible ASCII characters. Default: it shows nothing.
///
/// Raises `ConfigError`, a `ValueError` that names the field, for what cannot be used.
///
/// >>> from tenant_sentinel import Sentinel
/// >>> sentinel = Sentinel(window="10m")
/// >>> sentinel.record("tenant_acme", "/v1/process", 503, 41.7)
/// >>> sentinel.report()["tenants"][0]["tenant_id"]
/// 'tenant_acme'
#[pyclass(frozen, module = "tenant_sentinel", name = "Sentinel")]
pub(crate) struct Sentinel {
    core: sentinel_core::Sentinel,
    exporter: Option<Arc<Exporter>>,
    admin_token: Option<String>,
    closed: AtomicBool,
}

impl Sentinel {
    /// Runs an entry's work; a panic in it is counted, and makes nothing of it.
    #[inline]
    fn guarded<T>(&self, entry: &str, work: impl FnOnce() -> T) -> Option<T> {
        let done = guarded(entry, work);
        if done.is_none() {
            self.failed();
        }
        done
    }

    /// Runs what takes milliseconds while other threads have the interpreter, and makes Python values of what comes out.
    fn asked<'py, T: Serialize>(
        &self,
        py: Python<'py>,
        entry: &str,
        ask: impl FnOnce() -> T + Send,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Ok(answer) = self.attempted(py, entry, || Ok::<_, Infallible>(ask()))?;
        Ok(answer)
    }

    /// The same of what may be refused.
    fn attempted<'py, T: Serialize, E: Send>(
        &self,
        py: Python<'py>,
        entry: &str,
        ask: impl FnOnce() -> Result<T, E> + Send,
    ) -> PyResult<Result<Bound<'py, PyAny>, E>> {
        let attempt = || {
            let json = detached(py, || ask().map(|answer| serde_json::to_string(&answer)));
            json.map(|json| of_json(py, &json?))
        };
        match self.guarded(entry, attempt) {
            Some(Ok(Ok(value))) => Ok(Ok(value)),
            Some(Err(refused)) => Ok(Err(refused)),
            _ => Err(internal_error()),
        }
    }

    /// A request of this tenant has begun, if any counts.
    pub(crate) fn begun(&self, tenant: &[u8]) -> Option<sentinel_core::Guard> {
        self.is_open().then(|| self.core.start_as(tenant))
    }

    /// Something of an adapter, or of what it is built on, has.
    pub(crate) fn failed(&self) {
        let _ = guarded("", || self.core.adapter_failed());
    }

    /// Counts a request whose values are of other types than `boundary::usual` takes.
    #[cold]
    fn record_any(
        &self,
        tenant_id: &Bound<'_, PyAny>,
        endpoint: &Bound<'_, PyAny>,
        status_code: &Bound<'_, PyAny>,
        latency_ms: &Bound<'_, PyAny>,
        timestamp_ms: Option<&Bound<'_, PyAny>>,
    ) {
        let tenant = boundary::tenant(tenant_id);
        let template = boundary::endpoint(endpoint);
        let status = boundary::status(status_code);
        let latency = boundary::latency(latency_ms);
        let at = timestamp_ms.map(boundary::timestamp);
        if tenant.is_none() || template.is_none() || status.is_none() || latency.is_none() || at == Some(None) {
            self.core.adapter_failed();
        }
        self.core.record(Event {
            tenant: tenant.as_deref().unwrap_or_default(),
            endpoint: template.as_deref().unwrap_or_default(),
            status: status.unwrap_or(0),
            latency: latency.unwrap_or_else(|| Latency::from_millis(f64::NAN)),
            at: at.flatten(),
        });
    }

    fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }
}

fn no_sink(sink: Option<&str>) -> ConfigError {
    let sink = sink.map_or_else(|| "none".into(), |name| format!("{name:?}"));
    ConfigError::new("sink", sink, "one that is configured, and there is none")
}

#[pymethods]
impl Sentinel {
    #[new]
    #[pyo3(signature = (*, window=None, slot=None, budget=None, errors=None, places=None, max_endpoints=None, stripes=None,
                        slow_after=None, admin_token=None, service=None, dir=None, config=None, alerts=None, uptime=None,
                        state_dir=None))]
    #[allow(clippy::too_many_arguments)] // keywords, each an option
    fn new(
        py: Python<'_>,
        window: Option<&Bound<'_, PyAny>>,
        slot: Option<&Bound<'_, PyAny>>,
        budget: Option<&Bound<'_, PyAny>>,
        errors: Option<&Bound<'_, PyAny>>,
        places: Option<&Bound<'_, PyAny>>,
        max_endpoints: Option<&Bound<'_, PyAny>>,
        stripes: Option<&Bound<'_, PyAny>>,
        slow_after: Option<&Bound<'_, PyAny>>,
        admin_token: Option<&Bound<'_, PyAny>>,
        service: Option<&Bound<'_, PyAny>>,
        dir: Option<&Bound<'_, PyAny>>,
        config: Option<&Bound<'_, PyAny>>,
        alerts: Option<&Bound<'_, PyAny>>,
        uptime: Option<&Bound<'_, PyAny>>,
        state_dir: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let arguments = Arguments {
            window,
            slot,
            budget,
            errors,
            places,
            max_endpoints,
            stripes,
            slow_after,
            admin_token,
            service,
            dir,
            config,
            alerts,
            uptime,
            state_dir,
        };
        let Parts { core, exporter, admin_token } = arguments.build(py)?;
        Ok(Self { core, exporter, admin_token, closed: AtomicBool::new(false) })
    }

    /// Counts one request. Never raises, whatever the values are, and never waits for more than another record.
    ///
    /// - `tenant_id`: who asked; a string, bytes, an int or a UUID. `None` or empty: `unattributed`. Longer than 128 bytes: 96
    ///   bytes and a hash stand for it.
    /// - `endpoint`: the route template ("/users/{id}"), never the raw path. `None` or empty: `unmatched`.
    /// - `status_code`: 100 to 599; 499 when the client went away. Anything else drops the event, as `dropped.status`.
    /// - `latency_ms`: milliseconds. `None`: unknown. NaN, infinite, negative or no number: the request counts, its latency does
    ///   not.
    /// - `timestamp_ms`: when it ended, in Unix milliseconds. `None`: now.
    ///
    /// A value of a wrong type is taken as missing and counted in `adapter_failures`.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sentinel = Sentinel()
    /// >>> sentinel.record("acme", "/v1/process", 200, 12.5)
    /// >>> sentinel.record(["what?"], "/v1/process", 200, "soon")
    /// >>> stats = sentinel.stats()
    /// >>> stats["accepted"], stats["adjusted"]["latency"], stats["adapter_failures"]
    /// (2, 1, 1)
    #[pyo3(signature = (tenant_id, endpoint, status_code, latency_ms, timestamp_ms=None))]
    fn record(
        &self,
        tenant_id: &Bound<'_, PyAny>,
        endpoint: &Bound<'_, PyAny>,
        status_code: &Bound<'_, PyAny>,
        latency_ms: &Bound<'_, PyAny>,
        timestamp_ms: Option<&Bound<'_, PyAny>>,
    ) {
        self.guarded("record", || {
            if !self.is_open() {
                return;
            }
            match boundary::usual(tenant_id, endpoint, status_code, latency_ms) {
                Some(event) if timestamp_ms.is_none() => self.core.record(event),
                _ => self.record_any(tenant_id, endpoint, status_code, latency_ms, timestamp_ms),
            }
        });
    }

    /// Begins a request that is recorded when it is finished; until then it counts as in flight, so that one that hangs is seen.
    /// Never raises.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sentinel = Sentinel()
    /// >>> request = sentinel.start("acme")
    /// >>> sentinel.report()["tenants"][0]["in_flight"]
    /// 1
    /// >>> request.finish("/v1/process", 200)
    /// >>> sentinel.stats()["accepted"]
    /// 1
    #[pyo3(signature = (tenant_id=None))]
    fn start(&self, tenant_id: Option<&Bound<'_, PyAny>>) -> Guard {
        let request = self.guarded("start", || {
            if !self.is_open() {
                return None;
            }
            let request = match tenant_id.map(boundary::tenant) {
                None => self.core.start(),
                Some(Some(id)) => self.core.start_as(&id),
                Some(None) => {
                    self.core.adapter_failed();
                    self.core.start()
                }
            };
            Some(request)
        });
        Guard::new(&self.core, request.flatten())
    }

    /// For the ASGI adapter: begins a request, whose tenant is in the header of this name, if any, and leaves it in the scope under this
    /// key. `None` where somebody has already, or where the scope and its headers are not what servers make of them, a list of
    /// tuples of bytes: then nothing has begun.
    #[pyo3(signature = (scope, receive, key, name))]
    fn _begin<'py>(
        slf: &Bound<'py, Self>,
        scope: &Bound<'py, PyAny>,
        receive: &Bound<'py, PyAny>,
        key: &Bound<'py, PyAny>,
        name: &Bound<'py, PyAny>,
    ) -> Option<Bound<'py, Request>> {
        slf.get().guarded("begin", || Request::begin(slf, scope, receive, key, name).ok().flatten()).flatten()
    }

    /// Who is worst, and the verdicts: everything recorded so far is in it. A dict of the shape that `/report` has over HTTP.
    /// Takes milliseconds with many tenants; other threads run meanwhile.
    ///
    /// - `by`: "errors", "error_rate", "latency", "load" or "requests".
    /// - `limit`: tenants listed, at most.
    /// - `window`: a trailing part of the window; seconds, text such as "2m", or a timedelta. `None`: all of it.
    /// - `scope`: "process", or "host" for all processes of the service on this host. `None`: the widest that can answer; the report
    ///   says which, and why no wider one.
    /// - `series`: with requests and errors slot by slot.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sentinel = Sentinel()
    /// >>> sentinel.record("acme", "/v1/process", 500, 12.5)
    /// >>> sentinel.report(by="errors", limit=3, window="2m")["totals"]["errors"]
    /// 1
    #[pyo3(signature = (by=None, limit=None, window=None, scope=None, *, series=None), text_signature = "($self, by=None, limit=None, window=None, scope=None, *, series=False)")]
    fn report<'py>(
        &self,
        py: Python<'py>,
        by: Option<&Bound<'py, PyAny>>,
        limit: Option<&Bound<'py, PyAny>>,
        window: Option<&Bound<'py, PyAny>>,
        scope: Option<&Bound<'py, PyAny>>,
        series: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut query = query::query(by, limit, window, scope)?;
        if let Some(value) = series {
            query.series = flag("series", value)?;
        }
        self.asked(py, "report", || self.core.report(query))
    }

    /// The report as people read it: the verdict, and the tenants below it. Arguments as for `report`.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> print(Sentinel().text().splitlines()[0])
    /// QUIET  no unusual 5xx
    #[pyo3(signature = (by=None, limit=None, window=None, scope=None))]
    fn text(
        &self,
        py: Python<'_>,
        by: Option<&Bound<'_, PyAny>>,
        limit: Option<&Bound<'_, PyAny>>,
        window: Option<&Bound<'_, PyAny>>,
        scope: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<String> {
        let query = query::query(by, limit, window, scope)?;
        self.guarded("text", || detached(py, || self.core.report(query).to_string())).ok_or_else(internal_error)
    }

    /// The verdict on errors, as of now: `kind` is quiet, one_tenant, few_tenants, one_endpoint, everyone or unclear, `text` a
    /// sentence with its evidence.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().verdict()["kind"]
    /// 'quiet'
    fn verdict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.asked(py, "verdict", || self.core.verdict())
    }

    /// The verdict on latency, as of now.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().latency_verdict()["kind"]
    /// 'quiet'
    fn latency_verdict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.asked(py, "latency_verdict", || self.core.latency_verdict())
    }

    /// One tenant in detail, with its endpoints; `None` when it is not in the window. The empty id asks for `unattributed`.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sentinel = Sentinel()
    /// >>> sentinel.record("acme", "/v1/process", 500, 12.5)
    /// >>> sentinel.tenant("acme")["endpoints"]
    /// [{'endpoint': '/v1/process', 'requests': 1, 'errors': 1}]
    #[pyo3(signature = (tenant_id, window=None, scope=None))]
    fn tenant<'py>(
        &self,
        py: Python<'py>,
        tenant_id: &Bound<'py, PyAny>,
        window: Option<&Bound<'py, PyAny>>,
        scope: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (window, scope) = (query::window(window)?, query::scope(scope)?);
        let id = boundary::tenant(tenant_id)
            .ok_or_else(|| refused("tenant_id", tenant_id, "a string, bytes, an int, a UUID or None"))?;
        self.asked(py, "tenant", || self.core.tenant_within(scope, &id, window))
    }

    /// The ledger: what was offered, what became of it, and what the sentinel knows of itself. At all times offered = accepted +
    /// the sum of dropped.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().stats()["offered"]
    /// 0
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.asked(py, "stats", || self.core.stats())
    }

    /// The memory that is used and what may be, in bytes.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel(budget="8MiB").memory()["budget"]
    /// 8388608
    fn memory<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.asked(py, "memory", || self.core.memory())
    }

    /// Judges, as of now. Whoever owns a timer calls it once a second; without that, queries and records do its work.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().tick()
    fn tick(&self, py: Python<'_>) -> PyResult<()> {
        self.guarded("tick", || detached(py, || self.core.tick(self.core.now_ms()))).ok_or_else(internal_error)
    }

    /// The admin view, to be mounted by an adapter. It answers to `Authorization: Bearer` and the `admin_token`; with
    /// `public=True` to everybody who can reach it.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> status, headers, body = Sentinel().admin().respond("GET", "/report")
    /// >>> status
    /// 403
    #[pyo3(signature = (*, public=None), text_signature = "($self, *, public=False)")]
    fn admin(&self, py: Python<'_>, public: Option<&Bound<'_, PyAny>>) -> PyResult<Admin> {
        let public = public.map_or(Ok(false), |value| flag("public", value))?;
        let made = self.guarded("admin", || {
            let admin = self.core.admin();
            match &self.admin_token {
                _ if public => Ok(admin.public()),
                Some(token) => admin.token(token),
                None => Ok(admin),
            }
        });
        made.ok_or_else(internal_error)?.map(Admin::new).map_err(|error| config_error(py, &error))
    }

    /// For adapters: something of theirs failed. Counted in `adapter_failures`; the request goes on.
    fn adapter_failed(&self) {
        let _ = guarded("adapter_failed", || self.core.adapter_failed());
    }

    /// Starts the thread that shares with other processes, where that is configured, and does nothing otherwise. The first record and
    /// the first question start it too; this is for a service that should be heard of before its first request.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().start_exporter()
    fn start_exporter(&self) {
        if let Some(exporter) = self.exporter.as_ref().filter(|_| self.is_open()) {
            let _ = self.guarded("start_exporter", || exporter.start());
        }
    }

    /// Makes what was counted readable to the other processes now, and not within two seconds. Says whether that was done; waits for
    /// it a quarter of a second at most.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().publish()  # shares with nobody
    /// False
    fn publish(&self, py: Python<'_>) -> bool {
        let Some(exporter) = &self.exporter else { return false };
        self.guarded("publish", || detached(py, || exporter.publish())).unwrap_or(false)
    }

    /// How sharing with other processes goes; `None` where nothing is shared.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().sharing() is None
    /// True
    fn sharing<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.asked(py, "sharing", || self.core.sharing())
    }

    /// What there is to know about alerts: those that are followed, those that are over, and whether people are reached. The same from
    /// every process of a host; `None` where none are configured.
    ///
    /// Raises `RuntimeError`, with the reason, when nobody can say now: it is closed, or its thread has not answered within 250 ms.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().alerts() is None
    /// True
    fn alerts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let told = self.attempted(py, "alerts", || self.core.alerts())?;
        told.map_err(|Unavailable(reason)| PyRuntimeError::new_err(reason))
    }

    /// Where uptime checks stand: those that are down first. The same from every process of a host; `None` where none are configured. With
    /// `series=True` also what each was on each of the last 90 days.
    ///
    /// Raises `RuntimeError`, with the reason, when nobody can say now: it is closed, or its thread has not answered within 250 ms.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().uptime() is None
    /// True
    #[pyo3(signature = (*, series=None), text_signature = "($self, *, series=False)")]
    fn uptime<'py>(&self, py: Python<'py>, series: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let has_days = series.map_or(Ok(false), |value| flag("series", value))?;
        let told = self.attempted(py, "uptime", || {
            let told = self.core.uptime();
            told.map(|report| if has_days { report } else { report.map(UptimeReport::without_days) })
        })?;
        told.map_err(|Unavailable(reason)| PyRuntimeError::new_err(reason))
    }

    /// Sends an alert that is about nothing to every sink, or to one by its name, and waits for how that goes, `timeout` at most (a
    /// duration; one minute is the longest). Other threads run meanwhile. A list with a dict for each sink: `error` says why it was not
    /// taken, and is `None` when it was.
    ///
    /// Raises `ConfigError` where there is no such sink, and `RuntimeError`, with the reason, when nobody could send.
    ///
    /// >>> from tempfile import TemporaryDirectory
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sink = {"type": "webhook", "name": "pager", "url": "http://127.0.0.1:9/"}
    /// >>> with TemporaryDirectory() as place, Sentinel(service="shop", dir=place, alerts={"sinks": [sink]}) as sentinel:
    /// ...     (tried,) = sentinel.test_alert("pager")
    /// >>> tried["name"], tried["kind"], tried["error"] is None
    /// ('pager', 'webhook', False)
    #[pyo3(signature = (sink=None, *, timeout=None), text_signature = "($self, sink=None, *, timeout=10.0)")]
    fn test_alert<'py>(
        &self,
        py: Python<'py>,
        sink: Option<&Bound<'py, PyAny>>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let sink = sink.map(|value| text("sink", value, "the name of a sink")).transpose()?;
        let within = timeout.map_or(Ok(TEST_WITHIN), |value| duration("timeout", value))?.min(LONGEST_TEST);
        let tried = self.attempted(py, "test_alert", || match &self.exporter {
            Some(exporter) => exporter.test_alert(sink.as_deref(), within),
            None => Err(no_sink(sink.as_deref()).into()),
        })?;
        tried.map_err(|error| match error {
            TestError::Sink(error) => config_error(py, &error),
            error => PyRuntimeError::new_err(error.to_string()),
        })
    }

    /// Ends it: nothing is counted from here on, and what was counted is published where that is configured, within a second; it can
    /// still be asked for. May be called again.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> with Sentinel() as sentinel:
    /// ...     sentinel.record("acme", "/", 200, 1.0)
    /// >>> sentinel.record("acme", "/", 200, 1.0)
    /// >>> sentinel.stats()["offered"]
    /// 1
    fn close(&self, py: Python<'_>) {
        self.closed.store(true, Ordering::Relaxed);
        if let Some(exporter) = &self.exporter {
            let _ = self.guarded("close", || detached(py, || exporter.close(Duration::from_secs(1))));
        }
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*args))]
    fn __exit__(&self, args: &Bound<'_, pyo3::types::PyTuple>) {
        self.close(args.py());
    }

    fn __repr__(&self) -> String {
        // Not with its token.
        format!("<tenant_sentinel.Sentinel{}>", if self.is_open() { "" } else { " closed" })
    }
}
