//! A request that has begun.

use crate::boundary;
use crate::panics::guarded;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// A request that has begun: in flight until it is finished or discarded. Collected unfinished, it counts as aborted (499).
///
/// Made by `Sentinel.start`. No method of it raises; after `finish` or `discard` they do nothing.
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
    /// Held for moments, and by threads that are attached to the interpreter.
    request: Mutex<Option<sentinel_core::Guard>>,
}

impl Guard {
    /// Without a request, it is one that nobody counts.
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

    /// What a value means, or what it means when it means nothing: that is counted.
    fn known<T>(&self, value: Option<T>, otherwise: T) -> T {
        value.unwrap_or_else(|| {
            self.sentinel.adapter_failed();
            otherwise
        })
    }
}

#[pymethods]
impl Guard {
    /// Says whose request it is, as soon as that is known; the last word counts. `None` is nobody: `unattributed`.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sentinel = Sentinel()
    /// >>> request = sentinel.start("what the header says")
    /// >>> request.tenant("acme")
    /// >>> request.finish("/v1/process", 200)
    /// >>> [row["tenant_id"] for row in sentinel.report()["tenants"]]
    /// ['acme']
    #[pyo3(signature = (tenant_id))]
    fn tenant(&self, tenant_id: &Bound<'_, PyAny>) {
        self.guarded("guard_tenant", || {
            let id = self.known(boundary::tenant(tenant_id), b"".into());
            self.with(|request| request.tenant(&id));
        });
    }

    /// Says where it goes (the route template), for a request that may end unfinished.
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
            let template = self.known(boundary::endpoint(endpoint), "".into());
            self.with(|request| request.endpoint(&template));
        });
    }

    /// Records it: the route template, or `None` where no route matched, and the HTTP status. Its latency is the time since
    /// `start`.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> sentinel = Sentinel()
    /// >>> request = sentinel.start("acme")
    /// >>> request.finish("/v1/process", 503)
    /// >>> request.finish("/v1/process", 200)  # it is over
    /// >>> sentinel.tenant("acme")["endpoints"]
    /// [{'endpoint': '/v1/process', 'requests': 1, 'errors': 1}]
    #[pyo3(signature = (endpoint, status_code))]
    fn finish(&self, endpoint: &Bound<'_, PyAny>, status_code: &Bound<'_, PyAny>) {
        self.guarded("guard_finish", || {
            let Some(request) = self.take() else { return };
            let template = self.known(boundary::endpoint(endpoint), "".into());
            let status = self.known(boundary::status(status_code), 0);
            request.finish(&template, status);
        });
    }

    /// Lets go of it, uncounted.
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
        // A panic must not leave a destructor that the interpreter runs.
        let _ = guarded("guard_drop", || drop(self.take()));
    }
}
