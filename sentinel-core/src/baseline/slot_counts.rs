//! What one source counted in a slot, as the judges keep it: some five bytes for a tenant.

use crate::util::leb::{Reader, put};

/// Which of the two verdicts a count is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Errors,
    Latency,
}

/// Requests, errors, and requests above the key's own tail threshold. Differences wrap: a sum of them is right again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) n: u32,
    pub(crate) e: u32,
    pub(crate) s: u32,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        *self =
            Self { n: self.n.wrapping_add(other.n), e: self.e.wrapping_add(other.e), s: self.s.wrapping_add(other.s) };
    }

    pub(super) fn sub(&mut self, other: Self) {
        *self =
            Self { n: self.n.wrapping_sub(other.n), e: self.e.wrapping_sub(other.e), s: self.s.wrapping_sub(other.s) };
    }

    pub(crate) fn bad(self, side: Side) -> u32 {
        match side {
            Side::Errors => self.e,
            Side::Latency => self.s,
        }
    }
}

/// Counts by key, packed: the difference to the key before, then requests, errors and slow requests.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) source: u64,
    bytes: Box<[u8]>,
}

impl Part {
    /// Counts of the same key are added up.
    pub(crate) fn new(source: u64, mut rows: Vec<(u32, Tally)>) -> Self {
        rows.sort_unstable_by_key(|(i, _)| *i);
        rows.dedup_by(|row, kept| {
            let same = row.0 == kept.0;
            if same {
                kept.1.add(row.1);
            }
            same
        });
        let (mut bytes, mut last) = (Vec::with_capacity(rows.len() * 5), 0);
        for (i, Tally { n, e, s }) in rows {
            // Most tenants neither fail nor are slow.
            let quiet = e == 0 && s == 0;
            put(&mut bytes, u64::from(i - last) << 1 | u64::from(!quiet));
            put(&mut bytes, u64::from(n));
            if !quiet {
                put(&mut bytes, u64::from(e));
                put(&mut bytes, u64::from(s));
            }
            last = i;
        }
        Self { source, bytes: bytes.into() }
    }

    /// Counts in the order of the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Tally)> + '_ {
        let (mut reader, mut i) = (Reader(&self.bytes), 0);
        std::iter::from_fn(move || {
            if reader.0.is_empty() {
                return None;
            }
            let packed = reader.get();
            i += (packed >> 1) as u32;
            let mut tally = Tally { n: reader.get() as u32, ..Tally::default() };
            if packed & 1 != 0 {
                (tally.e, tally.s) = (reader.get() as u32, reader.get() as u32);
            }
            Some((i, tally))
        })
    }

    /// Bytes on the heap.
    pub(crate) fn weight(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn what_is_packed_is_read(rows in prop::collection::vec((0..500_u32, (0..=u32::MAX, 0..4_u32, 0..4_u32)), 0..100)) {
            let mut truth: BTreeMap<u32, Tally> = BTreeMap::new();
            let rows: Vec<(u32, Tally)> = rows.into_iter().map(|(i, (n, e, s))| (i * 7, Tally { n, e, s })).collect();
            rows.iter().for_each(|(i, tally)| truth.entry(*i).or_default().add(*tally));
            let part = Part::new(1, rows);
            prop_assert_eq!(part.iter().collect::<Vec<_>>(), truth.into_iter().collect::<Vec<_>>());
        }
    }
}
