//! Latency buckets: log-linear, 16 to each power of two, so that a bucket's middle is within 3.2 % of all that fell into it.
//!
//! Values are whole microseconds below 2³². Buckets 0–15 are the values 0–15 themselves; after them each power of two has 16.
//! A *half* is half an octave, [2ᵏ, 1.5·2ᵏ) or [1.5·2ᵏ, 2ᵏ⁺¹): the coarse grid that baselines and thresholds use; each is a union of buckets.

/// Buckets of one microsecond to 71 minutes.
pub(crate) const BUCKETS: usize = 464;
/// Halves of an octave over the same range.
pub(crate) const HALVES: usize = 64;
/// A threshold that nothing is above.
pub(crate) const NOTHING_ABOVE: u16 = BUCKETS as u16;

/// How many requests fell into a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LatencyCell {
    pub(crate) bucket: u16,
    pub(crate) count: u32,
}

/// The bucket of a latency.
#[inline]
pub(crate) fn bucket_of(us: u32) -> u16 {
    if us < 16 {
        return us as u16;
    }
    let octave = us.ilog2(); // 4..=31
    ((octave - 3) * 16 + (us >> (octave - 4) & 15)) as u16
}

/// The smallest latency of a bucket, in microseconds.
pub(crate) const fn lower_us(bucket: u16) -> u64 {
    let (group, step) = (bucket as u64 / 16, bucket as u64 % 16);
    if group == 0 { step } else { (16 + step) << (group - 1) }
}

/// The middle of a bucket, in microseconds: what a percentile in it is shown as. It is the harmonic one, 2·low·high / (low + high), whose
/// relative error is the same at both ends: 1/33. A coarse bucket is `wide` ones.
pub(crate) fn middle_us(bucket: u16, wide: u16) -> f64 {
    if bucket < 16 {
        return f64::from(bucket);
    }
    let (low, high) = (lower_us(bucket), lower_us(bucket + wide));
    2.0 * low as f64 * high as f64 / (low + high) as f64
}

/// The half octave of a bucket; 0 µs counts as 1 µs. From a table: it is asked for every request.
#[inline]
pub(crate) fn half_of(bucket: u16) -> u8 {
    const HALF: [u8; BUCKETS] = {
        let mut out = [0; BUCKETS];
        let mut bucket = 0;
        while bucket < BUCKETS {
            let low = if bucket == 0 { 1 } else { lower_us(bucket as u16) };
            let octave = low.ilog2();
            out[bucket] = (2 * octave) as u8 + (2 * low >= 3 << octave) as u8;
            bucket += 1;
        }
        out
    };
    HALF[usize::from(bucket)]
}

/// The smallest latency of a half, in microseconds.
pub(crate) fn half_lower_us(half: u8) -> f64 {
    let octave = 2.0_f64.powi(i32::from(half / 2));
    if half.is_multiple_of(2) { octave } else { 1.5 * octave }
}

/// The last bucket of a half: a latency is above the half exactly when its bucket is above this one.
pub(crate) fn last_bucket_of(half: u8) -> u16 {
    let next = u32::from(half) + 1;
    match (next / 2, next % 2) {
        (32.., _) => BUCKETS as u16 - 1,
        (0, _) => 1,
        (octave, 0) => bucket_of(1 << octave) - 1,
        (octave, _) => bucket_of(3 << (octave - 1)) - 1,
    }
}

/// Requests in buckets above `bucket`.
pub(crate) fn count_above(cells: &[LatencyCell], bucket: u16) -> u64 {
    let first = cells.partition_point(|cell| cell.bucket <= bucket);
    cells[first..].iter().map(|cell| u64::from(cell.count)).sum()
}

/// Requests in buckets above `bucket`, of cells that are read one by one.
pub(crate) fn count_above_of(cells: impl Iterator<Item = LatencyCell>, bucket: u16) -> u64 {
    cells.filter(|cell| cell.bucket > bucket).map(|cell| u64::from(cell.count)).sum()
}

/// Joins buckets two by two: 8 to a power of two, each named by the first of its two. Those below 16 µs stay.
pub(crate) fn coarsen(cells: &mut Vec<LatencyCell>) {
    for cell in cells.iter_mut().filter(|cell| cell.bucket >= 16) {
        cell.bucket &= !1;
    }
    cells.dedup_by(|cell, kept| {
        let same = cell.bucket == kept.bucket;
        if same {
            kept.count = kept.count.saturating_add(cell.count);
        }
        same
    });
}

