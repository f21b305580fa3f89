//! A forked child keeps no other process alive by what it inherits, and closes nothing that is not its own.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[allow(dead_code)] // each binary uses its part
mod common;

use common::{PATIENCE, Process, View, block, place, private, publish, role, say, store};
use sentinel_exporter::Leader;
use sentinel_exporter::rollup::RollupStore;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

/// Forks; the child does `work` and exits. Returns the child's number.
fn fork(work: impl FnOnce()) -> i32 {
    // SAFETY: what the children here do needs no lock that another thread of the parent may hold: the test harness's threads wait.
    let child = unsafe { libc::fork() };
    if child == 0 {
        work();
        // SAFETY: it runs nothing of what is registered to run at the end, which is the parent's.
        unsafe { libc::_exit(0) };
    }
    child
}

fn forever() {
    loop {
        // SAFETY: it waits for a signal.
        unsafe { libc::pause() };
    }
}

#[test]
#[ignore = "a part of the others, in a process of its own"]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "holder" => holder(&dir),
        "dropper" => dropper(&dir),
        "successor" => successor(&dir),
        "bare" => bare(&dir),
        _ => racer(&dir),
    }
}

/// Leads and publishes, and has a child that lives on.
fn holder(dir: &Path) {
    let (mut leader, mut rollups) = (Leader::new(place(dir)), store(dir));
    assert!(leader.lead());
    let _ = publish(&mut rollups, &[block(common::START, 3)], b"in flight").unwrap();
    // One that ends at once, too: that releases nothing.
    let brief = fork(|| {});
    // SAFETY: it waits for this process's own child.
    unsafe { libc::waitpid(brief, std::ptr::null_mut(), 0) };
    // The child says so: before it runs it has a copy of everything.
    fork(|| {
        say("forked");
        forever();
    });
    assert!(leader.lead());
    forever();
}

#[test]
fn a_childs_life_is_not_its_parents() {
    let (_guard, dir) = private();
    let mut process = Process::start("holder", &dir);
    assert_eq!(process.hear(), "forked");
    let (mut leader, mut rollups) = (Leader::new(place(&dir)), store(&dir));
    assert!(!leader.lead(), "the parent lives and leads");
    let view = View::of(&mut rollups);
    assert_eq!((view.requests(), view.sources, view.live.len()), (3, 1, 1));
    process.kill();
    assert!(leader.lead(), "the parent is dead, its child lives");
    rollups.forget();
    let view = View::of(&mut rollups);
    assert_eq!((view.requests(), view.sources, view.live.len()), (3, 0, 0));
}

/// Drops in a child what it inherited, when the numbers of its descriptors are other files'.
fn dropper(dir: &Path) {
    let (mut leader, mut rollups) = (Leader::new(place(dir)), store(dir));
    assert!(leader.lead());
    let _ = publish(&mut rollups, &[block(common::START, 3)], b"in flight").unwrap();
    let mut pair = Some((leader, rollups));
    let child = fork(|| {
        // Its own lock, which takes over the number and the place in the table of the one that it inherited.
        let own = dir.join("own");
        let mut mine = Leader::new(place(&own));
        assert!(mine.lead());
        let files: Vec<File> = (0..64).map(|_| File::open("/dev/null").unwrap()).collect();
        drop(pair.take());
        let good = files.iter().all(|file| rustix::fs::fstat(file).is_ok());
        let rival = Leader::new(place(&own)).lead();
        say(if good && !rival && mine.leads() { "all open" } else { "closed" });
    });
    // SAFETY: it waits for this process's own child.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    forever();
}

#[test]
fn what_is_dropped_in_a_child_closes_and_removes_nothing() {
    let (_guard, dir) = private();
    let process = Process::start("dropper", &dir);
    assert_eq!(process.hear(), "all open");
    assert!(!Leader::new(place(&dir)).lead(), "the parent still leads");
    let view = View::of(&mut store(&dir));
    assert_eq!((view.requests(), view.sources, view.live.len()), (3, 1, 1));
}

