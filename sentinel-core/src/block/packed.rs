//! A block as the window keeps it: its tenants called by their numbers, its rows packed.
//!
//! Blocks add up: counts, and bounds, for who is absent from a block may have been there up to its `offset`. (Agarwal et al.,
//! TODS 2013.) Each row uses its number in the dictionary: whoever makes a block takes them, whoever lets go of it gives them
//! back.

use crate::block::dictionary::{Dictionary, Number};
use crate::block::rows::{Iter, Packer, Row, Rows, Sums};
use crate::block::summary::{Head, Recount, sum};
use crate::block::{Block, Row as BlockRow};
use crate::event::tenant::TenantId;
use crate::slot::entry::EndpointCell;
use crate::slot::histogram::{LatencyCell, coarsen, count_above_of};
use crate::slot::weights::{WEIGHTS, raised};
use std::iter::Peekable;

#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) head: Head,
    pub(crate) rows: Rows,
    /// All its histograms have 8 buckets to a power of two.
    pub(crate) coarse: bool,
}

impl Packed {
    /// The same block, its rows in the order of their numbers.
    pub(crate) fn sorted(self) -> Self {
        Self { rows: self.rows.sorted(), ..self }
    }

    /// Requests in it, the tail included.
    pub(crate) fn requests(&self) -> u64 {
        self.head.totals[0]
    }

    /// From another process's block.
    pub(crate) fn from_block(block: Block, ids: &mut Dictionary) -> Self {
        let mut rows: Vec<(Number, &BlockRow)> =
            block.rows.iter().map(|row| (ids.intern(row.id.as_bytes()), row)).collect();
        rows.sort_unstable_by_key(|(number, _)| *number);
        let mut packer = Packer::default();
        for (number, row) in rows {
            packer.push(number, &row.sums, block.latency_of(row), block.endpoints_of(row));
        }
        let coarse = block.rows.iter().all(|row| row.sums.coarse);
        Self { head: block.head, rows: packer.finish(), coarse }
    }

