//! What a block says beside its rows: whole counts, everybody's latencies, endpoints; and what each amounts to when blocks add up.

use crate::block::rows::Row;
use crate::event::endpoint::OTHER;
use crate::slot::histogram::{BUCKETS, LatencyCell, NOTHING_ABOVE, count_above};
use crate::slot::table::WITNESSES;
use crate::slot::weights::WEIGHTS;
use std::sync::Arc;

/// Endpoints that a merged block may name; further ones share `other`.
pub(crate) const MAX_ENDPOINTS: usize = 4_096;

/// One endpoint in a block, over all tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndpointRow {
    pub(crate) name: Arc<str>,
    pub(crate) counts: [u64; WEIGHTS],
    /// (half octave, requests), sorted.
    pub(crate) halves: Vec<(u8, u32)>,
    /// Fingerprints of up to three tenants that failed here, and that were slow here; sorted.
    pub(crate) failing: Vec<u64>,
    pub(crate) lagging: Vec<u64>,
}

/// A block without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) source: u64,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    /// Requests in buckets above this one are slow.
    pub(crate) slow_above: u16,
    pub(crate) aborted: u64,
    pub(crate) latency_sum_us: u64,
    pub(crate) latency_max_us: u32,
    /// Requests, errors and slow requests of everybody, the tail included.
    pub(crate) totals: [u64; WEIGHTS],
    /// Those of tenants that have no row.
    pub(crate) tail: [u64; WEIGHTS],
    /// What a tenant without a row may have at most.
    pub(crate) offset: [u64; WEIGHTS],
    /// Latencies of everybody, the tail included.
    pub(crate) latency: Vec<LatencyCell>,
    /// Sorted by name.
    pub(crate) endpoints: Vec<EndpointRow>,
}

impl Head {
    /// Of nothing.
    pub(crate) fn empty(source: u64, from_ms: i64, to_ms: i64) -> Self {
        Self {
            source,
            from_ms,
            to_ms,
            slow_above: NOTHING_ABOVE,
            aborted: 0,
            latency_sum_us: 0,
            latency_max_us: 0,
            totals: [0; WEIGHTS],
            tail: [0; WEIGHTS],
            offset: [0; WEIGHTS],
            latency: Vec::new(),
            endpoints: Vec::new(),
        }
    }

    /// The sum of heads, in any order and grouping, without their endpoints. Slow requests are recounted against `slow_above`;
    /// those of the tail are known once the rows are ([`Head::settle`]).
    pub(crate) fn merge<'a>(heads: impl Iterator<Item = &'a Self> + Clone, slow_above: u16) -> Self {
        let source = heads.clone().next().map_or(0, |head| head.source);
        let from_ms = heads.clone().map(|head| head.from_ms).min().unwrap_or(0);
        let to_ms = heads.clone().map(|head| head.to_ms).max().unwrap_or(0);
        let mut out = Self { slow_above, ..Self::empty(source, from_ms, to_ms) };
        let mut cells = Cells::default();
        for head in heads {
            let recount = Recount::new(head, slow_above);
            out.aborted = out.aborted.saturating_add(head.aborted);
            out.latency_sum_us = out.latency_sum_us.saturating_add(head.latency_sum_us);
            out.latency_max_us = out.latency_max_us.max(head.latency_max_us);
            let slow = || count_above(&head.latency, slow_above);
            out.totals = sum(out.totals, recount.counts(head.totals, slow));
            out.tail = sum(out.tail, recount.tail);
            out.offset = sum(out.offset, recount.bound(head.offset));
            cells.add(head.latency.iter().copied());
        }
        cells.drain(&mut out.latency);
        out
    }

    /// What the rows hold of the slow requests, the tail does not. (Recounted above the line, they may exceed the whole.)
    pub(crate) fn settle(&mut self, listed_slow: u64) {
        self.totals[2] = self.totals[2].max(listed_slow);
        self.tail[2] = self.totals[2] - listed_slow;
    }

    /// Unites the endpoints of heads; says for each of them where its endpoints went.
    pub(crate) fn merge_endpoints(&mut self, heads: &[&Self]) -> Vec<Vec<u16>> {
        let mut names: Vec<&Arc<str>> =
            heads.iter().flat_map(|head| head.endpoints.iter().map(|row| &row.name)).collect();
        names.sort_unstable();
        names.dedup();
        let empty = |name: Arc<str>| EndpointRow {
            name,
            counts: [0; WEIGHTS],
            halves: Vec::new(),
            failing: Vec::new(),
            lagging: Vec::new(),
        };
        let crowded = names.len() > MAX_ENDPOINTS;
        if crowded {
            names.truncate(MAX_ENDPOINTS - 1);
        }
        self.endpoints = names.into_iter().cloned().map(empty).collect();
        let other = match self.endpoints.binary_search_by(|row| (*row.name).cmp(OTHER)) {
            Err(at) if crowded => {
                self.endpoints.insert(at, empty(OTHER.into()));
                at
            }
            Ok(at) | Err(at) => at,
        };
        let mut out = Vec::with_capacity(heads.len());
        for head in heads {
            let mut places = Vec::with_capacity(head.endpoints.len());
            for row in &head.endpoints {
                let at = self.endpoints.binary_search_by(|known| known.name.cmp(&row.name)).unwrap_or(other);
                places.push(at as u16);
                let into = &mut self.endpoints[at];
                into.counts = sum(into.counts, row.counts);
                into.halves.extend_from_slice(&row.halves);
                into.failing.extend_from_slice(&row.failing);
                into.lagging.extend_from_slice(&row.lagging);
            }
            out.push(places);
        }
        for row in &mut self.endpoints {
            row.halves.sort_unstable();
            row.halves.dedup_by(|cell, kept| {
                let same = cell.0 == kept.0;
                if same {
                    kept.1 = kept.1.saturating_add(cell.1);
                }
                same
            });
            row.halves.shrink_to_fit();
            for prints in [&mut row.failing, &mut row.lagging] {
                prints.sort_unstable();
                prints.dedup();
                prints.truncate(WITNESSES);
                prints.shrink_to_fit();
            }
        }
        out
    }

    /// Bytes on the heap.
    pub(crate) fn weight(&self) -> usize {
        let of = |row: &EndpointRow| {
            size_of::<EndpointRow>() + row.halves.capacity() * 8 + (row.failing.capacity() + row.lagging.capacity()) * 8
        };
        self.latency.capacity() * size_of::<LatencyCell>() + self.endpoints.iter().map(of).sum::<usize>()
    }
}

