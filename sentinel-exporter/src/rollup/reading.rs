//! Reading the files of other processes: bounded, without waiting, and only files that changed.

use super::{Kind, Reason, Skipped, check_block, unframe};
use crate::host_dir::Name;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, openat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file that changed less than this ago is read again: two changes within one tick of the file system's clock look alike.
const UNSETTLED_NS: i128 = 100_000_000;
/// Bytes that the buffer keeps between two collections.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

/// Identity, size and time of a file: they change when the file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStamp {
    inode: u64,
    size: u64,
    modified_ns: i128,
}

impl From<&Stat> for FileStamp {
    // The types of these fields differ between systems.
    #[allow(clippy::unnecessary_cast)]
    fn from(stat: &Stat) -> Self {
        let modified_ns = i128::from(stat.st_mtime as i64) * 1_000_000_000 + i128::from(stat.st_mtime_nsec as i64);
        Self { inode: stat.st_ino as u64, size: stat.st_size as u64, modified_ns }
    }
}

impl FileStamp {
    /// Age of the last change, in ns; negative when the clock was set back.
    pub(crate) fn age_ns(&self) -> i128 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        now - self.modified_ns
    }
}

/// Reason why a file gives no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadMiss {
    /// The file does not exist (any more).
    Gone,
    Skip(Reason),
}

impl From<Errno> for ReadMiss {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Gone,
            // Errors of O_NOFOLLOW at a link, and of opening a socket.
            Errno::LOOP | Errno::MLINK | Errno::NXIO => Self::Skip(Reason::NotAFile),
            _ => Self::Skip(Reason::Unreadable),
        }
    }
}

/// Checks that this is a plain file of this user, of at most `most` bytes.
fn fit(stat: &Stat, most: u64) -> Result<(), Reason> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Reason::NotAFile);
    }
    if stat.st_uid != geteuid().as_raw() {
        return Err(Reason::ForeignOwner);
    }
    if stat.st_size as u64 > most { Err(Reason::TooLarge) } else { Ok(()) }
}

/// Opens a file without following a link or waiting, and checks the file that was opened.
fn open(dir: BorrowedFd<'_>, name: Name, most: u64) -> Result<(OwnedFd, FileStamp), ReadMiss> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = openat(dir, name.to_string(), flags, Mode::empty())?;
    let stat = fstat(&fd)?;
    fit(&stat, most).map_err(ReadMiss::Skip)?;
    Ok((fd, FileStamp::from(&stat)))
}

/// Reads the whole file.
pub(crate) fn read(dir: BorrowedFd<'_>, name: Name, most: u64, into: &mut Vec<u8>) -> Result<FileStamp, ReadMiss> {
    let (fd, stamp) = open(dir, name, most)?;
    into.clear();
    // At most the size that was checked, should the file grow meanwhile.
    let read = File::from(fd).take(stamp.size).read_to_end(into);
    read.map_err(|_| ReadMiss::Skip(Reason::Unreadable))?;
    if (into.len() as u64) < stamp.size { Err(ReadMiss::Skip(Reason::Truncated)) } else { Ok(stamp) }
}

/// Whether a process holds a lock; `None` when the system does not say.
///
/// The lock is tried as a shared one, so that two processes that look do not take each other for the owner.
pub(crate) fn is_held(dir: BorrowedFd<'_>, name: Name) -> Option<bool> {
    let (fd, _) = match open(dir, name, u64::MAX) {
        Ok(opened) => opened,
        Err(ReadMiss::Gone | ReadMiss::Skip(Reason::NotAFile | Reason::ForeignOwner)) => return Some(false),
        Err(ReadMiss::Skip(_)) => return None,
    };
    match flock(&fd, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Some(false),
        Err(Errno::WOULDBLOCK) => Some(true),
        Err(_) => None,
    }
}

/// State of a file when it was read last.
#[derive(Debug)]
struct SeenFile {
    stamp: FileStamp,
    /// Checksum of the bytes; `None` when they are not to be believed.
    checksum: Option<u32>,
    /// Whether the file was old enough when it was read that a later change has another stamp.
    settled: bool,
    round: u64,
}

