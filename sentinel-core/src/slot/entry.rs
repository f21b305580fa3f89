//! One tenant in a table: three cache lines, and pages from a pool once its requests fall into many buckets or endpoints.
//!
//! ```text
//! Entry: 192 bytes                                                  Pool: pages of 16 words (64 bytes)
//! ┌ line 1 ┬ hash, latency sum, counts, maximum, flags, id[0..29]
//! ├ line 2 ┼ id[29..37], base (bounds of the counts)
//! │        ├ more_endpoints ─────────────────────────────────────► next page │ 5 × (endpoint + 1, requests, errors) ─► …
//! │        ├ latency, inline: 8 buckets │ 8 counts
//! │        │ latency, spread: 15 page numbers, one an octave ────► counts of the 16 buckets of an octave
//! │        │                  the 16th page number ──────────────► page numbers of the other octaves ─► counts
//! └ line 3 ┴ 7 × (endpoint + 1, requests, errors)
//! ```
//!
//! A request compares the hash and the id first: for an id of up to 29 bytes that is one cache line. The eight histogram cells
//! hold a bucket each. When a ninth bucket comes, or a count outgrows 16 bits, the histogram *spreads*: the same 32 bytes become the
//! numbers of pages, and a bucket is found by one load. The octaves from 128 µs to 4.2 s, where latencies of services lie, are named
//! in the entry; a further page names the others.
//!
//! Invariants: a page belongs to one entry or to the free list, and page 0 is never used, so that 0 means "none". A bucket, and an
//! endpoint, has at most one cell. Counts saturate. A latency without a cell (memory was refused) is in the table's tail instead.
//! When cells run out, an endpoint that fails displaces one that does not: errors are complete up to 37 failing endpoints (as long
//! as pages are granted); beyond that `endpoints_cut` is set.
//!
//! A dense histogram would be 1.9 kB for a tenant with one request; a hash map of cells would allocate inside a request, lie
//! anywhere in memory, and could not be budgeted. An entry owns no heap memory: a purge moves it by copying 192 bytes. As a rule
//! the cell of an endpoint or a bucket follows from its number. Nothing foretells which of four endpoints comes next, so a search
//! that may end at any cell would be a mispredicted branch for each request.

use crate::event::endpoint::EndpointId;
use crate::slot::histogram::LatencyCell;
use crate::slot::latency_pages::{DIRECT, Named, OCTAVES, named};
use crate::slot::pool::{PAGE_WORDS, Pool};
use crate::slot::weights::Counts;
use crate::util::budget::Reserved;

/// Pages of endpoint cells that a tenant may have: 7 + 6 × 5 = 37 endpoints a slot.
const MAX_ENDPOINT_PAGES: usize = 6;
/// Longest id that an entry holds itself, in bytes: a UUID in hex and dashes, and one more.
pub(crate) const INLINE_ID: usize = 37;
/// Buckets of the histogram that an entry holds itself.
pub(super) const INLINE_CELLS: usize = 8;
/// Endpoints that an entry holds itself.
const INLINE_ENDPOINTS: usize = 7;
/// A tenant's counts in a slot of a stripe; see the module for the layout.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Entry {
    pub(crate) hash: u64,
    /// Sum of all latencies, µs.
    pub(crate) latency_sum_us: u64,
    pub(crate) counts: Counts<u32>,
    /// Longest latency, µs.
    pub(crate) latency_max_us: u32,
    /// Bytes of the id: 0 to 128.
    pub(crate) id_len: u8,
    /// An error found no endpoint cell.
    pub(crate) endpoints_cut: bool,
    /// The histogram has pages; `latency` holds their numbers.
    pub(super) is_spread: bool,
    /// The id, or for a longer one the place of its first byte in the arena (four bytes, little-endian).
    pub(crate) id: [u8; INLINE_ID],
    /// Bound of each count: the tenant may have had that many more before this entry began.
    pub(crate) base: Counts<u32>,
    /// First page of further endpoint cells; 0 = none.
    more_endpoints: u32,
    /// Eight buckets and their counts (0 = free). Once spread: page numbers of the direct octaves, then that of the page that
    /// names the pages of the others; 0 = none.
    pub(super) latency: [[u16; INLINE_CELLS]; 2],
    /// Endpoint + 1; 0 = free.
    endpoint_at: [u16; INLINE_ENDPOINTS],
    requests_at: [u32; INLINE_ENDPOINTS],
    errors_at: [u32; INLINE_ENDPOINTS],
}

