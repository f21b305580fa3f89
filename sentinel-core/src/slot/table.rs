//! The bounded table of one slot of one stripe: vector Misra–Gries over requests, errors and slow requests.
//!
//! A table must never lose a tenant that matters by *any* of its three weights, whatever ids an attacker invents.
//!
//! ```text
//! hash of the id ─► sub-table, one of 8
//!                   ├ index ─► entries   dense, in no order, at most 6 × places
//!                   ├ pool, arena        further pages of entries, long ids
//!                   └ offset             requests, errors, slow: the most that an absent tenant can have
//! endpoint       ─► tally                counts, latencies and witnesses over all tenants
//!                   tail                 counts of tenants that a purge let go of
//! ```
//!
//! A full sub-table is *purged*. For each weight m, `offset[m]` rises to the (k+1)-th largest upper bound of its entries
//! (k = `places`), and an entry leaves only when **all** its upper bounds are within the offset; its counts go to the tail. At most
//! 3 × `places` entries stay, half of what there is room for. An entry that begins later starts with `base = offset`.
//!
//! Invariants, which property tests hold against a plain map: for each tenant with an entry and each weight,
//! `counts[m] ≤ true ≤ counts[m] + base[m]`; a tenant without one has at most `offset[m]`; entries and tail add up to all
//! requests, errors, slow requests and latencies, exactly; and `offset[m] ≤ total[m] / (k + 1)` for each sub-table (Misra and
//! Gries 1982; mergeable by Agarwal et al., TODS 2013).
//!
//! A plain map has no bound. Count-Min cannot list the tenants, and random ids inflate its counts. LRU and admission filters have no
//! deterministic bound: a flood of invented ids pushes out the tenant that fails quietly. One offset for all weights would
//! let a flood of requests that succeed raise the bound of the errors; with one for each it adds nothing to that.
//! Eight sub-tables make a purge, which a request waits for, an eighth as long.

use crate::slot::aggregate::Aggregate;
use crate::slot::entry::EntryView;
use crate::slot::histogram::{HALVES, LatencyCell, NOTHING_ABOVE, bucket_of, half_of};
use crate::slot::sample::{HashedId, KnownSample, Sample};
use crate::slot::subtable::{Overflow, SubTable};
use crate::slot::weights::Counts;
use crate::util::budget::{Budget, Reserved};
use std::sync::Arc;

/// Witnesses of an endpoint that are kept: it is to blame only when it fails for that many tenants.
pub(crate) const MAX_WITNESSES: usize = 3;

/// The latencies that count as slow, fixed when a slot begins.
#[derive(Debug, Clone)]
pub(crate) struct SlowLine {
    /// For the ranking and the table: latencies in buckets above this one are slow.
    pub(crate) fleet: u16,
    /// For each endpoint, by its number: latencies in halves above this one are unusual there. Endpoints beyond the list have no
    /// line yet.
    pub(crate) endpoints: Arc<[u8]>,
}

impl Default for SlowLine {
    fn default() -> Self {
        Self { fleet: NOTHING_ABOVE, endpoints: [].into() }
    }
}

/// The requests of one slot that one stripe has counted.
#[derive(Debug)]
pub(crate) struct Table {
    subtables: [SubTable; Self::SUBTABLES],
    /// By the endpoint's number in this process.
    pub(crate) endpoints: Vec<EndpointTally>,
    /// Requests whose client went away.
    pub(crate) aborted: u64,
    pub(crate) slow_line: SlowLine,
    /// Requests of tenants that have left, and latencies that no entry had a cell for.
    pub(crate) tail: Aggregate,
    /// Tenants that a sub-table keeps for each weight, whatever else comes.
    places: usize,
    reserved: Reserved,
}

/// One endpoint in a slot, over all tenants.
#[derive(Debug, Clone)]
pub(crate) struct EndpointTally {
    pub(crate) counts: Counts<u32>,
    /// Requests by half octave of their latency.
    pub(crate) halves: [u32; HALVES],
    /// Hashes of up to three tenants that failed here; 0 = free.
    pub(crate) failing: [u64; MAX_WITNESSES],
    /// Hashes of up to three tenants that were unusually slow here; 0 = free.
    pub(crate) lagging: [u64; MAX_WITNESSES],
    /// Latencies in halves above this one are unusual here.
    line: u8,
}

