//! Sealing: a table that no request records into any more becomes a block, in small steps.
//!
//! A request that helps does a few steps; a tick or a query does all that are left.

use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::block::rows::{Packer, RowSums};
use crate::block::summary::{BlockSummary, EndpointRow};
use crate::event::tenant::fingerprint;
use crate::slot::aggregate::Aggregate;
use crate::slot::entry::EndpointCell;
use crate::slot::histogram::{HalfCell, LatencyCell, cells_of, coarsen};
use crate::slot::table::{MAX_WITNESSES, Table};
use std::sync::Arc;

/// A table of which a part is packed already.
#[derive(Debug)]
pub(crate) struct Sealing {
    pub(crate) slot: i64,
    /// The stripe that filled the table.
    pub(crate) stripe: usize,
    table: Box<Table>,
    summary: BlockSummary,
    /// Endpoints with traffic that are not sealed yet, in the order of their names.
    endpoints: Vec<u16>,
    /// For each endpoint of this process, its place among those with traffic.
    places: Vec<u16>,
    /// The entry that becomes the next row.
    next: EntryPlace,
    packer: Packer,
    /// The sum of the rows so far.
    listed: Box<Aggregate>,
    coarse: bool,
    latency: Vec<LatencyCell>,
    cells: Vec<EndpointCell>,
}

/// The place of an entry in a table.
#[derive(Debug, Clone, Copy, Default)]
struct EntryPlace {
    sub: usize,
    at: usize,
}

/// A filled table, and what its block says beside the table's content.
#[derive(Debug)]
pub(crate) struct SealingInput<'a> {
    pub(crate) table: Box<Table>,
    pub(crate) slot: i64,
    /// The stripe that filled the table.
    pub(crate) stripe: usize,
    /// Id of this process.
    pub(crate) source: u64,
    /// Start of the slot, Unix ms.
    pub(crate) from_ms: i64,
    /// End of the slot (exclusive), Unix ms.
    pub(crate) to_ms: i64,
    /// Endpoints of this process, by their number.
    pub(crate) names: &'a [Arc<str>],
    /// Histograms get 8 buckets to a power of two, not 16.
    pub(crate) coarse: bool,
    /// Bytes that the rows of the last block took. Rows that outgrow their memory are copied while a request waits.
    pub(crate) expected_bytes: usize,
}

