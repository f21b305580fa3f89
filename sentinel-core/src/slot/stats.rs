//! The ledger: what was offered, what became of it, and what is known of the sentinel itself.

use serde::Serialize;

/// Counters since this process started (or forked). At all times
/// `offered = accepted + dropped.status + dropped.late + dropped.no_memory` and `accepted = in_window + expired`.
///
/// ```
/// use sentinel_core::{Event, Sentinel};
///
/// let sentinel = Sentinel::builder().build()?;
/// sentinel.record(Event { tenant: b"acme", endpoint: "/", status: 200, ..Event::default() });
/// sentinel.record(Event { tenant: b"acme", endpoint: "/", status: 42, ..Event::default() });
/// let stats = sentinel.stats();
/// assert_eq!((stats.offered, stats.accepted, stats.dropped.status), (2, 1, 1));
/// assert_eq!(stats.accepted, stats.in_window + stats.expired);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Events handed to `record`.
    pub offered: u64,
    /// Events that were counted.
    pub accepted: u64,
    /// Events that were not counted, by reason.
    pub dropped: Dropped,
    /// Accepted events that had to be adjusted, by reason.
    pub adjusted: Adjusted,
    /// Accepted events that the window holds now, the tail included.
    pub in_window: u64,
    /// Accepted events that have left the window.
    pub expired: u64,
    /// Blocks of other sources in the window.
    pub foreign_blocks: u64,
    /// Requests that began while as many others were in flight as are followed at once (8,192 with the default budget): recorded
    /// when they ended, not seen before.
    pub flights_unseen: u64,
    /// Times that an adapter could not do its part, such as a tenant extractor that failed: the request went on, and counted as far
    /// as it was known.
    pub adapter_failures: u64,
    /// Times that a tenant's baseline was let go because there were more tenants than the budget holds.
    pub tenants_let_go: u64,
    /// Times that a slot's histograms were made coarse (8 buckets to a power of two, not 16) because the budget was short.
    pub blocks_coarsened: u64,
    /// Times that a slot lost the tenants that weigh least because the budget was short.
    pub blocks_pruned: u64,
}

/// Why events were not counted.
///
/// ```
/// let stats = sentinel_core::Sentinel::builder().build()?.stats();
/// assert_eq!(stats.dropped, sentinel_core::Dropped::default());
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Dropped {
    /// The status is outside 100–599.
    pub status: u64,
    /// The event is older than the window.
    pub late: u64,
    /// The event is for a slot that is over, and late events that wait to be sealed take all the memory for them.
    pub no_memory: u64,
}

/// What was adjusted in events that were counted.
///
/// ```
/// use sentinel_core::{Event, Latency, Sentinel};
///
/// let sentinel = Sentinel::builder().build()?;
/// sentinel.record(Event { tenant: b"acme", endpoint: "/", latency: Latency::from_millis(f64::NAN), ..Event::default() });
/// assert_eq!(sentinel.stats().adjusted.latency, 1);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Adjusted {
    /// The latency was NaN, negative or infinite: the request counts without it.
    pub latency: u64,
    /// The latency was above 71 minutes: it counts as that.
    pub latency_clamped: u64,
    /// The time lay more than a slot in the future: it counts as now.
    pub future: u64,
    /// The tenant id was longer than 128 bytes: 96 bytes and a hash stand for it.
    pub tenant_truncated: u64,
    /// No room for a further endpoint: it counts as `other`.
    pub endpoint_other: u64,
    /// No memory for a further page of its tenant's histogram: the latency counts for everybody, not in that tenant's
    /// percentiles.
    pub latency_unplaced: u64,
}

/// Memory, in bytes.
///
/// ```
/// let memory = sentinel_core::Sentinel::builder().budget(8 << 20).build()?.memory();
/// assert_eq!(memory.budget, 8 << 20);
/// assert!(memory.used < 1 << 20);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Memory {
    /// In use now, by the sentinel's own account.
    pub used: usize,
    /// What may be in use.
    pub budget: usize,
}

impl Stats {
    /// Adds the counters that a stripe keeps.
    pub(crate) fn add(&mut self, ledger: &Ledger) {
        let Ledger { accepted, dropped, adjusted } = *ledger;
        self.offered += accepted + dropped.status + dropped.late + dropped.no_memory;
        self.accepted += accepted;
        self.dropped.status += dropped.status;
        self.dropped.late += dropped.late;
        self.dropped.no_memory += dropped.no_memory;
        self.adjusted.latency += adjusted.latency;
        self.adjusted.latency_clamped += adjusted.latency_clamped;
        self.adjusted.future += adjusted.future;
        self.adjusted.tenant_truncated += adjusted.tenant_truncated;
        self.adjusted.endpoint_other += adjusted.endpoint_other;
        self.adjusted.latency_unplaced += adjusted.latency_unplaced;
    }
}

/// The counters of one stripe. Each event that is offered is counted in one of the first two.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ledger {
    pub(crate) accepted: u64,
    pub(crate) dropped: Dropped,
    pub(crate) adjusted: Adjusted,
}
