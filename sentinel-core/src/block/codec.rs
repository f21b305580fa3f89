//! The wire form of a block: versioned, checksummed, and total. Any bytes give a block or an error value.
//!
//! `"SNTB"`, the version, then the fields as unsigned LEB128 numbers (times zig-zagged) and length-prefixed bytes, then the
//! CRC-32 of all before it, little-endian. Sorted values travel as differences. Sums are checked: a decoded block is one that
//! this library could have made.

use crate::block::Block;
use crate::block::rows::RowSums;
use crate::block::summary::{BlockSummary, EndpointRow, MAX_ENDPOINTS};
use crate::event::endpoint::MAX_TEMPLATE;
use crate::event::tenant::{MAX_ID, TenantId};
use crate::slot::entry::EndpointCell;
use crate::slot::histogram::{BUCKETS, HALVES, HalfCell, LatencyCell};
use crate::slot::table::MAX_WITNESSES;
use crate::slot::weights::{Counts, Weight};
use crate::util::error::DecodeError;
use crate::util::wire::{MAX_COUNT, Reader, Writer, invalid};

const BLOCK_MAGIC: [u8; 4] = *b"SNTB";
/// Version of the wire form.
const BLOCK_VERSION: u8 = 1;

impl Block {
    /// The bytes that another process decodes.
    ///
    /// ```
    /// use sentinel_core::{Block, Clock, Event, Sentinel};
    ///
    /// let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
    /// sentinel.record(Event { tenant: b"acme", endpoint: "/", ..Event::default() });
    /// let block = sentinel.blocks().remove(0);
    /// assert_eq!(Block::decode(&block.encode())?, block);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let summary = &self.summary;
        let mut out = Writer::new(BLOCK_MAGIC, BLOCK_VERSION, 64 + 48 * self.rows.len());
        out.0.extend_from_slice(&summary.source.to_le_bytes());
        out.signed(summary.from_ms);
        out.number(summary.to_ms.abs_diff(summary.from_ms));
        out.number(u64::from(summary.slow_above));
        out.number(summary.aborted);
        out.number(summary.latency_sum_us);
        out.number(u64::from(summary.latency_max_us));
        out.numbers(summary.tail.to_array());
        out.numbers(summary.offset.to_array());
        out.cells(&summary.latency);
        out.number(summary.endpoints.len() as u64);
        for row in &summary.endpoints {
            out.bytes(row.name.as_bytes());
            out.numbers(row.counts.to_array());
            out.number(row.halves.len() as u64);
            for cell in &row.halves {
                out.0.push(cell.half);
                out.number(u64::from(cell.count));
            }
            for prints in [&row.failing, &row.lagging] {
                out.0.push(prints.len() as u8);
                out.0.extend(prints.iter().flat_map(|print| print.to_le_bytes()));
            }
        }
        out.number(self.rows.len() as u64);
        for row in &self.rows {
            out.bytes(row.id.as_bytes());
            out.numbers(row.sums.counts.to_array());
            out.numbers(row.sums.bound.to_array());
            out.number(row.sums.latency_sum_us);
            out.number(u64::from(row.sums.latency_max_us));
            out.cells(self.latency_of(row));
            let cells = self.endpoints_of(row);
            let flags = u64::from(row.sums.coarse) << 1 | u64::from(row.sums.endpoints_cut);
            out.number((cells.len() as u64) << 2 | flags);
            for cell in cells {
                out.number(u64::from(cell.endpoint));
                out.number(u64::from(cell.requests));
                out.number(u64::from(cell.errors));
            }
        }
        out.finish()
    }

    /// Reads a block that [`Block::encode`] wrote.
    ///
    /// # Errors
    /// A [`DecodeError`] for everything else. Memory is bounded by the length of `bytes`.
    ///
    /// ```
    /// use sentinel_core::{Block, Clock, DecodeError, Event, Sentinel};
    ///
    /// let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
    /// sentinel.record(Event::default());
    /// let mut bytes = sentinel.blocks()[0].encode();
    /// bytes[20] ^= 1; // a flipped bit
    /// assert!(matches!(Block::decode(&bytes), Err(DecodeError::Checksum { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::open(bytes, BLOCK_MAGIC, BLOCK_VERSION)?;
        let block = input.block()?;
        input.end()?;
        Ok(block)
    }
}

