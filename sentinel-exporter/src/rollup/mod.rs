//! The rollup store: each process of a host publishes the blocks that it counted, and collects the blocks that the others published.
//!
//! The unit is a *slot of a source*, cumulative: a block that is published again replaces the one before, so a repeated publication
//! counts nothing twice. The blocks of a process stay when it dies, until their slots leave the window, so counts do not step back.
//!
//! - this file: the trait [`RollupStore`] and its arguments
//! - `directory`: the store as a directory of files; `host_dir/` has the directory itself
//! - `listing`, `reading`, `cleaning`: list the files, read those that changed, remove those that nobody needs
//! - `frame`: the form that the bytes of a file must have
//! - `skipped`: files that were not believed, counted by reason

#[cfg(unix)]
mod cleaning;
#[cfg(unix)]
mod directory;
mod frame;
#[cfg(unix)]
mod listing;
#[cfg(unix)]
mod reading;
mod skipped;

#[cfg(unix)]
pub use directory::{Directory, Limits};
pub use frame::{Kind, check_block, frame, unframe};
pub use skipped::{Reason, Skipped};

#[cfg(unix)]
pub use crate::host_dir::Place;
pub use crate::host_dir::{Name, PlaceError, StoreError};

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
    /// Bytes of `Block::encode`: all that was counted in the slot so far, not the difference.
    pub bytes: &'a [u8],
}

/// One publication of one process.
///
/// ```
/// use sentinel_exporter::rollup::Publication;
///
/// let nothing_new = Publication { source: 0xacce, slots: &[], live: b"", oldest_ms: 1_700_000_000_000 };
/// assert!(nothing_new.slots.is_empty());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// Number of the process, from `Block::source`.
    pub source: u64,
    /// The slots that changed since the last publication that succeeded; all slots of the window the first time.
    pub slots: &'a [Slot<'a>],
    /// Requests in flight, and whatever else is true only while the process lives. The store does not read it.
    pub live: &'a [u8],
    /// Start of the window, Unix ms: slots that end at or before it have left the window.
    pub oldest_ms: i64,
}

/// Result of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what is lost has to be published again"]
pub struct Published {
    /// Whether other processes can read every slot of the window that was ever published for this source. When not, files were
    /// removed (by a clean-up of `/tmp`, or at the end of a login session): publish all slots of the window next time.
    pub complete: bool,
}

/// One item that another process has published, lent during the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found<'a> {
    /// A slot, new or changed since the last collection. It replaces the former block of the same source and slot.
    Slot {
        /// The process that counted it, alive or dead.
        source: u64,
        /// Start of the slot, Unix ms.
        from_ms: i64,
        /// End of the slot (exclusive), Unix ms.
        to_ms: i64,
        /// A block. Its checksum is right; `Block::decode` checks the rest.
        bytes: &'a [u8],
    },
    /// Requests that a live process has in flight; shown in each collection.
    Live {
        /// The process.
        source: u64,
        /// Bytes as they were published.
        bytes: &'a [u8],
    },
}

/// Summary of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Live processes, this one included when it has published.
    pub sources: usize,
    /// Files skipped since the store was made.
    pub skipped: Skipped,
}

/// A store through which the processes of a service share their blocks. One object serves one sentinel, on one thread at a time.
pub trait RollupStore: Send {
    /// Makes the blocks of this process readable to the others, and removes its own slots that have left the window.
    ///
    /// # Errors
    /// A [`StoreError`]; then publish the same slots again. Earlier publications stay as they are.
    fn publish(&mut self, publication: &Publication<'_>) -> Result<Published, StoreError>;

    /// Shows `each` what *other* processes published for slots that end after `oldest_ms` (Unix ms), most recent first, and removes
    /// files of dead processes that no window needs.
    ///
    /// # Errors
    /// A [`StoreError`] when nothing can be read at all. Single files that are not to be believed are skipped and counted.
    fn collect(&mut self, oldest_ms: i64, each: &mut dyn FnMut(Found<'_>)) -> Result<Collected, StoreError>;

    /// Forgets which blocks were shown: the next `collect` shows all of them, for a view that begins anew.
    fn forget(&mut self);

    /// Keeps bytes for all processes, in place of those kept before; for the leader's baseline.
    ///
    /// # Errors
    /// A [`StoreError`]; the bytes kept before stay.
    fn remember(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// The bytes that a process has kept last. `None` when there are none, or none to be believed (counted as skipped).
    ///
    /// # Errors
    /// A [`StoreError`] when it cannot be read.
    fn recall(&mut self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Ends the publications of this process. Its slots stay until they leave the window. A later `publish` begins again.
    fn close(&mut self);
}
