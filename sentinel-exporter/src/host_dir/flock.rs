//! A file lock (flock) that ends with its process, and not with the last child that was forked from it.
//!
//! The system ties such a lock to the *open file*, which a forked child shares: as long as one child lives, a killed leader would
//! block the next one, and a dead worker would look alive. So the descriptors that hold locks stand in a table, and every
//! child closes them before `fork` returns to it. The parent keeps its lock: that ends with the *last* descriptor.
//!
//! A lock object that a child inherits has nothing to close any more, while its descriptor's number may mean another file by then. So
//! closing a descriptor takes it out of the table first, by a word that is never used twice; where the word is gone, nothing is
//! closed.

use rustix::fs::{AtFlags, FlockOperation, Stat, flock, fstat, statat};
use rustix::io::Errno;
use rustix::process::{Pid, getpid};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Most locks of a process at a time: two for each sentinel that shares its counts.
const MAX_LOCKS: usize = 128;
/// Entry of the table without a descriptor: descriptors are never negative.
const EMPTY_ENTRY: u64 = u64::MAX;
/// Attempts to take a lock when the process forks at the same moment.
const MAX_ATTEMPTS: usize = 8;

/// (ticket, descriptor) of every lock that is held or being taken.
static LOCK_TABLE: [AtomicU64; MAX_LOCKS] = [const { AtomicU64::new(EMPTY_ENTRY) }; MAX_LOCKS];
static NEXT_TICKET: AtomicU32 = AtomicU32::new(0);
/// Forks that have begun, and forks after which the parent or child goes on.
static FORKS_BEGUN: AtomicU64 = AtomicU64::new(0);
static FORKS_ENDED: AtomicU64 = AtomicU64::new(0);

/// Reason why a lock was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockRefused {
    /// Another process holds it, or another lock object of this one.
    Held,
    /// This process holds as many as it can.
    Full,
    /// The process forks all the time; the next call may succeed.
    Forking,
    Os(Errno),
}

impl From<Errno> for LockRefused {
    fn from(error: Errno) -> Self {
        Self::Os(error)
    }
}

/// Device and inode: the file that a name or a descriptor means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl From<&Stat> for FileIdentity {
    // The types of these fields differ between systems.
    #[allow(clippy::unnecessary_cast)]
    fn from(stat: &Stat) -> Self {
        Self { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
    }
}

/// An exclusive lock; let go of when it is dropped, when the process ends, and in every forked child.
#[derive(Debug)]
pub(crate) struct FileLock {
    /// Taken out only by `drop`.
    fd: Option<OwnedFd>,
    place: &'static AtomicU64,
    word: u64,
    file: FileIdentity,
    process: Pid,
}

impl FileLock {
    /// Takes the lock of the file that `open` opens (anew, at each attempt), without waiting.
    pub(crate) fn take(mut open: impl FnMut() -> Result<OwnedFd, Errno>) -> Result<Self, LockRefused> {
        watch_forks()?;
        for _ in 0..MAX_ATTEMPTS {
            let Some(before) = no_fork_under_way() else {
                std::thread::yield_now();
                continue;
            };
            let fd = open()?;
            let file = FileIdentity::from(&fstat(&fd)?);
            let (place, word) = enter(&fd).ok_or(LockRefused::Full)?;
            let lock = Self { fd: Some(fd), place, word, file, process: getpid() };
            let fd = lock.fd.as_ref().ok_or(LockRefused::Full)?;
            match flock(fd, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => return Err(LockRefused::Held),
                taken => taken?,
            }
            // A child that was born after `open` and before `enter` has a copy that it does not know to close.
            if no_fork_under_way() == Some(before) {
                return Ok(lock);
            }
        }
        Err(LockRefused::Forking)
    }

    /// Whether this process took it, and has not inherited it.
    pub(crate) fn is_ours(&self) -> bool {
        self.place.load(Ordering::SeqCst) == self.word && self.process == getpid()
    }

    /// Whether `name` still means the locked file: a lock of a file without a name locks no other process out.
    pub(crate) fn is_at(&self, dir: impl AsFd, name: &str) -> bool {
        statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| FileIdentity::from(&stat) == self.file)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let Some(fd) = self.fd.take() else { return };
        if self.place.compare_exchange(self.word, EMPTY_ENTRY, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            // A child: the handler has closed the descriptor, and its number may mean another file.
            std::mem::forget(fd);
        } else if self.process == getpid() {
            // Explicitly: a child made by a bare system call has a copy that closing would leave in force.
            let _ = flock(&fd, FlockOperation::Unlock);
        }
    }
}

