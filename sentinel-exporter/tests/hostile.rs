//! Files that nobody should have put there: skipped, counted by reason, never waited for, and in nobody's way.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[allow(dead_code)] // each binary uses its part
mod common;

use common::{PATIENCE, SLOT_MS, START, View, block, is_root, place, private, publish, skip, store};
use proptest::prelude::*;
use sentinel_core::Block;
use sentinel_exporter::rollup::{Directory, Kind, Limits, Name, RollupStore, Skipped, frame};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

/// A service's directory with one good source in it, alive.
struct Scene {
    _guard: tempfile::TempDir,
    dir: PathBuf,
    good: Block,
    _writer: Directory,
}

impl Scene {
    fn new() -> Self {
        let (guard, dir) = private();
        let (good, mut writer) = (block(START, 5), store(&dir));
        assert!(publish(&mut writer, std::slice::from_ref(&good), b"two").unwrap().complete);
        Self { _guard: guard, dir, good, _writer: writer }
    }

    fn path(&self, name: &str) -> PathBuf {
        place(&self.dir).path().join(name)
    }

    /// The file of a block of a source that nobody knows.
    fn slot(&self, source: u64) -> PathBuf {
        self.path(&slot(source))
    }

    /// Looks twice, with a new store, and not for ever; only the good source is found, and the second look counts nothing new.
    fn skipped(&self) -> Skipped {
        let dir = self.dir.clone();
        let (send, receive) = channel();
        std::thread::spawn(move || {
            let mut store = store(&dir);
            let view = View::of(&mut store);
            let first = store.collect(START, &mut |_| ()).unwrap().skipped;
            let again = store.collect(START, &mut |_| ()).unwrap().skipped;
            assert_eq!(first, again, "each counts once");
            send.send((view, first)).unwrap();
        });
        let (view, skipped) = receive.recv_timeout(PATIENCE).expect("nothing is waited for");
        assert_eq!(view.slots, [((self.good.source(), START), 5)].into());
        assert_eq!(view.live, [(self.good.source(), b"two".to_vec())].into());
        skipped
    }
}

fn slot(source: u64) -> String {
    Name::Block { source, from_ms: START, to_ms: START + SLOT_MS }.to_string()
}

fn one(reason: impl FnOnce(&mut Skipped)) -> Skipped {
    let mut skipped = Skipped::default();
    reason(&mut skipped);
    skipped
}

#[test]
fn torn_truncated_newer_and_misnamed() {
    let scene = Scene::new();
    assert_eq!(scene.skipped(), Skipped::default());
    let other = block(START, 9);
    let (bytes, source) = (other.encode(), other.source());
    let path = scene.slot(source);
    let write = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        scene.skipped()
    };
    let mut torn = bytes.clone();
    torn[30] ^= 1;
    assert_eq!(write(&torn), one(|skipped| skipped.torn = 1));
    assert_eq!(write(&bytes[..bytes.len() - 1]), one(|skipped| skipped.torn = 1));
    assert_eq!(write(&vec![0; 4096]), one(|skipped| skipped.torn = 1));
    assert_eq!(write(b""), one(|skipped| skipped.truncated = 1));
    assert_eq!(write(&bytes[..7]), one(|skipped| skipped.torn = 1));
    assert_eq!(write(&bytes[..4]), one(|skipped| skipped.truncated = 1));
    let mut newer = bytes.clone();
    newer[4] += 1;
    assert_eq!(write(&newer), one(|skipped| skipped.version = 1));
    // A copy of somebody's file would count twice.
    assert_eq!(write(&scene.good.encode()), one(|skipped| skipped.mismatched = 1));
    assert_eq!(write(&frame(Kind::Live, b"two")), one(|skipped| skipped.torn = 1));
    // And what is right is found.
    fs::write(&path, &bytes).unwrap();
    assert_eq!(View::of(&mut store(&scene.dir)).requests(), 14);
}

#[test]
fn what_is_not_a_file_is_not_opened_or_followed() {
    let scene = Scene::new();
    let other = block(START, 9);
    let outside = scene.dir.with_file_name("outside");
    fs::write(&outside, other.encode()).unwrap();
    std::os::unix::fs::symlink(&outside, scene.slot(other.source())).unwrap();
    assert_eq!(scene.skipped(), one(|skipped| skipped.not_a_file = 1));
    std::os::unix::fs::symlink("/nowhere", scene.slot(2)).unwrap();
    fs::create_dir(scene.slot(3)).unwrap();
    fifo(&scene.slot(4));
    let _socket = std::os::unix::net::UnixListener::bind(scene.slot(5)).unwrap();
    assert_eq!(scene.skipped(), one(|skipped| skipped.not_a_file = 5));
    // Locks and what is in flight are no better.
    fifo(&scene.path(&Name::Lock { source: 4 }.to_string()));
    fifo(&scene.path(&Name::Live { source: 4 }.to_string()));
    fs::create_dir(scene.path(&Name::Lock { source: 6 }.to_string())).unwrap();
    std::os::unix::fs::symlink("/dev/zero", scene.path(&Name::Lock { source: 7 }.to_string())).unwrap();
    assert_eq!(scene.skipped(), one(|skipped| skipped.not_a_file = 5));
}

