//! Blocks of other processes: which are refused, that a snapshot may come as often as one likes, and that several workers
//! together answer as one sentinel does that has seen everything.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use common::{Counting, FAST_MS, START, counts, everyone, sent};
use sentinel_core::{Block, Builder, Clock, Event, Kind, Latency, MergeError, Query, Sentinel, Verdict};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SLOT_MS: i64 = 10_000;
/// Closed slots in the default window.
const SLOTS: i64 = 60;

fn builder(at: i64) -> Builder {
    Sentinel::builder().stripes(1).clock(Clock::manual(at))
}

fn worker(at: i64) -> Sentinel {
    builder(at).build().unwrap()
}

/// Requests that all fail, or none.
fn hit(sentinel: &Sentinel, tenant: &str, times: usize, fails: bool) {
    let (status, latency) = (if fails { 500 } else { 200 }, Latency::from_millis(FAST_MS));
    for _ in 0..times {
        sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/v1/process", status, latency, at: None });
    }
}

fn merge_all(here: &Sentinel, from: &Sentinel) {
    from.blocks().iter().for_each(|block| here.merge(sent(block)).unwrap());
}

/// A block of one request.
fn one(builder: Builder) -> Block {
    let there = builder.build().unwrap();
    hit(&there, "acme", 1, false);
    there.blocks().remove(0)
}

fn requests(sentinel: &Sentinel) -> u64 {
    sentinel.report(Query::default()).totals.requests
}

#[test]
fn slots_of_another_grid_are_refused() {
    let here = worker(START);
    let slot = |seconds| builder(START).slot(Duration::from_secs(seconds)).window(Duration::from_mins(10));
    for seconds in [1, 5, 20, 60] {
        let expected = MergeError::Slots { found_ms: 1_000 * seconds, expected_ms: 10_000 };
        assert_eq!(here.merge(one(slot(seconds))), Err(expected));
    }
    for anchor in [1, 3, 5_000, 9_999] {
        let expected = MergeError::Slots { found_ms: 10_000, expected_ms: 10_000 };
        assert_eq!(here.merge(one(builder(START).anchor_ms(anchor))), Err(expected), "anchor {anchor}");
    }
    assert_eq!(here.merge(one(builder(START).anchor_ms(20_000))), Ok(()));
    let shifted = builder(START).anchor_ms(3).build().unwrap();
    assert!(shifted.merge(one(builder(START))).is_err());
    assert_eq!(shifted.merge(one(builder(START).anchor_ms(10_003))), Ok(()));
    assert_eq!((requests(&here), here.stats().foreign_blocks), (1, 1));
}

#[test]
fn what_lies_outside_the_window_is_refused() {
    let here = worker(START + 9_999);
    let refused =
        |start_ms| Err(MergeError::OutsideWindow { start_ms, from_ms: START - SLOTS * SLOT_MS, to_ms: START });
    for (slots, inside) in
        [(-SLOTS - 1, false), (-SLOTS, true), (-1, true), (0, true), (1, true), (2, false), (1_000_000, false)]
    {
        let start = START + slots * SLOT_MS;
        let expected = if inside { Ok(()) } else { refused(start) };
        assert_eq!(here.merge(one(builder(start))), expected, "slot {slots}");
    }
    assert_eq!((requests(&here), here.stats().foreign_blocks), (4, 4));
    // Time moves on without a tick too, by whoever asks.
    here.tick(START + SLOT_MS);
    assert_eq!(here.merge(one(builder(START + SLOT_MS))), Ok(()));
    assert!(here.merge(one(builder(START - SLOTS * SLOT_MS))).is_err());
}

#[test]
fn its_own_block_is_refused() {
    let here = worker(START);
    hit(&here, "acme", 2, true);
    let error = here.merge(sent(&here.blocks()[0]));
    assert_eq!(error, Err(MergeError::OwnBlock { found: here.source() }));
    assert_eq!((requests(&here), here.stats().foreign_blocks), (2, 0));
    here.tick(START + SLOT_MS);
    assert!(here.merge(sent(&here.blocks()[0])).is_err());
    assert!(error.unwrap_err().to_string().contains(&format!("{:016x}", here.source())));
}

