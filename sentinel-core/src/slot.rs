//! The bounded table of one slot of one stripe: vector Misra–Gries over requests, errors and slow requests.
//!
//! A table must never lose a tenant that matters by *any* of its three weights, whatever ids an attacker invents. It is split
//! into eight sub-tables by hash, so that a purge touches an eighth of it; each is an index over a dense array of entries.
//! When a sub-table is full, `offset[m]` rises to the (k+1)-th largest upper bound of weight m, and an entry leaves only when
//! all its upper bounds are within the offsets, its counts going to the tail. An entry that comes in later starts with
//! `base[m] = offset[m]`, so that `counts[m] ≤ true ≤ counts[m] + base[m]`, and a tenant that is absent has at most
//! `offset[m]`. (Misra and Gries 1982; mergeable by Agarwal et al., TODS 2013.)

use crate::histogram::{BUCKETS, HALVES, LatencyCell, NOTHING_ABOVE, bucket_of, half_of};
use ahash::RandomState;
use hashbrown::HashTable;
use std::sync::Arc;

/// Requests, errors, slow requests.
pub(crate) const WEIGHTS: usize = 3;
const SUBTABLES: usize = 8;
/// Distinct tenants that an endpoint must fail for before it, and not they, is to blame.
pub(crate) const WITNESSES: usize = 3;
/// Pages of endpoint cells that a tenant may have: 2 + 6 × 5 = 32 endpoints a slot.
const MAX_ENDPOINT_PAGES: usize = 6;
const PAGE_WORDS: usize = 16;

/// What the table needs of an event, after the boundary rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'a> {
    pub(crate) tenant: &'a [u8],
    pub(crate) endpoint: u16,
    pub(crate) error: bool,
    pub(crate) aborted: bool,
    pub(crate) latency_us: Option<u32>,
}

/// Which latencies are slow, fixed when a slot begins.
#[derive(Debug, Clone)]
pub(crate) struct SlowLine {
    /// Slow for the ranking and the table: buckets above this one.
    pub(crate) fleet: u16,
    /// Unusual for its endpoint: halves above this one, by endpoint id; endpoints beyond the list have no line yet.
    pub(crate) endpoints: Arc<[u8]>,
}

impl Default for SlowLine {
    fn default() -> Self {
        Self { fleet: NOTHING_ABOVE, endpoints: [].into() }
    }
}

#[derive(Debug)]
pub(crate) struct Table {
    subtables: [SubTable; SUBTABLES],
    pub(crate) endpoints: Vec<EndpointTally>,
    /// The latencies of everybody, those of the tail included.
    pub(crate) latency: Box<[u32; BUCKETS]>,
    pub(crate) aborted: u64,
    pub(crate) latency_sum_us: u64,
    pub(crate) latency_max_us: u32,
    pub(crate) slow_line: SlowLine,
    pub(crate) tail: [u64; WEIGHTS],
    pub(crate) totals: [u64; WEIGHTS],
    /// Places guaranteed for each weight in a sub-table.
    places: usize,
}

/// One endpoint in a slot, over all tenants.
#[derive(Debug, Clone)]
pub(crate) struct EndpointTally {
    pub(crate) counts: [u32; WEIGHTS],
    pub(crate) halves: [u32; HALVES],
    /// Up to three tenants (hashes) that failed here, and that were unusually slow here; 0 = free.
    pub(crate) failing: [u64; WITNESSES],
    pub(crate) lagging: [u64; WITNESSES],
}

impl EndpointTally {
    const EMPTY: Self =
        Self { counts: [0; WEIGHTS], halves: [0; HALVES], failing: [0; WITNESSES], lagging: [0; WITNESSES] };
}

fn witness(set: &mut [u64; WITNESSES], hash: u64) {
    let hash = hash.max(1);
    if let Some(place) = set.iter_mut().find(|seen| **seen == hash || **seen == 0) {
        *place = hash;
    }
}

