//! What the blocks of a window amount to for each tenant: enough to rank by. It is kept up as blocks come and go; what a report
//! shows of the few it lists is gathered from the blocks.

use crate::block::dictionary::Number;
use crate::block::packed::Packed;
use crate::block::summary::Recount;
use crate::slot::histogram::count_above_of;
use crate::slot::weights::WEIGHTS;

/// A tenant's sums over some blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) counts: [u64; WEIGHTS],
    pub(crate) latency_sum_us: u64,
}

impl Sum {
    /// Differences wrap: a sum of them is right again.
    fn apply(&mut self, other: &Self, comes: bool) {
        let op = if comes { u64::wrapping_add } else { u64::wrapping_sub };
        self.counts = std::array::from_fn(|m| op(self.counts[m], other.counts[m]));
        self.latency_sum_us = op(self.latency_sum_us, other.latency_sum_us);
    }

    pub(crate) fn plus(mut self, other: &Self) -> Self {
        self.apply(other, true);
        self
    }
}

/// Sums by number.
#[derive(Debug)]
pub(crate) struct View {
    /// Requests in buckets above this one are slow.
    line: u16,
    sums: Vec<Sum>,
    /// Instead, for a part of the window that is looked at once: in the order of the numbers.
    pairs: Vec<(Number, Sum)>,
    /// Slow requests of everybody.
    pub(crate) slow: u64,
}

impl View {
    pub(crate) fn new(line: u16) -> Self {
        Self { line, sums: Vec::new(), pairs: Vec::new(), slow: 0 }
    }

    /// Over blocks that are looked at once.
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
        let slow = pairs.iter().map(|(_, sum)| sum.counts[2]).fold(0, u64::wrapping_add);
        Self { pairs, slow, ..Self::new(line) }
    }

    pub(crate) fn line(&self) -> u16 {
        self.line
    }

    /// A block comes, or goes.
    pub(crate) fn apply(&mut self, block: &Packed, comes: bool) {
        let mut all = Sum::default();
        for (number, sum) in sums_of(block, self.line) {
            let at = number as usize;
            if at >= self.sums.len() {
                // Numbers come in no order: room for some more at once.
                let len = at + at / 8 + 64;
                self.sums.reserve_exact(len - self.sums.len());
                self.sums.resize(len, Sum::default());
            }
            self.sums[at].apply(&sum, comes);
            all.apply(&sum, true);
        }
        self.slow = if comes { self.slow.wrapping_add(all.counts[2]) } else { self.slow.wrapping_sub(all.counts[2]) };
    }

    /// Tenants with requests, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Number, Sum)> + '_ {
        let dense = self.sums.iter().enumerate().map(|(at, sum)| (at as Number, *sum));
        dense.filter(|(_, sum)| sum.counts[0] > 0).chain(self.pairs.iter().copied())
    }

    /// Bytes on the heap.
    pub(crate) fn weight(&self) -> usize {
        self.sums.capacity() * size_of::<Sum>() + self.pairs.capacity() * size_of::<(Number, Sum)>()
    }
}

/// What each tenant of a block has, slow requests counted against `line`; in the order of their numbers.
pub(crate) fn sums_of(block: &Packed, line: u16) -> impl Iterator<Item = (Number, Sum)> + '_ {
    let recount = Recount::new(&block.head, line);
    block.rows.iter().map(move |row| {
        let counts = recount.counts(row.sums.counts, || count_above_of(row.latency(), line));
        (row.number, Sum { counts, latency_sum_us: row.sums.latency_sum_us })
    })
}

/// Two streams in the order of numbers as one; who is in both is added up.
pub(crate) fn united<'a>(
    a: impl Iterator<Item = (Number, Sum)> + 'a,
    b: impl Iterator<Item = (Number, Sum)> + 'a,
) -> impl Iterator<Item = (Number, Sum)> + 'a {
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