/// Nearest-rank percentiles of sorted cells in milliseconds, none above `max_us`; `None` without a known latency.
/// The middle of a coarse bucket is that of two, within 6.3 %.
pub(crate) fn percentiles<const N: usize>(
    cells: &[LatencyCell],
    coarse: bool,
    max_us: u32,
    percents: [f64; N],
) -> [Option<f64>; N] {
    let total: u64 = cells.iter().map(|cell| u64::from(cell.count)).sum();
    percents.map(|percent| {
        let rank = (percent / 100.0 * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let cell = cells.iter().find(|cell| {
            seen += u64::from(cell.count);
            seen >= rank
        })?;
        Some(middle_us(cell.bucket, 1 + u16::from(coarse)).min(f64::from(max_us)) / 1_000.0)
    })
}

/// The cells of a dense histogram that hold something.
pub(crate) fn cells_of(dense: &[u32]) -> Vec<LatencyCell> {
    let filled = dense.iter().enumerate().filter(|(_, count)| **count > 0);
    filled.map(|(bucket, &count)| LatencyCell { bucket: bucket as u16, count }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_tile_the_range() {
        for bucket in 0..BUCKETS as u16 {
            let (low, high) = (lower_us(bucket), lower_us(bucket + 1));
            assert_eq!(bucket_of(low as u32), bucket);
            assert_eq!(bucket_of((high - 1) as u32), bucket);
            let middle = middle_us(bucket, 1);
            for exact in [low as f64, (high - 1) as f64] {
                assert!((middle - exact).abs() <= 0.0304 * exact, "{middle} for {exact}");
            }
        }
        assert_eq!(lower_us(BUCKETS as u16), 1 << 32);
        assert_eq!(bucket_of(u32::MAX), BUCKETS as u16 - 1);
    }

    #[test]
    fn coarse_buckets_are_two() {
        for us in (16..5_000_u32).chain([1 << 20, u32::MAX]) {
            let mut cells = vec![
                LatencyCell { bucket: bucket_of(us), count: 3 },
                LatencyCell { bucket: bucket_of(us) | 1, count: 4 },
            ];
            cells.dedup_by_key(|cell| cell.bucket);
            let count: u32 = cells.iter().map(|cell| cell.count).sum();
            coarsen(&mut cells);
            assert_eq!((cells.len(), cells[0].count), (1, count));
            let [Some(p50)] = percentiles(&cells, true, u32::MAX, [50.0]) else { panic!("no percentile") };
            assert!((p50 * 1_000.0 - f64::from(us)).abs() <= 0.063 * f64::from(us), "{p50} ms for {us} µs");
            // They lie within one half.
            assert_eq!(half_of(cells[0].bucket), half_of(bucket_of(us)));
        }
        let mut small: Vec<_> = (0..16).map(|bucket| LatencyCell { bucket, count: 1 }).collect();
        coarsen(&mut small);
        assert_eq!(small.len(), 16);
    }

    #[test]
    fn halves_are_unions_of_buckets() {
        for us in (1..70_000).chain([1 << 20, 3 << 19, (3 << 19) - 1, u32::MAX]) {
            let octave = us.ilog2();
            let exact = 2 * octave + u32::from(f64::from(us) >= 1.5 * f64::from(2u32).powi(octave as i32));
            assert_eq!(u32::from(half_of(bucket_of(us))), exact, "{us}");
        }
        assert_eq!(half_of(BUCKETS as u16 - 1), HALVES as u8 - 1);
        for half in 0..HALVES as u8 {
            let last = last_bucket_of(half);
            assert!(half_of(last) <= half && (last + 1 == BUCKETS as u16 || half_of(last + 1) > half));
        }
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let cells = [
            LatencyCell { bucket: 1, count: 50 },
            LatencyCell { bucket: 2, count: 45 },
            LatencyCell { bucket: 9, count: 5 },
        ];
        assert_eq!(
            percentiles(&cells, false, 9, [50.0, 51.0, 95.0, 96.0, 100.0]),
            [0.001, 0.002, 0.002, 0.009, 0.009].map(Some)
        );
        assert_eq!(percentiles(&[], false, 0, [50.0]), [None]);
        assert_eq!(count_above(&cells, 1), 50);
        assert_eq!(count_above(&cells, 9), 0);
    }
}
