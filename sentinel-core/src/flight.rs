//! Requests in flight: a request that hangs emits no event, so the guard of `start` is what knows of it.

use crate::clock::Stamp;
use crate::event::{ABORTED, Event};
use crate::home;
use crate::sentinel::Sentinel;
use crate::stripe::Subject;
use crate::tenant;
use crossbeam_utils::CachePadded;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Requests that are followed at once, at most; further ones are recorded when they end, but not seen before.
const MAX_FLIGHTS: usize = 65_536;
/// Bytes of one, with its id and what a look makes of it.
const FLIGHT_BYTES: usize = 512;

/// Status of a request whose handler panicked.
const PANICKED: u16 = 500;

/// A tenant's id; those that are no longer than a UUID in hex and dashes are held in place.
type Id = SmallVec<[u8; 40]>;

/// Slabs that threads share, so that they do not wait for each other: a power of two.
const SLABS: usize = 8;

/// One request in flight.
#[derive(Debug, Clone)]
struct Flight {
    started: Stamp,
    tenant: Id,
}

#[derive(Debug)]
pub(crate) struct Flights {
    slabs: [CachePadded<Mutex<Slab>>; SLABS],
    unseen: AtomicU64,
    /// In each slab.
    most: usize,
}

#[derive(Debug, Default)]
struct Slab {
    flights: Vec<Option<Flight>>,
    free: Vec<usize>,
    /// Of requests that have ended, for those to come. A guard is moved around a lot: as one pointer.
    #[allow(clippy::vec_box)]
    spare: Vec<Box<Begun>>,
}

/// Guards' contents that a slab keeps for requests to come, at most.
const SPARE: usize = 64;

/// Where a request in flight is noted.
#[derive(Debug, Clone, Copy)]
struct Place {
    slab: u32,
    at: u32,
}

/// A tenant's requests in flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) count: u64,
    pub(crate) oldest_ms: u64,
    pub(crate) sum_ms: u64,
}

impl InFlight {
    pub(crate) fn add(&mut self, other: Self) {
        *self = Self {
            count: self.count.saturating_add(other.count),
            oldest_ms: self.oldest_ms.max(other.oldest_ms),
            sum_ms: self.sum_ms.saturating_add(other.sum_ms),
        };
    }
}

impl Flights {
    /// As many as `bytes` hold.
    pub(crate) fn new(bytes: usize) -> Self {
        let most = (bytes / FLIGHT_BYTES).clamp(256, MAX_FLIGHTS) / SLABS;
        Self { slabs: Default::default(), unseen: AtomicU64::new(0), most }
    }

    fn slab(&self, at: u32) -> MutexGuard<'_, Slab> {
        self.slabs[at as usize & (SLABS - 1)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request; its place is `None` when there are too many.
    #[allow(clippy::unnecessary_box_returns)] // some are there already
    fn begin(&self, mut begun: Begun) -> Box<Begun> {
        // This thread's slab; where that is full, any.
        let home = home::of_thread(SLABS) as u32;
        for slab in (home..home + SLABS as u32).map(|slab| slab & (SLABS as u32 - 1)) {
            let mut open = self.slab(slab);
            let flight = Flight { started: begun.started, tenant: begun.tenant.clone() };
            if let Some(at) = open.take(self.most, flight) {
                begun.place = Some(Place { slab, at: at as u32 });
                return match open.spare.pop() {
                    Some(mut spare) => {
                        *spare = begun;
                        spare
                    }
                    None => Box::new(begun),
                };
            }
        }
        self.unseen.fetch_add(1, Ordering::Relaxed);
        Box::new(begun)
    }

    /// Requests that began when there were too many to follow.
    pub(crate) fn unseen(&self) -> u64 {
        self.unseen.load(Ordering::Relaxed)
    }

    /// Bytes on the heap, near enough to budget by.
    pub(crate) fn weight(&self) -> usize {
        (0..SLABS as u32).map(|slab| self.slab(slab).weight()).sum()
    }

    fn name(&self, place: Place, tenant: &[u8]) {
        if let Some(flight) = &mut self.slab(place.slab).flights[place.at as usize] {
            flight.tenant = Id::from_slice(tenant);
        }
    }

    fn end(&self, place: Place, mut begun: Box<Begun>) {
        // Nothing that is kept here may keep the sentinel.
        begun.sentinel = None;
        let mut slab = self.slab(place.slab);
        slab.flights[place.at as usize] = None;
        slab.free.push(place.at as usize);
        if slab.spare.len() < SPARE {
            slab.spare.push(begun);
        }
    }

    /// By tenant, by the time since each began.
    pub(crate) fn by_tenant(&self, since: impl Fn(&Stamp) -> Duration) -> HashMap<Vec<u8>, InFlight> {
        let mut out: HashMap<Vec<u8>, InFlight> = HashMap::new();
        for slab in 0..SLABS as u32 {
            // A copy: requests that begin or end do not wait for the sums.
            let flights: Vec<Flight> = self.slab(slab).flights.iter().flatten().cloned().collect();
            for flight in &flights {
                let age = since(&flight.started).as_millis() as u64;
                let one = InFlight { count: 1, oldest_ms: age, sum_ms: age };
                out.entry(flight.tenant.to_vec()).or_default().add(one);
            }
        }
        out
    }
}

impl Slab {
    /// Notes a request, unless there are `most`.
    fn take(&mut self, most: usize, flight: Flight) -> Option<usize> {
        if let Some(at) = self.free.pop() {
            self.flights[at] = Some(flight);
            return Some(at);
        }
        if self.flights.len() >= most {
            return None;
        }
        self.flights.push(Some(flight));
        Some(self.flights.len() - 1)
    }

