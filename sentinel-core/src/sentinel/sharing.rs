//! What sentinels tell each other: blocks, requests in flight, and what is normal.

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
    /// This process's blocks, oldest first; the open slot's so far is the last one. They add up to all it has counted in the
    /// window, and another process may merge them.
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

    /// Takes another process's block in. A newer block of the same source and slot replaces the older one, so a snapshot may
    /// be sent as often as one likes.
    ///
    /// # Errors
    /// A [`MergeError`] when its slots are not this sentinel's, it is outside the window, or it is this sentinel's own.
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

    /// This process's blocks that have changed since `published` last saw them, each with at most about `tenants` rows: those
    /// with most errors, slow requests and requests. Totals are exact; what was left out is in the tail, and bounds say how much
    /// one tenant may miss.
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

    /// This process's requests in flight, those of at most `tenants` tenants. See [`Live`].
    pub fn live(&self, tenants: usize) -> Live {
        self.engine().live(tenants)
    }

    /// Takes other processes' requests in flight, in place of all that were known. See [`Live`].
    pub fn set_live(&self, live: Vec<Live>) {
        self.engine().set_live(live);
    }

    /// What is known of the time before the window, of at most `tenants` tenants; `None` before anything was judged. For a process
    /// that is about to begin. See [`Baseline`].
    pub fn baseline(&self, tenants: usize) -> Option<Baseline> {
        self.engine().baseline(tenants)
    }

    /// Begins with what another process knew of the time before the window: before anything is judged here, then with its blocks. Says
    /// whether it was taken. See [`Baseline`].
    pub fn inherit(&self, baseline: Baseline) -> bool {
        self.engine().inherit(baseline)
    }

    /// How sharing with other processes goes; `None` where nothing is shared. See [`Sharing`].
    pub fn sharing(&self) -> Option<Sharing> {
        self.wider()?.sharing()
    }

    /// What there is to know about alerts; `None` where none are configured. The same from every process of a host.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason, when nobody can say now.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// assert_eq!(Sentinel::builder().build()?.alerts(), Ok(None));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn alerts(&self) -> Result<Option<AlertsReport>, Unavailable> {
        self.wider().map_or(Ok(None), |wider| wider.alerts())
    }

    /// Where uptime checks stand, with what each was day by day; `None` where none are configured. The same from every process of a host.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason, when nobody can say now.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// assert_eq!(Sentinel::builder().build()?.uptime(), Ok(None));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn uptime(&self) -> Result<Option<UptimeReport>, Unavailable> {
        self.wider().map_or(Ok(None), |wider| wider.uptime())
    }

    /// An empty sentinel for the merged view of many processes: same window, slots, clock and meaning of errors, and a budget
    /// of its own, in bytes.
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