/// A child uses what it inherited, as a process of its own.
fn successor(dir: &Path) {
    let (mut leader, mut rollups) = (Leader::new(place(dir)), store(dir));
    assert!(leader.lead());
    let _ = publish(&mut rollups, &[block(common::START, 3)], b"").unwrap();
    fork(|| {
        assert!(!leader.leads() && !leader.lead());
        let view = View::of(&mut rollups);
        assert_eq!((view.requests(), view.sources), (3, 1), "its parent is somebody else");
        let _ = publish(&mut rollups, &[block(common::START, 4)], b"").unwrap();
        say("published");
        let begun = Instant::now();
        while !leader.lead() && begun.elapsed() < PATIENCE {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        say(if leader.leads() { "leads" } else { "follows" });
        forever();
    });
    forever();
}

#[test]
fn a_child_may_go_on_as_itself() {
    let (_guard, dir) = private();
    let mut process = Process::start("successor", &dir);
    assert_eq!(process.hear(), "published");
    let mut rollups = store(&dir);
    let mut view = View::of(&mut rollups);
    assert_eq!((view.requests(), view.sources), (7, 2));
    process.kill();
    assert_eq!(process.hear(), "leads");
    view.collect(&mut rollups, common::START).unwrap();
    assert_eq!((view.requests(), view.sources), (7, 1));
}

/// A child that no handler hears of, which drops what it inherited: that must not end the parent's lock.
#[cfg(target_arch = "x86_64")]
fn bare(dir: &Path) {
    let mut leader = Leader::new(place(dir));
    assert!(leader.lead());
    // SAFETY: as `fork`; the number has no arguments.
    let child = unsafe { libc::syscall(libc::SYS_fork) };
    if child == 0 {
        assert!(!leader.leads());
        drop(leader);
        // SAFETY: as above.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: it waits for this process's own child.
    unsafe { libc::waitpid(child as i32, std::ptr::null_mut(), 0) };
    say(if leader.lead() { "leads" } else { "follows" });
    forever();
}

#[cfg(not(target_arch = "x86_64"))]
fn bare(_: &Path) {}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_child_of_a_bare_system_call_ends_nothing() {
    let (_guard, dir) = private();
    let process = Process::start("bare", &dir);
    assert_eq!(process.hear(), "leads");
    assert!(!Leader::new(place(&dir)).lead());
}

/// Children that live on.
const CHILDREN: usize = 150;

/// Takes locks in one thread while another forks children that live on.
fn racer(dir: &Path) {
    std::thread::scope(|scope| {
        let takers: Vec<_> = (0..2)
            .map(|taker| {
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    let begun = Instant::now();
                    for i in 0.. {
                        let mut leader = Leader::new(place(&dir.join(format!("{taker}-{i}"))));
                        // Refused while somebody forks all the time; never wrong.
                        leader.lead();
                        kept.push(leader);
                        if kept.len() > 50 {
                            kept.clear();
                        }
                        if begun.elapsed().as_millis() > 700 {
                            return kept;
                        }
                    }
                    kept
                })
            })
            .collect();
        let (mut here, born) = std::io::pipe().unwrap();
        for _ in 0..CHILDREN {
            fork(|| {
                (&born).write_all(b".").unwrap();
                forever();
            });
            std::thread::sleep(std::time::Duration::from_millis(3));
        }
        // Before it runs a child has a copy of everything.
        here.read_exact(&mut [0; CHILDREN]).unwrap();
        let kept: Vec<Leader> = takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect();
        say(&format!("{}", kept.iter().filter(|leader| leader.leads()).count()));
        forever();
    });
}

#[test]
fn a_fork_while_a_lock_is_taken_keeps_no_copy() {
    let (_guard, dir) = private();
    let mut process = Process::start("racer", &dir);
    let held: usize = process.hear().parse().unwrap();
    assert!(held > 0);
    let places: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    let free = || places.iter().filter(|path| Leader::new(place(path)).lead()).count();
    assert_eq!(places.len() - free(), held);
    process.kill();
    assert_eq!(free(), places.len(), "no child keeps a lock");
}
