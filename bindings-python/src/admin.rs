//! The admin view without a framework; the adapters mount it.

use crate::detached::detached;
use crate::errors::config_error;
use crate::options::refused;
use crate::panics::guarded;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::borrow::Cow;

/// Status, headers, body.
type Response<'py> = (u16, Vec<(&'static str, &'static str)>, Bound<'py, PyBytes>);

/// The admin view of a `Sentinel`: the page, and its data as JSON. `Sentinel.admin` makes one; the adapters mount it in a
/// framework.
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

/// The text of an argument; a lone surrogate in it becomes the replacement character.
fn lossy_text<'a>(field: &str, value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, str>> {
    value.cast::<PyString>().map(|text| text.to_string_lossy()).map_err(|_| refused(field, value, "text"))
}

#[pymethods]
impl Admin {
    /// Answers a request with its status, its headers (without `content-length`) and its body.
    ///
    /// - `method`: the HTTP method.
    /// - `path`: the path below the mount, `query`: the query string; both still percent-encoded.
    /// - `authorization`: the bytes of the `Authorization` header. `None`: no such header.
    ///
    /// Takes about as long as a report; other threads run meanwhile. Raises `ConfigError` for arguments of another type.
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
    ) -> PyResult<Response<'py>> {
        let (method, path) = (lossy_text("method", method)?, lossy_text("path", path)?);
        let query = query.map_or(Ok(Cow::Borrowed("")), |value| lossy_text("query", value))?;
        let authorization = match authorization.map(|value| value.cast::<PyBytes>()) {
            None => None,
            Some(Ok(bytes)) => Some(bytes.as_bytes()),
            // The error does not show the value, which is a secret.
            Some(Err(_)) => {
                let error = sentinel_core::ConfigError::new("authorization", "a value that is not bytes", "bytes");
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
