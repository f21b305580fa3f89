//! Requests in flight: a request that hangs emits no event, so the guard of `start` is what knows of it.

use crate::event::tenant;
use crate::slot::thread_stripe;
use crate::util::clock::Stamp;
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

/// A tenant's id; those that are no longer than a UUID in hex and dashes are held in place.
pub(crate) type Id = SmallVec<[u8; 40]>;

/// Slabs that threads share, so that they do not wait for each other: a power of two.
const SLABS: usize = 8;

/// One request in flight.
#[derive(Debug, Clone)]
struct Flight {
    started: Stamp,
    tenant: Id,
}

/// A request that has begun and not ended.
#[derive(Debug)]
pub(crate) struct Begun {
    /// As the table keeps it, and whether it had to be shortened for that.
    pub(crate) tenant: Id,
    pub(crate) truncated: bool,
    pub(crate) endpoint: Option<Box<str>>,
    pub(crate) started: Stamp,
    /// The process it began in, and its place among the flights there.
    pub(crate) source: u64,
    pub(crate) place: Option<Place>,
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
pub(crate) struct Place {
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
    pub(crate) fn begin(&self, mut begun: Begun) -> Box<Begun> {
        // This thread's slab; where that is full, any.
        let home = thread_stripe::of_thread(SLABS) as u32;
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

    pub(crate) fn name(&self, place: Place, tenant: &[u8]) {
        if let Some(flight) = &mut self.slab(place.slab).flights[place.at as usize] {
            flight.tenant = Id::from_slice(tenant);
        }
    }

    pub(crate) fn end(&self, place: Place, begun: Box<Begun>) {
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