#[test]
fn a_newer_snapshot_replaces_the_older_one() {
    let (here, there) = (worker(START), worker(START));
    hit(&here, "acme", 5, false);
    let mut total = 5;
    for second in 1..=95 {
        hit(&there, "acme", 3, second % 10 == 0);
        hit(&there, &format!("guest-{second}"), 1, false);
        total += 4;
        there.tick(START + 1_000 * second);
        here.tick(START + 1_000 * second);
        // Open and closed slots, each block as often as it likes, in either direction of time.
        let mut blocks = there.blocks();
        for retry in 0..3 {
            blocks.iter().for_each(|block| here.merge(sent(block)).unwrap());
            assert_eq!(requests(&here), total, "second {second}, retry {retry}");
            blocks.reverse();
        }
        let (a, b) = (here.tenant(b"acme", None).unwrap(), there.tenant(b"acme", None).unwrap());
        assert_eq!(counts(&a.row)[..2], [b.row.requests + 5, b.row.errors]);
    }
    let stats = here.stats();
    assert_eq!((stats.accepted, stats.in_window, stats.expired), (5, 5, 0), "foreign events are not in the ledger");
    assert_eq!(there.blocks().len() as u64, stats.foreign_blocks);
}

#[test]
fn an_older_snapshot_that_comes_late_takes_nothing_back() {
    // A retry of a send that timed out arrives after the next one: snapshots of a slot only grow.
    let (here, there) = (worker(START), worker(START));
    hit(&there, "acme", 3, true);
    let older = there.blocks().remove(0);
    hit(&there, "acme", 4, true);
    merge_all(&here, &there);
    assert_eq!(requests(&here), 7);
    here.merge(older).unwrap();
    assert_eq!(requests(&here), 7, "counts stepped back");
}

