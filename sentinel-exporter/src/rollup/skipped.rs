//! Files that were not believed, counted by reason.

use serde::Serialize;

/// Reason why a file is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The checksum is wrong, or this library has not written the file.
    Torn,
    /// The file ends early.
    Truncated,
    /// The file has a version that this library does not read: another release is running beside this one.
    Version,
    /// The source, slot or kind in the file is another one than in its name.
    Mismatched,
    /// The file is larger than any that this library writes.
    TooLarge,
    /// The file is a link, pipe, device, socket or directory.
    NotAFile,
    /// The file belongs to another user.
    ForeignOwner,
    /// The limits of one collection are reached; the file is tried again.
    TooMany,
    /// The system does not let this process read the file; it is tried again.
    Unreadable,
    /// The name is not one that this library gives.
    NotOurs,
}

/// Number of skipped files, by reason. A file counts once for each state it is seen in; one that is tried again counts at each try.
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

    /// Each reason by its name in statistics.
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
