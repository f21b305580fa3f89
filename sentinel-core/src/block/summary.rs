//! A block without its rows: totals, bounds, latencies, endpoints; and the sum of several of them.

use crate::block::rows::PackedRow;
use crate::event::endpoint::OTHER;
use crate::slot::histogram::{BUCKETS, HalfCell, LatencyCell, NOTHING_ABOVE, count_above};
use crate::slot::table::MAX_WITNESSES;
use crate::slot::weights::Counts;
use std::ops::Range;
use std::sync::Arc;

/// Endpoints that a merged block may name; further ones share `other`.
pub(crate) const MAX_ENDPOINTS: usize = 4_096;

/// One endpoint in a block, over all tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndpointRow {
    pub(crate) name: Arc<str>,
    pub(crate) counts: Counts<u64>,
    /// Latencies, in halves of an octave, sorted.
    pub(crate) halves: Vec<HalfCell>,
    /// Fingerprints of up to three tenants that failed here, sorted.
    pub(crate) failing: Vec<u64>,
    /// Fingerprints of up to three tenants that were unusually slow here, sorted.
    pub(crate) lagging: Vec<u64>,
}

/// A block without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockSummary {
    /// Id of the process that counted it.
    pub(crate) source: u64,
    /// Start of its time, Unix ms.
    pub(crate) from_ms: i64,
    /// End of its time (exclusive), Unix ms.
    pub(crate) to_ms: i64,
    /// Requests in buckets above this one are slow.
    pub(crate) slow_above: u16,
    /// Requests whose client went away.
    pub(crate) aborted: u64,
    /// Sum of all latencies, µs.
    pub(crate) latency_sum_us: u64,
    /// Longest latency, µs.
    pub(crate) latency_max_us: u32,
    /// Counts of all tenants, the tail included.
    pub(crate) totals: Counts<u64>,
    /// Counts of tenants that have no row.
    pub(crate) tail: Counts<u64>,
    /// The most that a tenant without a row can have.
    pub(crate) offset: Counts<u64>,
    /// Latencies of all tenants, the tail included.
    pub(crate) latency: Vec<LatencyCell>,
    /// Sorted by name.
    pub(crate) endpoints: Vec<EndpointRow>,
}

impl BlockSummary {
    /// An empty summary: no requests, no endpoints.
    pub(crate) fn empty(source: u64, from_ms: i64, to_ms: i64) -> Self {
        Self {
            source,
            from_ms,
            to_ms,
            slow_above: NOTHING_ABOVE,
            aborted: 0,
            latency_sum_us: 0,
            latency_max_us: 0,
            totals: Counts::default(),
            tail: Counts::default(),
            offset: Counts::default(),
            latency: Vec::new(),
            endpoints: Vec::new(),
        }
    }

