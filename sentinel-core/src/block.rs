//! A block: a closed slot, immutable, sorted, and the one unit of everything after it.
//!
//! The window is a merge of blocks, another process is more blocks, a late event is one more small block. Merging adds counts
//! and bounds: who is absent from a block may have been there up to its `offset`. (Agarwal et al., TODS 2013.)

use crate::endpoint::OTHER;
use crate::histogram::{BUCKETS, LatencyCell, NOTHING_ABOVE, cells_of, count_above};
use crate::slot::{EndpointCell, Table, WEIGHTS, WITNESSES, raised};
use crate::tenant::{TenantId, fingerprint};
use std::sync::Arc;

/// One tenant in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: TenantId,
    /// Requests, errors, slow requests.
    pub(crate) counts: [u64; WEIGHTS],
    /// What each count may be short of the truth.
    pub(crate) bound: [u64; WEIGHTS],
    pub(crate) latency_sum_us: u64,
    pub(crate) latency_max_us: u32,
    /// An error at an endpoint is in no cell: the endpoint's errors are a lower bound.
    pub(crate) endpoints_cut: bool,
    latency: (u32, u32),
    endpoints: (u32, u32),
}

impl Row {
    /// A row that [`Block::push`] gives its cells.
    pub(crate) fn new(
        id: TenantId,
        counts: [u64; WEIGHTS],
        bound: [u64; WEIGHTS],
        (sum_us, max_us): (u64, u32),
        endpoints_cut: bool,
    ) -> Self {
        Self {
            id,
            counts,
            bound,
            latency_sum_us: sum_us,
            latency_max_us: max_us,
            endpoints_cut,
            latency: (0, 0),
            endpoints: (0, 0),
        }
    }
}

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

/// A closed slot, or several merged: what tenants did in `[from_ms, to_ms)`.
///
/// ```
/// use sentinel_core::{Block, Clock, Event, Sentinel};
///
/// let worker = Sentinel::builder().clock(Clock::manual(1_700_000_000_000)).build()?;
/// worker.record(Event { tenant: b"acme", endpoint: "/v1/process", status: 500, ..Event::default() });
/// let bytes = worker.blocks()[0].encode();
///
/// let answering = Sentinel::builder().clock(Clock::manual(1_700_000_000_000)).build()?;
/// answering.merge(Block::decode(&bytes)?)?;
/// assert_eq!(answering.report(Default::default()).totals.errors, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
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
    /// Sorted by id.
    pub(crate) rows: Vec<Row>,
    latency_cells: Vec<LatencyCell>,
    endpoint_cells: Vec<EndpointCell>,
}

