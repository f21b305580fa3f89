//! A plain exact oracle: every accepted event in a list, every question answered by going through all of it.
//!
//! Nothing of the crate's own machinery is used: the boundary rules, the grid of slots, percentiles, the Wilson bound and the
//! rankings are written down here a second time, from the documentation. Slow and simple on purpose.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use sentinel_core::{
    BaselineKind, Bound, Builder, By, Clock, ErrorClasses, Event, Latency, Mode, Query, Report, Sentinel, Stats, Tail,
    TenantReport, TenantRow,
};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Ev {
    pub(crate) tenant: Vec<u8>,
    pub(crate) endpoint: String,
    pub(crate) status: u16,
    pub(crate) ms: Option<f64>,
    pub(crate) at: Option<i64>,
}

impl Ev {
    pub(crate) fn event(&self) -> Event<'_> {
        let latency = self.ms.map_or(Latency::UNKNOWN, Latency::from_millis);
        Event { tenant: &self.tenant, endpoint: &self.endpoint, status: self.status, latency, at: self.at }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) anchor_ms: i64,
    pub(crate) slot_ms: i64,
    pub(crate) slots: i64,
}

impl Grid {
    pub(crate) fn slot_of(self, at_ms: i64) -> i64 {
        (at_ms - self.anchor_ms).div_euclid(self.slot_ms)
    }

    pub(crate) fn start_of(self, slot: i64) -> i64 {
        self.anchor_ms + slot * self.slot_ms
    }

    pub(crate) fn window_ms(self) -> i64 {
        self.slots * self.slot_ms
    }

    /// Closed slots of a trailing window: whole ones, at least one, at most all.
    pub(crate) fn slots_in(self, window: Option<Duration>) -> i64 {
        let ms = window.map_or(self.window_ms(), |window| window.as_millis() as i64);
        (ms / self.slot_ms + i64::from(ms % self.slot_ms > 0)).clamp(1, self.slots)
    }

    pub(crate) fn builder(self, now_ms: i64) -> Builder {
        let ms = |ms: i64| Duration::from_millis(ms as u64);
        let builder = Sentinel::builder().slot(ms(self.slot_ms)).window(ms(self.window_ms()));
        builder.anchor_ms(self.anchor_ms).clock(Clock::manual(now_ms))
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) offered: u64,
    pub(crate) accepted: u64,
    pub(crate) status: u64,
    pub(crate) late: u64,
    pub(crate) latency: u64,
    pub(crate) latency_clamped: u64,
    pub(crate) future: u64,
    pub(crate) tenant_truncated: u64,
    pub(crate) endpoint_other: u64,
}

#[derive(Debug, Clone)]
struct Accepted {
    tenant: Vec<u8>,
    endpoint: String,
    error: bool,
    aborted: bool,
    us: Option<u32>,
    slot: i64,
    own: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Oracle {
    pub(crate) grid: Grid,
    pub(crate) now_ms: i64,
    pub(crate) ledger: Ledger,
    client_errors: bool,
    max_endpoints: usize,
    endpoints: Vec<String>,
    events: Vec<Accepted>,
    /// The latency from which on a request is slow, when that was configured.
    slow_from_us: Option<u64>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) us: Vec<u32>,
    pub(crate) endpoints: BTreeMap<String, (u64, u64)>,
}

impl Row {
    fn n(&self) -> f64 {
        self.requests as f64
    }

    fn e(&self) -> f64 {
        self.errors as f64
    }

    fn sum_us(&self) -> u64 {
        self.us.iter().map(|us| u64::from(*us)).sum()
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) all: Row,
    pub(crate) aborted: u64,
    pub(crate) rows: BTreeMap<Vec<u8>, Row>,
    /// Something was counted that may serve as a baseline.
    has_past: bool,
}

impl Oracle {
    pub(crate) fn new(grid: Grid, now_ms: i64) -> Self {
        let (ledger, endpoints, events) = (Ledger::default(), Vec::new(), Vec::new());
        Self { grid, now_ms, ledger, client_errors: false, max_endpoints: 1_024, endpoints, events, slow_from_us: None }
    }

    pub(crate) fn options(self, client_errors: bool, max_endpoints: usize) -> Self {
        Self { client_errors, max_endpoints, ..self }
    }

    pub(crate) fn slow_from_us(self, us: u64) -> Self {
        Self { slow_from_us: Some(us), ..self }
    }

    pub(crate) fn sentinel(&self, builder: impl FnOnce(Builder) -> Builder) -> Sentinel {
        let classes =
            if self.client_errors { ErrorClasses::CLIENT | ErrorClasses::SERVER } else { ErrorClasses::SERVER };
        builder(self.grid.builder(self.now_ms).max_endpoints(self.max_endpoints).errors(classes)).build().unwrap()
    }

