//! A consistent snapshot of the engine, from which a report, a tenant's report or a latency log is made.
//!
//! ```text
//!  ReportSnapshot::new ── locks `closed`, moves time on (engine/closing.rs) ──┐
//!                                                                             ▼
//!   closed blocks since `first`  ─► view: one sum a tenant, kept between queries ─┐
//!   the open slot's block        ─► sums, read anew each time                     ├─► tenants() ─► rank() ─► describe() each row
//!   requests in flight           ─► count and age a tenant                        ┘
//!   summaries of all blocks      ─► `all`: totals, tail, bounds, everybody's latencies
//!
//!  drop ── puts the cached details back, drops a view that is too large, releases the numbers of tenants in flight
//! ```
//!
//! **Invariant**: the lock on `closed` is held from `new` to `drop`, so totals, rows, ledger and verdicts are of one moment, and a
//! tenant's number keeps its meaning. Requests do not wait for that lock: they use the stripes' locks only.
//!
//! **Why not copy the data and release the lock?** A window of 100,000 tenants is tens of megabytes. Ticks and other queries can wait
//! for some milliseconds.
//!
//! **Why is slow counted with one line?** Each block counted slow requests above the line of its own slot. `new` fixes one line for
//! the whole answer, and views and summaries recount blocks that had another one from their histograms.
//!
//! **Why are rows gathered one by one?** A ranking needs four sums a tenant; percentiles and endpoints are needed for the listed ones
//! only. `TenantDetail` gathers these from the blocks, and the cache keeps them until a block comes or goes.

use crate::baseline::latency_tails::tail_threshold;
use crate::baseline::side::Side;
use crate::block::dictionary::{NOBODY, Number};
use crate::block::summary::BlockSummary;
use crate::engine::flights::InFlight;
use crate::engine::{Closed, Engine};
use crate::event::tenant::{UNATTRIBUTED, UNATTRIBUTED_NAME, bounded, shown};
use crate::report::ranking::{ExcessSum, Expectations, RankingContext, rank};
use crate::report::scope::Scope;
use crate::report::{
    BaselineKind, Bound, EndpointCounts, Mode, Query, Report, Series, Tail, TenantReport, TenantRow, TopEndpoint,
    Totals,
};
use crate::slot::histogram::{HALVES, LatencyCell, half_of, last_bucket_of, percentiles};
use crate::slot::table::SlowLine;
use crate::slot::weights::Counts;
use crate::util::sync::MutexGuard;
use crate::verdict::ranking_baseline::{RankingBaseline, TenantExpectation, weights_above};
use crate::window::sums::{TenantSum, View, sums_of, united};
use crate::window::tenant_detail::{DetailKey, TenantDetail, TenantDetailCache};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) struct ReportSnapshot<'a> {
    engine: &'a Engine,
    closed: MutexGuard<'a, Closed>,
    /// The first slot.
    first: i64,
    /// Requests in buckets above this one are slow.
    line: u16,
    /// Totals of everything since `from_ms`, without rows and endpoints.
    pub(crate) all: BlockSummary,
    /// Start of the first slot, Unix ms.
    pub(crate) from_ms: i64,
    /// The moment of the snapshot, Unix ms.
    pub(crate) to_ms: i64,
    /// Length of the closed slots, ms.
    window_ms: i64,
    /// Processes with blocks in the window, this one included.
    sources: usize,
    /// Requests in flight, of all known processes.
    flights: BTreeMap<Number, InFlight>,
    /// Taken out of `closed` until this is dropped.
    details: RefCell<TenantDetailCache>,
    /// Summed age of all requests in flight, ms.
    in_flight_ms: u64,
}

impl Drop for ReportSnapshot<'_> {
    fn drop(&mut self) {
        self.closed.details = self.details.take();
        let Closed { window, ids, .. } = &mut *self.closed;
        window.looked(ids);
        for &number in self.flights.keys() {
            self.closed.ids.release(number);
        }
    }
}

/// Normal values that rows are compared with.
struct RowBaselines<'a> {
    /// `None` before the first judgement.
    normal: Option<RankingBaseline<'a>>,
    expected: Expectations<'a>,
}

