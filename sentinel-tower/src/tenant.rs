//! Whose request it is: where that is looked for, and how a handler says it itself.

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri};
use sentinel_core::{ConfigError, Guard, Sentinel};
use smallvec::SmallVec;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// A tenant's id, any bytes. Empty is nobody's: `unattributed`.
///
/// A handler, or a middleware inside the layer, that knows better than the request puts it among the extensions of its response:
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
    /// From its id.
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

/// By which a handler says whose request it is, whatever becomes of its response: among the extensions of the request when
/// [`SentinelLayer::settable`](crate::SentinelLayer::settable) is on. Clones are the same one, so it works from another task too.
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
    /// Says it. The last word counts, if it comes before the answer is complete.
    ///
    /// ```
    /// let current = sentinel_tower::CurrentTenant::default();
    /// current.set("acme");
    /// assert_eq!(current.get().unwrap().as_bytes(), b"acme");
    /// ```
    pub fn set(&self, id: impl AsRef<[u8]>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Tenant::new(id));
    }

    /// What was said last.
    ///
    /// ```
    /// assert_eq!(sentinel_tower::CurrentTenant::default().get(), None);
    /// ```
    pub fn get(&self) -> Option<Tenant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A tenant that is being looked up.
pub(crate) type Lookup = Pin<Box<dyn Future<Output = Option<Tenant>> + Send>>;

/// What an extractor says of a request.
pub(crate) enum Found {
    Now(Option<Tenant>),
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
    /// Its method.
    pub method: &'a Method,
    /// Its path and query; what it is nested at is left out, as everywhere in axum.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What middleware outside the layer has left there.
    pub extensions: &'a Extensions,
}

impl<'a> Head<'a> {
    pub(crate) fn of<B>(request: &'a http::Request<B>) -> Self {
        let (method, uri) = (request.method(), request.uri());
        Self { method, uri, headers: request.headers(), extensions: request.extensions() }
    }
}

/// Where the layer looks for a request's tenant.
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
    Head(Arc<dyn Fn(&Head<'_>) -> Found + Send + Sync>),
    /// A parameter of axum's path.
    #[cfg(feature = "axum")]
    Path(Arc<str>),
    Nowhere,
}

impl fmt::Debug for TenantFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Extract::Header(_) => "TenantFrom(a header)",
            Extract::Head(_) => "TenantFrom(a function)",
            #[cfg(feature = "axum")]
            Extract::Path(_) => "TenantFrom(the path)",
            Extract::Nowhere => "TenantFrom(the handler)",
        })
    }
}

impl TenantFrom {
    /// Where it cannot wait.
    fn head(extract: impl Fn(&Head<'_>) -> Option<Tenant> + Send + Sync + 'static) -> Self {
        Self(Extract::Head(Arc::new(move |head| Found::Now(extract(head)))))
    }

    /// Begins the request, as whose it is as far as that is known by now. What the embedder gave runs in `guarded`.
    pub(crate) fn begin<B>(
        &self,
        sentinel: &Sentinel,
        request: &mut http::Request<B>,
        guarded: impl FnOnce(&dyn Fn() -> Found) -> Found,
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
            Extract::Path(parameter) => Found::Now(path_parameter(request.extensions_mut(), parameter)),
            Extract::Nowhere => Found::Now(None),
        };
        match found {
            Found::Now(tenant) => (sentinel.start_as(tenant.as_ref().map_or(b"", Tenant::as_bytes)), None),
            Found::Later(lookup) => (sentinel.start(), Some(lookup)),
        }
    }
}

/// The value of a request header, as it is; the first one where there are several.
///
/// # Errors
/// A [`ConfigError`] when no header can have that name.
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

/// A parameter of the path, percent-decoded: `tenant_path("org")` for `/orgs/{org}/users`.
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

    // What the router matched is among the extensions; the rest of a request's head is not looked at. And it waits for nothing.
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

/// What a middleware outside this layer, such as authentication, has put among the extensions of the request. What that
/// middleware answers itself does not count then; where it should, put it inside the layer and have it set [`Tenant`] or
/// [`CurrentTenant`].
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

/// What a function makes of the head of the request. It runs in the request's way: it should look, not wait.
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

/// What a future finds, such as the owner of an API key. It runs beside the handler; an answer that is ready first waits for it,
/// so it must have a timeout of its own (`tokio::time::timeout`): one that hangs keeps every answer waiting but those of the admin view
/// and those that carry a [`Tenant`].
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
        Found::Later(Box::pin(async move { found.await.map(Tenant::new) }))
    })))
}

/// Nothing in the request says it: the handler does, by a [`Tenant`] in its response or by [`CurrentTenant`].
///
/// ```
/// use sentinel_tower::{SentinelLayer, tenant_from_handler};
///
/// let sentinel = sentinel_core::Sentinel::builder().build()?;
/// let layer = SentinelLayer::new(&sentinel, tenant_from_handler()).settable();
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
pub fn tenant_from_handler() -> TenantFrom {
    TenantFrom(Extract::Nowhere)
}
