//! A block: a closed slot, immutable, sorted, and the one unit of everything after it.
//!
//! The window is a merge of blocks, another process is more blocks, a late event is one more small block. [`Block`] is the form
//! that processes exchange, with the ids spelled out; the window keeps blocks `packed`.
//!
//! - `packed`: a block in the window: merging, pruning, coarsening
//! - `rows`: the packed rows of a block
//! - `summary`: a block without its rows: totals, bounds, latencies, endpoints
//! - `dictionary`: ids by number
//! - `seal`: from a filled table to a block, in small steps
//! - `codec`: the wire form
//! - `json`: the form for other systems
//! - `published`: the blocks that a process has published
//! - `release_queue`: blocks that have left, whose numbers are given back step by step

pub(crate) mod codec;
pub(crate) mod dictionary;
pub(crate) mod json;
pub(crate) mod packed;
pub(crate) mod published;
pub(crate) mod release_queue;
pub(crate) mod rows;
pub(crate) mod seal;
pub(crate) mod summary;

use crate::block::rows::RowSums;
use crate::block::summary::BlockSummary;
use crate::event::tenant::TenantId;
use crate::slot::entry::EndpointCell;
use crate::slot::histogram::LatencyCell;
use std::ops::Range;

/// One tenant in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockRow {
    pub(crate) id: TenantId,
    pub(crate) sums: RowSums,
    /// The tenant's cells among `latency_cells` of the block.
    latency: Range<u32>,
    /// The tenant's cells among `endpoint_cells` of the block.
    endpoints: Range<u32>,
}

/// A closed slot, or several merged: what tenants did in `[from_ms, to_ms)`.
///
/// ```
/// use sentinel_core::{Block, Clock, Event, Sentinel};
///
/// let worker = Sentinel::builder().clock(Clock::manual(1_700_000_000_000)).build()?;
/// worker.record(Event { tenant: b"acme", endpoint: "/v1/process", status: 500, ..Event::default() });
/// let bytes = worker.blocks()[0].encode();
///
/// let answering = Sentinel::builder().clock(Clock::manual(1_700_000_000_000)).build()?;
/// answering.merge(Block::decode(&bytes)?)?;
/// assert_eq!(answering.report(Default::default()).totals.errors, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub(crate) summary: BlockSummary,
    /// Sorted by id.
    pub(crate) rows: Vec<BlockRow>,
    latency_cells: Vec<LatencyCell>,
    endpoint_cells: Vec<EndpointCell>,
}

impl Block {
    /// A block without rows.
    pub(crate) fn new(summary: BlockSummary) -> Self {
        Self { summary, rows: Vec::new(), latency_cells: Vec::new(), endpoint_cells: Vec::new() }
    }

    /// Start of the time it covers, in Unix ms.
    ///
    /// ```
    /// # use sentinel_core::{Clock, Event, Sentinel};
    /// # let sentinel = Sentinel::builder().clock(Clock::manual(1_700_000_004_000)).build()?;
    /// # sentinel.record(Event::default());
    /// let block = &sentinel.blocks()[0];
    /// assert_eq!((block.from_ms(), block.to_ms()), (1_700_000_000_000, 1_700_000_010_000));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn from_ms(&self) -> i64 {
        self.summary.from_ms
    }

    /// End of the time it covers (exclusive), in Unix ms; see [`Block::from_ms`].
    ///
    /// ```
    /// # use sentinel_core::{Clock, Event, Sentinel};
    /// # let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
    /// # sentinel.record(Event::default());
    /// assert_eq!(sentinel.blocks()[0].to_ms(), 10_000);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn to_ms(&self) -> i64 {
        self.summary.to_ms
    }

    /// Id of the process that counted it.
    ///
    /// ```
    /// # use sentinel_core::{Event, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// # sentinel.record(Event::default());
    /// assert_eq!(sentinel.blocks()[0].source(), sentinel.source());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn source(&self) -> u64 {
        self.summary.source
    }

    /// Requests in the block, the tail included.
    ///
    /// ```
    /// # use sentinel_core::{Event, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// # sentinel.record(Event::default());
    /// assert_eq!(sentinel.blocks()[0].requests(), 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn requests(&self) -> u64 {
        self.summary.totals.requests
    }

    pub(crate) fn latency_of(&self, row: &BlockRow) -> &[LatencyCell] {
        &self.latency_cells[row.latency.start as usize..row.latency.end as usize]
    }

    /// Cells of a tenant's endpoints; `endpoint` is a place in the summary's list.
    pub(crate) fn endpoints_of(&self, row: &BlockRow) -> &[EndpointCell] {
        &self.endpoint_cells[row.endpoints.start as usize..row.endpoints.end as usize]
    }

    /// Appends a row; its id must be above the ids before it.
    pub(crate) fn push(&mut self, id: TenantId, sums: RowSums, latency: &[LatencyCell], endpoints: &[EndpointCell]) {
        let (a, b) = (self.latency_cells.len() as u32, self.endpoint_cells.len() as u32);
        self.latency_cells.extend_from_slice(latency);
        self.endpoint_cells.extend_from_slice(endpoints);
        self.rows.push(BlockRow {
            id,
            sums,
            latency: a..a + latency.len() as u32,
            endpoints: b..b + endpoints.len() as u32,
        });
    }
}
