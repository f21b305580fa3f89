//! A bound handle: a tenant and an endpoint that many requests share, looked up once.

use crate::event::endpoint::EndpointId;
use crate::event::tenant;
use crate::event::{Event, Latency};
use crate::sentinel::Sentinel;
use crate::slot::stripe::Subject;
use crate::util::fork;

/// Records requests of one tenant at one endpoint: its id is bounded and hashed, its endpoint looked up once and not for each
/// request. For a connection, a worker or a batch that serves one tenant. Works in a forked child too.
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
    /// As it was given: what a forked child looks up anew.
    tenant: Box<[u8]>,
    endpoint: Box<str>,
    /// In the process it was made in.
    generation: u64,
    bounded: Box<[u8]>,
    hash: u64,
    number: (EndpointId, bool),
}

impl Handle {
    pub(crate) fn new(sentinel: &Sentinel, tenant: &[u8], endpoint: &str) -> Self {
        let (bounded, _) = tenant::bounded(tenant);
        let (generation, hash, number) =
            sentinel.with_engine(|engine| (engine.generation, engine.hash(&bounded), engine.endpoint(endpoint)));
        Self {
            sentinel: sentinel.clone(),
            tenant: tenant.into(),
            endpoint: endpoint.into(),
            generation,
            hash,
            number,
            bounded: bounded.into(),
        }
    }

    /// Counts one request, as [`Sentinel::record`] does: its status, its latency, and its time (Unix ms; `None` = now).
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
        let subject = Subject { tenant: &self.bounded, hash: self.hash, truncated, endpoint: Some(self.number) };
        self.sentinel.with_engine(|engine| engine.count(&event, &subject));
    }
}
