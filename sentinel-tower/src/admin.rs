//! The admin view as a tower service.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use sentinel_core::admin::{self, Admin};
use std::borrow::Cow;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use tower_service::Service;

/// Serves the admin view of a [`Sentinel`](sentinel_core::Sentinel): the page and the data behind it. Requests to this service are
/// not counted, wherever the layer is. Cheap to clone.
///
/// ```
/// use axum::Router;
/// use sentinel_tower::AdminService;
///
/// let sentinel = sentinel_core::Sentinel::builder().build()?;
/// let app: Router =
///     Router::new().nest_service("/sentinel", AdminService::new(sentinel.admin().token("correct-horse-battery")?));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct AdminService {
    admin: Admin,
}

/// Mark among the extensions of a response: the layer does not count its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NotCounted;

impl AdminService {
    /// Makes a service of `admin`, which decides who may see data.
    ///
    /// ```
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// let service = sentinel_tower::AdminService::new(sentinel.admin().public());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn new(admin: Admin) -> Self {
        Self { admin }
    }
}

impl<B> Service<Request<B>> for AdminService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.admin.respond(&admin::Request {
            method: request.method().as_str(),
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            authorization: request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes),
        });
        let body = match answer.body {
            Cow::Borrowed(body) => Bytes::from_static(body),
            Cow::Owned(body) => Bytes::from(body),
        };
        let mut response = Response::new(Full::new(body));
        // Always a valid status: the view answers with a few fixed ones.
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in answer.headers {
            response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        response.extensions_mut().insert(NotCounted);
        ready(Ok(response))
    }
}
