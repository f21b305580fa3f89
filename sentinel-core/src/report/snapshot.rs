//! A look at the window: who is worst in the asked slots, and what a report says of it.

use crate::baseline::latency_tails::first_line;
use crate::baseline::slot_counts::Side;
use crate::block::dictionary::{NOBODY, Number};
use crate::block::summary::Head;
use crate::engine::flights::InFlight;
use crate::engine::{Closed, Engine};
use crate::event::tenant::{UNATTRIBUTED, UNATTRIBUTED_NAME, bounded, shown};
use crate::report::ranking::{Context, Excess, Expected, rank};
use crate::report::scope::Scope;
use crate::report::{
    BaselineKind, Bound, EndpointCounts, Mode, Query, Report, Series, Tail, TenantReport, TenantRow, TopEndpoint,
    Totals,
};
use crate::slot::histogram::{HALVES, LatencyCell, half_of, last_bucket_of, percentiles};
use crate::slot::table::SlowLine;
use crate::slot::weights::WEIGHTS;
use crate::util::sync::MutexGuard;
use crate::verdict::fleet::{Opinion, weights_above};
use crate::window::sums::{Sum, View, sums_of, united};
use crate::window::tenant_detail::{Gathered, Shelf};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) struct Look<'a> {
    engine: &'a Engine,
    closed: MutexGuard<'a, Closed>,
    /// The first slot, and what is slow.
    first: i64,
    line: u16,
    /// Everything since `from_ms`, without rows and endpoints.
    pub(crate) all: Head,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    window_ms: i64,
    sources: usize,
    flights: BTreeMap<Number, InFlight>,
    shelf: RefCell<Shelf>,
    /// Age of all requests in flight together.
    in_flight_ms: u64,
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.closed.shelf = self.shelf.take();
        let Closed { window, ids, .. } = &mut *self.closed;
        window.looked(ids);
        for &number in self.flights.keys() {
            self.closed.ids.release(number);
        }
    }
}

/// What is needed to describe a row.
struct Judged<'a> {
    opinion: Option<Opinion<'a>>,
    expected: Expected<'a>,
}

impl<'a> Look<'a> {
    pub(crate) fn new(engine: &'a Engine, window: Option<Duration>) -> Self {
        let mut closed = engine.moved();
        let grid = engine.grid();
        let asked = |window: Duration| window.as_millis().div_ceil(grid.slot_ms as u128);
        let slots = window.map_or(grid.slots, |window| asked(window).clamp(1, grid.slots as u128) as i64);
        let first = closed.slot.saturating_sub(slots);
        let line = closed.slow_line.fleet;
        // Too young to know what is slow: what 5 % of these very requests exceed.
        let line = if line == SlowLine::default().fleet {
            own_line(closed.blocks(first).map(|block| &block.head))
        } else {
            line
        };
        let Closed { window, open, .. } = &mut *closed;
        window.look(first, line);
        let mut all = Head::merge(window.since(first).chain(open.as_ref()).map(|block| &block.head), line);
        let in_open = open.iter().flat_map(|open| sums_of(open, line)).map(|(_, sum)| sum.counts[2]).sum::<u64>();
        all.settle(window.view(first).map_or(0, |view| view.slow).saturating_add(in_open));
        let sources: BTreeSet<u64> = window.foreign().map(|block| block.head.source).collect();
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
        let shelf = std::mem::take(&mut closed.shelf).for_blocks(closed.window.version(), first, line);
        let shelf = RefCell::new(shelf);
        Self { engine, closed, first, line, all, from_ms, to_ms, window_ms, sources, flights, shelf, in_flight_ms }
    }