impl Block {
    /// A block of nothing.
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
            rows: Vec::new(),
            latency_cells: Vec::new(),
            endpoint_cells: Vec::new(),
        }
    }

    /// Start of the time it covers, in Unix ms.
    ///
    /// ```
    /// # use sentinel_core::{Clock, Event, Sentinel};
    /// # let sentinel = Sentinel::builder().clock(Clock::manual(1_700_000_004_000)).build()?;
    /// # sentinel.record(Event::default());
    /// let block = &sentinel.blocks()[0];
    /// assert_eq!((block.from_ms(), block.to_ms()), (1_700_000_000_000, 1_700_000_010_000));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn from_ms(&self) -> i64 {
        self.from_ms
    }

    /// End of the time it covers (exclusive), in Unix ms; see [`Block::from_ms`].
    ///
    /// ```
    /// # use sentinel_core::{Clock, Event, Sentinel};
    /// # let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
    /// # sentinel.record(Event::default());
    /// assert_eq!(sentinel.blocks()[0].to_ms(), 10_000);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn to_ms(&self) -> i64 {
        self.to_ms
    }

    /// Id of the process that counted it.
    ///
    /// ```
    /// # use sentinel_core::{Event, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// # sentinel.record(Event::default());
    /// assert_eq!(sentinel.blocks()[0].source(), sentinel.source());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn source(&self) -> u64 {
        self.source
    }

    /// Requests in it, the tail included.
    ///
    /// ```
    /// # use sentinel_core::{Event, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// # sentinel.record(Event::default());
    /// assert_eq!(sentinel.blocks()[0].requests(), 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn requests(&self) -> u64 {
        self.totals[0]
    }

    /// The row of a tenant.
    pub(crate) fn row(&self, id: &[u8]) -> Option<&Row> {
        let at = self.rows.binary_search_by(|row| row.id.as_bytes().cmp(id)).ok()?;
        self.rows.get(at)
    }

    pub(crate) fn latency_of(&self, row: &Row) -> &[LatencyCell] {
        &self.latency_cells[row.latency.0 as usize..row.latency.1 as usize]
    }

    /// Cells of a tenant's endpoints; `endpoint` is a place in `self.endpoints`.
    pub(crate) fn endpoints_of(&self, row: &Row) -> &[EndpointCell] {
        &self.endpoint_cells[row.endpoints.0 as usize..row.endpoints.1 as usize]
    }

    /// Appends a row; its id must be above those before it.
    pub(crate) fn push(&mut self, row: Row, latency: &[LatencyCell], endpoints: &[EndpointCell]) {
        let (a, b) = (self.latency_cells.len() as u32, self.endpoint_cells.len() as u32);
        self.latency_cells.extend_from_slice(latency);
        self.endpoint_cells.extend_from_slice(endpoints);
        let row = Row { latency: (a, a + latency.len() as u32), endpoints: (b, b + endpoints.len() as u32), ..row };
        self.rows.push(row);
    }

    /// Makes sure that tenants have a row, though they may have done nothing yet.
    pub(crate) fn list(&mut self, ids: impl Iterator<Item = TenantId>) {
        let absent: Vec<TenantId> = ids.filter(|id| self.row(id.as_bytes()).is_none()).collect();
        let offset = self.offset;
        self.rows.extend(absent.into_iter().map(|id| Row::new(id, [0; WEIGHTS], offset, (0, 0), false)));
        self.rows.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    }

    /// Seals a table: sorted, its endpoints by name.
    pub(crate) fn seal(
        table: &Table,
        source: u64,
        (from_ms, to_ms): (i64, i64),
        names: &[Arc<str>],
        mut intern: impl FnMut(&[u8]) -> TenantId,
    ) -> Self {
        let mut block = Self::empty(source, from_ms, to_ms);
        block.slow_above = table.slow_line.fleet;
        (block.aborted, block.latency_sum_us, block.latency_max_us) =
            (table.aborted, table.latency_sum_us, table.latency_max_us);
        (block.totals, block.tail, block.offset) = (table.totals, table.tail, table.offsets());
        block.latency = cells_of(&table.latency[..]);
        let mut used: Vec<usize> = (0..table.endpoints.len()).filter(|&i| table.endpoints[i].counts[0] > 0).collect();
        used.sort_unstable_by(|&a, &b| names[a].cmp(&names[b]));
        let mut place = vec![0; table.endpoints.len()];
        for (at, &i) in used.iter().enumerate() {
            place[i] = at as u16;
            let tally = &table.endpoints[i];
            let halves =
                tally.halves.iter().enumerate().filter(|(_, n)| **n > 0).map(|(half, &n)| (half as u8, n)).collect();
            let prints = |hashes: &[u64; WITNESSES]| {
                let seen = hashes.iter().filter(|hash| **hash != 0);
                // A witness that has left the table since has no id any more; its hash might count it twice.
                let mut prints: Vec<u64> = seen.filter_map(|&hash| table.id_of(hash).map(fingerprint)).collect();
                prints.sort_unstable();
                prints.dedup();
                prints
            };
            block.endpoints.push(EndpointRow {
                name: names[i].clone(),
                counts: tally.counts.map(u64::from),
                halves,
                failing: prints(&tally.failing),
                lagging: prints(&tally.lagging),
            });
        }
        let mut rows: Vec<_> = table.rows().collect();
        rows.sort_unstable_by(|a, b| a.id().cmp(b.id()));
        let (mut latency, mut endpoints) = (Vec::new(), Vec::new());
        for view in rows {
            latency.clear();
            endpoints.clear();
            view.latency(&mut latency);
            view.endpoints(&mut endpoints);
            for cell in &mut endpoints {
                cell.endpoint = place[usize::from(cell.endpoint)];
            }
            endpoints.sort_unstable_by_key(|cell| cell.endpoint);
            let latencies = (view.latency_sum_us(), view.latency_max_us());
            let row = Row::new(intern(view.id()), view.counts(), view.base(), latencies, view.endpoints_cut());
            block.push(row, &latency, &endpoints);
        }
        block
    }

    /// The sum of blocks, in any order and grouping. Slow requests are recounted against `slow_above`.
    pub(crate) fn merge(blocks: &[&Self], slow_above: u16) -> Self {
        let from_ms = blocks.iter().map(|block| block.from_ms).min().unwrap_or(0);
        let to_ms = blocks.iter().map(|block| block.to_ms).max().unwrap_or(0);
        let mut out = Self::empty(blocks.first().map_or(0, |block| block.source), from_ms, to_ms);
        out.slow_above = slow_above;
        let recounts: Vec<Recount> = blocks.iter().map(|block| Recount::new(block, slow_above)).collect();
        let mut fleet = Cells::default();
        for (block, recount) in blocks.iter().zip(&recounts) {
            out.aborted = out.aborted.saturating_add(block.aborted);
            out.latency_sum_us = out.latency_sum_us.saturating_add(block.latency_sum_us);
            out.latency_max_us = out.latency_max_us.max(block.latency_max_us);
            out.totals = sum(out.totals, recount.counts(block.totals, &block.latency));
            out.tail = sum(out.tail, recount.tail);
            out.offset = sum(out.offset, recount.bound(block.offset));
            fleet.add(&block.latency);
        }
        fleet.drain(&mut out.latency);
        let places = out.merge_endpoints(blocks);
        out.merge_rows(blocks, &recounts, &places);
        // What the rows recount above the line may exceed what the tail was thought to hold.
        let listed = out.rows.iter().fold(0, |slow: u64, row| slow.saturating_add(row.counts[2]));
        out.totals[2] = out.totals[2].max(listed);
        out.tail[2] = out.totals[2] - listed;
        out
    }

    /// Unites the endpoints; says for each block where its endpoints went.
    fn merge_endpoints(&mut self, blocks: &[&Self]) -> Vec<Vec<u16>> {
        let mut names: Vec<&Arc<str>> =
            blocks.iter().flat_map(|block| block.endpoints.iter().map(|row| &row.name)).collect();
        names.sort_unstable();
        names.dedup();
        let empty = |name: Arc<str>| EndpointRow {
            name,
            counts: [0; WEIGHTS],
            halves: Vec::new(),
            failing: Vec::new(),
            lagging: Vec::new(),
        };
        if names.len() > MAX_ENDPOINTS {
            names.truncate(MAX_ENDPOINTS - 1);
            self.endpoints = names.into_iter().cloned().map(empty).collect();
            if let Err(at) = self.endpoints.binary_search_by(|row| (*row.name).cmp(OTHER)) {
                self.endpoints.insert(at, empty(OTHER.into()));
            }
        } else {
            self.endpoints = names.into_iter().cloned().map(empty).collect();
        }
        let other = self.endpoints.binary_search_by(|row| (*row.name).cmp(OTHER)).unwrap_or(0);
        let mut out = Vec::with_capacity(blocks.len());
        for block in blocks {
            let mut places = Vec::with_capacity(block.endpoints.len());
            for row in &block.endpoints {
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
            for prints in [&mut row.failing, &mut row.lagging] {
                prints.sort_unstable();
                prints.dedup();
                prints.truncate(WITNESSES);
            }
        }
        out
    }

    fn merge_rows(&mut self, blocks: &[&Self], recounts: &[Recount], places: &[Vec<u16>]) {
        let every = blocks.iter().enumerate().flat_map(|(b, block)| block.rows.iter().map(move |row| (b, row)));
        let mut every: Vec<(usize, &Row)> = every.collect();
        every.sort_unstable_by(|(_, a), (_, b)| a.id.cmp(&b.id));
        let (mut cells, mut latency) = (Cells::default(), Vec::new());
        let mut endpoints: Vec<EndpointCell> = Vec::new();
        for same in every.chunk_by(|(_, a), (_, b)| a.id == b.id) {
            let mut row = Row::new(same[0].1.id.clone(), [0; WEIGHTS], self.offset, (0, 0), false);
            endpoints.clear();
            for &(b, part) in same {
                let (block, recount) = (blocks[b], &recounts[b]);
                let own = block.latency_of(part);
                row.counts = sum(row.counts, recount.counts(part.counts, own));
                // Present here: its own bound instead of what an absent tenant may have.
                let (absent, present) = (recount.bound(block.offset), recount.bound(part.bound));
                row.bound = std::array::from_fn(|m| row.bound[m].saturating_sub(absent[m]).saturating_add(present[m]));
                row.latency_sum_us = row.latency_sum_us.saturating_add(part.latency_sum_us);
                row.latency_max_us = row.latency_max_us.max(part.latency_max_us);
                row.endpoints_cut |= part.endpoints_cut;
                cells.add(own);
                let moved = block
                    .endpoints_of(part)
                    .iter()
                    .map(|cell| EndpointCell { endpoint: places[b][usize::from(cell.endpoint)], ..*cell });
                endpoints.extend(moved);
            }
            latency.clear();
            cells.drain(&mut latency);
            endpoints.sort_unstable_by_key(|cell| cell.endpoint);
            endpoints.dedup_by(|cell, kept| {
                let same = cell.endpoint == kept.endpoint;
                if same {
                    kept.requests = kept.requests.saturating_add(cell.requests);
                    kept.errors = kept.errors.saturating_add(cell.errors);
                }
                same
            });
            self.push(row, &latency, &endpoints);
        }
    }

    /// At most half the rows, by the table's own rule: offsets rise, and who lies within all of them joins the tail.
    pub(crate) fn halved(&self) -> Option<Self> {
        let places = self.rows.len() / (2 * WEIGHTS);
        if places == 0 {
            return None;
        }
        let upper: Vec<[u64; WEIGHTS]> = self.rows.iter().map(|row| sum(row.counts, row.bound)).collect();
        let offset = raised(&upper, self.offset, [places; WEIGHTS]);
        let (rows, cells) = (Vec::new(), (Vec::new(), Vec::new()));
        let mut out = Self {
            rows,
            latency_cells: cells.0,
            endpoint_cells: cells.1,
            offset,
            endpoints: self.endpoints.clone(),
            latency: self.latency.clone(),
            ..*self
        };
        for (row, upper) in self.rows.iter().zip(&upper) {
            if (0..WEIGHTS).any(|m| upper[m] > offset[m]) {
                out.push(row.clone(), self.latency_of(row), self.endpoints_of(row));
            } else {
                out.tail = sum(out.tail, row.counts);
            }
        }
        Some(out.fitted())
    }

    /// Gives back what its growth has reserved too much.
    pub(crate) fn fitted(mut self) -> Self {
        self.rows.shrink_to_fit();
        self.latency_cells.shrink_to_fit();
        self.endpoint_cells.shrink_to_fit();
        self
    }

    /// Bytes of memory, near enough to budget by.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>()
            + self.rows.len() * (size_of::<Row>() + 40)
            + self.latency_cells.len() * size_of::<LatencyCell>()
            + self.endpoint_cells.len() * size_of::<EndpointCell>()
            + self.endpoints.iter().map(|row| size_of::<EndpointRow>() + row.halves.len() * 8 + 48).sum::<usize>()
            + self.latency.len() * size_of::<LatencyCell>()
    }
}