impl EndpointTally {
    fn new(line: u8) -> Self {
        Self {
            counts: Counts::default(),
            halves: [0; HALVES],
            failing: [0; MAX_WITNESSES],
            lagging: [0; MAX_WITNESSES],
            line,
        }
    }

    /// Counts a request whose latency is in a half.
    #[inline]
    fn add(&mut self, half: u8) {
        self.counts.add_request();
        let count = &mut self.halves[usize::from(half) % HALVES];
        *count = count.saturating_add(1);
    }

    /// Counts what was wrong with a request that has been counted.
    fn mark(&mut self, hash: u64, error: bool, slow: bool, lagging: bool) {
        self.counts.mark(error, slow);
        if error {
            witness(&mut self.failing, hash);
        }
        if lagging {
            witness(&mut self.lagging, hash);
        }
    }
}

fn witness(set: &mut [u64; MAX_WITNESSES], hash: u64) {
    let hash = hash.max(1);
    if let Some(place) = set.iter_mut().find(|seen| **seen == hash || **seen == 0) {
        *place = hash;
    }
}

impl Table {
    pub(crate) const SUBTABLES: usize = 8;

    pub(crate) fn new(places: usize, slow_line: SlowLine, budget: &Arc<Budget>) -> Self {
        let mut reserved = Reserved::nothing(budget);
        reserved.force(size_of::<Self>());
        Self {
            subtables: std::array::from_fn(|_| SubTable::default()),
            endpoints: Vec::new(),
            aborted: 0,
            slow_line,
            tail: Aggregate::default(),
            places: places.div_ceil(Self::SUBTABLES),
            reserved,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Empties the table and keeps its allocations.
    pub(crate) fn reset(&mut self, slow_line: SlowLine) {
        let Self { subtables, endpoints, aborted, slow_line: line, tail, places: _, reserved: _ } = self;
        if !endpoints.is_empty() {
            subtables.iter_mut().for_each(SubTable::reset);
            endpoints.clear();
            *tail = Aggregate::default();
        }
        (*aborted, *line) = (0, slow_line);
    }

    /// Counts a request whose latency is known, if it needs no further page of memory. Almost every request is like that; for any
    /// other this does nothing and returns `false`, and the caller takes [`Table::add`].
    #[inline]
    pub(crate) fn add_known(&mut self, sample: &KnownSample<'_>) -> bool {
        let KnownSample { tenant: HashedId { hash, .. }, endpoint, error, aborted, latency_us } = *sample;
        let bucket = bucket_of(latency_us);
        let half = half_of(bucket);
        let Some(tally) = self.endpoints.get_mut(usize::from(endpoint)) else {
            return false;
        };
        let sub = sub_of(hash);
        let overflow = Overflow { tail: &mut self.tail, reserved: &mut self.reserved };
        let Some(at) = self.subtables[sub].add_known(sample, bucket, self.places, overflow) else {
            return false;
        };
        tally.add(half);
        let (slow, lagging) = (bucket > self.slow_line.fleet, half > tally.line);
        if error | aborted | slow | lagging {
            self.aborted += u64::from(aborted);
            tally.mark(hash, error, slow, lagging);
            self.subtables[sub].mark(at, endpoint, error, slow);
        }
        true
    }

    /// Counts one request. `false` when no memory was left for its latency's page: then the tail has the latency, not the tenant's
    /// histogram.
    pub(crate) fn add(&mut self, sample: &Sample<'_>) -> bool {
        let hash = sample.tenant.hash;
        let bucket = sample.latency_us.map(bucket_of);
        let slow = bucket.is_some_and(|bucket| bucket > self.slow_line.fleet);
        self.aborted += u64::from(sample.aborted);
        let at = usize::from(sample.endpoint);
        if at >= self.endpoints.len() {
            self.grow_endpoints(at + 1);
        }
        let tally = &mut self.endpoints[at];
        let mut lagging = false;
        if let Some(half) = bucket.map(half_of) {
            tally.add(half);
            lagging = half > tally.line;
        } else {
            tally.counts.add_request();
        }
        tally.mark(hash, sample.error, slow, lagging);
        let overflow = Overflow { tail: &mut self.tail, reserved: &mut self.reserved };
        let placed = self.subtables[sub_of(hash)].add(sample, bucket, slow, self.places, overflow);
        if let Some(bucket) = bucket
            && !placed
        {
            self.tail.add_latency(LatencyCell { bucket, count: 1 });
        }
        placed
    }

    #[cold]
    fn grow_endpoints(&mut self, len: usize) {
        let (from, before) = (self.endpoints.len(), self.endpoints.capacity());
        let lines = &self.slow_line.endpoints;
        let line = |at: usize| lines.get(at).copied().unwrap_or(u8::MAX);
        self.endpoints.extend((from..len).map(|at| EndpointTally::new(line(at))));
        self.reserved.force((self.endpoints.capacity() - before) * size_of::<EndpointTally>());
    }

    /// Requests, including the tail.
    pub(crate) fn requests(&self) -> u64 {
        self.endpoints.iter().map(|tally| u64::from(tally.counts.requests)).sum()
    }

    /// The most that a tenant without an entry can have had, of each weight.
    pub(crate) fn offsets(&self) -> Counts<u64> {
        let offsets = self.subtables.iter().map(|sub| sub.offset.map(u64::from));
        offsets.fold(Counts::default(), |most, offset| most.zip(offset, u64::max))
    }

    /// Tenants in a sub-table.
    pub(crate) fn entries_of(&self, sub: usize) -> usize {
        self.subtables[sub].entries.len()
    }

    /// A tenant of a sub-table.
    pub(crate) fn entry(&self, sub: usize, at: usize) -> EntryView<'_> {
        self.subtables[sub].view(at)
    }

    /// Purges a sub-table that has purged before once more, before it is sealed: a tenant that came in since is no heavier than
    /// the tenants that have left, and would only fill the block.
    pub(crate) fn settle(&mut self, sub: usize) {
        let sub = &mut self.subtables[sub];
        if sub.offset != Counts::default() {
            sub.purge(self.places, &mut self.tail);
        }
    }

    /// Whether the table is small, or at least an eighth of its memory is in use. Any other is freed, and the next one grows anew.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        const SMALL: usize = 256 << 10;
        let used: usize = self.subtables.iter().map(SubTable::used_bytes).sum();
        self.reserved.bytes() <= SMALL || used >= self.reserved.bytes() / 8
    }