    pub(crate) fn tick(&mut self, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    fn oldest(&self) -> i64 {
        self.grid.slot_of(self.now_ms) - self.grid.slots
    }

    /// The boundary rules, in the design's words.
    pub(crate) fn record(&mut self, ev: &Ev) {
        self.ledger.offered += 1;
        if ev.status < 100 || ev.status > 599 {
            self.ledger.status += 1;
            return;
        }
        let at_ms = ev.at.unwrap_or(self.now_ms);
        self.ledger.future += u64::from(at_ms > self.now_ms + self.grid.slot_ms);
        let slot = self.grid.slot_of(at_ms.min(self.now_ms));
        if slot < self.oldest() {
            self.ledger.late += 1;
            return;
        }
        self.ledger.accepted += 1;
        let us = ev.ms.and_then(|ms| {
            if ms.is_nan() || ms < 0.0 || ms.is_infinite() {
                self.ledger.latency += 1;
                return None;
            }
            let clamped = (ms * 1_000.0).floor() > f64::from(u32::MAX);
            self.ledger.latency_clamped += u64::from(clamped);
            Some(if clamped { u32::MAX } else { (ms * 1_000.0).floor() as u32 })
        });
        self.ledger.tenant_truncated += u64::from(ev.tenant.len() > 128);
        let tenant = ev.tenant.clone();
        let (error, aborted) =
            (ev.status >= 500 || self.client_errors && (400..499).contains(&ev.status), ev.status == 499);
        let endpoint = self.endpoint(&ev.endpoint);
        self.events.push(Accepted { tenant, endpoint, error, aborted, us, slot, own: true });
    }

    fn endpoint(&mut self, template: &str) -> String {
        let template = if template.is_empty() { "unmatched" } else { template };
        if template == "unmatched" || template == "other" || self.endpoints.iter().any(|known| known == template) {
            return template.into();
        }
        if self.endpoints.len() < self.max_endpoints {
            self.endpoints.push(template.into());
            return template.into();
        }
        self.ledger.endpoint_other += 1;
        "other".into()
    }

    pub(crate) fn absorb(&mut self, other: &Self) {
        self.events.extend(other.events.iter().cloned().map(|event| Accepted { own: false, ..event }));
    }

    pub(crate) fn facts(&self, window: Option<Duration>) -> Facts {
        let first = self.grid.slot_of(self.now_ms) - self.grid.slots_in(window);
        let recent = self.grid.slot_of(self.now_ms) - 30_000 / self.grid.slot_ms;
        let mut facts =
            Facts { has_past: self.events.iter().any(|event| event.slot < recent.max(first)), ..Facts::default() };
        for event in self.events.iter().filter(|event| event.slot >= first) {
            facts.aborted += u64::from(event.aborted);
            for row in [&mut facts.all, facts.rows.entry(event.tenant.clone()).or_default()] {
                row.requests += 1;
                row.errors += u64::from(event.error);
                row.us.extend(event.us);
                let cell = row.endpoints.entry(event.endpoint.clone()).or_default();
                *cell = (cell.0 + 1, cell.1 + u64::from(event.error));
            }
        }
        facts.all.us.sort_unstable();
        facts.rows.values_mut().for_each(|row| row.us.sort_unstable());
        facts
    }

    /// The ledger balances and is the oracle's own.
    pub(crate) fn check_stats(&self, stats: &Stats) {
        assert_eq!(stats.offered, stats.accepted + stats.dropped.status + stats.dropped.late, "{stats:?}");
        assert_eq!(stats.accepted, stats.in_window + stats.expired, "{stats:?}");
        let (dropped, adjusted) = (stats.dropped, stats.adjusted);
        let found = Ledger {
            offered: stats.offered,
            accepted: stats.accepted,
            status: dropped.status,
            late: dropped.late,
            latency: adjusted.latency,
            latency_clamped: adjusted.latency_clamped,
            future: adjusted.future,
            tenant_truncated: adjusted.tenant_truncated,
            endpoint_other: adjusted.endpoint_other,
        };
        assert_eq!(found, self.ledger);
        assert!(stats.in_window >= self.in_window(), "{stats:?}, {} are in the window", self.in_window());
    }

    fn in_window(&self) -> u64 {
        self.events.iter().filter(|event| event.own && event.slot >= self.oldest()).count() as u64
    }

    /// Everything that a report says and that follows from the events alone.
    pub(crate) fn check_report(&self, report: &Report, query: &Query) {
        let facts = self.facts(query.window);
        let slots = self.grid.slots_in(query.window);
        let from_ms = self.grid.start_of(self.grid.slot_of(self.now_ms) - slots);
        assert_eq!((report.as_of, report.from_ms, report.to_ms), (self.now_ms, from_ms, self.now_ms));
        assert_eq!(report.window_ms, (slots * self.grid.slot_ms) as u64);
        assert_eq!((report.mode, report.tail, report.by), (Mode::Exact, Tail::default(), query.by));
        self.check_stats(&report.stats);
        assert_eq!(report.stats.in_window, self.in_window(), "after a look the ledger is as of now");
        let totals = &report.totals;
        assert_eq!(
            (totals.requests, totals.errors, totals.aborted),
            (facts.all.requests, facts.all.errors, facts.aborted)
        );
        assert_eq!(totals.tenants, facts.rows.len() as u64);
        same(totals.error_rate, share(facts.all.errors, facts.all.requests));
        check_percentiles(&facts.all.us, [totals.p50_ms, totals.p95_ms, totals.p99_ms]);
        assert_eq!(report.tenants.len(), facts.rows.len().min(query.limit));
        for row in &report.tenants {
            self.check_row(row, &facts);
        }
        Self::check_order(report, &facts);
        let excess: f64 = report.tenants.iter().filter_map(|row| row.excess_share).sum();
        assert!(excess <= 1.0 + 1e-9, "shares of the excess add up to {excess}");
    }

    fn check_row(&self, row: &TenantRow, facts: &Facts) {
        let exact = &facts.rows[&key_of(&row.tenant_id, facts)];
        assert_eq!((row.requests, row.errors), (exact.requests, exact.errors), "{}", row.tenant_id);
        assert_eq!(row.bound, Bound::default());
        same(row.error_rate, share(exact.errors, exact.requests));
        same(row.error_share, share(exact.errors, facts.all.errors));
        same(row.request_share, share(exact.requests, facts.all.requests));
        same(row.load_share, share(exact.sum_us(), facts.all.sum_us()));
        check_percentiles(&exact.us, [row.p50_ms, row.p95_ms, row.p99_ms]);
        if let Some(from_us) = self.slow_from_us {
            assert_eq!(
                row.slow,
                exact.us.iter().filter(|us| u64::from(**us) >= from_us).count() as u64,
                "{}",
                row.tenant_id
            );
        }
        assert_eq!((row.in_flight, row.oldest_in_flight_ms), (0, None));
        let failing = exact.endpoints.iter().filter(|(_, (_, errors))| *errors > 0);
        let top = failing
            .max_by(|a, b| a.1.1.cmp(&b.1.1).then(b.0.cmp(a.0)))
            .map(|(name, (_, errors))| (name.as_str(), *errors, true));
        assert_eq!(row.top_endpoint.as_ref().map(|top| (top.endpoint.as_str(), top.errors, top.exact)), top);
    }

    pub(crate) fn check_tenant(&self, id: &[u8], found: Option<&TenantReport>, window: Option<Duration>) {
        let facts = self.facts(window);
        // Asked by name, where nobody is called that, the requests of unknown tenants answer.
        let by_name = id == b"unattributed" && !facts.rows.contains_key(id);
        let id = if by_name { b"" } else { id };
        let (Some(found), Some(exact)) = (found, facts.rows.get(id)) else {
            assert_eq!(found.is_some(), facts.rows.contains_key(id), "{}", id.escape_ascii());
            return;
        };
        assert_eq!(key_of(&found.row.tenant_id, &facts), id);
        self.check_row(&found.row, &facts);
        let mut endpoints: Vec<_> =
            exact.endpoints.iter().map(|(name, &(requests, errors))| (name.clone(), requests, errors)).collect();
        endpoints.sort_by(|a, b| (b.2, b.1).cmp(&(a.2, a.1)).then(a.0.cmp(&b.0)));
        let listed: Vec<_> =
            found.endpoints.iter().map(|cell| (cell.endpoint.clone(), cell.requests, cell.errors)).collect();
        assert_eq!(listed, endpoints);
        assert_eq!((found.as_of, found.to_ms), (self.now_ms, self.now_ms));
    }

    fn check_order(report: &Report, facts: &Facts) {
        let cold = report.baseline == BaselineKind::Cold && !facts.has_past;
        let key: Key = match report.by {
            By::Requests => |row| [row.n(), row.e(), 0.0],
            By::Load => |row| [row.sum_us() as f64, row.n(), 0.0],
            By::ErrorRate if cold => |row| [wilson_lower(row.e(), row.n(), 0.005), row.e(), row.n()],
            By::Errors if report.tenants.iter().any(|row| row.culprit) => return check_culprits_first(report, facts),
            By::Errors if cold => |row| [row.e(), row.e() - 0.005 * row.n(), 0.0],
            // At least: more errors of fewer requests never stand behind fewer of more.
            By::ErrorRate => return check_monotone(report),
            _ => return,
        };
        let ahead = |a: &Vec<u8>, b: &Vec<u8>| {
            let falling = key(&facts.rows[a]).into_iter().zip(key(&facts.rows[b])).find(|(a, b)| (a - b).abs() > 1e-9);
            falling.map_or(a.cmp(b), |(a, b)| b.total_cmp(&a)) == Ordering::Less
        };
        let listed: Vec<Vec<u8>> = report.tenants.iter().map(|row| key_of(&row.tenant_id, facts)).collect();
        for pair in listed.windows(2) {
            assert!(ahead(&pair[0], &pair[1]), "{} by {}: {pair:?}", report.by, report.baseline == BaselineKind::Cold);
        }
        for id in facts.rows.keys().filter(|id| !listed.contains(id)) {
            assert!(
                listed.last().is_none_or(|last| ahead(last, id)),
                "{} is left out of {listed:?}",
                id.escape_ascii()
            );
        }
    }
}

/// Values that a ranking compares, the larger first.
type Key = fn(&Row) -> [f64; 3];

/// Culprits by their errors beyond the expected ones, then everybody else by the share of all errors.
fn check_culprits_first(report: &Report, facts: &Facts) {
    let is_first = |row: &TenantRow| row.culprit && row.errors > 0;
    let key = |row: &TenantRow| if is_first(row) { (1.0, row.excess_share) } else { (0.0, row.error_share) };
    for pair in report.tenants.windows(2) {
        assert!(key(&pair[0]) >= key(&pair[1]), "{pair:#?}");
    }
    let Some(last) = report.tenants.last().filter(|last| !is_first(last)) else { return };
    let listed: Vec<Vec<u8>> = report.tenants.iter().map(|row| key_of(&row.tenant_id, facts)).collect();
    for (id, row) in facts.rows.iter().filter(|(id, _)| !listed.contains(id)) {
        assert!(row.errors <= last.errors, "{} is left out behind {last:#?}", id.escape_ascii());
    }
}

fn check_monotone(report: &Report) {
    for pair in report.tenants.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        let dominated = b.errors > 0 && b.errors >= a.errors && b.requests <= a.requests;
        assert!(!dominated || (a.errors, a.requests) == (b.errors, b.requests), "{a:?} before {b:?}");
    }
}

