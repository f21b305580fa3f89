//! Latencies as an `HdrHistogram` interval log, which the tools of that ecosystem read.

use crate::slot::histogram::{LatencyCell, middle_us};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use std::time::{Duration, UNIX_EPOCH};

/// Significant decimal digits of the exported histogram; finer than the buckets (3.2 %), so the export adds no error.
const SIGNIFICANT_DIGITS: u8 = 3;
/// Longest latency, µs: 71 minutes, as everywhere.
const HIGHEST_US: u64 = 1 << 32;

/// A log with one interval, `[from_ms, to_ms)` in Unix ms. `None` only if the histogram library refuses.
pub(crate) fn log(cells: &[LatencyCell], coarse: bool, from_ms: i64, to_ms: i64) -> Option<String> {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, HIGHEST_US, SIGNIFICANT_DIGITS).ok()?;
    for cell in cells {
        histogram
            .record_n((middle_us(cell.bucket, 1 + u16::from(coarse)) as u64).max(1), u64::from(cell.count))
            .ok()?;
    }
    let start = Duration::from_millis(from_ms.max(0) as u64);
    let length = Duration::from_millis(to_ms.saturating_sub(from_ms).max(0) as u64);
    let (mut out, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let mut log = IntervalLogWriterBuilder::new();
    let mut writer = log
        .with_start_time(UNIX_EPOCH + start)
        .with_base_time(UNIX_EPOCH)
        .begin_log_with(&mut out, &mut serializer)
        .ok()?;
    writer.write_histogram(&histogram, start, length, None).ok()?;
    String::from_utf8(out).ok()
}