/// Puts a descriptor into the table.
fn enter(fd: &OwnedFd) -> Option<(&'static AtomicU64, u64)> {
    let ticket = NEXT_TICKET.fetch_add(1, Ordering::Relaxed);
    let word = u64::from(ticket) << 32 | u64::from(fd.as_raw_fd().cast_unsigned());
    let place = LOCK_TABLE
        .iter()
        .find(|place| place.compare_exchange(EMPTY_ENTRY, word, Ordering::SeqCst, Ordering::SeqCst).is_ok())?;
    Some((place, word))
}

/// Number of forks so far; `None` while one is under way.
fn no_fork_under_way() -> Option<u64> {
    let begun = FORKS_BEGUN.load(Ordering::SeqCst);
    (FORKS_ENDED.load(Ordering::SeqCst) >= begun).then_some(begun)
}

extern "C" fn before_fork() {
    FORKS_BEGUN.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn in_parent() {
    FORKS_ENDED.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn in_child() {
    // For programs that do not call it themselves: the child must not believe that it has the exporter's thread.
    sentinel_core::fork::mark();
    for place in &LOCK_TABLE {
        let word = place.swap(EMPTY_ENTRY, Ordering::SeqCst);
        if word != EMPTY_ENTRY {
            // SAFETY: close(2) is allowed between fork and anything else. The descriptor is open: an entry of the table is closed
            // only by the thread that takes it out, and no other thread runs in this process. Its owner will not use it
            // (`is_ours`).
            unsafe { libc::close((word as u32).cast_signed()) };
        }
    }
    FORKS_ENDED.store(FORKS_BEGUN.load(Ordering::SeqCst), Ordering::SeqCst);
}

/// Registers the handlers once a process, and again where that failed. Two first callers at the same time register them twice, which
/// does no harm. A mutex here could be inherited locked by a child.
fn watch_forks() -> Result<(), Errno> {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if !WATCHED.load(Ordering::Acquire) {
        // SAFETY: the handlers do atomic operations on statics and close(2), which are allowed there; they neither allocate, lock
        // nor unwind, and stay where they are: neither a program nor the bindings, linked to stay, are unloaded.
        let failed = unsafe { libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child)) };
        if failed != 0 {
            return Err(Errno::from_raw_os_error(failed));
        }
        WATCHED.store(true, Ordering::Release);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, OFlags, openat};

    fn open(path: &std::path::Path) -> Result<OwnedFd, Errno> {
        openat(CWD, path, OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)
    }

    #[test]
    fn one_holds_it_and_another_follows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = FileLock::take(|| open(&path)).unwrap();
        assert_eq!(FileLock::take(|| open(&path)).unwrap_err(), LockRefused::Held);
        assert!(first.is_ours());
        drop(first);
        let second = FileLock::take(|| open(&path)).unwrap();
        let place = open(dir.path().join("lock").as_path())
            .map(|_| rustix::fs::open(dir.path(), OFlags::RDONLY, Mode::empty()));
        let place = place.unwrap().unwrap();
        assert!(second.is_at(&place, "lock"));
        std::fs::remove_file(&path).unwrap();
        assert!(!second.is_at(&place, "lock"));
    }

    #[test]
    fn a_copy_outside_the_table_does_not_keep_it() {
        // As in a child that was made by a bare system call.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = FileLock::take(|| open(&path)).unwrap();
        let copy = lock.fd.as_ref().unwrap().try_clone().unwrap();
        drop(lock);
        assert!(FileLock::take(|| open(&path)).is_ok());
        drop(copy);
    }

    #[test]
    fn an_object_whose_descriptor_is_gone_closes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let lock = FileLock::take(|| open(&dir.path().join("lock"))).unwrap();
        // The same as the handler does in a child, for this lock alone.
        let number = lock.fd.as_ref().unwrap().as_raw_fd();
        assert_eq!(lock.place.swap(EMPTY_ENTRY, Ordering::SeqCst), lock.word);
        assert!(!lock.is_ours());
        drop(lock);
        // SAFETY: no other owner: the descriptor was taken out of the table, and its lock object has let it go. It is open, or this
        // fails.
        let still = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(number) };
        assert!(fstat(&still).is_ok());
    }
}
