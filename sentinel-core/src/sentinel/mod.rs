//! The façade: everything a caller does goes through a [`Sentinel`].

mod build;
pub(crate) mod guard;
pub(crate) mod handle;
pub(crate) mod sharing;
pub(crate) mod wider;

use crate::baseline::slot_counts::Side;
use crate::config::{Builder, Config};
use crate::engine::Engine;
use crate::event::Event;
use crate::event::tenant;
use crate::report::interval;
use crate::report::scope::Scope;
use crate::report::snapshot::Look;
use crate::report::{Query, Report, TenantReport};
use crate::sentinel::guard::Guard;
use crate::sentinel::handle::Handle;
use crate::sentinel::wider::Wider;
use crate::slot::stats::{Memory, Stats};
use crate::util::clock::Stamp;
use crate::util::error::ConfigError;
use crate::util::fork;
use crate::util::sync::Ordering;
use crate::verdict::Verdict;
use arc_swap::ArcSwapOption;
use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The tenant-aware incident detector of a process. Cheap to clone; clones share everything.
///
/// `record` takes events; `report`, `verdict` and `tenant` answer; `tick` moves time on where nobody asks. It starts no thread,
/// opens nothing, and its memory is bounded whatever ids come.
///
/// ```
/// use sentinel_core::{Event, Query, Sentinel};
/// use std::time::Duration;
///
/// let sentinel = Sentinel::builder().build()?;
/// let latency = Duration::from_millis(12).into();
/// sentinel.record(Event { tenant: b"acme", endpoint: "/v1/process", status: 500, latency, at: None });
/// println!("{}", sentinel.report(Query::default()));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sentinel {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    /// The engine of the process that built it.
    first: Arc<Engine>,
    /// The engine of a forked child.
    reborn: ArcSwapOption<Engine>,
    /// The fork generation in which a record needs no look around: the first one's, once who shares knows of it.
    ready: AtomicU64,
    /// The generation in which who shares was told of the first record.
    begun: AtomicU64,
    /// Who shares with other processes.
    wider: ArcSwapOption<Weak<dyn Wider>>,
}

/// No generation.
const NEVER: u64 = u64::MAX;

// Its locks recover from a panic inside; a host may catch one and go on.
impl std::panic::UnwindSafe for Sentinel {}
impl std::panic::RefUnwindSafe for Sentinel {}

impl Drop for Inner {
    fn drop(&mut self) {
        // A child must not drop what it inherited: another thread of the parent may have held a lock in there.
        let now = fork::generation();
        let inherited = |engine: &Arc<Engine>| engine.generation != now;
        for engine in [Some(self.first.clone()), self.reborn.load_full()].into_iter().flatten().filter(inherited) {
            std::mem::forget(engine);
        }
    }
}

/// The engine of this process.
pub(crate) enum Current<'a> {
    First(&'a Engine),
    Reborn(Arc<Engine>),
}

impl Deref for Current<'_> {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        match self {
            Self::First(engine) => engine,
            Self::Reborn(engine) => engine,
        }
    }
}

