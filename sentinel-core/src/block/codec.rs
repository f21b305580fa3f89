//! The wire form of a block: versioned, checksummed, and total — any bytes give a block or an error value.
//!
//! `"SNTB"`, the version, then the fields as unsigned LEB128 numbers (times zig-zagged) and length-prefixed bytes, then the
//! CRC-32 of all before it, little-endian. Sorted things travel as differences. Sums are checked: what is decoded is a block
//! that this library could have made.

use crate::block::Block;
use crate::block::rows::Sums;
use crate::block::summary::{EndpointRow, Head, MAX_ENDPOINTS};
use crate::event::endpoint::MAX_TEMPLATE;
use crate::event::tenant::{MAX_ID, TenantId};
use crate::slot::entry::EndpointCell;
use crate::slot::histogram::{BUCKETS, HALVES, LatencyCell};
use crate::slot::table::WITNESSES;
use crate::slot::weights::WEIGHTS;
use crate::util::error::DecodeError;
use crate::util::wire::{MAX_COUNT, Reader, Writer, invalid};

const MAGIC: [u8; 4] = *b"SNTB";
const VERSION: u8 = 1;

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
        let head = &self.head;
        let mut out = Writer::new(MAGIC, VERSION, 64 + 48 * self.rows.len());
        out.0.extend_from_slice(&head.source.to_le_bytes());
        out.signed(head.from_ms);
        out.number(head.to_ms.abs_diff(head.from_ms));
        out.number(u64::from(head.slow_above));
        out.number(head.aborted);
        out.number(head.latency_sum_us);
        out.number(u64::from(head.latency_max_us));
        out.numbers(head.tail);
        out.numbers(head.offset);
        out.cells(&head.latency);
        out.number(head.endpoints.len() as u64);
        for row in &head.endpoints {
            out.bytes(row.name.as_bytes());
            out.numbers(row.counts);
            out.number(row.halves.len() as u64);
            for &(half, count) in &row.halves {
                out.0.push(half);
                out.number(u64::from(count));
            }
            for prints in [&row.failing, &row.lagging] {
                out.0.push(prints.len() as u8);
                out.0.extend(prints.iter().flat_map(|print| print.to_le_bytes()));
            }
        }
        out.number(self.rows.len() as u64);
        for row in &self.rows {
            out.bytes(row.id.as_bytes());
            out.numbers(row.sums.counts);
            out.numbers(row.sums.bound);
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
        let mut input = Reader::open(bytes, MAGIC, VERSION)?;
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
    fn counts(&mut self, field: &'static str) -> Result<[u64; WEIGHTS], DecodeError> {
        let counts = [self.count(field)?, self.count(field)?, self.count(field)?];
        match counts[1].max(counts[2]) {
            part if part > counts[0] => Err(invalid(field, part, "errors and slow requests are at most the requests")),
            _ => Ok(counts),
        }
    }

    fn bounds(&mut self, field: &'static str) -> Result<[u64; WEIGHTS], DecodeError> {
        Ok([self.count(field)?, self.count(field)?, self.count(field)?])
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
        let mut block = Block::new(Head::empty(source, from_ms, to_ms));
        block.head.slow_above = self.at_most("slow_above", BUCKETS as u64, "0 to 464")? as u16;
        block.head.aborted = self.count("aborted")?;
        block.head.latency_sum_us = self.number()?;
        block.head.latency_max_us = self.small("latency_max_us")?;
        block.head.tail = self.counts("tail")?;
        block.head.offset = self.bounds("offset")?;
        let mut latency = Vec::new();
        self.cells("latency", MAX_COUNT, &mut latency)?;
        block.head.latency = latency;
        self.endpoint_rows(&mut block)?;
        self.rows(&mut block)?;
        let known: u64 = block.head.latency.iter().map(|cell| u64::from(cell.count)).sum();
        if known > block.head.totals[0] || block.head.aborted > block.head.totals[0] {
            return Err(invalid("requests", block.head.totals[0], "at least the latencies and the aborted ones"));
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
            if block.head.endpoints.last().is_some_and(|last| &*last.name >= name) {
                return Err(invalid("endpoint", block.head.endpoints.len() as u64, "names in rising order"));
            }
            let counts = self.counts("endpoint counts")?;
            let halves = self.halves(counts[0])?;
            let (failing, lagging) = (self.witnesses()?, self.witnesses()?);
            block.head.endpoints.push(EndpointRow { name: name.into(), counts, halves, failing, lagging });
        }
        Ok(())
    }

    fn halves(&mut self, requests: u64) -> Result<Vec<(u8, u32)>, DecodeError> {
        let len = self.items("halves", 2)?;
        let (mut out, mut total) = (Vec::with_capacity(len.min(HALVES)), 0);
        for _ in 0..len {
            let [half] = self.array()?;
            let count = self.small("halves")?;
            total += u64::from(count);
            if usize::from(half) >= HALVES || out.last().is_some_and(|&(last, _)| last >= half) {
                return Err(invalid("halves", u64::from(half), "rising halves below 64"));
            }
            if count == 0 || total > requests {
                return Err(invalid("halves", total, "counts above 0 and at most the requests"));
            }
            out.push((half, count));
        }
        Ok(out)
    }

    fn witnesses(&mut self) -> Result<Vec<u64>, DecodeError> {
        let [len] = self.array()?;
        if usize::from(len) > WITNESSES {
            return Err(invalid("witnesses", u64::from(len), "0 to 3"));
        }
        let mut out = Vec::with_capacity(WITNESSES);
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
        block.head.totals = block.head.tail;
        let (mut latency, mut endpoints) = (Vec::new(), Vec::new());
        for _ in 0..len {
            let id = self.text("tenant", MAX_ID)?;
            if block.rows.last().is_some_and(|last| last.id.as_bytes() >= id) {
                return Err(invalid("tenant", block.rows.len() as u64, "ids in rising order"));
            }
            let counts = self.counts("tenant counts")?;
            if counts[0] == 0 {
                return Err(invalid("tenant counts", 0, "at least one request"));
            }
            for (total, count) in block.head.totals.iter_mut().zip(counts) {
                *total = total.checked_add(count).filter(|total| *total <= MAX_COUNT).ok_or(invalid(
                    "totals",
                    count,
                    "0 to 2^53",
                ))?;
            }
            let bound = self.bounds("bound")?;
            let (latency_sum_us, latency_max_us) = (self.number()?, self.small("latency_max_us")?);
            latency.clear();
            self.cells("tenant latency", counts[0], &mut latency)?;
            let packed = self.number()?;
            let (cells, coarse, endpoints_cut) = ((packed >> 2) as usize, packed & 2 != 0, packed & 1 != 0);
            if cells > block.head.endpoints.len() {
                return Err(invalid("tenant endpoints", cells as u64, "at most the block's endpoints"));
            }
            endpoints.clear();
            for _ in 0..cells {
                endpoints.push(self.endpoint_cell(block.head.endpoints.len(), endpoints.last(), counts)?);
            }
            let sums = Sums { counts, bound, latency_sum_us, latency_max_us, endpoints_cut, coarse };
            block.push(TenantId::new(id), sums, &latency, &endpoints);
        }
        Ok(())
    }

    fn endpoint_cell(
        &mut self,
        endpoints: usize,
        last: Option<&EndpointCell>,
        counts: [u64; WEIGHTS],
    ) -> Result<EndpointCell, DecodeError> {
        let endpoint = self.number()?;
        let floor = last.map_or(0, |last| u64::from(last.endpoint) + 1);
        if endpoint >= endpoints as u64 || endpoint < floor {
            return Err(invalid("tenant endpoint", endpoint, "rising places among the block's endpoints"));
        }
        let (requests, errors) = (self.small("endpoint requests")?, self.small("endpoint errors")?);
        if u64::from(requests) > counts[0] || u64::from(errors) > counts[1] || errors > requests {
            return Err(invalid("endpoint requests", u64::from(requests), "at most the tenant's"));
        }
        Ok(EndpointCell { endpoint: endpoint as u16, requests, errors })
    }
}
