//! The wrapped service, and the future of its answer.

use crate::admin::NotCounted;
use crate::body::SentinelBody;
use crate::grpc;
use crate::options::LayerOptions;
use crate::tenant::{CurrentTenant, Extracted, Head, Lookup, Tenant};
use crate::watch::{FAILED, Template, Watch};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// A service whose requests a [`Sentinel`](sentinel_core::Sentinel) records. Made by [`SentinelLayer`](crate::SentinelLayer).
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
    pub(crate) options: Arc<LayerOptions>,
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let options = &self.options;
        let template = options.template(&Head::of(&request));
        if !options.excluded.is_empty() && options.excluded.contains(template.as_str()) {
            return ResponseFuture { inner: self.inner.call(request), counted: None, held: None };
        }
        let settable = options.settable.then(CurrentTenant::default);
        if let Some(settable) = &settable {
            request.extensions_mut().insert(settable.clone());
        }
        let guarded = |run: &dyn Fn() -> Extracted| options.guarded(run).unwrap_or(Extracted::Now(None));
        let (guard, lookup) = options.tenant.begin(&options.sentinel, &mut request, guarded);
        let lookup = lookup.map(|future| Box::new(PendingTenant { future, options: options.clone() }));
        let mut watch = Watch::new(guard, template, settable);
        let inner = watch.within(|| self.inner.call(request));
        ResponseFuture { inner, counted: Some(CountedRequest { watch, lookup }), held: None }
    }
}

impl LayerOptions {
    /// The route template of a request.
    fn template(&self, head: &Head<'_>) -> Template {
        if let Some(name) = self.endpoint.as_ref().and_then(|name| self.guarded(|| name(head)).flatten()) {
            return Template::Named(name.into());
        }
        #[cfg(feature = "axum")]
        if let Some(path) = head.extensions.get::<axum::extract::MatchedPath>() {
            return Template::Matched(path.clone());
        }
        Template::Unmatched
    }

    /// Runs a function of the embedder; `None` when it panics, which is counted as a failure of the adapter and goes no further.
    fn guarded<T>(&self, run: impl FnOnce() -> T) -> Option<T> {
        let out = catch_unwind(AssertUnwindSafe(run)).ok();
        if out.is_none() {
            self.sentinel.adapter_failed();
        }
        out
    }
}

/// A request that counts, until its answer is there.
struct CountedRequest {
    watch: Watch,
    /// The future that looks its tenant up; `None` once that is done.
    lookup: Option<Box<PendingTenant>>,
}

struct PendingTenant {
    future: Lookup,
    options: Arc<LayerOptions>,
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
        // `None`: the request does not count, or its answer was returned.
        counted: Option<CountedRequest>,
        // The answer, while the tenant is still being looked up.
        held: Option<Box<Result<Response<R>, E>>>,
    }
}

impl<F, R, E> fmt::Debug for ResponseFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("counts", &self.counted.is_some()).finish_non_exhaustive()
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
        let Some(counted) = this.counted else {
            return this.inner.poll(cx).map_ok(|response| response.map(SentinelBody::unwatched));
        };
        counted.look_up(cx);
        let answer = match this.held.take() {
            Some(answer) => *answer,
            None => ready!(counted.watch.within(|| this.inner.poll(cx))),
        };
        // The answer waits for the lookup, unless it does not count or its handler has named the tenant.
        if counted.lookup.is_some() && !answer.as_ref().is_ok_and(is_settled) {
            *this.held = Some(Box::new(answer));
            return Poll::Pending;
        }
        let Some(counted) = this.counted.take() else { return Poll::Pending };
        Poll::Ready(counted.answered(answer))
    }
}

impl CountedRequest {
    /// Polls the lookup of the tenant.
    fn look_up(&mut self, cx: &mut Context<'_>) {
        let Some(lookup) = &mut self.lookup else { return };
        let PendingTenant { future, options } = &mut **lookup;
        match options.guarded(|| future.as_mut().poll(cx)) {
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

    /// Records the request, or leaves that to the body of its answer.
    fn answered<R, E>(self, answer: Result<Response<R>, E>) -> Result<Response<SentinelBody<R>>, E>
    where
        R: http_body::Body,
    {
        let Self { mut watch, .. } = self;
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
        let length = length.or_else(|| response.body().size_hint().exact());
        let grpc = grpc::is(response.headers());
        let grpc_status = grpc.then(|| grpc::status(response.headers())).flatten();
        if length == Some(0) || grpc_status.is_some() || ends_with_head(&response) {
            watch.finish(grpc_status.unwrap_or(status.as_u16()));
            return Ok(response.map(SentinelBody::unwatched));
        }
        Ok(response.map(|body| SentinelBody::new(body, watch, status.as_u16(), length, grpc)))
    }
}

/// Whether an answer need not wait for a lookup: it does not count, or it names its tenant.
fn is_settled<R>(response: &Response<R>) -> bool {
    let extensions = response.extensions();
    extensions.get::<NotCounted>().is_some() || extensions.get::<Tenant>().is_some()
}

/// Whether the request ends with the head of its answer: no body follows, or a stream of events that may never end. (For a request
/// whose body a server never asks for, such as HEAD, the dropped body records the status.)
fn ends_with_head<R: http_body::Body>(response: &Response<R>) -> bool {
    let streams = || {
        let media = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let media = media.and_then(|media| media.split(|byte| *byte == b';').next());
        media.is_some_and(|media| media.trim_ascii().eq_ignore_ascii_case(EVENT_STREAM))
    };
    response.body().is_end_stream() || streams()
}

/// Content type of server-sent events.
const EVENT_STREAM: &[u8] = b"text/event-stream";