impl<'a> ReportSnapshot<'a> {
    /// Locks the engine's closed part, moves time on, and reads a trailing window: whole slots, 1 to all; `None` = all.
    pub(crate) fn new(engine: &'a Engine, window: Option<Duration>) -> Self {
        let mut closed = engine.advanced();
        let grid = engine.grid();
        let asked = |window: Duration| window.as_millis().div_ceil(grid.slot_ms as u128);
        let slots = window.map_or(grid.slots, |window| asked(window).clamp(1, grid.slots as u128) as i64);
        let first = closed.slot.saturating_sub(slots);
        let line = closed.slow_line.fleet;
        // A young process has no slow line yet: then 5 % of the very requests in this window are slow.
        let line = if line == SlowLine::default().fleet {
            own_line(closed.blocks(first).map(|block| &block.summary))
        } else {
            line
        };
        let Closed { window, open, .. } = &mut *closed;
        window.look(first, line);
        let mut all = BlockSummary::merge(window.since(first).chain(open.as_ref()).map(|block| &block.summary), line);
        let in_open = open.iter().flat_map(|open| sums_of(open, line)).map(|(_, sum)| sum.counts.slow).sum::<u64>();
        all.settle(window.view(first).map_or(0, |view| view.slow).saturating_add(in_open));
        let sources: BTreeSet<u64> = window.foreign().map(|block| block.summary.source).collect();
        let to_ms = closed.now_ms;
        let mut in_flight = engine.flights.by_tenant(|started| engine.since(started));
        for (id, flights) in closed.live.iter().flat_map(|live| live.as_of(to_ms)) {
            in_flight.entry(id.to_vec()).or_default().add(flights);
        }
        let flights: BTreeMap<Number, InFlight> =
            in_flight.into_iter().map(|(id, flights)| (closed.ids.intern(&id), flights)).collect();
        let in_flight_ms = flights.values().fold(0, |sum: u64, flights| sum.saturating_add(flights.sum_ms));
        let sources = sources.len() + 1;
        let from_ms = grid.start_of(first);
        let window_ms = slots * grid.slot_ms;
        let key = DetailKey { version: closed.window.version(), first, line };
        let details = std::mem::take(&mut closed.details).for_blocks(key);
        let details = RefCell::new(details);
        Self { engine, closed, first, line, all, from_ms, to_ms, window_ms, sources, flights, details, in_flight_ms }
    }

