//! Events that JavaScript hands over many at a time, in one piece of memory that `lib/core/batch.cjs` fills and this module reads.
//!
//! ```text
//! memory   record 0 | record 1 | … | record capacity − 1 | the ids as bytes, one behind the other
//!
//! record   bytes  0 to  7   latency, milliseconds         double
//! (24 B)   bytes  8 to 15   end of the request, Unix ms   double
//!          bytes 16 to 19   where the id ends             u32: the id begins where that of the record before ends
//!          bytes 20 to 23   flags                         u32: bits 31 to 16 the status
//!                                                              bit  15 the latency is unknown
//!                                                              bit  14 the record has a time of its own
//!                                                              bits 13 and 12 are ignored; bit 13 is JavaScript's own
//!                                                              bits 11 to 0 the number of the endpoint
//! ```
//!
//! All numbers have the machine's byte order, as typed arrays of JavaScript have. The memory is JavaScript's, so nothing in it is
//! trusted: an id that ends outside of it is empty, and an endpoint without a number is none.

use sentinel_core::{Event, Latency};

const RECORD_BYTES: usize = 24;
const ENDPOINT: u32 = 0x0fff;
const LATENCY_UNKNOWN: u32 = 0x8000;
const HAS_TIME: u32 = 0x4000;

/// Reads the events of a batch one after the other.
pub(crate) struct BatchEvents<'a> {
    records: &'a [u8],
    ids: &'a [u8],
    /// The start of the next id in `ids`.
    id_start: usize,
}

/// One event of a batch.
pub(crate) struct BatchEvent<'a> {
    pub(crate) tenant: &'a [u8],
    /// The number that `Native::endpoint` gave the template.
    pub(crate) endpoint: usize,
    pub(crate) status: u16,
    pub(crate) latency: Latency,
    /// Unix milliseconds.
    pub(crate) at: Option<i64>,
}

impl<'a> BatchEvents<'a> {
    /// The first `count` events; fewer when the memory does not hold them.
    pub(crate) fn new(memory: &'a [u8], capacity: usize, count: usize) -> Self {
        let (records, ids) = memory.split_at_checked(capacity.saturating_mul(RECORD_BYTES)).unwrap_or((&[], &[]));
        Self { records: records.get(..count.saturating_mul(RECORD_BYTES)).unwrap_or(records), ids, id_start: 0 }
    }
}

impl<'a> Iterator for BatchEvents<'a> {
    type Item = BatchEvent<'a>;

    #[inline]
    fn next(&mut self) -> Option<BatchEvent<'a>> {
        let (record, rest) = self.records.split_first_chunk::<RECORD_BYTES>()?;
        self.records = rest;
        let double = |at: usize| f64::from_ne_bytes(std::array::from_fn(|i| record[at + i]));
        let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|i| record[at + i]));
        let (id_end, flags) = (word(16) as usize, word(20));
        let tenant = self.ids.get(self.id_start..id_end).unwrap_or_default();
        self.id_start = id_end;
        let latency = if flags & LATENCY_UNKNOWN == 0 { Latency::from_millis(double(0)) } else { Latency::UNKNOWN };
        Some(BatchEvent {
            tenant,
            endpoint: (flags & ENDPOINT) as usize,
            status: (flags >> 16) as u16,
            latency,
            at: (flags & HAS_TIME != 0).then(|| double(8) as i64),
        })
    }
}

impl BatchEvent<'_> {
    /// The event as the core takes it; one without a time of its own ended at `default_at`, Unix milliseconds.
    #[inline]
    pub(crate) fn event<'a>(&'a self, endpoints: &'a [String], default_at: i64) -> Event<'a> {
        Event {
            tenant: self.tenant,
            endpoint: endpoints.get(self.endpoint).map_or("", String::as_str),
            status: self.status,
            latency: self.latency,
            at: Some(self.at.unwrap_or(default_at)),
        }
    }
}