const _: () = assert!(size_of::<Entry>() == 192);

/// A tenant's requests and errors at one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndpointCell {
    pub(crate) endpoint: u16,
    pub(crate) requests: u32,
    pub(crate) errors: u32,
}

impl Entry {
    pub(crate) fn new(hash: u64, base: Counts<u32>, id: [u8; INLINE_ID], id_len: u8) -> Self {
        Self {
            hash,
            latency_sum_us: 0,
            counts: Counts::default(),
            latency_max_us: 0,
            id,
            id_len,
            endpoints_cut: false,
            is_spread: false,
            base,
            more_endpoints: 0,
            latency: [[0; INLINE_CELLS]; 2],
            endpoint_at: [0; INLINE_ENDPOINTS],
            requests_at: [0; INLINE_ENDPOINTS],
            errors_at: [0; INLINE_ENDPOINTS],
        }
    }

    /// The most that each true count can be.
    #[inline]
    pub(crate) fn upper(&self) -> Counts<u32> {
        self.counts.zip(self.base, u32::saturating_add)
    }

    /// Counts a request, if its cells are there or free in the entry or in a page that the entry has; else does nothing and returns
    /// `false`. An error is added by [`Entry::add_known_error`].
    #[inline]
    pub(crate) fn add_known(&mut self, endpoint: EndpointId, bucket: u16, us: u32, pool: &mut Pool) -> bool {
        let Some(place) = self.endpoint_place(endpoint) else {
            return false;
        };
        if self.is_spread {
            let Named::Directly(at) = named(usize::from(bucket) / 16) else {
                return false;
            };
            let page = usize::from(self.named_page(at));
            if page == 0 {
                return false;
            }
            let Some(counts) = pool.pages.get_mut(page) else {
                return false;
            };
            let count = &mut counts[usize::from(bucket) % 16];
            *count = count.saturating_add(1);
        } else {
            let Some(cell) = self.cell_place(bucket) else {
                return false;
            };
            let [buckets, counts] = &mut self.latency;
            if counts[cell] == u16::MAX {
                return false;
            }
            (buckets[cell], counts[cell]) = (bucket, counts[cell] + 1);
        }
        self.endpoint_at[place] = endpoint + 1;
        self.requests_at[place] = self.requests_at[place].saturating_add(1);
        self.counts.add_request();
        self.add_time(us);
        true
    }

    /// Adds an error at an endpoint whose request [`Entry::add_known`] has just counted.
    pub(crate) fn add_known_error(&mut self, endpoint: EndpointId) {
        if let Some(place) = self.endpoint_place(endpoint) {
            self.errors_at[place] = self.errors_at[place].saturating_add(1);
        }
    }

    /// The inline cell of an endpoint, or a free one for it: as a rule the one that the endpoint's number says.
    #[inline]
    fn endpoint_place(&self, endpoint: EndpointId) -> Option<usize> {
        let fits = |place: usize| self.endpoint_at[place] == endpoint + 1 || self.endpoint_at[place] == 0;
        let home = usize::from(endpoint % 8).min(INLINE_ENDPOINTS - 1);
        if fits(home) { Some(home) } else { (0..INLINE_ENDPOINTS).find(|&place| fits(place)) }
    }

    /// The inline cell of a bucket, or a free one for it.
    #[inline]
    pub(super) fn cell_place(&self, bucket: u16) -> Option<usize> {
        let [buckets, counts] = &self.latency;
        let places = (usize::from(bucket)..).take(INLINE_CELLS).map(|place| place % INLINE_CELLS);
        places.into_iter().find(|&place| buckets[place] == bucket || counts[place] == 0)
    }

