//! Events as the facade hands them over: many at once, in one piece of memory that it fills and this reads.
//!
//! First `capacity` places of 24 bytes, in the machine's byte order: the latency in milliseconds and the time in Unix milliseconds
//! as doubles, then as 32-bit words the end of the tenant's id among the bytes that follow the places, and a word with the status
//! in its upper half, what is absent in the next four bits (one of them is the facade's own), and the number of the endpoint in the rest.

use sentinel_core::{Event, Latency};

const PLACE: usize = 24;
const ENDPOINT: u32 = 0x0fff;
const LATENCY_UNKNOWN: u32 = 0x8000;
const HAS_TIME: u32 = 0x4000;

/// Reads the events of a batch one after the other.
pub(crate) struct Events<'a> {
    places: &'a [u8],
    ids: &'a [u8],
    /// Events that were read, and where the next id begins.
    read: usize,
    begin: usize,
}

/// One of them; `endpoint` is a number that the facade was given.
pub(crate) struct Read<'a> {
    pub(crate) tenant: &'a [u8],
    pub(crate) endpoint: usize,
    pub(crate) status: u16,
    pub(crate) latency: Latency,
    pub(crate) at: Option<i64>,
}

impl<'a> Events<'a> {
    /// The first `count` events; fewer when the memory does not hold them.
    pub(crate) fn new(memory: &'a [u8], capacity: usize, count: usize) -> Self {
        let (places, ids) = memory.split_at_checked(capacity.saturating_mul(PLACE)).unwrap_or((&[], &[]));
        Self { places: places.get(..count.saturating_mul(PLACE)).unwrap_or(places), ids, read: 0, begin: 0 }
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Read<'a>;

    #[inline]
    fn next(&mut self) -> Option<Read<'a>> {
        let (place, rest) = self.places.split_first_chunk::<PLACE>()?;
        self.places = rest;
        self.read += 1;
        let double = |at: usize| f64::from_ne_bytes(std::array::from_fn(|i| place[at + i]));
        let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|i| place[at + i]));
        let (end, flags) = (word(16) as usize, word(20));
        let tenant = self.ids.get(self.begin..end).unwrap_or_default();
        self.begin = end;
        let latency = if flags & LATENCY_UNKNOWN == 0 { Latency::from_millis(double(0)) } else { Latency::UNKNOWN };
        Some(Read {
            tenant,
            endpoint: (flags & ENDPOINT) as usize,
            status: (flags >> 16) as u16,
            latency,
            at: (flags & HAS_TIME != 0).then(|| double(8) as i64),
        })
    }
}

impl Read<'_> {
    /// As the core takes it.
    #[inline]
    pub(crate) fn event<'a>(&'a self, endpoints: &'a [String], began: i64) -> Event<'a> {
        Event {
            tenant: self.tenant,
            endpoint: endpoints.get(self.endpoint).map_or("", String::as_str),
            status: self.status,
            latency: self.latency,
            at: Some(self.at.unwrap_or(began)),
        }
    }
}
