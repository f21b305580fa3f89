//! The tenants of a block, packed: about twenty-five bytes for a tenant with a few requests.
//!
//! ```text
//! bytes:     row │ row │ … │ row │ …            listed: rows 0, 16, 32 …: number before the row, place of the row
//!             │
//! row:       number − number before (zig-zag) │ length of the payload │ payload
//!                                                                        │
//! payload:   flags │ requests │ errors? │ slow? │ 3 bounds? │ latency sum? │ maximum? │ endpoints │ latencies?
//! endpoints: how many │ place − place before, 2 bits │ requests, unless 1 │ errors, unless 0 │ …
//! latencies: how many │ bucket − bucket before, 1 bit │ requests, unless 1 │ …
//! ```
//!
//! Every number is LEB128. A flag says whether a field with a `?` follows: most tenants have no errors, no slow requests and no
//! bounds, and one with a single request has the same sum and maximum.
//!
//! Invariant: numbers, endpoints and buckets rise, once [`Rows::sorted`] has run ([`Rows::find`] needs it; a table gives its rows
//! in no order). Only the number depends on the row before, so that a payload may be copied, as the bytes it is, into another
//! block with the same list of endpoints. [`Packer`] alone makes these bytes: the reader checks nothing, and reads 0 past the end.
//!
//! A struct for each row, with vectors of cells, would take more than 100 bytes and two allocations, and ten minutes of
//! 10,000 tenants are 600,000 rows. Ids are not in the rows: the dictionary has each once. A row needs no pointer either: the list of
//! every sixteenth leads to within 16 rows of any, and the length of a row skips it.

use crate::block::dictionary::Number;
use crate::slot::entry::EndpointCell;
use crate::slot::histogram::LatencyCell;
use crate::slot::weights::Counts;
use crate::util::wire::{TrustedReader, put, unzigzag, zigzag};

/// Flags of a row: errors follow.
const ERRORS: u8 = 1;
/// Slow requests follow.
const SLOW: u8 = 2;
/// Three bounds follow.
const BOUNDS: u8 = 4;
/// An error at an endpoint is in no cell: the endpoint's errors are a lower bound.
const CUT: u8 = 8;
/// A latency sum and a histogram follow.
const LATENCY: u8 = 16;
/// The longest latency is the sum of all, and does not follow.
const SINGLE: u8 = 32;
/// The histogram has 8 buckets to a power of two, not 16.
const COARSE: u8 = 64;
/// Rows from one listed place to the next.
const STRIDE: usize = 16;

/// A row without its histogram and its endpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RowSums {
    pub(crate) counts: Counts<u64>,
    /// The most that each count may be short of the truth.
    pub(crate) bound: Counts<u64>,
    /// Sum of all latencies, µs.
    pub(crate) latency_sum_us: u64,
    /// Longest latency, µs.
    pub(crate) latency_max_us: u32,
    /// An error is in no endpoint cell: errors at endpoints are lower bounds.
    pub(crate) endpoints_cut: bool,
    /// The histogram has 8 buckets to a power of two, not 16.
    pub(crate) coarse: bool,
}

impl RowSums {
    /// The most that the true counts can be.
    pub(crate) fn upper(&self) -> Counts<u64> {
        self.counts.saturating_add(self.bound)
    }
}

/// Packed rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    bytes: Vec<u8>,
    /// Each sixteenth row.
    listed: Vec<ListedRow>,
    len: u32,
}

/// A row that is found without reading those before it.
#[derive(Debug, Clone, Copy)]
struct ListedRow {
    /// Number of the row before it: a row says only the difference.
    before: Number,
    /// Place of its first byte.
    start: u32,
}

/// The end of the rows that have been read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RowCursor {
    /// Bytes that have been read.
    at: usize,
    /// Number of the last row that was read.
    number: Number,
}

