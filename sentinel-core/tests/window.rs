//! The guarantees of a whole window, against every raw event: small tables that purge, slots sealed from many parts, several
//! stripes and threads, late events, other sources' blocks. All at once, since each alone is tested elsewhere.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sentinel_core::{By, Clock, Event, Latency, Mode, Query, Report, Sentinel, TenantReport, TenantRow};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

const START: i64 = 1_700_000_400_000;
const SLOT_MS: i64 = 10_000;
const SLOTS: i64 = 30;
/// 100 ms, rounded up to the end of its bucket.
const SLOW_FROM_US: u32 = 102_400;

/// One request, as it happened.
#[derive(Debug, Clone)]
struct Fact {
    tenant: String,
    endpoint: String,
    error: bool,
    us: u32,
    at: i64,
}

impl Fact {
    fn record(&self, sentinel: &Sentinel) {
        sentinel.record(Event {
            tenant: self.tenant.as_bytes(),
            endpoint: &self.endpoint,
            status: if self.error { 503 } else { 200 },
            latency: Latency::from(Duration::from_micros(u64::from(self.us))),
            at: Some(self.at),
        });
    }
}

/// The truth about a tenant.
#[derive(Debug, Default)]
struct Truth {
    counts: [u64; 3],
    us: Vec<u32>,
    endpoints: BTreeMap<String, (u64, u64)>,
}

fn truth(facts: &[Fact], from_ms: i64) -> HashMap<&str, Truth> {
    let mut out: HashMap<&str, Truth> = HashMap::new();
    for fact in facts.iter().filter(|fact| fact.at.div_euclid(SLOT_MS) * SLOT_MS >= from_ms) {
        let own = out.entry(&fact.tenant).or_default();
        let slow = fact.us >= SLOW_FROM_US;
        for (count, one) in own.counts.iter_mut().zip([true, fact.error, slow]) {
            *count += u64::from(one);
        }
        own.us.push(fact.us);
        let cell = own.endpoints.entry(fact.endpoint.clone()).or_default();
        *cell = (cell.0 + 1, cell.1 + u64::from(fact.error));
    }
    out.values_mut().for_each(|own| own.us.sort_unstable());
    out
}

/// Tenants of the stream: some regulars, one that fails, one that is slow, one at many endpoints, and a crowd of strangers.
fn someone(rng: &mut StdRng, strangers: u32, now: i64) -> Fact {
    let (kind, rare) = (rng.random_range(0..100), rng.random_bool(0.01));
    let i = match kind {
        0..40 => (30.0 * rng.random::<f64>().powi(2)) as u32,
        40..44 => 100,
        44..48 => 101,
        48..56 => 102,
        _ => 1_000 + rng.random_range(0..strangers),
    };
    // Every fifth id is too long for an entry of a table.
    let tenant = if i % 5 == 0 { format!("long-{i:0>90}") } else { format!("t{i}") };
    let endpoint = match i {
        102 => format!("/many/{}", rng.random_range(0..60)),
        _ => format!("/v{}", rng.random_range(0..1 + i % 4)),
    };
    // Each has its own band of latencies, so that a stray one shows.
    let base = 1_000 + i % 97 * 700;
    let slow = i == 101 || rare;
    let us = if slow { 200_000 + base } else { base } + rng.random_range(0..base / 10);
    let error = i == 100 || (i == 102 && kind % 2 == 0) || rng.random_bool(0.02);
    let late = if rng.random_bool(0.05) { rng.random_range(0..(SLOTS - 1) * SLOT_MS) } else { 0 };
    Fact { tenant, endpoint, error, us, at: (now - late).max(START) }
}

fn counts(row: &TenantRow) -> [u64; 3] {
    [row.requests, row.errors, row.slow]
}

fn bounds(row: &TenantRow) -> [u64; 3] {
    [row.bound.requests, row.bound.errors, row.bound.slow]
}

/// Counts and bounds of everybody, listed or not.
fn check_counts(report: &Report, truth: &HashMap<&str, Truth>) {
    let tail = [report.tail.requests, report.tail.errors, report.tail.slow];
    let offset = [report.tail.bound.requests, report.tail.bound.errors, report.tail.bound.slow];
    let (mut listed, mut all, mut absent) = ([0; 3], [0; 3], truth.len());
    for row in &report.tenants {
        let real = truth.get(row.tenant_id.as_str()).unwrap_or_else(|| panic!("invented: {row:?}"));
        let (count, bound) = (counts(row), bounds(row));
        for m in 0..3 {
            listed[m] += count[m];
            assert!(count[m] <= real.counts[m] && real.counts[m] <= count[m] + bound[m], "{m}: {real:?} for {row:?}");
            assert!(bound[m] <= offset[m], "{m}: {offset:?} for {row:?}");
        }
        absent -= 1;
    }
    let present: std::collections::HashSet<&str> = report.tenants.iter().map(|row| row.tenant_id.as_str()).collect();
    assert_eq!(present.len(), report.tenants.len(), "a tenant twice");
    for (tenant, real) in truth {
        (0..3).for_each(|m| all[m] += real.counts[m]);
        let hidden = !present.contains(tenant);
        assert!(!hidden || (0..3).all(|m| real.counts[m] <= offset[m]), "{tenant} is absent: {real:?}, {offset:?}");
    }
    let totals = &report.totals;
    assert_eq!([totals.requests, totals.errors, totals.slow], all, "totals");
    assert_eq!(std::array::from_fn(|m| listed[m] + tail[m]), all, "rows and tail");
    assert_eq!((report.mode == Mode::Exact, totals.tenants), (offset == [0; 3] && tail[0] == 0, present.len() as u64));
    assert!(report.mode == Mode::Bounded || absent == 0);
}

