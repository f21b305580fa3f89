//! Closed slots for other systems, a JSON line each: to the standard output, or to the end of a file.
//!
//! A line is one write, so lines of several processes do not mix in one file; through one pipe, such as a standard output that workers
//! share, lines of more than 4 kB do. Nothing waits:
//! bytes that a full pipe does not take are lost and counted. A file that was moved away (rotated) is left for a new one.

use super::flush::Flush;
use crate::host_dir::FileIdentity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, openat, statat};
use rustix::io::{Errno, write};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a line was not written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FlushError {
    /// The file cannot be opened.
    #[error("{path}: cannot be opened: {kind}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's error.
        kind: io::ErrorKind,
    },
    /// The line was not written, or only in part: the disk or the pipe is full, or the reader has gone.
    #[error("{target}: {written} of {bytes} bytes were written: {kind}")]
    Write {
        /// The file, `stdout` or `stderr`.
        target: String,
        /// Bytes that were written. The next line begins on a line of its own.
        written: usize,
        /// Bytes of the line.
        bytes: usize,
        /// The system's error.
        kind: io::ErrorKind,
    },
    /// The text has a line break, so it is more than one line.
    #[error("a line break at byte {at} is not allowed; allowed: one line")]
    NotALine {
        /// Offset of the line break, in bytes.
        at: usize,
    },
}

/// Target of lines.
#[derive(Debug)]
enum LineTarget {
    Stdout,
    Stderr,
    File(PathBuf),
}

impl fmt::Display for LineTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Writes lines where a [`Flush`] says.
///
/// ```
/// use sentinel_exporter::{Flush, Flusher};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("slots.jsonl");
/// let mut flusher = Flusher::new(Flush::File(path.clone()));
/// flusher.write(r#"{"from_ms":0}"#)?;
/// flusher.write(r#"{"from_ms":10000}"#)?;
/// assert_eq!(std::fs::read_to_string(&path)?, "{\"from_ms\":0}\n{\"from_ms\":10000}\n");
/// assert_eq!((flusher.written(), flusher.failed()), (2, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Flusher {
    target: LineTarget,
    /// The open file, kept while its path leads to it.
    file: Option<OpenFile>,
    /// Whether the last line was written in part only.
    broken: bool,
    written: u64,
    failed: u64,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    identity: FileIdentity,
}

impl Flusher {
    /// Makes the flusher. Nothing is opened yet.
    ///
    /// ```
    /// # use sentinel_exporter::{Flush, Flusher};
    /// let flusher = Flusher::new(Flush::Stdout);
    /// ```
    #[must_use]
    pub fn new(target: Flush) -> Self {
        Self::to(match target {
            Flush::Stdout => LineTarget::Stdout,
            Flush::File(path) => LineTarget::File(path),
        })
    }

    /// A flusher that writes to the standard error.
    pub(crate) fn stderr() -> Self {
        Self::to(LineTarget::Stderr)
    }

    /// A flusher that writes to the end of a file.
    pub(crate) fn file(path: PathBuf) -> Self {
        Self::to(LineTarget::File(path))
    }

    fn to(target: LineTarget) -> Self {
        Self { target, file: None, broken: false, written: 0, failed: 0 }
    }

    /// Writes a line and adds the line break.
    ///
    /// # Errors
    /// A [`FlushError`]; the line is lost, and counted as failed.
    ///
    /// ```
    /// # use sentinel_exporter::{Flush, Flusher, FlushError};
    /// let mut flusher = Flusher::new(Flush::File("/nowhere/slots.jsonl".into()));
    /// assert!(matches!(flusher.write("{}"), Err(FlushError::Open { .. })));
    /// assert_eq!(flusher.failed(), 1);
    /// ```
    pub fn write(&mut self, line: &str) -> Result<(), FlushError> {
        let written = self.try_write(line);
        let counter = if written.is_ok() { &mut self.written } else { &mut self.failed };
        *counter = counter.saturating_add(1);
        written
    }

    /// Lines that were written.
    ///
    /// ```
    /// # use sentinel_exporter::{Flush, Flusher};
    /// assert_eq!(Flusher::new(Flush::Stdout).written(), 0);
    /// ```
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Lines that were lost.
    ///
    /// ```
    /// # use sentinel_exporter::{Flush, Flusher};
    /// let mut flusher = Flusher::new(Flush::Stdout);
    /// assert!(flusher.write("two\nlines").is_err());
    /// assert_eq!(flusher.failed(), 1);
    /// ```
    pub fn failed(&self) -> u64 {
        self.failed
    }