/// One row, its cells still packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackedRow<'a> {
    pub(crate) number: Number,
    pub(crate) sums: RowSums,
    has_latency: bool,
    cells: &'a [u8],
    payload: &'a [u8],
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// The rows in the order they were packed in: that of their numbers, once sorted.
    pub(crate) fn iter(&self) -> RowIter<'_> {
        RowIter { reader: TrustedReader(&self.bytes), number: 0 }
    }

    /// The numbers of the tenants.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = Number> + '_ {
        let (mut reader, mut number) = (TrustedReader(&self.bytes), 0_u32);
        std::iter::from_fn(move || {
            if reader.0.is_empty() {
                return None;
            }
            number = step(number, reader.number());
            let len = reader.number() as usize;
            reader.take(len);
            Some(number)
        })
    }

    /// The number of the row at a cursor, which moves on behind it.
    pub(crate) fn number_at(&self, cursor: &mut RowCursor) -> Option<Number> {
        let rest = self.bytes.get(cursor.at..).unwrap_or_default();
        let mut iter = RowIter { reader: TrustedReader(rest), number: cursor.number };
        let (number, _) = iter.skip_one()?;
        *cursor = RowCursor { at: self.bytes.len() - iter.reader.0.len(), number };
        Some(number)
    }

    /// The row of a tenant; the rows must be sorted.
    pub(crate) fn find(&self, number: Number) -> Option<PackedRow<'_>> {
        let at = self.listed.partition_point(|row| row.before < number).saturating_sub(1);
        let &ListedRow { before, start } = self.listed.get(at)?;
        let mut rows = RowIter { reader: TrustedReader(self.bytes.get(start as usize..)?), number: before };
        loop {
            let (found, payload) = rows.skip_one()?;
            if found >= number {
                return (found == number).then(|| PackedRow::read(number, payload));
            }
        }
    }

    /// The same rows in the order of their numbers.
    pub(crate) fn sorted(self) -> Self {
        let mut rows: Vec<(Number, &[u8])> = Vec::with_capacity(self.len());
        let mut iter = self.iter();
        while let Some(row) = iter.skip_one() {
            rows.push(row);
        }
        if rows.is_sorted_by_key(|(number, _)| *number) {
            return self;
        }
        rows.sort_unstable_by_key(|(number, _)| *number);
        let mut packer = Packer::with_capacity(self.bytes.len() + self.bytes.len() / 8);
        rows.into_iter().for_each(|(number, payload)| packer.copy(number, payload));
        packer.finish()
    }

    /// Bytes on the heap.
    pub(crate) fn weight(&self) -> usize {
        self.bytes.capacity() + self.listed.capacity() * size_of::<ListedRow>()
    }
}

#[inline]
fn step(number: Number, difference: u64) -> Number {
    number.wrapping_add(unzigzag(difference) as u32)
}

/// Reads rows one after another.
#[derive(Debug, Clone)]
pub(crate) struct RowIter<'a> {
    reader: TrustedReader<'a>,
    number: Number,
}

impl<'a> RowIter<'a> {
    #[inline]
    fn skip_one(&mut self) -> Option<(Number, &'a [u8])> {
        if self.reader.0.is_empty() {
            return None;
        }
        self.number = step(self.number, self.reader.number());
        let len = self.reader.number() as usize;
        Some((self.number, self.reader.take(len)))
    }
}

impl<'a> Iterator for RowIter<'a> {
    type Item = PackedRow<'a>;

    #[inline]
    fn next(&mut self) -> Option<PackedRow<'a>> {
        self.skip_one().map(|(number, payload)| PackedRow::read(number, payload))
    }
}

impl<'a> PackedRow<'a> {
    #[inline]
    fn read(number: Number, payload: &'a [u8]) -> Self {
        let mut reader = TrustedReader(payload);
        let flags = reader.byte();
        let mut sums = RowSums { endpoints_cut: flags & CUT != 0, coarse: flags & COARSE != 0, ..RowSums::default() };
        sums.counts.requests = reader.number();
        if flags & ERRORS != 0 {
            sums.counts.errors = reader.number();
        }
        if flags & SLOW != 0 {
            sums.counts.slow = reader.number();
        }
        if flags & BOUNDS != 0 {
            sums.bound = Counts::from_fn(|_| reader.number());
        }
        let has_latency = flags & LATENCY != 0;
        if has_latency {
            sums.latency_sum_us = reader.number();
            sums.latency_max_us = if flags & SINGLE != 0 { sums.latency_sum_us as u32 } else { reader.number() as u32 };
        }
        Self { number, sums, has_latency, cells: reader.0, payload }
    }

    /// The histogram, in the order of the buckets.
    pub(crate) fn latency(&self) -> impl Iterator<Item = LatencyCell> + use<'a> {
        let mut endpoints = self.endpoints();
        endpoints.by_ref().for_each(drop);
        endpoints.latency()
    }

    /// The endpoints, by their place in the block's list; the histogram follows them.
    pub(crate) fn endpoints(&self) -> Endpoints<'a> {
        let mut reader = TrustedReader(self.cells);
        let left = reader.number();
        Endpoints { reader, left, endpoint: 0, has_latency: self.has_latency }
    }
}

