//! A bound handle: a tenant and an endpoint that many requests share, looked up once for all of them.

use crate::event::endpoint::ResolvedEndpoint;
use crate::event::tenant;
use crate::event::{Event, Latency};
use crate::sentinel::Sentinel;
use crate::slot::sample::HashedId;
use crate::slot::stripe::Attribution;
use crate::util::fork;

/// Records requests of one tenant at one endpoint. The id is bounded and hashed once, and the endpoint looked up once, instead of
/// for each request. For a connection, a worker or a batch that serves one tenant. Works in a forked child too.
///
/// ```
/// use sentinel_core::{Latency, Sentinel};
///
/// let sentinel = Sentinel::builder().build()?;
/// let acme = sentinel.bind(b"acme", "/v1/process");
/// for status in [200, 200, 503] {
///     acme.record(status, Latency::from_millis(12.0), None);
/// }
/// let row = &sentinel.report(Default::default()).tenants[0];
/// assert_eq!((row.tenant_id.as_str(), row.requests, row.errors), ("acme", 3, 1));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Handle {
    sentinel: Sentinel,
    /// The given id and endpoint, which a forked child looks up anew.
    tenant: Box<[u8]>,
    endpoint: Box<str>,
    /// Generation in which the handle was made; the fields below hold in this one only.
    generation: u64,
    bounded: Box<[u8]>,
    hash: u64,
    resolved: ResolvedEndpoint,
}

impl Handle {
    pub(crate) fn new(sentinel: &Sentinel, tenant: &[u8], endpoint: &str) -> Self {
        let (bounded, _) = tenant::bounded(tenant);
        let (generation, hash, resolved) =
            sentinel.with_engine(|engine| (engine.generation, engine.hashed(&bounded).hash, engine.resolve(endpoint)));
        Self {
            sentinel: sentinel.clone(),
            tenant: tenant.into(),
            endpoint: endpoint.into(),
            generation,
            hash,
            resolved,
            bounded: bounded.into(),
        }
    }

    /// Counts one request, as [`Sentinel::record`] does: status, latency, and the time at which it ended (Unix ms; `None` = now).
    ///
    /// ```
    /// # use sentinel_core::{Latency, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// sentinel.bind(b"acme", "/").record(200, Latency::UNKNOWN, None);
    /// assert_eq!(sentinel.stats().accepted, 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn record(&self, status: u16, latency: Latency, at: Option<i64>) {
        let event = Event { tenant: &self.tenant, endpoint: &self.endpoint, status, latency, at };
        if self.generation != fork::generation() {
            self.sentinel.record(event);
            return;
        }
        let truncated = self.tenant.len() > self.bounded.len() || self.tenant.len() > tenant::MAX_ID;
        let attribution = Attribution {
            tenant: HashedId { id: &self.bounded, hash: self.hash },
            truncated,
            endpoint: Some(self.resolved),
        };
        self.sentinel.with_engine(|engine| engine.count(&event, &attribution));
    }
}