    #[inline]
    pub(crate) fn add_time(&mut self, us: u32) {
        self.latency_sum_us += u64::from(us);
        self.latency_max_us = self.latency_max_us.max(us);
    }

    pub(crate) fn add_endpoint(&mut self, endpoint: EndpointId, error: u32, pool: &mut Pool, reserved: &mut Reserved) {
        if let Some(place) = self.endpoint_place(endpoint) {
            self.endpoint_at[place] = endpoint + 1;
            self.requests_at[place] = self.requests_at[place].saturating_add(1);
            self.errors_at[place] = self.errors_at[place].saturating_add(error);
            return;
        }
        self.add_to_more_endpoints(endpoint, error, pool, reserved);
    }

    fn add_to_more_endpoints(&mut self, endpoint: EndpointId, error: u32, pool: &mut Pool, reserved: &mut Reserved) {
        // A page is the number of the next one and five cells: endpoint + 1 (0 = free), requests, errors. Cells fill in order.
        let name = u32::from(endpoint) + 1;
        let (mut page, mut pages, mut free) = (self.more_endpoints, 0, None);
        while page != 0 {
            let words = &mut pool.pages[page as usize];
            for at in [1, 4, 7, 10, 13] {
                if words[at] == name {
                    words[at + 1] = words[at + 1].saturating_add(1);
                    words[at + 2] = words[at + 2].saturating_add(error);
                    return;
                }
                if words[at] == 0 {
                    free = Some((page, at));
                    break;
                }
            }
            (page, pages) = (words[0], pages + 1);
        }
        if free.is_none()
            && pages < MAX_ENDPOINT_PAGES
            && let Some(page) = pool.take(reserved)
        {
            pool.pages[page as usize][0] = self.more_endpoints;
            self.more_endpoints = page;
            free = Some((page, 1));
        }
        match free {
            Some((page, at)) => pool.pages[page as usize][at..at + 3].copy_from_slice(&[name, 1, error]),
            None if error > 0 => self.replace_endpoint(endpoint, pool),
            None => {}
        }
    }

    /// Gives a failing endpoint the cell of one that does not fail; when all fail, its errors have no cell.
    fn replace_endpoint(&mut self, endpoint: EndpointId, pool: &mut Pool) {
        if let Some(i) = (0..INLINE_ENDPOINTS).find(|&i| self.errors_at[i] == 0) {
            (self.endpoint_at[i], self.requests_at[i], self.errors_at[i]) = (endpoint + 1, 1, 1);
            return;
        }
        let mut page = self.more_endpoints;
        while page != 0 {
            let words = &mut pool.pages[page as usize];
            if let Some(cell) = words[1..].chunks_exact_mut(3).find(|cell| cell[2] == 0) {
                cell.copy_from_slice(&[u32::from(endpoint) + 1, 1, 1]);
                return;
            }
            page = words[0];
        }
        self.endpoints_cut = true;
    }

    /// Gives all pages back to the pool.
    #[inline]
    pub(crate) fn free_pages(&mut self, pool: &mut Pool) {
        if std::mem::take(&mut self.is_spread) {
            if self.named_page(DIRECT) != 0 {
                let further = &pool.pages[usize::from(self.named_page(DIRECT))];
                pool.free.extend(further.iter().filter(|&&page| page != 0));
            }
            let named = std::mem::take(&mut self.latency);
            pool.free.extend(named.as_flattened().iter().filter(|&&page| page != 0).map(|&page| u32::from(page)));
        }
        let mut page = std::mem::take(&mut self.more_endpoints);
        while page != 0 {
            pool.free.push(page);
            page = pool.pages[page as usize][0];
        }
    }
}

/// An entry with the arena and the pool that it needs to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryView<'a> {
    pub(crate) entry: &'a Entry,
    pub(crate) arena: &'a [u8],
    pub(crate) pool: &'a Pool,
}