/// Reads the endpoints of a row.
#[derive(Debug)]
pub(crate) struct Endpoints<'a> {
    reader: TrustedReader<'a>,
    left: u64,
    endpoint: u64,
    has_latency: bool,
}

impl Iterator for Endpoints<'_> {
    type Item = EndpointCell;

    #[inline]
    fn next(&mut self) -> Option<EndpointCell> {
        self.left = self.left.checked_sub(1)?;
        let packed = self.reader.number();
        self.endpoint += packed >> 2;
        let requests = if packed & 1 != 0 { self.reader.number() as u32 } else { 1 };
        let errors = if packed & 2 != 0 { self.reader.number() as u32 } else { 0 };
        Some(EndpointCell { endpoint: self.endpoint as u16, requests, errors })
    }
}

impl<'a> Endpoints<'a> {
    /// The histogram; all endpoints must have been read.
    pub(crate) fn latency(self) -> impl Iterator<Item = LatencyCell> + use<'a> {
        let mut reader = self.reader;
        let (mut left, mut bucket) = (if self.has_latency { reader.number() } else { 0 }, 0_u64);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let packed = reader.number();
            bucket += packed >> 1;
            let count = if packed & 1 != 0 { reader.number() as u32 } else { 1 };
            Some(LatencyCell { bucket: bucket as u16, count })
        })
    }
}

/// Packs rows one after another.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    rows: Rows,
    last: Number,
    payload: Vec<u8>,
}

