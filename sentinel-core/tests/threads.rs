//! Many threads, one sentinel: nothing is lost, every look is consistent, counts never step back, nobody waits for ever.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use common::{FAST_MS, SLOW_MS, START};
use sentinel_core::{Block, By, Clock, Event, Latency, Mode, Query, Report, Sentinel, Stats};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const THREADS: usize = 8;
const EVENTS: usize = 200_000;
/// Each thread has a tenant of its own, and they share these.
const SHARED: usize = 40;
const SLOT_MS: i64 = 10_000;
/// A test that takes so long has no end; each takes seconds.
const NO_END: Duration = Duration::from_mins(1);

fn sentinel() -> Sentinel {
    Sentinel::builder().stripes(2).clock(Clock::manual(START)).build().unwrap()
}

/// Fails the test when `act` has no end: then one thread waits for another that waits for it.
fn has_an_end(act: impl FnOnce() + Send + 'static) {
    let (done, waiting) = mpsc::channel();
    let worker = thread::spawn(move || {
        act();
        let _ = done.send(());
    });
    match waiting.recv_timeout(NO_END) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("not done after {NO_END:?}: a deadlock"),
        // Done, or it has panicked, which is the better message.
        _ => worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// The work of thread `t`: every fourth request is its own tenant's, every tenth fails, every twentieth is slow.
fn record_all(sentinel: &Sentinel, t: usize) {
    let (own, shared) = (format!("own-{t}"), (0..SHARED).map(|i| format!("shared-{i}")).collect::<Vec<_>>());
    for i in 0..EVENTS {
        let tenant = if i % 4 == 0 { &own } else { &shared[(i / 4) % SHARED] };
        let status = if i % 10 == 0 { 503 } else { 200 };
        let latency = Latency::from_millis(if i % 20 == 0 { SLOW_MS } else { FAST_MS });
        sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: ["/a", "/b"][i % 2], status, latency, at: None });
    }
}

/// Requests and errors of everybody after all threads are done.
fn expected() -> HashMap<String, [u64; 2]> {
    let mut out: HashMap<String, [u64; 2]> = HashMap::new();
    for i in 0..EVENTS {
        let error = u64::from(i % 10 == 0);
        let mut add = |tenant: String, threads: u64| {
            let sums = out.entry(tenant).or_default();
            *sums = [sums[0] + threads, sums[1] + threads * error];
        };
        if i % 4 == 0 {
            (0..THREADS).for_each(|t| add(format!("own-{t}"), 1));
        } else {
            add(format!("shared-{}", (i / 4) % SHARED), THREADS as u64);
        }
    }
    out
}

fn balances(stats: &Stats) {
    assert_eq!(stats.offered, stats.accepted + stats.dropped.status + stats.dropped.late, "{stats:?}");
    assert_eq!(stats.accepted, stats.in_window + stats.expired, "{stats:?}");
}

/// Reports that a thread has seen which looks over and over.
#[derive(Default)]
struct Seen {
    looks: u64,
    totals: [u64; 2],
    tenants: HashMap<String, [u64; 2]>,
}

impl Seen {
    /// Everything that was accepted before this look is in it, and nothing has become less.
    fn look(&mut self, sentinel: &Sentinel) {
        let before = sentinel.stats();
        balances(&before);
        let by = By::ALL[self.looks as usize % By::ALL.len()];
        let report = sentinel.report(Query { by, limit: usize::MAX, ..Query::default() });
        balances(&report.stats);
        self.consistent(&report);
        let seen = report.totals.requests;
        assert!(seen >= before.accepted, "look {}: {} were accepted, {seen} are seen", self.looks, before.accepted);
        assert!(report.stats.in_window >= seen, "look {}", self.looks);
        let after = sentinel.stats();
        balances(&after);
        assert!(after.accepted >= seen && after.expired == 0);
        self.looks += 1;
    }

    fn consistent(&mut self, report: &Report) {
        assert_eq!((report.mode, report.tail.requests), (Mode::Exact, 0));
        let rows = report.tenants.iter().fold([0; 2], |sum, row| [sum[0] + row.requests, sum[1] + row.errors]);
        let totals = [report.totals.requests, report.totals.errors];
        assert_eq!(rows, totals);
        let stands = |now: [u64; 2], seen: [u64; 2]| now[0] >= seen[0] && now[1] >= seen[1];
        assert!(stands(totals, self.totals), "look {}: from {:?} back to {totals:?}", self.looks, self.totals);
        self.totals = totals;
        for row in &report.tenants {
            let (now, seen) = ([row.requests, row.errors], self.tenants.entry(row.tenant_id.clone()).or_default());
            assert!(stands(now, *seen), "{}: from {seen:?} back to {now:?}", row.tenant_id);
            *seen = now;
        }
    }
}

