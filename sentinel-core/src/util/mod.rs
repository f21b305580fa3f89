//! Definitions that know no tenant: time, locks, bytes, units and errors.

pub(crate) mod budget;
pub(crate) mod bytes;
pub(crate) mod civil;
pub(crate) mod clock;
pub(crate) mod duration;
pub(crate) mod error;
pub mod fork;
pub(crate) mod grid;
pub(crate) mod leb;
pub(crate) mod lock;
pub mod panics;
pub(crate) mod sync;
pub(crate) mod units;
pub(crate) mod wire;
