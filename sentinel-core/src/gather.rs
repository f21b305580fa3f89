//! All that the blocks of a window say of one tenant: what a report shows of the few that it lists.

use crate::dictionary::Number;
use crate::head::{Cells, Recount, sum};
use crate::histogram::{LatencyCell, coarsen, count_above_of};
use crate::packed::Packed;
use crate::rows::Sums;
use crate::slot::WEIGHTS;
use std::sync::Arc;

/// A tenant over some blocks.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) sums: Sums,
    pub(crate) latency: Vec<LatencyCell>,
    /// Name, requests, errors; sorted by name.
    pub(crate) endpoints: Vec<(Arc<str>, u64, u64)>,
}

/// Adds up a tenant's rows. `offset` is what it may have had in all the blocks if it is in none; slow requests are counted
/// against `line`.
pub(crate) fn gather<'a>(
    number: Number,
    blocks: impl Iterator<Item = &'a Packed>,
    offset: [u64; WEIGHTS],
    line: u16,
) -> Gathered {
    let mut sums = Sums { bound: offset, ..Sums::default() };
    let (mut cells, mut latency) = (Cells::default(), Vec::new());
    let mut endpoints: Vec<(Arc<str>, u64, u64)> = Vec::new();
    for block in blocks {
        let Some(row) = block.rows.find(number) else {
            continue;
        };
        let (recount, own) = (Recount::new(&block.head, line), &row.sums);
        sums.counts = sum(sums.counts, recount.counts(own.counts, || count_above_of(row.latency(), line)));
        // Present here: its own bound instead of what an absent tenant may have.
        let (absent, present) = (recount.bound(block.head.offset), recount.bound(own.bound));
        sums.bound = std::array::from_fn(|m| sums.bound[m].saturating_sub(absent[m]).saturating_add(present[m]));
        sums.latency_sum_us = sums.latency_sum_us.saturating_add(own.latency_sum_us);
        sums.latency_max_us = sums.latency_max_us.max(own.latency_max_us);
        sums.endpoints_cut |= own.endpoints_cut;
        sums.coarse |= own.coarse;
        let mut own = row.endpoints();
        for cell in own.by_ref() {
            let name = &block.head.endpoints[usize::from(cell.endpoint)].name;
            // Blocks of one process share their names.
            let known = endpoints.iter().position(|(known, ..)| Arc::ptr_eq(known, name));
            let at = known.or_else(|| endpoints.iter().position(|(known, ..)| known == name)).unwrap_or_else(|| {
                endpoints.push((name.clone(), 0, 0));
                endpoints.len() - 1
            });
            let (_, requests, errors) = &mut endpoints[at];
            (*requests, *errors) = (*requests + u64::from(cell.requests), *errors + u64::from(cell.errors));
        }
        cells.add(own.latency());
    }
    endpoints.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
    cells.drain(&mut latency);
    if sums.coarse {
        coarsen(&mut latency);
    }
    Gathered { sums, latency, endpoints }
}
