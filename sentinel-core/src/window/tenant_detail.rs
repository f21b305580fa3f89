//! Everything that the blocks of a window say about one tenant, for the few that a report lists.

use crate::block::dictionary::Number;
use crate::block::packed::Packed;
use crate::block::rows::RowSums;
use crate::block::summary::{Cells, Recount};
use crate::slot::histogram::{LatencyCell, coarsen, count_above_of};
use std::collections::HashMap;
use std::sync::Arc;

/// A tenant over some blocks.
#[derive(Debug, Clone)]
pub(crate) struct TenantDetail {
    pub(crate) sums: RowSums,
    /// In the order of the buckets.
    pub(crate) latency: Vec<LatencyCell>,
    /// Sorted by name.
    pub(crate) endpoints: Vec<EndpointDetail>,
}

/// A tenant's requests and errors at one endpoint, over some blocks.
#[derive(Debug, Clone)]
pub(crate) struct EndpointDetail {
    pub(crate) name: Arc<str>,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
}

impl TenantDetail {
    /// Adds up a tenant's rows, slow requests counted against `line`. A tenant that is absent from a block may have had the
    /// block's offset there.
    pub(crate) fn of<'a>(number: Number, blocks: impl Iterator<Item = &'a Packed>, line: u16) -> Self {
        let nothing = Self { sums: RowSums::default(), latency: Vec::new(), endpoints: Vec::new() };
        nothing.and(number, blocks, line)
    }

    /// Adds the tenant's rows in further blocks.
    pub(crate) fn and<'a>(mut self, number: Number, blocks: impl Iterator<Item = &'a Packed>, line: u16) -> Self {
        let Self { sums, latency, endpoints } = &mut self;
        let mut cells = Cells::default();
        cells.add(latency.drain(..));
        for block in blocks {
            let recount = Recount::new(&block.summary, line);
            let Some(row) = block.rows.find(number) else {
                sums.bound = sums.bound.saturating_add(recount.bound(block.summary.offset));
                continue;
            };
            let own = &row.sums;
            let counts = recount.counts(own.counts, || count_above_of(row.latency(), line));
            sums.counts = sums.counts.saturating_add(counts);
            sums.bound = sums.bound.saturating_add(recount.bound(own.bound));
            sums.bound.slow = sums.bound.slow.saturating_add(recount.unsure(&row, line));
            sums.latency_sum_us = sums.latency_sum_us.saturating_add(own.latency_sum_us);
            sums.latency_max_us = sums.latency_max_us.max(own.latency_max_us);
            sums.endpoints_cut |= own.endpoints_cut;
            sums.coarse |= own.coarse;
            let mut own = row.endpoints();
            for cell in own.by_ref() {
                let name = &block.summary.endpoints[usize::from(cell.endpoint)].name;
                // Blocks of one process share their names.
                let known = endpoints.iter().position(|known| Arc::ptr_eq(&known.name, name));
                let at =
                    known.or_else(|| endpoints.iter().position(|known| known.name == *name)).unwrap_or_else(|| {
                        endpoints.push(EndpointDetail { name: name.clone(), requests: 0, errors: 0 });
                        endpoints.len() - 1
                    });
                let own = &mut endpoints[at];
                own.requests += u64::from(cell.requests);
                own.errors += u64::from(cell.errors);
            }
            cells.add(own.latency());
        }
        endpoints.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        cells.drain(latency);
        if sums.coarse {
            coarsen(latency);
        }
        self
    }
}

/// Details over closed blocks of the tenants that were asked for lately; good as long as no block is added or removed.
#[derive(Debug, Default)]
pub(crate) struct TenantDetailCache {
    of: DetailKey,
    rows: HashMap<Number, TenantDetail>,
}

/// Details are good for one version of the window, one range of slots and one line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DetailKey {
    /// The window's version; see `Window::version`.
    pub(crate) version: u64,
    /// The first slot.
    pub(crate) first: i64,
    /// Requests in buckets above this one are slow.
    pub(crate) line: u16,
}

/// Tenants in the cache.
const MAX_CACHED_TENANTS: usize = 128;

impl TenantDetailCache {
    /// The cache, emptied unless it is for these blocks.
    pub(crate) fn for_blocks(self, of: DetailKey) -> Self {
        if self.of == of { self } else { Self { of, rows: HashMap::new() } }
    }

    /// A tenant's detail, gathered if the cache does not have it.
    pub(crate) fn row(&mut self, number: Number, gather: impl FnOnce() -> TenantDetail) -> TenantDetail {
        if let Some(known) = self.rows.get(&number) {
            return known.clone();
        }
        let row = gather();
        if self.rows.len() < MAX_CACHED_TENANTS {
            self.rows.insert(number, row.clone());
        }
        row
    }
}
