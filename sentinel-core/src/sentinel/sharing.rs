//! The exchange between the sentinels of several processes: blocks, requests in flight, baselines.

use crate::alert::AlertsReport;
use crate::baseline::wire::Baseline;
use crate::block::Block;
use crate::block::published::Published;
use crate::engine::in_flight_wire::Live;
use crate::sentinel::Sentinel;
use crate::sentinel::wider::{Sharing, Unavailable};
use crate::uptime::UptimeReport;
use crate::util::error::{ConfigError, MergeError};

impl Sentinel {
    /// Blocks of this process, oldest first; the last one is the open slot so far. Together they are all that this process has
    /// counted in the window, and another process may merge them.
    ///
    /// ```
    /// # use sentinel_core::{Event, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// sentinel.record(Event::default());
    /// assert_eq!(sentinel.blocks().iter().map(|block| block.requests()).sum::<u64>(), 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn blocks(&self) -> Vec<Block> {
        self.engine().blocks()
    }

    /// Merges a block of another process into the window. A newer block of the same source and slot replaces the older one, so a
    /// process may send a snapshot of its open slot as often as it likes.
    ///
    /// # Errors
    /// A [`MergeError`] when the block has slots of another length or alignment, lies outside the window, is this sentinel's own, or
    /// does not fit into the budget.
    ///
    /// ```
    /// # use sentinel_core::{Event, Sentinel};
    /// let (here, there) = (Sentinel::builder().build()?, Sentinel::builder().build()?);
    /// there.record(Event::default());
    /// for block in there.blocks() {
    ///     here.merge(block)?;
    /// }
    /// let report = here.report(Default::default());
    /// assert_eq!((report.totals.requests, report.sources), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn merge(&self, block: Block) -> Result<(), MergeError> {
        self.engine().merge(block)
    }

    /// Blocks of this process that changed since `published` last saw them, each with at most about `tenants` rows: the tenants with
    /// most errors, slow requests and requests. Totals are exact. Tenants that are left out are counted in the tail, and the bounds
    /// say how much one of them may have.
    ///
    /// ```
    /// # use sentinel_core::{Event, Published, Sentinel};
    /// let (here, there) = (Sentinel::builder().build()?, Sentinel::builder().build()?);
    /// let mut published = Published::default();
    /// for _ in 0..3 {
    ///     there.record(Event { tenant: b"acme", ..Event::default() });
    ///     for block in there.rollup(&mut published, 512) {
    ///         here.merge(block)?;
    ///     }
    /// }
    /// assert_eq!(here.report(Default::default()).totals.requests, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rollup(&self, published: &mut Published, tenants: usize) -> Vec<Block> {
        self.engine().rollup(published, tenants)
    }

    /// Requests in flight in this process, of at most `tenants` tenants. See [`Live`].
    pub fn live(&self, tenants: usize) -> Live {
        self.engine().live(tenants)
    }

    /// Replaces the known requests in flight of other processes. See [`Live`].
    pub fn set_live(&self, live: Vec<Live>) {
        self.engine().set_live(live);
    }

    /// The baseline of this process, of at most `tenants` tenants, for another process that is about to begin; `None` before the
    /// first judgement. See [`Baseline`].
    pub fn baseline(&self, tenants: usize) -> Option<Baseline> {
        self.engine().baseline(tenants)
    }

    /// Begins with the baseline of another process. Call it before this sentinel has judged anything, and merge the blocks of that
    /// process afterwards. Returns whether the baseline was taken. See [`Baseline`].
    pub fn inherit(&self, baseline: Baseline) -> bool {
        self.engine().inherit(baseline)
    }

    /// State of the exchange with other processes; `None` when nothing is shared. See [`Sharing`].
    pub fn sharing(&self) -> Option<Sharing> {
        self.wider()?.sharing()
    }

    /// Alerts and the state of their sinks; `None` when no alerts are configured. Every process of a host gives the same answer.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason, when no process can answer now.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// assert_eq!(Sentinel::builder().build()?.alerts(), Ok(None));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn alerts(&self) -> Result<Option<AlertsReport>, Unavailable> {
        self.wider().map_or(Ok(None), |wider| wider.alerts())
    }

    /// Uptime checks with their status and days; `None` when no checks are configured. Every process of a host gives the same answer.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason, when no process can answer now.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// assert_eq!(Sentinel::builder().build()?.uptime(), Ok(None));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn uptime(&self) -> Result<Option<UptimeReport>, Unavailable> {
        self.wider().map_or(Ok(None), |wider| wider.uptime())
    }

    /// An empty sentinel for the merged view of many processes: same window, slots, clock and error classes, and `budget` bytes of
    /// its own.
    ///
    /// # Errors
    /// A [`ConfigError`] when the budget is outside 4 MiB to 64 GiB.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// let host = Sentinel::builder().build()?.aggregator(16 << 20)?;
    /// assert_eq!(host.memory().budget, 16 << 20);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn aggregator(&self, budget: usize) -> Result<Self, ConfigError> {
        self.config().aggregating(budget).map(Self::with)
    }
}