    /// Sums of tenants with requests or with requests in flight, in the order of their numbers.
    fn tenants(&self) -> impl Iterator<Item = (Number, TenantSum)> + '_ {
        let closed = self.closed.window.view(self.first).into_iter().flat_map(View::iter);
        let open = self.closed.open.iter().flat_map(|open| sums_of(open, self.line));
        let flights = self.flights.keys().map(|&number| (number, TenantSum::default()));
        united(united(closed, open), flights)
    }

    /// The report of this process; the caller fills in another scope.
    pub(crate) fn report(&self, query: &Query) -> Report {
        let baselines = self.row_baselines();
        let all = &self.all;
        let normal = baselines.normal.as_ref();
        // Tenants without a history of their own share the history of the fleet.
        let weights = weights_above(self.line);
        let others = normal.and_then(|normal| Some(normal.normal_latency(NOBODY)?.share(&weights)));
        let normal_slow = |number| normal?.normal_share(number, &weights).or(others);
        let is_culprit = |number| is_culprit(normal, number);
        let context = RankingContext {
            requests: all.totals.requests,
            slow: all.totals.slow,
            p0: normal.map_or(PRIOR_ERROR_RATE, RankingBaseline::normal_rate),
            expected: &baselines.expected,
            is_culprit: &is_culprit,
            normal_slow: &normal_slow,
            in_flight_us: &|number| self.flights.get(&number).map_or(0, |flights| us(flights.sum_ms)),
            ids: &self.closed.ids,
        };
        let ranking = rank(query.by, query.limit, &context, self.tenants());
        let [p50_ms, p95_ms, p99_ms] = percentiles(&all.latency, false, all.latency_max_us, [50.0, 95.0, 99.0]);
        let exact = all.offset == Counts::default() && all.tail.requests == 0;
        let own = normal.is_some_and(RankingBaseline::has_baseline);
        let describe = |&number: &Number| TenantRow {
            series: query.series.then(|| self.series(Some(number))),
            ..self.describe(number, &self.gather(number), &baselines, ranking.excess.sum())
        };
        Report {
            as_of: self.to_ms,
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            window_ms: self.window_ms as u64,
            baseline: if own { BaselineKind::Own } else { BaselineKind::Cold },
            scope: Scope::Process,
            scope_note: None,
            sources: self.sources,
            mode: if exact { Mode::Exact } else { Mode::Bounded },
            totals: Totals {
                requests: all.totals.requests,
                errors: all.totals.errors,
                slow: all.totals.slow,
                error_rate: share(all.totals.errors, all.totals.requests),
                aborted: all.aborted,
                tenants: ranking.tenants,
                p50_ms,
                p95_ms,
                p99_ms,
            },
            verdict: self.closed.verdict(Side::Errors),
            latency_verdict: self.closed.verdict(Side::Latency),
            by: query.by,
            errors: self.closed.errors().to_string(),
            tenants: ranking.worst.iter().map(describe).collect(),
            tail: Tail {
                requests: all.tail.requests,
                errors: all.tail.errors,
                slow: all.tail.slow,
                bound: bound(all.offset),
            },
            stats: self.engine.stats_of(&self.closed),
            series: query.series.then(|| self.series(None)),
        }
    }

    /// Counts of all tenants, or of one, slot by slot.
    fn series(&self, tenant: Option<Number>) -> Series {
        let Closed { window, open, slot, .. } = &*self.closed;
        let grid = self.engine.grid();
        let slots = (slot.saturating_sub(self.first) + 1).clamp(1, grid.slots + 1) as usize;
        let mut series = Series {
            from_ms: self.from_ms,
            slot_ms: grid.slot_ms as u64,
            requests: vec![0; slots],
            errors: vec![0; slots],
        };
        for block in window.since(self.first).chain(open) {
            let counts = match tenant {
                None => Some(block.summary.totals),
                Some(number) => block.rows.find(number).map(|row| row.sums.counts),
            };
            let at = usize::try_from(grid.slot_of(block.summary.from_ms).saturating_sub(self.first)).ok();
            if let Some(counts) = counts
                && let Some(at) = at.filter(|at| *at < slots)
            {
                series.requests[at] = series.requests[at].saturating_add(counts.requests);
                series.errors[at] = series.errors[at].saturating_add(counts.errors);
            }
        }
        series
    }

    /// A tenant that is in the window or in flight; `unattributed` asks for that row unless a tenant has that id.
    fn find(&self, id: &[u8]) -> Option<(Number, TenantDetail)> {
        let named = |id: &[u8]| {
            let number = self.closed.ids.find(id)?;
            let row = self.gather(number);
            (row.sums.counts.requests > 0 || self.flights.contains_key(&number)).then_some((number, row))
        };
        let by_name = || (id == UNATTRIBUTED_NAME.as_bytes()).then(|| named(UNATTRIBUTED)).flatten();
        named(&bounded(id).0).or_else(by_name)
    }

    /// A tenant's row with latencies and endpoints: cached for closed blocks, with the open slot added.
    fn gather(&self, number: Number) -> TenantDetail {
        let Closed { window, open, .. } = &*self.closed;
        let closed = || TenantDetail::of(number, window.since(self.first), self.line);
        self.details.borrow_mut().row(number, closed).and(number, open.iter(), self.line)
    }

    /// The latencies of all tenants or of one, and whether their buckets are coarse (8 to a power of two, not 16).
    pub(crate) fn latencies(&self, tenant: Option<&[u8]>) -> Option<(Vec<LatencyCell>, bool)> {
        match tenant {
            None => Some((self.all.latency.clone(), false)),
            Some(id) => self.find(id).map(|(_, row)| (row.latency, row.sums.coarse)),
        }
    }

    /// One tenant's report, of this process.
    pub(crate) fn tenant(&self, id: &[u8]) -> Option<TenantReport> {
        let (number, row) = self.find(id)?;
        let cells = row.endpoints.iter().map(|at| EndpointCounts {
            endpoint: shown(at.name.as_bytes()),
            requests: at.requests,
            errors: at.errors,
        });
        let mut endpoints: Vec<EndpointCounts> = cells.collect();
        endpoints.sort_by(|a, b| {
            (b.errors, b.requests).cmp(&(a.errors, a.requests)).then_with(|| a.endpoint.cmp(&b.endpoint))
        });
        let baselines = self.row_baselines();
        let mut excess = ExcessSum::default();
        for (number, sum) in self.tenants().filter(|(_, sum)| sum.counts.errors > 0) {
            excess.add(sum.counts.errors as f64, (baselines.expected)(number, sum.counts.requests).errors);
        }
        let row = self.describe(number, &row, &baselines, excess.sum());
        Some(TenantReport {
            scope: Scope::Process,
            as_of: self.to_ms,
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            row,
            endpoints,
        })
    }

    fn row_baselines(&self) -> RowBaselines<'_> {
        let normal = self.closed.fleet.as_ref().map(|fleet| fleet.ranking_baseline(self.window_ms));
        let expected: Expectations<'_> = match &self.closed.fleet {
            Some(fleet) => Box::new(fleet.expectations(self.window_ms, &self.closed.window, &self.closed.ids)),
            None => Box::new(|_, requests| TenantExpectation::at_rate(PRIOR_ERROR_RATE, requests)),
        };
        RowBaselines { normal, expected }
    }

    /// The public row of a tenant. `excess`: errors of all tenants beyond the expected ones.
    fn describe(&self, number: Number, row: &TenantDetail, baselines: &RowBaselines<'_>, excess: f64) -> TenantRow {
        let (all, sums, id) = (&self.all, &row.sums, self.closed.ids.id(number));
        let Counts { requests, errors, slow } = sums.counts;
        let expected = (baselines.expected)(number, requests);
        let [p50_ms, p95_ms, p99_ms] = percentiles(&row.latency, sums.coarse, sums.latency_max_us, [50.0, 95.0, 99.0]);
        let normal = baselines.normal.as_ref().and_then(|normal| normal.normal_latency(number)?.p95_ms());
        let flights = self.flights.get(&number).copied().unwrap_or_default();
        TenantRow {
            tenant_id: shown(id),
            requests,
            errors,
            slow,
            error_rate: share(errors, requests),
            error_share: share(errors, all.totals.errors),
            excess_share: (excess > 0.0).then(|| (errors as f64 - expected.errors).max(0.0) / excess),
            request_share: share(requests, all.totals.requests),
            bound: bound(sums.bound),
            culprit: is_culprit(baselines.normal.as_ref(), number),
            chronic: expected.is_chronic,
            p50_ms,
            p95_ms,
            p99_ms,
            latency_coarse: sums.coarse,
            latency_deviation: p95_ms.zip(normal).map(|(p95, normal)| p95 / normal),
            load_share: {
                let (own, whole) = (us(flights.sum_ms), us(self.in_flight_ms));
                let own = sums.latency_sum_us.saturating_add(own);
                // Another process may claim more time for one tenant than for all together.
                share(own, all.latency_sum_us.saturating_add(whole).max(own))
            },
            in_flight: flights.count,
            oldest_in_flight_ms: (flights.count > 0).then_some(flights.oldest_ms),
            top_endpoint: top_endpoint(row),
            series: None,
        }
    }
}