impl Sealing {
    /// Begins to seal a table.
    pub(crate) fn new(input: SealingInput<'_>) -> Self {
        let SealingInput { table, slot, stripe, source, from_ms, to_ms, names, coarse, expected_bytes } = input;
        let mut summary = BlockSummary::empty(source, from_ms, to_ms);
        summary.slow_above = table.slow_line.fleet;
        summary.aborted = table.aborted;
        let used = |i: &u16| table.endpoints[usize::from(*i)].counts.requests > 0;
        let mut endpoints: Vec<u16> = (0..table.endpoints.len() as u16).filter(used).collect();
        endpoints.sort_unstable_by(|&a, &b| names[usize::from(a)].cmp(&names[usize::from(b)]));
        let mut places = vec![0; table.endpoints.len()];
        for (place, &i) in endpoints.iter().enumerate() {
            places[usize::from(i)] = place as u16;
            let tally = &table.endpoints[usize::from(i)];
            summary.endpoints.push(EndpointRow {
                name: names[usize::from(i)].clone(),
                counts: tally.counts.map(u64::from),
                halves: Vec::new(),
                failing: Vec::new(),
                lagging: Vec::new(),
            });
        }
        Self {
            slot,
            stripe,
            table,
            summary,
            endpoints,
            places,
            next: EntryPlace::default(),
            packer: Packer::with_capacity(expected_bytes + expected_bytes / 8),
            listed: Box::default(),
            coarse,
            latency: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Requests in the table.
    pub(crate) fn requests(&self) -> u64 {
        self.table.requests()
    }

    /// Does up to `steps` steps. An endpoint or a tenant is one, a tenant with a histogram in pages two. Returns whether the
    /// table is done.
    pub(crate) fn advance(&mut self, steps: usize, ids: &mut Dictionary) -> bool {
        let mut left = steps;
        while left > 0 {
            // Endpoints come first, from the last to the first.
            if let Some(i) = self.endpoints.pop() {
                self.seal_endpoint(usize::from(i));
                left -= 1;
            } else if let Some(work) = self.seal_row(ids) {
                left = left.saturating_sub(work);
            } else {
                return true;
            }
        }
        self.endpoints.is_empty() && self.next_row().is_none()
    }

    fn seal_endpoint(&mut self, i: usize) {
        let table = &self.table;
        let tally = &table.endpoints[i];
        let prints = |hashes: &[u64; MAX_WITNESSES]| {
            let seen = hashes.iter().filter(|hash| **hash != 0);
            // A witness that has left the table has no id any more; its hash in place of a fingerprint might count it twice.
            let mut prints: Vec<u64> = seen.filter_map(|&hash| table.id_of(hash).map(fingerprint)).collect();
            prints.sort_unstable();
            prints.dedup();
            prints
        };
        let row = &mut self.summary.endpoints[usize::from(self.places[i])];
        let halves = tally.halves.iter().enumerate().filter(|(_, count)| **count > 0);
        row.halves = halves.map(|(half, &count)| HalfCell { half: half as u8, count }).collect();
        (row.failing, row.lagging) = (prints(&tally.failing), prints(&tally.lagging));
    }

    /// Moves to the next entry; `None` when there is none left.
    fn next_row(&mut self) -> Option<EntryPlace> {
        let EntryPlace { mut sub, mut at } = self.next;
        while sub < Table::SUBTABLES {
            if at == 0 {
                self.table.settle(sub);
            }
            if at < self.table.entries_of(sub) {
                self.next = EntryPlace { sub, at };
                return Some(self.next);
            }
            (sub, at) = (sub + 1, 0);
        }
        self.next = EntryPlace { sub, at };
        None
    }

    /// Packs the next entry and returns the steps that it was; `None` when there is none left.
    fn seal_row(&mut self, ids: &mut Dictionary) -> Option<usize> {
        let EntryPlace { sub, at } = self.next_row()?;
        self.next = EntryPlace { sub, at: at + 1 };
        let view = self.table.entry(sub, at);
        self.listed.add_sums(&view);
        self.latency.clear();
        self.cells.clear();
        view.latency(&mut self.latency);
        self.latency.iter().for_each(|&cell| self.listed.add_latency(cell));
        view.endpoints(&mut self.cells);
        for cell in &mut self.cells {
            cell.endpoint = self.places[usize::from(cell.endpoint)];
        }
        self.cells.sort_unstable_by_key(|cell| cell.endpoint);
        if self.coarse {
            coarsen(&mut self.latency);
        }
        let sums = RowSums {
            counts: view.counts(),
            bound: view.base(),
            latency_sum_us: view.latency_sum_us(),
            latency_max_us: view.latency_max_us(),
            endpoints_cut: view.endpoints_cut(),
            coarse: self.coarse,
        };
        self.packer.push(ids.intern_hashed(view.id(), view.hash()), &sums, &self.latency, &self.cells);
        Some(if view.is_spread() { 2 } else { 1 })
    }

    /// Does all steps that are left. Returns the block, its rows not sorted yet, and the table to be used again.
    pub(crate) fn finish(mut self, ids: &mut Dictionary) -> (Packed, Box<Table>) {
        while !self.advance(1_024, ids) {}
        let Self { table, mut summary, packer, listed: mut whole, coarse, .. } = self;
        whole.join(&table.tail);
        (summary.totals, summary.tail, summary.offset) = (whole.counts, table.tail.counts, table.offsets());
        (summary.latency_sum_us, summary.latency_max_us) = (whole.latency_sum_us, whole.latency_max_us);
        summary.latency = cells_of(&whole.latency);
        summary.latency.shrink_to_fit();
        (Packed { summary, rows: packer.finish(), coarse }, table)
    }

    /// Bytes of the block so far.
    pub(crate) fn weight(&self) -> usize {
        self.packer.weight() + self.summary.weight() + size_of::<Aggregate>()
    }
}