    fn weight(&self) -> usize {
        let ids: usize =
            self.flights.iter().flatten().filter(|flight| flight.tenant.spilled()).map(|_| tenant::MAX_ID).sum();
        let spare = self.spare.len() * size_of::<Begun>();
        self.flights.capacity() * size_of::<Option<Flight>>() + self.free.capacity() * size_of::<usize>() + ids + spare
    }
}

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
    request: Option<Box<Begun>>,
}

#[derive(Debug)]
struct Begun {
    /// None: it has ended.
    sentinel: Option<Sentinel>,
    /// As the table keeps it, and whether it had to be shortened for that.
    tenant: Id,
    truncated: bool,
    endpoint: Option<Box<str>>,
    started: Stamp,
    /// The process it began in, and its place among the flights there.
    source: u64,
    place: Option<Place>,
}

impl Guard {
    pub(crate) fn begin(sentinel: &Sentinel, tenant: &[u8]) -> Self {
        let started = sentinel.stamp();
        let (bounded, truncated) = tenant::bounded(tenant);
        let (tenant, owner) = (Id::from_slice(&bounded), Some(sentinel.clone()));
        let begun = |source| Begun { sentinel: owner, tenant, truncated, endpoint: None, started, source, place: None };
        Self { request: Some(sentinel.with_engine(|engine| engine.flights.begin(begun(engine.source)))) }
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
        let Some(begun) = &mut self.request else { return };
        let (bounded, truncated) = tenant::bounded(id);
        (begun.tenant, begun.truncated) = (Id::from_slice(&bounded), truncated);
        let Some(sentinel) = &begun.sentinel else { return };
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
        if let Some(begun) = &mut self.request {
            begun.endpoint = Some(endpoint.into());
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
        if let Some(begun) = self.request.take() {
            begun.end(Some((Some(endpoint), status)));
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
        if let Some(begun) = self.request.take().filter(|begun| begun.is_own()) {
            begun.end(Some((Some(endpoint), status)));
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
        if let Some(begun) = self.request.take() {
            begun.end(None);
        }
    }
}

impl Begun {
    /// Whether this process began it.
    fn is_own(&self) -> bool {
        self.sentinel.as_ref().is_some_and(|sentinel| sentinel.source() == self.source)
    }

    /// Records it, unless it is nobody's business: the endpoint, or what was said before, and the status.
    fn end(mut self: Box<Self>, counts: Option<(Option<&str>, u16)>) {
        let Some(sentinel) = self.sentinel.take() else { return };
        sentinel.with_engine(|engine| {
            if let Some((endpoint, status)) = counts {
                let (tenant, truncated) = (self.tenant.as_slice(), self.truncated);
                let latency = engine.since(&self.started).into();
                let endpoint = endpoint.or(self.endpoint.as_deref()).unwrap_or_default();
                let subject = Subject { tenant, hash: engine.hash(tenant), truncated, endpoint: None };
                engine.count(&Event { tenant, endpoint, status, latency, at: None }, &subject);
            }
            // After a fork its place is not the child's.
            if let Some(place) = self.place.filter(|_| engine.source == self.source) {
                engine.flights.end(place, self);
            }
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A forked child drops what the parent began: the parent counts it.
        if let Some(begun) = self.request.take().filter(|begun| begun.is_own()) {
            // Unwinding: the handler has panicked, which is the server's error and not the client going away.
            begun.end(Some((None, if std::thread::panicking() { PANICKED } else { ABORTED })));
        }
    }
}