impl Writer {
    fn cells(&mut self, cells: &[LatencyCell]) {
        self.number(cells.len() as u64);
        let mut last = 0;
        for cell in cells {
            self.number(u64::from(cell.bucket - last));
            self.number(u64::from(cell.count));
            last = cell.bucket;
        }
    }
}

impl Reader<'_> {
    fn counts(&mut self, field: &'static str) -> Result<Counts<u64>, DecodeError> {
        let counts = self.bounds(field)?;
        match counts.errors.max(counts.slow) {
            part if part > counts.requests => {
                Err(invalid(field, part, "errors and slow requests are at most the requests"))
            }
            _ => Ok(counts),
        }
    }

    fn bounds(&mut self, field: &'static str) -> Result<Counts<u64>, DecodeError> {
        Ok(Counts { requests: self.count(field)?, errors: self.count(field)?, slow: self.count(field)? })
    }

    /// Histogram cells of at most `requests`.
    fn cells(&mut self, field: &'static str, requests: u64, out: &mut Vec<LatencyCell>) -> Result<(), DecodeError> {
        let len = self.items(field, 2)?;
        let (mut next, mut total) = (0_u64, 0);
        for i in 0..len {
            let bucket = next.saturating_add(self.number()?);
            if bucket >= BUCKETS as u64 || i > 0 && bucket == next {
                return Err(invalid(field, bucket, "rising buckets below 464"));
            }
            let count = self.small(field)?;
            total += u64::from(count);
            if count == 0 || total > requests {
                return Err(invalid(field, total, "counts above 0 and at most the requests"));
            }
            out.push(LatencyCell { bucket: bucket as u16, count });
            next = bucket;
        }
        Ok(())
    }

    fn block(&mut self) -> Result<Block, DecodeError> {
        let source = u64::from_le_bytes(self.array()?);
        let from_ms = self.signed()?;
        let length = self.count("length_ms")?;
        let to_ms = from_ms.checked_add_unsigned(length).ok_or(invalid("to_ms", length, "a time in Unix ms"))?;
        let mut block = Block::new(BlockSummary::empty(source, from_ms, to_ms));
        block.summary.slow_above = self.at_most("slow_above", BUCKETS as u64, "0 to 464")? as u16;
        block.summary.aborted = self.count("aborted")?;
        block.summary.latency_sum_us = self.number()?;
        block.summary.latency_max_us = self.small("latency_max_us")?;
        block.summary.tail = self.counts("tail")?;
        block.summary.offset = self.bounds("offset")?;
        let mut latency = Vec::new();
        self.cells("latency", MAX_COUNT, &mut latency)?;
        block.summary.latency = latency;
        self.endpoint_rows(&mut block)?;
        self.rows(&mut block)?;
        let known: u64 = block.summary.latency.iter().map(|cell| u64::from(cell.count)).sum();
        if known > block.summary.totals.requests || block.summary.aborted > block.summary.totals.requests {
            return Err(invalid(
                "requests",
                block.summary.totals.requests,
                "at least the latencies and the aborted ones",
            ));
        }
        Ok(block)
    }

    fn endpoint_rows(&mut self, block: &mut Block) -> Result<(), DecodeError> {
        let len = self.items("endpoints", 8)?;
        if len > MAX_ENDPOINTS {
            return Err(invalid("endpoints", len as u64, "0 to 4096"));
        }
        for _ in 0..len {
            let name = self.text("endpoint", MAX_TEMPLATE)?;
            if name.is_empty() {
                return Err(invalid("endpoint", 0, "not empty"));
            }
            let name = std::str::from_utf8(name).map_err(|e| invalid("endpoint", e.valid_up_to() as u64, "UTF-8"))?;
            if block.summary.endpoints.last().is_some_and(|last| &*last.name >= name) {
                return Err(invalid("endpoint", block.summary.endpoints.len() as u64, "names in rising order"));
            }
            let counts = self.counts("endpoint counts")?;
            let halves = self.halves(counts.requests)?;
            let (failing, lagging) = (self.witnesses()?, self.witnesses()?);
            block.summary.endpoints.push(EndpointRow { name: name.into(), counts, halves, failing, lagging });
        }
        Ok(())
    }

    fn halves(&mut self, requests: u64) -> Result<Vec<HalfCell>, DecodeError> {
        let len = self.items("halves", 2)?;
        let (mut out, mut total) = (Vec::<HalfCell>::with_capacity(len.min(HALVES)), 0);
        for _ in 0..len {
            let [half] = self.array()?;
            let count = self.small("halves")?;
            total += u64::from(count);
            if usize::from(half) >= HALVES || out.last().is_some_and(|last| last.half >= half) {
                return Err(invalid("halves", u64::from(half), "rising halves below 64"));
            }
            if count == 0 || total > requests {
                return Err(invalid("halves", total, "counts above 0 and at most the requests"));
            }
            out.push(HalfCell { half, count });
        }
        Ok(out)
    }

    fn witnesses(&mut self) -> Result<Vec<u64>, DecodeError> {
        let [len] = self.array()?;
        if usize::from(len) > MAX_WITNESSES {
            return Err(invalid("witnesses", u64::from(len), "0 to 3"));
        }
        let mut out = Vec::with_capacity(MAX_WITNESSES);
        for _ in 0..len {
            let print = u64::from_le_bytes(self.array()?);
            if out.last().is_some_and(|&last| last >= print) {
                return Err(invalid("witnesses", print, "rising"));
            }
            out.push(print);
        }
        Ok(out)
    }

    fn rows(&mut self, block: &mut Block) -> Result<(), DecodeError> {
        let len = self.items("tenants", 12)?;
        block.summary.totals = block.summary.tail;
        let (mut latency, mut endpoints) = (Vec::new(), Vec::new());
        for _ in 0..len {
            let id = self.text("tenant", MAX_ID)?;
            if block.rows.last().is_some_and(|last| last.id.as_bytes() >= id) {
                return Err(invalid("tenant", block.rows.len() as u64, "ids in rising order"));
            }
            let counts = self.counts("tenant counts")?;
            if counts.requests == 0 {
                return Err(invalid("tenant counts", 0, "at least one request"));
            }
            for weight in Weight::ALL {
                let (total, count) = (&mut block.summary.totals[weight], counts[weight]);
                *total = total.checked_add(count).filter(|total| *total <= MAX_COUNT).ok_or(invalid(
                    "totals",
                    count,
                    "0 to 2^53",
                ))?;
            }
            let bound = self.bounds("bound")?;
            let (latency_sum_us, latency_max_us) = (self.number()?, self.small("latency_max_us")?);
            latency.clear();
            self.cells("tenant latency", counts.requests, &mut latency)?;
            let packed = self.number()?;
            let (cells, coarse, endpoints_cut) = ((packed >> 2) as usize, packed & 2 != 0, packed & 1 != 0);
            if cells > block.summary.endpoints.len() {
                return Err(invalid("tenant endpoints", cells as u64, "at most the block's endpoints"));
            }
            endpoints.clear();
            for _ in 0..cells {
                endpoints.push(self.endpoint_cell(block.summary.endpoints.len(), endpoints.last(), counts)?);
            }
            let sums = RowSums { counts, bound, latency_sum_us, latency_max_us, endpoints_cut, coarse };
            block.push(TenantId::new(id), sums, &latency, &endpoints);
        }
        Ok(())
    }

    fn endpoint_cell(
        &mut self,
        endpoints: usize,
        last: Option<&EndpointCell>,
        counts: Counts<u64>,
    ) -> Result<EndpointCell, DecodeError> {
        let endpoint = self.number()?;
        let floor = last.map_or(0, |last| u64::from(last.endpoint) + 1);
        if endpoint >= endpoints as u64 || endpoint < floor {
            return Err(invalid("tenant endpoint", endpoint, "rising places among the block's endpoints"));
        }
        let (requests, errors) = (self.small("endpoint requests")?, self.small("endpoint errors")?);
        if u64::from(requests) > counts.requests || u64::from(errors) > counts.errors || errors > requests {
            return Err(invalid("endpoint requests", u64::from(requests), "at most the tenant's"));
        }
        Ok(EndpointCell { endpoint: endpoint as u16, requests, errors })
    }
}
