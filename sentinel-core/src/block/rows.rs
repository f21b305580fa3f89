//! The tenants of a block, packed: about twenty-five bytes for a tenant with a few requests.
//!
//! A row is the difference of its tenant's number to that of the row before (zig-zag), the length of the rest, and the rest:
//! flags, counts, bounds, endpoints, latencies. All numbers are LEB128. Rows stand in the order of their numbers, every
//! sixteenth is listed, so that one is found without reading them all.

use crate::block::dictionary::Number;
use crate::block::release_queue::Place;
use crate::slot::entry::EndpointCell;
use crate::slot::histogram::LatencyCell;
use crate::slot::weights::WEIGHTS;
use crate::util::leb::{Reader, put};

const ERRORS: u8 = 1;
const SLOW: u8 = 2;
const BOUNDS: u8 = 4;
/// An error at an endpoint is in no cell: the endpoint's errors are a lower bound.
const CUT: u8 = 8;
const LATENCY: u8 = 16;
/// The largest latency is the sum of all: it is the only one.
const SINGLE: u8 = 32;
/// The histogram has 8 buckets to a power of two, not 16.
const COARSE: u8 = 64;
/// Rows from one listed place to the next.
const STRIDE: usize = 16;

/// What a row says beside its histogram and its endpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Requests, errors, slow requests.
    pub(crate) counts: [u64; WEIGHTS],
    /// What each count may be short of the truth.
    pub(crate) bound: [u64; WEIGHTS],
    pub(crate) latency_sum_us: u64,
    pub(crate) latency_max_us: u32,
    pub(crate) endpoints_cut: bool,
    pub(crate) coarse: bool,
}

/// Packed rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    bytes: Vec<u8>,
    /// (number of the row before, place of this one), for each sixteenth row.
    listed: Vec<(Number, u32)>,
    len: u32,
}

/// One row, its cells still packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) number: Number,
    pub(crate) sums: Sums,
    has_latency: bool,
    cells: &'a [u8],
    payload: &'a [u8],
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// In the order they were packed in: of their numbers, once sorted.
    pub(crate) fn iter(&self) -> Iter<'_> {
        Iter { reader: Reader(&self.bytes), number: 0 }
    }

    /// The numbers of the tenants.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = Number> + '_ {
        let (mut reader, mut number) = (Reader(&self.bytes), 0_u32);
        std::iter::from_fn(move || {
            if reader.0.is_empty() {
                return None;
            }
            number = step(number, reader.get());
            let len = reader.get() as usize;
            reader.take(len);
            Some(number)
        })
    }

    /// The number at a place, which moves on behind its row.
    pub(crate) fn number_at(&self, place: &mut Place) -> Option<Number> {
        let rest = self.bytes.get(place.at..).unwrap_or_default();
        let mut iter = Iter { reader: Reader(rest), number: place.number };
        let (number, _) = iter.skip_one()?;
        *place = Place { at: self.bytes.len() - iter.reader.0.len(), number };
        Some(number)
    }

    /// The row of a tenant; the rows must be sorted.
    pub(crate) fn find(&self, number: Number) -> Option<Row<'_>> {
        let at = self.listed.partition_point(|&(before, _)| before < number).saturating_sub(1);
        let &(before, start) = self.listed.get(at)?;
        let mut rows = Iter { reader: Reader(self.bytes.get(start as usize..)?), number: before };
        loop {
            let (found, payload) = rows.skip_one()?;
            if found >= number {
                return (found == number).then(|| Row::read(number, payload));
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
        self.bytes.capacity() + self.listed.capacity() * size_of::<(Number, u32)>()
    }
}

#[inline]
fn step(number: Number, zigzag: u64) -> Number {
    number.wrapping_add(((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)) as u32)
}

/// Reads row after row.
#[derive(Debug, Clone)]
pub(crate) struct Iter<'a> {
    reader: Reader<'a>,
    number: Number,
}

impl<'a> Iter<'a> {
    #[inline]
    fn skip_one(&mut self) -> Option<(Number, &'a [u8])> {
        if self.reader.0.is_empty() {
            return None;
        }
        self.number = step(self.number, self.reader.get());
        let len = self.reader.get() as usize;
        Some((self.number, self.reader.take(len)))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Row<'a>;

    #[inline]
    fn next(&mut self) -> Option<Row<'a>> {
        self.skip_one().map(|(number, payload)| Row::read(number, payload))
    }
}

impl<'a> Row<'a> {
    #[inline]
    fn read(number: Number, payload: &'a [u8]) -> Self {
        let mut reader = Reader(payload);
        let flags = reader.byte();
        let mut sums = Sums { endpoints_cut: flags & CUT != 0, coarse: flags & COARSE != 0, ..Sums::default() };
        sums.counts[0] = reader.get();
        if flags & ERRORS != 0 {
            sums.counts[1] = reader.get();
        }
        if flags & SLOW != 0 {
            sums.counts[2] = reader.get();
        }
        if flags & BOUNDS != 0 {
            sums.bound = std::array::from_fn(|_| reader.get());
        }
        let has_latency = flags & LATENCY != 0;
        if has_latency {
            sums.latency_sum_us = reader.get();
            sums.latency_max_us = if flags & SINGLE != 0 { sums.latency_sum_us as u32 } else { reader.get() as u32 };
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
        let mut reader = Reader(self.cells);
        let left = reader.get();
        Endpoints { reader, left, endpoint: 0, has_latency: self.has_latency }
    }
}

/// Reads the endpoints of a row.
#[derive(Debug)]
pub(crate) struct Endpoints<'a> {
    reader: Reader<'a>,
    left: u64,
    endpoint: u64,
    has_latency: bool,
}

