//! The uptime example as a program: it ends in time, with 0, and has told what it should. It judges itself; this reads what people see.
#![cfg(target_os = "linux")] // elsewhere 127.0.0.2 has to be added to the loopback first
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[allow(dead_code)] // each binary uses its part
mod common;

use common::command_of;
use std::io::Read;
use std::time::{Duration, Instant};

/// A run that takes so long has no end; with these arguments it takes 30 s.
const PATIENCE: Duration = Duration::from_mins(3);

/// Runs it, for no longer than that, and gives its code and all that it has printed.
fn run(args: &[&str]) -> (Option<i32>, String) {
    let (mut child, begun) = (command_of("uptime", args).spawn().unwrap(), Instant::now());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            break child.wait().unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    // It prints less than a pipe holds.
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
    (status.code(), printed)
}

#[test]
fn three_that_fail_and_a_network_that_is_dead() {
    let (code, printed) = run(&["--seconds", "30"]);
    assert_eq!(code, Some(0), "{printed}");
    let count = |text: &str| printed.matches(text).count();
    assert_eq!(count("🚨 Sentinel: Target shop is down: status 503"), 1, "{printed}");
    assert_eq!(count("🚨 Sentinel: Target search is down: no answer in time"), 1, "{printed}");
    assert_eq!(count("goes up and down"), 1, "{printed}");
    assert_eq!(count("Most targets fail at once"), 1, "{printed}");
    assert_eq!(count("The network of this host is back after "), 1, "{printed}");
    let row = |name: &str| printed.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{printed}"));
    assert!(row("login ").contains("100%") && row("login ").contains('·'), "{printed}");
    assert!(row("shop ").contains('▁') && !row("shop ").contains("100%"), "{printed}");
    // It has compared them itself; this sees that it did.
    let by_hand = |name: &str| printed.lines().rfind(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    for name in ["shop", "search", "payments", "login", "docs", "mail"] {
        assert!(by_hand(name).contains(" requests: up ") && by_hand(name).contains("coverage 0.0"), "{printed}");
    }
    assert!(row("payments ").contains("flaps"), "{printed}");
}

#[test]
fn what_it_is_asked_wrongly() {
    let (code, printed) = run(&["--help"]);
    assert!(code == Some(0) && printed.contains("Exits with 0"), "{printed}");
    for args in [&["--seconds", "29"], &["--seconds", "601"], &["--seconds", "soon"]] {
        let (code, printed) = run(args);
        assert!(code == Some(2) && printed.contains("--seconds"), "{args:?}: {printed}");
    }
}
