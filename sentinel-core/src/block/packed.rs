//! A block as the window keeps it: its tenants called by their numbers, its rows packed.
//!
//! ```text
//! Packed = summary: totals = rows + tail, offset, latencies, endpoints
//!        + rows:    number ─► counts, bound, latencies, endpoints       in the order of the numbers
//!
//! merge          a: 3  7  9           offset a = 2    3 ─► counts a + b,  bound of a + bound of b
//!                b: 3     9  12       offset b = 1    7 ─► counts a,      bound of a + 1
//!                                                    12 ─► counts b,      2          + bound of b
//!                                    offset = 2 + 1 = 3: the most that a tenant without a row can have
//! ```
//!
//! Invariant, for each weight: `count ≤ true ≤ count + bound` for a tenant with a row, `true ≤ offset` for one without, and rows
//! and tail add up to the totals. Merging keeps it, in any order and grouping (Agarwal et al., TODS 2013): a tenant that is
//! absent from a block may have had up to that block's offset there, so this is added to its bound. Exact blocks have offset 0,
//! and so has their merge.
//!
//! Slow requests are special: each slot has its own line. A merge counts them anew against one line, from the
//! histograms; a coarse bucket that the line cuts may be slow or not, and widens the bound.
//!
//! Each row holds one use of its number in the dictionary. Every function that makes a block takes those uses, and
//! [`Packed::release`] gives them back: a `Drop` could not, since it has no dictionary.
//!
//! A hash map from tenant to sums would be the obvious merge. But rows are sorted already, so that a merge of sorted streams
//! needs no map and no memory beside its result, and copies a row that only one block has as the
//! bytes it is. Blocks stay apart in the window, since each leaves it on its own.

use crate::block::dictionary::{Dictionary, Number};
use crate::block::rows::{PackedRow, Packer, RowIter, RowSums, Rows};
use crate::block::summary::{BlockSummary, Recount};
use crate::block::{Block, BlockRow};
use crate::event::tenant::TenantId;
use crate::slot::entry::EndpointCell;
use crate::slot::histogram::{LatencyCell, coarsen, count_above_of};
use crate::slot::weights::{Counts, WEIGHTS, Weight, raised};
use std::iter::Peekable;

/// A block whose tenants are called by their numbers.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) summary: BlockSummary,
    pub(crate) rows: Rows,
    /// All histograms of its rows have 8 buckets to a power of two, not 16.
    pub(crate) coarse: bool,
}

impl Packed {
    /// The same block, its rows in the order of their numbers.
    pub(crate) fn sorted(self) -> Self {
        Self { rows: self.rows.sorted(), ..self }
    }

    /// Requests in the block, the tail included.
    pub(crate) fn requests(&self) -> u64 {
        self.summary.totals.requests
    }

    /// Packs another process's block.
    pub(crate) fn from_block(block: Block, ids: &mut Dictionary) -> Self {
        let mut rows: Vec<(Number, &BlockRow)> =
            block.rows.iter().map(|row| (ids.intern(row.id.as_bytes()), row)).collect();
        rows.sort_unstable_by_key(|(number, _)| *number);
        let mut packer = Packer::default();
        for (number, row) in rows {
            packer.push(number, &row.sums, block.latency_of(row), block.endpoints_of(row));
        }
        let coarse = block.rows.iter().all(|row| row.sums.coarse);
        Self { summary: block.summary, rows: packer.finish(), coarse }
    }