impl Iterator for Endpoints<'_> {
    type Item = EndpointCell;

    #[inline]
    fn next(&mut self) -> Option<EndpointCell> {
        self.left = self.left.checked_sub(1)?;
        let packed = self.reader.get();
        self.endpoint += packed >> 2;
        let requests = if packed & 1 != 0 { self.reader.get() as u32 } else { 1 };
        let errors = if packed & 2 != 0 { self.reader.get() as u32 } else { 0 };
        Some(EndpointCell { endpoint: self.endpoint as u16, requests, errors })
    }
}

impl<'a> Endpoints<'a> {
    /// The histogram, once all endpoints have been read.
    pub(crate) fn latency(self) -> impl Iterator<Item = LatencyCell> + use<'a> {
        let mut reader = self.reader;
        let (mut left, mut bucket) = (if self.has_latency { reader.get() } else { 0 }, 0_u64);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let packed = reader.get();
            bucket += packed >> 1;
            let count = if packed & 1 != 0 { reader.get() as u32 } else { 1 };
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
            self.rows.listed.push((self.last, self.rows.bytes.len() as u32));
        }
        self.rows.len += 1;
        let difference = number.wrapping_sub(self.last) as i32;
        put(&mut self.rows.bytes, u64::from(((difference << 1) ^ (difference >> 31)) as u32));
        self.last = number;
    }

    fn copy(&mut self, number: Number, payload: &[u8]) {
        self.place(number);
        put(&mut self.rows.bytes, payload.len() as u64);
        self.rows.bytes.extend_from_slice(payload);
    }

    /// Packs a row as it is; the endpoints are the same ones.
    pub(crate) fn copy_row(&mut self, row: &Row<'_>) {
        self.copy(row.number, row.payload);
    }

    /// Packs a row. `latency` and `endpoints` rise.
    pub(crate) fn push(&mut self, number: Number, sums: &Sums, latency: &[LatencyCell], endpoints: &[EndpointCell]) {
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let single = u64::from(sums.latency_max_us) == sums.latency_sum_us;
        // A latency sum without cells may come from another process.
        let has_latency = !latency.is_empty() || sums.latency_sum_us > 0;
        let flags = flag(sums.counts[1] > 0, ERRORS)
            | flag(sums.counts[2] > 0, SLOW)
            | flag(sums.bound != [0; WEIGHTS], BOUNDS)
            | flag(sums.endpoints_cut, CUT)
            | flag(has_latency, LATENCY)
            | flag(single, SINGLE)
            | flag(sums.coarse, COARSE);
        payload.push(flags);
        put(&mut payload, sums.counts[0]);
        sums.counts[1..].iter().filter(|count| **count > 0).for_each(|&count| put(&mut payload, count));
        if flags & BOUNDS != 0 {
            sums.bound.iter().for_each(|&bound| put(&mut payload, bound));
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

    type Parts = (Sums, Vec<LatencyCell>, Vec<EndpointCell>);

    fn parts() -> impl Strategy<Value = Parts> {
        let count = || prop_oneof![Just(1_u32), 1..5_u32, 1..=u32::MAX];
        let counts = [0..3_u64, 0..u64::MAX, 0..1_000].prop_map(|mut counts| {
            counts.sort_unstable();
            [counts[2], counts[1], counts[0]]
        });
        let bound = prop_oneof![Just([0; WEIGHTS]), prop::array::uniform3(0..=u64::MAX)];
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
                let sums = Sums { counts, bound, latency_sum_us: sum, latency_max_us: max, endpoints_cut, coarse };
                let cell = |(endpoint, (requests, errors))| EndpointCell { endpoint, requests, errors };
                (sums, latency, endpoints.into_iter().map(cell).collect())
            },
        )
    }

    fn read(row: &Row<'_>) -> Parts {
        (row.sums, row.latency().collect(), row.endpoints().collect())
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read(rows in prop::collection::vec((0..NUMBERS, parts()), 0..80), beside in 0..NUMBERS) {
            let truth: BTreeMap<Number, Parts> = rows.iter().cloned().collect();
            // In any order first, as a table has them, then sorted.
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
            let sums = Sums { counts: [1, 0, 0], latency_sum_us: 20_000, latency_max_us: 20_000, ..Sums::default() };
            let cells = [LatencyCell { bucket: 180, count: 1 }];
            packer.push(number * 3, &sums, &cells, &[EndpointCell { endpoint: 2, requests: 1, errors: 0 }]);
        }
        assert!(packer.finish().weight() < 13_500);
    }
}
