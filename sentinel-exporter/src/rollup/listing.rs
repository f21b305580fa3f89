//! The files of the directory, by name only, up to a limit.

use crate::host_dir::Name;
use rustix::fs::Dir;
use rustix::io::Errno;
use std::collections::{BTreeMap, HashSet};
use std::os::fd::BorrowedFd;

/// Names of other programs that are remembered, so that each counts once.
const MAX_STRANGE_NAMES: usize = 4_096;

/// Files of one source.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceFiles {
    pub(crate) slots: usize,
    pub(crate) live: bool,
    pub(crate) lock: bool,
}

/// The file of a slot, as its name says. The order is that of the fields: by end, then source, then start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListedSlot {
    /// End of the slot (exclusive), Unix ms.
    pub(crate) to_ms: i64,
    pub(crate) source: u64,
    /// Start of the slot, Unix ms.
    pub(crate) from_ms: i64,
}

/// The names in a directory, sorted by kind.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) sources: BTreeMap<u64, SourceFiles>,
    /// Sorted.
    pub(crate) slots: Vec<ListedSlot>,
    pub(crate) temporary: Vec<Name>,
    /// Checksums of names that this library does not give.
    pub(crate) strange: HashSet<u32>,
    /// Whether there are more names than were read.
    pub(crate) cut: bool,
}

impl Listing {
    /// Reads up to `most` names.
    pub(crate) fn read(dir: BorrowedFd<'_>, most: usize) -> Result<Self, Errno> {
        let mut listing = Self::default();
        for (i, entry) in Dir::read_from(dir)?.enumerate() {
            if i >= most {
                listing.cut = true;
                break;
            }
            listing.add(entry?.file_name().to_bytes());
        }
        listing.slots.sort_unstable();
        Ok(listing)
    }

    fn add(&mut self, name: &[u8]) {
        if matches!(name, b"." | b"..") {
            return;
        }
        match Name::parse(name) {
            Some(Name::Block { source, from_ms, to_ms }) => {
                self.sources.entry(source).or_default().slots += 1;
                self.slots.push(ListedSlot { to_ms, source, from_ms });
            }
            Some(Name::Lock { source }) => self.sources.entry(source).or_default().lock = true,
            Some(Name::Live { source }) => self.sources.entry(source).or_default().live = true,
            Some(name @ Name::Temporary { .. }) => self.temporary.push(name),
            None if self.strange.len() < MAX_STRANGE_NAMES => {
                self.strange.insert(crc32fast::hash(name));
            }
            Some(
                Name::Baseline
                | Name::Leader
                | Name::Alerting
                | Name::Alerts
                | Name::State
                | Name::Probing
                | Name::Checks { .. },
            )
            | None => {}
        }
    }
}
