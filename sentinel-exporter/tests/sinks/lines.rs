//! The log: whole lines, files that do not grow for ever, and nothing that waits.

use super::notices::{accusing, test};
use super::send;
use sentinel_exporter::sink::{Failed, Log, LogConfig, LogTarget};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn log(path: &Path) -> LogConfig {
    LogConfig { to: LogTarget::File(path.into()), max_size: 64 << 10, ..LogConfig::default() }
}

#[test]
fn lines_are_whole_and_files_are_rotated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.jsonl");
    let sink = Log::new(&LogConfig { keep: 2, ..log(&path) }).unwrap();
    let mut sent = 0;
    while !dir.path().join("alerts.jsonl.2").exists() || sent < 400 {
        let mut notice = accusing(format!("ac\nme-{sent}").as_bytes(), "/v1/process");
        notice.at_ms = sent;
        send(&sink, &notice).unwrap();
        sent += 1;
    }
    let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["alerts.jsonl", "alerts.jsonl.1", "alerts.jsonl.2"]);
    // From the oldest that is kept to the newest, none is missing.
    let mut moments = Vec::new();
    for file in files.iter().rev() {
        let text = fs::read_to_string(dir.path().join(file)).unwrap();
        assert!(text.len() <= 64 << 10 && text.ends_with('\n'));
        moments.extend(
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["data"]["at_ms"].as_i64().unwrap()),
        );
    }
    let first = moments[0];
    assert!(first > 0);
    assert_eq!(moments, (first..sent).collect::<Vec<_>>());
}

#[test]
fn a_line_that_is_longer_than_a_file_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.jsonl");
    let sink = Log::new(&log(&path)).unwrap();
    for _ in 0..2 {
        let mut notice = test();
        notice.service = "shop".repeat(20_000);
        send(&sink, &notice).unwrap();
    }
    for file in [&path, &dir.path().join("alerts.jsonl.1")] {
        assert_eq!(fs::read_to_string(file).unwrap().lines().count(), 1);
    }
}

#[test]
fn what_cannot_be_written_is_tried_later_and_nothing_waits() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in ["/nowhere/alerts.jsonl".as_ref(), dir.path(), &pipe] {
        let Err(Failed::Later { why, after: None }) = send(&Log::new(&log(path)).unwrap(), &test()) else { panic!() };
        assert!(why.starts_with("the file cannot be opened: "), "{why}");
    }
    if cfg!(target_os = "linux") {
        let Err(Failed::Later { why, .. }) = send(&Log::new(&log("/dev/full".as_ref())).unwrap(), &test()) else {
            panic!()
        };
        assert!(why.starts_with("0 of "), "{why}");
    }
}

#[test]
fn it_is_written_to_the_standard_error() {
    if std::env::var_os("SENTINEL_TEST_STDERR").is_some() {
        send(&Log::new(&LogConfig::default()).unwrap(), &test()).unwrap();
        return;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "lines::it_is_written_to_the_standard_error"]).env("SENTINEL_TEST_STDERR", "1");
    let stderr = String::from_utf8(child.output().unwrap().stderr).unwrap();
    let json: Value = stderr.lines().find_map(|line| serde_json::from_str(line).ok()).unwrap();
    assert_eq!(json["type"], "sentinel.test");
    assert_eq!(json["data"]["test"], true);
}