fn fifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn large_ones_are_not_read() {
    let scene = Scene::new();
    let limit = Limits::default().file_bytes;
    File::create(scene.slot(1)).unwrap().set_len(limit).unwrap();
    File::create(scene.slot(2)).unwrap().set_len(limit + 1).unwrap();
    File::create(scene.slot(3)).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(
        scene.skipped(),
        one(|skipped| {
            (skipped.torn, skipped.too_large) = (1, 2);
        })
    );
    let name = Name::Live { source: scene.good.source() };
    File::options().write(true).open(scene.path(&name.to_string())).unwrap().set_len(1 << 40).unwrap();
    let mut store = store(&scene.dir);
    assert_eq!(View::of(&mut store).live, [].into());
    assert_eq!(store.collect(START, &mut |_| ()).unwrap().skipped.too_large, 3);
}

#[test]
fn another_users_are_not_believed() {
    if !is_root() {
        return skip("files of another user: only root can give a file away");
    }
    let scene = Scene::new();
    let other = block(START, 9);
    fs::write(scene.slot(other.source()), other.encode()).unwrap();
    std::os::unix::fs::chown(scene.slot(other.source()), Some(65_534), None).unwrap();
    assert_eq!(scene.skipped(), one(|skipped| skipped.foreign_owner = 1));
}

#[test]
fn a_store_does_not_find_what_it_published() {
    let (_guard, dir) = private();
    let (mut one, mut other) = (store(&dir), store(&dir));
    let _ = publish(&mut one, &[block(START, 5)], b"one").unwrap();
    let _ = publish(&mut other, &[block(START, 7)], b"other").unwrap();
    let view = View::of(&mut one);
    assert_eq!((view.requests(), view.live.len(), view.sources), (7, 1, 2));
    one.close();
    one.forget();
    let view = View::of(&mut one);
    assert_eq!((view.requests(), view.live.len(), view.sources), (7, 1, 1));
}

#[test]
fn names_of_any_bytes() {
    let scene = Scene::new();
    let odd: [&[u8]; 8] = [
        b"\xff\xfe",
        b"new\nline",
        b"-rf",
        b".hidden",
        &[b'x'; 255],
        b"0000000000000001.1.2.rollup.bak",
        b"0000000000000001.2.1.rollup",
        b"\xf0\x9f\x92\xa3",
    ];
    for name in odd {
        fs::write(place(&scene.dir).path().join(OsStr::from_bytes(name)), b"?").unwrap();
    }
    assert_eq!(scene.skipped(), one(|skipped| skipped.not_ours = 8));
    for name in odd {
        assert!(place(&scene.dir).path().join(OsStr::from_bytes(name)).exists(), "they are not ours to remove");
    }
}

#[test]
fn what_is_remembered_is_checked_as_well() {
    let scene = Scene::new();
    let mut store = store(&scene.dir);
    assert_eq!(store.recall().unwrap(), None);
    store.remember(b"normal").unwrap();
    assert_eq!(store.recall().unwrap().as_deref(), Some(&b"normal"[..]));
    let path = scene.path("baseline");
    let mut bytes = fs::read(&path).unwrap();
    bytes[15] ^= 1;
    for bytes in [&bytes[..], &bytes[..3], &frame(Kind::Live, b"normal")] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(store.recall().unwrap(), None);
    }
    fs::remove_file(&path).unwrap();
    fs::write(scene.dir.with_file_name("outside"), frame(Kind::Baseline, b"planted")).unwrap();
    std::os::unix::fs::symlink(scene.dir.with_file_name("outside"), &path).unwrap();
    assert_eq!(store.recall().unwrap(), None);
    let skipped = store.collect(START, &mut |_| ()).unwrap().skipped;
    assert_eq!((skipped.torn, skipped.truncated, skipped.mismatched, skipped.not_a_file), (1, 1, 1, 1));
    store.remember(b"again").unwrap();
    assert_eq!(store.recall().unwrap().as_deref(), Some(&b"again"[..]));
    assert_eq!(fs::read(scene.dir.with_file_name("outside")).unwrap(), frame(Kind::Baseline, b"planted"));
}

