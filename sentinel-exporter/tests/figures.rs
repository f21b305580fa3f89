//! Time of publishing and collecting. `cargo test --release -p tenant-sentinel-exporter --test figures -- --ignored`

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[allow(dead_code)] // each binary uses its part
mod common;

use common::{SLOT_MS, START, publish, store, tell};
use sentinel_core::{Block, Clock, Event, Latency, Sentinel};
use sentinel_exporter::rollup::{Directory, RollupStore};
use std::path::Path;
use std::time::{Duration, Instant};

const SOURCES: usize = 16;
const SLOTS: i64 = 61;
const TENANTS: usize = 512;
const ROUNDS: usize = 200;

/// Ten minutes of a process with 512 tenants, eight endpoints and ten requests of each tenant a slot.
fn blocks() -> Vec<Block> {
    let sentinel = Sentinel::builder().stripes(1).clock(Clock::manual(START)).build().unwrap();
    for slot in 0..SLOTS {
        for i in 0..10 * TENANTS {
            let tenant = format!("5f0c2a9e-7c1b-4d64-9f57-{:012}", i % TENANTS);
            let endpoint = format!("/v1/resource-{}", i % 8);
            let latency = Latency::from_millis(1.0 + (i * 7919 % 1_000) as f64);
            let status = if i % 50 == 0 { 500 } else { 200 };
            sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: &endpoint, status, latency, at: None });
        }
        if slot < SLOTS - 1 {
            sentinel.tick(START + (slot + 1) * SLOT_MS);
        }
    }
    let blocks = sentinel.blocks();
    assert_eq!(blocks.len(), SLOTS as usize);
    blocks
}

fn timed(rounds: usize, mut work: impl FnMut(usize)) -> Vec<Duration> {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|round| {
            let begun = Instant::now();
            work(round);
            begun.elapsed()
        })
        .collect();
    times.sort();
    times
}

fn shown(what: &str, times: &[Duration]) {
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    tell(&format!("{what:50} p50 {:>10.3?}  p99 {:>10.3?}  max {:>10.3?}", at(0.5), at(0.99), at(1.0)));
}

#[test]
#[ignore = "figures, not a test"]
fn figures() {
    let memory = Path::new("/dev/shm");
    let guard = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let dir = guard.path().join("sentinel");
    let mut writers: Vec<(Directory, Vec<Block>)> = (0..SOURCES).map(|_| (store(&dir), blocks())).collect();
    for (writer, blocks) in &mut writers {
        let _ = publish(writer, blocks, b"live").unwrap();
    }
    let last = &writers[0].1[SLOTS as usize - 2..];
    let sizes: Vec<usize> = last.iter().map(|block| block.encode().len()).collect();
    tell(&format!("in {}; two blocks of {TENANTS} tenants: {sizes:?} bytes", guard.path().display()));

    let encoded: Vec<Vec<u8>> = last.iter().map(Block::encode).collect();
    let source = last[0].source();
    let slots: Vec<_> = last
        .iter()
        .zip(&encoded)
        .map(|(block, bytes)| sentinel_exporter::rollup::Slot { from_ms: block.from_ms(), to_ms: block.to_ms(), bytes })
        .collect();
    let publication =
        sentinel_exporter::rollup::Publication { source, slots: &slots, live: &[0; 4_096], oldest_ms: START };
    let writer = &mut writers[0].0;
    shown(
        "publish two blocks",
        &timed(ROUNDS, |_| {
            let _ = writer.publish(&publication).unwrap();
        }),
    );

    let collect = |reader: &mut Directory| {
        let (mut found, mut bytes_found) = (0, 0);
        reader
            .collect(START, &mut |one| {
                if let sentinel_exporter::rollup::Found::Slot { bytes, .. } = one {
                    found += 1;
                    bytes_found += bytes.len();
                }
            })
            .unwrap();
        (found, bytes_found)
    };
    let files = SOURCES * SLOTS as usize;
    let (mut found, mut bytes_found) = (0, 0);
    let cold = timed(5, |_| (found, bytes_found) = collect(&mut store(&dir)));
    shown(&format!("collect {found} of {files} slots, {} MiB, all new", bytes_found >> 20), &cold);
    let mut reader = store(&dir);
    collect(&mut reader);
    std::thread::sleep(Duration::from_millis(150)); // Until stamps are believed.
    collect(&mut reader);
    shown(&format!("collect 0 of {files}"), &timed(ROUNDS, |_| assert_eq!(collect(&mut reader).0, 0)));
    let mut times = Vec::new();
    for round in 0..30 {
        for (writer, blocks) in &mut writers {
            // Another block of the same slot, so that it has changed: with one tenant less, or more.
            let (from, source) = (blocks[SLOTS as usize - 1].from_ms(), blocks[0].source());
            let changed = recounted(source, from, round);
            let slots = [sentinel_exporter::rollup::Slot { from_ms: from, to_ms: from + SLOT_MS, bytes: &changed }];
            let _ = writer
                .publish(&sentinel_exporter::rollup::Publication { source, slots: &slots, live: b"", oldest_ms: START })
                .unwrap();
        }
        std::thread::sleep(Duration::from_millis(150));
        let begun = Instant::now();
        assert_eq!(collect(&mut reader).0, SOURCES);
        times.push(begun.elapsed());
    }
    times.sort();
    shown(&format!("collect {SOURCES} of {files} slots"), &times);
}

/// The bytes of a block of 512 tenants, as if this source had counted it.
fn recounted(source: u64, from_ms: i64, round: usize) -> Vec<u8> {
    let sentinel = Sentinel::builder().stripes(1).clock(Clock::manual(from_ms)).build().unwrap();
    for i in 0..4 * TENANTS + round {
        let tenant = format!("5f0c2a9e-7c1b-4d64-9f57-{:012}", i % TENANTS);
        let latency = Latency::from_millis(1.0 + (i * 7919 % 1_000) as f64);
        sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/v1", status: 200, latency, at: None });
    }
    let mut bytes = sentinel.blocks()[0].encode();
    bytes[5..13].copy_from_slice(&source.to_le_bytes());
    let end = bytes.len() - 4;
    let checksum = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}
