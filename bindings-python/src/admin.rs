//! The admin view, for whatever serves it.

use crate::detached::detached;
use crate::errors::config_error;
use crate::options::refused;
use crate::panics::guarded;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::borrow::Cow;

/// Status, headers, body.
type Answer<'py> = (u16, Vec<(&'static str, &'static str)>, Bound<'py, PyBytes>);

/// Answers requests for the admin view of a `Sentinel`: the page and the data behind it. Knows no framework; the adapters mount
/// it. Made by `Sentinel.admin`.
///
/// >>> from tenant_sentinel import Sentinel
/// >>> view = Sentinel(admin_token="correct-horse-battery").admin()
/// >>> view.respond("GET", "/report")[0]
/// 401
#[pyclass(frozen, module = "tenant_sentinel", name = "Admin")]
pub(crate) struct Admin {
    admin: sentinel_core::admin::Admin,
}

impl Admin {
    pub(crate) fn new(admin: sentinel_core::admin::Admin) -> Self {
        Self { admin }
    }
}

/// A part of what a client asks for. A lone surrogate is no part of any.
fn line<'a>(field: &str, value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, str>> {
    value.cast::<PyString>().map(|text| text.to_string_lossy()).map_err(|_| refused(field, value, "text"))
}

#[pymethods]
impl Admin {
    /// Answers a request: its method, its path below where the view is mounted and its query (both still percent-encoded), and
    /// its `Authorization` header. Returns the status, the headers without a length, and the body. Takes about as long as a
    /// report; other threads run meanwhile. Raises `ConfigError` for arguments of another type.
    ///
    /// >>> from tenant_sentinel import Sentinel
    /// >>> view = Sentinel(admin_token="correct-horse-battery").admin()
    /// >>> status, headers, body = view.respond("GET", "/report", "limit=5", b"Bearer correct-horse-battery")
    /// >>> status, dict(headers)["content-type"]
    /// (200, 'application/json')
    #[pyo3(signature = (method, path, query=None, authorization=None), text_signature = "($self, method, path, query=\"\", authorization=None)")]
    fn respond<'py>(
        &self,
        py: Python<'py>,
        method: &Bound<'py, PyAny>,
        path: &Bound<'py, PyAny>,
        query: Option<&Bound<'py, PyAny>>,
        authorization: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Answer<'py>> {
        let (method, path) = (line("method", method)?, line("path", path)?);
        let query = query.map_or(Ok(Cow::Borrowed("")), |value| line("query", value))?;
        let authorization = match authorization.map(|value| value.cast::<PyBytes>()) {
            None => None,
            Some(Ok(bytes)) => Some(bytes.as_bytes()),
            // Not with its value: that is a secret.
            Some(Err(_)) => {
                let error = sentinel_core::ConfigError::new("authorization", "what is no bytes", "bytes");
                return Err(config_error(py, &error));
            }
        };
        let request = sentinel_core::admin::Request { method: &method, path: &path, query: &query, authorization };
        let response = guarded("admin_respond", || detached(py, || self.admin.respond(&request)));
        if let Some(response) = response {
            return Ok((response.status, response.headers, PyBytes::new(py, &response.body)));
        }
        let body = br#"{"type":"about:blank","title":"Internal Server Error","status":500}"#;
        let headers = vec![("content-type", "application/problem+json"), ("cache-control", "no-store")];
        Ok((500, headers, PyBytes::new(py, body)))
    }
}
