//! The admin view, for any server that mounts it.

use crate::panics::guarded;
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

/// Answers requests for the admin view of a sentinel: the page and the data behind it. Knows no framework.
#[napi]
pub struct NativeAdmin {
    admin: sentinel_core::admin::Admin,
}

/// An answer of the admin view.
#[napi(object)]
pub struct NativeAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Name, value, name, value; without `content-length`.
    pub headers: Vec<String>,
    /// The body.
    pub body: Buffer,
}

impl NativeAdmin {
    pub(crate) fn new(admin: sentinel_core::admin::Admin) -> Self {
        Self { admin }
    }
}

#[napi]
#[allow(clippy::needless_pass_by_value)] // napi hands over owned values
impl NativeAdmin {
    /// Answers a request; path and query are still percent-encoded.
    #[napi(catch_unwind)]
    pub fn respond(&self, method: String, path: String, query: String, authorization: Option<&[u8]>) -> NativeAnswer {
        let request = sentinel_core::admin::Request { method: &method, path: &path, query: &query, authorization };
        let Some(response) = guarded("admin_respond", || self.admin.respond(&request)) else {
            let body = br#"{"type":"about:blank","title":"Internal Server Error","status":500}"#.to_vec();
            let headers = ["content-type", "application/problem+json", "cache-control", "no-store"];
            return NativeAnswer { status: 500, headers: headers.map(String::from).to_vec(), body: body.into() };
        };
        let headers = response.headers.iter().flat_map(|(name, value)| [(*name).into(), (*value).into()]).collect();
        NativeAnswer { status: response.status, headers, body: response.body.into_owned().into() }
    }
}
