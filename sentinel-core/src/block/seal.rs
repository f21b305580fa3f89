//! Sealing: a table that nobody records into any more becomes a block, in steps as small as one likes.
//!
//! A request that helps does a few steps; a tick or a query does all that are left.

use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::block::rows::{Packer, Sums};
use crate::block::summary::{EndpointRow, Head};
use crate::event::tenant::fingerprint;
use crate::slot::aggregate::Lump;
use crate::slot::entry::EndpointCell;
use crate::slot::histogram::{LatencyCell, cells_of, coarsen};
use crate::slot::table::{Table, WITNESSES};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Sealing {
    pub(crate) slot: i64,
    /// Whose table it was.
    pub(crate) stripe: usize,
    table: Box<Table>,
    head: Head,
    /// Endpoints with traffic, by name; and where in that list each endpoint of this process is.
    endpoints: Vec<u16>,
    places: Vec<u16>,
    /// The next row: sub-table, entry.
    next: (usize, usize),
    packer: Packer,
    /// The rows so far, together.
    listed: Box<Lump>,
    coarse: bool,
    latency: Vec<LatencyCell>,
    cells: Vec<EndpointCell>,
}

impl Sealing {
    /// Begins with a table of `slot`, which lasted from `from_ms` to before `to_ms`. `names` are the endpoints by their number,
    /// `bytes` is what the rows of the last one took: what grows while requests help is copied while one of them waits.
    pub(crate) fn new(
        table: Box<Table>,
        (slot, stripe): (i64, usize),
        source: u64,
        (from_ms, to_ms): (i64, i64),
        names: &[Arc<str>],
        (coarse, bytes): (bool, usize),
    ) -> Self {
        let mut head = Head::empty(source, from_ms, to_ms);
        head.slow_above = table.slow_line.fleet;
        head.aborted = table.aborted;
        let used = |i: &u16| table.endpoints[usize::from(*i)].counts[0] > 0;
        let mut endpoints: Vec<u16> = (0..table.endpoints.len() as u16).filter(used).collect();
        endpoints.sort_unstable_by(|&a, &b| names[usize::from(a)].cmp(&names[usize::from(b)]));
        let mut places = vec![0; table.endpoints.len()];
        for (place, &i) in endpoints.iter().enumerate() {
            places[usize::from(i)] = place as u16;
            let tally = &table.endpoints[usize::from(i)];
            head.endpoints.push(EndpointRow {
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
            head,
            endpoints,
            places,
            next: (0, 0),
            packer: Packer::with_capacity(bytes + bytes / 8),
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

    /// Does up to `steps` steps: an endpoint or a tenant each; one with a histogram in pages is worth two. Says whether that
    /// was all.
    pub(crate) fn advance(&mut self, steps: usize, ids: &mut Dictionary) -> bool {
        let mut left = steps;
        while left > 0 {
            // From the last to the first: while there are some, they are what is done.
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
        let prints = |hashes: &[u64; WITNESSES]| {
            let seen = hashes.iter().filter(|hash| **hash != 0);
            // A witness that has left the table since has no id any more; its hash might count it twice.
            let mut prints: Vec<u64> = seen.filter_map(|&hash| table.id_of(hash).map(fingerprint)).collect();
            prints.sort_unstable();
            prints.dedup();
            prints
        };
        let row = &mut self.head.endpoints[usize::from(self.places[i])];
        row.halves =
            tally.halves.iter().enumerate().filter(|(_, n)| **n > 0).map(|(half, &n)| (half as u8, n)).collect();
        (row.failing, row.lagging) = (prints(&tally.failing), prints(&tally.lagging));
    }

    /// Where the next row is: sub-table, entry.
    fn next_row(&mut self) -> Option<(usize, usize)> {
        let (mut sub, mut at) = self.next;
        while sub < Table::SUBTABLES {
            if at == 0 {
                self.table.settle(sub);
            }
            if at < self.table.entries_of(sub) {
                self.next = (sub, at);
                return Some((sub, at));
            }
            (sub, at) = (sub + 1, 0);
        }
        self.next = (sub, at);
        None
    }

    /// Says how many steps it was; `None` = there was none left.
    fn seal_row(&mut self, ids: &mut Dictionary) -> Option<usize> {
        let (sub, at) = self.next_row()?;
        self.next = (sub, at + 1);
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
        let sums = Sums {
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

    /// All of it, and the table to be used again. The rows are not sorted yet.
    pub(crate) fn finish(mut self, ids: &mut Dictionary) -> (Packed, Box<Table>) {
        while !self.advance(1_024, ids) {}
        let Self { table, mut head, packer, listed: mut whole, coarse, .. } = self;
        whole.join(&table.tail);
        (head.totals, head.tail, head.offset) = (whole.counts, table.tail.counts, table.offsets());
        (head.latency_sum_us, head.latency_max_us) = (whole.latency_sum_us, whole.latency_max_us);
        head.latency = cells_of(&whole.latency);
        head.latency.shrink_to_fit();
        (Packed { head, rows: packer.finish(), coarse }, table)
    }

    /// Bytes of what it has made so far.
    pub(crate) fn weight(&self) -> usize {
        self.packer.weight() + self.head.weight() + size_of::<Lump>()
    }
}
