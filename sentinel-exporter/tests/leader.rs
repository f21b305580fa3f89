//! One process leads, whoever is killed, and none of those that a leader forked leads for it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[allow(dead_code)] // each binary uses its part
mod common;

use common::{PATIENCE, Process, place, private, role, say};
use sentinel_exporter::Leader;
use std::io::BufRead;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
#[ignore = "a part of the others, in a process of its own"]
fn child() {
    let Some((role, dir)) = role() else { return };
    let mut leader = Leader::new(place(&dir));
    if role == "contender" {
        return contend(&mut leader, &dir);
    }
    say("here");
    for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
        say(if leader.lead() { "leads" } else { "follows" });
    }
}

/// Leads and steps down all the time, for a second and until it has led twice; whoever leads makes a file that must not be there, and removes it.
fn contend(leader: &mut Leader, dir: &Path) {
    let token = dir.join("token");
    let (mut led, mut doubly) = (0, 0);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) || led < 2 && begun.elapsed() < PATIENCE {
        if leader.lead() {
            led += 1;
            doubly += u32::from(std::fs::File::create_new(&token).is_err());
            std::thread::yield_now();
            let _ = std::fs::remove_file(&token);
            leader.close();
        }
    }
    say(&format!("{led} {doubly}"));
}

#[test]
fn never_two_at_a_time() {
    let (_guard, dir) = private();
    let mut processes: Vec<Process> = (0..8).map(|_| Process::start("contender", &dir)).collect();
    let said: Vec<String> = processes.iter().map(Process::hear).collect();
    assert!(processes.iter_mut().all(Process::succeeds));
    let led: u32 = said.iter().map(|said| said.split(' ').next().unwrap().parse::<u32>().unwrap()).sum();
    assert!(led >= 16, "{said:?}");
    assert!(said.iter().all(|said| said.ends_with(" 0")), "{said:?}");
}

/// Asks everybody at the same time, and says who leads.
fn leaders(processes: &mut [Process]) -> Vec<usize> {
    processes.iter_mut().for_each(|process| process.tell("?"));
    let answers: Vec<String> = processes.iter().map(Process::hear).collect();
    (0..answers.len()).filter(|i| answers[*i] == "leads").collect()
}

#[test]
fn after_each_kill_the_next_call_leads() {
    let (_guard, dir) = private();
    let mut processes: Vec<Process> = (0..8).map(|_| Process::start("leader", &dir)).collect();
    processes.iter().for_each(|process| assert_eq!(process.hear(), "here"));
    let mut before = None;
    while !processes.is_empty() {
        let now = leaders(&mut processes);
        assert_eq!(now.len(), 1, "exactly one leads");
        assert_eq!(leaders(&mut processes), now, "it stays the one");
        assert_ne!(before, Some(processes[now[0]].id()));
        before = Some(processes[now[0]].id());
        processes.remove(now[0]).kill();
    }
}

#[test]
fn a_lock_that_nobody_can_find_is_none() {
    let (_guard, dir) = private();
    let mut one = Leader::new(place(&dir));
    let mut other = Leader::new(place(&dir));
    assert_eq!((one.lead(), other.lead()), (true, false));
    std::fs::remove_file(place(&dir).path().join("leader.lock")).unwrap();
    assert!(other.lead());
    assert_eq!((one.lead(), one.leads()), (false, false));
    // And with the whole directory.
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(one.lead());
    assert!(!other.lead());
    drop(one);
    assert!(other.lead());
}

#[test]
fn without_a_place_nobody_leads_and_says_why() {
    let (_guard, dir) = private();
    let mut leader = Leader::new(place(&dir));
    assert!(leader.lead());
    let elsewhere = dir.with_file_name("elsewhere");
    std::fs::rename(&dir, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &dir).unwrap();
    assert!(!leader.lead());
    assert!(leader.error().unwrap().to_string().contains("a symbolic link is not allowed"));
    std::fs::remove_file(&dir).unwrap();
    std::fs::rename(&elsewhere, &dir).unwrap();
    assert!(leader.lead());
    assert_eq!(leader.error(), None);
    let nowhere = |path: &str| Leader::new(place(Path::new(path))).lead();
    assert!(!nowhere("/proc/none"));
}
