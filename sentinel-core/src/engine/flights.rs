//! Requests in flight in this process.
//!
//! A request that hangs emits no event. The guard that `start` returns notes the request here until it ends, so that a
//! report can show it meanwhile. Threads note their requests in eight slabs, each behind a lock of its own.

use crate::event::tenant;
use crate::slot::thread_stripe;
use crate::util::clock::Stamp;
use crossbeam_utils::CachePadded;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most requests that are followed at the same time. Further requests are recorded when they end, are invisible until
/// then, and are counted in [`Flights::unseen`].
const MAX_FLIGHTS: usize = 65_536;
/// Bytes budgeted for a request in flight: its entry, its tenant's id, and the copy that a report makes.
const FLIGHT_BYTES: usize = 512;

/// A tenant's id as bytes; up to 40 of them, a UUID with dashes included, need no allocation.
pub(crate) type InlineTenantId = SmallVec<[u8; 40]>;

/// Number of slabs, a power of two. Several of them keep threads from waiting for each other.
const SLABS: usize = 8;

/// One request in flight.
#[derive(Debug, Clone)]
struct Flight {
    started: Stamp,
    tenant: InlineTenantId,
}

/// A request that `start` or `begin` announced, as its guard keeps it.
#[derive(Debug)]
pub(crate) struct StartedRequest {
    /// The tenant's id, at most `tenant::MAX_ID` bytes.
    pub(crate) tenant: InlineTenantId,
    /// The given id was longer and has been shortened.
    pub(crate) truncated: bool,
    pub(crate) endpoint: Option<Box<str>>,
    pub(crate) started: Stamp,
    /// Id of the process that the request began in.
    pub(crate) source: u64,
    /// Entry among the flights of that process; `None` when too many requests were in flight.
    pub(crate) place: Option<FlightPlace>,
}

#[derive(Debug)]
pub(crate) struct Flights {
    slabs: [CachePadded<Mutex<Slab>>; SLABS],
    unseen: AtomicU64,
    /// Most requests in a slab.
    slab_capacity: usize,
}

#[derive(Debug, Default)]
struct Slab {
    flights: Vec<Option<Flight>>,
    free: Vec<usize>,
    /// Boxes of ended requests for reuse. Guards hold a box because applications move them around a lot.
    #[allow(clippy::vec_box)]
    spare: Vec<Box<StartedRequest>>,
}

/// Most boxes that a slab keeps for reuse.
const MAX_SPARES: usize = 64;

/// Position of a request in flight: slab, and index in the slab.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlightPlace {
    slab: u32,
    at: u32,
}

/// A tenant's requests in flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// Number of requests.
    pub(crate) count: u64,
    /// Age of the oldest one, milliseconds.
    pub(crate) oldest_ms: u64,
    /// Ages of all of them together, milliseconds.
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
    /// Follows as many requests as fit into `bytes`, 256 to `MAX_FLIGHTS`.
    pub(crate) fn new(bytes: usize) -> Self {
        let slab_capacity = (bytes / FLIGHT_BYTES).clamp(256, MAX_FLIGHTS) / SLABS;
        Self { slabs: Default::default(), unseen: AtomicU64::new(0), slab_capacity }
    }

    fn slab(&self, at: u32) -> MutexGuard<'_, Slab> {
        self.slabs[at as usize & (SLABS - 1)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request. The `place` of the result stays `None` when too many requests are in flight.
    #[allow(clippy::unnecessary_box_returns)] // the box may be a reused one
    pub(crate) fn begin(&self, mut begun: StartedRequest) -> Box<StartedRequest> {
        // This thread's slab first; when that is full, any other.
        let home = thread_stripe::of_thread(SLABS) as u32;
        for slab in (home..home + SLABS as u32).map(|slab| slab & (SLABS as u32 - 1)) {
            let mut open = self.slab(slab);
            let flight = Flight { started: begun.started, tenant: begun.tenant.clone() };
            if let Some(at) = open.take(self.slab_capacity, flight) {
                begun.place = Some(FlightPlace { slab, at: at as u32 });
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

    /// Requests that were not followed because too many were in flight when they began.
    pub(crate) fn unseen(&self) -> u64 {
        self.unseen.load(Ordering::Relaxed)
    }

    /// Approximate bytes on the heap, for the memory budget.
    pub(crate) fn weight(&self) -> usize {
        (0..SLABS as u32).map(|slab| self.slab(slab).weight()).sum()
    }

    /// Changes the tenant of a request in flight.
    pub(crate) fn name(&self, place: FlightPlace, tenant: &[u8]) {
        if let Some(flight) = &mut self.slab(place.slab).flights[place.at as usize] {
            flight.tenant = InlineTenantId::from_slice(tenant);
        }
    }

    /// Forgets a request that ended.
    pub(crate) fn end(&self, place: FlightPlace, begun: Box<StartedRequest>) {
        let mut slab = self.slab(place.slab);
        slab.flights[place.at as usize] = None;
        slab.free.push(place.at as usize);
        if slab.spare.len() < MAX_SPARES {
            slab.spare.push(begun);
        }
    }

    /// Sums the requests in flight by tenant; `since` gives the age of a request from its start.
    pub(crate) fn by_tenant(&self, since: impl Fn(&Stamp) -> Duration) -> HashMap<Vec<u8>, InFlight> {
        let mut out: HashMap<Vec<u8>, InFlight> = HashMap::new();
        for slab in 0..SLABS as u32 {
            // Copied first, so that requests that begin or end do not wait while ages are summed.
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
    /// Notes a request and returns its index; `None` when the slab already holds `capacity` requests.
    fn take(&mut self, capacity: usize, flight: Flight) -> Option<usize> {
        if let Some(at) = self.free.pop() {
            self.flights[at] = Some(flight);
            return Some(at);
        }
        if self.flights.len() >= capacity {
            return None;
        }
        self.flights.push(Some(flight));
        Some(self.flights.len() - 1)
    }

    fn weight(&self) -> usize {
        let ids: usize =
            self.flights.iter().flatten().filter(|flight| flight.tenant.spilled()).map(|_| tenant::MAX_ID).sum();
        let spare = self.spare.len() * size_of::<StartedRequest>();
        self.flights.capacity() * size_of::<Option<Flight>>() + self.free.capacity() * size_of::<usize>() + ids + spare
    }
}