/// A tenant's latencies and endpoints.
fn check_tenant(found: &TenantReport, real: &Truth) {
    let row = &found.row;
    let exact = bounds(row)[0] == 0;
    for (percent, found) in [(50, row.p50_ms), (95, row.p95_ms), (99, row.p99_ms)] {
        let found = found.unwrap() * 1_000.0;
        let rank = (real.us.len() * percent).div_ceil(100) - 1;
        let (least, most) = if exact { (rank, rank) } else { (0, real.us.len() - 1) };
        let (least, most) = (f64::from(real.us[least]) * 0.968, f64::from(real.us[most]) * 1.032);
        assert!((least..=most).contains(&found), "p{percent} {found} is not in {least}..{most}: {row:?}");
    }
    let top = row.top_endpoint.as_ref();
    let (mut requests, mut errors) = (0, 0);
    for cell in &found.endpoints {
        let &(n, e) = real.endpoints.get(&cell.endpoint).unwrap_or_else(|| panic!("{cell:?} of {}", row.tenant_id));
        assert!(cell.requests <= n && cell.errors <= e, "{cell:?} for {n}, {e}");
        assert!(top.is_none_or(|top| !top.exact) || cell.errors == e, "{cell:?} for {e}: {row:?}");
        assert!(!exact || real.endpoints.len() > 6 || cell.requests == n, "{cell:?} for {n}: {row:?}");
        (requests, errors) = (requests + cell.requests, errors + cell.errors);
    }
    assert!(requests <= row.requests && errors <= row.errors);
    assert!(top.is_none_or(|top| !top.exact) || errors == row.errors, "{row:?}");
    // The endpoint with most errors; of equals, the first by name.
    let most = found.endpoints.iter().map(|cell| cell.errors).max().unwrap_or(0);
    let first = found
        .endpoints
        .iter()
        .filter(|cell| cell.errors == most && most > 0)
        .min_by(|a, b| a.endpoint.cmp(&b.endpoint));
    assert_eq!(top.map(|top| (&top.endpoint, top.errors)), first.map(|cell| (&cell.endpoint, cell.errors)));
}

/// The order that follows from the rows alone; the keys that need the judges' expectations are compared as far as the rows show them.
fn check_order(by: By, rows: &[TenantRow]) {
    let key = |row: &TenantRow| match by {
        By::Requests => [row.requests as f64, row.errors as f64],
        By::Load => [row.load_share.unwrap_or(0.0), row.requests as f64],
        By::Errors if row.culprit && row.errors > 0 => [1.0, row.excess_share.unwrap_or(0.0)],
        By::Errors => [0.0, row.errors as f64],
        By::ErrorRate | By::Latency => [0.0; 2],
        _ => unreachable!("no other"),
    };
    for pair in rows.windows(2) {
        let (a, b) = (key(&pair[0]), key(&pair[1]));
        assert!(a[0] > b[0] || (a[0] >= b[0] && a[1] >= b[1] - 1e-12), "{by}: {pair:#?}");
        if matches!(by, By::Requests | By::Load) && a.iter().zip(&b).all(|(a, b)| a.total_cmp(b).is_eq()) {
            assert!(pair[0].tenant_id < pair[1].tenant_id, "{by}: {pair:#?}");
        }
        if by == By::ErrorRate {
            let (a, b) = (&pair[0], &pair[1]);
            let better = b.errors > a.errors && b.requests <= a.requests;
            assert!(!better, "{by}: {pair:#?}");
        }
    }
}

fn check(sentinel: &Sentinel, facts: &[Fact], rng: &mut StdRng) {
    for minutes in [None, Some(1), Some(2), Some(5)] {
        let window = minutes.map(Duration::from_mins);
        let query = |by, limit| Query { by, window, limit, ..Query::default() };
        let all = sentinel.report(query(By::Requests, usize::MAX));
        assert_eq!(all.window_ms, minutes.unwrap_or(5) * 60_000);
        assert_eq!(all, sentinel.report(query(By::Requests, usize::MAX)), "the same question twice");
        let truth = truth(facts, all.from_ms);
        check_counts(&all, &truth);
        for by in By::ALL {
            let everybody = sentinel.report(query(by, usize::MAX)).tenants;
            check_order(by, &everybody);
            let limit = rng.random_range(0..40);
            let some = sentinel.report(query(by, limit)).tenants;
            assert_eq!(some.as_slice(), &everybody[..everybody.len().min(limit)], "{by}, the first {limit}");
        }
        let named = ["t101", "t102"].iter().filter_map(|id| all.tenants.iter().find(|row| row.tenant_id == *id));
        let sample = all.tenants.iter().take(12).chain(all.tenants.iter().skip(12).step_by(17)).chain(named);
        for row in sample {
            let found = sentinel.tenant(row.tenant_id.as_bytes(), window).unwrap();
            assert_eq!(counts(&found.row), counts(row));
            check_tenant(&found, &truth[row.tenant_id.as_str()]);
        }
    }
    let stats = sentinel.stats();
    assert_eq!(stats.accepted, stats.in_window + stats.expired);
    assert_eq!((stats.offered, stats.dropped.late, stats.adjusted.latency_unplaced), (stats.accepted, 0, 0));
}

