//! Forked children: a child must never lock, wait for or drop what it inherited.
//!
//! [`mark`] is one atomic operation, so that it can be registered with `pthread_atfork` (child handler only). The next call
//! into any sentinel sees the new generation, forgets the old state and starts from zero with a new source id.
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

/// How many forks lie between this process and the one that first used the library: another number than before is another
/// process, and what was inherited must not be touched.
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