impl Table {
    pub(crate) fn new(places: usize, slow_line: SlowLine) -> Self {
        Self {
            subtables: std::array::from_fn(|_| SubTable::default()),
            endpoints: Vec::new(),
            latency: Box::new([0; BUCKETS]),
            aborted: 0,
            latency_sum_us: 0,
            latency_max_us: 0,
            slow_line,
            tail: [0; WEIGHTS],
            totals: [0; WEIGHTS],
            places: places.div_ceil(SUBTABLES),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.totals[0] == 0
    }

    /// Empty again, its allocations kept.
    pub(crate) fn reset(&mut self, slow_line: SlowLine) {
        let Self {
            subtables,
            endpoints,
            latency,
            aborted,
            latency_sum_us,
            latency_max_us,
            slow_line: line,
            tail,
            totals,
            places: _,
        } = self;
        subtables.iter_mut().for_each(SubTable::reset);
        endpoints.clear();
        latency.fill(0);
        (*aborted, *latency_sum_us, *latency_max_us, *line) = (0, 0, 0, slow_line);
        (*tail, *totals) = ([0; WEIGHTS], [0; WEIGHTS]);
    }

    /// Counts one request.
    pub(crate) fn add(&mut self, sample: &Sample<'_>, hasher: &RandomState) {
        let hash = hasher.hash_one(sample.tenant);
        let bucket = sample.latency_us.map(bucket_of);
        let slow = bucket.is_some_and(|bucket| bucket > self.slow_line.fleet);
        let weights = [1, u32::from(sample.error), u32::from(slow)];
        for (total, weight) in self.totals.iter_mut().zip(weights) {
            *total += u64::from(weight);
        }
        self.aborted += u64::from(sample.aborted);
        if let (Some(bucket), Some(us)) = (bucket, sample.latency_us) {
            self.latency[usize::from(bucket)] = self.latency[usize::from(bucket)].saturating_add(1);
            self.latency_sum_us += u64::from(us);
            self.latency_max_us = self.latency_max_us.max(us);
        }
        self.add_to_endpoint(sample, hash, bucket, weights);
        let subtable = &mut self.subtables[(hash >> 40) as usize % SUBTABLES];
        subtable.add(sample, hash, bucket, weights, self.places, &mut self.tail);
    }

    fn add_to_endpoint(&mut self, sample: &Sample<'_>, hash: u64, bucket: Option<u16>, weights: [u32; WEIGHTS]) {
        let at = usize::from(sample.endpoint);
        if at >= self.endpoints.len() {
            self.endpoints.resize(at + 1, EndpointTally::EMPTY);
        }
        let tally = &mut self.endpoints[at];
        for (count, weight) in tally.counts.iter_mut().zip(weights) {
            *count = count.saturating_add(weight);
        }
        if sample.error {
            witness(&mut tally.failing, hash);
        }
        if let Some(bucket) = bucket {
            let half = half_of_bucket(bucket);
            let count = &mut tally.halves[usize::from(half)];
            *count = count.saturating_add(1);
            if self.slow_line.endpoints.get(at).is_some_and(|&line| half > line) {
                witness(&mut tally.lagging, hash);
            }
        }
    }

    /// The largest true count of each weight that an absent tenant can have.
    pub(crate) fn offsets(&self) -> [u64; WEIGHTS] {
        std::array::from_fn(|m| self.subtables.iter().map(|sub| u64::from(sub.offset[m])).max().unwrap_or(0))
    }

    /// Every tenant that is in the table, in no order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = EntryView<'_>> {
        self.subtables.iter().flat_map(|sub| sub.entries.iter().map(move |entry| EntryView { sub, entry }))
    }

    /// The id behind a hash, when its tenant is still in the table.
    pub(crate) fn id_of(&self, hash: u64) -> Option<&[u8]> {
        let sub = &self.subtables[(hash >> 40) as usize % SUBTABLES];
        let at = sub.index.find(hash, |&at| sub.entries[at as usize].hash == hash)?;
        Some(sub.id(&sub.entries[*at as usize]))
    }
}

/// `half_of` by a table that is made once: it is asked for every request.
fn half_of_bucket(bucket: u16) -> u8 {
    const HALF: [u8; BUCKETS] = {
        let mut out = [0; BUCKETS];
        let mut bucket = 0;
        while bucket < BUCKETS {
            out[bucket] = half_of(bucket as u16);
            bucket += 1;
        }
        out
    };
    HALF[usize::from(bucket)]
}

const INLINE_ID: usize = 38;
const INLINE_CELLS: usize = 4;
const INLINE_ENDPOINTS: usize = 2;

