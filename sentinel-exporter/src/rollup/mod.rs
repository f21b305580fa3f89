//! What processes tell each other: each publishes what it counted, each collects what the others published.
//!
//! The unit is a *slot of a source*, cumulative: what is published again replaces what was there, so nothing counts twice, whoever
//! retries. What a process published stays when it dies, until its slot leaves the window, so counts do not step back.

#[cfg(unix)]
mod cleaning;
#[cfg(unix)]
mod directory;
mod frame;
#[cfg(unix)]
mod listing;
mod name;
#[cfg(unix)]
mod place;
#[cfg(unix)]
mod reading;
#[cfg(unix)]
mod writing;

#[cfg(unix)]
pub use directory::{Directory, Limits};
pub use frame::{Kind, check_block, frame, unframe};
pub use name::Name;
#[cfg(unix)]
pub use place::Place;
#[cfg(unix)]
pub(crate) use writing::refused;

use serde::Serialize;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// One slot of one source, as it is published.
///
/// ```
/// use sentinel_core::{Clock, Event, Sentinel};
/// use sentinel_exporter::rollup::Slot;
///
/// let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
/// sentinel.record(Event::default());
/// let block = sentinel.blocks().remove(0);
/// let bytes = block.encode();
/// let slot = Slot { from_ms: block.from_ms(), to_ms: block.to_ms(), bytes: &bytes };
/// assert_eq!(slot.to_ms, 10_000);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    /// Start of the slot, Unix ms.
    pub from_ms: i64,
    /// End of the slot (exclusive), Unix ms.
    pub to_ms: i64,
    /// What `Block::encode` gave: all that was counted in the slot so far, not what is new.
    pub bytes: &'a [u8],
}

/// What one process publishes.
///
/// ```
/// use sentinel_exporter::rollup::Publication;
///
/// let nothing_new = Publication { source: 0xacce, slots: &[], live: b"", oldest_ms: 1_700_000_000_000 };
/// assert!(nothing_new.slots.is_empty());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// As `Block::source` says.
    pub source: u64,
    /// The slots that changed since the last publication that succeeded; all of the window the first time.
    pub slots: &'a [Slot<'a>],
    /// What is in flight, and whatever else is true only while the process lives. Opaque here.
    pub live: &'a [u8],
    /// Where the window begins, Unix ms: slots that end at or before this have left it.
    pub oldest_ms: i64,
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what is lost has to be published again"]
pub struct Published {
    /// Others can read every slot of the window that was ever published for this source. When not, somebody removed files (a clean-up
    /// of `/tmp`, the end of a login session): publish all slots of the window next time.
    pub complete: bool,
}

/// What somebody else published, lent while it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found<'a> {
    /// A slot, new or changed since it was found last. It replaces what was found under the same source and slot.
    Slot {
        /// The process that counted it, alive or not.
        source: u64,
        /// Start of the slot, Unix ms.
        from_ms: i64,
        /// End of the slot (exclusive), Unix ms.
        to_ms: i64,
        /// A block; its checksum is right, the rest is for `Block::decode` to say.
        bytes: &'a [u8],
    },
    /// What a process that lives has in flight; given each time.
    Live {
        /// The process.
        source: u64,
        /// As it was published.
        bytes: &'a [u8],
    },
}

/// What a look at everybody else's publications amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Processes that live, this one included when it has published.
    pub sources: usize,
    /// What was skipped since the store was made.
    pub skipped: Skipped,
}

/// Why something is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The checksum is wrong, or it never was one of our files.
    Torn,
    /// It ends early.
    Truncated,
    /// Of a version that this library does not read: another release is running beside this one.
    Version,
    /// It is not of the source, slot or kind that its name says.
    Mismatched,
    /// Larger than any file of ours.
    TooLarge,
    /// A link, pipe, device, socket or directory.
    NotAFile,
    /// It belongs to another user.
    ForeignOwner,
    /// More than is read at once; it is tried again.
    TooMany,
    /// The system does not give it; it is tried again.
    Unreadable,
    /// A name that this library does not give.
    NotOurs,
}

/// How much was skipped, by reason. A file counts once for each state it is seen in; what is tried again counts at each try.
///
/// ```
/// use sentinel_exporter::rollup::{Reason, Skipped};
///
/// let mut skipped = Skipped::default();
/// skipped.count(Reason::Torn);
/// assert_eq!((skipped.torn, skipped.total()), (1, 1));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Skipped {
    /// [`Reason::Torn`].
    pub torn: u64,
    /// [`Reason::Truncated`].
    pub truncated: u64,
    /// [`Reason::Version`].
    pub version: u64,
    /// [`Reason::Mismatched`].
    pub mismatched: u64,
    /// [`Reason::TooLarge`].
    pub too_large: u64,
    /// [`Reason::NotAFile`].
    pub not_a_file: u64,
    /// [`Reason::ForeignOwner`].
    pub foreign_owner: u64,
    /// [`Reason::TooMany`].
    pub too_many: u64,
    /// [`Reason::Unreadable`].
    pub unreadable: u64,
    /// [`Reason::NotOurs`].
    pub not_ours: u64,
}