impl Packer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { rows: Rows { bytes: Vec::with_capacity(bytes), ..Rows::default() }, ..Self::default() }
    }

    fn place(&mut self, number: Number) {
        if self.rows.len.is_multiple_of(STRIDE as u32) {
            self.rows.listed.push(ListedRow { before: self.last, start: self.rows.bytes.len() as u32 });
        }
        self.rows.len += 1;
        let difference = number.wrapping_sub(self.last) as i32;
        put(&mut self.rows.bytes, zigzag(i64::from(difference)));
        self.last = number;
    }

    fn copy(&mut self, number: Number, payload: &[u8]) {
        self.place(number);
        put(&mut self.rows.bytes, payload.len() as u64);
        self.rows.bytes.extend_from_slice(payload);
    }

    /// Packs a row as it is; the endpoints are the same ones.
    pub(crate) fn copy_row(&mut self, row: &PackedRow<'_>) {
        self.copy(row.number, row.payload);
    }

    /// Packs a row. `latency` and `endpoints` rise.
    pub(crate) fn push(&mut self, number: Number, sums: &RowSums, latency: &[LatencyCell], endpoints: &[EndpointCell]) {
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let single = u64::from(sums.latency_max_us) == sums.latency_sum_us;
        // A latency sum without cells may come from another process.
        let has_latency = !latency.is_empty() || sums.latency_sum_us > 0;
        let flags = flag(sums.counts.errors > 0, ERRORS)
            | flag(sums.counts.slow > 0, SLOW)
            | flag(sums.bound != Counts::default(), BOUNDS)
            | flag(sums.endpoints_cut, CUT)
            | flag(has_latency, LATENCY)
            | flag(single, SINGLE)
            | flag(sums.coarse, COARSE);
        payload.push(flags);
        put(&mut payload, sums.counts.requests);
        let bad = [sums.counts.errors, sums.counts.slow];
        bad.into_iter().filter(|count| *count > 0).for_each(|count| put(&mut payload, count));
        if flags & BOUNDS != 0 {
            sums.bound.to_array().into_iter().for_each(|bound| put(&mut payload, bound));
        }
        if has_latency {
            put(&mut payload, sums.latency_sum_us);
            if !single {
                put(&mut payload, u64::from(sums.latency_max_us));
            }
        }
        put(&mut payload, endpoints.len() as u64);
        let mut last = 0;
        for cell in endpoints {
            let (more, errors) = (u64::from(cell.requests != 1), u64::from(cell.errors > 0));
            put(&mut payload, u64::from(cell.endpoint - last) << 2 | errors << 1 | more);
            if cell.requests != 1 {
                put(&mut payload, u64::from(cell.requests));
            }
            if cell.errors > 0 {
                put(&mut payload, u64::from(cell.errors));
            }
            last = cell.endpoint;
        }
        if has_latency {
            put(&mut payload, latency.len() as u64);
            let mut last = 0;
            for cell in latency {
                let difference = u64::from(cell.bucket - last);
                put(&mut payload, difference << 1 | u64::from(cell.count != 1));
                if cell.count != 1 {
                    put(&mut payload, u64::from(cell.count));
                }
                last = cell.bucket;
            }
        }
        self.copy(number, &payload);
        self.payload = payload;
    }

    /// Bytes so far.
    pub(crate) fn weight(&self) -> usize {
        self.rows.weight() + self.payload.capacity()
    }

    /// The rows, with no room to spare.
    pub(crate) fn finish(mut self) -> Rows {
        self.rows.bytes.shrink_to_fit();
        self.rows.listed.shrink_to_fit();
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Parts = (RowSums, Vec<LatencyCell>, Vec<EndpointCell>);

    fn parts() -> impl Strategy<Value = Parts> {
        let count = || prop_oneof![Just(1_u32), 1..5_u32, 1..=u32::MAX];
        let counts = [0..3_u64, 0..u64::MAX, 0..1_000].prop_map(|mut counts| {
            counts.sort_unstable();
            Counts { requests: counts[2], errors: counts[1], slow: counts[0] }
        });
        let bound = prop_oneof![Just([0; 3]), prop::array::uniform3(0..=u64::MAX)]
            .prop_map(|[requests, errors, slow]| Counts { requests, errors, slow });
        let cells = prop::collection::btree_map(0..464_u16, count(), 0..20);
        let endpoints = prop::collection::btree_map(0..4_096_u16, (count(), 0..5_u32), 0..8);
        (counts, bound, any::<u64>(), any::<u32>(), any::<[bool; 3]>(), cells, endpoints).prop_map(
            |(counts, bound, sum, max, [endpoints_cut, coarse, single], cells, endpoints)| {
                let latency: Vec<LatencyCell> =
                    cells.into_iter().map(|(bucket, count)| LatencyCell { bucket, count }).collect();
                let (sum, max) = match (latency.is_empty(), single) {
                    (true, _) => (0, 0),
                    (_, true) => (u64::from(max), max),
                    _ => (sum, max),
                };
                let sums = RowSums { counts, bound, latency_sum_us: sum, latency_max_us: max, endpoints_cut, coarse };
                let cell = |(endpoint, (requests, errors))| EndpointCell { endpoint, requests, errors };
                (sums, latency, endpoints.into_iter().map(cell).collect())
            },
        )
    }

    fn read(row: &PackedRow<'_>) -> Parts {
        (row.sums, row.latency().collect(), row.endpoints().collect())
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read(rows in prop::collection::vec((0..NUMBERS, parts()), 0..80), beside in 0..NUMBERS) {
            let truth: BTreeMap<Number, Parts> = rows.iter().cloned().collect();
            // Packed in any order, as a table has them, then sorted.
            let mut packer = Packer::default();
            let mut shuffled: Vec<_> = truth.iter().collect();
            shuffled.sort_by_key(|(number, _)| number.wrapping_mul(0x9e37_79b9));
            for (number, (sums, latency, endpoints)) in shuffled {
                packer.push(*number, sums, latency, endpoints);
            }
            let rows = packer.finish().sorted();
            prop_assert_eq!(rows.len(), truth.len());
            let packed: Vec<(Number, Parts)> = rows.iter().map(|row| (row.number, read(&row))).collect();
            prop_assert_eq!(packed, truth.clone().into_iter().collect::<Vec<_>>());
            prop_assert!(rows.numbers().eq(truth.keys().copied()));
            for number in truth.keys().copied().chain([0, beside, Number::MAX - 1]) {
                prop_assert_eq!(rows.find(number).map(|row| read(&row)), truth.get(&number).cloned());
            }
        }
    }

    const NUMBERS: Number = Number::MAX;

    #[test]
    fn a_tenant_with_one_request_takes_few_bytes() {
        let mut packer = Packer::default();
        for number in 0..1_000 {
            let counts = Counts { requests: 1, ..Counts::default() };
            let sums = RowSums { counts, latency_sum_us: 20_000, latency_max_us: 20_000, ..RowSums::default() };
            let cells = [LatencyCell { bucket: 180, count: 1 }];
            packer.push(number * 3, &sums, &cells, &[EndpointCell { endpoint: 2, requests: 1, errors: 0 }]);
        }
        assert!(packer.finish().weight() < 13_500);
    }
}