    /// With the ids spelled out, for another process.
    pub(crate) fn to_block(&self, ids: &Dictionary) -> Block {
        let mut rows: Vec<(&[u8], Row<'_>)> = self.rows.iter().map(|row| (ids.id(row.number), row)).collect();
        rows.sort_unstable_by_key(|(id, _)| *id);
        let mut block = Block::new(self.head.clone());
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
        let mut head = Head::merge(blocks.iter().map(|block| &block.head), slow_above);
        let heads: Vec<&Head> = blocks.iter().map(|block| &block.head).collect();
        let places = head.merge_endpoints(&heads);
        let mut parts: Vec<Part<'_>> = blocks
            .iter()
            .zip(places)
            .map(|(block, places)| Part {
                rows: block.rows.iter().peekable(),
                recount: Recount::new(&block.head, slow_above),
                offset: block.head.offset,
                moved: !places.iter().enumerate().all(|(i, &place)| i == usize::from(place)),
                places,
            })
            .collect();
        // A row that only one block has stays as it is, where nothing about it changes.
        let plain = head.offset == [0; WEIGHTS] && blocks.iter().all(|block| block.head.slow_above == slow_above);
        let mut packer = Packer::with_capacity(blocks.iter().map(|block| block.rows.weight()).sum());
        let (mut union, mut listed_slow) = (Union::default(), 0_u64);
        while let Some(number) = parts.iter_mut().filter_map(|part| part.rows.peek().map(|row| row.number)).min() {
            ids.retain(number);
            let is_same = |part: &mut Part<'_>| part.rows.peek().is_some_and(|row| row.number == number);
            if plain {
                let mut same = parts.iter_mut().filter_map(|part| is_same(part).then_some(part));
                if let (Some(only), None) = (same.next(), same.next())
                    && !only.moved
                    && let Some(row) = only.rows.next()
                {
                    listed_slow = listed_slow.saturating_add(row.sums.counts[2]);
                    packer.copy_row(&row);
                    continue;
                }
            }
            union.begin(head.offset);
            for part in &mut parts {
                if let Some(row) = part.rows.next_if(|row| row.number == number) {
                    union.add(&row, part, slow_above);
                }
            }
            listed_slow = listed_slow.saturating_add(union.sums.counts[2]);
            union.pack(number, &mut packer);
        }
        head.settle(listed_slow);
        Self { head, rows: packer.finish(), coarse: blocks.iter().all(|block| block.coarse) }
    }

    /// At most `places` tenants for each weight, by the table's own rule: offsets rise, and who lies within all of them
    /// joins the tail. `None` when there are few enough.
    pub(crate) fn pruned(&self, places: usize, ids: &mut Dictionary) -> Option<Self> {
        if places == 0 || self.rows.len() <= places * WEIGHTS {
            return None;
        }
        let upper: Vec<[u64; WEIGHTS]> = self.rows.iter().map(|row| sum(row.sums.counts, row.sums.bound)).collect();
        let offset = raised(&upper, self.head.offset, [places; WEIGHTS]);
        let mut head = Head { offset, ..self.head.clone() };
        let mut packer = Packer::default();
        for (row, upper) in self.rows.iter().zip(&upper) {
            if (0..WEIGHTS).any(|m| upper[m] > offset[m]) {
                ids.retain(row.number);
                packer.copy_row(&row);
            } else {
                head.tail = sum(head.tail, row.sums.counts);
            }
        }
        Some(Self { head, rows: packer.finish(), coarse: self.coarse })
    }

    /// The `tenants` who matter most, for another process: a third of the places each for those with most errors, slow requests and
    /// requests, what is left for who has any of these. Of equals, the first by their ids: counts of ten seconds are small, and
    /// who lies on the line must not take all others along, as in [`Packed::pruned`]. `None` when there are few enough.
    pub(crate) fn heaviest(&self, tenants: usize, ids: &mut Dictionary) -> Option<Self> {
        if self.rows.len() <= tenants {
            return None;
        }
        let rows: Vec<Row<'_>> = self.rows.iter().collect();
        let upper: Vec<[u64; WEIGHTS]> = rows.iter().map(|row| sum(row.sums.counts, row.sums.bound)).collect();
        let mut keeps = vec![false; rows.len()];
        let mut kept = 0;
        let mut order: Vec<usize> = (0..rows.len()).collect();
        // Errors, slow requests, requests; then by all of these in turn.
        for (by, until) in [(1, tenants / WEIGHTS), (2, tenants / WEIGHTS * 2), (0, tenants)] {
            let key = |i: usize| (upper[i][by], upper[i][1], upper[i][2], upper[i][0]);
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
        let mut head = self.head.clone();
        let mut packer = Packer::default();
        for ((row, upper), keeps) in rows.iter().zip(&upper).zip(keeps) {
            if keeps {
                ids.retain(row.number);
                packer.copy_row(row);
            } else {
                head.tail = sum(head.tail, row.sums.counts);
                head.offset = std::array::from_fn(|m| head.offset[m].max(upper[m]));
            }
        }
        Some(Self { head, rows: packer.finish(), coarse: self.coarse })
    }

    /// With histograms of 8 buckets to a power of two; `None` when they are that already.
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
            packer.push(row.number, &Sums { coarse: true, ..row.sums }, &latency, &endpoints);
        }
        Some(Self { head: self.head.clone(), rows: packer.finish(), coarse: true })
    }

    /// Lets go of it.
    pub(crate) fn release(self, ids: &mut Dictionary) {
        self.rows.numbers().for_each(|number| ids.release(number));
    }

    /// Bytes of memory.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.head.weight() + self.rows.weight()
    }
}

/// One of the blocks that are merged.
struct Part<'a> {
    rows: Peekable<Iter<'a>>,
    recount: Recount,
    offset: [u64; WEIGHTS],
    /// Where its endpoints are now, and whether that is elsewhere.
    places: Vec<u16>,
    moved: bool,
}

/// A tenant's rows of several blocks, added up.
#[derive(Debug, Default)]
struct Union {
    sums: Sums,
    latency: Vec<LatencyCell>,
    /// What `latency` becomes next.
    joined: Vec<LatencyCell>,
    endpoints: Vec<EndpointCell>,
}

impl Union {
    /// Of a tenant that may have had `offset` in all blocks.
    fn begin(&mut self, offset: [u64; WEIGHTS]) {
        self.sums = Sums { bound: offset, ..Sums::default() };
        self.latency.clear();
        self.endpoints.clear();
    }

    fn add(&mut self, row: &Row<'_>, part: &Part<'_>, line: u16) {
        let (sums, own) = (&mut self.sums, &row.sums);
        sums.counts = sum(sums.counts, part.recount.counts(own.counts, || count_above_of(row.latency(), line)));
        // Present here: its own bound instead of what an absent tenant may have.
        let (absent, present) = (part.recount.bound(part.offset), part.recount.bound(own.bound));
        sums.bound = std::array::from_fn(|m| sums.bound[m].saturating_sub(absent[m]).saturating_add(present[m]));
        sums.bound[2] = sums.bound[2].saturating_add(part.recount.unsure(row, line));
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
