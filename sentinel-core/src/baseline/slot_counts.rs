//! Counts of one source in one slot, as the judges keep them: some five bytes for a tenant.
//!
//! ```text
//! ring:          slot 1 │ slot 2 │ … │ slot N          one SourceCounts for each source of a slot
//!                           │
//! SourceCounts:  source │ row │ row │ row │ …           keys rise
//!                                │
//! row:           (key − key before) × 2 + bad │ requests │ errors, slow (only if bad = 1)        LEB128
//! ```
//!
//! The judges keep running sums over each of their windows. When a slot leaves a window its counts are subtracted, and when a
//! source sends a newer snapshot of a slot, or late events of it come, only that source's counts are replaced. So each slot must be
//! remembered as it was, by source, for the whole ring.
//!
//! Invariant: a window's sum is the sum of the slots in it. `u32` arithmetic wraps on purpose: an intermediate difference may be
//! below 0, and the sum of all additions and subtractions is right again. That needs every subtraction to take exactly
//! what was added, which is why a key has one row, and why rows are never rounded or cut.
//!
//! A row of numbers (key, requests, errors, slow) would take 16 bytes. Rows are only read from first to last, so nothing is lost
//! by packing them: most tenants neither fail nor are slow, so that a row is one byte for the key and one or two for the
//! requests.

use super::side::Side;
use crate::slot::weights::Counts;
use crate::util::wire::{TrustedReader, put};

/// Counts of a key in one slot or several. A request is slow here when it exceeds the key's own tail threshold, not the
/// fleet's slow line. Differences may wrap below zero; adding all of them up gives the right sum again.
pub(crate) type KeyCounts = Counts<u32>;

impl KeyCounts {
    /// Requests that are bad on a side.
    pub(crate) fn bad(self, side: Side) -> u32 {
        match side {
            Side::Errors => self.errors,
            Side::Latency => self.slow,
        }
    }

    /// Requests, and those of them that are bad on a side.
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

    /// The same counts as floating-point numbers, which can decay.
    pub(crate) fn exact(self) -> Observed<f64> {
        Observed { requests: f64::from(self.requests), bad: f64::from(self.bad) }
    }

    /// The same for wrapped differences: a count that was taken back becomes negative.
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

/// Counts that one source has in a slot, by key, in rising order of the keys. The window keeps them by source, so that
/// a newer snapshot of a source takes back exactly the counts of the older one.
///
/// ```text
/// key difference << 1 | has bad ones   requests   [errors   slow]     each one LEB128
/// ```
#[derive(Debug)]
pub(crate) struct SourceCounts {
    /// Id of the process that counted.
    pub(crate) source: u64,
    bytes: Box<[u8]>,
}

impl SourceCounts {
    /// Packs counts; rows of the same key are added up.
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
            // Most tenants have neither errors nor slow requests in a slot.
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

    /// Counts by key, in rising order of the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, KeyCounts)> + '_ {
        let (mut reader, mut i) = (TrustedReader(&self.bytes), 0);
        std::iter::from_fn(move || {
            if reader.0.is_empty() {
                return None;
            }
            let packed = reader.number();
            i += (packed >> 1) as u32;
            let mut counts = KeyCounts { requests: reader.number() as u32, ..KeyCounts::default() };
            if packed & 1 != 0 {
                counts.errors = reader.number() as u32;
                counts.slow = reader.number() as u32;
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
        fn packed_counts_are_read_back_summed_by_key(rows in prop::collection::vec((0..500_u32, (0..=u32::MAX, 0..4_u32, 0..4_u32)), 0..100)) {
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