/// A batch, by so many threads.
fn record(sentinel: &Sentinel, batch: &[Fact], threads: usize) {
    if threads.min(batch.len()) < 2 {
        batch.iter().for_each(|fact| fact.record(sentinel));
        return;
    }
    std::thread::scope(|scope| {
        for part in batch.chunks(batch.len().div_ceil(threads)) {
            scope.spawn(|| part.iter().for_each(|fact| fact.record(sentinel)));
        }
    });
}

fn scenario(seed: u64) -> Mode {
    let mut rng = StdRng::seed_from_u64(seed);
    let (places, stripes) = ([8, 16, 64][seed as usize % 3], [1, 2, 4][seed as usize / 3 % 3]);
    let (threads, strangers) = (1 + seed as usize % 4, if seed.is_multiple_of(5) { 20 } else { 3_000 });
    let clock = Clock::manual(START);
    let build = |places| {
        let builder = Sentinel::builder().places(places).stripes(stripes).window(Duration::from_mins(5));
        builder.slow_after(Duration::from_millis(100)).clock(clock.clone()).build().unwrap()
    };
    let (here, there) = (build(places), build(places * 2));
    let (mut facts, mut now, mut mode) = (Vec::new(), START, Mode::Exact);
    for slot in 0..44 {
        let end = START + (slot + 1) * SLOT_MS;
        // Many small parts of a slot, or one.
        for _ in 0..rng.random_range(1..6) {
            now += rng.random_range(0..(end - now).max(1));
            // Time that only one of them is told of: the other's tables hold several slots at once.
            if rng.random_bool(0.5) { &there } else { &here }.tick(now);
            let many = rng.random_range(0..160);
            let batch: Vec<Fact> = (0..many).map(|_| someone(&mut rng, strangers, now)).collect();
            let (own, foreign) = batch.split_at(many * 3 / 4);
            record(&here, own, threads);
            record(&there, foreign, 1);
            facts.extend(batch);
            match rng.random_range(0..8) {
                0 => here.tick(now),
                1 => drop(here.report(Query::default())),
                2 => there.blocks().into_iter().for_each(|block| here.merge(block).unwrap()),
                _ => {}
            }
        }
        if rng.random_bool(0.07) || slot == 43 {
            there.blocks().into_iter().for_each(|block| here.merge(block).unwrap());
            check(&here, &facts, &mut rng);
            mode = here.report(Query::default()).mode;
        }
    }
    assert!(here.stats().expired > 0);
    mode
}

#[test]
fn a_window_of_everything_keeps_the_guarantees() {
    let modes: Vec<Mode> = (0..9).map(scenario).collect();
    assert!(modes.contains(&Mode::Bounded), "{modes:?}");
}

/// The same, while all of it fits.
#[test]
fn a_window_that_fits_is_exact() {
    let modes: Vec<Mode> = [5, 20].into_iter().map(scenario).collect();
    assert!(modes.contains(&Mode::Exact), "{modes:?}");
}

/// Tenants that fill pages and are let go, one after another: who gets their pages has nothing of theirs.
#[test]
fn pages_that_are_given_back_are_empty() {
    let clock = Clock::manual(START);
    let builder = Sentinel::builder().places(8).stripes(1).slow_after(Duration::from_millis(100)).clock(clock);
    let (sentinel, mut rng) = (builder.build().unwrap(), StdRng::seed_from_u64(9));
    let (mut facts, mut seen) = (Vec::new(), 0);
    for i in 0..600 {
        // Milliseconds or seconds, many buckets of each, and eighteen endpoints of one's own.
        let base = if i % 2 == 0 { 1_000 } else { 1_000_000 };
        for n in 0..54 {
            let fact = Fact {
                tenant: format!("t{i}"),
                endpoint: format!("/{}/{}", i % 9, n % 18),
                error: n % 5 == 0,
                us: rng.random_range(base..base * 16),
                at: START + n,
            };
            fact.record(&sentinel);
            facts.push(fact);
        }
        if i % 150 == 149 {
            let truth = truth(&facts, 0);
            let all = sentinel.report(Query { limit: usize::MAX, ..Query::default() });
            check_counts(&all, &truth);
            for row in &all.tenants {
                check_tenant(&sentinel.tenant(row.tenant_id.as_bytes(), None).unwrap(), &truth[row.tenant_id.as_str()]);
                seen += usize::from(row.bound.requests > 0);
            }
        }
    }
    assert!(seen > 0, "{seen} came after a purge");
}
