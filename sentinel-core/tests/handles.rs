//! A bound handle records the same as `record` does: any ids, endpoints and times, ticks in between, and after a fork.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use proptest::prelude::*;
use sentinel_core::{By, Clock, Event, Handle, Latency, Query, Sentinel, Stats, TenantReport, fork};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const START: i64 = 1_700_000_400_000;

/// The generation is the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A step of the test; ids and endpoints by their number.
#[derive(Debug, Clone)]
enum Step {
    Record {
        tenant: usize,
        endpoint: usize,
        status: u16,
        ms: f64,
        at: Option<i64>,
    },
    /// Time moves on by so many ms, told to nobody, or to both.
    Time(i64, bool),
    /// As if this were a forked child now.
    Fork,
}

/// Ids of every length that is stored in its own way; two long ones that begin alike; the reserved row and who calls itself that.
fn tenants() -> Vec<Vec<u8>> {
    let long = |len: usize, last: u8| [vec![b'x'; len - 1], vec![last]].concat();
    vec![
        b"acme".to_vec(),
        Vec::new(),
        b"unattributed".to_vec(),
        vec![0xff, 0, 7],
        long(38, b'a'),
        long(39, b'a'),
        long(128, b'a'),
        long(129, b'a'),
        long(129, b'b'),
        long(2_000, b'a'),
    ]
}

const ENDPOINTS: [&str; 7] = ["/v1", "", "other", "unmatched", "/v2", "/v3/{id}", "/v4"];

fn step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![4 => Just(200_u16), 2 => Just(503), 1 => prop::sample::select(vec![0_u16, 99, 404, 499, 600, 65_535])];
    let ms = prop_oneof![4 => 0.0..2_000.0, 1 => prop::sample::select(vec![f64::NAN, -1.0, f64::INFINITY, 1e12])];
    let at = prop_oneof![2 => Just(None), 2 => (-700_000_i64..30_000).prop_map(Some)];
    let record = (0..10_usize, 0..ENDPOINTS.len(), status, ms, at)
        .prop_map(|(tenant, endpoint, status, ms, at)| Step::Record { tenant, endpoint, status, ms, at });
    prop_oneof![30 => record, 4 => (0..30_000_i64, any::<bool>()).prop_map(|(ms, told)| Step::Time(ms, told)), 1 => Just(Step::Fork)]
}

/// All that a sentinel says.
fn said(sentinel: &Sentinel) -> (Vec<sentinel_core::Report>, Vec<Option<TenantReport>>, Stats, Vec<usize>) {
    let ask = |by| {
        [None, Some(Duration::from_mins(1))]
            .map(|window| sentinel.report(Query { by, window, limit: 100, ..Query::default() }))
    };
    let reports = By::ALL.into_iter().flat_map(ask).collect();
    let each = tenants().iter().map(|id| sentinel.tenant(id, None)).collect();
    // Their sources differ, not their lengths.
    let lengths = sentinel.blocks().iter().map(|block| block.encode().len()).collect();
    (reports, each, sentinel.stats(), lengths)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_handle_is_as_good_as_a_call(steps in prop::collection::vec(step(), 1..150), max_endpoints in 1..6_usize, late_bound: bool) {
        let _alone = alone();
        let clock = Clock::manual(START);
        let build = || Sentinel::builder().max_endpoints(max_endpoints).stripes(2).clock(clock.clone()).build().unwrap();
        let (called, bound) = (build(), build());
        let ids = tenants();
        let mut handles: HashMap<(usize, usize), Handle> = HashMap::new();
        if !late_bound {
            // Endpoints get their numbers as they come: the other one is told of them in the same order, by what counts nothing.
            for (endpoint, name) in ENDPOINTS.iter().enumerate() {
                drop(called.bind(b"", name));
                (0..ids.len()).for_each(|i| drop(handles.insert((i, endpoint), bound.bind(&ids[i], name))));
            }
        }
        let (mut now, mut forks) = (START, 0);
        for step in steps {
            match step {
                Step::Time(ms, told) => {
                    now += ms;
                    build().tick(now);
                    if told {
                        called.tick(now);
                        bound.tick(now);
                    }
                }
                // Each mark is a new generation for everybody in this process.
                Step::Fork => {
                    forks += 1;
                    fork::mark();
                    prop_assert_eq!((called.stats(), bound.stats()), (Stats::default(), Stats::default()));
                    if !late_bound {
                        ENDPOINTS.iter().for_each(|name| drop((called.bind(b"", name), bound.bind(b"", name))));
                    }
                }
                Step::Record { tenant, endpoint, status, ms, at } => {
                    let (id, name) = (&ids[tenant], ENDPOINTS[endpoint]);
                    let (latency, at) = (Latency::from_millis(ms), at.map(|ms| now + ms));
                    // One that is bound now gets its endpoint's number here, also for a request that is dropped.
                    let handle = handles.entry((tenant, endpoint)).or_insert_with(|| {
                        drop(called.bind(id, name));
                        bound.bind(id, name)
                    });
                    handle.record(status, latency, at);
                    called.record(Event { tenant: id, endpoint: name, status, latency, at });
                }
            }
            prop_assert_eq!(called.stats(), bound.stats(), "after {} forks", forks);
        }
        prop_assert_eq!(said(&called), said(&bound));
    }
}

/// A handle of a sentinel that a fork has made anew, and one bound afterwards, count in the same place.
#[test]
fn handles_before_and_after_a_fork_count_together() {
    let _alone = alone();
    let sentinel = Sentinel::builder().clock(Clock::manual(START)).build().unwrap();
    let before = sentinel.bind(b"acme", "/v1");
    before.record(500, Latency::from_millis(1.0), None);
    fork::mark();
    let after = sentinel.bind(b"acme", "/v1");
    for _ in 0..3 {
        before.record(500, Latency::from_millis(1.0), None);
        after.record(500, Latency::from_millis(1.0), None);
        sentinel.record(Event { tenant: b"acme", endpoint: "/v1", status: 500, ..Event::default() });
    }
    let row = &sentinel.report(Query::default()).tenants[0];
    assert_eq!((row.requests, row.errors), (9, 9));
    drop(sentinel);
    // A handle keeps what it counts in.
    after.record(500, Latency::UNKNOWN, None);
    drop(before);
    drop(after);
}