    fn try_write(&mut self, line: &str) -> Result<(), FlushError> {
        if let Some(at) = line.bytes().position(|byte| matches!(byte, b'\n' | b'\r')) {
            return Err(FlushError::NotALine { at });
        }
        let mut bytes = Vec::with_capacity(line.len() + 2);
        if let LineTarget::File(path) = &self.target {
            let known = self.file.take().filter(|open| identity_of(path) == Some(open.identity));
            let (file, new) = match known {
                Some(known) => (known, false),
                None => (open(path)?, true),
            };
            self.file = Some(file);
            self.broken &= !new;
        }
        if self.broken {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        let result = match (&self.file, &self.target) {
            (Some(open), _) => write_all(open.file.as_fd(), &bytes),
            // Not the standard library's handles: a thread that waits for a full pipe may hold their locks.
            (None, LineTarget::Stderr) => write_ready(rustix::stdio::stderr(), &bytes),
            (None, _) => write_ready(rustix::stdio::stdout(), &bytes),
        };
        result.map_err(|PartialWrite { written, error }| {
            self.broken = written > usize::from(self.broken) || self.broken && written == 0;
            let target = self.target.to_string();
            FlushError::Write { target, written, bytes: bytes.len(), kind: error.kind() }
        })?;
        self.broken = false;
        Ok(())
    }
}

fn identity_of(path: &Path) -> Option<FileIdentity> {
    statat(CWD, path, AtFlags::empty()).ok().map(|stat| FileIdentity::from(&stat))
}

/// Opens a file for appending, made for this user alone; a pipe without a reader is an error and not a wait.
fn open(path: &Path) -> Result<OpenFile, FlushError> {
    let failed = |error: Errno| FlushError::Open { path: path.into(), kind: error.kind() };
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = openat(CWD, path, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    let identity = FileIdentity::from(&fstat(&fd).map_err(failed)?);
    Ok(OpenFile { file: File::from(fd), identity })
}

/// Bytes that were written before an error.
struct PartialWrite {
    written: usize,
    error: Errno,
}

/// Bytes that a pipe takes at once when it says that it takes some.
const PIPE_READY_BYTES: usize = 4_096;

/// As `write_all`, to a descriptor that other processes use as well and that may block: writes as much as it takes without
/// blocking.
fn write_ready(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), PartialWrite> {
    let mut written = 0;
    for chunk in bytes.chunks(PIPE_READY_BYTES) {
        let mut asked = [PollFd::new(&fd, PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut asked, Some(&now)) {
            Ok(0) => return Err(PartialWrite { written, error: Errno::AGAIN }),
            Ok(_) => {}
            Err(error) => return Err(PartialWrite { written, error }),
        }
        write_all(fd, chunk).map_err(|part| PartialWrite { written: written + part.written, ..part })?;
        written += chunk.len();
    }
    Ok(())
}

/// Writes all bytes, or says how many it wrote before the error.
fn write_all(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), PartialWrite> {
    let mut written = 0;
    while written < bytes.len() {
        match write(fd, &bytes[written..]) {
            Ok(0) => return Err(PartialWrite { written, error: Errno::IO }),
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(PartialWrite { written, error }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_rotated_file_is_left_for_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("slots.jsonl"), dir.path().join("slots.jsonl.1"));
        let mut flusher = Flusher::new(Flush::File(path.clone()));
        flusher.write("1").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::rename(&path, &old).unwrap();
        flusher.write("2").unwrap();
        fs::remove_file(&path).unwrap();
        flusher.write("3").unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "1\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
        // Some tools copy a log and truncate it: new lines are appended.
        fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        flusher.write("4").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "4\n");
        assert_eq!((flusher.written(), flusher.failed()), (4, 0));
    }

    #[test]
    fn what_a_pipe_does_not_take_is_lost_and_counted_and_the_next_line_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let mut flusher = Flusher::new(Flush::File(path.clone()));
        // No process reads: that is an error and not a wait.
        assert!(matches!(flusher.write("{}"), Err(FlushError::Open { .. })));
        let reader = openat(CWD, &path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        let mut reader = File::from(reader);
        let line = "x".repeat(50_000);
        let mut good = 0;
        while flusher.write(&line).is_ok() {
            good += 1;
        }
        assert_eq!((flusher.written(), flusher.failed()), (good, 2));
        let mut read = vec![0; 1 << 20];
        let mut length = reader.read(&mut read).unwrap();
        flusher.write("whole").unwrap();
        length += reader.read(&mut read[length..]).unwrap();
        let text = std::str::from_utf8(&read[..length]).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.iter().filter(|found| **found == line).count() as u64, good);
        assert_eq!(lines.last(), Some(&"whole"));
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut flusher = Flusher::new(Flush::File("/dev/full".into()));
        if cfg!(target_os = "linux") {
            let error = flusher.write("{}").unwrap_err();
            assert!(matches!(error, FlushError::Write { written: 0, kind: io::ErrorKind::StorageFull, .. }), "{error}");
        }
    }
}
