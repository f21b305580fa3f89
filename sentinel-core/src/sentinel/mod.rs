//! The façade: every call of a user goes through a [`Sentinel`].
//!
//! | file | content |
//! |---|---|
//! | `build` | options become a sentinel |
//! | `guard` | a request from its start to its end |
//! | `handle` | a tenant and an endpoint, looked up once for many requests |
//! | `sharing` | blocks, requests in flight and baselines for other processes |
//! | `wider` | the trait by which the exporter answers for all processes of a host |
//!
//! # Which engine does a call use?
//!
//! ```text
//!  Sentinel ──► SentinelState (one for all clones)
//!                 ├─ first    the engine of the process that built the sentinel, in generation g
//!                 ├─ reborn   the engine of a forked child, in generation g + 1, g + 2, …; empty until then
//!                 ├─ ready    generation in which a record may use `first` without any further look
//!                 └─ wider    the exporter, told once in each process that the process records
//!
//!  record: ready == fork::generation() ?  ── yes ─► first            (almost every record: two loads)
//!                                         └─ no ──► tell the exporter once; first, or reborn of this generation,
//!                                                   or a new engine that becomes reborn
//! ```
//!
//! **Invariant**: an engine is used only in the generation in which it was made. The engine of another generation is neither locked
//! nor dropped: a thread of the parent may have held one of its locks at the moment of the fork, and no thread of the child will ever
//! release it. Such an engine is leaked with `mem::forget`, once a fork. `util/fork.rs` says more.
//!
//! **Why is `first` not behind the `ArcSwap` too?** A load of it writes to memory that threads share; `first` is a plain field. **Why
//! does a child find its engine at its first call, and not in the fork handler?** Few calls are allowed in a handler of
//! `pthread_atfork`; allocating is not. **Why can two threads of a child not end with an engine each?** Both build one, `rcu` keeps
//! that of the first, and the other one is dropped before it has counted anything.

mod build;
pub(crate) mod guard;
pub(crate) mod handle;
pub(crate) mod sharing;
pub(crate) mod wider;

use crate::baseline::side::Side;
use crate::config::{Builder, Config};
use crate::engine::Engine;
use crate::event::Event;
use crate::event::tenant;
use crate::report::interval;
use crate::report::scope::Scope;
use crate::report::snapshot::ReportSnapshot;
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
/// `record` takes events; `report`, `verdict` and `tenant` answer; `tick` moves time on when nobody asks. A sentinel starts no
/// thread and opens no file or socket, and its memory is bounded, whatever ids arrive.
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
    state: Arc<SentinelState>,
}

/// The state that all clones of a sentinel share.
#[derive(Debug)]
struct SentinelState {
    config: Config,
    /// The engine of the process that built the sentinel.
    first: Arc<Engine>,
    /// The engine of a forked child, once it has made a call.
    reborn: ArcSwapOption<Engine>,
    /// The fork generation in which a record uses `first` at once: that of `first`, after `wider` was told of the first record.
    ready: AtomicU64,
    /// The generation in which `wider` was told of the first record.
    begun: AtomicU64,
    /// The implementation that shares with other processes; held weakly, so that its owner can end it.
    wider: ArcSwapOption<Weak<dyn Wider>>,
}

/// A generation that no process has.
const NO_GENERATION: u64 = u64::MAX;

// The locks inside recover from a panic; a host may catch one and go on.
impl std::panic::UnwindSafe for Sentinel {}
impl std::panic::RefUnwindSafe for Sentinel {}

impl Drop for SentinelState {
    fn drop(&mut self) {
        // A child must not drop an inherited engine: another thread of the parent may have held a lock in it.
        let now = fork::generation();
        let inherited = |engine: &Arc<Engine>| engine.generation != now;
        for engine in [Some(self.first.clone()), self.reborn.load_full()].into_iter().flatten().filter(inherited) {
            std::mem::forget(engine);
        }
    }
}

/// The engine of this process.
pub(crate) enum CurrentEngine<'a> {
    First(&'a Engine),
    Reborn(Arc<Engine>),
}

impl Deref for CurrentEngine<'_> {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        match self {
            Self::First(engine) => engine,
            Self::Reborn(engine) => engine,
        }
    }
}