pub(crate) fn sum(a: [u64; WEIGHTS], b: [u64; WEIGHTS]) -> [u64; WEIGHTS] {
    std::array::from_fn(|m| a[m].saturating_add(b[m]))
}

/// How the slow requests of a block are counted against another line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recount {
    /// The line is not the block's own.
    other: bool,
    /// A stricter line only lowers what may be missing; for a looser one any missing request may be slow.
    looser: bool,
    tail: [u64; WEIGHTS],
}

impl Recount {
    pub(crate) fn new(head: &Head, line: u16) -> Self {
        let other = head.slow_above != line;
        let mut tail = head.tail;
        if other {
            tail[2] = 0; // known from the whole and the rows, once they are recounted
        }
        Self { other, looser: line < head.slow_above, tail }
    }

    /// Counts, with those that are slow against the line.
    #[inline]
    pub(crate) fn counts(&self, counts: [u64; WEIGHTS], slow: impl FnOnce() -> u64) -> [u64; WEIGHTS] {
        if self.other { [counts[0], counts[1], slow()] } else { counts }
    }

    /// Requests of a row that may be slow against the line or not: a coarse bucket may lie on both sides of it.
    pub(crate) fn unsure(&self, row: &Row<'_>, line: u16) -> u64 {
        if self.other && row.sums.coarse && line.is_multiple_of(2) {
            row.latency().filter(|cell| cell.bucket == line && line >= 16).map(|cell| u64::from(cell.count)).sum()
        } else {
            0
        }
    }

    pub(crate) fn bound(&self, bound: [u64; WEIGHTS]) -> [u64; WEIGHTS] {
        if self.looser { [bound[0], bound[1], bound[0]] } else { bound }
    }
}

/// A dense histogram that is filled and emptied over and over.
#[derive(Debug)]
pub(crate) struct Cells {
    dense: Vec<u32>,
    /// The buckets in use: from the first to before the second; none when that is not above.
    used: (usize, usize),
}

impl Default for Cells {
    fn default() -> Self {
        Self { dense: vec![0; BUCKETS], used: (BUCKETS, 0) }
    }
}

impl Cells {
    pub(crate) fn add(&mut self, cells: impl Iterator<Item = LatencyCell>) {
        for cell in cells {
            let bucket = usize::from(cell.bucket);
            self.used = (self.used.0.min(bucket), self.used.1.max(bucket + 1));
            let count = &mut self.dense[bucket];
            *count = count.saturating_add(cell.count);
        }
    }

    pub(crate) fn drain(&mut self, out: &mut Vec<LatencyCell>) {
        let (from, to) = std::mem::replace(&mut self.used, (BUCKETS, 0));
        for bucket in from..to {
            let count = std::mem::take(&mut self.dense[bucket]);
            if count > 0 {
                out.push(LatencyCell { bucket: bucket as u16, count });
            }
        }
    }
}
