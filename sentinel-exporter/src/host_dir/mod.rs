//! The directory in which the processes of one service on one host meet: names, locks, the leader's lock, and files that last.

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
