//! A request that the ASGI adapter watches: what the code that answers it can say of it, and how it ends.
//!
//! Nothing in here runs Python code, for what `values` says.

use crate::boundary;
use crate::panics::guarded;
use crate::sentinel::Sentinel;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A request that has begun, until it is told of. For the adapter: no method of it raises, and once it is told of they do nothing.
#[pyclass(frozen, module = "tenant_sentinel", name = "_Request")]
pub(crate) struct Request {
    #[pyo3(get)]
    sentinel: Py<Sentinel>,
    /// What of the path was in front of the app; mounts add to it.
    #[pyo3(get)]
    root: Py<PyAny>,
    /// Held for moments, and by threads that are attached to the interpreter. None: it is told of.
    begun: Mutex<Option<sentinel_core::Guard>>,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    /// The template, as the framework's own hook said it.
    template: Option<Py<PyAny>>,
    /// What the server gave to receive with, for who watches further in; until the request is told of.
    receive: Option<Py<PyAny>>,
}

impl Request {
    fn guarded(&self, entry: &str, act: impl FnOnce()) {
        if guarded(entry, act).is_none() {
            self.sentinel.get().failed();
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Option<sentinel_core::Guard>) -> T) -> T {
        act(&mut self.begun.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is to tell of, once.
    fn told(&self) -> Option<sentinel_core::Guard> {
        // Dropped when nothing is held any more.
        let _receive = self.said().receive.take();
        self.with(Option::take)
    }

    /// What a value means, or what it means when it means nothing: that is counted.
    fn known<T>(&self, value: Option<T>, otherwise: T) -> T {
        value.unwrap_or_else(|| {
            self.sentinel.get().failed();
            otherwise
        })
    }
}

/// The value of the first of these headers that has this name; an error where they are not what servers make of them, a list of
/// tuples of bytes.
fn header<'py>(headers: &Bound<'py, PyAny>, name: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
    for header in headers.cast_exact::<PyList>()? {
        let header = header.cast_exact::<PyTuple>()?;
        let found = header.get_borrowed_item(0)?;
        if found.cast_exact::<PyBytes>()?.as_bytes() == name {
            return Ok(Some(header.get_item(1)?.cast_into_exact::<PyBytes>()?));
        }
    }
    Ok(None)
}

impl Request {
    /// Begins a request, for the header's tenant, and leaves it in the scope for who comes later. None where that is not to be had at
    /// once: somebody watches the request already, or what is given is not what servers make.
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
        let begun = sentinel.get().begun(tenant.as_ref().map_or(b"", |tenant| tenant.as_bytes()));
        let py = scope.py();
        let root = scope.get_item(intern!(py, "root_path"))?.unwrap_or_else(|| intern!(py, "").clone().into_any());
        let (sentinel, root) = (sentinel.clone().unbind(), root.unbind());
        let said = Mutex::new(Said { template: None, receive: Some(receive.clone().unbind()) });
        let request = Bound::new(py, Self { sentinel, root, begun: Mutex::new(begun), said })?;
        scope.set_item(key, &request)?;
        Ok(Some(request))
    }
}

#[pymethods]
impl Request {
    /// Whether it is told of.
    #[getter]
    fn done(&self) -> bool {
        self.with(|begun| begun.is_none())
    }

    #[getter]
    fn template(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.said().template.as_ref().map(|template| template.clone_ref(py))
    }

    #[setter]
    fn set_template(&self, template: Bound<'_, PyAny>) {
        // What was there is dropped when nothing is held any more.
        let _before = self.said().template.replace(template.unbind());
    }

    #[getter]
    fn receive(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.said().receive.as_ref().map(|receive| receive.clone_ref(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.sentinel)?;
        visit.call(&self.root)?;
        // Never held when Python code runs, so never by who collects.
        let Ok(said) = self.said.try_lock() else { return Ok(()) };
        visit.call(&said.template)?;
        visit.call(&said.receive)
    }

    fn __clear__(&self) {
        let _said = std::mem::take(&mut *self.said());
    }

    /// Nobody watches it further out: that is for who can be had at once.
    #[getter]
    #[allow(clippy::unused_self)] // as others who watch have it
    fn outer(&self) -> Option<Py<PyAny>> {
        None
    }

    /// Says whose it is, whatever the request says.
    #[pyo3(signature = (tenant_id))]
    fn set_tenant(&self, tenant_id: &Bound<'_, PyAny>) {
        self.guarded("request_set_tenant", || {
            let id = self.known(boundary::tenant(tenant_id), b"".into());
            self.with(|begun| begun.as_mut().map(|request| request.tenant(&id)));
        });
    }

    /// Tells of it: the route template, or `None` where no route matched, and the status.
    #[pyo3(signature = (template, status))]
    fn finish(&self, template: &Bound<'_, PyAny>, status: &Bound<'_, PyAny>) {
        self.guarded("request_finish", || {
            let Some(request) = self.told() else { return };
            let template = self.known(boundary::endpoint(template), "".into());
            let status = self.known(boundary::status(status), 0);
            request.finish(&template, status);
        });
    }

    /// Lets go of it, uncounted.
    fn discard(&self) {
        self.guarded("request_discard", || {
            if let Some(request) = self.told() {
                request.discard();
            }
        });
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // A panic must not leave a destructor that the interpreter runs.
        let _ = guarded("request_drop", || drop(self.with(Option::take)));
    }
}
