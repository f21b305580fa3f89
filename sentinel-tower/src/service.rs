//! The wrapped service, and the future of its answer.

use crate::admin::NotCounted;
use crate::body::SentinelBody;
use crate::layer::Options;
use crate::tenant::{CurrentTenant, Found, Lookup, Tenant};
use crate::watch::{FAILED, Template, Watch};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// A service whose requests a [`Sentinel`](sentinel_core::Sentinel) is told of. Made by [`SentinelLayer`](crate::SentinelLayer).
///
/// ```
/// use sentinel_tower::{SentinelLayer, SentinelService, tenant_header};
/// use tower_layer::Layer;
///
/// let sentinel = sentinel_core::Sentinel::builder().build()?;
/// let service: SentinelService<()> = SentinelLayer::new(&sentinel, tenant_header("x-tenant-id")?).layer(());
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SentinelService<S> {
    pub(crate) inner: S,
    pub(crate) options: Arc<Options>,
}

impl<S: fmt::Debug> fmt::Debug for SentinelService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for SentinelService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body,
{
    type Response = Response<SentinelBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let options = &self.options;
        let (mut parts, body) = request.into_parts();
        let template = options.template(&parts);
        if options.excluded.contains(template.as_str()) {
            let inner = self.inner.call(Request::from_parts(parts, body));
            return ResponseFuture { inner, asked: None, held: None };
        }
        let method = parts.method.clone();
        let guard = options.sentinel.start();
        let settable = options.settable.then(CurrentTenant::default);
        if let Some(settable) = &settable {
            parts.extensions.insert(settable.clone());
        }
        let mut watch = Watch::new(guard, template, settable);
        let mut lookup = None;
        match options.guarded(|| options.tenant.extract(&mut parts)) {
            Some(Found::Now(Some(tenant))) => watch.tenant(&tenant),
            Some(Found::Later(later)) => lookup = Some(later),
            Some(Found::Now(None)) | None => {}
        }
        let inner = watch.within(|| self.inner.call(Request::from_parts(parts, body)));
        ResponseFuture { inner, asked: Some(Asked { options: options.clone(), watch, lookup, method }), held: None }
    }
}

impl Options {
    fn template(&self, parts: &Parts) -> Template {
        if let Some(name) = self.endpoint.as_ref().and_then(|name| self.guarded(|| name(parts)).flatten()) {
            return Template::Named(name);
        }
        #[cfg(feature = "axum")]
        if let Some(path) = parts.extensions.get::<axum::extract::MatchedPath>() {
            return Template::Matched(path.clone());
        }
        Template::Unmatched
    }

    /// Runs what the embedder gave; `None` when it panics, which is counted and goes no further.
    fn guarded<T>(&self, run: impl FnOnce() -> T) -> Option<T> {
        let out = catch_unwind(AssertUnwindSafe(run)).ok();
        if out.is_none() {
            self.sentinel.adapter_failed();
        }
        out
    }
}

/// A request that counts.
struct Asked {
    options: Arc<Options>,
    watch: Watch,
    /// Its tenant, while that is being looked up.
    lookup: Option<Lookup>,
    method: Method,
}

pin_project! {
    /// The answer to come. Made by [`SentinelService`].
    ///
    /// ```
    /// use sentinel_tower::{SentinelLayer, SentinelService, tenant_header};
    /// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// let mut service = ServiceBuilder::new()
    ///     .layer(SentinelLayer::new(&sentinel, tenant_header("x-tenant-id")?))
    ///     .service(service_fn(|_: http::Request<String>| async { Ok::<_, std::convert::Infallible>(http::Response::new(String::new())) }));
    /// service.ready().await?.call(http::Request::new(String::new())).await?;
    /// assert_eq!(sentinel.stats().accepted, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub struct ResponseFuture<F, R, E> {
        #[pin]
        inner: F,
        // None: the request does not count.
        asked: Option<Asked>,
        // An answer that waits for its tenant.
        held: Option<Result<Response<R>, E>>,
    }
}

impl<F, R, E> fmt::Debug for ResponseFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("counts", &self.asked.is_some()).finish_non_exhaustive()
    }
}

impl<F, R, E> Future for ResponseFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: http_body::Body,
{
    type Output = Result<Response<SentinelBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(asked) = this.asked else {
            return this.inner.poll(cx).map_ok(|response| response.map(SentinelBody::unwatched));
        };
        asked.look_up(cx);
        let answer = match this.held.take() {
            Some(answer) => answer,
            None => ready!(asked.watch.within(|| this.inner.poll(cx))),
        };
        if asked.lookup.is_some() {
            *this.held = Some(answer);
            return Poll::Pending;
        }
        let Some(asked) = this.asked.take() else { return Poll::Pending };
        Poll::Ready(asked.answered(answer))
    }
}

impl Asked {
    /// Asks once more who the tenant is.
    fn look_up(&mut self, cx: &mut Context<'_>) {
        let Some(lookup) = &mut self.lookup else { return };
        match self.options.guarded(|| lookup.as_mut().poll(cx)) {
            Some(Poll::Pending) => {}
            Some(Poll::Ready(tenant)) => {
                self.lookup = None;
                if let Some(tenant) = tenant {
                    self.watch.tenant(&tenant);
                }
            }
            None => self.lookup = None,
        }
    }

    fn answered<R, E>(self, answer: Result<Response<R>, E>) -> Result<Response<SentinelBody<R>>, E>
    where
        R: http_body::Body,
    {
        let Self { mut watch, method, .. } = self;
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                watch.finish(FAILED);
                return Err(error);
            }
        };
        if response.extensions().get::<NotCounted>().is_some() {
            watch.discard();
            return Ok(response.map(SentinelBody::unwatched));
        }
        if let Some(tenant) = response.extensions().get::<Tenant>() {
            watch.tenant(tenant);
        }
        let status = response.status();
        let length = response.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        if length == Some(0) || ends_with_its_head(&method, &response) {
            watch.finish(status.as_u16());
            return Ok(response.map(SentinelBody::unwatched));
        }
        Ok(response.map(|body| SentinelBody::new(body, watch, status.as_u16(), length)))
    }
}

/// Nothing follows that belongs to the answer: it has no body, or a connection begins that lives on.
fn ends_with_its_head<R: http_body::Body>(method: &Method, response: &Response<R>) -> bool {
    let status = response.status();
    let streams = || {
        let media = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        media.is_some_and(|media| media.get(..EVENTS.len()).is_some_and(|media| media.eq_ignore_ascii_case(EVENTS)))
    };
    method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || method == Method::CONNECT && status.is_success()
        || response.body().is_end_stream()
        || streams()
}

/// Server-sent events.
const EVENTS: &[u8] = b"text/event-stream";
