//! The guard of a request that has begun. A request that hangs emits no event, so only its guard knows of it.
//!
//! ```text
//!  start ──► in flight ─┬─ finish(endpoint, status) ─► an event; latency = time since start
//!                       ├─ abandon(endpoint, status) ► an event, unless the request was begun before a fork
//!                       ├─ discard() ────────────────► no event
//!                       └─ drop ─────────────────────► an event: 499 (the client went away), or 500 when a panic unwinds;
//!                                                      no event when the request was begun before a fork
//! ```
//!
//! **Invariant**: `request` is taken exactly once, so each request is recorded at most once and leaves `flights` at most once.
//!
//! **Why is a drop not the same as `finish` after a fork?** Guards of the parent are copied into the child and dropped there too. The
//! parent will count these requests, so a drop in the child counts nothing. `finish` in the child is a deliberate call: a worker that
//! was forked while it served the request answers it, and counts it in the child's own engine. The place in `flights` belongs to the
//! parent's engine, so the child does not touch it (`place` is ignored when the sources differ).

use super::Sentinel;
use crate::engine::flights::{InlineTenantId, StartedRequest};
use crate::event::tenant;
use crate::event::{ABORTED_STATUS, Event};
use crate::slot::stripe::Attribution;

/// Status of a request whose handler panicked.
const PANICKED_STATUS: u16 = 500;

/// A request that has begun: counted in flight until it is finished. Dropped unfinished, it is recorded as aborted
/// (499), or as a server error (500) when a panic drops it.
///
/// ```
/// use sentinel_core::Sentinel;
///
/// let sentinel = Sentinel::builder().build()?;
/// let mut request = sentinel.start();
/// request.tenant(b"acme");
/// assert_eq!(sentinel.report(Default::default()).tenants[0].in_flight, 1);
/// request.finish("/v1/process", 200);
///
/// drop(sentinel.start()); // the client went away
/// let totals = sentinel.report(Default::default()).totals;
/// assert_eq!((totals.requests, totals.aborted), (2, 1));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug)]
#[must_use = "a request that is dropped unfinished counts as aborted"]
pub struct Guard {
    /// `None` once the request has ended.
    request: Option<GuardedRequest>,
}

#[derive(Debug)]
struct GuardedRequest {
    sentinel: Sentinel,
    begun: Box<StartedRequest>,
}

/// The end of a request that counts.
#[derive(Clone, Copy)]
struct Ending<'a> {
    /// `None`: the endpoint that [`Guard::endpoint`] named.
    endpoint: Option<&'a str>,
    status: u16,
}

impl Guard {
    pub(crate) fn begin(sentinel: &Sentinel, tenant: &[u8]) -> Self {
        let started = sentinel.stamp();
        let (bounded, truncated) = tenant::bounded(tenant);
        let tenant = InlineTenantId::from_slice(&bounded);
        let begun = |source| StartedRequest { tenant, truncated, endpoint: None, started, source, place: None };
        let begun = sentinel.with_engine(|engine| engine.flights.begin(begun(engine.source)));
        Self { request: Some(GuardedRequest { sentinel: sentinel.clone(), begun }) }
    }

    /// Names the tenant of the request, as soon as it is known. May be called again; the last call counts.
    ///
    /// ```
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// let mut request = sentinel.start();
    /// request.tenant(b"acme");
    /// request.finish("/", 200);
    /// assert_eq!(sentinel.report(Default::default()).tenants[0].tenant_id, "acme");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn tenant(&mut self, id: &[u8]) {
        let Some(GuardedRequest { sentinel, begun }) = &mut self.request else { return };
        let (bounded, truncated) = tenant::bounded(id);
        (begun.tenant, begun.truncated) = (InlineTenantId::from_slice(&bounded), truncated);
        sentinel.with_engine(|engine| {
            // After a fork the place belongs to the parent's engine.
            if let Some(place) = begun.place.filter(|_| engine.source == begun.source) {
                engine.flights.name(place, &bounded);
            }
        });
    }

    /// Names the endpoint, for a request that may be aborted before [`Guard::finish`] names it.
    ///
    /// ```
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// let mut request = sentinel.start();
    /// request.tenant(b"acme");
    /// request.endpoint("/v1/process");
    /// drop(request);
    /// assert_eq!(sentinel.tenant(b"acme", None).unwrap().endpoints[0].endpoint, "/v1/process");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn endpoint(&mut self, endpoint: &str) {
        if let Some(request) = &mut self.request {
            request.begun.endpoint = Some(endpoint.into());
        }
    }

    /// Records the request with its route template and status. The latency is the time since `start`.
    ///
    /// ```
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// sentinel.start().finish("/v1/process", 503);
    /// assert_eq!(sentinel.report(Default::default()).totals.errors, 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn finish(mut self, endpoint: &str, status: u16) {
        if let Some(request) = self.request.take() {
            request.end(Some(Ending { endpoint: Some(endpoint), status }));
        }
    }

    /// Records a request that nobody finished, for adapters that know its endpoint and status when they drop it: as by
    /// [`Guard::finish`], except that a request begun before a fork is left to the parent.
    ///
    /// ```
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// sentinel.start().abandon("/v1/process", 499);
    /// assert_eq!(sentinel.report(Default::default()).totals.aborted, 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn abandon(mut self, endpoint: &str, status: u16) {
        if let Some(request) = self.request.take().filter(GuardedRequest::is_own) {
            request.end(Some(Ending { endpoint: Some(endpoint), status }));
        }
    }

    /// Ends the request without counting it: one that belongs to no tenant, such as a request for the admin view.
    ///
    /// ```
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// sentinel.start().discard();
    /// assert_eq!(sentinel.stats().offered, 0);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn discard(mut self) {
        if let Some(request) = self.request.take() {
            request.end(None);
        }
    }
}

impl GuardedRequest {
    /// Whether this process began the request.
    fn is_own(&self) -> bool {
        self.sentinel.source() == self.begun.source
    }

    /// Ends the request; records it when there is an `ending`.
    fn end(self, ending: Option<Ending<'_>>) {
        let Self { sentinel, begun } = self;
        sentinel.with_engine(|engine| {
            if let Some(Ending { endpoint, status }) = ending {
                let (tenant, truncated) = (begun.tenant.as_slice(), begun.truncated);
                let latency = engine.since(&begun.started).into();
                let endpoint = endpoint.or(begun.endpoint.as_deref()).unwrap_or_default();
                let attribution = Attribution { tenant: engine.hashed(tenant), truncated, endpoint: None };
                engine.count(&Event { tenant, endpoint, status, latency, at: None }, &attribution);
            }
            // After a fork the place belongs to the parent's engine.
            if let Some(place) = begun.place.filter(|_| engine.source == begun.source) {
                engine.flights.end(place, begun);
            }
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A forked child drops guards that the parent began too: the parent counts those requests.
        if let Some(request) = self.request.take().filter(GuardedRequest::is_own) {
            // Unwinding: the handler has panicked, which is an error of the server and not a client that went away.
            let status = if std::thread::panicking() { PANICKED_STATUS } else { ABORTED_STATUS };
            request.end(Some(Ending { endpoint: None, status }));
        }
    }
}