    /// Spells the ids out, for another process.
    pub(crate) fn to_block(&self, ids: &Dictionary) -> Block {
        let mut rows: Vec<(&[u8], PackedRow<'_>)> = self.rows.iter().map(|row| (ids.id(row.number), row)).collect();
        rows.sort_unstable_by_key(|(id, _)| *id);
        let mut block = Block::new(self.summary.clone());
        let (mut latency, mut endpoints) = (Vec::new(), Vec::new());
        for (id, row) in rows {
            latency.clear();
            latency.extend(row.latency());
            endpoints.clear();
            endpoints.extend(row.endpoints());
            block.push(TenantId::new(id), row.sums, &latency, &endpoints);
        }
        block
    }

    /// The sum of blocks, in any order and grouping. Slow requests are recounted against `slow_above`.
    pub(crate) fn merge(blocks: &[&Self], slow_above: u16, ids: &mut Dictionary) -> Self {
        let mut summary = BlockSummary::merge(blocks.iter().map(|block| &block.summary), slow_above);
        let summaries: Vec<&BlockSummary> = blocks.iter().map(|block| &block.summary).collect();
        let places = summary.merge_endpoints(&summaries);
        let mut parts: Vec<MergeInput<'_>> = blocks
            .iter()
            .zip(places)
            .map(|(block, places)| MergeInput {
                rows: block.rows.iter().peekable(),
                recount: Recount::new(&block.summary, slow_above),
                offset: block.summary.offset,
                moved: !places.iter().enumerate().all(|(i, &place)| i == usize::from(place)),
                places,
            })
            .collect();
        // Where nothing about them changes, rows that only one block has are copied.
        let plain =
            summary.offset == Counts::default() && blocks.iter().all(|block| block.summary.slow_above == slow_above);
        let mut packer = Packer::with_capacity(blocks.iter().map(|block| block.rows.weight()).sum());
        let (mut union, mut listed_slow) = (Union::default(), 0_u64);
        while let Some(number) = parts.iter_mut().filter_map(|part| part.rows.peek().map(|row| row.number)).min() {
            ids.retain(number);
            let is_same = |part: &mut MergeInput<'_>| part.rows.peek().is_some_and(|row| row.number == number);
            if plain {
                let mut same = parts.iter_mut().filter_map(|part| is_same(part).then_some(part));
                if let (Some(only), None) = (same.next(), same.next())
                    && !only.moved
                    && let Some(row) = only.rows.next()
                {
                    listed_slow = listed_slow.saturating_add(row.sums.counts.slow);
                    packer.copy_row(&row);
                    continue;
                }
            }
            union.begin(summary.offset);
            for part in &mut parts {
                if let Some(row) = part.rows.next_if(|row| row.number == number) {
                    union.add(&row, part, slow_above);
                }
            }
            listed_slow = listed_slow.saturating_add(union.sums.counts.slow);
            union.pack(number, &mut packer);
        }
        summary.settle(listed_slow);
        Self { summary, rows: packer.finish(), coarse: blocks.iter().all(|block| block.coarse) }
    }

    /// Keeps at most `places` tenants for each weight, by the table's own rule: offsets rise, and a tenant within all of them joins
    /// the tail. `None` when there are few enough.
    pub(crate) fn pruned(&self, places: usize, ids: &mut Dictionary) -> Option<Self> {
        if places == 0 || self.rows.len() <= places * WEIGHTS {
            return None;
        }
        let upper: Vec<Counts<u64>> = self.rows.iter().map(|row| row.sums.upper()).collect();
        let offset = raised(&upper, self.summary.offset, places);
        let mut summary = BlockSummary { offset, ..self.summary.clone() };
        let mut packer = Packer::default();
        for (row, upper) in self.rows.iter().zip(&upper) {
            if upper.any_above(offset) {
                ids.retain(row.number);
                packer.copy_row(&row);
            } else {
                summary.tail = summary.tail.saturating_add(row.sums.counts);
            }
        }
        Some(Self { summary, rows: packer.finish(), coarse: self.coarse })
    }

    /// Keeps the `tenants` that matter most, for another process: a third of them by errors, a third by slow requests, the others by
    /// requests. Of equals the first by their ids stay: counts of ten seconds are small, and [`Packed::pruned`] would
    /// let go of all that are equal at the line. `None` when there are few enough.
    pub(crate) fn heaviest(&self, tenants: usize, ids: &mut Dictionary) -> Option<Self> {
        if self.rows.len() <= tenants {
            return None;
        }
        let rows: Vec<PackedRow<'_>> = self.rows.iter().collect();
        let upper: Vec<Counts<u64>> = rows.iter().map(|row| row.sums.upper()).collect();
        let mut keeps = vec![false; rows.len()];
        let mut kept = 0;
        let mut order: Vec<usize> = (0..rows.len()).collect();
        // Ties are broken by errors, slow requests and requests in turn.
        let third = tenants / WEIGHTS;
        for (by, until) in [(Weight::Errors, third), (Weight::Slow, 2 * third), (Weight::Requests, tenants)] {
            let key = |i: usize| (upper[i][by], upper[i].errors, upper[i].slow, upper[i].requests);
            order.sort_unstable_by(|&a, &b| {
                key(b).cmp(&key(a)).then_with(|| ids.id(rows[a].number).cmp(ids.id(rows[b].number)))
            });
            for &i in &order {
                if kept >= until || upper[i][by] == 0 {
                    break;
                }
                kept += usize::from(!std::mem::replace(&mut keeps[i], true));
            }
        }
        let mut summary = self.summary.clone();
        let mut packer = Packer::default();
        for ((row, upper), keeps) in rows.iter().zip(&upper).zip(keeps) {
            if keeps {
                ids.retain(row.number);
                packer.copy_row(row);
            } else {
                summary.tail = summary.tail.saturating_add(row.sums.counts);
                summary.offset = summary.offset.zip(*upper, u64::max);
            }
        }
        Some(Self { summary, rows: packer.finish(), coarse: self.coarse })
    }

    /// Makes the histograms coarse: 8 buckets to a power of two. `None` when they are that already.
    pub(crate) fn coarsened(&self, ids: &mut Dictionary) -> Option<Self> {
        if self.coarse {
            return None;
        }
        let mut packer = Packer::default();
        let (mut latency, mut endpoints) = (Vec::new(), Vec::new());
        for row in self.rows.iter() {
            latency.clear();
            latency.extend(row.latency());
            coarsen(&mut latency);
            endpoints.clear();
            endpoints.extend(row.endpoints());
            ids.retain(row.number);
            packer.push(row.number, &RowSums { coarse: true, ..row.sums }, &latency, &endpoints);
        }
        Some(Self { summary: self.summary.clone(), rows: packer.finish(), coarse: true })
    }

    /// Drops the block and gives its numbers back.
    pub(crate) fn release(self, ids: &mut Dictionary) {
        self.rows.numbers().for_each(|number| ids.release(number));
    }

    /// Bytes of memory.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.summary.weight() + self.rows.weight()
    }
}

