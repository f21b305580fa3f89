//! The directory store: one host, no server. Each source has one file a slot, and one lock.
//!
//! ```text
//! <dir>/<service>/   <source>.<from>.<to>.rollup   a block, whole, replaced by renaming
//!                    <source>.lock                 locked (flock) for the life of the source
//!                    <source>.live                 what it has in flight
//!                    baseline   leader.lock        one of each for all
//! ```

use super::cleaning::{clean, has_left};
use super::listing::{ListedSlot, Listing};
use super::reading::{ReadMiss, Readings, is_held, read};
use super::{Collected, Found, Kind, Publication, Published, Reason, RollupStore, frame, unframe};
use crate::host_dir::{FileIdentity, FileLock, Name, OpenedDir, Place, StoreError, writing};
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Limits of one call. The defaults are far above the needs of 64 workers of a service.
///
/// ```
/// use sentinel_exporter::rollup::Limits;
///
/// assert_eq!(Limits::default().file_bytes, 4 << 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a file: a larger one is neither written nor read. Default 4 MiB.
    pub file_bytes: u64,
    /// Names read in a directory. Default 65,536.
    pub names: usize,
    /// Slots looked at in a collection, the most recent ones. Default 16,384.
    pub files: usize,
    /// Bytes read in a collection; the rest is read by the next one. Default 256 MiB.
    pub bytes: u64,
    /// Sources whose locks are tried in a collection; it goes round. Default 1,024.
    pub locks: usize,
    /// Files removed in a collection. Default 1,024.
    pub removals: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_bytes: 4 << 20, names: 65_536, files: 16_384, bytes: 256 << 20, locks: 1_024, removals: 1_024 }
    }
}

/// Files of this process in the directory.
#[derive(Debug)]
struct OwnFiles {
    source: u64,
    lock: Option<FileLock>,
    /// (end, start) of its slots in Unix ms, and whether the file of each is in the directory.
    slots: BTreeMap<(i64, i64), bool>,
}

/// The rollup store of one host.
///
/// ```
/// use sentinel_core::{Block, Clock, Event, Sentinel};
/// use sentinel_exporter::rollup::{Directory, Found, Place, Publication, RollupStore, Slot};
///
/// # let dir = tempfile::tempdir()?;
/// # std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
/// # let dir = dir.path();
/// let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
/// sentinel.record(Event { tenant: b"acme", endpoint: "/", ..Event::default() });
/// let block = sentinel.blocks().remove(0);
///
/// let mut one = Directory::new(Place::new(Some(dir), "shop")?);
/// let slots = [Slot { from_ms: block.from_ms(), to_ms: block.to_ms(), bytes: &block.encode() }];
/// assert!(one.publish(&Publication { source: block.source(), slots: &slots, live: b"", oldest_ms: 0 })?.complete);
///
/// let mut other = Directory::new(Place::new(Some(dir), "shop")?);
/// let mut requests = 0;
/// let collected = other.collect(0, &mut |found| {
///     if let Found::Slot { bytes, .. } = found {
///         requests += Block::decode(bytes).map_or(0, |block| block.requests());
///     }
/// })?;
/// assert_eq!((requests, collected.sources), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Directory {
    place: Place,
    limits: Limits,
    /// The directory that `own` describes.
    at: Option<FileIdentity>,
    own: Option<OwnFiles>,
    readings: Readings,
    strange: HashSet<u32>,
    /// Part of the names of temporary files.
    random: u64,
    /// The source whose lock was tried last.
    tried: u64,
}

