//! Long schedules that nobody planned: eight threads record through hundreds of slots while others look, tick, merge and read
//! the ledger. Each thread keeps its own sums; what is reported at the end is those, exactly.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use common::{FAST_MS, SLOW_AFTER, SLOW_MS, START, Truth, counts, sent};
use sentinel_core::{Block, Builder, By, Clock, Event, Latency, MergeError, Mode, Query, Report, Sentinel, Stats};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: u64 = 8;
/// Each thread has these to itself, and shares as many with all others.
const TENANTS: u64 = 20;
/// Seconds of virtual time, which are slots: all of them stay in the window, or leave it long before the end.
const SLOTS: i64 = 590;
const WINDOW: i64 = 600;
/// Requests of another process's block, one more in each block.
const SNAPSHOTS: u64 = 40;
/// Most that a test takes, on a machine that does something else.
const PATIENCE: Duration = Duration::from_mins(1);

/// Pseudo-random numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A sentinel that nobody ticks but by asking, and one that moves the clock of both: a record finds that time has gone on.
struct World {
    sentinel: Sentinel,
    metronome: Sentinel,
    clock: Clock,
    recording: AtomicBool,
    /// Records that have returned.
    recorded: AtomicU64,
    looks: AtomicU64,
}

/// A slot lasts some milliseconds here: memory for all those that end while a thread that seals them has to wait for a core.
fn builder(window_s: i64, clock: &Clock) -> Builder {
    let window = Duration::from_secs(window_s as u64);
    Sentinel::builder()
        .budget(512 << 20)
        .window(window)
        .slot(Duration::from_secs(1))
        .slow_after(SLOW_AFTER)
        .clock(clock.clone())
}

impl World {
    fn new(stripes: usize, window_s: i64) -> Self {
        let clock = Clock::manual(START);
        Self {
            sentinel: builder(window_s, &clock).stripes(stripes).build().unwrap(),
            metronome: builder(window_s, &clock).stripes(1).build().unwrap(),
            clock,
            recording: AtomicBool::new(true),
            recorded: AtomicU64::new(0),
            looks: AtomicU64::new(0),
        }
    }

    fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Relaxed)
    }

    /// The work of a thread until time is over, and its counts. Some requests end late, in slots that have closed.
    fn record(&self, t: u64) -> Truth {
        let (mut truth, mut dice) = (Truth::new(), Dice(t));
        let own = self.sentinel.bind(format!("own-{t}").as_bytes(), "/bound");
        while self.is_recording() {
            let (tenant, error, slow) = (dice.roll(2 * TENANTS), dice.roll(7) == 0, dice.roll(11) == 0);
            let status = if error { 500 } else { 200 };
            let latency = Latency::from_millis(if slow { SLOW_MS } else { FAST_MS });
            let at = (dice.roll(50) == 0).then(|| self.clock.now_ms() - dice.roll(4_000) as i64);
            let tenant = match tenant {
                0 => format!("own-{t}"),
                tenant if tenant < TENANTS => format!("own-{t}-{tenant}"),
                tenant => format!("shared-{tenant}"),
            };
            if tenant == format!("own-{t}") {
                own.record(status, latency, at);
            } else {
                let endpoint = ["/a", "/b", "/c"][dice.roll(3) as usize];
                self.sentinel.record(Event { tenant: tenant.as_bytes(), endpoint, status, latency, at });
            }
            self.recorded.fetch_add(1, Ordering::Release);
            let sums = truth.entry(tenant).or_default();
            sums.iter_mut().zip([true, error, slow]).for_each(|(sum, weight)| *sum += u64::from(weight));
            if dice.roll(256) == 0 {
                // Some are always behind the others.
                thread::sleep(Duration::from_micros(100 * t));
            }
        }
        truth
    }

    /// A look at everything. `kept` says that nothing expires: then all that was recorded before is in sight.
    fn look(&self, i: u64, kept: bool, foreign: u64) {
        let before = self.recorded.load(Ordering::Acquire);
        let report = self.sentinel.report(Query {
            by: By::ALL[i as usize % By::ALL.len()],
            limit: usize::MAX,
            ..Query::default()
        });
        balances(&report.stats);
        adds_up(&report);
        assert!(report.stats.accepted >= before, "{before} were recorded: {:?}", report.stats);
        if kept {
            let seen = report.totals.requests;
            assert!(seen >= before + foreign, "{before} were recorded, {foreign} merged, {seen} are seen");
            assert!(report.stats.in_window + SNAPSHOTS >= seen && report.stats.expired == 0, "{:?}", report.stats);
        }
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// Eight threads record until the metronome has gone through all slots; the others do what `beside` says, over and over.
    /// Gives what was recorded.
    fn run(&self, slots: i64, slot_lasts: Duration, beside: &[&(dyn Fn(u64) + Sync)]) -> Truth {
        let began = Instant::now();
        thread::scope(|scope| {
            let recorders: Vec<_> = (0..THREADS).map(|t| scope.spawn(move || self.record(t))).collect();
            for act in beside {
                scope.spawn(move || {
                    let stop = StopOnPanic(&self.recording);
                    for i in 0.. {
                        if !self.is_recording() {
                            break;
                        }
                        act(i);
                    }
                    drop(stop);
                });
            }
            for slot in 1..=slots {
                thread::sleep(slot_lasts);
                self.metronome.tick(START + 1_000 * slot);
                if !self.is_recording() || began.elapsed() > PATIENCE {
                    break;
                }
            }
            self.recording.store(false, Ordering::Relaxed);
            let mut all = Truth::new();
            for recorder in recorders {
                for (tenant, sums) in recorder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                    all.entry(tenant).or_default().iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
                }
            }
            all
        })
    }
}

