//! The admin view, for whatever serves it.

use crate::detached::detached;
use crate::panics::guarded;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Status, headers, body.
type Answer<'py> = (u16, Vec<(&'static str, &'static str)>, Bound<'py, PyBytes>);

/// Answers requests for the admin view of a `Sentinel`: the page and the data behind it. Knows no framework; the adapters mount
/// it. Made by `Sentinel.admin`.
#[pyclass(frozen, module = "tenant_sentinel", name = "Admin")]
pub(crate) struct Admin {
    admin: sentinel_core::admin::Admin,
}

impl Admin {
    pub(crate) fn new(admin: sentinel_core::admin::Admin) -> Self {
        Self { admin }
    }
}

#[pymethods]
impl Admin {
    /// Answers a request: its method, its path below where the view is mounted and its query (both still percent-encoded), and
    /// its `Authorization` header. Returns the status, the headers without a length, and the body. Takes about as long as a
    /// report; other threads run meanwhile.
    #[pyo3(signature = (method, path, query="", authorization=None))]
    fn respond<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        path: &str,
        query: &str,
        authorization: Option<&[u8]>,
    ) -> Answer<'py> {
        let request = sentinel_core::admin::Request { method, path, query, authorization };
        let response = guarded("admin_respond", || detached(py, || self.admin.respond(&request)));
        if let Some(response) = response {
            return (response.status, response.headers, PyBytes::new(py, &response.body));
        }
        let body = br#"{"type":"about:blank","title":"Internal Server Error","status":500}"#;
        let headers = vec![("content-type", "application/problem+json"), ("cache-control", "no-store")];
        (500, headers, PyBytes::new(py, body))
    }
}
