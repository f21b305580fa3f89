//! What one source counted in a slot, as the judges keep it: some five bytes for a tenant.

use crate::slot::weights::Counts;
use crate::util::leb::{LebReader, put};

/// Which of the two verdicts a count is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Errors,
    Latency,
}

/// Counts of a key in one slot or several. Slow requests are those above the key's own tail threshold, not the fleet's.
/// A difference may wrap: a sum of differences is right again.
pub(crate) type KeyCounts = Counts<u32>;

impl KeyCounts {
    /// The requests that are bad on a side.
    pub(crate) fn bad(self, side: Side) -> u32 {
        match side {
            Side::Errors => self.errors,
            Side::Latency => self.slow,
        }
    }

    /// The requests, and the bad ones of a side.
    pub(crate) fn on(self, side: Side) -> Observed<u32> {
        Observed { requests: self.requests, bad: self.bad(side) }
    }
}

/// Requests, and how many of them were bad on one side.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Observed<T> {
    pub(crate) requests: T,
    pub(crate) bad: T,
}

impl Observed<u32> {
    pub(super) fn wrapping_add(self, other: Self) -> Self {
        Self { requests: self.requests.wrapping_add(other.requests), bad: self.bad.wrapping_add(other.bad) }
    }

    pub(super) fn wrapping_sub(self, other: Self) -> Self {
        Self { requests: self.requests.wrapping_sub(other.requests), bad: self.bad.wrapping_sub(other.bad) }
    }

    /// As fractions, which decay.
    pub(crate) fn exact(self) -> Observed<f64> {
        Observed { requests: f64::from(self.requests), bad: f64::from(self.bad) }
    }

    /// The same for differences: counts that were taken back are negative.
    pub(super) fn signed(self) -> Observed<f64> {
        Observed { requests: f64::from(self.requests as i32), bad: f64::from(self.bad as i32) }
    }
}

impl Observed<f64> {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, bad: self.bad + other.bad }
    }

    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self { requests: self.requests * factor, bad: self.bad * factor }
    }
}

/// Counts by key, packed: the difference to the key before, then requests, errors and slow requests.
#[derive(Debug)]
pub(crate) struct SourceCounts {
    pub(crate) source: u64,
    bytes: Box<[u8]>,
}

impl SourceCounts {
    /// Counts of the same key are added up.
    pub(crate) fn new(source: u64, mut rows: Vec<(u32, KeyCounts)>) -> Self {
        rows.sort_unstable_by_key(|(i, _)| *i);
        rows.dedup_by(|row, kept| {
            let same = row.0 == kept.0;
            if same {
                kept.1 = kept.1.wrapping_add(row.1);
            }
            same
        });
        let (mut bytes, mut last) = (Vec::with_capacity(rows.len() * 5), 0);
        for (i, KeyCounts { requests, errors, slow }) in rows {
            // Most tenants neither fail nor are slow.
            let quiet = errors == 0 && slow == 0;
            put(&mut bytes, u64::from(i - last) << 1 | u64::from(!quiet));
            put(&mut bytes, u64::from(requests));
            if !quiet {
                put(&mut bytes, u64::from(errors));
                put(&mut bytes, u64::from(slow));
            }
            last = i;
        }
        Self { source, bytes: bytes.into() }
    }

    /// Counts in the order of the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, KeyCounts)> + '_ {
        let (mut reader, mut i) = (LebReader(&self.bytes), 0);
        std::iter::from_fn(move || {
            if reader.0.is_empty() {
                return None;
            }
            let packed = reader.get();
            i += (packed >> 1) as u32;
            let mut counts = KeyCounts { requests: reader.get() as u32, ..KeyCounts::default() };
            if packed & 1 != 0 {
                counts.errors = reader.get() as u32;
                counts.slow = reader.get() as u32;
            }
            Some((i, counts))
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
            let mut truth: BTreeMap<u32, KeyCounts> = BTreeMap::new();
            let counts = |(requests, errors, slow)| KeyCounts { requests, errors, slow };
            let rows: Vec<(u32, KeyCounts)> = rows.into_iter().map(|(i, row)| (i * 7, counts(row))).collect();
            for (i, counts) in &rows {
                let sum = truth.entry(*i).or_default();
                *sum = sum.wrapping_add(*counts);
            }
            let packed = SourceCounts::new(1, rows);
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), truth.into_iter().collect::<Vec<_>>());
        }
    }
}