impl Sentinel {
    /// Options, to be built.
    ///
    /// ```
    /// let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// With the options of `SENTINEL_*`; see [`Builder::env`].
    ///
    /// # Errors
    /// A [`ConfigError`] that names the variable or the field.
    ///
    /// ```
    /// let sentinel = sentinel_core::Sentinel::from_env()?;
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::builder().env()?.build()
    }

    pub(crate) fn with(config: Config) -> Self {
        let first = Arc::new(Engine::new(&config, fork::generation()));
        let (ready, begun) = (AtomicU64::new(first.generation), AtomicU64::new(NEVER));
        let (reborn, wider) = (ArcSwapOption::empty(), ArcSwapOption::empty());
        Self { inner: Arc::new(Inner { config, first, reborn, ready, begun, wider }) }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Questions go to who shares this sentinel's events with other processes, from now on; and the first record in this
    /// process, and in each forked child, is told to it.
    ///
    /// See [`Wider`] for an example.
    pub fn widen(&self, wider: Weak<dyn Wider>) {
        self.inner.wider.store(Some(Arc::new(wider)));
        self.inner.begun.store(NEVER, Ordering::Release);
        self.inner.ready.store(NEVER, Ordering::Release);
    }

    pub(crate) fn wider(&self) -> Option<Arc<dyn Wider>> {
        self.inner.wider.load().as_ref()?.upgrade()
    }

    /// Tells who shares that this process records, once.
    #[cold]
    fn begin(&self) {
        let now = fork::generation();
        // A child comes here with each record: it reads, and only the first one writes.
        if self.inner.begun.load(Ordering::Acquire) != now
            && self.inner.begun.swap(now, Ordering::AcqRel) != now
            && let Some(wider) = self.wider()
        {
            wider.begin();
        }
        if self.inner.first.generation == now {
            self.inner.ready.store(now, Ordering::Release);
        }
    }

    /// Asks the widest scope that can answer, or the one that is asked for: what it says, for whom, and why for nobody wider.
    fn ask<T>(&self, asked: Option<Scope>, ask: impl Fn(&Self) -> T) -> (T, Scope, Option<String>) {
        if asked == Some(Scope::Process) {
            return (ask(self), Scope::Process, None);
        }
        let note = match self.wider().map_or(Ok(None), |wider| wider.answer()) {
            Ok(Some(answer)) => return (ask(&answer.sentinel), answer.scope, answer.note),
            Err(why) => Some(why.to_string()),
            Ok(None) => {
                asked.map(|_| "nothing is shared with other processes: no service name is configured".to_string())
            }
        };
        (ask(self), Scope::Process, note)
    }

    pub(crate) fn engine(&self) -> Current<'_> {
        let now = fork::generation();
        if self.inner.first.generation == now {
            return Current::First(&self.inner.first);
        }
        if let Some(engine) = self.inner.reborn.load_full().filter(|engine| engine.generation == now) {
            return Current::Reborn(engine);
        }
        let born = Arc::new(Engine::new(&self.inner.config, now));
        // Several threads of the child may be here: the first one's engine serves all.
        let before = self.inner.reborn.rcu(|known| match known {
            Some(known) if known.generation == now => Some(known.clone()),
            _ => Some(born.clone()),
        });
        if let Some(inherited) = before.filter(|engine| engine.generation != now) {
            std::mem::forget(inherited);
        }
        Current::Reborn(self.inner.reborn.load_full().unwrap_or(born))
    }

    /// Counts one request. Never fails, never panics; waits only for another record or for tables to be swapped. Where nobody
    /// ticks or asks, calls seal a filled slot on the way, two tenants each; a flood of late events there can make one take longer.
    ///
    /// ```
    /// # use sentinel_core::{Event, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// sentinel.record(Event { tenant: b"acme", endpoint: "/v1/process", status: 200, ..Event::default() });
    /// assert_eq!(sentinel.stats().accepted, 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[inline]
    pub fn record(&self, event: Event<'_>) {
        self.with_engine(|engine| engine.record(&event));
    }

    /// Counts many requests, in any order of time. What comes for slots before the first one that was judged counts in reports,
    /// not in verdicts.
    ///
    /// ```
    /// # use sentinel_core::{Event, Clock, Sentinel};
    /// let sentinel = Sentinel::builder().clock(Clock::manual(60_000)).build()?;
    /// sentinel.record_batch([40_000, 20_000, 60_000].map(|at| Event { tenant: b"acme", at: Some(at), ..Event::default() }));
    /// assert_eq!(sentinel.report(Default::default()).totals.requests, 3);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn record_batch<'a>(&self, events: impl IntoIterator<Item = Event<'a>>) {
        self.with_engine(|engine| {
            for event in events {
                engine.record(&event);
            }
        });
    }

    /// A handle that records requests of one tenant at one endpoint, both looked up once.
    ///
    /// ```
    /// # use sentinel_core::{Latency, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// let acme = sentinel.bind(b"acme", "/v1/process");
    /// acme.record(200, Latency::from_millis(3.0), None);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn bind(&self, tenant: &[u8], endpoint: &str) -> Handle {
        Handle::new(self, tenant, endpoint)
    }

    /// Begins a request that is recorded when it ends; until then it counts as in flight.
    ///
    /// ```
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// let mut request = sentinel.start();
    /// request.tenant(b"acme");
    /// request.finish("/v1/process", 200);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn start(&self) -> Guard {
        self.start_as(b"")
    }

    /// Begins a request whose tenant is known from the start.
    ///
    /// ```
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// sentinel.start_as(b"acme").finish("/v1/process", 200);
    /// assert_eq!(sentinel.report(Default::default()).tenants[0].tenant_id, "acme");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn start_as(&self, tenant: &[u8]) -> Guard {
        Guard::begin(self, tenant)
    }

    /// For adapters: something of theirs failed, such as a tenant extractor that panicked. Counted in
    /// [`Stats::adapter_failures`]; the request goes on.
    ///
    /// ```
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// sentinel.adapter_failed();
    /// assert_eq!(sentinel.stats().adapter_failures, 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn adapter_failed(&self) {
        self.with_engine(|engine| engine.adapter_failures.fetch_add(1, Ordering::Relaxed));
    }

    /// Moves time on to `now_ms` (Unix ms) and judges, having seen the events before it. Never goes back; the system's clock
    /// cannot be told the time, there it is just time to judge. Whoever owns a timer calls it once a second; without that,
    /// queries and records do its work.
    ///
    /// ```
    /// # use sentinel_core::{Clock, Sentinel};
    /// let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
    /// sentinel.tick(1_000);
    /// assert_eq!(sentinel.now_ms(), 1_000);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn tick(&self, now_ms: i64) {
        self.inner.config.clock.tick(now_ms);
        self.engine().tick();
    }

    /// The clock's time, Unix ms.
    ///
    /// ```
    /// # use sentinel_core::{Clock, Sentinel};
    /// assert_eq!(Sentinel::builder().clock(Clock::manual(42)).build()?.now_ms(), 42);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn now_ms(&self) -> i64 {
        self.inner.config.clock.now_ms()
    }

    pub(crate) fn stamp(&self) -> Stamp {
        self.inner.config.clock.stamp()
    }

    #[inline]
    pub(crate) fn with_engine<T>(&self, act: impl FnOnce(&Engine) -> T) -> T {
        // The way of all but forked children, without a count of who uses the engine.
        if self.inner.ready.load(Ordering::Acquire) == fork::generation() {
            return act(&self.inner.first);
        }
        self.begin();
        act(&self.engine())
    }

    /// Id of this process's blocks; a forked child has another one.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// assert_ne!(Sentinel::builder().build()?.source(), Sentinel::builder().build()?.source());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn source(&self) -> u64 {
        self.engine().source
    }

    /// The verdict on errors, as of now.
    ///
    /// ```
    /// # use sentinel_core::{Kind, Sentinel};
    /// assert_eq!(Sentinel::builder().build()?.verdict().kind, Kind::Quiet);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn verdict(&self) -> Verdict {
        self.ask(None, |sentinel| sentinel.judged(Side::Errors)).0
    }

    /// The verdict on latency, as of now.
    ///
    /// ```
    /// # use sentinel_core::{Kind, Sentinel};
    /// assert_eq!(Sentinel::builder().build()?.latency_verdict().kind, Kind::Quiet);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn latency_verdict(&self) -> Verdict {
        self.ask(None, |sentinel| sentinel.judged(Side::Latency)).0
    }

    fn judged(&self, side: Side) -> Verdict {
        let engine = self.engine();
        engine.tick();
        engine.verdict(side)
    }

    /// The ledger and what the sentinel knows of itself.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// assert_eq!(Sentinel::builder().build()?.stats().offered, 0);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn stats(&self) -> Stats {
        self.engine().stats()
    }

    /// The memory that it uses, and its budget.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// let memory = Sentinel::builder().build()?.memory();
    /// assert!(memory.used <= memory.budget);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn memory(&self) -> Memory {
        self.engine().memory()
    }

    /// Who is worst, and the verdicts: everything recorded so far is in it.
    ///
    /// ```
    /// # use sentinel_core::{Event, Query, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// sentinel.record(Event { tenant: b"acme", status: 500, ..Event::default() });
    /// assert_eq!(sentinel.report(Query::default()).tenants[0].tenant_id, "acme");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn report(&self, query: Query) -> Report {
        let look = |sentinel: &Self| Look::new(&sentinel.engine(), query.window).report(&query);
        let (report, scope, scope_note) = self.ask(query.scope, look);
        if scope == Scope::Process {
            return Report { scope_note, ..report };
        }
        // Who holds the merged view has counted nothing itself, and what it was offered is none of its own.
        let (sources, foreign_blocks) = ((report.sources - 1).max(1), report.stats.foreign_blocks);
        let stats = Stats { foreign_blocks, ..self.stats() };
        Report { scope, scope_note, sources, stats, ..report }
    }

    /// One tenant in detail, over the whole window or a trailing part of it; `None` when it is not in it. The empty id, and
    /// `unattributed` where nobody is called that, ask for the requests of unknown tenants.
    ///
    /// ```
    /// # use sentinel_core::{Event, Sentinel};
    /// # use std::time::Duration;
    /// # let sentinel = Sentinel::builder().build()?;
    /// sentinel.record(Event { tenant: b"acme", endpoint: "/", ..Event::default() });
    /// let tenant = sentinel.tenant(b"acme", Some(Duration::from_secs(60))).unwrap();
    /// assert_eq!(tenant.row.requests, 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn tenant(&self, id: &[u8], window: Option<Duration>) -> Option<TenantReport> {
        self.tenant_within(None, id, window)
    }

    /// As [`Sentinel::tenant`], within a scope; `None` is the widest that can answer.
    ///
    /// ```
    /// # use sentinel_core::{Event, Scope, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// sentinel.record(Event { tenant: b"acme", endpoint: "/", ..Event::default() });
    /// let tenant = sentinel.tenant_within(Some(Scope::Process), b"acme", None).unwrap();
    /// assert_eq!(tenant.scope, Scope::Process);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn tenant_within(&self, scope: Option<Scope>, id: &[u8], window: Option<Duration>) -> Option<TenantReport> {
        let (found, scope, _) = self.ask(scope, |sentinel| Look::new(&sentinel.engine(), window).tenant(id));
        found.map(|tenant| TenantReport { scope, ..tenant })
    }

    /// By the id as reports show it, or as it is.
    pub(crate) fn tenant_as_shown(
        &self,
        scope: Option<Scope>,
        id: &[u8],
        window: Option<Duration>,
    ) -> Option<TenantReport> {
        let shown = tenant::id_shown_as(id).filter(|other| other != id);
        shown.and_then(|id| self.tenant_within(scope, &id, window)).or_else(|| self.tenant_within(scope, id, window))
    }

    /// Length of the whole window.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// assert_eq!(Sentinel::builder().build()?.window().as_secs(), 600);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn window(&self) -> Duration {
        let grid = self.inner.config.grid;
        Duration::from_millis((grid.slot_ms * grid.slots) as u64)
    }

    /// Length of a slot.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// assert_eq!(Sentinel::builder().build()?.slot().as_secs(), 10);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn slot(&self) -> Duration {
        Duration::from_millis(self.inner.config.grid.slot_ms as u64)
    }

    /// The latencies of everybody, or of one tenant, as an `HdrHistogram` log with one interval (V2, compressed): what the
    /// tools of that ecosystem read. Values are microseconds. `None` when the tenant is not in the window.
    ///
    /// ```
    /// # use sentinel_core::{Event, Latency, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// sentinel.record(Event { tenant: b"acme", latency: Latency::from_millis(3.0), ..Event::default() });
    /// let log = sentinel.latency_log(Some(b"acme"), None).unwrap();
    /// assert!(log.starts_with("#"));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn latency_log(&self, tenant: Option<&[u8]>, window: Option<Duration>) -> Option<String> {
        let engine = self.engine();
        let look = Look::new(&engine, window);
        let (cells, coarse) = look.latencies(tenant)?;
        interval::log(&cells, coarse, look.from_ms, look.to_ms)
    }
}