    /// The sum of summaries, in any order and grouping, without their endpoints. Slow requests are recounted against `slow_above`;
    /// the tail's are known once the rows are ([`BlockSummary::settle`]).
    pub(crate) fn merge<'a>(summaries: impl Iterator<Item = &'a Self> + Clone, slow_above: u16) -> Self {
        let source = summaries.clone().next().map_or(0, |summary| summary.source);
        let from_ms = summaries.clone().map(|summary| summary.from_ms).min().unwrap_or(0);
        let to_ms = summaries.clone().map(|summary| summary.to_ms).max().unwrap_or(0);
        let mut out = Self { slow_above, ..Self::empty(source, from_ms, to_ms) };
        let mut cells = Cells::default();
        for summary in summaries {
            let recount = Recount::new(summary, slow_above);
            out.aborted = out.aborted.saturating_add(summary.aborted);
            out.latency_sum_us = out.latency_sum_us.saturating_add(summary.latency_sum_us);
            out.latency_max_us = out.latency_max_us.max(summary.latency_max_us);
            let slow = || count_above(&summary.latency, slow_above);
            out.totals = out.totals.saturating_add(recount.counts(summary.totals, slow));
            out.tail = out.tail.saturating_add(recount.tail);
            out.offset = out.offset.saturating_add(recount.bound(summary.offset));
            cells.add(summary.latency.iter().copied());
        }
        cells.drain(&mut out.latency);
        out
    }

    /// Sets the slow requests of the tail: the total less the rows'. (Recounted against another line, rows may have more than the
    /// total.)
    pub(crate) fn settle(&mut self, listed_slow: u64) {
        self.totals.slow = self.totals.slow.max(listed_slow);
        self.tail.slow = self.totals.slow - listed_slow;
    }

    /// Unites the endpoints of summaries; returns for each summary the new places of its endpoints.
    pub(crate) fn merge_endpoints(&mut self, summaries: &[&Self]) -> Vec<Vec<u16>> {
        let mut names: Vec<&Arc<str>> =
            summaries.iter().flat_map(|summary| summary.endpoints.iter().map(|row| &row.name)).collect();
        names.sort_unstable();
        names.dedup();
        let empty = |name: Arc<str>| EndpointRow {
            name,
            counts: Counts::default(),
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
        let mut out = Vec::with_capacity(summaries.len());
        for summary in summaries {
            let mut places = Vec::with_capacity(summary.endpoints.len());
            for row in &summary.endpoints {
                let at = self.endpoints.binary_search_by(|known| known.name.cmp(&row.name)).unwrap_or(other);
                places.push(at as u16);
                let into = &mut self.endpoints[at];
                into.counts = into.counts.saturating_add(row.counts);
                into.halves.extend_from_slice(&row.halves);
                into.failing.extend_from_slice(&row.failing);
                into.lagging.extend_from_slice(&row.lagging);
            }
            out.push(places);
        }
        for row in &mut self.endpoints {
            row.halves.sort_unstable();
            row.halves.dedup_by(|cell, kept| {
                let same = cell.half == kept.half;
                if same {
                    kept.count = kept.count.saturating_add(cell.count);
                }
                same
            });
            row.halves.shrink_to_fit();
            for prints in [&mut row.failing, &mut row.lagging] {
                prints.sort_unstable();
                prints.dedup();
                prints.truncate(MAX_WITNESSES);
                prints.shrink_to_fit();
            }
        }
        out
    }

    /// Bytes on the heap.
    pub(crate) fn weight(&self) -> usize {
        let of = |row: &EndpointRow| {
            size_of::<EndpointRow>()
                + row.halves.capacity() * size_of::<HalfCell>()
                + (row.failing.capacity() + row.lagging.capacity()) * 8
        };
        self.latency.capacity() * size_of::<LatencyCell>() + self.endpoints.iter().map(of).sum::<usize>()
    }
}

/// Counts the slow requests of a block against another line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recount {
    /// The line is not the block's own.
    other: bool,
    /// The line is below the block's own: any request that may be missing may be slow. A line above it only lowers the bound.
    looser: bool,
    tail: Counts<u64>,
}

impl Recount {
    pub(crate) fn new(summary: &BlockSummary, line: u16) -> Self {
        let other = summary.slow_above != line;
        let mut tail = summary.tail;
        if other {
            tail.slow = 0; // known from the whole and the rows, once they are recounted
        }
        Self { other, looser: line < summary.slow_above, tail }
    }

    /// The counts, with the requests that are slow by the line.
    #[inline]
    pub(crate) fn counts(&self, counts: Counts<u64>, slow: impl FnOnce() -> u64) -> Counts<u64> {
        if self.other { Counts { slow: slow(), ..counts } } else { counts }
    }

    /// Requests of a row that may be slow by the line or not: a coarse bucket may lie on both sides of it.
    pub(crate) fn unsure(&self, row: &PackedRow<'_>, line: u16) -> u64 {
        if self.other && row.sums.coarse && line.is_multiple_of(2) {
            row.latency().filter(|cell| cell.bucket == line && line >= 16).map(|cell| u64::from(cell.count)).sum()
        } else {
            0
        }
    }

    pub(crate) fn bound(&self, bound: Counts<u64>) -> Counts<u64> {
        if self.looser { Counts { slow: bound.requests, ..bound } } else { bound }
    }
}

/// The range of no bucket; the first bucket that is added makes it a range of one.
const NOTHING_USED: Range<usize> = Range { start: BUCKETS, end: 0 };

/// A dense histogram that is filled and emptied over and over.
#[derive(Debug)]
pub(crate) struct Cells {
    dense: Vec<u32>,
    /// The buckets in use.
    used: Range<usize>,
}

impl Default for Cells {
    fn default() -> Self {
        Self { dense: vec![0; BUCKETS], used: NOTHING_USED }
    }
}

impl Cells {
    pub(crate) fn add(&mut self, cells: impl Iterator<Item = LatencyCell>) {
        for cell in cells {
            let bucket = usize::from(cell.bucket);
            self.used = self.used.start.min(bucket)..self.used.end.max(bucket + 1);
            let count = &mut self.dense[bucket];
            *count = count.saturating_add(cell.count);
        }
    }

    pub(crate) fn drain(&mut self, out: &mut Vec<LatencyCell>) {
        for bucket in std::mem::replace(&mut self.used, NOTHING_USED) {
            let count = std::mem::take(&mut self.dense[bucket]);
            if count > 0 {
                out.push(LatencyCell { bucket: bucket as u16, count });
            }
        }
    }
}