impl Sentinel {
    /// A builder with the default options.
    ///
    /// ```
    /// let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Builds a sentinel with the options of the environment variables `SENTINEL_*`; see [`Builder::env`].
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
        let (ready, begun) = (AtomicU64::new(first.generation), AtomicU64::new(NO_GENERATION));
        let (reborn, wider) = (ArcSwapOption::empty(), ArcSwapOption::empty());
        Self { state: Arc::new(SentinelState { config, first, reborn, ready, begun, wider }) }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.state.config
    }

    /// Sends questions to `wider` from now on, which shares this sentinel's events with other processes. `wider` is also told of the
    /// first record in this process and in each forked child. The sentinel holds it weakly: once the owner has dropped it, this
    /// process answers for itself again.
    ///
    /// See [`Wider`] for an example.
    pub fn widen(&self, wider: Weak<dyn Wider>) {
        self.state.wider.store(Some(Arc::new(wider)));
        self.state.begun.store(NO_GENERATION, Ordering::Release);
        self.state.ready.store(NO_GENERATION, Ordering::Release);
    }

    pub(crate) fn wider(&self) -> Option<Arc<dyn Wider>> {
        self.state.wider.load().as_ref()?.upgrade()
    }

    /// Tells `wider` that this process records, once.
    #[cold]
    fn begin(&self) {
        let now = fork::generation();
        // A child comes here with each record: it reads, and only the first one writes.
        if self.state.begun.load(Ordering::Acquire) != now
            && self.state.begun.swap(now, Ordering::AcqRel) != now
            && let Some(wider) = self.wider()
        {
            wider.begin();
        }
        if self.state.first.generation == now {
            self.state.ready.store(now, Ordering::Release);
        }
    }

    /// Asks the widest scope that can answer, or the given one. Returns the answer, its scope, and the reason why no wider scope
    /// answered.
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

    /// The engine of this process; in a forked child it is made at the first call.
    pub(crate) fn engine(&self) -> CurrentEngine<'_> {
        let now = fork::generation();
        if self.state.first.generation == now {
            return CurrentEngine::First(&self.state.first);
        }
        if let Some(engine) = self.state.reborn.load_full().filter(|engine| engine.generation == now) {
            return CurrentEngine::Reborn(engine);
        }
        let born = Arc::new(Engine::new(&self.state.config, now));
        // Several threads of the child may be here: all of them use the engine that the first one has stored.
        let before = self.state.reborn.rcu(|known| match known {
            Some(known) if known.generation == now => Some(known.clone()),
            _ => Some(born.clone()),
        });
        if let Some(inherited) = before.filter(|engine| engine.generation != now) {
            std::mem::forget(inherited);
        }
        CurrentEngine::Reborn(self.state.reborn.load_full().unwrap_or(born))
    }

    /// Counts one request. Never fails and never panics; waits only for another record or for a swap of tables. When nobody ticks
    /// or asks, each call also seals two tenants of a slot that is over; then a flood of late events can make a call take longer.
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

    /// Counts many requests, in any order of time. Events for slots before the first judged slot count in reports, and not in
    /// verdicts.
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

    /// Makes a handle that records requests of one tenant at one endpoint; both are looked up once.
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

    /// Counts a failure of an adapter in [`Stats::adapter_failures`], such as a tenant extractor that panicked. The request goes on.
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

    /// Moves time on to `now_ms` (Unix ms) and judges the events before it. Time never goes back. The system's clock ignores `now_ms`
    /// and reads its own time. A service with a timer calls this once a second; without that, queries and records do its work.
    ///
    /// ```
    /// # use sentinel_core::{Clock, Sentinel};
    /// let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
    /// sentinel.tick(1_000);
    /// assert_eq!(sentinel.now_ms(), 1_000);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn tick(&self, now_ms: i64) {
        self.state.config.clock.tick(now_ms);
        self.engine().tick();
    }

    /// The time of the clock, Unix ms.
    ///
    /// ```
    /// # use sentinel_core::{Clock, Sentinel};
    /// assert_eq!(Sentinel::builder().clock(Clock::manual(42)).build()?.now_ms(), 42);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn now_ms(&self) -> i64 {
        self.state.config.clock.now_ms()
    }

    pub(crate) fn stamp(&self) -> Stamp {
        self.state.config.clock.stamp()
    }

    #[inline]
    pub(crate) fn with_engine<T>(&self, act: impl FnOnce(&Engine) -> T) -> T {
        // All processes but forked children take this path, which writes no shared memory (the `ArcSwap` of `reborn` does).
        if self.state.ready.load(Ordering::Acquire) == fork::generation() {
            return act(&self.state.first);
        }
        self.begin();
        act(&self.engine())
    }

    /// Source id of this process, which its blocks carry; a forked child has another one.
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

    /// The ranking and the verdicts. Everything recorded before the call is in them.
    ///
    /// ```
    /// # use sentinel_core::{Event, Query, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// sentinel.record(Event { tenant: b"acme", status: 500, ..Event::default() });
    /// assert_eq!(sentinel.report(Query::default()).tenants[0].tenant_id, "acme");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn report(&self, query: Query) -> Report {
        let answer = |sentinel: &Self| ReportSnapshot::new(&sentinel.engine(), query.window).report(&query);
        let (report, scope, scope_note) = self.ask(query.scope, answer);
        if scope == Scope::Process {
            return Report { scope_note, ..report };
        }
        // The sentinel of the merged view has recorded nothing itself: the ledger is this process's, and that view is no source.
        let (sources, foreign_blocks) = ((report.sources - 1).max(1), report.stats.foreign_blocks);
        let stats = Stats { foreign_blocks, ..self.stats() };
        Report { scope, scope_note, sources, stats, ..report }
    }

    /// One tenant in detail, over the whole window or a trailing part of it; `None` when the tenant has no requests there
    /// and none in flight. The empty id asks for the requests of unknown tenants, and so does `unattributed` unless a tenant has that id.
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

    /// As [`Sentinel::tenant`], within a scope; `None` = the widest scope that can answer.
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
        let (found, scope, _) = self.ask(scope, |sentinel| ReportSnapshot::new(&sentinel.engine(), window).tenant(id));
        found.map(|tenant| TenantReport { scope, ..tenant })
    }

    /// One tenant, by the id as reports show it or by the id itself.
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
        let grid = self.state.config.grid;
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
        Duration::from_millis(self.state.config.grid.slot_ms as u64)
    }

    /// The latencies of all tenants, or of one, in microseconds, as an `HdrHistogram` log with one interval (V2, compressed), which
    /// the tools of that ecosystem read. `None` when the tenant is not in the window.
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
        let snapshot = ReportSnapshot::new(&engine, window);
        let (cells, coarse) = snapshot.latencies(tenant)?;
        interval::log(&cells, coarse, snapshot.from_ms, snapshot.to_ms)
    }
}
