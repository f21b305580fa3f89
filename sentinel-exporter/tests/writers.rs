//! Eight writers and two readers that are killed at random: whatever was acknowledged is read, whole, once, and never less than before.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[allow(dead_code)] // each binary uses its part
mod common;

use common::{Process, SLOT_MS, START, View, private, publish, role, say, store, tell};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sentinel_core::{Block, Clock, Event, Sentinel};
use sentinel_exporter::rollup::{Found, RollupStore, Skipped};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

const WRITERS: usize = 8;
const READERS: usize = 2;
const RUN: Duration = Duration::from_secs(8);
/// On a machine that is busy it goes on until so many were killed, and not for ever.
const KILLS: usize = 50;
const LONGEST: Duration = Duration::from_mins(2);
/// Slots that a writer goes through before it stays in the last one; all are in one window.
const SLOTS: i64 = 50;

#[test]
#[ignore = "a part of the others, in a process of its own"]
fn child() {
    match role() {
        Some((role, dir)) if role == "writer" => write(&dir),
        Some((_, dir)) => read(&dir),
        None => {}
    }
}

/// Records and publishes; says what it is about to publish, and what it has.
fn write(dir: &Path) {
    let sentinel = Sentinel::builder().stripes(1).places(64).clock(Clock::manual(START)).build().unwrap();
    let mut store = store(dir);
    let mut random = StdRng::seed_from_u64(sentinel.source());
    let mut now = START;
    for round in 0.. {
        for _ in 0..random.random_range(1..20) {
            let tenant = format!("tenant-{}", random.random_range(0..200));
            // Some come late, for the slot before.
            let at = (random.random_bool(0.2) && now > START + SLOT_MS).then_some(now - SLOT_MS);
            sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/v1", status: 500, at, ..Event::default() });
        }
        let mut blocks = sentinel.blocks();
        blocks.retain(|block| block.to_ms() > now - SLOT_MS);
        let words = |verb: &str, block: &Block| {
            say(&format!("{verb} {} {} {}", block.source(), block.from_ms(), block.requests()));
        };
        blocks.iter().for_each(|block| words("tries", block));
        let _ = publish(&mut store, &blocks, format!("round {round}").as_bytes()).unwrap();
        blocks.iter().for_each(|block| words("has", block));
        if round % 5 == 4 && now < START + (SLOTS - 1) * SLOT_MS {
            now += SLOT_MS;
            sentinel.tick(now);
        }
    }
}

/// Reads all the time; ends when something is not right.
fn read(dir: &Path) {
    let mut store = store(dir);
    let mut view = View::default();
    loop {
        view.collect(&mut store, START).unwrap();
        let skipped = store.collect(START, &mut |_| ()).unwrap().skipped;
        assert_eq!(skipped, Skipped::default());
    }
}

/// Requests that writers report for each source and slot: those published, and those they tried to publish.
#[derive(Default)]
struct Said(BTreeMap<(u64, i64), (u64, u64)>);

impl Said {
    fn hear(&mut self, words: &str) {
        let mut words = words.split(' ');
        let verb = words.next().unwrap();
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        let key = (number(), number() as i64);
        let entry = self.0.entry(key).or_default();
        if verb == "tries" { entry.1 = number() } else { entry.0 = number() }
    }
}

#[test]
fn kills_lose_nothing_and_double_nothing() {
    let (_guard, dir) = private();
    let mut random = StdRng::seed_from_u64(7);
    let mut writers: Vec<Process> = (0..WRITERS).map(|_| Process::start("writer", &dir)).collect();
    let mut readers: Vec<Process> = (0..READERS).map(|_| Process::start("reader", &dir)).collect();
    let (mut said, mut store, mut view) = (Said::default(), store(&dir), View::default());
    let (mut kills, mut looks) = (0, 0);
    let begun = Instant::now();
    while begun.elapsed() < RUN || kills < KILLS && begun.elapsed() < LONGEST {
        std::thread::sleep(Duration::from_millis(random.random_range(1..60)));
        writers.iter().flat_map(Process::heard_so_far).for_each(|words| said.hear(&words));
        // One that has read before, and now and then one that begins.
        view.collect(&mut store, START).unwrap();
        looks += 1;
        let anew = (looks % 10 == 0).then(|| View::of(&mut common::store(&dir)));
        for view in anew.iter().chain([&view]) {
            for (key, (published, _)) in &said.0 {
                let seen = view.slots.get(key).copied().unwrap_or(0);
                assert!(seen >= *published, "{key:?}: {seen} of {published} that were acknowledged");
            }
        }
        let victim = random.random_range(0..WRITERS);
        let mut killed = std::mem::replace(&mut writers[victim], Process::start("writer", &dir));
        killed.kill();
        killed.heard().for_each(|words| said.hear(&words));
        kills += 1;
        let reader = &mut readers[kills % READERS];
        if kills % 5 == 0 {
            reader.kill();
            *reader = Process::start("reader", &dir);
        }
        assert!(readers.iter_mut().all(Process::is_running), "a reader found something wrong");
    }
    for mut writer in writers {
        writer.kill();
        writer.heard().for_each(|words| said.hear(&words));
    }
    let last = View::of(&mut common::store(&dir));
    view.collect(&mut store, START).unwrap();
    assert_eq!((&view.slots, view.sources), (&last.slots, 0));
    assert_eq!(store.collect(START, &mut |_| ()).unwrap().skipped, Skipped::default());
    for (key, (published, tried)) in &said.0 {
        let seen = last.slots.get(key).copied().unwrap_or(0);
        assert!(seen == *published || seen == *tried, "{key:?}: {seen}, not {published} or {tried}");
    }
    assert!(last.slots.keys().all(|key| said.0.contains_key(key)));
    // What any process would answer is the sum.
    let clock = Clock::manual(START + SLOTS * SLOT_MS - 1);
    let answering = Sentinel::builder().clock(clock).build().unwrap();
    common::store(&dir)
        .collect(START, &mut |found| {
            if let Found::Slot { bytes, .. } = found {
                answering.merge(Block::decode(bytes).unwrap()).unwrap();
            }
        })
        .unwrap();
    assert_eq!(answering.report(sentinel_core::Query::default()).totals.requests, last.requests());
    assert!(kills >= KILLS / 2 && last.requests() > 1_000, "{kills} kills, {} requests", last.requests());
    tell(&format!("{kills} kills, {looks} looks, {} slots, {} requests", said.0.len(), last.requests()));
}
