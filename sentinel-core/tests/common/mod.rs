//! Parts that the tests of capacity, codec, merge and threads share: an exact oracle, the check of the guarantees against it, and an
//! allocator that counts what a thread holds.
#![allow(dead_code)] // each test binary uses its part of it

use sentinel_core::{Block, By, Event, Latency, Query, Report, Sentinel, TenantRow};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// A boundary of slots of any whole number of seconds that divides a minute.
pub(crate) const START: i64 = 1_700_000_400_000;
/// The slow line of the tests, and latencies on either side of it whatever edge it is rounded to.
pub(crate) const SLOW_AFTER: Duration = Duration::from_millis(100);
pub(crate) const FAST_MS: f64 = 7.0;
pub(crate) const SLOW_MS: f64 = 700.0;
const ABSENT: &[u8] = b"nobody-sends-this-id";

/// Requests, errors, slow requests of each tenant.
pub(crate) type Truth = HashMap<String, [u64; 3]>;

/// One request of a test stream.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) tenant: String,
    pub(crate) error: bool,
    pub(crate) slow: bool,
    pub(crate) at: i64,
}

impl Hit {
    pub(crate) fn record(&self, sentinel: &Sentinel) {
        let latency = Latency::from_millis(if self.slow { SLOW_MS } else { FAST_MS });
        let status = if self.error { 500 } else { 200 };
        sentinel.record(Event { tenant: self.tenant.as_bytes(), endpoint: "/v1", status, latency, at: Some(self.at) });
    }
}

/// The plain oracle: a map for each slot.
#[derive(Debug, Default)]
pub(crate) struct Oracle(BTreeMap<i64, Truth>);

impl Oracle {
    pub(crate) fn record(&mut self, hit: &Hit) {
        let slot = self.0.entry(hit.at.div_euclid(10_000) * 10_000).or_default();
        let counts = slot.entry(hit.tenant.clone()).or_default();
        for (count, weight) in counts.iter_mut().zip([true, hit.error, hit.slow]) {
            *count += u64::from(weight);
        }
    }

    /// Events in the slots from `from_ms` on.
    pub(crate) fn since(&self, from_ms: i64) -> Truth {
        let mut out = Truth::new();
        for (tenant, counts) in self.0.range(from_ms..).flat_map(|(_, slot)| slot) {
            let sums = out.entry(tenant.clone()).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        out
    }
}

pub(crate) fn counts(row: &TenantRow) -> [u64; 3] {
    [row.requests, row.errors, row.slow]
}

pub(crate) fn bounds(row: &TenantRow) -> [u64; 3] {
    [row.bound.requests, row.bound.errors, row.bound.slow]
}

/// Everyone, and what an absent tenant may have at most.
///
/// The report has no field for that offset; but a tenant that is in flight and has ended nothing yet gets a row, and the bound
/// of that row is the offset of the window.
pub(crate) fn everyone(sentinel: &Sentinel, window: Option<Duration>) -> (Report, [u64; 3]) {
    let mut flight = sentinel.start();
    flight.tenant(ABSENT);
    let mut report = sentinel.report(Query { by: By::Requests, window, limit: usize::MAX, ..Query::default() });
    // Dropped it would count as aborted.
    std::mem::forget(flight);
    let at = report
        .tenants
        .iter()
        .position(|row| row.tenant_id.as_bytes() == ABSENT)
        .expect("whoever is in flight is listed");
    let absent = report.tenants.remove(at);
    assert_eq!(counts(&absent), [0; 3]);
    (report, bounds(&absent))
}

/// Guarantees 1, 2 and 3 of the design, for what the oracle knows of the same window. Gives the report and the offset.
pub(crate) fn check(sentinel: &Sentinel, oracle: &Oracle, window: Option<Duration>) -> (Report, [u64; 3]) {
    let (report, offset) = everyone(sentinel, window);
    let truth = oracle.since(report.from_ms);
    let names = ["requests", "errors", "slow"];
    let mut listed = [0; 3];
    for row in &report.tenants {
        let real = truth.get(&row.tenant_id).unwrap_or_else(|| panic!("{} is invented: {row:?}", row.tenant_id));
        let (count, bound) = (counts(row), bounds(row));
        for m in 0..3 {
            listed[m] += count[m];
            let fits = count[m] <= real[m] && real[m] <= count[m] + bound[m];
            assert!(
                fits,
                "{} of {}: {} ≤ {} ≤ {} + {}",
                names[m], row.tenant_id, count[m], real[m], count[m], bound[m]
            );
            assert!(
                bound[m] <= offset[m],
                "{} of {}: bound {} above the offset {}",
                names[m],
                row.tenant_id,
                bound[m],
                offset[m]
            );
        }
    }
    let present: HashSet<&str> = report.tenants.iter().map(|row| row.tenant_id.as_str()).collect();
    let mut absent = 0;
    for (tenant, real) in truth.iter().filter(|(tenant, _)| !present.contains(tenant.as_str())) {
        absent += 1;
        for m in 0..3 {
            assert!(
                real[m] <= offset[m],
                "{tenant} is absent with {} {}, the offset is {}",
                real[m],
                names[m],
                offset[m]
            );
        }
    }
    let all = truth.values().fold([0; 3], |sum: [u64; 3], real| std::array::from_fn(|m| sum[m] + real[m]));
    let (totals, tail) = (&report.totals, &report.tail);
    assert_eq!([totals.requests, totals.errors], [all[0], all[1]], "totals");
    assert_eq!([listed[0] + tail.requests, listed[1] + tail.errors], [all[0], all[1]], "rows and tail");
    assert_eq!(totals.tenants, report.tenants.len() as u64);
    let let_go = absent > 0 || tail.requests > 0 || offset != [0; 3];
    assert_eq!(
        report.mode == sentinel_core::Mode::Bounded,
        let_go,
        "{:?}, {absent} absent, tail {tail:?}, {offset:?}",
        report.mode
    );
    if !let_go {
        assert!(report.tenants.iter().all(|row| bounds(row) == [0; 3] && counts(row) == truth[&row.tenant_id]));
    }
    (report, offset)
}

/// A block as another process gets it.
pub(crate) fn sent(block: &Block) -> Block {
    Block::decode(&block.encode()).expect("what was encoded is decoded")
}

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, with a count of each thread's own bytes.
pub(crate) struct Counting;

impl Counting {
    fn count(bytes: isize) {
        // No count while a thread is torn down.
        let _ = LIVE.try_with(|live| {
            live.set(live.get() + bytes);
            let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
        });
    }

    /// Bytes that this thread has allocated and nobody has given back.
    pub(crate) fn live() -> isize {
        LIVE.get()
    }

    /// The most that `act` held at once on this thread, beside what was there before it.
    pub(crate) fn peak<T>(act: impl FnOnce() -> T) -> (T, isize) {
        let before = LIVE.get();
        PEAK.set(before);
        let out = act();
        (out, PEAK.get() - before)
    }
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size() as isize);
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        Self::count(-(layout.size() as isize));
        // SAFETY: the caller's promise is ours.
        unsafe { System.dealloc(at, layout) }
    }
}
