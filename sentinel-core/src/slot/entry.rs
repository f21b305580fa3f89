//! One tenant in a table: three cache lines, and pages from a pool once its requests fall into many buckets or endpoints.

use crate::event::endpoint::EndpointId;
use crate::slot::histogram::{BUCKETS, LatencyCell};
use crate::slot::weights::WEIGHTS;
use crate::util::budget::Reserved;

const PAGE_WORDS: usize = 16;
type Page = [u32; PAGE_WORDS];
/// Pages of endpoint cells that a tenant may have: 7 + 6 × 5 = 37 endpoints a slot.
const MAX_ENDPOINT_PAGES: usize = 6;
pub(crate) const INLINE_ID: usize = 37;
const INLINE_CELLS: usize = 8;
const INLINE_ENDPOINTS: usize = 7;
/// A page of the histogram holds an octave of sixteen buckets. An entry names the pages of fifteen octaves itself, those of 128 µs to
/// 4.2 s; a further page, which it names last, names those of the others.
const OCTAVES: usize = BUCKETS / 16;
const FIRST_OCTAVE: usize = 4;
const DIRECT: usize = 15;
/// A pool's pages have numbers of 16 bits.
const MAX_PAGES: usize = if cfg!(test) { 1 << 10 } else { 1 << 16 };

/// What a request compares first is in the first cache line, as long as the id is not longer than half of it.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Entry {
    pub(crate) hash: u64,
    pub(crate) latency_sum_us: u64,
    pub(crate) counts: [u32; WEIGHTS],
    pub(crate) latency_max_us: u32,
    pub(crate) id_len: u8,
    /// An error found no endpoint cell.
    pub(crate) endpoints_cut: bool,
    /// The histogram is in pages.
    is_spread: bool,
    /// The id itself, or where a longer one lies in the arena.
    pub(crate) id: [u8; INLINE_ID],
    pub(crate) base: [u32; WEIGHTS],
    /// The first page of further endpoint cells; 0 = none.
    more_endpoints: u32,
    /// The histogram: eight buckets and the counts of each (0 = free); once spread, the pages of the direct octaves and the page that
    /// names the others; 0 = none.
    latency: [[u16; INLINE_CELLS]; 2],
    /// Endpoint + 1, so that 0 is free.
    endpoint_at: [u16; INLINE_ENDPOINTS],
    requests_at: [u32; INLINE_ENDPOINTS],
    errors_at: [u32; INLINE_ENDPOINTS],
}

const _: () = assert!(size_of::<Entry>() == 192);
const _: () = assert!(DIRECT < 2 * INLINE_CELLS && OCTAVES - DIRECT <= PAGE_WORDS);

/// Where an octave's page is named: directly, or in the page of the others.
#[derive(Debug, Clone, Copy)]
enum Named {
    Directly(usize),
    Further(usize),
}

#[inline]
fn named(octave: usize) -> Named {
    match octave.checked_sub(FIRST_OCTAVE) {
        None => Named::Further(octave),
        Some(direct) if direct < DIRECT => Named::Directly(direct),
        Some(_) => Named::Further(octave - DIRECT),
    }
}

/// A tenant's requests and errors at one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndpointCell {
    pub(crate) endpoint: u16,
    pub(crate) requests: u32,
    pub(crate) errors: u32,
}

/// Fixed pages of sixteen words, taken and given back. Page 0 is never used.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pages: Vec<Page>,
    free: Vec<u32>,
}

impl Pool {
    /// Makes sure that so many pages can be taken.
    fn has(&mut self, pages: usize, reserved: &mut Reserved) -> bool {
        let used = self.pages.len().max(1);
        let left = self.free.len() + self.pages.capacity().saturating_sub(used);
        self.free.len() + MAX_PAGES.saturating_sub(used) >= pages
            && (left >= pages || self.grow(pages - left, reserved))
    }

    /// By a quarter: a copy of a quarter of a megabyte at a time is the longest that a request waits here.
    #[cold]
    fn grow(&mut self, least: usize, reserved: &mut Reserved) -> bool {
        let more = (self.pages.capacity() / 4).clamp(8, 4_096).max(least + 1);
        let more = more.min(MAX_PAGES.saturating_sub(self.pages.capacity()).max(least));
        let granted = reserved.grow(more * (size_of::<Page>() + size_of::<u32>()));
        if granted {
            self.pages.reserve_exact(self.pages.capacity() - self.pages.len() + more);
        }
        granted
    }

