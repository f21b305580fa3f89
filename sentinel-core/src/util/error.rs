//! Typed errors: each names the field, the given value and the allowed values.

use thiserror::Error;

/// A configuration value that cannot be used.
///
/// ```
/// use sentinel_core::Sentinel;
/// use std::time::Duration;
///
/// let error = Sentinel::builder().slot(Duration::from_secs(7)).build().unwrap_err();
/// assert_eq!(error.field, "window");
/// assert_eq!(error.to_string(), "window: 600 s is not allowed; allowed: a multiple of the slot (7 s)");
/// ```
#[derive(Debug, Clone, Error)]
#[error("{field}: {value} is not allowed; allowed: {allowed}")]
#[non_exhaustive]
pub struct ConfigError {
    /// The option, as the builder spells it, or the environment variable.
    pub field: String,
    /// The given value, as text.
    pub value: String,
    /// The allowed range or form.
    pub allowed: String,
    /// `value` may repeat text that somebody wrote, which may be a secret in the wrong place.
    repeats_text: bool,
}

/// `value` of an error about a secret.
const HIDDEN: &str = "a value that is not shown";

impl ConfigError {
    /// Makes an error in the crates around this one, so that all of them word such errors in the same way. `value` may be
    /// text that somebody wrote: [`without_text`](Self::without_text) hides it.
    ///
    /// ```
    /// let error = sentinel_core::ConfigError::new("limit", "0", "1 to 100");
    /// assert_eq!(error.to_string(), "limit: 0 is not allowed; allowed: 1 to 100");
    /// ```
    pub fn new(field: &str, value: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { field: field.into(), value: value.into(), allowed: allowed.into(), repeats_text: true }
    }

    /// The same for a `value` that repeats no text of anybody: a number, a duration, a count, or words of the program.
    ///
    /// ```
    /// use sentinel_core::ConfigError;
    ///
    /// assert_eq!(ConfigError::plain("limit", "0", "1 to 100").without_text().value, "0");
    /// ```
    pub fn plain(field: &str, value: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { repeats_text: false, ..Self::new(field, value, allowed) }
    }

    /// The same for a secret: nothing of it is shown.
    ///
    /// ```
    /// use sentinel_core::ConfigError;
    ///
    /// assert_eq!(ConfigError::hidden("url", "https://").value, "a value that is not shown");
    /// ```
    pub fn hidden(field: &str, allowed: impl Into<String>) -> Self {
        Self::plain(field, HIDDEN, allowed)
    }

    /// The error under another name: that of a variable, or of the option that the value was given for.
    ///
    /// ```
    /// let error = sentinel_core::parse_duration("soon").unwrap_err().named("SENTINEL_WINDOW");
    /// assert_eq!(error.field, "SENTINEL_WINDOW");
    /// ```
    #[must_use]
    pub fn named(self, field: &str) -> Self {
        Self { field: field.into(), ..self }
    }

    /// The error as whoever reads the table around the option names it. The table itself has an empty name, an item of
    /// a list one such as `[2]`.
    ///
    /// ```
    /// use sentinel_core::ConfigError;
    ///
    /// let error = ConfigError::new("url", "none", "one").within("[2]").within("sinks").within("alerts");
    /// assert_eq!(error.field, "alerts.sinks[2].url");
    /// assert_eq!(ConfigError::new("", "7", "a table").within("alerts").field, "alerts");
    /// ```
    #[must_use]
    pub fn within(self, table: &str) -> Self {
        let dot = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        Self { field: format!("{table}{dot}{}", self.field), ..self }
    }

    /// The error without any text that somebody wrote, for a program whose options may hold a secret in the wrong place.
    ///
    /// ```
    /// use sentinel_core::ConfigError;
    ///
    /// assert_eq!(ConfigError::new("name", "hunter2", "a name").without_text().value, "a value that is not shown");
    /// ```
    #[must_use]
    pub fn without_text(self) -> Self {
        if self.repeats_text { Self { value: HIDDEN.into(), repeats_text: false, ..self } } else { self }
    }
}

/// Equal where they read alike.
impl PartialEq for ConfigError {
    fn eq(&self, other: &Self) -> bool {
        (&self.field, &self.value, &self.allowed) == (&other.field, &other.value, &other.allowed)
    }
}

impl Eq for ConfigError {}

/// Bytes that are not a block of this format. Decoding is total: any bytes give a block or one of these.
///
/// ```
/// use sentinel_core::{Block, DecodeError};
///
/// assert_eq!(Block::decode(b"").unwrap_err(), DecodeError::Truncated { at: 0 });
/// assert!(matches!(Block::decode(&[7; 64]).unwrap_err(), DecodeError::Magic { .. }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the block ends.
    #[error("block ends early, at byte {at}")]
    Truncated {
        /// Offset of the end, in bytes.
        at: usize,
    },
    /// The first bytes are not those of a block.
    #[error("not a block: starts with {found:02x?}, a block starts with {expected:02x?}")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
        /// The first four bytes of every block.
        expected: [u8; 4],
    },
    /// The block was written in a version of the format that this library does not read.
    #[error("block version {found} is not readable; readable: {readable}")]
    Version {
        /// The version in the bytes.
        found: u8,
        /// The version that can be read.
        readable: u8,
    },
    /// The checksum (CRC-32) does not match: the bytes were cut or altered.
    #[error("block checksum is {found:08x}, its bytes give {expected:08x}")]
    Checksum {
        /// The checksum in the bytes.
        found: u32,
        /// The checksum of the bytes.
        expected: u32,
    },
    /// A field holds a value that no block can hold.
    #[error("block field {field}: {value} is not allowed; allowed: {allowed}")]
    Invalid {
        /// Name of the field.
        field: &'static str,
        /// Value in the bytes.
        value: u64,
        /// The allowed range or form.
        allowed: &'static str,
    },
}

/// A block that cannot become part of this window.
///
/// ```
/// use sentinel_core::{Block, Clock, MergeError, Sentinel};
/// use std::time::Duration;
///
/// let here = Sentinel::builder().clock(Clock::manual(0)).build()?;
/// let there = Sentinel::builder().clock(Clock::manual(0)).slot(Duration::from_secs(5)).build()?;
/// there.record(sentinel_core::Event { tenant: b"acme", endpoint: "/", status: 200, ..Default::default() });
/// let error = here.merge(there.blocks().remove(0)).unwrap_err();
/// assert_eq!(error, MergeError::Slots { found_ms: 5_000, expected_ms: 10_000 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The block was cut with slots of another length or alignment.
    #[error("block slots are {found_ms} ms long or not aligned; allowed: aligned slots of {expected_ms} ms")]
    Slots {
        /// Slot length of the block, in milliseconds.
        found_ms: u64,
        /// Slot length of this window, in milliseconds.
        expected_ms: u64,
    },
    /// The block is older than the window or lies in the future.
    #[error("block starts at {start_ms}; allowed: {from_ms} to {to_ms} (Unix ms)")]
    OutsideWindow {
        /// Start of the block, Unix ms.
        start_ms: i64,
        /// Start of the window, Unix ms.
        from_ms: i64,
        /// Start of the open slot, Unix ms.
        to_ms: i64,
    },
    /// Blocks of other sources use up their share of the budget.
    #[error("no room for a further block; allowed: {budget} bytes of blocks")]
    Full {
        /// Bytes that blocks may take.
        budget: usize,
    },
    /// The block is from this very sentinel, which has counted its events already.
    #[error("block of source {found:016x} is this sentinel's own; allowed: blocks of other sources")]
    OwnBlock {
        /// Source id of the block and of this sentinel.
        found: u64,
    },
}
