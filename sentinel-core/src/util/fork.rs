//! The fork generation: a forked child must never lock, wait for or drop state that it inherited.
//!
//! ```text
//!  parent   generation 0 ── record ── record ──────────────────── record ─►  engine of generation 0
//!                              │ fork(): only the calling thread exists in the child
//!  child                       └─► mark(): generation 1 ── record ────────►  new engine, new source id, counts from zero
//! ```
//!
//! A fork copies locks as they are. A thread of the parent may hold one at that moment; that thread does not exist in the child, so
//! the child would wait for ever. And the parent still counts what it counted, so the child must not report it again.
//!
//! **Invariant**: state that an owner made carries the generation in which it was made, and is used only while that equals
//! [`generation`]. State of another generation is leaked with `mem::forget`: dropping it could run into one of those locks.
//!
//! **Why a counter that the child advances, and not the process id?** Each `record` makes this check. A relaxed load costs
//! next to nothing, `getpid` is a system call, and a process id can return after many forks. [`mark`] is one atomic operation, so it is
//! allowed in the child handler of `pthread_atfork`, where few calls are.
//!
//! ```standalone_crate
//! // in the child, before anything else:
//! sentinel_core::fork::mark();
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Call this in a forked child, before it does anything else with a sentinel. Safe in a signal or `pthread_atfork` handler.
///
/// ```standalone_crate
/// use sentinel_core::{Event, Sentinel, fork};
///
/// let sentinel = Sentinel::builder().build()?;
/// sentinel.record(Event::default());
/// let parent = sentinel.source();
/// fork::mark(); // as if this were the child
/// assert_eq!(sentinel.stats().offered, 0);
/// assert_ne!(sentinel.source(), parent);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
pub fn mark() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Number of forks between this process and the one that first used the library. A number that differs from an earlier one means
/// another process: state made under the earlier number must not be touched.
///
/// ```standalone_crate
/// use sentinel_core::fork;
///
/// let before = fork::generation();
/// fork::mark();
/// assert_ne!(fork::generation(), before);
/// ```
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}