/// Ends the test when a thread that looks has panicked.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(false, Ordering::Relaxed);
        }
    }
}

fn balances(stats: &Stats) {
    assert_eq!(stats.offered, stats.accepted + stats.dropped.status + stats.dropped.late, "{stats:?}");
    assert_eq!(stats.accepted, stats.in_window + stats.expired, "{stats:?}");
}

fn adds_up(report: &Report) {
    assert_eq!((report.mode, report.tail.requests), (Mode::Exact, 0));
    let rows = report.tenants.iter().map(counts).fold([0; 2], |sum, row| [sum[0] + row[0], sum[1] + row[1]]);
    assert_eq!(rows, [report.totals.requests, report.totals.errors]);
}

fn sum(truth: &Truth) -> u64 {
    truth.values().map(|counts| counts[0]).sum()
}

fn found(sentinel: &Sentinel) -> Truth {
    let report = sentinel.report(Query { limit: usize::MAX, ..Query::default() });
    adds_up(&report);
    report.tenants.iter().map(|row| (row.tenant_id.clone(), counts(row))).collect()
}

#[test]
fn every_thread_finds_its_sums_again() {
    for stripes in [1, 4] {
        let world = World::new(stripes, WINDOW);
        // Another process's requests, all at the beginning, and a snapshot of them for each size.
        let other = builder(WINDOW, &Clock::manual(START)).build().unwrap();
        let snapshots: Vec<Block> = (0..SNAPSHOTS)
            .map(|_| {
                other.record(Event { tenant: b"foreign", status: 500, ..Event::default() });
                sent(&other.blocks()[0])
            })
            .collect();
        let merged = AtomicU64::new(0);
        let truth = world.run(
            SLOTS,
            Duration::from_millis(5),
            &[
                &|i| {
                    let merged = merged.load(Ordering::Acquire);
                    world.look(i, true, merged);
                },
                // As often as one likes, newer and older ones.
                &|i| {
                    world.sentinel.merge(snapshots[(i * 7 % SNAPSHOTS) as usize].clone()).unwrap();
                    merged.fetch_max(i * 7 % SNAPSHOTS + 1, Ordering::Release);
                    thread::sleep(Duration::from_micros(300));
                },
                &|i| {
                    balances(&world.sentinel.stats());
                    if i % 16 == 0 {
                        // A tick that knows no new time: it seals and judges all the same.
                        world.sentinel.tick(START);
                        let memory = world.sentinel.memory();
                        assert!(memory.used <= memory.budget, "{memory:?}");
                    }
                    thread::yield_now();
                },
                &|_| {
                    let before = world.recorded.load(Ordering::Acquire);
                    let exported: u64 = world.sentinel.blocks().iter().map(Block::requests).sum();
                    assert!(exported >= before, "{before} were recorded, {exported} are exported");
                    thread::sleep(Duration::from_millis(3));
                },
            ],
        );
        let offered = sum(&truth);
        let stats = world.sentinel.stats();
        balances(&stats);
        assert_eq!(
            (stats.offered, stats.accepted, stats.in_window, stats.foreign_blocks),
            (offered, offered, offered, 1)
        );
        let mut expected = truth;
        let merged = merged.into_inner();
        expected.insert("foreign".into(), [merged, merged, 0]);
        assert_eq!(found(&world.sentinel), expected);
        let (looks, blocks) = (world.looks.into_inner(), world.sentinel.blocks().len());
        // Under a sanitizer one look may take all the time there is.
        assert!(looks > 0 && blocks > 100, "{looks} looks, {blocks} slots");
    }
}

