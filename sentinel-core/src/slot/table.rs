//! The bounded table of one slot of one stripe: vector Misra–Gries over requests, errors and slow requests.
//!
//! A table must never lose a tenant that matters by *any* of its three weights, whatever ids an attacker invents. It is split
//! into eight sub-tables by hash, so that a purge touches an eighth of it; each is an index over a dense array of entries.
//! When a sub-table is full, `offset[m]` rises to the (k+1)-th largest upper bound of weight m, and an entry leaves only when
//! all its upper bounds are within the offsets, its counts going to the tail. An entry that comes in later starts with
//! `base[m] = offset[m]`, so that `counts[m] ≤ true ≤ counts[m] + base[m]`, and a tenant that is absent has at most
//! `offset[m]`. (Misra and Gries 1982; mergeable by Agarwal et al., TODS 2013.)

use crate::event::endpoint::EndpointId;
use crate::slot::aggregate::Lump;
use crate::slot::entry::EntryView;
use crate::slot::histogram::{HALVES, LatencyCell, NOTHING_ABOVE, bucket_of, half_of};
use crate::slot::subtable::SubTable;
use crate::slot::weights::{Sample, WEIGHTS};
use crate::util::budget::{Budget, Reserved};
use std::sync::Arc;

/// Distinct tenants that an endpoint must fail for before it, and not they, is to blame.
pub(crate) const WITNESSES: usize = 3;

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
    subtables: [SubTable; Self::SUBTABLES],
    pub(crate) endpoints: Vec<EndpointTally>,
    pub(crate) aborted: u64,
    pub(crate) slow_line: SlowLine,
    /// Those of tenants that have left, and latencies that no entry had a cell for.
    pub(crate) tail: Lump,
    /// Places guaranteed for each weight in a sub-table.
    places: usize,
    reserved: Reserved,
}

/// One endpoint in a slot, over all tenants.
#[derive(Debug, Clone)]
pub(crate) struct EndpointTally {
    pub(crate) counts: [u32; WEIGHTS],
    pub(crate) halves: [u32; HALVES],
    /// Up to three tenants (hashes) that failed here, and that were unusually slow here; 0 = free.
    pub(crate) failing: [u64; WITNESSES],
    pub(crate) lagging: [u64; WITNESSES],
    /// Unusually slow: halves above this one.
    line: u8,
}

impl EndpointTally {
    fn new(line: u8) -> Self {
        Self { counts: [0; WEIGHTS], halves: [0; HALVES], failing: [0; WITNESSES], lagging: [0; WITNESSES], line }
    }

    /// Counts a request whose latency is in a half.
    #[inline]
    fn add(&mut self, half: u8) {
        self.counts[0] = self.counts[0].saturating_add(1);
        let count = &mut self.halves[usize::from(half) % HALVES];
        *count = count.saturating_add(1);
    }

    /// Says what was wrong with it.
    fn mark(&mut self, hash: u64, error: bool, slow: bool, lagging: bool) {
        self.counts[1] = self.counts[1].saturating_add(u32::from(error));
        self.counts[2] = self.counts[2].saturating_add(u32::from(slow));
        if error {
            witness(&mut self.failing, hash);
        }
        if lagging {
            witness(&mut self.lagging, hash);
        }
    }
}

