//! A look at the window: everything of the asked slots merged into one block, and what a report says of it.

use crate::baseline::{Side, first_line};
use crate::block::{Block, Row};
use crate::engine::{Closed, Engine};
use crate::flight::InFlight;
use crate::histogram::{HALVES, half_of, last_bucket_of, percentiles};
use crate::rank::{Context, Expected, rank};
use crate::report::{
    BaselineKind, Bound, EndpointCounts, Mode, Query, Report, Tail, TenantReport, TenantRow, TopEndpoint, Totals,
};
use crate::slot::{SlowLine, WEIGHTS};
use crate::tenant::{TenantId, UNATTRIBUTED, UNATTRIBUTED_NAME, bounded, shown};
use crate::verdict::fleet::Opinion;
use std::collections::{BTreeSet, HashMap};
use std::sync::MutexGuard;
use std::time::Duration;

pub(crate) struct Look<'a> {
    engine: &'a Engine,
    closed: MutexGuard<'a, Closed>,
    /// Everything since `from_ms`.
    pub(crate) all: Block,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    window_ms: i64,
    sources: usize,
    flights: HashMap<Vec<u8>, InFlight>,
    /// Age of all requests in flight together.
    in_flight_ms: u64,
}

/// What is needed to describe a row.
struct Judged<'a> {
    opinion: Option<Opinion<'a>>,
    expected: Expected<'a>,
    /// Σ of the errors beyond the expected ones, over tenants.
    excess: f64,
}

impl<'a> Look<'a> {
    pub(crate) fn new(engine: &'a Engine, window: Option<Duration>) -> Self {
        let (mut closed, open) = engine.view();
        let grid = engine.grid();
        let asked = |window: Duration| window.as_millis().div_ceil(grid.slot_ms as u128);
        let slots = window.map_or(grid.slots, |window| asked(window).clamp(1, grid.slots as u128) as i64);
        let first = closed.slot.saturating_sub(slots);
        let line = closed.slow_line.fleet;
        let before = closed.window.merged(first, line);
        // Too young to know what is slow: what 5 % of these very requests exceed.
        let line = if line == SlowLine::default().fleet { own_line(&[&before, &open]) } else { line };
        let mut all = Block::merge(&[&before, &open], line);
        let sources: BTreeSet<u64> = closed.window.foreign().map(|block| block.source).collect();
        let to_ms = closed.now_ms;
        let flights = engine.flights.by_tenant(to_ms);
        all.list(flights.keys().map(|id| TenantId::new(id)));
        let in_flight_ms = flights.values().fold(0, |sum: u64, flights| sum.saturating_add(flights.sum_ms));
        let sources = sources.len() + 1;
        Self {
            engine,
            from_ms: grid.start_of(first),
            to_ms,
            window_ms: slots * grid.slot_ms,
            closed,
            all,
            sources,
            flights,
            in_flight_ms,
        }
    }

    pub(crate) fn report(&self, query: &Query) -> Report {
        let judged = self.judged();
        let block = &self.all;
        let context = Context {
            block,
            p0: judged.opinion.as_ref().map_or(COLD_RATE, Opinion::normal_rate),
            expected: &judged.expected,
            normal_latency: &|id| judged.opinion.as_ref()?.normal_latency(id),
            in_flight_us: &|id| self.flights.get(id).map_or(0, |flights| us(flights.sum_ms)),
        };
        let places = rank(query.by, query.limit, &context);
        let [p50_ms, p95_ms, p99_ms] = percentiles(&block.latency, block.latency_max_us, [50.0, 95.0, 99.0]);
        let exact = block.offset.iter().all(|offset| *offset == 0) && block.tail[0] == 0;
        let own = judged.opinion.as_ref().is_some_and(Opinion::has_baseline);
        let rows = block.rows.iter().filter(|row| row.counts[0] > 0).count();
        Report {
            as_of: self.to_ms,
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            window_ms: self.window_ms as u64,
            baseline: if own { BaselineKind::Own } else { BaselineKind::Cold },
            scope: "process",
            sources: self.sources,
            mode: if exact { Mode::Exact } else { Mode::Bounded },
            totals: Totals {
                requests: block.totals[0],
                errors: block.totals[1],
                slow: block.totals[2],
                error_rate: share(block.totals[1], block.totals[0]),
                aborted: block.aborted,
                tenants: rows as u64,
                p50_ms,
                p95_ms,
                p99_ms,
            },
            verdict: self.closed.verdict(Side::Errors),
            latency_verdict: self.closed.verdict(Side::Latency),
            by: query.by,
            errors: self.closed.errors().to_string(),
            tenants: places.into_iter().map(|at| self.describe(&block.rows[at], &judged)).collect(),
            tail: Tail {
                requests: block.tail[0],
                errors: block.tail[1],
                slow: block.tail[2],
                bound: bound(block.offset),
            },
            stats: self.engine.stats_of(&self.closed),
        }
    }

