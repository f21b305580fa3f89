//! A block: a closed slot, immutable, sorted, and the one unit of everything after it.
//!
//! The window is a merge of blocks, another process is more blocks, a late event is one more small block. This is the form in
//! which processes exchange them, with the ids spelled out; the window keeps it `packed`.

pub(crate) mod codec;
pub(crate) mod dictionary;
pub(crate) mod json;
pub(crate) mod packed;
pub(crate) mod published;
pub(crate) mod release_queue;
pub(crate) mod rows;
pub(crate) mod seal;
pub(crate) mod summary;

use crate::block::rows::Sums;
use crate::block::summary::Head;
use crate::event::tenant::TenantId;
use crate::slot::entry::EndpointCell;
use crate::slot::histogram::LatencyCell;

/// One tenant in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: TenantId,
    pub(crate) sums: Sums,
    latency: (u32, u32),
    endpoints: (u32, u32),
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
    pub(crate) head: Head,
    /// Sorted by id.
    pub(crate) rows: Vec<Row>,
    latency_cells: Vec<LatencyCell>,
    endpoint_cells: Vec<EndpointCell>,
}

impl Block {
    /// A block without rows.
    pub(crate) fn new(head: Head) -> Self {
        Self { head, rows: Vec::new(), latency_cells: Vec::new(), endpoint_cells: Vec::new() }
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
        self.head.from_ms
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
        self.head.to_ms
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
        self.head.source
    }

    /// Requests in it, the tail included.
    ///
    /// ```
    /// # use sentinel_core::{Event, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// # sentinel.record(Event::default());
    /// assert_eq!(sentinel.blocks()[0].requests(), 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn requests(&self) -> u64 {
        self.head.totals[0]
    }

    pub(crate) fn latency_of(&self, row: &Row) -> &[LatencyCell] {
        &self.latency_cells[row.latency.0 as usize..row.latency.1 as usize]
    }

    /// Cells of a tenant's endpoints; `endpoint` is a place in the head's list.
    pub(crate) fn endpoints_of(&self, row: &Row) -> &[EndpointCell] {
        &self.endpoint_cells[row.endpoints.0 as usize..row.endpoints.1 as usize]
    }

    /// Appends a row; its id must be above those before it.
    pub(crate) fn push(&mut self, id: TenantId, sums: Sums, latency: &[LatencyCell], endpoints: &[EndpointCell]) {
        let (a, b) = (self.latency_cells.len() as u32, self.endpoint_cells.len() as u32);
        self.latency_cells.extend_from_slice(latency);
        self.endpoint_cells.extend_from_slice(endpoints);
        self.rows.push(Row {
            id,
            sums,
            latency: (a, a + latency.len() as u32),
            endpoints: (b, b + endpoints.len() as u32),
        });
    }
}
