//! Why a store cannot do what it is asked; each names what is in the way and what is allowed.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

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
