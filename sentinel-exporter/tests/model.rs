//! Any order of recording, publishing, restarting, losing files and looking, against a map of what was acknowledged.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[allow(dead_code)] // each binary uses its part
mod common;

use common::{SLOT_MS, START, View, private, store};
use proptest::prelude::*;
use sentinel_core::{Block, Clock, Event, Sentinel};
use sentinel_exporter::rollup::{Directory, Publication, RollupStore, Slot};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const WRITERS: usize = 3;
/// Slots of the window that is looked at.
const WINDOW: i64 = 4;

#[derive(Debug, Clone)]
enum Step {
    Record(usize, u8),
    Publish(usize),
    /// A worker is recycled.
    Restart(usize),
    /// A slot passes.
    Tick,
    /// A writer looks, as every process does.
    Look(usize),
    /// Somebody removes everything.
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let writer = 0..WRITERS;
    prop_oneof![
        6 => (writer.clone(), 1_u8..5).prop_map(|(writer, requests)| Step::Record(writer, requests)),
        6 => writer.clone().prop_map(Step::Publish),
        1 => writer.clone().prop_map(Step::Restart),
        2 => Just(Step::Tick),
        4 => writer.prop_map(Step::Look),
        1 => Just(Step::Lose),
    ]
}

/// A process, as far as the store can tell.
struct Writer {
    sentinel: Sentinel,
    store: Directory,
    view: View,
    /// The view that it must have.
    expected: BTreeMap<(u64, i64), u64>,
    /// The next publication carries the whole window.
    all: bool,
}

impl Writer {
    fn new(dir: &Path, now: i64) -> Self {
        let sentinel = Sentinel::builder().stripes(1).places(8).clock(Clock::manual(now)).build().unwrap();
        Self { sentinel, store: store(dir), view: View::default(), expected: BTreeMap::new(), all: true }
    }
}

struct World {
    _guard: tempfile::TempDir,
    dir: PathBuf,
    now: i64,
    writers: Vec<Writer>,
    /// Blocks that were acknowledged and not removed.
    there: BTreeMap<(u64, i64), u64>,
}

impl World {
    fn new() -> Self {
        let (guard, dir) = private();
        let writers = (0..WRITERS).map(|_| Writer::new(&dir, START)).collect();
        Self { _guard: guard, dir, now: START, writers, there: BTreeMap::new() }
    }

    fn oldest_ms(&self) -> i64 {
        self.now - self.now.rem_euclid(SLOT_MS) - (WINDOW - 1) * SLOT_MS
    }

    /// Blocks that a reader must find in the window.
    fn others(&self, own: Option<u64>) -> BTreeMap<(u64, i64), u64> {
        let oldest_ms = self.oldest_ms();
        let found = |(source, from_ms): (u64, i64)| Some(source) != own && from_ms + SLOT_MS > oldest_ms;
        self.there.iter().filter(|(key, _)| found(**key)).map(|(key, requests)| (*key, *requests)).collect()
    }

    fn publish(&mut self, writer: usize) {
        let (now, oldest_ms) = (self.now, self.oldest_ms());
        let writer = &mut self.writers[writer];
        let source = writer.sentinel.source();
        let mut blocks: Vec<Block> = writer.sentinel.blocks();
        blocks.retain(|block| block.to_ms() > oldest_ms && (writer.all || block.to_ms() > now - SLOT_MS));
        let bytes: Vec<Vec<u8>> = blocks.iter().map(Block::encode).collect();
        let slots: Vec<Slot<'_>> = blocks
            .iter()
            .zip(&bytes)
            .map(|(block, bytes)| Slot { from_ms: block.from_ms(), to_ms: block.to_ms(), bytes })
            .collect();
        let published = writer.store.publish(&Publication { source, slots: &slots, live: b"", oldest_ms }).unwrap();
        self.there.extend(blocks.iter().map(|block| ((source, block.from_ms()), block.requests())));
        let known: Vec<Block> = writer.sentinel.blocks();
        let complete = known
            .iter()
            .filter(|block| block.to_ms() > oldest_ms)
            .all(|block| self.there.get(&(source, block.from_ms())) == Some(&block.requests()));
        assert_eq!(published.complete, complete, "what it says of itself");
        writer.all = !published.complete;
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Record(writer, requests) => {
                for _ in 0..requests {
                    self.writers[writer].sentinel.record(Event { tenant: b"acme", endpoint: "/", ..Event::default() });
                }
            }
            Step::Publish(writer) => self.publish(writer),
            Step::Restart(writer) => {
                self.publish(writer); // As at its end.
                self.writers[writer] = Writer::new(&self.dir, self.now);
            }
            Step::Tick => {
                // What the slot that ends has is published, as the beat does.
                (0..WRITERS).for_each(|writer| self.publish(writer));
                self.now += SLOT_MS;
                self.writers.iter().for_each(|writer| writer.sentinel.tick(self.now));
            }
            Step::Look(writer) => {
                let own = self.writers[writer].sentinel.source();
                let (found, oldest_ms) = (self.others(Some(own)), self.oldest_ms());
                let writer = &mut self.writers[writer];
                writer.expected.extend(found);
                writer.view.collect(&mut writer.store, oldest_ms).unwrap();
                assert_eq!(writer.view.slots, writer.expected);
            }
            Step::Lose => {
                let _ = std::fs::remove_dir_all(&self.dir);
                self.there.clear();
            }
        }
        // Whoever comes new sees all that is there, and clean-up takes none of it.
        let mut view = View::default();
        view.collect(&mut store(&self.dir), self.oldest_ms()).unwrap();
        assert_eq!(view.slots, self.others(None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn everybody_sees_what_was_acknowledged(steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
    }
}
