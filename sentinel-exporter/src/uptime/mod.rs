//! x
mod log;
