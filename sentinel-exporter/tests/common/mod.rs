//! Parts that the tests share: real directories, real blocks, real processes. A child is this test binary, run again for one ignored test.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use sentinel_core::{Block, Clock, Event, Sentinel};
use sentinel_exporter::rollup::{Directory, Found, Place, Publication, Published, RollupStore, Slot, StoreError};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// A boundary of slots.
pub(crate) const START: i64 = 1_700_000_400_000;
pub(crate) const SLOT_MS: i64 = 10_000;
/// Long enough for anything on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A private directory that goes with the test.
pub(crate) fn private() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sentinel");
    (dir, path)
}

pub(crate) fn place(dir: &Path) -> Place {
    Place::new(Some(dir), "shop").unwrap()
}

pub(crate) fn store(dir: &Path) -> Directory {
    Directory::new(place(dir))
}

/// A block of some source with so many requests in the slot that begins at `from_ms`.
pub(crate) fn block(from_ms: i64, requests: usize) -> Block {
    let sentinel = Sentinel::builder().stripes(1).places(8).clock(Clock::manual(from_ms)).build().unwrap();
    for i in 0..requests {
        let tenant = format!("tenant-{}", i % 7);
        sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/", status: 500, ..Event::default() });
    }
    sentinel.blocks().remove(0)
}

pub(crate) fn publish(store: &mut Directory, blocks: &[Block], live: &[u8]) -> Result<Published, StoreError> {
    publish_as(store, blocks[0].source(), blocks, live)
}

pub(crate) fn publish_as(
    store: &mut Directory,
    source: u64,
    blocks: &[Block],
    live: &[u8],
) -> Result<Published, StoreError> {
    let bytes: Vec<Vec<u8>> = blocks.iter().map(Block::encode).collect();
    let slots: Vec<Slot<'_>> = blocks
        .iter()
        .zip(&bytes)
        .map(|(block, bytes)| Slot { from_ms: block.from_ms(), to_ms: block.to_ms(), bytes })
        .collect();
    store.publish(&Publication { source, slots: &slots, live, oldest_ms: START })
}

/// Requests by source and slot, and what is in flight by source.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) slots: BTreeMap<(u64, i64), u64>,
    pub(crate) live: BTreeMap<u64, Vec<u8>>,
    pub(crate) sources: usize,
}

impl View {
    /// Takes over what a store finds; every block has to be one. Says how many slots were new or changed.
    pub(crate) fn collect(&mut self, store: &mut Directory, oldest_ms: i64) -> Result<usize, StoreError> {
        let mut found_slots = 0;
        self.live.clear();
        let collected = store.collect(oldest_ms, &mut |found| match found {
            Found::Slot { source, from_ms, to_ms, bytes } => {
                let block = Block::decode(bytes).expect("what is found is whole");
                assert_eq!((block.source(), block.from_ms(), block.to_ms()), (source, from_ms, to_ms));
                let before = self.slots.insert((source, from_ms), block.requests());
                assert!(before <= Some(block.requests()), "{before:?} became {}", block.requests());
                found_slots += 1;
            }
            Found::Live { source, bytes } => {
                self.live.insert(source, bytes.to_vec());
            }
            _ => unreachable!("nothing else is found"),
        })?;
        self.sources = collected.sources;
        Ok(found_slots)
    }

    pub(crate) fn of(store: &mut Directory) -> Self {
        let mut view = Self::default();
        view.collect(store, START).unwrap();
        view
    }

    pub(crate) fn requests(&self) -> u64 {
        self.slots.values().sum()
    }
}

/// Names of the files of the service.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(place(dir).path()) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says on the terminal that something was not tested.
pub(crate) fn skip(why: &str) {
    tell(&format!("\nSKIPPED: {why}\n"));
}

/// Says something on the terminal: the test runner keeps what `eprintln` says to itself.
#[allow(clippy::explicit_write)]
pub(crate) fn tell(words: &str) {
    writeln!(std::io::stderr(), "{words}").unwrap();
}

const ROLE: &str = "SENTINEL_TEST_ROLE";
const DIR: &str = "SENTINEL_TEST_DIR";

/// In a child: what it is to do, and where.
pub(crate) fn role() -> Option<(String, PathBuf)> {
    let role = std::env::var(ROLE).ok()?;
    Some((role, std::env::var_os(DIR)?.into()))
}

/// In a child: tells the test something.
pub(crate) fn say(words: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n@{words}").unwrap();
    out.flush().unwrap();
}

/// A child process, killed with everything it forked when it is dropped.
pub(crate) struct Process {
    child: Child,
    group: Pid,
    said: Receiver<String>,
    stdin: ChildStdin,
}

impl Process {
    /// Runs the ignored test `child` of this binary.
    pub(crate) fn start(role: &str, dir: &Path) -> Self {
        Self::run(Command::new(std::env::current_exe().unwrap()).args(CHILD), role, dir)
    }

    /// The same in a shell that first does something else.
    pub(crate) fn start_after(shell: &str, role: &str, dir: &Path) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{shell}; exec \"$0\" \"$@\""));
        Self::run(command.arg(std::env::current_exe().unwrap()).args(CHILD), role, dir)
    }

    fn run(command: &mut Command, role: &str, dir: &Path) -> Self {
        let command = command.env(ROLE, role).env(DIR, dir).process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let group = Pid::from_child(&child);
        let (out, stdin) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        let (send, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some(words) = line.strip_prefix('@') {
                    let _ = send.send(words.to_string());
                }
            }
        });
        Self { child, group, said, stdin }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next thing that it says.
    pub(crate) fn hear(&self) -> String {
        self.said.recv_timeout(PATIENCE).expect("the child says something")
    }

    /// All that it has said, and will say until it ends.
    pub(crate) fn heard(&self) -> impl Iterator<Item = String> + '_ {
        std::iter::from_fn(|| self.said.recv_timeout(PATIENCE).ok())
    }

    /// Output of the child so far.
    pub(crate) fn heard_so_far(&self) -> impl Iterator<Item = String> + '_ {
        self.said.try_iter()
    }

    /// Gives it a line.
    pub(crate) fn tell(&mut self, words: &str) {
        writeln!(self.stdin, "{words}").unwrap();
    }

    /// Stops the child until it may go on.
    pub(crate) fn stop(&self) {
        kill_process(self.group, Signal::STOP).unwrap();
    }

    pub(crate) fn go_on(&self) {
        kill_process(self.group, Signal::CONT).unwrap();
    }

    /// kill -9, of this process and not of those it forked, and waits until it is dead.
    pub(crate) fn kill(&mut self) {
        kill_process(self.group, Signal::KILL).unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) fn succeeds(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
    }
}

const CHILD: [&str; 4] = ["--exact", "child", "--ignored", "--nocapture"];
