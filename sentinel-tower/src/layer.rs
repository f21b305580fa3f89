//! The layer and its options.

use crate::options::LayerOptions;
use crate::service::SentinelService;
use crate::tenant::{Head, TenantFrom};
use sentinel_core::Sentinel;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use tower_layer::Layer;

/// Wraps a service so that a [`Sentinel`] records every request that the service answers. Cheap to clone.
///
/// ```
/// use axum::{Router, routing::get};
/// use sentinel_tower::{SentinelLayer, tenant_header};
///
/// let sentinel = sentinel_core::Sentinel::builder().build()?;
/// let app: Router = Router::new()
///     .route("/health", get(|| async { "ok" }))
///     .layer(SentinelLayer::new(&sentinel, tenant_header("x-tenant-id")?).exclude(["/health"]));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SentinelLayer {
    pub(crate) options: Arc<LayerOptions>,
}

impl fmt::Debug for SentinelLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelLayer")
            .field("tenant", &self.options.tenant)
            .field("excluded", &self.options.excluded)
            .field("settable", &self.options.settable)
            .finish_non_exhaustive()
    }
}

impl SentinelLayer {
    /// Records into `sentinel`, and looks for the tenant of each request as `tenant` says.
    ///
    /// ```
    /// # use sentinel_tower::{SentinelLayer, tenant_header};
    /// let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// let layer = SentinelLayer::new(&sentinel, tenant_header("x-tenant-id")?);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn new(sentinel: &Sentinel, tenant: TenantFrom) -> Self {
        let (sentinel, excluded) = (sentinel.clone(), HashSet::new());
        Self { options: Arc::new(LayerOptions { sentinel, tenant, excluded, endpoint: None, settable: false }) }
    }

    fn with(mut self, change: impl FnOnce(&mut LayerOptions)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }

    /// Adds route templates whose requests are not counted, such as health checks.
    ///
    /// ```
    /// # use sentinel_tower::{SentinelLayer, tenant_header};
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// let layer = SentinelLayer::new(&sentinel, tenant_header("x-tenant-id")?).exclude(["/health", "/metrics"]);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn exclude(self, templates: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with(|options| options.excluded.extend(templates.into_iter().map(Into::into)))
    }

    /// Names the endpoint of a request, for services without axum's router. When `name` returns `None`, axum's `MatchedPath` names it.
    /// Return a route template, of which there are few, and never the raw path. (The paths of tonic are templates.)
    ///
    /// ```
    /// # use sentinel_tower::{SentinelLayer, tenant_header};
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// let layer = SentinelLayer::new(&sentinel, tenant_header("x-tenant-id")?)
    ///     .endpoint(|head| Some(sentinel_core::normalise_path(head.uri.path())));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn endpoint(self, name: impl Fn(&Head<'_>) -> Option<String> + Send + Sync + 'static) -> Self {
        self.with(|options| options.endpoint = Some(Arc::new(name)))
    }

    /// Puts a [`CurrentTenant`](crate::CurrentTenant) among the extensions of each request, through which a handler can name the
    /// tenant. Costs two allocations a request.
    ///
    /// ```
    /// # use sentinel_tower::{SentinelLayer, tenant_from_handler};
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// let layer = SentinelLayer::new(&sentinel, tenant_from_handler()).settable();
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn settable(self) -> Self {
        self.with(|options| options.settable = true)
    }
}

impl<S> Layer<S> for SentinelLayer {
    type Service = SentinelService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SentinelService { inner, options: self.options.clone() }
    }
}