/// Tenants that have been here once, so that a look has something to do.
const GUESTS: usize = 500;

/// Eight threads record, one looks, and `beat` is called over and over beside them. Everything is there at the end.
fn record_and_look(sentinel: &Sentinel, mut beat: impl FnMut(u64) + Send) {
    for guest in 0..GUESTS {
        sentinel.record(Event { tenant: format!("guest-{guest}").as_bytes(), ..Event::default() });
    }
    let recording = &AtomicBool::new(true);
    thread::scope(|scope| {
        let looker = scope.spawn(move || {
            let mut seen = Seen::default();
            while recording.load(Ordering::Relaxed) {
                seen.look(sentinel);
            }
            seen.look(sentinel);
            seen.looks
        });
        scope.spawn(move || {
            for i in 0.. {
                if !recording.load(Ordering::Relaxed) {
                    break;
                }
                beat(i);
            }
        });
        let recorders: Vec<_> = (0..THREADS).map(|t| scope.spawn(move || record_all(sentinel, t))).collect();
        let recorded: Vec<_> = recorders.into_iter().map(thread::ScopedJoinHandle::join).collect();
        recording.store(false, Ordering::Relaxed);
        assert!(recorded.iter().all(Result::is_ok));
        let looks = looker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(looks > 1, "{looks} looks only");
    });
    let report = sentinel.report(Query { limit: usize::MAX, ..Query::default() });
    let found = report.tenants.iter().map(|row| (row.tenant_id.clone(), [row.requests, row.errors]));
    let (guests, found): (Vec<_>, Vec<_>) = found.partition(|(id, _)| id.starts_with("guest-"));
    assert_eq!(found.into_iter().collect::<HashMap<_, _>>(), expected());
    assert!(guests.len() == GUESTS && guests.iter().all(|(_, counts)| *counts == [1, 0]));
    let all = (THREADS * EVENTS + GUESTS) as u64;
    assert_eq!((report.totals.requests, report.totals.errors), (all, (THREADS * EVENTS / 10) as u64));
    assert_eq!((report.stats.offered, report.stats.in_window), (all, all));
    let log = sentinel.latency_log(None, None).unwrap();
    assert!(!log.is_empty() && report.totals.p50_ms.is_some_and(|p50| (p50 / FAST_MS - 1.0).abs() < 0.032));
}

#[test]
fn eight_threads_in_one_slot_lose_nothing() {
    has_an_end(|| {
        let sentinel = sentinel();
        record_and_look(&sentinel, |i| {
            // Within the slot.
            sentinel.tick(START + (i as i64).min(SLOT_MS - 1));
            balances(&sentinel.stats());
            thread::yield_now();
        });
        assert_eq!(sentinel.blocks().len(), 1);
    });
}

/// A sentinel with short slots, and one that only moves their clock: time goes by itself, whatever the other one is doing.
fn moved_from_outside() -> (Sentinel, Sentinel) {
    let builder = || Sentinel::builder().stripes(2).slot(Duration::from_secs(1));
    let clock = Clock::manual(START);
    (builder().clock(clock.clone()).build().unwrap(), builder().clock(clock).build().unwrap())
}

#[test]
fn slots_that_change_beside_the_looks_hide_nothing() {
    has_an_end(|| {
        let (sentinel, metronome) = moved_from_outside();
        record_and_look(&sentinel, |i| {
            // Six hundred closed slots stay in the window.
            metronome.tick(START + 1_000 * (i as i64).min(590));
            thread::sleep(Duration::from_millis(2));
        });
        assert!(sentinel.blocks().len() > 3);
    });
}

