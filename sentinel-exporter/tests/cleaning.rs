//! Files that leave the directory, and files that stay: by slot, and by whether its source lives.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[allow(dead_code)] // each binary uses its part
mod common;

use common::{Process, SLOT_MS, START, View, block, names, place, private, publish, publish_as, role, say, store};
use sentinel_exporter::rollup::{Directory, Limits, Name, Publication, RollupStore, Slot};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

#[test]
#[ignore = "a part of the others, in a process of its own"]
fn child() {
    let Some((_, dir)) = role() else { return };
    let mut store = store(&dir);
    let blocks: Vec<_> = (0..3).map(|i| block(START + i * SLOT_MS, 1)).collect();
    for block in &blocks {
        // Three sources in one process; each publication ends the life of the one before.
        let _ = publish_as(&mut store, block.source(), std::slice::from_ref(block), b"x").unwrap();
    }
    say("published");
    std::thread::sleep(common::PATIENCE);
}

/// Names that end so.
fn count(dir: &Path, end: &str) -> usize {
    names(dir).iter().filter(|name| name.ends_with(end)).count()
}

#[test]
fn the_dead_leave_by_slot_and_nobody_steps_back() {
    let (_guard, dir) = private();
    let mut process = Process::start("writer", &dir);
    assert_eq!(process.hear(), "published");
    process.kill();
    let mut reader = store(&dir);
    let mut view = View::default();
    view.collect(&mut reader, START).unwrap();
    assert_eq!((view.requests(), view.sources, view.live.len()), (3, 0, 0));
    assert_eq!((count(&dir, ".rollup"), count(&dir, ".lock"), count(&dir, ".live")), (3, 3, 0));
    // The first slot [0, 10) has left a window that begins at 10, and its file one that begins at 30.
    for (slots, left) in [(1, 3), (2, 3), (3, 2), (4, 1), (5, 0)] {
        reader.collect(START + slots * SLOT_MS, &mut |_| ()).unwrap();
        assert_eq!((count(&dir, ".rollup"), count(&dir, ".lock")), (left, left), "after {slots} slots");
    }
    assert_eq!(names(&dir), Vec::<String>::new());
}

#[test]
fn the_living_keep_theirs_whatever_others_think_of_the_time() {
    let (_guard, dir) = private();
    let mut writer = store(&dir);
    let old = block(START, 5);
    let _ = publish(&mut writer, std::slice::from_ref(&old), b"").unwrap();
    store(&dir).collect(START + 1_000 * SLOT_MS, &mut |_| ()).unwrap();
    assert_eq!(View::of(&mut store(&dir)).requests(), 5);
    // Its owner removes it, when it publishes.
    let oldest_ms = START + 3 * SLOT_MS;
    let early = Publication { source: old.source(), slots: &[], live: b"", oldest_ms: oldest_ms - 1 };
    let _ = writer.publish(&early).unwrap();
    assert_eq!(count(&dir, ".rollup"), 1);
    let _ = writer.publish(&Publication { oldest_ms, ..early }).unwrap();
    assert_eq!((count(&dir, ".rollup"), count(&dir, ".lock")), (0, 1));
    writer.close();
    assert_eq!(names(&dir), Vec::<String>::new());
}

#[test]
fn who_closes_leaves_what_was_counted() {
    let (_guard, dir) = private();
    let mut writer = store(&dir);
    let _ = publish(&mut writer, &[block(START, 5)], b"two").unwrap();
    writer.close();
    let view = View::of(&mut store(&dir));
    assert_eq!((view.requests(), view.sources, view.live.len()), (5, 0, 0));
}

#[test]
fn what_was_left_half_done_goes_when_it_is_old() {
    let (_guard, dir) = private();
    let mut writer = store(&dir);
    let alive = block(START, 5);
    let _ = publish(&mut writer, std::slice::from_ref(&alive), b"").unwrap();
    let file = |source, seconds: u64, future: bool| {
        let path = place(&dir).path().join(Name::Temporary { source, number: seconds }.to_string());
        let age = Duration::from_secs(seconds);
        let at = if future { SystemTime::now() + age } else { SystemTime::now() - age };
        File::create(&path).unwrap().set_modified(at).unwrap();
        path
    };
    // A living one's file may be about to be renamed, however old; a new one's owner may have no lock yet.
    let stay = [file(alive.source(), 90, false), file(1, 30, false), file(1, 20, true)];
    let leave = [file(1, 90, false), file(2, 95, true)];
    store(&dir).collect(START, &mut |_| ()).unwrap();
    assert!(stay.iter().all(|path| path.exists()));
    assert!(!leave.iter().any(|path| path.exists()));
    // Its own are nobody's while it collects.
    writer.collect(START, &mut |_| ()).unwrap();
    assert!(!stay[0].exists());
}

#[test]
fn a_slot_in_a_future_that_is_not_coming_goes() {
    let (_guard, dir) = private();
    let days = 86_400_000;
    let dead = [block(START, 1), block(START + days, 1), block(START + 3 * days, 1)];
    for block in &dead {
        let _ = publish(&mut store(&dir), std::slice::from_ref(block), b"").unwrap();
    }
    store(&dir).collect(START, &mut |_| ()).unwrap();
    assert_eq!(count(&dir, ".rollup"), 2);
}

#[test]
fn clean_up_is_bounded_work_and_goes_on() {
    let (_guard, dir) = private();
    for i in 0..20 {
        let _ = publish(&mut store(&dir), &[block(START + i, 1)], b"").unwrap();
    }
    let mut limits = Limits::default();
    limits.removals = 5;
    let mut cleaner = Directory::with_limits(place(&dir), limits);
    let mut left = 40;
    while left > 0 {
        cleaner.collect(START + 100 * SLOT_MS, &mut |_| ()).unwrap();
        assert_eq!(left - names(&dir).len(), 5);
        left -= 5;
    }
}

/// Publishes bytes that nobody looks into, for the slot that begins at `from_ms`.
fn slot(store: &mut Directory, source: u64, from_ms: i64, oldest_ms: i64) {
    let slots = [Slot { from_ms, to_ms: from_ms + SLOT_MS, bytes: b"some bytes" }];
    assert!(store.publish(&Publication { source, slots: &slots, live: b"live", oldest_ms }).unwrap().complete);
}

#[test]
fn ten_thousand_slots_and_a_thousand_dead_leave_no_trace() {
    let (_guard, dir) = private();
    let window = 60;
    let mut living = store(&dir);
    let mut most = 0;
    for i in 0..10_000 {
        let (now, oldest_ms) = (START + i * SLOT_MS, START + (i - window) * SLOT_MS);
        slot(&mut living, 7, now, oldest_ms);
        if i % 10 == 0 {
            // One that is killed: its lock is free, everything else is left as it is.
            let source = 1_000 + i as u64;
            let mut dead = store(&dir);
            slot(&mut dead, source, now, oldest_ms);
            dead.close();
            for name in [Name::Live { source }, Name::Lock { source }] {
                fs::write(place(&dir).path().join(name.to_string()), b"").unwrap();
            }
        }
        living.collect(oldest_ms, &mut |_| ()).unwrap();
        if i % 50 == 0 {
            most = most.max(names(&dir).len());
        }
    }
    // Window, grace, and the open one; of the dead a tenth, each with a lock.
    assert!((60..=63 + 2 + 2 * 7).contains(&most), "{most} files");
    assert_eq!((count(&dir, ".tmp"), count(&dir, ".live")), (0, 1));
    living.collect(START + 20_000 * SLOT_MS, &mut |_| ()).unwrap();
    assert_eq!(count(&dir, ".lock"), 1, "of the living");
}
