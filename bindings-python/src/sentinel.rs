//! The class `tenant_sentinel.Sentinel`.

use crate::admin::Admin;
use crate::boundary;
use crate::constructor::{Arguments, Parts};
use crate::detached::detached;
use crate::errors::{config_error, internal_error};
use crate::guard::Guard;
use crate::options::{duration, flag, refused, text};
use crate::panics::guarded;
use crate::query;
use crate::values::from_json;
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

/// Longest wait of `test_alert` without a `timeout`.
const DEFAULT_TEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest `timeout` of `test_alert`; longer ones are cut.
const MAX_TEST_TIMEOUT: Duration = Duration::from_mins(1);

/// Which tenant is causing elevated errors or latency right now: one, a few, or everyone? A `Sentinel` counts every request and
/// answers from the last ten minutes, in memory. Without a `service` it starts no thread and opens no file or connection. One object
/// serves all threads of a process; a forked child starts from zero.
///
/// Each option can also be an environment variable (`SENTINEL_WINDOW` for `window`) unless noted; the argument takes precedence.
///
/// - `window`: length of the window, 30 s to 24 h; seconds, text such as "10m", or a timedelta. Default: 10 min.
/// - `slot`: the step in which the window moves, 1 to 60 s. Default: 10 s.
/// - `budget`: maximum memory; bytes or text such as "64MiB". Default: 64 MiB.
/// - `errors`: the outcomes that are errors, "5xx" or "4xx,5xx". Default: "5xx".
/// - `places`: tenants that each slot keeps for certain, for each of requests, errors and slow requests. Default: 2048.
/// - `max_endpoints`: maximum number of distinct route templates; further ones count as `other`. Default: 1024.
/// - `stripes`: number of tables that threads spread over, a power of two from 1 to 64. Default: by the number of processors.
/// - `slow_after`: the latency from which a request is slow, a duration. Default: the latency that 5 % of all requests exceed.
/// - `service`: the name under which the processes of a service on this host answer as one, 1 to 64 of `A-Z a-z 0-9 . _ -`, not
///   beginning with a dot. Default: each process answers for itself, and no thread is started.
/// - `dir`: the directory in which these processes publish their counts, an absolute path (`SENTINEL_DIR`). Default: a private
///   directory in memory.
/// - `config`: the path of a `sentinel.toml` with `[exporter]`, `[alerts]` and `[uptime]`; changes are picked up. No environment
///   variable.
/// - `alerts`: alert rules and sinks, a dict of the form of `[alerts]` in `sentinel.toml`, in place of that table. Needs a `service`.
///   Default: no alerts. `SENTINEL_SLACK_URL` and `SENTINEL_WEBHOOK_URL` (with `SENTINEL_WEBHOOK_SECRET`) each add a sink.
/// - `uptime`: uptime checks, a dict of the form of `[uptime]` in `sentinel.toml`, in place of that table. Needs a `service`, one
///   process of which probes. Default: no checks.
/// - `state_dir`: the directory in which firing alerts and unsent messages survive a restart, an absolute path
///   (`SENTINEL_STATE_DIR`). Default: `dir`, which survives a restart of the service, but not of the machine when it is in memory.
/// - `admin_token`: the token that the admin view asks for, 8 to 1,024 visible ASCII characters. Default: the view answers 403.
///
/// Raises `ConfigError`, a `ValueError` that names the field, for an option that cannot be used.
///
/// >>> from tenant_sentinel import Sentinel
/// >>> sentinel = Sentinel(window="10m")
/// >>> sentinel.record("tenant_acme", "/v1/process", 503, 41.7)
/// >>> sentinel.report()["tenants"][0]["tenant_id"]
/// 'tenant_acme'
#[pyclass(frozen, module = "tenant_sentinel", name = "Sentinel")]
pub(crate) struct Sentinel {
    core: sentinel_core::Sentinel,
    /// The thread that shares, alerts and probes; `None` without a `service`.
    exporter: Option<Arc<Exporter>>,
    admin_token: Option<String>,
    /// Set by `close`: nothing is counted any more.
    closed: AtomicBool,
}

impl Sentinel {
    /// Runs the work of an entry; `None`, and a counted failure, where it panics.
    #[inline]
    fn guarded<T>(&self, entry: &str, work: impl FnOnce() -> T) -> Option<T> {
        let done = guarded(entry, work);
        if done.is_none() {
            self.failed();
        }
        done
    }

