//! Definitions that know no tenant: time, locks, bytes, units and errors.
//!
//! | file | content |
//! |---|---|
//! | `error` | the typed errors of the crate: field, value, allowed range |
//! | `clock` | the system's clock and the manual one |
//! | `grid` | slot numbers and their boundaries in Unix ms |
//! | `civil` | calendar dates and times of day in UTC |
//! | `duration`, `units` | durations, sizes, percentages and counts as people read and write them |
//! | `lock`, `sync` | the lock of a stripe; the other locks and atomics, or those of the model checker |
//! | `fork` | the generation of this process: how many forks made it |
//! | `panics` | switches the bindings off after three panics |
//! | `budget` | the byte budget: reserved before memory grows |
//! | `bytes` | short byte strings, compared and mixed by words |
//! | `leb`, `wire` | LEB128 numbers; the frame of every wire form |
//! | `wilson` | lower end of the Wilson score interval |

pub(crate) mod budget;
pub(crate) mod bytes;
pub mod civil;
pub(crate) mod clock;
pub(crate) mod duration;
pub(crate) mod error;
pub mod fork;
pub(crate) mod grid;
pub(crate) mod lock;
pub mod panics;
pub(crate) mod sync;
pub(crate) mod units;
pub(crate) mod wilson;
pub(crate) mod wire;
