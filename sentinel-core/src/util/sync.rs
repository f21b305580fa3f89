//! The mutex and the atomics that threads share, beside the stripes' `lock`: those of the standard library, or under
//! `sentinel_loom` those of the model checker, which tries every order of operations that they allow.

#[cfg(sentinel_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};
#[cfg(not(sentinel_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};
