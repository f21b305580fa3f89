//! Each tenant's sums over the blocks of a window: enough to rank by. A view follows the blocks that are added and removed;
//! `tenant_detail` gathers the rest for the few tenants that a report lists.

use crate::block::dictionary::Number;
use crate::block::packed::Packed;
use crate::block::summary::Recount;
use crate::slot::histogram::count_above_of;
use crate::slot::weights::Counts;

/// A tenant's sums over some blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TenantSum {
    pub(crate) counts: Counts<u64>,
    /// Sum of all latencies, µs.
    pub(crate) latency_sum_us: u64,
}

impl TenantSum {
    /// Adds, or subtracts. A difference may wrap: a sum of differences is right again.
    fn apply(&mut self, other: &Self, comes: bool) {
        let op = if comes { u64::wrapping_add } else { u64::wrapping_sub };
        self.counts = self.counts.zip(other.counts, op);
        self.latency_sum_us = op(self.latency_sum_us, other.latency_sum_us);
    }

    pub(crate) fn plus(mut self, other: &Self) -> Self {
        self.apply(other, true);
        self
    }
}

/// The sums of tenants over some blocks, by number.
#[derive(Debug)]
pub(crate) struct View {
    /// Requests in buckets above this one are slow.
    line: u16,
    /// By number, for a view that follows the window.
    sums: Vec<TenantSum>,
    /// In the order of the numbers, for a view of a part of the window, which does not follow.
    pairs: Vec<(Number, TenantSum)>,
    /// Slow requests of all tenants.
    pub(crate) slow: u64,
}

impl View {
    pub(crate) fn new(line: u16) -> Self {
        Self { line, sums: Vec::new(), pairs: Vec::new(), slow: 0 }
    }

    /// A view of blocks that does not follow them.
    pub(crate) fn of<'a>(blocks: impl Iterator<Item = &'a Packed> + Clone, line: u16) -> Self {
        let rows = blocks.clone().map(|block| block.rows.len()).sum();
        let mut pairs = Vec::with_capacity(rows);
        blocks.for_each(|block| pairs.extend(sums_of(block, line)));
        pairs.sort_unstable_by_key(|(number, _)| *number);
        pairs.dedup_by(|pair, kept| {
            let same = pair.0 == kept.0;
            if same {
                kept.1.apply(&pair.1, true);
            }
            same
        });
        pairs.shrink_to_fit();
        let slow = pairs.iter().map(|(_, sum)| sum.counts.slow).fold(0, u64::wrapping_add);
        Self { pairs, slow, ..Self::new(line) }
    }

    pub(crate) fn line(&self) -> u16 {
        self.line
    }

    /// Adds a block (`comes`), or subtracts it.
    pub(crate) fn apply(&mut self, block: &Packed, comes: bool) {
        let mut all = TenantSum::default();
        for (number, sum) in sums_of(block, self.line) {
            let at = number as usize;
            if at >= self.sums.len() {
                // Numbers come in no order: makes room for some more at once.
                let len = at + at / 8 + 64;
                self.sums.reserve_exact(len - self.sums.len());
                self.sums.resize(len, TenantSum::default());
            }
            self.sums[at].apply(&sum, comes);
            all.apply(&sum, true);
        }
        self.slow =
            if comes { self.slow.wrapping_add(all.counts.slow) } else { self.slow.wrapping_sub(all.counts.slow) };
    }

    /// Tenants with requests, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Number, TenantSum)> + '_ {
        let dense = self.sums.iter().enumerate().map(|(at, sum)| (at as Number, *sum));
        dense.filter(|(_, sum)| sum.counts.requests > 0).chain(self.pairs.iter().copied())
    }

    /// Bytes on the heap.
    pub(crate) fn weight(&self) -> usize {
        self.sums.capacity() * size_of::<TenantSum>() + self.pairs.capacity() * size_of::<(Number, TenantSum)>()
    }
}

/// The sums of a block's tenants in the order of their numbers, slow requests counted against `line`.
pub(crate) fn sums_of(block: &Packed, line: u16) -> impl Iterator<Item = (Number, TenantSum)> + '_ {
    let recount = Recount::new(&block.summary, line);
    block.rows.iter().map(move |row| {
        let counts = recount.counts(row.sums.counts, || count_above_of(row.latency(), line));
        (row.number, TenantSum { counts, latency_sum_us: row.sums.latency_sum_us })
    })
}

/// Unites two streams that are in the order of the numbers; a tenant of both is added up.
pub(crate) fn united<'a>(
    a: impl Iterator<Item = (Number, TenantSum)> + 'a,
    b: impl Iterator<Item = (Number, TenantSum)> + 'a,
) -> impl Iterator<Item = (Number, TenantSum)> + 'a {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some((i, _)), Some((j, _))) if i == j => {
            let (number, sum) = a.next()?;
            Some((number, sum.plus(&b.next()?.1)))
        }
        (Some((i, _)), Some((j, _))) if i > j => b.next(),
        (None, _) => b.next(),
        _ => a.next(),
    })
}
