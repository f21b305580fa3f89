//! The guard of a request that has begun: a request that hangs emits no event, so the guard is what knows of it.

use super::Sentinel;
use crate::engine::flights::{Begun, Id};
use crate::event::tenant;
use crate::event::{ABORTED, Event};
use crate::slot::stripe::Subject;

/// Status of a request whose handler panicked.
const PANICKED: u16 = 500;

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
    /// None: it has ended.
    request: Option<Request>,
}

#[derive(Debug)]
struct Request {
    sentinel: Sentinel,
    begun: Box<Begun>,
}

impl Guard {
    pub(crate) fn begin(sentinel: &Sentinel, tenant: &[u8]) -> Self {
        let started = sentinel.stamp();
        let (bounded, truncated) = tenant::bounded(tenant);
        let tenant = Id::from_slice(&bounded);
        let begun = |source| Begun { tenant, truncated, endpoint: None, started, source, place: None };
        let begun = sentinel.with_engine(|engine| engine.flights.begin(begun(engine.source)));
        Self { request: Some(Request { sentinel: sentinel.clone(), begun }) }
    }

    /// Says whose request it is, as soon as that is known. May be called again.
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
        let Some(Request { sentinel, begun }) = &mut self.request else { return };
        let (bounded, truncated) = tenant::bounded(id);
        (begun.tenant, begun.truncated) = (Id::from_slice(&bounded), truncated);
        sentinel.with_engine(|engine| {
            // After a fork its place is not the child's.
            if let Some(place) = begun.place.filter(|_| engine.source == begun.source) {
                engine.flights.name(place, &bounded);
            }
        });
    }

    /// Says where it goes, for a request that may be aborted before it is finished.
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

    /// Records it: the route template and the status. Its latency is the time since `start`.
    ///
    /// ```
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// sentinel.start().finish("/v1/process", 503);
    /// assert_eq!(sentinel.report(Default::default()).totals.errors, 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn finish(mut self, endpoint: &str, status: u16) {
        if let Some(request) = self.request.take() {
            request.end(Some((Some(endpoint), status)));
        }
    }

    /// Ends it where nobody finished it, for adapters that know more of that than a drop does: recorded as by
    /// [`Guard::finish`], but what was begun before a fork is the parent's.
    ///
    /// ```
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// sentinel.start().abandon("/v1/process", 499);
    /// assert_eq!(sentinel.report(Default::default()).totals.aborted, 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn abandon(mut self, endpoint: &str, status: u16) {
        if let Some(request) = self.request.take().filter(Request::is_own) {
            request.end(Some((Some(endpoint), status)));
        }
    }

    /// Lets go of it, uncounted: a request that is nobody's business, such as one for the admin view.
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

impl Request {
    /// Whether this process began it.
    fn is_own(&self) -> bool {
        self.sentinel.source() == self.begun.source
    }

    /// Records it, unless it is nobody's business: the endpoint, or what was said before, and the status.
    fn end(self, counts: Option<(Option<&str>, u16)>) {
        let Self { sentinel, begun } = self;
        sentinel.with_engine(|engine| {
            if let Some((endpoint, status)) = counts {
                let (tenant, truncated) = (begun.tenant.as_slice(), begun.truncated);
                let latency = engine.since(&begun.started).into();
                let endpoint = endpoint.or(begun.endpoint.as_deref()).unwrap_or_default();
                let subject = Subject { tenant, hash: engine.hash(tenant), truncated, endpoint: None };
                engine.count(&Event { tenant, endpoint, status, latency, at: None }, &subject);
            }
            // After a fork its place is not the child's.
            if let Some(place) = begun.place.filter(|_| engine.source == begun.source) {
                engine.flights.end(place, begun);
            }
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A forked child drops what the parent began: the parent counts it.
        if let Some(request) = self.request.take().filter(Request::is_own) {
            // Unwinding: the handler has panicked, which is the server's error and not the client going away.
            request.end(Some((None, if std::thread::panicking() { PANICKED } else { ABORTED })));
        }
    }
}
