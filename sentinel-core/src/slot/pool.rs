//! Pages of memory for the entries of a sub-table: further histogram cells and endpoint cells.
//!
//! Pages are numbered, not pointed to: a number fits into the 16 bits of a histogram cell, and an entry stays a plain value that a
//! purge can copy. The budget grants memory before the pool grows.

use crate::util::budget::Reserved;

/// Words of 32 bits in a page: a cache line.
pub(super) const PAGE_WORDS: usize = 16;
pub(super) type Page = [u32; PAGE_WORDS];
/// Pages that a pool may have: an entry names them by 16 bits.
pub(super) const MAX_PAGES: usize = if cfg!(test) { 1 << 10 } else { 1 << 16 };

/// Pages of sixteen words, which entries take and give back. Page 0 is never used.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// By number.
    pub(super) pages: Vec<Page>,
    /// Numbers of pages that have been given back.
    pub(super) free: Vec<u32>,
}

impl Pool {
    /// Makes sure that `pages` can be taken; `false` when memory or numbers are short.
    pub(super) fn has(&mut self, pages: usize, reserved: &mut Reserved) -> bool {
        let used = self.pages.len().max(1);
        let left = self.free.len() + self.pages.capacity().saturating_sub(used);
        self.free.len() + MAX_PAGES.saturating_sub(used) >= pages
            && (left >= pages || self.grow(pages - left, reserved))
    }

    /// Grows the pool by a quarter, but at most by 4,096 pages (a quarter of a megabyte) at a time: a request waits meanwhile.
    #[cold]
    fn grow(&mut self, least: usize, reserved: &mut Reserved) -> bool {
        let more = (self.pages.capacity() / 4).clamp(8, 4_096).max(least + 1);
        let more = more.min(MAX_PAGES.saturating_sub(self.pages.capacity()).max(least));
        let granted = reserved.grow(more * (size_of::<Page>() + size_of::<u32>()));
        if granted {
            self.pages.reserve_exact(self.pages.capacity() - self.pages.len() + more);
        }
        granted
    }

    /// Takes a page of zeros; `None` when memory or numbers are short.
    pub(super) fn take(&mut self, reserved: &mut Reserved) -> Option<u32> {
        if let Some(page) = self.free.pop() {
            self.pages[page as usize] = [0; PAGE_WORDS];
            return Some(page);
        }
        if self.pages.len() >= MAX_PAGES || self.pages.len().max(1) >= self.pages.capacity() && !self.grow(1, reserved)
        {
            return None;
        }
        if self.pages.is_empty() {
            self.pages.push([0; PAGE_WORDS]);
        }
        self.pages.push([0; PAGE_WORDS]);
        Some(self.pages.len() as u32 - 1)
    }

    /// Bytes of pages that have been taken.
    pub(crate) fn used_bytes(&self) -> usize {
        self.pages.len() * size_of::<Page>()
    }

    pub(crate) fn clear(&mut self) {
        self.pages.clear();
        self.free.clear();
    }
}