/// One tenant of a sub-table.
#[derive(Debug)]
struct Entry {
    hash: u64,
    latency_sum_us: u64,
    counts: [u32; WEIGHTS],
    base: [u32; WEIGHTS],
    latency_max_us: u32,
    /// The directory page of the histogram, once the inline cells are used up; 0 = none.
    histogram: u32,
    /// The first page of further endpoint cells; 0 = none.
    more_endpoints: u32,
    requests_at: [u32; INLINE_ENDPOINTS],
    errors_at: [u32; INLINE_ENDPOINTS],
    endpoint_at: [u16; INLINE_ENDPOINTS],
    /// (bucket, count); a free cell counts 0.
    cells: [(u16, u16); INLINE_CELLS],
    /// The id itself, or where a longer one lies in the arena.
    id: [u8; INLINE_ID],
    id_len: u8,
    /// An error found no endpoint cell.
    endpoints_cut: bool,
}

#[derive(Debug, Default)]
struct SubTable {
    index: HashTable<u32>,
    entries: Vec<Entry>,
    /// Pages of histograms and endpoint cells; page 0 is never used.
    pages: Vec<[u32; PAGE_WORDS]>,
    free: Vec<u32>,
    arena: Vec<u8>,
    offset: [u32; WEIGHTS],
}

impl SubTable {
    fn reset(&mut self) {
        let Self { index, entries, pages, free, arena, offset } = self;
        index.clear();
        entries.clear();
        pages.clear();
        free.clear();
        arena.clear();
        *offset = [0; WEIGHTS];
    }

    fn id<'a>(&'a self, entry: &'a Entry) -> &'a [u8] {
        id_in(&self.arena, entry)
    }

    fn add(
        &mut self,
        sample: &Sample<'_>,
        hash: u64,
        bucket: Option<u16>,
        weights: [u32; WEIGHTS],
        places: usize,
        tail: &mut [u64; WEIGHTS],
    ) {
        let Self { index, entries, arena, .. } = self;
        let found = index.find(hash, |&at| {
            let entry = &entries[at as usize];
            entry.hash == hash && id_in(arena, entry) == sample.tenant
        });
        let at = match found {
            Some(&at) => at as usize,
            None => self.insert(sample.tenant, hash, places, tail),
        };
        let Self { entries, pages, free, .. } = self;
        let (entry, mut pool) = (&mut entries[at], Pool { pages, free });
        for (count, weight) in entry.counts.iter_mut().zip(weights) {
            *count = count.saturating_add(weight);
        }
        entry.add_endpoint(sample.endpoint, weights[1], &mut pool);
        if let (Some(bucket), Some(us)) = (bucket, sample.latency_us) {
            entry.latency_sum_us += u64::from(us);
            entry.latency_max_us = entry.latency_max_us.max(us);
            entry.add_latency(bucket, 1, &mut pool);
        }
    }

    fn insert(&mut self, id: &[u8], hash: u64, places: usize, tail: &mut [u64; WEIGHTS]) -> usize {
        if self.entries.len() >= 2 * WEIGHTS * places {
            self.purge(places, tail);
        }
        let mut inline = [0; INLINE_ID];
        if id.len() <= INLINE_ID {
            inline[..id.len()].copy_from_slice(id);
        } else {
            inline[..4].copy_from_slice(&(self.arena.len() as u32).to_le_bytes());
            self.arena.extend_from_slice(id);
        }
        let at = self.entries.len();
        self.entries.push(Entry {
            hash,
            latency_sum_us: 0,
            counts: [0; WEIGHTS],
            base: self.offset,
            latency_max_us: 0,
            histogram: 0,
            more_endpoints: 0,
            requests_at: [0; INLINE_ENDPOINTS],
            errors_at: [0; INLINE_ENDPOINTS],
            endpoint_at: [0; INLINE_ENDPOINTS],
            cells: [(0, 0); INLINE_CELLS],
            id: inline,
            id_len: id.len() as u8,
            endpoints_cut: false,
        });
        let entries = &self.entries;
        self.index.insert_unique(hash, at as u32, |&at| entries[at as usize].hash);
        at
    }