#[test]
fn a_slot_that_ends_during_a_look_stays_in_sight() {
    has_an_end(|| {
        let (sentinel, metronome) = moved_from_outside();
        let ticking = &AtomicBool::new(true);
        thread::scope(|scope| {
            let sentinel = &sentinel;
            scope.spawn(move || {
                for slot in 0..590 {
                    metronome.tick(START + 1_000 * slot);
                    thread::sleep(Duration::from_millis(2));
                }
                ticking.store(false, Ordering::Relaxed);
            });
            scope.spawn(move || {
                for i in (0..).take_while(|_| ticking.load(Ordering::Relaxed)) {
                    let tenant = format!("guest-{}", i % GUESTS);
                    sentinel.record(Event { tenant: tenant.as_bytes(), ..Event::default() });
                    if i % 8 == 0 {
                        thread::sleep(Duration::from_micros(50));
                    }
                }
            });
            let looker = scope.spawn(move || {
                let mut seen = Seen::default();
                while ticking.load(Ordering::Relaxed) {
                    seen.look(sentinel);
                }
            });
            looker.join().unwrap_or_else(|panic| {
                ticking.store(false, Ordering::Relaxed);
                std::panic::resume_unwind(panic)
            });
        });
    });
}

#[test]
fn exported_blocks_hold_everything_while_slots_change() {
    // A reader that takes a worker's snapshots never sees less than before either.
    has_an_end(|| {
        let (there, metronome) = moved_from_outside();
        let here = Sentinel::builder().slot(Duration::from_secs(1)).clock(Clock::manual(START)).build().unwrap();
        let recording = &AtomicBool::new(true);
        thread::scope(|scope| {
            let (there, here) = (&there, &here);
            let recorders: Vec<_> = (0..2).map(|t| scope.spawn(move || record_all(there, t))).collect();
            scope.spawn(move || {
                for slot in (0..590).take_while(|_| recording.load(Ordering::Relaxed)) {
                    metronome.tick(START + 1_000 * slot);
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let reader = scope.spawn(move || {
                let mut seen = 0;
                while recording.load(Ordering::Relaxed) {
                    let accepted = there.stats().accepted;
                    let blocks = there.blocks();
                    let exported: u64 = blocks.iter().map(Block::requests).sum();
                    assert!(exported >= accepted, "{accepted} were accepted, {exported} are exported");
                    here.tick(there.now_ms());
                    blocks.into_iter().for_each(|block| here.merge(block).unwrap());
                    let now = here.report(Query::default()).totals.requests;
                    assert!(now >= seen, "from {seen} back to {now}");
                    seen = now;
                }
            });
            let recorded: Vec<_> = recorders.into_iter().map(thread::ScopedJoinHandle::join).collect();
            recording.store(false, Ordering::Relaxed);
            assert!(recorded.iter().all(Result::is_ok));
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        here.tick(there.now_ms());
        there.blocks().into_iter().for_each(|block| here.merge(block).unwrap());
        assert_eq!(here.report(Query::default()).totals.requests, 2 * EVENTS as u64);
    });
}

/// Records when its thread ends.
struct Last {
    sentinel: Sentinel,
    tenant: &'static str,
}

impl Drop for Last {
    fn drop(&mut self) {
        let (tenant, latency) = (self.tenant.as_bytes(), Latency::from_millis(FAST_MS));
        self.sentinel.record(Event { tenant, endpoint: "/last", status: 500, latency, at: None });
        drop(self.sentinel.start());
        assert!(self.sentinel.report(Query::default()).totals.errors > 0);
    }
}

thread_local! {
    static LAST: RefCell<Vec<Last>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn a_thread_may_record_while_it_is_torn_down() {
    has_an_end(|| {
        let sentinel = sentinel();
        for round in 0..50 {
            // Some have recorded before, for some it is the first time.
            for tenant in ["fresh", "known"] {
                let sentinel = sentinel.clone();
                let ended = thread::spawn(move || {
                    if tenant == "known" && round % 2 == 0 {
                        sentinel.record(Event::default());
                    }
                    LAST.with_borrow_mut(|last| last.push(Last { sentinel: sentinel.clone(), tenant }));
                    if tenant == "known" && round % 2 == 1 {
                        sentinel.record(Event::default());
                    }
                });
                ended.join().unwrap();
            }
        }
        let report = sentinel.report(Query::default());
        assert_eq!((report.totals.requests, report.totals.errors, report.totals.aborted), (250, 100, 100));
        assert!(
            ["fresh", "known"]
                .iter()
                .all(|id| sentinel.tenant(id.as_bytes(), None).is_some_and(|tenant| tenant.row.errors == 50))
        );
    });
}