/// The id of an entry.
#[inline]
pub(crate) fn id_in<'a>(arena: &'a [u8], entry: &'a Entry) -> &'a [u8] {
    let len = usize::from(entry.id_len);
    if len <= INLINE_ID {
        return &entry.id[..len];
    }
    let start = u32::from_le_bytes([entry.id[0], entry.id[1], entry.id[2], entry.id[3]]) as usize;
    &arena[start..start + len]
}

impl<'a> EntryView<'a> {
    pub(crate) fn id(&self) -> &'a [u8] {
        id_in(self.arena, self.entry)
    }

    pub(crate) fn hash(&self) -> u64 {
        self.entry.hash
    }

    pub(crate) fn counts(&self) -> Counts<u64> {
        self.entry.counts.map(u64::from)
    }

    pub(crate) fn base(&self) -> Counts<u64> {
        self.entry.base.map(u64::from)
    }

    pub(crate) fn latency_sum_us(&self) -> u64 {
        self.entry.latency_sum_us
    }

    pub(crate) fn latency_max_us(&self) -> u32 {
        self.entry.latency_max_us
    }

    /// The histogram has pages.
    pub(crate) fn is_spread(&self) -> bool {
        self.entry.is_spread
    }

    pub(crate) fn endpoints_cut(&self) -> bool {
        self.entry.endpoints_cut
    }

    /// The histogram, in the order of the buckets.
    pub(crate) fn latency(&self, out: &mut Vec<LatencyCell>) {
        let start = out.len();
        self.each_latency(|cell| out.push(cell));
        // Pages stand in order.
        if !self.entry.is_spread {
            out[start..].sort_unstable();
        }
    }

    /// The histogram, in no order.
    #[inline]
    pub(crate) fn each_latency(&self, mut each: impl FnMut(LatencyCell)) {
        if !self.entry.is_spread {
            let [buckets, counts] = self.entry.latency;
            let used = buckets.into_iter().zip(counts).filter(|(_, count)| *count > 0);
            used.for_each(|(bucket, count)| each(LatencyCell { bucket, count: u32::from(count) }));
            return;
        }
        for octave in 0..OCTAVES {
            let page = self.entry.page(named(octave), self.pool);
            if page != 0 {
                // Cells in use are gathered without a branch: nothing foretells which they are.
                let (mut cells, mut len) = ([LatencyCell { bucket: 0, count: 0 }; PAGE_WORDS], 0);
                for (i, &count) in self.pool.pages[page].iter().enumerate() {
                    cells[len % PAGE_WORDS] = LatencyCell { bucket: (octave * PAGE_WORDS + i) as u16, count };
                    len += usize::from(count > 0);
                }
                cells[..len].iter().for_each(|&cell| each(cell));
            }
        }
    }

    /// The endpoints, in no order.
    pub(crate) fn endpoints(&self, out: &mut Vec<EndpointCell>) {
        let entry = self.entry;
        for i in (0..INLINE_ENDPOINTS).filter(|&i| entry.endpoint_at[i] > 0) {
            out.push(EndpointCell {
                endpoint: entry.endpoint_at[i] - 1,
                requests: entry.requests_at[i],
                errors: entry.errors_at[i],
            });
        }
        let mut page = entry.more_endpoints;
        while page != 0 {
            let words = &self.pool.pages[page as usize];
            let used = words[1..].chunks_exact(3).filter(|cell| cell[0] > 0);
            let cell =
                |cell: &[u32]| EndpointCell { endpoint: (cell[0] - 1) as u16, requests: cell[1], errors: cell[2] };
            out.extend(used.map(cell));
            page = words[0];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::pool::MAX_PAGES;
    use crate::util::budget::Budget;

    #[test]
    fn counts_do_not_wrap() {
        let budget = Budget::new(1 << 20);
        let (mut pool, mut reserved) = (Pool::default(), Reserved::nothing(&budget));
        let mut entry = Entry::new(1, Counts::default(), [0; INLINE_ID], 0);
        entry.add_endpoint(0, 1, &mut pool, &mut reserved);
        (entry.requests_at[0], entry.errors_at[0]) = (u32::MAX - 3, u32::MAX - 3);
        for _ in 0..10 {
            entry.add_endpoint(0, 1, &mut pool, &mut reserved);
        }
        assert_eq!((entry.requests_at[0], entry.errors_at[0]), (u32::MAX, u32::MAX));
        // An inline cell counts to 65,535, a page to 2³² − 1.
        for _ in 0..70_000 {
            assert!(entry.add_latency(10, &mut pool, &mut reserved));
        }
        let cells = |entry: &Entry, pool: &Pool| {
            let mut cells = Vec::new();
            EntryView { entry, arena: &[], pool }.latency(&mut cells);
            cells
        };
        assert_eq!(cells(&entry, &pool), [LatencyCell { bucket: 10, count: 70_000 }]);
        let further = usize::from(entry.named_page(DIRECT));
        let page = pool.pages[further][0] as usize;
        pool.pages[page][10] = u32::MAX - 3;
        for _ in 0..10 {
            assert!(entry.add_latency(10, &mut pool, &mut reserved));
        }
        assert_eq!(cells(&entry, &pool), [LatencyCell { bucket: 10, count: u32::MAX }]);
    }

    #[test]
    fn pages_come_from_the_budget() {
        let budget = Budget::new(16 * 68);
        let (mut pool, mut reserved) = (Pool::default(), Reserved::nothing(&budget));
        let mut entry = Entry::new(1, Counts::default(), [0; INLINE_ID], 0);
        let placed = (0..29_u16).filter(|octave| entry.add_latency(octave * 16, &mut pool, &mut reserved)).count();
        assert!((9..29).contains(&placed), "{placed}");
        assert!((11 * 68..=16 * 68).contains(&budget.used()));
        // A refused page changes no cell that is there.
        let mut cells = Vec::new();
        EntryView { entry: &entry, arena: &[], pool: &pool }.latency(&mut cells);
        assert_eq!(cells.len(), placed);
        let mut inline = Entry::new(3, Counts::default(), [0; INLINE_ID], 0);
        let few = (0..29_u16).filter(|octave| inline.add_latency(octave * 16, &mut pool, &mut reserved)).count();
        assert_eq!(few, INLINE_CELLS);
        entry.free_pages(&mut pool);
        assert_eq!(entry.latency, [[0; INLINE_CELLS]; 2]);
        let mut other = Entry::new(2, Counts::default(), [0; INLINE_ID], 0);
        assert!((0..6_u16).all(|octave| other.add_latency(octave * 16, &mut pool, &mut reserved)));
    }

    #[test]
    fn pages_have_numbers_of_their_own() {
        // More tenants than page numbers: a tenant that gets no page keeps its cells, and no memory is reserved in vain.
        let budget = Budget::new(1 << 30);
        let (mut pool, mut reserved) = (Pool::default(), Reserved::nothing(&budget));
        let mut entries: Vec<Entry> = (0..100).map(|i| Entry::new(i, Counts::default(), [0; INLINE_ID], 0)).collect();
        for entry in &mut entries {
            let placed = (0..29_u16).filter(|octave| entry.add_latency(octave * 16, &mut pool, &mut reserved)).count();
            let mut cells = Vec::new();
            EntryView { entry, arena: &[], pool: &pool }.latency(&mut cells);
            assert_eq!(cells.iter().map(|cell| cell.count as usize).sum::<usize>(), placed);
            assert!(placed >= INLINE_CELLS);
        }
        assert!(pool.pages.len() <= MAX_PAGES && budget.used() <= (MAX_PAGES + 64) * 68, "{}", budget.used());
        entries.iter_mut().for_each(|entry| entry.free_pages(&mut pool));
        let mut free = pool.free.clone();
        free.sort_unstable();
        free.dedup();
        assert_eq!((free.len(), pool.free.len()), (pool.pages.len() - 1, pool.pages.len() - 1));
    }
}