    /// The id behind a hash, when its tenant is still in the table.
    pub(crate) fn id_of(&self, hash: u64) -> Option<&[u8]> {
        self.subtables[sub_of(hash)].id_of(hash)
    }
}

/// The sub-table that a hash belongs to.
#[inline]
fn sub_of(hash: u64) -> usize {
    (hash >> 40) as usize % Table::SUBTABLES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::weights::{WEIGHTS, Weight};
    use ahash::RandomState;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// The truth about one tenant.
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Truth {
        counts: Counts<u64>,
        sum_us: u64,
        latency: HashMap<u16, u32>,
        endpoints: HashMap<u16, (u32, u32)>,
    }

    const SLOW_ABOVE: u16 = 200;

    fn table(places: usize, line: SlowLine) -> Table {
        Table::new(places, line, &Budget::new(usize::MAX))
    }

    fn any<'a>(known: &KnownSample<'a>) -> Sample<'a> {
        let KnownSample { tenant, endpoint, error, aborted, latency_us } = *known;
        Sample { tenant, endpoint, error, aborted, latency_us: Some(latency_us) }
    }

    fn rows(table: &Table) -> impl Iterator<Item = EntryView<'_>> {
        (0..Table::SUBTABLES).flat_map(move |sub| (0..table.entries_of(sub)).map(move |at| table.entry(sub, at)))
    }

    fn fill(places: usize, events: &[(u32, u16, bool, u32)]) -> (Table, HashMap<Vec<u8>, Truth>) {
        let hasher = RandomState::new();
        let line = SlowLine { fleet: SLOW_ABOVE, ..SlowLine::default() };
        let (mut table, mut truth) = (table(places, line), HashMap::<Vec<u8>, Truth>::new());
        for &(tenant, endpoint, error, us) in events {
            // Every third id is too long for an entry and lives in the arena.
            let id = if tenant % 3 == 0 { format!("{tenant:0>100}") } else { tenant.to_string() }.into_bytes();
            let tenant = HashedId { id: &id, hash: hasher.hash_one(&id[..]) };
            let known = KnownSample { tenant, endpoint, error, aborted: false, latency_us: us };
            // As requests do: the short way where it can be taken, and sometimes the general one all the same.
            if us % 7 == 0 || !table.add_known(&known) {
                table.add(&any(&known));
            }
            let own = truth.entry(id).or_default();
            let slow = bucket_of(us) > SLOW_ABOVE;
            own.counts.requests += 1;
            own.counts.errors += u64::from(error);
            own.counts.slow += u64::from(slow);
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
            prop_assert_eq!(table.offsets(), Counts::default());
            let read: HashMap<Vec<u8>, Truth> = rows(&table).map(|view| (view.id().to_vec(), read(&view))).collect();
            prop_assert_eq!(read, truth);
        }

        #[test]
        fn beyond_it_the_bounds_hold(events in prop::collection::vec(event(2_000), 0..6_000), places in 8..40_usize) {
            let (table, truth) = fill(places, &events);
            prop_assert!(rows(&table).count() <= 2 * WEIGHTS * places.div_ceil(Table::SUBTABLES) * Table::SUBTABLES);
            prop_assert_eq!(table.requests(), events.len() as u64);
            let mut whole = table.tail.clone();
            rows(&table).for_each(|view| whole.add(&view));
            let mut exact = Aggregate::default();
            for (_, _, error, us) in &events {
                let slow = bucket_of(*us) > SLOW_ABOVE;
                exact.counts.requests += 1;
                exact.counts.errors += u64::from(*error);
                exact.counts.slow += u64::from(slow);
                exact.add_latency(LatencyCell { bucket: bucket_of(*us), count: 1 });
                exact.latency_sum_us += u64::from(*us);
                exact.latency_max_us = exact.latency_max_us.max(*us);
            }
            prop_assert_eq!((whole.counts, whole.latency), (exact.counts, exact.latency));
            prop_assert_eq!((whole.latency_sum_us, whole.latency_max_us), (exact.latency_sum_us, exact.latency_max_us));
            let offsets = table.offsets();
            let mut left = truth.clone();
            let mut listed = Counts::<u64>::default();
            for view in rows(&table) {
                let exact = left.remove(view.id());
                let exact = exact.ok_or_else(|| TestCaseError::fail("a row twice, or of nobody"))?;
                let (counts, base) = (view.counts(), view.base());
                for m in Weight::ALL {
                    prop_assert!(counts[m] <= exact.counts[m] && exact.counts[m] <= counts[m] + base[m]);
                    listed[m] += counts[m];
                }
                let own = read(&view);
                prop_assert_eq!(u64::from(own.latency.values().sum::<u32>()), counts.requests);
                prop_assert!(own.latency.iter().all(|(bucket, count)| exact.latency.get(bucket) >= Some(count)));
                prop_assert!(own.endpoints.iter().all(|(at, (n, e))| exact.endpoints.get(at).is_some_and(|(m, f)| n <= m && e <= f)));
            }
            for absent in left.values() {
                prop_assert!(!absent.counts.any_above(offsets));
            }
            for m in Weight::ALL {
                let total: u64 = truth.values().map(|tenant| tenant.counts[m]).sum();
                prop_assert_eq!(listed[m] + table.tail.counts[m], total);
                // The bound of Misra and Gries, for each sub-table; it cannot exceed what all of them hold.
                prop_assert!(offsets[m] <= total / (places.div_ceil(Table::SUBTABLES) as u64 + 1));
            }
        }
    }

    proptest! {
        /// With memory for few pages, a latency without a cell is in the whole, once.
        #[test]
        fn what_has_no_memory_is_in_the_whole(events in prop::collection::vec(event(200), 0..3_000), room in 0..40_000_usize) {
            let (hasher, budget) = (RandomState::new(), Budget::new(room));
            let mut table = Table::new(16, SlowLine::default(), &budget);
            let (mut latency, mut unplaced) = (vec![0_u32; crate::slot::histogram::BUCKETS], 0_u32);
            for &(tenant, endpoint, error, us) in &events {
                let id = tenant.to_string().into_bytes();
                let tenant = HashedId { id: &id, hash: hasher.hash_one(&id[..]) };
                let known = KnownSample { tenant, endpoint, error, aborted: false, latency_us: us };
                if !table.add_known(&known) {
                    unplaced += u32::from(!table.add(&any(&known)));
                }
                latency[usize::from(bucket_of(us))] += 1;
            }
            let mut whole = table.tail.clone();
            rows(&table).for_each(|view| whole.add(&view));
            prop_assert_eq!(&whole.latency[..], &latency[..]);
            prop_assert_eq!(whole.counts.requests, events.len() as u64);
            prop_assert!(table.tail.latency.iter().sum::<u32>() >= unplaced);
        }
    }

    #[test]
    fn a_reset_table_is_like_a_new_one() {
        let hasher = RandomState::new();
        let mut table = table(8, SlowLine::default());
        let events: Vec<_> = (0..500_u32).map(|i| (i.to_string(), (i % 90) as u16)).collect();
        let add = |table: &mut Table| {
            for (id, endpoint) in &events {
                let sample = Sample {
                    tenant: HashedId { id: id.as_bytes(), hash: hasher.hash_one(id.as_bytes()) },
                    endpoint: *endpoint,
                    error: true,
                    aborted: true,
                    latency_us: Some(7),
                };
                table.add(&sample);
            }
        };
        let describe = |table: &Table| {
            let mut rows: Vec<_> = rows(table).map(|view| (view.id().to_vec(), view.counts(), view.base())).collect();
            rows.sort();
            (
                rows,
                table.requests(),
                table.tail.counts,
                table.tail.latency_sum_us,
                table.offsets(),
                table.aborted,
                table.endpoints.len(),
            )
        };
        add(&mut table);
        let first = describe(&table);
        table.reset(SlowLine::default());
        assert!(table.is_empty() && rows(&table).count() == 0 && table.offsets() == Counts::default());
        add(&mut table);
        assert_eq!(describe(&table), first);
    }

    #[test]
    fn many_endpoints_keep_those_that_fail() {
        // 60 endpoints that work, then 20 that fail: the failing ones are all there, and exact.
        let works = (0..60).flat_map(|endpoint| [(1, endpoint, false, 10); 3]);
        let fails = (100..120).flat_map(|endpoint| [(1, endpoint, true, 10); 2]);
        let (table, _) = fill(8, &works.chain(fails).collect::<Vec<_>>());
        let view = rows(&table).next().expect("one tenant");
        let own = read(&view);
        assert!((100..120).all(|endpoint| own.endpoints[&endpoint].1 == 2), "{own:?}");
        assert!(!view.endpoints_cut());
        // 40 that fail do not fit, and the entry says so.
        let (table, _) = fill(8, &(0..40).map(|endpoint| (1, endpoint, true, 10)).collect::<Vec<_>>());
        assert!(rows(&table).next().expect("one tenant").endpoints_cut());
    }

    #[test]
    fn a_flood_does_not_push_out_who_fails_quietly() {
        let mut events: Vec<_> = (0..100_000).map(|i| (1_000 + i, 0, false, 10)).collect();
        for i in 0..5 {
            events.insert(i * 20_000, (7, 0, true, 10));
        }
        let (table, _) = fill(16, &events);
        let quiet = rows(&table).find(|view| view.id() == b"7").expect("still there");
        assert_eq!((quiet.counts().errors, quiet.base().errors, table.offsets().errors), (5, 0, 0));
    }
}
