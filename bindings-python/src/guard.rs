//! A request in flight, as `Sentinel.start` gives it to Python code.

use crate::boundary;
use crate::panics::guarded;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// A request in flight, made by `Sentinel.start`, until it is finished or discarded. One that is collected before counts as
/// aborted (499).
///
/// No method raises, and after `finish` or `discard` each does nothing.
///
/// >>> from tenant_sentinel import Sentinel
/// >>> sentinel = Sentinel()
/// >>> request = sentinel.start()
/// >>> request.tenant("acme")
/// >>> sentinel.tenant("acme")["in_flight"]
/// 1
/// >>> request.finish("/v1/process", 503)
/// >>> sentinel.tenant("acme")["errors"]
/// 1
#[pyclass(frozen, module = "tenant_sentinel", name = "Guard")]
pub(crate) struct Guard {
    sentinel: sentinel_core::Sentinel,
    /// `None` once it is finished or discarded. Only attached threads hold the lock, and only for moments.
    request: Mutex<Option<sentinel_core::Guard>>,
}

impl Guard {
    /// Without a `request` the guard counts nothing.
    pub(crate) fn new(sentinel: &sentinel_core::Sentinel, request: Option<sentinel_core::Guard>) -> Self {
        Self { sentinel: sentinel.clone(), request: Mutex::new(request) }
    }

    fn guarded(&self, entry: &str, act: impl FnOnce()) {
        if guarded(entry, act).is_none() {
            let _ = guarded("", || self.sentinel.adapter_failed());
        }
    }

    fn with(&self, act: impl FnOnce(&mut sentinel_core::Guard)) {
        if let Some(request) = &mut *self.request.lock().unwrap_or_else(PoisonError::into_inner) {
            act(request);
        }
    }

    fn take(&self) -> Option<sentinel_core::Guard> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The converted value; the default, and a counted failure, where the value had a wrong type.
    fn converted_or<T>(&self, value: Option<T>, default: T) -> T {
        value.unwrap_or_else(|| {
            self.sentinel.adapter_failed();
            default
        })
    }
}

#[pymethods]
impl Guard {
    /// Sets the tenant, as soon as it is known; the last call counts. `None`: `unattributed`.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sentinel = Sentinel()
    /// >>> request = sentinel.start("from the header")
    /// >>> request.tenant("acme")
    /// >>> request.finish("/v1/process", 200)
    /// >>> [row["tenant_id"] for row in sentinel.report()["tenants"]]
    /// ['acme']
    #[pyo3(signature = (tenant_id))]
    fn tenant(&self, tenant_id: &Bound<'_, PyAny>) {
        self.guarded("guard_tenant", || {
            let id = self.converted_or(boundary::tenant(tenant_id), b"".into());
            self.with(|request| request.tenant(&id));
        });
    }

    /// Sets the route template, for a request that may be collected unfinished.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sentinel = Sentinel()
    /// >>> request = sentinel.start("acme")
    /// >>> request.endpoint("/v1/process")
    /// >>> del request
    /// >>> sentinel.report()["totals"]["aborted"], sentinel.tenant("acme")["endpoints"][0]["endpoint"]
    /// (1, '/v1/process')
    #[pyo3(signature = (endpoint))]
    fn endpoint(&self, endpoint: &Bound<'_, PyAny>) {
        self.guarded("guard_endpoint", || {
            let template = self.converted_or(boundary::endpoint(endpoint), "".into());
            self.with(|request| request.endpoint(&template));
        });
    }

    /// Records the request with its latency, the time since `start`.
    ///
    /// - `endpoint`: the route template. `None`: no route matched, `unmatched`.
    /// - `status_code`: 100 to 599; 499 when the client went away.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sentinel = Sentinel()
    /// >>> request = sentinel.start("acme")
    /// >>> request.finish("/v1/process", 503)
    /// >>> request.finish("/v1/process", 200)  # does nothing
    /// >>> sentinel.tenant("acme")["endpoints"]
    /// [{'endpoint': '/v1/process', 'requests': 1, 'errors': 1}]
    #[pyo3(signature = (endpoint, status_code))]
    fn finish(&self, endpoint: &Bound<'_, PyAny>, status_code: &Bound<'_, PyAny>) {
        self.guarded("guard_finish", || {
            let Some(request) = self.take() else { return };
            let template = self.converted_or(boundary::endpoint(endpoint), "".into());
            let status = self.converted_or(boundary::status(status_code), 0);
            request.finish(&template, status);
        });
    }

    /// Ends the request without counting it.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sentinel = Sentinel()
    /// >>> sentinel.start("acme").discard()
    /// >>> sentinel.stats()["accepted"]
    /// 0
    fn discard(&self) {
        self.guarded("guard_discard", || {
            if let Some(request) = self.take() {
                request.discard();
            }
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A panic must not unwind into the interpreter, which runs this destructor.
        let _ = guarded("guard_drop", || drop(self.take()));
    }
}