    /// Makes room: raises the offsets and moves who lies within all of them to the tail. Half the places are free after it.
    fn purge(&mut self, places: usize, tail: &mut [u64; WEIGHTS]) {
        let upper: Vec<_> =
            self.entries.iter().map(|e| std::array::from_fn(|m| e.counts[m].saturating_add(e.base[m]))).collect();
        self.offset = raised(&upper, self.offset, [places; WEIGHTS]);
        let Self { index, entries, pages, free, arena, offset } = self;
        let old_arena = std::mem::take(arena);
        let mut pool = Pool { pages, free };
        entries.retain_mut(|entry| {
            let stays = (0..WEIGHTS).any(|m| entry.counts[m].saturating_add(entry.base[m]) > offset[m]);
            if stays {
                if usize::from(entry.id_len) > INLINE_ID {
                    let start = arena.len() as u32;
                    arena.extend_from_slice(id_in(&old_arena, entry));
                    entry.id[..4].copy_from_slice(&start.to_le_bytes());
                }
            } else {
                for (sum, count) in tail.iter_mut().zip(entry.counts) {
                    *sum += u64::from(count);
                }
                entry.free_pages(&mut pool);
            }
            stays
        });
        index.clear();
        for (at, entry) in entries.iter().enumerate() {
            index.insert_unique(entry.hash, at as u32, |&at| entries[at as usize].hash);
        }
    }
}

/// The offsets that leave at most `places[m]` upper bounds above each: the (k+1)-th largest, never lower than before.
pub(crate) fn raised<T: Copy + Ord>(
    upper: &[[T; WEIGHTS]],
    offset: [T; WEIGHTS],
    places: [usize; WEIGHTS],
) -> [T; WEIGHTS] {
    std::array::from_fn(|m| {
        let mut bounds: Vec<T> = upper.iter().map(|bounds| bounds[m]).collect();
        if bounds.len() <= places[m] {
            return offset[m];
        }
        let (_, cut, _) = bounds.select_nth_unstable_by(places[m], |a, b| b.cmp(a));
        offset[m].max(*cut)
    })
}

fn id_in<'a>(arena: &'a [u8], entry: &'a Entry) -> &'a [u8] {
    let len = usize::from(entry.id_len);
    if len <= INLINE_ID {
        return &entry.id[..len];
    }
    let start = u32::from_le_bytes([entry.id[0], entry.id[1], entry.id[2], entry.id[3]]) as usize;
    &arena[start..start + len]
}

/// Fixed pages of sixteen words, taken and given back.
struct Pool<'a> {
    pages: &'a mut Vec<[u32; PAGE_WORDS]>,
    free: &'a mut Vec<u32>,
}

impl Pool<'_> {
    fn take(&mut self) -> u32 {
        if let Some(page) = self.free.pop() {
            self.pages[page as usize] = [0; PAGE_WORDS];
            return page;
        }
        if self.pages.is_empty() {
            self.pages.push([0; PAGE_WORDS]);
        }
        self.pages.push([0; PAGE_WORDS]);
        self.pages.len() as u32 - 1
    }
}

/// A histogram's directory page names a page of 16 buckets for each of the first 15 octaves; its last word names a second
/// directory page for the others.
const DIRECTORY: usize = 15;

impl Entry {
    fn add_latency(&mut self, bucket: u16, count: u32, pool: &mut Pool<'_>) {
        if self.histogram == 0 {
            let place = self.cells.iter_mut().find(|cell| cell.1 == 0 || cell.0 == bucket);
            if let Some(cell) = place
                && u16::try_from(u32::from(cell.1) + count).is_ok()
            {
                *cell = (bucket, cell.1 + count as u16);
                return;
            }
            self.histogram = pool.take();
            for (bucket, count) in std::mem::take(&mut self.cells) {
                if count > 0 {
                    self.add_latency(bucket, u32::from(count), pool);
                }
            }
        }
        let mut directory = self.histogram as usize;
        let mut octave = usize::from(bucket) / 16;
        while octave >= DIRECTORY {
            if pool.pages[directory][DIRECTORY] == 0 {
                pool.pages[directory][DIRECTORY] = pool.take();
            }
            directory = pool.pages[directory][DIRECTORY] as usize;
            octave -= DIRECTORY;
        }
        if pool.pages[directory][octave] == 0 {
            pool.pages[directory][octave] = pool.take();
        }
        let page = pool.pages[directory][octave] as usize;
        let cell = &mut pool.pages[page][usize::from(bucket) % 16];
        *cell = cell.saturating_add(count);
    }