/// Whether a tenant passed the gate of the error verdict that is shown.
fn is_culprit(normal: Option<&RankingBaseline<'_>>, number: Number) -> bool {
    normal.is_some_and(|normal| normal.is_culprit(number))
}

/// The endpoint with most of a tenant's errors; of equals, the first by name.
fn top_endpoint(row: &TenantDetail) -> Option<TopEndpoint> {
    let failing = row.endpoints.iter().filter(|at| at.errors > 0);
    let top = failing.max_by(|a, b| a.errors.cmp(&b.errors).then_with(|| b.name.cmp(&a.name)))?;
    let exact = !row.sums.endpoints_cut && row.sums.bound.errors == 0;
    Some(TopEndpoint { endpoint: shown(top.name.as_bytes()), errors: top.errors, exact })
}

fn us(ms: u64) -> u64 {
    ms.saturating_mul(1_000)
}

fn bound(Counts { requests, errors, slow }: Counts<u64>) -> Bound {
    Bound { requests, errors, slow }
}

/// Error rate that is expected of each tenant before the first judgement, 0 to 1: `PRIOR_ERRORS` in `PRIOR_REQUESTS`, the prior of
/// the judges (`verdict/rules.rs`).
const PRIOR_ERROR_RATE: f64 = 1.0 / 200.0;

/// A share, 0 to 1; `None` of 0.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The slow line of a process that has none yet: the edge that 5 % of these latencies exceed.
fn own_line<'a>(summaries: impl Iterator<Item = &'a BlockSummary>) -> u16 {
    let (mut halves, mut any) = ([0.0; HALVES], false);
    for cell in summaries.flat_map(|summary| &summary.latency) {
        halves[usize::from(half_of(cell.bucket))] += f64::from(cell.count);
        any = true;
    }
    if any { last_bucket_of(tail_threshold(&halves)) } else { SlowLine::default().fleet }
}