#[test]
fn nobody_looks_until_the_end() {
    // Requests seal what they have filled; only the ledger is read. Then one look finds everything.
    let world = World::new(2, WINDOW);
    let truth = world.run(
        SLOTS,
        Duration::from_millis(4),
        &[&|_| {
            balances(&world.sentinel.stats());
            thread::sleep(Duration::from_micros(500));
        }],
    );
    assert_eq!(found(&world.sentinel), truth);
    let stats = world.sentinel.stats();
    balances(&stats);
    assert_eq!((stats.in_window, stats.expired), (sum(&truth), 0));
}

#[test]
fn what_leaves_the_window_is_in_the_ledger() {
    // A window of 30 slots, gone through twenty times: what is not in it any more has expired, to the request.
    let world = World::new(2, 30);
    let stale = builder(30, &Clock::manual(START)).build().unwrap();
    stale.record(Event::default());
    let block = stale.blocks().remove(0);
    let truth = world.run(
        SLOTS,
        Duration::from_millis(4),
        &[&|i| world.look(i, false, 0), &|_| {
            let before = world.clock.now_ms();
            match world.sentinel.merge(block.clone()) {
                Ok(()) => assert!(before <= START + 31_000, "at {before}"),
                Err(error) => {
                    assert!(matches!(error, MergeError::OutsideWindow { .. }), "{error}");
                    assert!(world.clock.now_ms() > START + 30_000);
                }
            }
            balances(&world.sentinel.stats());
            thread::sleep(Duration::from_micros(500));
        }],
    );
    let report = world.sentinel.report(Query { limit: usize::MAX, ..Query::default() });
    adds_up(&report);
    let stats = report.stats;
    balances(&stats);
    // A thread that was held up for the length of the window comes late.
    assert_eq!((stats.offered, stats.accepted + stats.dropped.late), (sum(&truth), sum(&truth)));
    assert_eq!((report.totals.requests, stats.foreign_blocks), (stats.in_window, 0));
    assert!(stats.expired > 0 && stats.in_window > 0, "{stats:?}");
    for row in &report.tenants {
        let (now, ever) = (counts(row), truth[&row.tenant_id]);
        assert!(now.iter().zip(ever).all(|(now, ever)| *now <= ever), "{}: {now:?} of {ever:?}", row.tenant_id);
    }
}

#[test]
fn a_few_late_requests_in_slot_after_slot_take_little_memory() {
    // Nobody ticks or asks for an hour. In each second a request ends on time, and one that ended in the second before.
    let clock = Clock::manual(START);
    let (sentinel, metronome) =
        (builder(30, &clock).stripes(1).budget(4 << 20).build().unwrap(), builder(30, &clock).build().unwrap());
    let mut most = 0;
    for slot in 1..=3_600 {
        let now = START + 1_000 * slot;
        metronome.tick(now);
        for at in [now, now - 1_000] {
            sentinel.record(Event { tenant: b"acme", at: Some(at), ..Event::default() });
        }
        most = most.max(sentinel.memory().used);
    }
    balances(&sentinel.stats());
    assert!(most <= 4 << 20, "{most} bytes");
    let report = sentinel.report(Query::default());
    adds_up(&report);
    assert_eq!(report.totals.requests, 2 * 30 + 1);
}