fn witness(set: &mut [u64; WITNESSES], hash: u64) {
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
            tail: Lump::default(),
            places: places.div_ceil(Self::SUBTABLES),
            reserved,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Empty again, its allocations kept.
    pub(crate) fn reset(&mut self, slow_line: SlowLine) {
        let Self { subtables, endpoints, aborted, slow_line: line, tail, places: _, reserved: _ } = self;
        if !endpoints.is_empty() {
            subtables.iter_mut().for_each(SubTable::reset);
            endpoints.clear();
            *tail = Lump::default();
        }
        (*aborted, *line) = (0, slow_line);
    }

    /// Counts a request whose latency is known, if it needs no page of memory but its tenant's entry. Almost every request is
    /// like that; for any other it does nothing and says `false`, and [`Table::add`] is there.
    #[inline]
    pub(crate) fn add_known(
        &mut self,
        (tenant, hash): (&[u8], u64),
        (endpoint, us): (EndpointId, u32),
        (error, aborted): (bool, bool),
    ) -> bool {
        let bucket = bucket_of(us);
        let half = half_of(bucket);
        let Some(tally) = self.endpoints.get_mut(usize::from(endpoint)) else {
            return false;
        };
        let sub = sub_of(hash);
        let rest = (&mut self.tail, &mut self.reserved);
        let Some(at) = self.subtables[sub].add_known((tenant, hash), (endpoint, bucket, us), self.places, rest) else {
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

    /// Counts one request of a tenant with this hash. `false` when no memory was left for its latency's page: that is in the
    /// whole, not in its tenant's histogram.
    pub(crate) fn add(&mut self, sample: &Sample<'_>, hash: u64) -> bool {
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
            tally.counts[0] = tally.counts[0].saturating_add(1);
        }
        tally.mark(hash, sample.error, slow, lagging);
        let rest = (&mut self.tail, &mut self.reserved);
        let placed = self.subtables[sub_of(hash)].add(sample, hash, bucket, slow, self.places, rest);
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

    /// Requests, those of tenants that have left too.
    pub(crate) fn requests(&self) -> u64 {
        self.endpoints.iter().map(|tally| u64::from(tally.counts[0])).sum()
    }

    /// The largest true count of each weight that an absent tenant can have.
    pub(crate) fn offsets(&self) -> [u64; WEIGHTS] {
        std::array::from_fn(|m| self.subtables.iter().map(|sub| u64::from(sub.offset[m])).max().unwrap_or(0))
    }

    /// Tenants in a sub-table.
    pub(crate) fn entries_of(&self, sub: usize) -> usize {
        self.subtables[sub].entries.len()
    }

    /// A tenant of a sub-table.
    pub(crate) fn entry(&self, sub: usize, at: usize) -> EntryView<'_> {
        self.subtables[sub].view(at)
    }

    /// A sub-table that could not hold everybody is purged once more before it is sealed: who came in since the last time is
    /// no more than who has left, and would only fill the block.
    pub(crate) fn settle(&mut self, sub: usize) {
        let sub = &mut self.subtables[sub];
        if sub.offset != [0; WEIGHTS] {
            sub.purge(self.places, &mut self.tail);
        }
    }

    /// Was it filled well, or is it small? Else it is given back, and the next one grows anew.
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

/// Which sub-table a hash belongs to.
#[inline]
fn sub_of(hash: u64) -> usize {
    (hash >> 40) as usize % Table::SUBTABLES
}

#[cfg(test)]
mod tests {
    use super::*;
    use ahash::RandomState;
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

    fn table(places: usize, line: SlowLine) -> Table {
        Table::new(places, line, &Budget::new(usize::MAX))
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
            let sample = Sample { tenant: &id, endpoint, error, aborted: false, latency_us: Some(us) };
            let hash = hasher.hash_one(sample.tenant);
            // Both ways, as requests take them: the short one where it can, and sometimes the general one all the same.
            if us % 7 == 0 || !table.add_known((&id, hash), (endpoint, us), (error, false)) {
                table.add(&sample, hash);
            }
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
            let mut exact = Lump::default();
            for (_, _, error, us) in &events {
                let slow = bucket_of(*us) > SLOW_ABOVE;
                (exact.counts[0], exact.counts[1], exact.counts[2]) =
                    (exact.counts[0] + 1, exact.counts[1] + u64::from(*error), exact.counts[2] + u64::from(slow));
                exact.add_latency(LatencyCell { bucket: bucket_of(*us), count: 1 });
                exact.latency_sum_us += u64::from(*us);
                exact.latency_max_us = exact.latency_max_us.max(*us);
            }
            prop_assert_eq!((whole.counts, whole.latency), (exact.counts, exact.latency));
            prop_assert_eq!((whole.latency_sum_us, whole.latency_max_us), (exact.latency_sum_us, exact.latency_max_us));
            let offsets = table.offsets();
            let mut left = truth.clone();
            let mut listed = [0; WEIGHTS];
            for view in rows(&table) {
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
                let total: u64 = truth.values().map(|tenant| tenant.counts[m]).sum();
                prop_assert_eq!(listed[m] + table.tail.counts[m], total);
                // The bound of Misra and Gries, for each sub-table; it cannot exceed what all of them hold.
                prop_assert!(offsets[m] <= total / (places.div_ceil(Table::SUBTABLES) as u64 + 1));
            }
        }
    }

    proptest! {
        /// Memory for one page in many: what has no cell is in the whole, once.
        #[test]
        fn what_has_no_memory_is_in_the_whole(events in prop::collection::vec(event(200), 0..3_000), room in 0..40_000_usize) {
            let (hasher, budget) = (RandomState::new(), Budget::new(room));
            let mut table = Table::new(16, SlowLine::default(), &budget);
            let (mut latency, mut unplaced) = (vec![0_u32; crate::slot::histogram::BUCKETS], 0_u32);
            for &(tenant, endpoint, error, us) in &events {
                let id = tenant.to_string().into_bytes();
                let (hash, sample) = (hasher.hash_one(&id[..]), Sample { tenant: &id, endpoint, error, aborted: false, latency_us: Some(us) });
                if !table.add_known((&id, hash), (endpoint, us), (error, false)) {
                    unplaced += u32::from(!table.add(&sample, hash));
                }
                latency[usize::from(bucket_of(us))] += 1;
            }
            let mut whole = table.tail.clone();
            rows(&table).for_each(|view| whole.add(&view));
            prop_assert_eq!(&whole.latency[..], &latency[..]);
            prop_assert_eq!(whole.counts[0], events.len() as u64);
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
                    tenant: id.as_bytes(),
                    endpoint: *endpoint,
                    error: true,
                    aborted: true,
                    latency_us: Some(7),
                };
                table.add(&sample, hasher.hash_one(sample.tenant));
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
        assert!(table.is_empty() && rows(&table).count() == 0 && table.offsets() == [0; WEIGHTS]);
        add(&mut table);
        assert_eq!(describe(&table), first);
    }

    #[test]
    fn many_endpoints_keep_those_that_fail() {
        // 60 endpoints that work, then 20 that fail: those are all there, and exact.
        let works = (0..60).flat_map(|endpoint| [(1, endpoint, false, 10); 3]);
        let fails = (100..120).flat_map(|endpoint| [(1, endpoint, true, 10); 2]);
        let (table, _) = fill(8, &works.chain(fails).collect::<Vec<_>>());
        let view = rows(&table).next().expect("one tenant");
        let own = read(&view);
        assert!((100..120).all(|endpoint| own.endpoints[&endpoint].1 == 2), "{own:?}");
        assert!(!view.endpoints_cut());
        // 40 that fail do not fit: said so.
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
        assert_eq!((quiet.counts()[1], quiet.base()[1], table.offsets()[1]), (5, 0, 0));
    }
}
