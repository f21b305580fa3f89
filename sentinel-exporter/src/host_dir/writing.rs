//! A file is written whole or not at all: under a name that no process reads, then renamed.
//!
//! Nothing is flushed to a disk. The directory is in memory; where it is not, a crash of the system may lose or tear a file, and its
//! checksum shows that. A block that survived a restart would be of a process that counts no more, in a window that has passed.

use super::flock::{FileLock, LockRefused};
use super::{Name, StoreError};
use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Read and write, for this user alone.
const PRIVATE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

pub(crate) fn failed(name: Name, doing: &'static str, error: Errno) -> StoreError {
    StoreError::File { file: name.to_string(), doing, kind: error.kind() }
}

/// Makes `name` hold these bytes.
pub(crate) fn write(dir: BorrowedFd<'_>, temporary: Name, name: Name, bytes: &[u8]) -> Result<(), StoreError> {
    let hidden = temporary.to_string();
    let file = create(dir, &hidden, OFlags::WRONLY).map_err(|error| failed(name, "make", error))?;
    let written = File::from(file).write_all(bytes).map_err(|error| StoreError::File {
        file: name.to_string(),
        doing: "write",
        kind: error.kind(),
    });
    let moved = written
        .and_then(|()| renameat(dir, &hidden, dir, name.to_string()).map_err(|error| failed(name, "rename", error)));
    if moved.is_err() {
        // Half a file takes room where there may be none. Should this fail, clean-up removes the file later.
        let _ = remove(dir, temporary);
    }
    moved
}

/// Takes a lock on a new file and *then* gives the file its name: no process can find it free while its owner lives.
pub(crate) fn lock(dir: BorrowedFd<'_>, temporary: Name, name: Name) -> Result<FileLock, StoreError> {
    let hidden = temporary.to_string();
    // Open for reading: one that is open for writing would keep a file system from becoming read-only.
    let taken = FileLock::take(|| create(dir, &hidden, OFlags::RDONLY)).map_err(|error| refused(name, error));
    let named = taken.and_then(|lock| {
        renameat(dir, &hidden, dir, name.to_string()).map_err(|error| failed(name, "rename", error))?;
        Ok(lock)
    });
    if named.is_err() {
        let _ = remove(dir, temporary);
    }
    let lock = named?;
    // Another process that cleans up may have taken the new file for the old one.
    if lock.is_at(dir, &name.to_string()) {
        Ok(lock)
    } else {
        Err(StoreError::Lock { file: name.to_string(), why: "its file was removed as soon as it was made" })
    }
}

pub(crate) fn refused(name: Name, error: LockRefused) -> StoreError {
    let why = match error {
        LockRefused::Os(error) => return failed(name, "lock", error),
        LockRefused::Held => "another process holds it",
        LockRefused::Full => "this process holds as many locks as it can",
        LockRefused::Forking => "this process forks all the time",
    };
    StoreError::Lock { file: name.to_string(), why }
}

/// Removes a file; a missing one counts as removed.
pub(crate) fn remove(dir: BorrowedFd<'_>, name: Name) -> Result<(), Errno> {
    match unlinkat(dir, name.to_string(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a new file, and removes one that has its name.
pub(crate) fn create(dir: BorrowedFd<'_>, name: &str, access: OFlags) -> Result<OwnedFd, Errno> {
    let flags = access | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(dir, name, flags, PRIVATE_MODE) {
        // A file of a former attempt.
        Err(Errno::EXIST) => {
            unlinkat(dir, name, AtFlags::empty())?;
            openat(dir, name, flags, PRIVATE_MODE)
        }
        opened => opened,
    }
}