    /// Runs a query detached from the interpreter, and converts its answer to Python values.
    fn answer<'py, T: Serialize>(
        &self,
        py: Python<'py>,
        entry: &str,
        ask: impl FnOnce() -> T + Send,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Ok(answer) = self.try_answer(py, entry, || Ok::<_, Infallible>(ask()))?;
        Ok(answer)
    }

    /// Like `answer`, for a query that may be refused with an error of its own.
    fn try_answer<'py, T: Serialize, E: Send>(
        &self,
        py: Python<'py>,
        entry: &str,
        ask: impl FnOnce() -> Result<T, E> + Send,
    ) -> PyResult<Result<Bound<'py, PyAny>, E>> {
        let attempt = || {
            let json = detached(py, || ask().map(|answer| serde_json::to_string(&answer)));
            json.map(|json| from_json(py, &json?))
        };
        match self.guarded(entry, attempt) {
            Some(Ok(Ok(value))) => Ok(Ok(value)),
            Some(Err(refused)) => Ok(Err(refused)),
            _ => Err(internal_error()),
        }
    }

    /// Begins a request of this tenant; `None` once the sentinel is closed.
    pub(crate) fn begin_guard(&self, tenant: &[u8]) -> Option<sentinel_core::Guard> {
        self.is_open().then(|| self.core.start_as(tenant))
    }

    /// Counts a failure of an adapter or of this package.
    pub(crate) fn failed(&self) {
        let _ = guarded("", || self.core.adapter_failed());
    }

    /// Counts a request whose values are of other types than `boundary::usual_event` takes.
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

    /// Counts one request. Never raises, whatever the values are, and waits at most for another thread's record.
    ///
    /// - `tenant_id`: the tenant; a string, bytes, an int or a UUID. `None` or empty: `unattributed`. An id longer than 128 bytes
    ///   is shortened to 96 bytes and a hash.
    /// - `endpoint`: the route template ("/users/{id}"), never the raw path. `None` or empty: `unmatched`.
    /// - `status_code`: 100 to 599; 499 when the client went away. Any other drops the event, as `dropped.status`.
    /// - `latency_ms`: milliseconds. `None`: unknown. NaN, infinite, negative or not a number: the request counts, its latency does not.
    /// - `timestamp_ms`: the end of the request in Unix milliseconds. `None`: now.
    ///
    /// A value of a wrong type is treated as missing and counted in `adapter_failures`.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sentinel = Sentinel()
    /// >>> sentinel.record("acme", "/v1/process", 200, 12.5)
    /// >>> sentinel.record(["no id"], "/v1/process", 200, "soon")
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
            match boundary::usual_event(tenant_id, endpoint, status_code, latency_ms) {
                Some(event) if timestamp_ms.is_none() => self.core.record(event),
                _ => self.record_any(tenant_id, endpoint, status_code, latency_ms, timestamp_ms),
            }
        });
    }

    /// Begins a request, which `Guard.finish` records. Until then it is in flight, so that reports show a request that hangs. Never
    /// raises.
    ///
    /// - `tenant_id`: the tenant, as for `record`; `Guard.tenant` can set it later.
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

    /// For the ASGI adapter: begins a request for the tenant that the header `name` gives, if any, and leaves it in the scope under
    /// `key`. Begins nothing and returns `None` where the scope has a request already, or where the scope is not a dict or its headers
    /// are not a list of tuples of bytes.
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

    /// Ranks the tenants and judges errors and latency, from everything recorded so far. The dict has the shape of `/report` over
    /// HTTP. Takes milliseconds with many tenants; other threads run meanwhile.
    ///
    /// - `by`: the ranking, "errors", "error_rate", "latency", "load" or "requests". `None`: "errors".
    /// - `limit`: maximum number of tenants listed, up to 100,000. `None`: 10.
    /// - `window`: a trailing part of the window; seconds, text such as "2m", or a timedelta. `None`: the whole window.
    /// - `scope`: "process", or "host" for all processes of the service on this host. `None`: the widest scope that can answer;
    ///   `scope_note` says why it is not the host.
    /// - `series`: whether to add requests and errors slot by slot.
    ///
    /// Raises `ConfigError` for an argument that cannot be used.
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
        self.answer(py, "report", || self.core.report(query))
    }

    /// The report as text: the verdict, and the tenants below it. Arguments as for `report`.
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

    /// The verdict on errors, as of now. `kind` is quiet, one_tenant, few_tenants, one_endpoint, everyone or unclear; `text` is a
    /// sentence with the evidence.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().verdict()["kind"]
    /// 'quiet'
    fn verdict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.answer(py, "verdict", || self.core.verdict())
    }

    /// The verdict on latency, as of now, of the same form as `verdict`.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().latency_verdict()["kind"]
    /// 'quiet'
    fn latency_verdict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.answer(py, "latency_verdict", || self.core.latency_verdict())
    }

    /// One tenant in detail, with its endpoints; `None` when it is not in the window. The empty id is `unattributed`. `window` and
    /// `scope` as for `report`. Raises `ConfigError` for an argument that cannot be used.
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
        self.answer(py, "tenant", || self.core.tenant_within(scope, &id, window))
    }

    /// The counters of the sentinel itself: events offered, accepted and dropped, and its failures. At all times offered = accepted
    /// + the sum of dropped.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().stats()["offered"]
    /// 0
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.answer(py, "stats", || self.core.stats())
    }

    /// The memory in use and the budget, in bytes.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel(budget="8MiB").memory()["budget"]
    /// 8388608
    fn memory<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.answer(py, "memory", || self.core.memory())
    }

    /// Updates the verdicts, as of now. Call it once a second where there is a timer; otherwise queries and records do it.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().tick()
    fn tick(&self, py: Python<'_>) -> PyResult<()> {
        self.guarded("tick", || detached(py, || self.core.tick(self.core.now_ms()))).ok_or_else(internal_error)
    }

    /// The admin view, to be mounted by an adapter. Requests need `Authorization: Bearer` and the `admin_token`; with `public=True`
    /// everybody who can reach the view may read it.
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

    /// For adapters: counts a failure of theirs in `adapter_failures`. The request goes on.
    fn adapter_failed(&self) {
        let _ = guarded("adapter_failed", || self.core.adapter_failed());
    }

    /// Starts the thread that shares with other processes; without a `service` it does nothing. The first record and the first query
    /// start the thread too: call this where the process should count as a source before its first request.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().start_exporter()
    fn start_exporter(&self) {
        if let Some(exporter) = self.exporter.as_ref().filter(|_| self.is_open()) {
            let _ = self.guarded("start_exporter", || exporter.start());
        }
    }

    /// Publishes the counts to the other processes now, and not within two seconds. Waits 250 ms at most; `True` when the counts are
    /// published.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().publish()  # has no `service`
    /// False
    fn publish(&self, py: Python<'_>) -> bool {
        let Some(exporter) = &self.exporter else { return false };
        self.guarded("publish", || detached(py, || exporter.publish())).unwrap_or(false)
    }

    /// The state of sharing with other processes; `None` without a `service`.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().sharing() is None
    /// True
    fn sharing<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.answer(py, "sharing", || self.core.sharing())
    }

    /// The state of alerts: pending and firing ones, past ones, and whether each sink takes messages. Every process of the host gives
    /// the same answer; `None` where no alerts are configured.
    ///
    /// Raises `RuntimeError`, with the reason, when there is no answer: the sentinel is closed, or its thread has not answered within
    /// 250 ms.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().alerts() is None
    /// True
    fn alerts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let report = self.try_answer(py, "alerts", || self.core.alerts())?;
        report.map_err(|Unavailable(reason)| PyRuntimeError::new_err(reason))
    }

    /// The state of uptime checks, those that are down first. Every process of the host gives the same answer; `None` where no checks
    /// are configured. `series=True` adds the last 90 days of each check, day by day.
    ///
    /// Raises `RuntimeError`, with the reason, when there is no answer: the sentinel is closed, or its thread has not answered within
    /// 250 ms.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> Sentinel().uptime() is None
    /// True
    #[pyo3(signature = (*, series=None), text_signature = "($self, *, series=False)")]
    fn uptime<'py>(&self, py: Python<'py>, series: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let has_days = series.map_or(Ok(false), |value| flag("series", value))?;
        let report = self.try_answer(py, "uptime", || {
            let report = self.core.uptime();
            report.map(|report| if has_days { report } else { report.map(UptimeReport::without_days) })
        })?;
        report.map_err(|Unavailable(reason)| PyRuntimeError::new_err(reason))
    }

    /// Sends a test alert to every sink, or to the one named `sink`, and waits for the results; other threads run meanwhile. Returns
    /// a list with a dict for each sink, whose `error` is `None` when the sink took it, and the reason otherwise.
    ///
    /// - `timeout`: the longest wait, a duration up to one minute. Default: 10 s.
    ///
    /// Raises `ConfigError` where there is no such sink, and `RuntimeError`, with the reason, when no process could send.
    ///
    /// >>> from tempfile import TemporaryDirectory
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sink = {"type": "webhook", "name": "pager", "url": "http://127.0.0.1:9/"}
    /// >>> with TemporaryDirectory() as directory, Sentinel(service="shop", dir=directory, alerts={"sinks": [sink]}) as sentinel:
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
        let within =
            timeout.map_or(Ok(DEFAULT_TEST_TIMEOUT), |value| duration("timeout", value))?.min(MAX_TEST_TIMEOUT);
        let tried = self.try_answer(py, "test_alert", || match &self.exporter {
            Some(exporter) => exporter.test_alert(sink.as_deref(), within),
            None => Err(no_sink(sink.as_deref()).into()),
        })?;
        tried.map_err(|error| match error {
            TestError::Sink(error) => config_error(py, &error),
            error => PyRuntimeError::new_err(error.to_string()),
        })
    }

    /// Closes the sentinel: it counts nothing from here on. With a `service` it publishes its last counts, which takes a second at
    /// most. Reports still answer. Closing again does nothing.
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
        // Without the token, which is a secret.
        format!("<tenant_sentinel.Sentinel{}>", if self.is_open() { "" } else { " closed" })
    }
}
