//! All that the blocks of a window say of one tenant: what a report shows of the few that it lists.

use crate::block::dictionary::Number;
use crate::block::packed::Packed;
use crate::block::rows::Sums;
use crate::block::summary::{Cells, Recount, sum};
use crate::slot::histogram::{LatencyCell, coarsen, count_above_of};
use std::collections::HashMap;
use std::sync::Arc;

/// A tenant over some blocks.
#[derive(Debug, Clone)]
pub(crate) struct Gathered {
    pub(crate) sums: Sums,
    pub(crate) latency: Vec<LatencyCell>,
    /// Name, requests, errors; sorted by name.
    pub(crate) endpoints: Vec<(Arc<str>, u64, u64)>,
}

impl Gathered {
    /// Adds up a tenant's rows, slow requests counted against `line`. Who is absent from a block may have had its offset there.
    pub(crate) fn of<'a>(number: Number, blocks: impl Iterator<Item = &'a Packed>, line: u16) -> Self {
        let nothing = Self { sums: Sums::default(), latency: Vec::new(), endpoints: Vec::new() };
        nothing.and(number, blocks, line)
    }

    /// The same with further blocks.
    pub(crate) fn and<'a>(mut self, number: Number, blocks: impl Iterator<Item = &'a Packed>, line: u16) -> Self {
        let Self { sums, latency, endpoints } = &mut self;
        let mut cells = Cells::default();
        cells.add(latency.drain(..));
        for block in blocks {
            let recount = Recount::new(&block.head, line);
            let Some(row) = block.rows.find(number) else {
                sums.bound = sum(sums.bound, recount.bound(block.head.offset));
                continue;
            };
            let own = &row.sums;
            sums.counts = sum(sums.counts, recount.counts(own.counts, || count_above_of(row.latency(), line)));
            sums.bound = sum(sums.bound, recount.bound(own.bound));
            sums.bound[2] = sums.bound[2].saturating_add(recount.unsure(&row, line));
            sums.latency_sum_us = sums.latency_sum_us.saturating_add(own.latency_sum_us);
            sums.latency_max_us = sums.latency_max_us.max(own.latency_max_us);
            sums.endpoints_cut |= own.endpoints_cut;
            sums.coarse |= own.coarse;
            let mut own = row.endpoints();
            for cell in own.by_ref() {
                let name = &block.head.endpoints[usize::from(cell.endpoint)].name;
                // Blocks of one process share their names.
                let known = endpoints.iter().position(|(known, ..)| Arc::ptr_eq(known, name));
                let at =
                    known.or_else(|| endpoints.iter().position(|(known, ..)| known == name)).unwrap_or_else(|| {
                        endpoints.push((name.clone(), 0, 0));
                        endpoints.len() - 1
                    });
                let (_, requests, errors) = &mut endpoints[at];
                (*requests, *errors) = (*requests + u64::from(cell.requests), *errors + u64::from(cell.errors));
            }
            cells.add(own.latency());
        }
        endpoints.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
        cells.drain(latency);
        if sums.coarse {
            coarsen(latency);
        }
        self
    }
}

/// What closed blocks say of the tenants that were asked for lately; good as long as no block comes or goes.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// The window's version, its first slot, the line.
    of: (u64, i64, u16),
    rows: HashMap<Number, Gathered>,
}

/// Tenants on the shelf.
const MOST: usize = 128;

impl Shelf {
    /// Empty, unless it holds just these blocks.
    pub(crate) fn for_blocks(self, version: u64, first: i64, line: u16) -> Self {
        let of = (version, first, line);
        if self.of == of { self } else { Self { of, rows: HashMap::new() } }
    }

    /// A tenant's row, gathered if it is not here.
    pub(crate) fn row(&mut self, number: Number, gather: impl FnOnce() -> Gathered) -> Gathered {
        if let Some(known) = self.rows.get(&number) {
            return known.clone();
        }
        let row = gather();
        if self.rows.len() < MOST {
            self.rows.insert(number, row.clone());
        }
        row
    }
}