impl Skipped {
    /// Counts one more; saturates.
    ///
    /// ```
    /// # use sentinel_exporter::rollup::{Reason, Skipped};
    /// # let mut skipped = Skipped::default();
    /// skipped.count(Reason::Version);
    /// assert_eq!(skipped.version, 1);
    /// ```
    pub fn count(&mut self, reason: Reason) {
        self.count_many(reason, 1);
    }

    pub(crate) fn count_many(&mut self, reason: Reason, number: u64) {
        let counter = match reason {
            Reason::Torn => &mut self.torn,
            Reason::Truncated => &mut self.truncated,
            Reason::Version => &mut self.version,
            Reason::Mismatched => &mut self.mismatched,
            Reason::TooLarge => &mut self.too_large,
            Reason::NotAFile => &mut self.not_a_file,
            Reason::ForeignOwner => &mut self.foreign_owner,
            Reason::TooMany => &mut self.too_many,
            Reason::Unreadable => &mut self.unreadable,
            Reason::NotOurs => &mut self.not_ours,
        };
        *counter = counter.saturating_add(number);
    }

    /// Each reason by its name, as it stands in statistics.
    ///
    /// ```
    /// # use sentinel_exporter::rollup::{Reason, Skipped};
    /// # let mut skipped = Skipped::default();
    /// skipped.count(Reason::Torn);
    /// assert_eq!(skipped.by_reason()[0], ("skipped_torn", 1));
    /// ```
    pub fn by_reason(&self) -> [(&'static str, u64); 10] {
        let Self { torn, truncated, version, mismatched, too_large, not_a_file, foreign_owner, .. } = *self;
        let Self { too_many, unreadable, not_ours, .. } = *self;
        [
            ("skipped_torn", torn),
            ("skipped_truncated", truncated),
            ("skipped_version", version),
            ("skipped_mismatched", mismatched),
            ("skipped_too_large", too_large),
            ("skipped_not_a_file", not_a_file),
            ("skipped_foreign_owner", foreign_owner),
            ("skipped_too_many", too_many),
            ("skipped_unreadable", unreadable),
            ("skipped_not_ours", not_ours),
        ]
    }

    /// All of them together; saturates.
    ///
    /// ```
    /// # use sentinel_exporter::rollup::Skipped;
    /// assert_eq!(Skipped::default().total(), 0);
    /// ```
    pub fn total(&self) -> u64 {
        self.by_reason().into_iter().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }
}

/// A directory that cannot be trusted or used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// A link: whoever made it says where the files go.
    #[error("{path}: a symbolic link is not allowed; allowed: a directory")]
    Link {
        /// The directory.
        path: PathBuf,
    },
    /// Something else has its name.
    #[error("{path}: this is not a directory; allowed: a directory, or nothing yet")]
    NotADirectory {
        /// The directory.
        path: PathBuf,
    },
    /// Another user could change what is read.
    #[error("{path}: owner {owner} is not allowed; allowed: {expected}, this process's user")]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Its user id.
        owner: u32,
        /// This process's user id.
        expected: u32,
    },
    /// Others may read or write it.
    #[error("{path}: mode {mode:o} is not allowed; allowed: 700, nothing for group and others")]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system refuses.
    #[error("{path}: cannot {doing} the directory: {kind}")]
    Refused {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        kind: io::ErrorKind,
    },
}

/// Why a store could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no place for the files.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Larger than others would read.
    #[error("{file}: {bytes} bytes are not allowed; allowed: at most {most}")]
    TooLarge {
        /// What was to be written.
        file: String,
        /// Its size, in bytes.
        bytes: usize,
        /// The largest size, in bytes.
        most: usize,
    },
    /// The system refuses: full, read-only, out of descriptors.
    #[error("{file}: cannot {doing} it: {kind}")]
    File {
        /// The file, or `.` for the directory itself.
        file: String,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// The lock that says that this process lives, or leads, cannot be had.
    #[error("{file}: no lock: {why}")]
    Lock {
        /// The lock's file.
        file: String,
        /// What is in the way.
        why: &'static str,
    },
}

/// Where the processes of a service meet. One object for one sentinel, used by one thread at a time.
pub trait RollupStore: Send {
    /// Makes what this process counted readable to the others, and takes away its own slots that have left the window.
    ///
    /// # Errors
    /// A [`StoreError`]; then publish the same slots again. What was published before stays as it is.
    fn publish(&mut self, publication: &Publication<'_>) -> Result<Published, StoreError>;

    /// Shows `each` what *others* published for slots that end after `oldest_ms` (Unix ms), most recent first, and cleans up behind
    /// those that died.
    ///
    /// # Errors
    /// A [`StoreError`] when there is nothing to be read at all. Single files that are not to be believed are skipped and counted.
    fn collect(&mut self, oldest_ms: i64, each: &mut dyn FnMut(Found<'_>)) -> Result<Collected, StoreError>;

    /// Forgets what was found: the next `collect` shows everything, for a view that begins anew.
    fn forget(&mut self);

    /// Keeps bytes for whoever asks, one for all; for the leader's baseline.
    ///
    /// # Errors
    /// A [`StoreError`]; what was kept before stays.
    fn remember(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// What was remembered last, by whomever. `None` when there is nothing, or nothing to be believed (counted as skipped).
    ///
    /// # Errors
    /// A [`StoreError`] when it cannot be read.
    fn recall(&mut self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Says that this process counts no more. Its slots stay until they leave the window. A later `publish` begins again.
    fn close(&mut self);
}
