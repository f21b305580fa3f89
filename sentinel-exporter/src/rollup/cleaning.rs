//! Clean-up, slot by slot: the blocks of a dead process stay as long as a window may ask for them, and not longer.
//!
//! The file of a slot is removed when the slot has left the window by twice its length *and* the process that wrote it is dead; a
//! live process removes its own files when it publishes. So neither the death of a worker nor the start of the next one takes
//! counts away. Each call does a bounded amount of work, and the next process that collects goes on.

use super::listing::{ListedSlot, Listing};
use super::reading::FileStamp;
use crate::host_dir::{FileIdentity, Name, writing};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, openat, statat};
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

/// Time that a slot stays after it has left the window, in lengths of a slot: another process may be late by the open slot, and by
/// one tick.
const GRACE_SLOTS: i64 = 2;
/// A slot that begins so long after the start of the window was written before the clock was set back. No window is longer
/// than a day.
const MAX_AHEAD_MS: i64 = 2 * 86_400_000;
/// A temporary file of this age was abandoned: no process writes a file for so long.
const ABANDONED_AFTER_NS: i128 = 60_000_000_000;

/// Whether no window that begins at `oldest_ms` or later includes this slot.
pub(crate) fn has_left(from_ms: i64, to_ms: i64, oldest_ms: i64) -> bool {
    let grace = to_ms.saturating_sub(from_ms).saturating_mul(GRACE_SLOTS);
    to_ms.saturating_add(grace) <= oldest_ms || from_ms > oldest_ms.saturating_add(MAX_AHEAD_MS)
}

/// Removes up to `most` files that nobody needs. `held` has the sources that are known to be alive (true) or dead (false).
pub(crate) fn clean(
    dir: BorrowedFd<'_>,
    listing: &mut Listing,
    held: &BTreeMap<u64, bool>,
    own: Option<u64>,
    oldest_ms: i64,
    most: usize,
) -> usize {
    let dead = |source: &u64| held.get(source) == Some(&false);
    let mut removed = 0;
    for &ListedSlot { to_ms, source, from_ms } in &listing.slots {
        if removed >= most {
            return removed;
        }
        let may = dead(&source) || own == Some(source);
        if may
            && has_left(from_ms, to_ms, oldest_ms)
            && writing::remove(dir, Name::Block { source, from_ms, to_ms }).is_ok()
        {
            removed += 1;
            if let Some(files) = listing.sources.get_mut(&source) {
                files.slots -= 1;
            }
        }
    }
    for (&source, files) in &listing.sources {
        if removed >= most {
            return removed;
        }
        if !dead(&source) {
            continue;
        }
        if files.live && writing::remove(dir, Name::Live { source }).is_ok() {
            removed += 1;
        }
        // When not all names were read, slots of the source may be among the others.
        if files.lock && files.slots == 0 && !listing.cut && remove_free_lock(dir, Name::Lock { source }) {
            removed += 1;
        }
    }
    for &name in &listing.temporary {
        if removed >= most {
            return removed;
        }
        let Name::Temporary { source, .. } = name else { continue };
        let lives = held.get(&source) == Some(&true) && own != Some(source);
        if !lives && (own == Some(source) || abandoned(dir, name)) && writing::remove(dir, name).is_ok() {
            removed += 1;
        }
    }
    removed
}

/// Whether a file was written long ago, or in the future.
fn abandoned(dir: BorrowedFd<'_>, name: Name) -> bool {
    let stat = statat(dir, name.to_string(), AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| FileStamp::from(&stat).age_ns().abs() > ABANDONED_AFTER_NS)
}

/// Removes the file of a free lock. The lock is held meanwhile, and the file must still be the one that was opened: its owner may
/// come back at the same moment.
fn remove_free_lock(dir: BorrowedFd<'_>, name: Name) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(fd) = openat(dir, name.to_string(), flags, Mode::empty()) else { return false };
    let Ok(opened) = fstat(&fd) else { return false };
    if flock(&fd, FlockOperation::NonBlockingLockShared).is_err() {
        return false;
    }
    let named = statat(dir, name.to_string(), AtFlags::SYMLINK_NOFOLLOW);
    let same = named.is_ok_and(|named| FileIdentity::from(&named) == FileIdentity::from(&opened));
    same && writing::remove(dir, name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_outlives_the_window_by_two_of_its_length() {
        assert!(!has_left(0, 10, 10));
        assert!(!has_left(0, 10, 29));
        assert!(has_left(0, 10, 30));
        assert!(!has_left(MAX_AHEAD_MS + 30, MAX_AHEAD_MS + 40, 30));
        assert!(has_left(MAX_AHEAD_MS + 31, MAX_AHEAD_MS + 40, 30));
        assert!(!has_left(i64::MIN, i64::MAX, 0));
    }
}