    /// A tenant's row; `unattributed` asks for that row where nobody is called so.
    pub(crate) fn find(&self, id: &[u8]) -> Option<&Row> {
        let by_name = || (id == UNATTRIBUTED_NAME.as_bytes()).then(|| self.all.row(UNATTRIBUTED)).flatten();
        self.all.row(&bounded(id).0).or_else(by_name)
    }

    pub(crate) fn tenant(&self, id: &[u8]) -> Option<TenantReport> {
        let row = self.find(id)?;
        let cells = self.all.endpoints_of(row).iter().map(|cell| EndpointCounts {
            endpoint: shown(self.all.endpoints[usize::from(cell.endpoint)].name.as_bytes()),
            requests: u64::from(cell.requests),
            errors: u64::from(cell.errors),
        });
        let mut endpoints: Vec<EndpointCounts> = cells.collect();
        endpoints.sort_by(|a, b| {
            (b.errors, b.requests).cmp(&(a.errors, a.requests)).then_with(|| a.endpoint.cmp(&b.endpoint))
        });
        let row = self.describe(row, &self.judged());
        Some(TenantReport { as_of: self.to_ms, from_ms: self.from_ms, to_ms: self.to_ms, row, endpoints })
    }

    fn judged(&self) -> Judged<'_> {
        let opinion = self.closed.fleet.as_ref().map(|fleet| fleet.opinion(self.window_ms));
        let expected: Expected<'_> = match &self.closed.fleet {
            Some(fleet) => Box::new(fleet.expectations(self.window_ms, &self.closed.window, &[])),
            None => Box::new(|_, requests| (requests as f64 * COLD_RATE, false)),
        };
        let excess = |row: &Row| (row.counts[1] as f64 - expected(row.id.as_bytes(), row.counts[0]).0).max(0.0);
        let excess = self.all.rows.iter().map(excess).sum();
        Judged { opinion, expected, excess }
    }

    fn describe(&self, row: &Row, judged: &Judged<'_>) -> TenantRow {
        let (block, id) = (&self.all, row.id.as_bytes());
        let [requests, errors, slow] = row.counts;
        let (expected, chronic) = (judged.expected)(id, requests);
        let [p50_ms, p95_ms, p99_ms] = percentiles(block.latency_of(row), row.latency_max_us, [50.0, 95.0, 99.0]);
        let normal = judged.opinion.as_ref().and_then(|opinion| opinion.normal_latency(id)?.p95_ms());
        let flights = self.flights.get(id).copied().unwrap_or_default();
        TenantRow {
            tenant_id: shown(id),
            requests,
            errors,
            slow,
            error_rate: share(errors, requests),
            error_share: share(errors, block.totals[1]),
            excess_share: (judged.excess > 0.0).then(|| (errors as f64 - expected).max(0.0) / judged.excess),
            request_share: share(requests, block.totals[0]),
            bound: bound(row.bound),
            culprit: id != UNATTRIBUTED && judged.opinion.as_ref().is_some_and(|opinion| opinion.is_culprit(id)),
            chronic,
            p50_ms,
            p95_ms,
            p99_ms,
            latency_deviation: p95_ms.zip(normal).map(|(p95, normal)| p95 / normal),
            load_share: share(
                row.latency_sum_us.saturating_add(us(flights.sum_ms)),
                block.latency_sum_us.saturating_add(us(self.in_flight_ms)),
            ),
            in_flight: flights.count,
            oldest_in_flight_ms: (flights.count > 0).then_some(flights.oldest_ms),
            top_endpoint: self.top_endpoint(row),
        }
    }

    /// Where most of a tenant's errors are; of equals, the first by name.
    fn top_endpoint(&self, row: &Row) -> Option<TopEndpoint> {
        let cells = self.all.endpoints_of(row).iter().filter(|cell| cell.errors > 0);
        let top = cells.max_by(|a, b| a.errors.cmp(&b.errors).then(b.endpoint.cmp(&a.endpoint)))?;
        let endpoint = shown(self.all.endpoints[usize::from(top.endpoint)].name.as_bytes());
        let exact = !row.endpoints_cut && row.bound[1] == 0;
        Some(TopEndpoint { endpoint, errors: u64::from(top.errors), exact })
    }
}

fn us(ms: u64) -> u64 {
    ms.saturating_mul(1_000)
}

fn bound([requests, errors, slow]: [u64; WEIGHTS]) -> Bound {
    Bound { requests, errors, slow }
}

/// The expected error rate while nothing is known.
const COLD_RATE: f64 = 1.0 / 200.0;

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The edge that 5 % of these latencies exceed.
fn own_line(blocks: &[&Block]) -> u16 {
    let mut halves = [0.0; HALVES];
    for cell in blocks.iter().flat_map(|block| &block.latency) {
        halves[usize::from(half_of(cell.bucket))] += f64::from(cell.count);
    }
    if blocks.iter().all(|block| block.latency.is_empty()) {
        SlowLine::default().fleet
    } else {
        last_bucket_of(first_line(&halves))
    }
}
