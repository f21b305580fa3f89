//! `record` of a known tenant at a known endpoint allocates nothing: counted by the allocator, on each stripe, and in each new
//! slot once there are spare tables.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use sentinel_core::{Clock, Event, Latency, Query, Sentinel};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const START: i64 = 1_700_000_400_000;
const SLOT_MS: i64 = 10_000;
// One: which stripe a thread takes depends on the processor it runs on, once there are more threads than stripes.
const STRIPES: usize = 1;
const TENANTS: usize = 40;
/// A stripe's requests in a measured slot.
const RECORDS: usize = 100_000;

thread_local! {
    /// Bytes that this thread has asked for since it began.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, with a sum of all that each thread has asked it for.
struct Counting;

impl Counting {
    fn count(bytes: usize) {
        // No count while a thread is torn down.
        let _ = ASKED.try_with(|asked| asked.set(asked.get() + bytes as u64));
    }

    /// Bytes that `act` asks for on this thread, given back or not.
    fn asked(act: impl FnOnce()) -> u64 {
        let before = ASKED.get();
        act();
        ASKED.get() - before
    }
}

// SAFETY: everything is passed on to the system's allocator as it came; what counts does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size);
        // SAFETY: the caller's promise is ours.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is ours.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Threads are numbered as they come and take a stripe by that number: one test at a time, so that each stripe has its turn.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sentinel(stripes: usize) -> Sentinel {
    Sentinel::builder().clock(Clock::manual(START)).stripes(stripes).build().unwrap()
}

/// Ids of every kind of length that is kept in its own way.
fn ids() -> Vec<Vec<u8>> {
    (0..TENANTS).map(|i| format!("{i:02}").repeat([1, 19, 20, 64][i % 4]).into_bytes()).collect()
}

/// So many requests: each tenant at five endpoints, with latencies from 1 µs to 9 minutes or none, and every kind of outcome.
fn record(sentinel: &Sentinel, ids: &[Vec<u8>], count: usize) {
    for i in 0..count {
        let (tenant, round) = (&ids[i % ids.len()], i / ids.len());
        let endpoint = ["/a", "/b", "", "other", "/users/{id}"][round % 5];
        let status = [200, 500, 404, 499, 0][round / 5 % 5];
        let shift = round % 31;
        let latency = if shift == 30 { Latency::UNKNOWN } else { Latency::from_millis((1_u64 << shift) as f64 / 1e3) };
        sentinel.record(Event { tenant, endpoint, status, latency, at: None });
    }
}

/// Each tenant, endpoint, outcome and latency once and more: 5 · 5 · 31 rounds.
const WARM_UP: usize = TENANTS * 775;

/// Allocations of `act` on as many new threads as there are stripes, one after another.
fn on_each_stripe(act: impl Fn() + Sync) -> Vec<u64> {
    (0..STRIPES).map(|_| thread::scope(|scope| scope.spawn(|| Counting::asked(&act)).join().unwrap())).collect()
}

#[test]
fn the_allocator_counts() {
    let asked = Counting::asked(|| drop((Box::new([0_u8; 100]), vec![0_u8; 1_000], String::with_capacity(10_000))));
    assert_eq!(asked, 11_100);
    let mut grown = Vec::<u8>::with_capacity(10);
    assert_eq!(Counting::asked(|| grown.reserve_exact(20)), 20);
    assert_eq!(Counting::asked(|| grown.clear()), 0);
}

#[test]
fn known_tenants_and_endpoints_allocate_nothing_on_any_stripe() {
    let _alone = alone();
    let (sentinel, ids) = (sentinel(STRIPES), ids());
    let first = on_each_stripe(|| record(&sentinel, &ids, WARM_UP));
    assert!(first.iter().all(|asked| *asked > 10_000), "each thread has had a stripe of its own: {first:?}");
    assert_eq!(on_each_stripe(|| record(&sentinel, &ids, RECORDS)), [0; STRIPES]);
    assert_eq!(sentinel.stats().offered, (STRIPES * (WARM_UP + RECORDS)) as u64);
}

#[test]
fn looks_and_ticks_leave_it_at_that() {
    let _alone = alone();
    let (sentinel, ids) = (sentinel(1), ids());
    record(&sentinel, &ids, WARM_UP);
    for second in 0..9 {
        sentinel.tick(START + 1_000 * second);
        let asked = Counting::asked(|| record(&sentinel, &ids, RECORDS / 10));
        // A look swaps tables: there are two, which grow once.
        assert!(second < 2 || asked == 0, "second {second}: {asked} bytes");
        assert!(Counting::asked(|| drop(sentinel.report(Query::default()))) > 0);
    }
}

/// A new slot takes the table of an older one, as large as that was.
#[test]
fn a_new_slot_allocates_nothing_once_there_are_spare_tables() {
    let _alone = alone();
    let (sentinel, ids) = (sentinel(STRIPES), ids());
    for slot in 0..8 {
        sentinel.tick(START + slot * SLOT_MS);
        let asked = on_each_stripe(|| record(&sentinel, &ids, RECORDS.max(WARM_UP)));
        match slot {
            0 | 1 => assert!(asked.iter().all(|asked| *asked > 10_000), "slot {slot}: {asked:?}"),
            _ => assert_eq!(asked, [0; STRIPES], "slot {slot}"),
        }
    }
}

/// Nobody ticks when the slot ends: the first request of the next one opens it.
#[test]
fn a_request_that_opens_a_slot_allocates_nothing() {
    let _alone = alone();
    let clock = Clock::manual(START);
    let built = || Sentinel::builder().clock(clock.clone()).stripes(1).build().unwrap();
    let (sentinel, mover, ids) = (built(), built(), ids());
    for slot in 0..8 {
        mover.tick(START + slot * SLOT_MS);
        let asked = Counting::asked(|| record(&sentinel, &ids, WARM_UP));
        assert!(slot < 2 || asked == 0, "slot {slot}: {asked} bytes");
        // Sealing is not the request's work.
        sentinel.tick(START + slot * SLOT_MS + SLOT_MS / 2);
    }
}

/// A busy tenant whose requests all take as long: its counters outgrow their first place.
#[test]
fn a_hundred_thousand_alike_allocate_nothing() {
    let _alone = alone();
    let sentinel = sentinel(1);
    let latency = Latency::from_millis(5.0);
    let one = || sentinel.record(Event { tenant: b"acme", endpoint: "/a", latency, ..Event::default() });
    // A page for its counters comes from the pool, which grows once in a table's life.
    (0..RECORDS).for_each(|_| one());
    for second in 1..4 {
        sentinel.tick(START + 1_000 * second);
        let asked = Counting::asked(|| (0..RECORDS).for_each(|_| one()));
        assert!(second < 2 || asked == 0, "second {second}: {asked} bytes");
    }
}