    fn add_endpoint(&mut self, endpoint: u16, error: u32, pool: &mut Pool<'_>) {
        for i in 0..INLINE_ENDPOINTS {
            if self.requests_at[i] == 0 || self.endpoint_at[i] == endpoint {
                self.endpoint_at[i] = endpoint;
                self.requests_at[i] = self.requests_at[i].saturating_add(1);
                self.errors_at[i] = self.errors_at[i].saturating_add(error);
                return;
            }
        }
        let (mut page, mut pages, mut free) = (self.more_endpoints, 0, None);
        while page != 0 {
            let words = &mut pool.pages[page as usize];
            for (i, cell) in words[1..].chunks_exact_mut(3).enumerate() {
                if cell[1] == 0 {
                    free = Some((page, i));
                } else if cell[0] == u32::from(endpoint) {
                    (cell[1], cell[2]) = (cell[1].saturating_add(1), cell[2].saturating_add(error));
                    return;
                }
            }
            (page, pages) = (words[0], pages + 1);
        }
        if free.is_none() && pages < MAX_ENDPOINT_PAGES {
            let page = pool.take();
            pool.pages[page as usize][0] = self.more_endpoints;
            self.more_endpoints = page;
            free = Some((page, 0));
        }
        match free {
            Some((page, i)) => {
                pool.pages[page as usize][1 + 3 * i..][..3].copy_from_slice(&[u32::from(endpoint), 1, error]);
            }
            None if error > 0 => self.replace_endpoint(endpoint, pool),
            None => {}
        }
    }

    /// An endpoint that fails takes the place of one that does not; when all fail, its errors have no cell.
    fn replace_endpoint(&mut self, endpoint: u16, pool: &mut Pool<'_>) {
        if let Some(i) = (0..INLINE_ENDPOINTS).find(|&i| self.errors_at[i] == 0) {
            (self.endpoint_at[i], self.requests_at[i], self.errors_at[i]) = (endpoint, 1, 1);
            return;
        }
        let mut page = self.more_endpoints;
        while page != 0 {
            let words = &mut pool.pages[page as usize];
            if let Some(cell) = words[1..].chunks_exact_mut(3).find(|cell| cell[2] == 0) {
                cell.copy_from_slice(&[u32::from(endpoint), 1, 1]);
                return;
            }
            page = words[0];
        }
        self.endpoints_cut = true;
    }

    fn free_pages(&mut self, pool: &mut Pool<'_>) {
        let mut directory = std::mem::take(&mut self.histogram);
        while directory != 0 {
            let words = pool.pages[directory as usize];
            pool.free.extend(words[..DIRECTORY].iter().filter(|&&page| page != 0));
            pool.free.push(directory);
            directory = words[DIRECTORY];
        }
        let mut page = std::mem::take(&mut self.more_endpoints);
        while page != 0 {
            pool.free.push(page);
            page = pool.pages[page as usize][0];
        }
    }
}

/// A tenant's requests and errors at one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndpointCell {
    pub(crate) endpoint: u16,
    pub(crate) requests: u32,
    pub(crate) errors: u32,
}

/// An entry, to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryView<'a> {
    sub: &'a SubTable,
    entry: &'a Entry,
}

impl<'a> EntryView<'a> {
    pub(crate) fn id(&self) -> &'a [u8] {
        self.sub.id(self.entry)
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

    pub(crate) fn endpoints_cut(&self) -> bool {
        self.entry.endpoints_cut
    }

    /// The histogram, in the order of the buckets.
    pub(crate) fn latency(&self, out: &mut Vec<LatencyCell>) {
        let start = out.len();
        let inline = self.entry.cells.iter().filter(|cell| cell.1 > 0);
        out.extend(inline.map(|&(bucket, count)| LatencyCell { bucket, count: u32::from(count) }));
        let (mut directory, mut octave) = (self.entry.histogram, 0);
        while directory != 0 {
            let words = &self.sub.pages[directory as usize];
            for page in &words[..DIRECTORY] {
                if *page != 0 {
                    let filled = self.sub.pages[*page as usize].iter().enumerate().filter(|(_, count)| **count > 0);
                    out.extend(filled.map(|(i, &count)| LatencyCell { bucket: (octave * 16 + i) as u16, count }));
                }
                octave += 1;
            }
            directory = words[DIRECTORY];
        }
        out[start..].sort_unstable();
    }