/// Endpoints that a merged block may name; further ones share `other`.
pub(crate) const MAX_ENDPOINTS: usize = 4_096;

fn sum(a: [u64; WEIGHTS], b: [u64; WEIGHTS]) -> [u64; WEIGHTS] {
    std::array::from_fn(|m| a[m].saturating_add(b[m]))
}

/// How the slow requests of a block are counted against another line.
#[derive(Debug, Clone, Copy)]
struct Recount {
    /// The line, when it is not the block's own.
    line: Option<u16>,
    /// A stricter line only lowers what may be missing; for a looser one any missing request may be slow.
    looser: bool,
    tail: [u64; WEIGHTS],
}

impl Recount {
    fn new(block: &Block, line: u16) -> Self {
        let mut out = Self { line: None, looser: false, tail: block.tail };
        if block.slow_above != line {
            (out.line, out.looser) = (Some(line), line < block.slow_above);
            out.tail[2] = 0; // known from the whole and the rows, once they are recounted
        }
        out
    }

    fn counts(&self, counts: [u64; WEIGHTS], latency: &[LatencyCell]) -> [u64; WEIGHTS] {
        match self.line {
            Some(line) => [counts[0], counts[1], count_above(latency, line)],
            None => counts,
        }
    }

    fn bound(&self, bound: [u64; WEIGHTS]) -> [u64; WEIGHTS] {
        if self.looser { [bound[0], bound[1], bound[0]] } else { bound }
    }
}

/// A dense histogram that is filled and emptied over and over.
#[derive(Debug)]
struct Cells {
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
    fn add(&mut self, cells: &[LatencyCell]) {
        if let (Some(first), Some(last)) = (cells.first(), cells.last()) {
            let (from, to) = self.used;
            self.used = (from.min(usize::from(first.bucket)), to.max(usize::from(last.bucket) + 1));
        }
        for cell in cells {
            let count = &mut self.dense[usize::from(cell.bucket)];
            *count = count.saturating_add(cell.count);
        }
    }

    fn drain(&mut self, out: &mut Vec<LatencyCell>) {
        let (from, to) = std::mem::replace(&mut self.used, (BUCKETS, 0));
        for bucket in from..to {
            let count = std::mem::take(&mut self.dense[bucket]);
            if count > 0 {
                out.push(LatencyCell { bucket: bucket as u16, count });
            }
        }
    }
}
