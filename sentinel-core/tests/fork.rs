//! After a fork the child starts from nothing, as another source. `fork::mark` is what the child calls; here it stands for
//! the fork itself, in a test binary of its own, because it reaches every sentinel of the process.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

use sentinel_core::{Clock, Event, Kind, Query, Report, Sentinel, fork};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const NOW: i64 = 1_700_000_004_000;

/// The generation is the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sentinel() -> Sentinel {
    Sentinel::builder().clock(Clock::manual(NOW)).stripes(4).max_endpoints(2).build().unwrap()
}

fn request(tenant: &[u8]) -> Event<'_> {
    Event { tenant, endpoint: "/v1/process", status: 500, ..Event::default() }
}

fn report(sentinel: &Sentinel) -> Report {
    sentinel.report(Query::default())
}

#[test]
fn a_child_starts_from_nothing_with_another_source() {
    let _alone = alone();
    let sentinel = sentinel();
    let clone = sentinel.clone();
    let empty = report(&self::sentinel());
    for endpoint in ["/a", "/b", "/c"] {
        sentinel.record(Event { endpoint, ..request(b"acme") });
    }
    let (parent, block) = (sentinel.source(), sentinel.blocks().remove(0));
    let mut sources = vec![parent];
    for child in 1..4 {
        fork::mark();
        assert_eq!((sentinel.stats(), report(&sentinel)), (empty.stats, empty.clone()), "child {child}");
        assert!(sentinel.blocks().is_empty() && sentinel.tenant(b"acme", None).is_none());
        assert!(!sources.contains(&sentinel.source()), "child {child}");
        sources.push(sentinel.source());
        assert_eq!(clone.source(), sentinel.source(), "clones share it");
        // Its endpoints are new too, and its options are not.
        for endpoint in ["/d", "/e", "/f"] {
            clone.record(Event { endpoint, ..request(b"beta") });
        }
        let found = report(&sentinel);
        assert_eq!((found.totals.requests, found.stats.adjusted.endpoint_other, found.tenants.len()), (3, 1, 1));
    }
    // What the parent has counted may come as anybody else's.
    sentinel.merge(block).unwrap();
    let found = report(&sentinel);
    assert_eq!((found.totals.requests, found.sources, found.stats.accepted), (6, 2, 3));
}

#[test]
fn requests_begun_before_belong_to_the_parent() {
    let _alone = alone();
    let sentinel = sentinel();
    let (mut dropped, mut finished, mut renamed) = (sentinel.start(), sentinel.start(), sentinel.start());
    dropped.tenant(b"dropped");
    finished.tenant(b"finished");
    renamed.tenant(b"before");
    fork::mark();
    // A place among the child's flights is not the parent's.
    let mut own = sentinel.start();
    own.tenant(b"own");
    renamed.tenant(b"renamed");
    renamed.endpoint("/a");
    let flying = |id: &[u8]| sentinel.tenant(id, None).map(|tenant| tenant.row.in_flight);
    assert_eq!([b"own" as &[u8], b"dropped", b"finished", b"renamed"].map(flying), [Some(1), None, None, None]);
    drop(dropped);
    drop(renamed);
    assert_eq!(sentinel.stats().offered, 0);
    finished.finish("/v1/process", 200);
    assert_eq!((sentinel.stats().accepted, flying(b"own"), flying(b"finished")), (1, Some(1), Some(0)));
    own.finish("/v1/process", 200);
    assert_eq!((sentinel.stats().accepted, flying(b"own")), (2, Some(0)));
}

#[test]
fn many_threads_find_one_engine() {
    const THREADS: usize = 8;
    const EACH: usize = 50;
    let _alone = alone();
    for _ in 0..100 {
        // Many stripes take long to make: the threads meet while the first of them is at it.
        let sentinel = Sentinel::builder().clock(Clock::manual(NOW)).stripes(64).build().unwrap();
        sentinel.record(request(b"parent"));
        let parent = sentinel.source();
        fork::mark();
        let go = AtomicBool::new(false);
        let sources: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (sentinel, go) = (sentinel.clone(), &go);
                    scope.spawn(move || {
                        let id = format!("t{thread}");
                        while !go.load(Ordering::Acquire) {
                            std::hint::spin_loop();
                        }
                        (0..EACH).for_each(|_| sentinel.record(request(id.as_bytes())));
                        sentinel.source()
                    })
                })
                .collect();
            go.store(true, Ordering::Release);
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(sources.iter().all(|source| *source == sources[0] && *source != parent), "{sources:?}");
        let (stats, found) = (sentinel.stats(), report(&sentinel));
        assert_eq!((stats.offered, stats.accepted, stats.in_window), (400, 400, 400));
        assert_eq!((found.totals.requests, found.totals.errors, found.tenants.len()), (400, 400, THREADS));
        assert!(found.tenants.iter().all(|row| row.requests == EACH as u64));
    }
}

#[test]
fn every_sentinel_of_the_process_is_reached() {
    let _alone = alone();
    let (a, b) = (sentinel(), sentinel());
    for sentinel in [&a, &b] {
        sentinel.record(request(b"acme"));
    }
    fork::mark();
    let c = sentinel();
    c.record(request(b"acme"));
    assert_eq!([&a, &b, &c].map(|sentinel| sentinel.stats().offered), [0, 0, 1]);
    assert!(a.source() != b.source() && b.source() != c.source());
    // One that is dropped in a child, used there or not, takes nothing down.
    drop((a.clone(), a));
    fork::mark();
    drop(b);
    assert_eq!(c.stats().offered, 0);
}

#[test]
fn what_the_parent_knew_is_not_told() {
    let _alone = alone();
    let sentinel = sentinel();
    for second in 0..150 {
        for i in 0..20 {
            let (id, status) = (format!("t{i}"), if i == 7 && second >= 120 { 500 } else { 200 });
            sentinel.record(Event { status, ..request(id.as_bytes()) });
        }
        sentinel.tick(NOW + 1_000 * (second + 1));
    }
    assert_eq!((sentinel.verdict().kind, sentinel.verdict().tenants), (Kind::OneTenant, vec!["t7".to_string()]));
    fork::mark();
    assert_eq!((sentinel.verdict().kind, report(&sentinel).verdict.kind), (Kind::Quiet, Kind::Quiet));
    // Time goes on from where the parent was.
    assert_eq!(sentinel.now_ms(), NOW + 150_000);
    sentinel.record(request(b"acme"));
    assert_eq!(report(&sentinel).to_ms, NOW + 150_000);
}