    pub(crate) fn endpoints(&self, out: &mut Vec<EndpointCell>) {
        let entry = self.entry;
        for i in 0..INLINE_ENDPOINTS {
            if entry.requests_at[i] > 0 {
                out.push(EndpointCell {
                    endpoint: entry.endpoint_at[i],
                    requests: entry.requests_at[i],
                    errors: entry.errors_at[i],
                });
            }
        }
        let mut page = entry.more_endpoints;
        while page != 0 {
            let words = &self.sub.pages[page as usize];
            let used = words[1..].chunks_exact(3).filter(|cell| cell[1] > 0);
            out.extend(used.map(|cell| EndpointCell { endpoint: cell[0] as u16, requests: cell[1], errors: cell[2] }));
            page = words[0];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// The truth about one tenant.
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Truth {
        counts: [u64; WEIGHTS],
        sum_us: u64,
        latency: HashMap<u16, u32>,
        endpoints: HashMap<u16, (u32, u32)>,
    }

    const SLOW_ABOVE: u16 = 200;

    fn fill(places: usize, events: &[(u32, u16, bool, u32)]) -> (Table, HashMap<Vec<u8>, Truth>) {
        let hasher = RandomState::new();
        let line = SlowLine { fleet: SLOW_ABOVE, ..SlowLine::default() };
        let (mut table, mut truth) = (Table::new(places, line), HashMap::<Vec<u8>, Truth>::new());
        for &(tenant, endpoint, error, us) in events {
            // Every third id is too long for an entry and lives in the arena.
            let id = if tenant % 3 == 0 { format!("{tenant:0>100}") } else { tenant.to_string() }.into_bytes();
            let sample = Sample { tenant: &id, endpoint, error, aborted: false, latency_us: Some(us) };
            table.add(&sample, &hasher);
            let own = truth.entry(id).or_default();
            let slow = bucket_of(us) > SLOW_ABOVE;
            own.counts = std::array::from_fn(|m| own.counts[m] + [1, u64::from(error), u64::from(slow)][m]);
            own.sum_us += u64::from(us);
            *own.latency.entry(bucket_of(us)).or_default() += 1;
            let cell = own.endpoints.entry(endpoint).or_default();
            *cell = (cell.0 + 1, cell.1 + u32::from(error));
        }
        (table, truth)
    }

    fn read(view: &EntryView<'_>) -> Truth {
        let (mut latency, mut endpoints) = (Vec::new(), Vec::new());
        view.latency(&mut latency);
        view.endpoints(&mut endpoints);
        assert!(latency.windows(2).all(|pair| pair[0].bucket < pair[1].bucket));
        Truth {
            counts: view.counts(),
            sum_us: view.latency_sum_us(),
            latency: latency.iter().map(|cell| (cell.bucket, cell.count)).collect(),
            endpoints: endpoints.iter().map(|cell| (cell.endpoint, (cell.requests, cell.errors))).collect(),
        }
    }

    fn event(tenants: u32) -> impl Strategy<Value = (u32, u16, bool, u32)> {
        (0..tenants, 0..12_u16, prop::bool::weighted(0.2), prop_oneof![0..40_u32, 0..5_000_000_u32, Just(u32::MAX)])
    }

    proptest! {
        #[test]
        fn what_fits_is_exact(events in prop::collection::vec(event(40), 0..3_000)) {
            let (table, truth) = fill(64, &events);
            prop_assert_eq!(table.offsets(), [0; WEIGHTS]);
            let read: HashMap<Vec<u8>, Truth> = table.rows().map(|view| (view.id().to_vec(), read(&view))).collect();
            prop_assert_eq!(read, truth);
        }

        #[test]
        fn beyond_it_the_bounds_hold(events in prop::collection::vec(event(2_000), 0..6_000), places in 8..40_usize) {
            let (table, truth) = fill(places, &events);
            prop_assert!(table.rows().count() <= 2 * WEIGHTS * places.div_ceil(SUBTABLES) * SUBTABLES);
            let offsets = table.offsets();
            let mut left = truth.clone();
            let mut listed = [0; WEIGHTS];
            for view in table.rows() {
                let exact = left.remove(view.id());
                let exact = exact.ok_or_else(|| TestCaseError::fail("a row twice, or of nobody"))?;
                let (counts, base) = (view.counts(), view.base());
                for m in 0..WEIGHTS {
                    prop_assert!(counts[m] <= exact.counts[m] && exact.counts[m] <= counts[m] + base[m]);
                    listed[m] += counts[m];
                }
                let own = read(&view);
                prop_assert_eq!(u64::from(own.latency.values().sum::<u32>()), counts[0]);
                prop_assert!(own.latency.iter().all(|(bucket, count)| exact.latency.get(bucket) >= Some(count)));
                prop_assert!(own.endpoints.iter().all(|(at, (n, e))| exact.endpoints.get(at).is_some_and(|(m, f)| n <= m && e <= f)));
            }
            for absent in left.values() {
                prop_assert!((0..WEIGHTS).all(|m| absent.counts[m] <= offsets[m]));
            }
            for m in 0..WEIGHTS {
                prop_assert_eq!(listed[m] + table.tail[m], table.totals[m]);
                // The bound of Misra and Gries, for each sub-table; it cannot exceed what all of them hold.
                prop_assert!(offsets[m] <= table.totals[m] / (places.div_ceil(SUBTABLES) as u64 + 1));
            }
        }
    }

    #[test]
    fn a_reset_table_is_like_a_new_one() {
        let hasher = RandomState::new();
        let mut table = Table::new(8, SlowLine::default());
        let events: Vec<_> = (0..500_u32).map(|i| (i.to_string(), (i % 90) as u16)).collect();
        let add = |table: &mut Table| {
            for (id, endpoint) in &events {
                let sample = Sample {
                    tenant: id.as_bytes(),
                    endpoint: *endpoint,
                    error: true,
                    aborted: true,
                    latency_us: Some(7),
                };
                table.add(&sample, &hasher);
            }
        };
        let describe = |table: &Table| {
            let mut rows: Vec<_> = table.rows().map(|view| (view.id().to_vec(), view.counts(), view.base())).collect();
            rows.sort();
            (
                rows,
                table.totals,
                table.tail,
                table.offsets(),
                table.aborted,
                table.latency_sum_us,
                table.endpoints.len(),
            )
        };
        add(&mut table);
        let first = describe(&table);
        table.reset(SlowLine::default());
        assert!(table.is_empty() && table.rows().count() == 0 && table.offsets() == [0; WEIGHTS]);
        add(&mut table);
        assert_eq!(describe(&table), first);
    }

    #[test]
    fn many_endpoints_keep_those_that_fail() {
        // 60 endpoints that work, then 20 that fail: those are all there, and exact.
        let works = (0..60).flat_map(|endpoint| [(1, endpoint, false, 10); 3]);
        let fails = (100..120).flat_map(|endpoint| [(1, endpoint, true, 10); 2]);
        let (table, _) = fill(8, &works.chain(fails).collect::<Vec<_>>());
        let view = table.rows().next().expect("one tenant");
        let own = read(&view);
        assert!((100..120).all(|endpoint| own.endpoints[&endpoint].1 == 2), "{own:?}");
        assert!(!view.endpoints_cut());
        // 40 that fail do not fit: said so.
        let (table, _) = fill(8, &(0..40).map(|endpoint| (1, endpoint, true, 10)).collect::<Vec<_>>());
        assert!(table.rows().next().expect("one tenant").endpoints_cut());
    }

    #[test]
    fn a_flood_does_not_push_out_who_fails_quietly() {
        let mut events: Vec<_> = (0..100_000).map(|i| (1_000 + i, 0, false, 10)).collect();
        for i in 0..5 {
            events.insert(i * 20_000, (7, 0, true, 10));
        }
        let (table, _) = fill(16, &events);
        let quiet = table.rows().find(|view| view.id() == b"7").expect("still there");
        assert_eq!((quiet.counts()[1], quiet.base()[1], table.offsets()[1]), (5, 0, 0));
    }

    #[test]
    fn counts_do_not_wrap() {
        let (mut pages, mut free) = (Vec::new(), Vec::new());
        let (table, _) = fill(8, &[(1, 0, true, 10)]);
        let mut sub = table.subtables.into_iter().find(|sub| !sub.entries.is_empty()).expect("one entry");
        let entry = &mut sub.entries[0];
        entry.requests_at[0] = u32::MAX;
        entry.add_endpoint(0, 1, &mut Pool { pages: &mut pages, free: &mut free });
        assert_eq!(entry.requests_at[0], u32::MAX);
        for _ in 0..70_000 {
            entry.add_latency(10, 1, &mut Pool { pages: &mut pages, free: &mut free });
        }
        let view = EntryView { sub: &SubTable { pages, ..SubTable::default() }, entry };
        let mut cells = Vec::new();
        view.latency(&mut cells);
        assert_eq!(cells, [LatencyCell { bucket: 10, count: 70_001 }]);
    }
}