/// One of the blocks that a merge reads.
struct MergeInput<'a> {
    rows: Peekable<RowIter<'a>>,
    recount: Recount,
    offset: Counts<u64>,
    /// Places of its endpoints in the merged block.
    places: Vec<u16>,
    /// Some endpoint has another place than before.
    moved: bool,
}

/// A tenant's rows of several blocks, added up.
#[derive(Debug, Default)]
struct Union {
    sums: RowSums,
    latency: Vec<LatencyCell>,
    /// The sum of `latency` and a row's histogram, while it is made.
    joined: Vec<LatencyCell>,
    endpoints: Vec<EndpointCell>,
}

impl Union {
    /// Begins with a tenant that may have had `offset` in all blocks together.
    fn begin(&mut self, offset: Counts<u64>) {
        self.sums = RowSums { bound: offset, ..RowSums::default() };
        self.latency.clear();
        self.endpoints.clear();
    }

    fn add(&mut self, row: &PackedRow<'_>, part: &MergeInput<'_>, line: u16) {
        let (sums, own) = (&mut self.sums, &row.sums);
        let counts = part.recount.counts(own.counts, || count_above_of(row.latency(), line));
        sums.counts = sums.counts.saturating_add(counts);
        // The tenant is present here: its own bound replaces the offset.
        let (absent, present) = (part.recount.bound(part.offset), part.recount.bound(own.bound));
        sums.bound = sums.bound.zip(absent, u64::saturating_sub).saturating_add(present);
        sums.bound.slow = sums.bound.slow.saturating_add(part.recount.unsure(row, line));
        sums.latency_sum_us = sums.latency_sum_us.saturating_add(own.latency_sum_us);
        sums.latency_max_us = sums.latency_max_us.max(own.latency_max_us);
        sums.endpoints_cut |= own.endpoints_cut;
        sums.coarse |= own.coarse;
        join(&self.latency, row.latency(), &mut self.joined);
        std::mem::swap(&mut self.latency, &mut self.joined);
        let place = |cell: EndpointCell| EndpointCell { endpoint: part.places[usize::from(cell.endpoint)], ..cell };
        self.endpoints.extend(row.endpoints().map(place));
    }

    fn pack(&mut self, number: Number, packer: &mut Packer) {
        if self.sums.coarse {
            coarsen(&mut self.latency);
        }
        self.endpoints.sort_unstable_by_key(|cell| cell.endpoint);
        self.endpoints.dedup_by(|cell, kept| {
            let same = cell.endpoint == kept.endpoint;
            if same {
                kept.requests = kept.requests.saturating_add(cell.requests);
                kept.errors = kept.errors.saturating_add(cell.errors);
            }
            same
        });
        packer.push(number, &self.sums, &self.latency, &self.endpoints);
    }
}

/// The sum of two sorted histograms.
fn join(a: &[LatencyCell], b: impl Iterator<Item = LatencyCell>, out: &mut Vec<LatencyCell>) {
    out.clear();
    let mut rest = a.iter().copied().peekable();
    for mut cell in b {
        out.extend(std::iter::from_fn(|| rest.next_if(|other| other.bucket < cell.bucket)));
        if let Some(same) = rest.next_if(|other| other.bucket == cell.bucket) {
            cell.count = cell.count.saturating_add(same.count);
        }
        out.push(cell);
    }
    out.extend(rest);
}
