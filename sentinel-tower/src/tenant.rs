//! The tenant of a request: extractors that find it, and the ways in which a handler names it.

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri};
use sentinel_core::{ConfigError, Guard, Sentinel};
use smallvec::SmallVec;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// A tenant's id, any bytes. An empty id means unknown: `unattributed`.
///
/// A handler, or a middleware inside the layer, that knows the tenant better than the extractor puts it among the extensions of its
/// response:
///
/// ```
/// use axum::{Extension, response::IntoResponse};
/// use sentinel_tower::Tenant;
///
/// async fn handler() -> impl IntoResponse {
///     (Extension(Tenant::new("acme")), "hello")
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Tenant(SmallVec<[u8; 40]>);

impl Tenant {
    /// A tenant with this id.
    ///
    /// ```
    /// assert_eq!(sentinel_tower::Tenant::new("acme").as_bytes(), b"acme");
    /// ```
    pub fn new(id: impl AsRef<[u8]>) -> Self {
        Self(SmallVec::from_slice(id.as_ref()))
    }

    /// The id.
    ///
    /// ```
    /// assert!(sentinel_tower::Tenant::new("").as_bytes().is_empty());
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant(\"{}\")", self.0.escape_ascii())
    }
}

/// Lets a handler name the tenant of its request, even when the handler returns no response of its own. Among the extensions of the
/// request with [`SentinelLayer::settable`](crate::SentinelLayer::settable). Clones share one value, so it works from another task
/// too.
///
/// ```
/// use axum::Extension;
/// use sentinel_tower::CurrentTenant;
///
/// async fn handler(Extension(current): Extension<CurrentTenant>) {
///     current.set("acme");
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct CurrentTenant(Arc<Mutex<Option<Tenant>>>);

impl CurrentTenant {
    /// Names the tenant. The last call before the answer is complete counts.
    ///
    /// ```
    /// let current = sentinel_tower::CurrentTenant::default();
    /// current.set("acme");
    /// assert_eq!(current.get().unwrap().as_bytes(), b"acme");
    /// ```
    pub fn set(&self, id: impl AsRef<[u8]>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Tenant::new(id));
    }

    /// The tenant that was named last.
    ///
    /// ```
    /// assert_eq!(sentinel_tower::CurrentTenant::default().get(), None);
    /// ```
    pub fn get(&self) -> Option<Tenant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Future that looks a tenant up.
pub(crate) type Lookup = Pin<Box<dyn Future<Output = Option<Tenant>> + Send>>;

/// Result of an extractor.
pub(crate) enum Extracted {
    /// The tenant; `None` = unknown.
    Now(Option<Tenant>),
    /// The tenant has to be waited for.
    Later(Lookup),
}

/// The head of a request, for functions that look for its tenant or name its endpoint.
///
/// ```
/// use sentinel_tower::{Head, tenant_fn};
///
/// // acme.example.com
/// let from = tenant_fn(|head: &Head<'_>| Some(head.headers.get("host")?.to_str().ok()?.split('.').next()?.to_owned()));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Method of the request.
    pub method: &'a Method,
    /// Path and query, without the prefix of a nested router, as everywhere in axum.
    pub uri: &'a Uri,
    /// Headers of the request.
    pub headers: &'a HeaderMap,
    /// Extensions, as middleware outside the layer has left them.
    pub extensions: &'a Extensions,
}

impl<'a> Head<'a> {
    pub(crate) fn of<B>(request: &'a http::Request<B>) -> Self {
        let (method, uri) = (request.method(), request.uri());
        Self { method, uri, headers: request.headers(), extensions: request.extensions() }
    }
}

/// The way in which the layer finds the tenant of a request. Made by the functions `tenant_*`.
///
/// ```
/// use sentinel_tower::{TenantFrom, tenant_header};
///
/// let from: TenantFrom = tenant_header("x-tenant-id")?;
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct TenantFrom(Extract);

#[derive(Clone)]
enum Extract {
    Header(HeaderName),
    /// A function of the embedder.
    Head(Arc<dyn Fn(&Head<'_>) -> Extracted + Send + Sync>),
    /// A parameter of axum's path.
    #[cfg(feature = "axum")]
    Path(Arc<str>),
    /// The handler names the tenant.
    Handler,
}

impl fmt::Debug for TenantFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Extract::Header(_) => "TenantFrom(a header)",
            Extract::Head(_) => "TenantFrom(a function)",
            #[cfg(feature = "axum")]
            Extract::Path(_) => "TenantFrom(the path)",
            Extract::Handler => "TenantFrom(the handler)",
        })
    }
}

