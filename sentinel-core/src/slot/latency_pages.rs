//! The latency pages of a tenant: its histogram while requests are recorded.
//!
//! ```text
//! inline:  8 buckets │ 8 counts               a few latencies: 32 bytes in the entry
//!    │ a ninth bucket, or a count above 65,535
//!    ▼
//! spread:  page number of octave 4 … 18 │ page number of the list of further octaves
//!               │                                         │
//!               ▼                                         ▼
//!          16 counts, one a bucket               page numbers of octaves 0 … 3, 19 … ─► 16 counts each
//! ```
//!
//! Invariant: each bucket has one cell, and a page belongs to one entry. The octaves from 128 µs to 4.2 s, where latencies of
//! services lie, are named in the entry, so that a request of a known tenant finds its cell by one load and without a search.

use crate::slot::entry::{Entry, INLINE_CELLS};
use crate::slot::histogram::BUCKETS;
use crate::slot::pool::{PAGE_WORDS, Pool};
use crate::util::budget::Reserved;

/// Octaves of the histogram: each has 16 buckets and a page of its own.
pub(super) const OCTAVES: usize = BUCKETS / 16;
/// First octave whose page the entry names itself; the octave begins at 128 µs.
const FIRST_OCTAVE: usize = 4;
/// Octaves whose pages the entry names itself; the last one ends at 4.2 s.
pub(super) const DIRECT: usize = 15;

const _: () = assert!(DIRECT < 2 * INLINE_CELLS && OCTAVES - DIRECT <= PAGE_WORDS);

/// The place of the number of an octave's page: in the entry, or in the page that names the others.
#[derive(Debug, Clone, Copy)]
pub(super) enum Named {
    Directly(usize),
    Further(usize),
}

#[inline]
pub(super) fn named(octave: usize) -> Named {
    match octave.checked_sub(FIRST_OCTAVE) {
        None => Named::Further(octave),
        Some(direct) if direct < DIRECT => Named::Directly(direct),
        Some(_) => Named::Further(octave - DIRECT),
    }
}

impl Entry {
    /// Counts a latency in the histogram. `false` when there is no memory for a further page.
    pub(crate) fn add_latency(&mut self, bucket: u16, pool: &mut Pool, reserved: &mut Reserved) -> bool {
        if !self.is_spread {
            let cell = self.cell_place(bucket);
            let [buckets, counts] = &mut self.latency;
            let Some(cell) = cell.filter(|&cell| counts[cell] < u16::MAX) else {
                return self.spread(bucket, pool, reserved);
            };
            (buckets[cell], counts[cell]) = (bucket, counts[cell] + 1);
            return true;
        }
        self.add_to_page(bucket, 1, pool, reserved)
    }

    /// Moves the histogram from inline cells to pages, and counts a latency there.
    fn spread(&mut self, bucket: u16, pool: &mut Pool, reserved: &mut Reserved) -> bool {
        // A page for each cell, one for the new bucket and one that names others: all are there before anything moves.
        if !pool.has(INLINE_CELLS + 2, reserved) {
            return false;
        }
        let [buckets, counts] = std::mem::take(&mut self.latency);
        self.is_spread = true;
        let mut all = self.add_to_page(bucket, 1, pool, reserved);
        for (bucket, count) in buckets.into_iter().zip(counts) {
            if count > 0 {
                all &= self.add_to_page(bucket, u32::from(count), pool, reserved);
            }
        }
        all
    }

    fn add_to_page(&mut self, bucket: u16, count: u32, pool: &mut Pool, reserved: &mut Reserved) -> bool {
        let named = named(usize::from(bucket) / 16);
        let mut page = self.page(named, pool);
        if page == 0 {
            let Some(new) = self.new_page(named, pool, reserved) else {
                return false;
            };
            page = new;
        }
        let cell = &mut pool.pages[page][usize::from(bucket) % 16];
        *cell = cell.saturating_add(count);
        true
    }

    #[inline]
    pub(super) fn named_page(&self, at: usize) -> u16 {
        self.latency.as_flattened()[at]
    }

    pub(super) fn name_page(&mut self, at: usize, page: u32) {
        self.latency.as_flattened_mut()[at] = page as u16;
    }

    /// The page of an octave; 0 = none.
    pub(super) fn page(&self, named: Named, pool: &Pool) -> usize {
        match named {
            Named::Directly(at) => usize::from(self.named_page(at)),
            Named::Further(at) => match self.named_page(DIRECT) {
                0 => 0,
                further => pool.pages[usize::from(further)][at] as usize,
            },
        }
    }

    #[cold]
    pub(super) fn new_page(&mut self, named: Named, pool: &mut Pool, reserved: &mut Reserved) -> Option<usize> {
        let at = match named {
            Named::Directly(at) => {
                let page = pool.take(reserved)?;
                self.name_page(at, page);
                return Some(page as usize);
            }
            Named::Further(at) => at,
        };
        if self.named_page(DIRECT) == 0 {
            let further = pool.take(reserved)?;
            self.name_page(DIRECT, further);
        }
        let page = pool.take(reserved)?;
        pool.pages[usize::from(self.named_page(DIRECT))][at] = page;
        Some(page as usize)
    }
}
