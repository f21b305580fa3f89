//! A request that the ASGI adapter watches, as an object that handlers reach through their context.
//!
//! Nothing in here runs Python code, for the reason given in `values`. `_request.py` describes the life of a request.

use crate::boundary;
use crate::panics::guarded;
use crate::sentinel::Sentinel;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A request in flight, until it is finished or discarded. No method raises, and after `finish` or `discard` each does nothing.
#[pyclass(frozen, module = "tenant_sentinel", name = "_Request")]
pub(crate) struct Request {
    #[pyo3(get)]
    sentinel: Py<Sentinel>,
    /// The scope's `root_path` when the request began, in front of the app's own path; mounts add to the scope's.
    #[pyo3(get)]
    root: Py<PyAny>,
    /// `None` once it is finished or discarded. Only attached threads hold the lock, and only for moments.
    guard: Mutex<Option<sentinel_core::Guard>>,
    attributes: Mutex<Attributes>,
}

#[derive(Default)]
struct Attributes {
    /// The route template, where a hook of the framework has set it.
    template: Option<Py<PyAny>>,
    /// The server's `receive`, for middlewares further in. `None` once the request is finished or discarded.
    receive: Option<Py<PyAny>>,
}

impl Request {
    fn guarded(&self, entry: &str, act: impl FnOnce()) {
        if guarded(entry, act).is_none() {
            self.sentinel.get().failed();
        }
    }

    fn with_guard<T>(&self, act: impl FnOnce(&mut Option<sentinel_core::Guard>) -> T) -> T {
        act(&mut self.guard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn attributes(&self) -> MutexGuard<'_, Attributes> {
        self.attributes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the request: gives its guard to the first caller.
    fn take_guard(&self) -> Option<sentinel_core::Guard> {
        // Dropped at the end, when no lock is held: a destructor may be Python code.
        let _receive = self.attributes().receive.take();
        self.with_guard(Option::take)
    }

    /// The converted value; the default, and a counted failure, where the value had a wrong type.
    fn converted_or<T>(&self, value: Option<T>, default: T) -> T {
        value.unwrap_or_else(|| {
            self.sentinel.get().failed();
            default
        })
    }
}

/// The value of the first header of this name; an error where the headers are not a list of tuples of bytes, as servers give them.
fn header<'py>(headers: &Bound<'py, PyAny>, name: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
    for header in headers.cast_exact::<PyList>()? {
        let header = header.cast_exact::<PyTuple>()?;
        let found_name = header.get_borrowed_item(0)?;
        if found_name.cast_exact::<PyBytes>()?.as_bytes() == name {
            return Ok(Some(header.get_item(1)?.cast_into_exact::<PyBytes>()?));
        }
    }
    Ok(None)
}

impl Request {
    /// Begins a request for the tenant that the header `name` gives, and leaves it in the scope under `key`. `None` where a middleware
    /// watches the request already; an error where the scope or its headers have other types than servers give.
    pub(crate) fn begin<'py>(
        sentinel: &Bound<'py, Sentinel>,
        scope: &Bound<'py, PyAny>,
        receive: &Bound<'py, PyAny>,
        key: &Bound<'py, PyAny>,
        name: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, Self>>> {
        let scope = scope.cast_exact::<PyDict>()?;
        if scope.contains(key)? {
            return Ok(None);
        }
        let tenant = match scope.get_item(intern!(scope.py(), "headers"))? {
            Some(headers) if !name.is_none() => header(&headers, name.cast_exact::<PyBytes>()?.as_bytes())?,
            _ => None,
        };
        let guard = sentinel.get().begin_guard(tenant.as_ref().map_or(b"", |tenant| tenant.as_bytes()));
        let py = scope.py();
        let root = scope.get_item(intern!(py, "root_path"))?.unwrap_or_else(|| intern!(py, "").clone().into_any());
        let (sentinel, root) = (sentinel.clone().unbind(), root.unbind());
        let attributes = Mutex::new(Attributes { template: None, receive: Some(receive.clone().unbind()) });
        let request = Bound::new(py, Self { sentinel, root, guard: Mutex::new(guard), attributes })?;
        scope.set_item(key, &request)?;
        Ok(Some(request))
    }
}

#[pymethods]
impl Request {
    /// Whether the request is finished or discarded.
    #[getter]
    fn done(&self) -> bool {
        self.with_guard(|guard| guard.is_none())
    }

    #[getter]
    fn template(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.attributes().template.as_ref().map(|template| template.clone_ref(py))
    }

    #[setter]
    fn set_template(&self, template: Bound<'_, PyAny>) {
        // The old value is dropped at the end, when no lock is held.
        let _before = self.attributes().template.replace(template.unbind());
    }

    #[getter]
    fn receive(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.attributes().receive.as_ref().map(|receive| receive.clone_ref(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.sentinel)?;
        visit.call(&self.root)?;
        // No thread holds the lock while it runs Python code, so a collecting one does not hold it.
        let Ok(attributes) = self.attributes.try_lock() else { return Ok(()) };
        visit.call(&attributes.template)?;
        visit.call(&attributes.receive)
    }

    fn __clear__(&self) {
        let _attributes = std::mem::take(&mut *self.attributes());
    }

    /// Always `None`: a request that a middleware further out watches is one of `_request.py`.
    #[getter]
    #[allow(clippy::unused_self)] // the attribute that requests of `_request.py` have
    fn outer(&self) -> Option<Py<PyAny>> {
        None
    }

    /// Sets the tenant, in place of the one in the header.
    #[pyo3(signature = (tenant_id))]
    fn set_tenant(&self, tenant_id: &Bound<'_, PyAny>) {
        self.guarded("request_set_tenant", || {
            let id = self.converted_or(boundary::tenant(tenant_id), b"".into());
            self.with_guard(|guard| guard.as_mut().map(|request| request.tenant(&id)));
        });
    }

    /// Records the request: the route template, or `None` where no route matched, and the status.
    #[pyo3(signature = (template, status))]
    fn finish(&self, template: &Bound<'_, PyAny>, status: &Bound<'_, PyAny>) {
        self.guarded("request_finish", || {
            let Some(request) = self.take_guard() else { return };
            let template = self.converted_or(boundary::endpoint(template), "".into());
            let status = self.converted_or(boundary::status(status), 0);
            request.finish(&template, status);
        });
    }

    /// Ends the request without counting it.
    fn discard(&self) {
        self.guarded("request_discard", || {
            if let Some(request) = self.take_guard() {
                request.discard();
            }
        });
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // A panic must not unwind into the interpreter, which runs this destructor.
        let _ = guarded("request_drop", || drop(self.with_guard(Option::take)));
    }
}