impl Directory {
    /// Makes a store that has touched nothing yet.
    ///
    /// ```
    /// use sentinel_exporter::rollup::{Directory, Place};
    ///
    /// let store = Directory::new(Place::new(None, "checkout")?);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self::with_limits(place, Limits::default())
    }

    /// Makes a store with other limits than the default ones.
    ///
    /// ```
    /// use sentinel_exporter::rollup::{Directory, Limits, Place};
    ///
    /// let mut limits = Limits::default();
    /// limits.bytes = 16 << 20;
    /// let store = Directory::with_limits(Place::new(None, "checkout")?, limits);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_limits(place: Place, limits: Limits) -> Self {
        let (readings, strange) = (Readings::default(), HashSet::new());
        let random = RandomState::new().build_hasher().finish();
        Self { place, limits, at: None, own: None, readings, strange, random, tried: 0 }
    }

    /// Opens the directory. When it is another one than before, this process has no files in it.
    fn enter(&mut self) -> Result<OpenedDir, StoreError> {
        let opened = self.place.open()?;
        if self.at != Some(opened.identity) {
            self.at = Some(opened.identity);
            if let Some(own) = &mut self.own {
                own.slots.values_mut().for_each(|there| *there = false);
            }
        }
        Ok(opened)
    }

    /// A name that no other file has: of no other store, child process or container.
    fn temporary(&self) -> Name {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let source = self.source().unwrap_or(self.random ^ u64::from(std::process::id()));
        Name::Temporary { source, number: NUMBER.fetch_add(1, Ordering::Relaxed) }
    }

    fn write(&self, dir: BorrowedFd<'_>, name: Name, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() as u64 > self.limits.file_bytes {
            let most = self.limits.file_bytes as usize;
            return Err(StoreError::TooLarge { file: name.to_string(), bytes: bytes.len(), most });
        }
        writing::write(dir, self.temporary(), name, bytes)
    }

    /// Holds the lock that marks this source as alive.
    fn live_as(&mut self, source: u64, dir: BorrowedFd<'_>) -> Result<(), StoreError> {
        let name = Name::Lock { source };
        if self.own.as_ref().is_none_or(|own| own.source != source) {
            // The source is new, or this is a forked child with the store of its parent.
            self.own = Some(OwnFiles { source, lock: None, slots: BTreeMap::new() });
        }
        let held = self.own.as_ref().and_then(|own| own.lock.as_ref());
        if held.is_some_and(|lock| lock.is_ours() && lock.is_at(dir, &name.to_string())) {
            return Ok(());
        }
        let lock = writing::lock(dir, self.temporary(), name)?;
        if let Some(own) = &mut self.own {
            own.lock = Some(lock);
        }
        Ok(())
    }

    /// The source that this process published last; `None` for a store that was inherited by a fork.
    fn source(&self) -> Option<u64> {
        let own = self.own.as_ref()?;
        own.lock.as_ref().is_none_or(FileLock::is_ours).then_some(own.source)
    }

    /// The source whose lock this process holds.
    fn living(&self) -> Option<u64> {
        let own = self.own.as_ref()?;
        own.lock.as_ref().is_some_and(FileLock::is_ours).then_some(own.source)
    }

    /// Sources by whether their lock is held. Locks beyond the limit are left out, and locks whose state the system does not tell.
    fn held(&mut self, dir: BorrowedFd<'_>, listing: &Listing) -> BTreeMap<u64, bool> {
        let own = self.living();
        let (most, tried) = (self.limits.locks, self.tried);
        let round = listing.sources.range(tried..).skip_while(|(source, _)| **source == tried);
        let mut held = BTreeMap::new();
        for (&source, files) in round.chain(listing.sources.range(..=tried)).take(most) {
            self.tried = source;
            let known = if own == Some(source) {
                Some(true)
            } else if files.lock {
                is_held(dir, Name::Lock { source })
            } else {
                Some(false)
            };
            held.extend(known.map(|held| (source, held)));
        }
        held
    }

    /// Counts names of other programs, each once as long as it is there.
    fn count_strangers(&mut self, listing: &mut Listing) {
        let strange = std::mem::take(&mut listing.strange);
        let new = strange.difference(&self.strange).count();
        self.readings.skipped.count_many(Reason::NotOurs, new as u64);
        self.strange = strange;
        if listing.cut {
            self.readings.skipped.count(Reason::TooMany);
        }
    }

    /// Notes which slots of this process the other processes can read.
    fn look_for_own(&mut self, listing: &Listing) {
        let Some(own) = &mut self.own else { return };
        // A cut listing does not say that a file is missing.
        if !listing.cut {
            for (&(to_ms, from_ms), there) in &mut own.slots {
                *there = listing.slots.binary_search(&ListedSlot { to_ms, source: own.source, from_ms }).is_ok();
            }
        }
    }
}