impl TenantFrom {
    /// An extractor that returns at once.
    fn head(extract: impl Fn(&Head<'_>) -> Option<Tenant> + Send + Sync + 'static) -> Self {
        Self(Extract::Head(Arc::new(move |head| Extracted::Now(extract(head)))))
    }

    /// Begins the request, with its tenant when that is known at once. Functions of the embedder run in `guarded`.
    pub(crate) fn begin<B>(
        &self,
        sentinel: &Sentinel,
        request: &mut http::Request<B>,
        guarded: impl FnOnce(&dyn Fn() -> Extracted) -> Extracted,
    ) -> (Guard, Option<Lookup>) {
        let found = match &self.0 {
            Extract::Header(name) => {
                let value = request.headers().get(name);
                return (sentinel.start_as(value.map_or(b"", HeaderValue::as_bytes)), None);
            }
            Extract::Head(extract) => {
                let head = Head::of(request);
                guarded(&|| extract(&head))
            }
            #[cfg(feature = "axum")]
            Extract::Path(parameter) => Extracted::Now(path_parameter(request.extensions_mut(), parameter)),
            Extract::Handler => Extracted::Now(None),
        };
        match found {
            Extracted::Now(tenant) => (sentinel.start_as(tenant.as_ref().map_or(b"", Tenant::as_bytes)), None),
            Extracted::Later(lookup) => (sentinel.start(), Some(lookup)),
        }
    }
}

/// Takes the tenant from a request header, byte by byte; the first one when there are several.
///
/// # Errors
/// A [`ConfigError`] when `name` is no valid header name.
///
/// ```
/// let from = sentinel_tower::tenant_header("x-tenant-id")?;
/// let error = sentinel_tower::tenant_header("x tenant").unwrap_err();
/// assert_eq!(error.to_string(), "tenant_header: \"x tenant\" is not allowed; allowed: a header name: letters, digits and -");
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
pub fn tenant_header(name: &str) -> Result<TenantFrom, ConfigError> {
    let header = HeaderName::try_from(name)
        .map_err(|_| ConfigError::new("tenant_header", format!("{name:?}"), "a header name: letters, digits and -"))?;
    Ok(TenantFrom(Extract::Header(header)))
}

/// Takes the tenant from a parameter of the path, percent-decoded: `tenant_path("org")` for `/orgs/{org}/users`.
///
/// ```
/// use axum::{Router, routing::get};
/// use sentinel_tower::{SentinelLayer, tenant_path};
///
/// let sentinel = sentinel_core::Sentinel::builder().build()?;
/// let app: Router = Router::new()
///     .route("/orgs/{org}/users", get(|| async {}))
///     .layer(SentinelLayer::new(&sentinel, tenant_path("org")));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[cfg(feature = "axum")]
pub fn tenant_path(parameter: &str) -> TenantFrom {
    TenantFrom(Extract::Path(parameter.into()))
}

#[cfg(feature = "axum")]
fn path_parameter(extensions: &mut Extensions, parameter: &str) -> Option<Tenant> {
    use axum::extract::{FromRequestParts, RawPathParams};
    use std::task::{Context, Poll, Waker};

    // The router put the parameters among the extensions, and the extractor reads nothing else of the head. The future is ready at once.
    let (mut parts, ()) = http::Request::new(()).into_parts();
    std::mem::swap(&mut parts.extensions, extensions);
    let found = match std::pin::pin!(RawPathParams::from_request_parts(&mut parts, &()))
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(Ok(params)) => Some(params),
        _ => None,
    };
    std::mem::swap(&mut parts.extensions, extensions);
    found?.iter().find(|(name, _)| *name == parameter).map(|(_, value)| Tenant::new(value))
}

/// Takes the tenant from an extension of the request that a middleware outside this layer has set, such as authentication. Answers of
/// that middleware itself do not count then. If they should, put it inside the layer and let it set [`Tenant`] or [`CurrentTenant`].
///
/// ```
/// use sentinel_tower::tenant_extension;
///
/// #[derive(Clone)]
/// struct User {
///     organisation: String,
/// }
///
/// let from = tenant_extension(|user: &User| &user.organisation);
/// ```
pub fn tenant_extension<T, U, F>(id: F) -> TenantFrom
where
    T: Clone + Send + Sync + 'static,
    U: AsRef<[u8]> + ?Sized,
    F: Fn(&T) -> &U + Send + Sync + 'static,
{
    TenantFrom::head(move |head| head.extensions.get().map(|known| Tenant::new(id(known))))
}

/// Takes the tenant from the head of the request by a function. Each request waits for the function, so it must not block.
///
/// ```
/// use sentinel_tower::tenant_fn;
///
/// // acme.example.com
/// let from = tenant_fn(|head| Some(head.headers.get("host")?.to_str().ok()?.split('.').next()?.to_owned()));
/// ```
pub fn tenant_fn<T, F>(extract: F) -> TenantFrom
where
    T: AsRef<[u8]>,
    F: Fn(&Head<'_>) -> Option<T> + Send + Sync + 'static,
{
    TenantFrom::head(move |head| extract(head).map(Tenant::new))
}

/// Looks the tenant up by a future, such as the owner of an API key. The future runs beside the handler, and an answer that is ready
/// first waits for it. So give the future a timeout (`tokio::time::timeout`): one that hangs holds back every answer, except those of
/// the admin view and those that carry a [`Tenant`].
///
/// ```
/// use sentinel_tower::tenant_async_fn;
///
/// async fn owner(key: Vec<u8>) -> Option<String> {
///     # let _ = key;
///     Some("acme".into())
/// }
///
/// let from = tenant_async_fn(|head| {
///     let key = head.headers.get("x-api-key").map(|key| key.as_bytes().to_vec());
///     async move { owner(key?).await }
/// });
/// ```
pub fn tenant_async_fn<T, F, Fut>(extract: F) -> TenantFrom
where
    T: AsRef<[u8]>,
    F: Fn(&Head<'_>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Option<T>> + Send + 'static,
{
    TenantFrom(Extract::Head(Arc::new(move |head| {
        let found = extract(head);
        Extracted::Later(Box::pin(async move { found.await.map(Tenant::new) }))
    })))
}

/// Leaves the tenant to the handler, which names it by a [`Tenant`] in its response or by [`CurrentTenant`].
///
/// ```
/// use sentinel_tower::{SentinelLayer, tenant_from_handler};
///
/// let sentinel = sentinel_core::Sentinel::builder().build()?;
/// let layer = SentinelLayer::new(&sentinel, tenant_from_handler()).settable();
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
pub fn tenant_from_handler() -> TenantFrom {
    TenantFrom(Extract::Handler)
}