/// The id behind a shown one; a long id is known by its first 96 bytes and is shown with 128.
pub(crate) fn key_of(shown: &str, facts: &Facts) -> Vec<u8> {
    let is = |id: &&Vec<u8>| match id.len() {
        0 => shown == "unattributed",
        12 if *id == b"unattributed" => shown == "\\unattributed",
        1..=128 => **id == shown.as_bytes(),
        _ => shown.len() == 128 && id[..96] == shown.as_bytes()[..96],
    };
    let found: Vec<_> = facts.rows.keys().filter(is).collect();
    assert_eq!(found.len(), 1, "{shown} is nobody's row");
    found[0].clone()
}

pub(crate) fn share(part: u64, whole: u64) -> Option<f64> {
    if whole == 0 { None } else { Some(part as f64 / whole as f64) }
}

fn same(found: Option<f64>, exact: Option<f64>) {
    assert_eq!(found.is_some(), exact.is_some(), "{found:?} for {exact:?}");
    assert!((found.unwrap_or(0.0) - exact.unwrap_or(0.0)).abs() < 1e-12, "{found:?} for {exact:?}");
}

/// p50, p95 and p99 against nearest-rank values of whole microseconds.
fn check_percentiles(sorted_us: &[u32], found_ms: [Option<f64>; 3]) {
    for (percent, found) in [50, 95, 99].into_iter().zip(found_ms) {
        let rank = (sorted_us.len() * percent).div_ceil(100);
        let exact = rank.checked_sub(1).map(|at| f64::from(sorted_us[at]) / 1_000.0);
        assert_eq!(found.is_some(), exact.is_some(), "p{percent} {found:?} for {exact:?}");
        let (found, exact) = (found.unwrap_or(0.0), exact.unwrap_or(0.0));
        assert!((found - exact).abs() <= 0.032 * exact + 1e-9, "p{percent} {found} for {exact}");
    }
}

/// Lower end of the Wilson interval of `(e + 20·p0) / (n + 20)`, as textbooks write it.
fn wilson_lower(e: f64, n: f64, p0: f64) -> f64 {
    let (z, n, e) = (1.96_f64, n + 20.0, e + 20.0 * p0);
    let p = (e / n).min(1.0);
    let spread = z * (p * (1.0 - p) / n + z.powi(2) / (4.0 * n.powi(2))).sqrt();
    (p + z.powi(2) / (2.0 * n) - spread) / (1.0 + z.powi(2) / n)
}
