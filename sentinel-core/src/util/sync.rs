//! What threads meet at, beside the stripes' `lock`: the standard library's, or under `sentinel_loom` the model checker's, which
//! tries every order that these allow.

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