    /// A page of zeros, unless memory for it is refused.
    fn take(&mut self, reserved: &mut Reserved) -> Option<u32> {
        if let Some(page) = self.free.pop() {
            self.pages[page as usize] = [0; PAGE_WORDS];
            return Some(page);
        }
        if self.pages.len() >= MAX_PAGES || self.pages.len().max(1) >= self.pages.capacity() && !self.grow(1, reserved)
        {
            return None;
        }
        if self.pages.is_empty() {
            self.pages.push([0; PAGE_WORDS]);
        }
        self.pages.push([0; PAGE_WORDS]);
        Some(self.pages.len() as u32 - 1)
    }

    /// Bytes of pages that have been taken.
    pub(crate) fn used_bytes(&self) -> usize {
        self.pages.len() * size_of::<Page>()
    }

    pub(crate) fn clear(&mut self) {
        self.pages.clear();
        self.free.clear();
    }
}

impl Entry {
    pub(crate) fn new(hash: u64, base: [u32; WEIGHTS], id: [u8; INLINE_ID], id_len: u8) -> Self {
        Self {
            hash,
            latency_sum_us: 0,
            counts: [0; WEIGHTS],
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

    /// The most that the truth can be of each weight.
    #[inline]
    pub(crate) fn upper(&self) -> [u32; WEIGHTS] {
        std::array::from_fn(|m| self.counts[m].saturating_add(self.base[m]))
    }

    /// Counts a request that succeeded, if it needs no page but one that is there; else nothing.
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
        self.counts[0] = self.counts[0].saturating_add(1);
        self.add_time(us);
        true
    }

    /// An error at an endpoint whose request has just been counted in a cell of the entry.
    pub(crate) fn add_known_error(&mut self, endpoint: EndpointId) {
        if let Some(place) = self.endpoint_place(endpoint) {
            self.errors_at[place] = self.errors_at[place].saturating_add(1);
        }
    }

    /// The place of an endpoint, or a free one for it. It is the one that its number says, as a rule.
    #[inline]
    fn endpoint_place(&self, endpoint: EndpointId) -> Option<usize> {
        let fits = |place: usize| self.endpoint_at[place] == endpoint + 1 || self.endpoint_at[place] == 0;
        let home = usize::from(endpoint % 8).min(INLINE_ENDPOINTS - 1);
        if fits(home) { Some(home) } else { (0..INLINE_ENDPOINTS).find(|&place| fits(place)) }
    }

    /// The inline cell of a bucket, or a free one for it.
    #[inline]
    fn cell_place(&self, bucket: u16) -> Option<usize> {
        let [buckets, counts] = &self.latency;
        let places = (usize::from(bucket)..).take(INLINE_CELLS).map(|place| place % INLINE_CELLS);
        places.into_iter().find(|&place| buckets[place] == bucket || counts[place] == 0)
    }

    #[inline]
    pub(crate) fn add_time(&mut self, us: u32) {
        self.latency_sum_us += u64::from(us);
        self.latency_max_us = self.latency_max_us.max(us);
    }

    /// Counts a latency in the histogram. `false` when there is no memory for a further page.
    pub(crate) fn add_latency(&mut self, bucket: u16, pool: &mut Pool, reserved: &mut Reserved) -> bool {
        if !self.is_spread {
            let cell = self.cell_place(bucket);
            let [buckets, counts] = &mut self.latency;
            let Some(cell) = cell.filter(|&cell| counts[cell] < u16::MAX) else {
                return self.spread(bucket, pool, reserved);
            };
            (buckets[cell], counts[cell]) = (bucket, counts[cell] + 1);
            return true;
        }
        self.add_to_page(bucket, 1, pool, reserved)
    }

    /// From inline cells to pages.
    fn spread(&mut self, bucket: u16, pool: &mut Pool, reserved: &mut Reserved) -> bool {
        // A page for each cell and for the names of others: all are there before anything moves.
        if !pool.has(INLINE_CELLS + 2, reserved) {
            return false;
        }
        let [buckets, counts] = std::mem::take(&mut self.latency);
        self.is_spread = true;
        let mut all = self.add_to_page(bucket, 1, pool, reserved);
        for (bucket, count) in buckets.into_iter().zip(counts) {
            if count > 0 {
                all &= self.add_to_page(bucket, u32::from(count), pool, reserved);
            }
        }
        all
    }

    fn add_to_page(&mut self, bucket: u16, count: u32, pool: &mut Pool, reserved: &mut Reserved) -> bool {
        let named = named(usize::from(bucket) / 16);
        let mut page = self.page(named, pool);
        if page == 0 {
            let Some(new) = self.new_page(named, pool, reserved) else {
                return false;
            };
            page = new;
        }
        let cell = &mut pool.pages[page][usize::from(bucket) % 16];
        *cell = cell.saturating_add(count);
        true
    }

    #[inline]
    fn named_page(&self, at: usize) -> u16 {
        self.latency.as_flattened()[at]
    }

    fn name_page(&mut self, at: usize, page: u32) {
        self.latency.as_flattened_mut()[at] = page as u16;
    }

    /// The page of an octave; 0 = none.
    fn page(&self, named: Named, pool: &Pool) -> usize {
        match named {
            Named::Directly(at) => usize::from(self.named_page(at)),
            Named::Further(at) => match self.named_page(DIRECT) {
                0 => 0,
                further => pool.pages[usize::from(further)][at] as usize,
            },
        }
    }

    #[cold]
    fn new_page(&mut self, named: Named, pool: &mut Pool, reserved: &mut Reserved) -> Option<usize> {
        let at = match named {
            Named::Directly(at) => {
                let page = pool.take(reserved)?;
                self.name_page(at, page);
                return Some(page as usize);
            }
            Named::Further(at) => at,
        };
        if self.named_page(DIRECT) == 0 {
            let further = pool.take(reserved)?;
            self.name_page(DIRECT, further);
        }
        let page = pool.take(reserved)?;
        pool.pages[usize::from(self.named_page(DIRECT))][at] = page;
        Some(page as usize)
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
        // A page is the next one's number and five cells: endpoint + 1 (0 = free), requests, errors. They fill in their order.
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

    /// An endpoint that fails takes the place of one that does not; when all fail, its errors have no cell.
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

    /// Gives its pages back.
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

/// An entry, to be read.
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

    pub(crate) fn counts(&self) -> [u64; WEIGHTS] {
        self.entry.counts.map(u64::from)
    }

    pub(crate) fn base(&self) -> [u64; WEIGHTS] {
        self.entry.base.map(u64::from)
    }

    pub(crate) fn latency_sum_us(&self) -> u64 {
        self.entry.latency_sum_us
    }

    pub(crate) fn latency_max_us(&self) -> u32 {
        self.entry.latency_max_us
    }

    /// Its histogram is in pages.
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
                // Those in use, gathered without a branch: which they are, nothing foretells.
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
    use crate::util::budget::Budget;

    #[test]
    fn counts_do_not_wrap() {
        let budget = Budget::new(1 << 20);
        let (mut pool, mut reserved) = (Pool::default(), Reserved::nothing(&budget));
        let mut entry = Entry::new(1, [0; WEIGHTS], [0; INLINE_ID], 0);
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
        let mut entry = Entry::new(1, [0; WEIGHTS], [0; INLINE_ID], 0);
        let placed = (0..29_u16).filter(|octave| entry.add_latency(octave * 16, &mut pool, &mut reserved)).count();
        assert!((9..29).contains(&placed), "{placed}");
        assert!((11 * 68..=16 * 68).contains(&budget.used()));
        // What is refused changes nothing that is there.
        let mut cells = Vec::new();
        EntryView { entry: &entry, arena: &[], pool: &pool }.latency(&mut cells);
        assert_eq!(cells.len(), placed);
        let mut inline = Entry::new(3, [0; WEIGHTS], [0; INLINE_ID], 0);
        let few = (0..29_u16).filter(|octave| inline.add_latency(octave * 16, &mut pool, &mut reserved)).count();
        assert_eq!(few, INLINE_CELLS);
        entry.free_pages(&mut pool);
        assert_eq!(entry.latency, [[0; INLINE_CELLS]; 2]);
        let mut other = Entry::new(2, [0; WEIGHTS], [0; INLINE_ID], 0);
        assert!((0..6_u16).all(|octave| other.add_latency(octave * 16, &mut pool, &mut reserved)));
    }

    #[test]
    fn pages_have_numbers_of_their_own() {
        // More tenants than numbers: who gets none keeps what it has, and no memory is reserved for what cannot be had.
        let budget = Budget::new(1 << 30);
        let (mut pool, mut reserved) = (Pool::default(), Reserved::nothing(&budget));
        let mut entries: Vec<Entry> = (0..100).map(|i| Entry::new(i, [0; WEIGHTS], [0; INLINE_ID], 0)).collect();
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
