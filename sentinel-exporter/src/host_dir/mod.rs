//! The directory in which the processes of one service on one host meet: its names, its locks, and files that must survive a process.
//!
//! - `service`: the name of a service, which is the name of its directory
//! - `place`: the directory is found, made, and checked before anything in it is believed
//! - `name`: the names of the files in it
//! - `error`: errors that name the file and what is in the way
//! - `flock`: a lock that ends with its process
//! - `leader`: the lock that decides which process leads
//! - `writing`: a file is written whole or not at all
//! - `append`: a file that is only appended to, in frames with checksums
//! - `journal`: values by name in such a file, for alerts

#[cfg(unix)]
pub(crate) mod append;
mod error;
#[cfg(unix)]
mod flock;
#[cfg(unix)]
pub(crate) mod journal;
#[cfg(unix)]
mod leader;
mod name;
#[cfg(unix)]
mod place;
mod service;
#[cfg(unix)]
pub(crate) mod writing;

pub use error::{PlaceError, StoreError};
#[cfg(unix)]
pub(crate) use flock::{FileIdentity, FileLock};
#[cfg(unix)]
pub use leader::Leader;
pub use name::Name;
#[cfg(unix)]
pub(crate) use place::OpenedDir;
#[cfg(unix)]
pub use place::Place;
pub(crate) use service::check_service;