    /// Tenants with requests or with requests in flight, in the order of their numbers.
    fn tenants(&self) -> impl Iterator<Item = (Number, Sum)> + '_ {
        let closed = self.closed.window.view(self.first).into_iter().flat_map(View::iter);
        let open = self.closed.open.iter().flat_map(|open| sums_of(open, self.line));
        let flights = self.flights.keys().map(|&number| (number, Sum::default()));
        united(united(closed, open), flights)
    }

    pub(crate) fn report(&self, query: &Query) -> Report {
        let judged = self.judged();
        let all = &self.all;
        let opinion = judged.opinion.as_ref();
        // Tenants without a history of their own share the fleet's.
        let weights = weights_above(self.line);
        let others = opinion.and_then(|opinion| Some(opinion.normal_latency(NOBODY)?.share(&weights)));
        let normal_slow = |number| opinion?.normal_share(number, &weights).or(others);
        let is_culprit = |number| is_culprit(opinion, number);
        let context = Context {
            requests: all.totals[0],
            slow: all.totals[2],
            p0: opinion.map_or(COLD_RATE, Opinion::normal_rate),
            expected: &judged.expected,
            is_culprit: &is_culprit,
            normal_slow: &normal_slow,
            in_flight_us: &|number| self.flights.get(&number).map_or(0, |flights| us(flights.sum_ms)),
            ids: &self.closed.ids,
        };
        let ranking = rank(query.by, query.limit, &context, self.tenants());
        let [p50_ms, p95_ms, p99_ms] = percentiles(&all.latency, false, all.latency_max_us, [50.0, 95.0, 99.0]);
        let exact = all.offset.iter().all(|offset| *offset == 0) && all.tail[0] == 0;
        let own = opinion.is_some_and(Opinion::has_baseline);
        let describe = |&number: &Number| TenantRow {
            series: query.series.then(|| self.series(Some(number))),
            ..self.describe(number, &self.gather(number), &judged, ranking.excess.sum())
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
                requests: all.totals[0],
                errors: all.totals[1],
                slow: all.totals[2],
                error_rate: share(all.totals[1], all.totals[0]),
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
            tail: Tail { requests: all.tail[0], errors: all.tail[1], slow: all.tail[2], bound: bound(all.offset) },
            stats: self.engine.stats_of(&self.closed),
            series: query.series.then(|| self.series(None)),
        }
    }

    /// Counts of everybody, or of a tenant, slot by slot.
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
                None => Some(block.head.totals),
                Some(number) => block.rows.find(number).map(|row| row.sums.counts),
            };
            let at = usize::try_from(grid.slot_of(block.head.from_ms).saturating_sub(self.first)).ok();
            if let Some([requests, errors, _]) = counts
                && let Some(at) = at.filter(|at| *at < slots)
            {
                series.requests[at] = series.requests[at].saturating_add(requests);
                series.errors[at] = series.errors[at].saturating_add(errors);
            }
        }
        series
    }

    /// A tenant that is in the window or in flight; `unattributed` asks for that row where nobody is called so.
    fn find(&self, id: &[u8]) -> Option<(Number, Gathered)> {
        let named = |id: &[u8]| {
            let number = self.closed.ids.find(id)?;
            let row = self.gather(number);
            (row.sums.counts[0] > 0 || self.flights.contains_key(&number)).then_some((number, row))
        };
        let by_name = || (id == UNATTRIBUTED_NAME.as_bytes()).then(|| named(UNATTRIBUTED)).flatten();
        named(&bounded(id).0).or_else(by_name)
    }

    fn gather(&self, number: Number) -> Gathered {
        let Closed { window, open, .. } = &*self.closed;
        let closed = || Gathered::of(number, window.since(self.first), self.line);
        self.shelf.borrow_mut().row(number, closed).and(number, open.iter(), self.line)
    }

    /// The latencies of everybody or of a tenant, and whether their buckets are coarse.
    pub(crate) fn latencies(&self, tenant: Option<&[u8]>) -> Option<(Vec<LatencyCell>, bool)> {
        match tenant {
            None => Some((self.all.latency.clone(), false)),
            Some(id) => self.find(id).map(|(_, row)| (row.latency, row.sums.coarse)),
        }
    }

    pub(crate) fn tenant(&self, id: &[u8]) -> Option<TenantReport> {
        let (number, row) = self.find(id)?;
        let cells = row.endpoints.iter().map(|(name, requests, errors)| EndpointCounts {
            endpoint: shown(name.as_bytes()),
            requests: *requests,
            errors: *errors,
        });
        let mut endpoints: Vec<EndpointCounts> = cells.collect();
        endpoints.sort_by(|a, b| {
            (b.errors, b.requests).cmp(&(a.errors, a.requests)).then_with(|| a.endpoint.cmp(&b.endpoint))
        });
        let judged = self.judged();
        let mut excess = Excess::default();
        for (number, sum) in self.tenants().filter(|(_, sum)| sum.counts[1] > 0) {
            excess.add(sum.counts[1] as f64, (judged.expected)(number, sum.counts[0]).0);
        }
        let row = self.describe(number, &row, &judged, excess.sum());
        Some(TenantReport {
            scope: Scope::Process,
            as_of: self.to_ms,
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            row,
            endpoints,
        })
    }

    fn judged(&self) -> Judged<'_> {
        let opinion = self.closed.fleet.as_ref().map(|fleet| fleet.opinion(self.window_ms));
        let expected: Expected<'_> = match &self.closed.fleet {
            Some(fleet) => Box::new(fleet.expectations(self.window_ms, &self.closed.window, &self.closed.ids)),
            None => Box::new(|_, requests| (requests as f64 * COLD_RATE, false)),
        };
        Judged { opinion, expected }
    }

    fn describe(&self, number: Number, row: &Gathered, judged: &Judged<'_>, excess: f64) -> TenantRow {
        let (all, sums, id) = (&self.all, &row.sums, self.closed.ids.id(number));
        let [requests, errors, slow] = sums.counts;
        let (expected, chronic) = (judged.expected)(number, requests);
        let [p50_ms, p95_ms, p99_ms] = percentiles(&row.latency, sums.coarse, sums.latency_max_us, [50.0, 95.0, 99.0]);
        let normal = judged.opinion.as_ref().and_then(|opinion| opinion.normal_latency(number)?.p95_ms());
        let flights = self.flights.get(&number).copied().unwrap_or_default();
        TenantRow {
            tenant_id: shown(id),
            requests,
            errors,
            slow,
            error_rate: share(errors, requests),
            error_share: share(errors, all.totals[1]),
            excess_share: (excess > 0.0).then(|| (errors as f64 - expected).max(0.0) / excess),
            request_share: share(requests, all.totals[0]),
            bound: bound(sums.bound),
            culprit: is_culprit(judged.opinion.as_ref(), number),
            chronic,
            p50_ms,
            p95_ms,
            p99_ms,
            latency_coarse: sums.coarse,
            latency_deviation: p95_ms.zip(normal).map(|(p95, normal)| p95 / normal),
            load_share: {
                let (own, whole) = (us(flights.sum_ms), us(self.in_flight_ms));
                let own = sums.latency_sum_us.saturating_add(own);
                // Another process may say that its tenants took longer than all together.
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
fn is_culprit(opinion: Option<&Opinion<'_>>, number: Number) -> bool {
    opinion.is_some_and(|opinion| opinion.is_culprit(number))
}

/// Where most of a tenant's errors are; of equals, the first by name.
fn top_endpoint(row: &Gathered) -> Option<TopEndpoint> {
    let cells = row.endpoints.iter().filter(|(_, _, errors)| *errors > 0);
    let (name, _, errors) = cells.max_by(|a, b| a.2.cmp(&b.2).then_with(|| b.0.cmp(&a.0)))?;
    let exact = !row.sums.endpoints_cut && row.sums.bound[1] == 0;
    Some(TopEndpoint { endpoint: shown(name.as_bytes()), errors: *errors, exact })
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
fn own_line<'a>(heads: impl Iterator<Item = &'a Head>) -> u16 {
    let (mut halves, mut any) = ([0.0; HALVES], false);
    for cell in heads.flat_map(|head| &head.latency) {
        halves[usize::from(half_of(cell.bucket))] += f64::from(cell.count);
        any = true;
    }
    if any { last_bucket_of(first_line(&halves)) } else { SlowLine::default().fleet }
}
