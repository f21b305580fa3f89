//! Errors of the directory and its files; each names the file, what is in the way and what is allowed.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Reason why a directory cannot be trusted or used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The directory is a link: another user may have chosen where the files go.
    #[error("{path}: a symbolic link is not allowed; allowed: a directory")]
    Link {
        /// The directory.
        path: PathBuf,
    },
    /// The name belongs to something else than a directory.
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
        /// User id of its owner.
        owner: u32,
        /// This process's user id.
        expected: u32,
    },
    /// Other users may read or write it.
    #[error("{path}: mode {mode:o} is not allowed; allowed: 700, nothing for group and others")]
    Open {
        /// The directory.
        path: PathBuf,
        /// Permission bits of the directory.
        mode: u32,
    },
    /// The system refuses an operation.
    #[error("{path}: cannot {doing} the directory: {kind}")]
    Refused {
        /// The directory.
        path: PathBuf,
        /// The operation that was tried.
        doing: &'static str,
        /// The error of the system.
        kind: io::ErrorKind,
    },
}

/// Reason why a store could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory for the files cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The bytes are more than other processes would read.
    #[error("{file}: {bytes} bytes are not allowed; allowed: at most {most}")]
    TooLarge {
        /// The file that was to be written.
        file: String,
        /// Size in bytes.
        bytes: usize,
        /// The largest size, in bytes.
        most: usize,
    },
    /// The system refuses an operation: full, read-only, out of descriptors.
    #[error("{file}: cannot {doing} it: {kind}")]
    File {
        /// The file, or `.` for the directory itself.
        file: String,
        /// The operation that was tried.
        doing: &'static str,
        /// The error of the system.
        kind: io::ErrorKind,
    },
    /// The lock that marks this process as alive, or as the leader, cannot be had.
    #[error("{file}: no lock: {why}")]
    Lock {
        /// The file of the lock.
        file: String,
        /// The obstacle.
        why: &'static str,
    },
}