/// The incident of the doc test of `Verdict`: one of twenty tenants fails in the third of three minutes, then no more.
fn second_of_incident(second: i64, mut record: impl FnMut(usize, Event<'_>)) {
    for request in 0..20 {
        let (tenant, fails) = (format!("tenant_{request}"), request == 7 && (120..180).contains(&second));
        let (status, at) = (if fails { 500 } else { 200 }, Some(START + 1_000 * second + 10));
        record(request, Event { tenant: tenant.as_bytes(), endpoint: "/v1/process", status, at, ..Event::default() });
    }
}

fn told(verdict: &Verdict) -> (Kind, Vec<String>, Option<String>, [Option<u64>; 3], bool) {
    let numbers = [verdict.window_ms, verdict.errors, verdict.of];
    (verdict.kind, verdict.tenants.clone(), verdict.endpoint.clone(), numbers, verdict.active)
}

#[test]
fn two_workers_together_give_the_verdict_of_one() {
    let (all, here) = (worker(START), worker(START));
    let workers = [worker(START), worker(START)];
    let mut kinds = Vec::new();
    for second in 0..260 {
        let now = START + 1_000 * (second + 1);
        second_of_incident(second, |request, event| {
            all.record(Event { at: None, ..event });
            // The failing tenant comes to both.
            workers[(request + second as usize) % 2].record(Event { at: None, ..event });
        });
        all.tick(now);
        for worker in &workers {
            worker.tick(now);
            merge_all(&here, worker);
        }
        here.tick(now);
        let (expected, verdict) = (all.verdict(), here.verdict());
        assert_eq!(told(&verdict), told(&expected), "second {second}");
        kinds.push(verdict.kind);
    }
    assert_eq!((kinds[119], kinds[170], kinds[259]), (Kind::Quiet, Kind::OneTenant, Kind::Quiet));
    let report = here.report(Query::default());
    assert_eq!((report.sources, report.totals.requests, report.totals.errors), (3, 5_200, 60));
}

#[test]
fn snapshots_that_come_after_the_slot_has_closed_reach_the_verdict() {
    // For two and a half minutes the reader gets what it gets every 25 s, when most of it has closed here; then every second.
    let (all, here, there) = (worker(START), worker(START), worker(START));
    for second in 0..180 {
        let now = START + 1_000 * (second + 1);
        second_of_incident(second, |_, event| {
            all.record(Event { at: None, ..event });
            there.record(Event { at: None, ..event });
        });
        all.tick(now);
        there.tick(now);
        if second >= 150 || second % 25 == 24 {
            merge_all(&here, &there);
        }
        here.tick(now);
        if second % 25 == 24 {
            let (a, b) = (all.report(Query::default()), here.report(Query::default()));
            assert_eq!((&a.totals, a.tail), (&b.totals, b.tail), "second {second}");
        }
    }
    let (expected, verdict) = (all.verdict(), here.verdict());
    assert_eq!(told(&verdict), told(&expected));
    assert_eq!((verdict.kind, &verdict.tenants[..]), (Kind::OneTenant, &["tenant_7".to_string()][..]));
}

#[test]
fn retries_leave_the_verdict_alone_when_the_budget_prunes_what_came() {
    // A small and a large reader of the same fleet, in which always one tenant of ten fails a little. What the small one merges
    // is pruned, and comes again every slot. In the end one tenant fails a lot. (`once` is as small, and gets each block once.)
    let [small, once, large, there] = [4, 4, 256, 256].map(|mib| builder(START).budget(mib << 20).build().unwrap());
    let mut named = [0; 3];
    for slot in 0..36 {
        let end = START + (slot + 1) * SLOT_MS - 1;
        for i in 0..1_500 {
            let (tenant, at) = (format!("tenant-{i}"), Some(end - i));
            let status = if (i + slot) % 10 == 0 { 500 } else { 200 };
            there.record(Event { tenant: tenant.as_bytes(), status, at, ..Event::default() });
            if i % 20 == 0 {
                let status = if slot >= 30 { 500 } else { 200 };
                there.record(Event { tenant: b"planted", status, at, ..Event::default() });
            }
        }
        there.tick(end);
        for reader in [&small, &large] {
            merge_all(reader, &there);
            reader.tick(end);
        }
        once.merge(sent(there.blocks().last().unwrap())).unwrap();
        once.tick(end);
        // A small reader weighs with less evidence and may be a slot off; it must not miss it, nor accuse anybody else.
        for (reader, named) in [&small, &once, &large].into_iter().zip(&mut named) {
            let verdict = reader.verdict();
            assert!(slot >= 30 || verdict.kind == Kind::Quiet, "slot {slot}: {verdict}");
            assert!(verdict.tenants.iter().all(|tenant| tenant == "planted"), "slot {slot}: {verdict}");
            *named += usize::from(verdict.tenants == ["planted"]);
        }
    }
    assert!(named.iter().all(|named| *named > 2), "{named:?}");
    assert_eq!(requests(&small), 36 * 1_575);
}

#[test]
fn a_block_that_comes_again_and_again_takes_no_more_memory() {
    let (here, there) = (worker(START), worker(START));
    for slot in 0..6 {
        there.tick(START + slot * SLOT_MS);
        (0..500).for_each(|i| hit(&there, &format!("tenant-{i}"), 1, false));
    }
    here.tick(START + 60_000);
    merge_all(&here, &there);
    here.tick(START + 61_000);
    let before = Counting::live();
    // A worker that sends its window once a second, for three minutes.
    for _ in 0..180 {
        merge_all(&here, &there);
    }
    let grown = Counting::live() - before;
    assert!(grown < 1 << 20, "{grown} bytes more for the same {} blocks", there.blocks().len());
}

#[test]
fn sources_are_counted_once_and_leave_with_their_blocks() {
    let here = worker(START);
    hit(&here, "own", 1, false);
    let there: Vec<Sentinel> = (0..5).map(|_| worker(START)).collect();
    for (i, worker) in there.iter().enumerate() {
        hit(worker, "acme", 1, true);
        worker.tick(START + SLOT_MS);
        hit(worker, "acme", 1, true);
        here.tick(START + SLOT_MS);
        merge_all(&here, worker);
        let report = here.report(Query::default());
        assert_eq!(
            (report.sources, report.stats.foreign_blocks, report.totals.errors),
            (i + 2, 2 * (i as u64 + 1), 2 * (i as u64 + 1))
        );
    }
    // The first slot is in the window as long as SLOTS closed ones are.
    for (slot, blocks, sources) in [(SLOTS, 10, 6), (SLOTS + 1, 5, 6), (SLOTS + 2, 0, 1), (SLOTS + 3, 0, 1)] {
        here.tick(START + slot * SLOT_MS);
        let report = here.report(Query::default());
        let own = u64::from(slot <= SLOTS);
        assert_eq!(
            (report.stats.foreign_blocks, report.sources, report.totals.requests),
            (blocks, sources, blocks + own),
            "slot {slot}"
        );
        assert_eq!((report.stats.in_window, report.stats.expired), (own, 1 - own));
    }
    assert!(here.tenant(b"acme", None).is_none());
}

#[test]
fn foreign_blocks_leave_a_reader_that_records_nothing() {
    for slots in [SLOTS, SLOTS + 1, SLOTS + 2, 10 * SLOTS] {
        let here = worker(START);
        here.merge(one(builder(START))).unwrap();
        // Nobody asked or ticked in between.
        here.tick(START + slots * SLOT_MS);
        let (report, offset) = everyone(&here, None);
        let (left, sources) = if slots <= SLOTS { (1, 2) } else { (0, 1) };
        assert_eq!((report.totals.requests, offset), (left, [0; 3]), "after {slots} slots");
        assert_eq!((report.stats.foreign_blocks, report.sources), (left, sources), "after {slots} slots");
    }
}
