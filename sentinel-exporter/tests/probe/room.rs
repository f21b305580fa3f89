//! A process that has no file descriptors left: that says nothing of a target.

use crate::{AT_MS, check, prober};
use sentinel_core::uptime::{Cause, Outcome};
use std::fs::File;
use std::net::TcpListener;
use std::process::Command;

const CHILD: &str = "SENTINEL_TEST_NO_ROOM";

/// In a process of its own: the others need theirs.
#[test]
#[ignore = "a part of the test below"]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let prober = prober(&["loopback"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let probe = |url: &str| runtime.block_on(prober.probe(&check(url), AT_MS)).result;
    let (by_address, by_name) = (format!("tcp://127.0.0.1:{port}"), format!("tcp://localhost:{port}"));
    assert_eq!(probe(&by_address).outcome, Outcome::Up);
    let mut open: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    for url in [&by_address, &by_name] {
        let result = probe(url);
        assert_eq!((result.outcome, result.cause), (Outcome::Unknown, Some(Cause::OwnNetwork)), "{url}");
    }
    open.truncate(open.len() / 2);
    assert_eq!(probe(&by_address).outcome, Outcome::Up);
    runtime.shutdown_background();
}

#[test]
fn no_room_is_not_the_targets_doing() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" --ignored --exact room::child"]);
    let ended = command.arg(std::env::current_exe().unwrap()).env(CHILD, "1").output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}