impl RollupStore for Directory {
    fn publish(&mut self, publication: &Publication<'_>) -> Result<Published, StoreError> {
        let &Publication { source, slots, live, oldest_ms } = publication;
        let opened = self.enter()?;
        let dir = opened.fd.as_fd();
        self.live_as(source, dir)?;
        for &super::Slot { from_ms, to_ms, bytes } in slots {
            self.write(dir, Name::Block { source, from_ms, to_ms }, bytes)?;
            if let Some(own) = &mut self.own {
                own.slots.insert((to_ms, from_ms), true);
            }
        }
        self.write(dir, Name::Live { source }, &frame(Kind::Live, live))?;
        let Some(own) = &mut self.own else { return Ok(Published { complete: true }) };
        // A file that cannot be removed now is tried again.
        own.slots.retain(|&(to_ms, from_ms), _| {
            !has_left(from_ms, to_ms, oldest_ms)
                || writing::remove(dir, Name::Block { source, from_ms, to_ms }).is_err()
        });
        let complete = own.slots.iter().all(|(&(to_ms, _), there)| *there || to_ms <= oldest_ms);
        Ok(Published { complete })
    }

    fn collect(&mut self, oldest_ms: i64, each: &mut dyn FnMut(Found<'_>)) -> Result<Collected, StoreError> {
        let opened = self.enter()?;
        let dir = opened.fd.as_fd();
        let mut listing = Listing::read(dir, self.limits.names).map_err(|error| StoreError::File {
            file: ".".into(),
            doing: "list",
            kind: error.kind(),
        })?;
        self.count_strangers(&mut listing);
        self.look_for_own(&listing);
        let own = self.source();
        let held = self.held(dir, &listing);
        self.readings.begin(self.limits.bytes, self.limits.file_bytes);
        // Live processes come first: the requests they have in flight are small, and no other file has them.
        for (&source, _) in held.iter().filter(|(source, held)| **held && Some(**source) != own) {
            if let Some(bytes) = self.readings.framed(dir, Name::Live { source }, Kind::Live) {
                each(Found::Live { source, bytes });
            }
        }
        let others = listing.slots.iter().rev().filter(|ListedSlot { to_ms, source, from_ms }| {
            *to_ms > oldest_ms && !has_left(*from_ms, *to_ms, oldest_ms) && Some(*source) != own
        });
        for (i, &ListedSlot { to_ms, source, from_ms }) in others.enumerate() {
            if i >= self.limits.files {
                self.readings.skipped.count(Reason::TooMany);
            } else if let Some(bytes) = self.readings.changed_block(dir, Name::Block { source, from_ms, to_ms }) {
                each(Found::Slot { source, from_ms, to_ms, bytes });
            }
        }
        self.readings.end();
        clean(dir, &mut listing, &held, own, oldest_ms, self.limits.removals);
        let living = held.iter().filter(|(source, held)| **held && Some(**source) != own).count();
        Ok(Collected { sources: living + usize::from(self.living().is_some()), skipped: self.readings.skipped })
    }

    fn forget(&mut self) {
        self.readings.forget();
    }

    fn remember(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let opened = self.enter()?;
        self.write(opened.fd.as_fd(), Name::Baseline, &frame(Kind::Baseline, bytes))
    }

    fn recall(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let opened = self.enter()?;
        let mut bytes = Vec::new();
        let read = read(opened.fd.as_fd(), Name::Baseline, self.limits.file_bytes, &mut bytes);
        match read.and_then(|_| unframe(Kind::Baseline, &bytes).map_err(ReadMiss::Skip)) {
            Ok(remembered) => Ok(Some(remembered.to_vec())),
            Err(ReadMiss::Gone) => Ok(None),
            Err(ReadMiss::Skip(reason)) => {
                self.readings.skipped.count(reason);
                Ok(None)
            }
        }
    }

    fn close(&mut self) {
        let Some(own) = &mut self.own else { return };
        let source = own.source;
        // A forked child does not remove the files of its parent.
        if let Some(lock) = own.lock.take()
            && lock.is_ours()
            && let Ok(opened) = self.place.open()
            && Some(opened.identity) == self.at
        {
            let dir = opened.fd.as_fd();
            let _ = writing::remove(dir, Name::Live { source });
            // While slots of the source are there, its lock file must stay too; the last clean-up removes it.
            if own.slots.is_empty() {
                let _ = writing::remove(dir, Name::Lock { source });
            }
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.close();
    }
}