#[test]
fn a_collection_has_its_bounds() {
    let (_guard, dir) = private();
    let blocks: Vec<Block> = (0..10).map(|i| block(START + i * SLOT_MS, 1 + i as usize)).collect();
    let size: u64 = blocks.iter().map(|block| block.encode().len() as u64).max().unwrap();
    let mut writers: Vec<Directory> = blocks
        .iter()
        .map(|block| {
            let mut store = store(&dir);
            let _ = publish(&mut store, std::slice::from_ref(block), b"").unwrap();
            store
        })
        .collect();
    let limited = |change: fn(&mut Limits, u64)| {
        let mut limits = Limits::default();
        change(&mut limits, size);
        Directory::with_limits(place(&dir), limits)
    };
    // Bytes: the most recent first, the rest later.
    let mut store = limited(|limits, size| limits.bytes = 10 * 18 + 3 * size);
    let mut view = View::default();
    let found = view.collect(&mut store, START).unwrap();
    assert!((1..10).contains(&found), "{found}");
    assert!(view.slots.keys().all(|(_, from_ms)| *from_ms >= START + (10 - found as i64) * SLOT_MS));
    assert!(store.collect(START, &mut |_| ()).unwrap().skipped.too_many > 0);
    let mut store = limited(|limits, size| limits.bytes = 10 * 18 + 3 * size);
    let mut view = View::default();
    for _ in 0..10 {
        view.collect(&mut store, START).unwrap();
        std::thread::sleep(Duration::from_millis(20)); // Until stamps are believed.
    }
    assert_eq!(view.requests(), 55);
    // Files: the most recent ones.
    let mut store = limited(|limits, _| limits.files = 4);
    let view = View::of(&mut store);
    assert_eq!(view.requests(), 10 + 9 + 8 + 7);
    // Locks: it goes round.
    let mut store = limited(|limits, _| limits.locks = 4);
    let mut sources = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let view = View::of(&mut store);
        assert!(view.sources <= 4);
        sources.extend(view.live.into_keys());
    }
    assert_eq!(sources.len(), 10);
    // Names.
    let mut store = limited(|limits, _| limits.names = 5);
    assert!(store.collect(START, &mut |_| ()).unwrap().skipped.too_many > 0);
    // And what is written.
    let mut limits = Limits::default();
    limits.file_bytes = 10;
    let mut store = Directory::with_limits(place(&dir), limits);
    let error = publish(&mut store, &blocks[..1], b"").unwrap_err();
    assert!(error.to_string().ends_with("are not allowed; allowed: at most 10"), "{error}");
    writers.clear();
}

#[test]
fn only_what_changed_is_read() {
    let (_guard, dir) = private();
    let (mut writer, mut reader) = (store(&dir), store(&dir));
    let blocks: Vec<Block> = (0..3).map(|i| block(START + i * SLOT_MS, 1)).collect();
    let source = blocks[0].source();
    for block in &blocks {
        // Each of a source of its own, all published by their writers.
        let _ = publish(&mut store(&dir), std::slice::from_ref(block), b"").unwrap();
    }
    let mut view = View::default();
    assert_eq!(view.collect(&mut reader, START).unwrap(), 3);
    assert_eq!(view.collect(&mut reader, START).unwrap(), 0);
    let _ = publish(&mut writer, &blocks[..1], b"").unwrap();
    assert_eq!(view.collect(&mut reader, START).unwrap(), 0, "the same again is no change");
    reader.forget();
    assert_eq!(view.collect(&mut reader, START).unwrap(), 3);
    // A quick change of the same size, which looks as what it replaces.
    let path = place(&dir).path().join(slot(source));
    let old = SystemTime::now() - Duration::from_mins(1);
    File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    assert_eq!(view.collect(&mut reader, START).unwrap(), 0);
    // Those that have left the window are not shown.
    assert_eq!(View::default().collect(&mut store(&dir), START + SLOT_MS).unwrap(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever lies in a file with a good name.
    #[test]
    fn any_bytes_in_any_file(bytes: Vec<u8>, which in 0..4_u8, keep in 0..200_usize, flip: usize) {
        let scene = Scene::new();
        let mut good = scene.good.encode();
        good.truncate(keep.max(5));
        let at = flip % good.len();
        good[at] ^= 1 << (flip % 8);
        let name = match which {
            0 => slot(1),
            1 => Name::Live { source: 1 }.to_string(),
            2 => Name::Lock { source: 1 }.to_string(),
            _ => "baseline".into(),
        };
        for bytes in [bytes, good] {
            fs::write(scene.path(&name), bytes).unwrap();
            let skipped = scene.skipped();
            prop_assert_eq!(skipped.total(), u64::from(which == 0));
            prop_assert_eq!(store(&scene.dir).recall().unwrap(), None);
        }
    }
}
