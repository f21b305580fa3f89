//! Runs a built example as a user would: the `replay`, where none is named.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::SystemTime;

use serde_json::Value;

const BUILD: &str = "cargo test -p sentinel-examples";

/// The example beside this test: `target/PROFILE/examples`, beside `target/PROFILE/deps/TEST`. Cargo builds it for a test of
/// the whole package but not for `--test NAME`, which would then judge what was built some other day.
fn binary(example: &str) -> PathBuf {
    let mut binary = std::env::current_exe().unwrap();
    binary.pop();
    if binary.ends_with("deps") {
        binary.pop();
    }
    binary.push("examples");
    binary.push(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    let built = fs::metadata(&binary).and_then(|file| file.modified());
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let edited = newest(&package.join(example)).max(newest(&package.join("../sentinel-core/src")));
    let fresh = built.is_ok_and(|built| built >= edited);
    assert!(fresh, "{} is missing or older than its source: run {BUILD}", binary.display());
    binary
}

/// When the newest file below a directory was written.
fn newest(directory: &Path) -> SystemTime {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { newest(&entry.path()) } else { metadata.modified().unwrap() }
        })
        .max()
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

pub(crate) fn command(args: &[&str]) -> Command {
    command_of("replay", args)
}

pub(crate) fn command_of(example: &str, args: &[&str]) -> Command {
    let mut command = Command::new(binary(example));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Each line of standard output, which must be one JSON text each.
    pub(crate) fn reports(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    pub(crate) fn report(&self) -> Value {
        let reports = self.reports();
        assert_eq!(reports.len(), 1, "{self:?}");
        reports.into_iter().next().unwrap()
    }
}

/// Runs it to its end, with these bytes on standard input.
pub(crate) fn run(args: &[&str], stdin: &[u8]) -> Ran {
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let ended = thread::scope(|scope| {
        // It may end without having read everything.
        scope.spawn(move || drop(pipe.write_all(stdin)));
        child.wait_with_output().unwrap()
    });
    Ran {
        code: ended.status.code(),
        stdout: String::from_utf8(ended.stdout).unwrap(),
        stderr: String::from_utf8(ended.stderr).unwrap(),
    }
}
