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