/// State of a file at the last collection, compared with now.
struct SeenBefore {
    same_stamp: bool,
    /// See [`SeenFile::checksum`].
    checksum: Option<u32>,
    settled: bool,
}

/// State of the files that were read before, and the limits of the present collection.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    seen: HashMap<Name, SeenFile>,
    round: u64,
    left: u64,
    most: u64,
    buffer: Vec<u8>,
    pub(crate) skipped: Skipped,
}

impl Readings {
    /// Begins a collection that reads `bytes` at most, and no file above `most` bytes.
    pub(crate) fn begin(&mut self, bytes: u64, most: u64) {
        self.round += 1;
        (self.left, self.most) = (bytes, most);
    }

    /// Ends a collection: files that were not looked at in it are gone, and forgotten.
    pub(crate) fn end(&mut self) {
        let round = self.round;
        self.seen.retain(|_, seen| seen.round == round);
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER_BYTES);
    }

    pub(crate) fn forget(&mut self) {
        self.seen.clear();
    }

    /// Reads a block, when it is new or has changed.
    pub(crate) fn changed_block(&mut self, dir: BorrowedFd<'_>, name: Name) -> Option<&[u8]> {
        let Name::Block { source, from_ms, to_ms } = name else { return None };
        self.look(dir, name, false, |bytes| check_block(bytes, source, from_ms, to_ms))?;
        Some(&self.buffer)
    }

    /// Reads a framed file, changed or not.
    pub(crate) fn framed(&mut self, dir: BorrowedFd<'_>, name: Name, kind: Kind) -> Option<&[u8]> {
        self.look(dir, name, true, |bytes| unframe(kind, bytes).map(|_| ()))?;
        unframe(kind, &self.buffer).ok()
    }

    /// Reads a file into the buffer when it has changed, or, with `always`, whenever it can be believed.
    fn look(
        &mut self,
        dir: BorrowedFd<'_>,
        name: Name,
        always: bool,
        check: impl Fn(&[u8]) -> Result<(), Reason>,
    ) -> Option<()> {
        let stat = match statat(dir, name.to_string(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return None,
            Err(_) => return self.skip(Reason::Unreadable),
        };
        let mut stamp = FileStamp::from(&stat);
        let before = self.seen.get_mut(&name).map(|seen| {
            seen.round = self.round;
            SeenBefore { same_stamp: seen.stamp == stamp, checksum: seen.checksum, settled: seen.settled }
        });
        if let Some(SeenBefore { same_stamp: true, checksum, settled: true }) = before
            && !(always && checksum.is_some())
        {
            return None;
        }
        let read = fit(&stat, self.most).map_err(ReadMiss::Skip).and_then(|()| {
            if stamp.size > self.left {
                return Err(ReadMiss::Skip(Reason::TooMany));
            }
            self.left -= stamp.size;
            stamp = read(dir, name, self.most, &mut self.buffer)?;
            check(&self.buffer).map_err(ReadMiss::Skip)
        });
        let (checksum, reason) = match read {
            // The checksum at the end of the file, which is right. A checksum of the whole file with it would always be the same number.
            Ok(()) => (Some(self.buffer.last_chunk().map_or(0, |end| u32::from_le_bytes(*end))), None),
            Err(ReadMiss::Gone) => return None,
            Err(ReadMiss::Skip(reason @ (Reason::TooMany | Reason::Unreadable))) => {
                // The file itself may be good: it was not read.
                self.seen.remove(&name);
                return self.skip(reason);
            }
            Err(ReadMiss::Skip(reason)) => (None, Some(reason)),
        };
        let settled = stamp.age_ns() > UNSETTLED_NS;
        self.seen.insert(name, SeenFile { stamp, checksum, settled, round: self.round });
        if let Some(reason) = reason {
            let known = matches!(before, Some(SeenBefore { same_stamp: true, checksum: None, .. }));
            return if known { None } else { self.skip(reason) };
        }
        let same = before.is_some_and(|before| before.checksum == checksum);
        (always || !same).then_some(())
    }

    fn skip(&mut self, reason: Reason) -> Option<()> {
        self.skipped.count(reason);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::open as open_dir;
    use std::os::fd::AsFd;

    /// The second line of defence: a file that was replaced between the check and the opening.
    #[test]
    fn what_is_opened_is_looked_at_again() {
        let dir = tempfile::tempdir().unwrap();
        let fd = open_dir(dir.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let at = |name: Name| dir.path().join(name.to_string());
        let mut into = Vec::new();
        let mut read = |source| read(fd.as_fd(), Name::Live { source }, 100, &mut into);
        std::fs::write(dir.path().join("elsewhere"), b"elsewhere").unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), at(Name::Live { source: 1 })).unwrap();
        assert_eq!(read(1), Err(ReadMiss::Skip(Reason::NotAFile)));
        let fifo = std::process::Command::new("mkfifo").arg(at(Name::Live { source: 2 })).status();
        assert!(fifo.unwrap().success());
        assert_eq!(read(2), Err(ReadMiss::Skip(Reason::NotAFile)));
        std::fs::create_dir(at(Name::Live { source: 3 })).unwrap();
        assert_eq!(read(3), Err(ReadMiss::Skip(Reason::NotAFile)));
        std::fs::write(at(Name::Live { source: 4 }), [0; 101]).unwrap();
        assert_eq!(read(4), Err(ReadMiss::Skip(Reason::TooLarge)));
        assert_eq!(read(5), Err(ReadMiss::Gone));
        std::fs::write(at(Name::Live { source: 6 }), [7; 100]).unwrap();
        assert!(read(6).is_ok());
        assert_eq!(into, [7; 100]);
    }

    #[test]
    fn who_looks_is_not_taken_for_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let fd = open_dir(dir.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let name = Name::Lock { source: 1 };
        let file = File::create(dir.path().join(name.to_string())).unwrap();
        assert_eq!(is_held(fd.as_fd(), name), Some(false));
        // Another process looks at this moment.
        let (looking, _) = open(fd.as_fd(), name, 0).unwrap();
        flock(&looking, FlockOperation::NonBlockingLockShared).unwrap();
        assert_eq!(is_held(fd.as_fd(), name), Some(false));
        drop(looking);
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(is_held(fd.as_fd(), name), Some(true));
        assert_eq!(is_held(fd.as_fd(), Name::Lock { source: 2 }), Some(false));
    }

    #[test]
    fn equal_stamps_within_a_tick_are_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let fd = open_dir(dir.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let name = Name::Block { source: 1, from_ms: 0, to_ms: 1 };
        let path = dir.path().join(name.to_string());
        let mut readings = Readings::default();
        let mut look = |ok: bool| {
            readings.begin(1_000, 100);
            let found = readings.look(fd.as_fd(), name, false, |_| if ok { Ok(()) } else { Err(Reason::Torn) });
            readings.end();
            (found.is_some(), readings.skipped.torn)
        };
        std::fs::write(&path, b"1111").unwrap();
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(look(true), (true, 0));
        assert_eq!(look(true), (false, 0));
        // The same inode, size and time with other bytes: two quick changes may look like that.
        std::fs::write(&path, b"2222").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(look(true), (true, 0));
        // A file that is old enough is believed by its stamp.
        let old = modified - std::time::Duration::from_secs(10);
        File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        assert_eq!(look(true), (false, 0));
        std::fs::write(&path, b"6666").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        assert_eq!(look(true), (false, 0));
        // A file that is not believed counts once for each state.
        std::fs::write(&path, b"torn").unwrap();
        assert_eq!([look(false), look(false), look(false)], [(false, 1); 3]);
        std::fs::write(&path, b"again").unwrap();
        assert_eq!(look(false), (false, 2));
    }
}
