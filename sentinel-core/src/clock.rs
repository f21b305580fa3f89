//! Where `now` comes from. Algorithms never read a clock: they are given the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The clock that stamps events without a time of their own and answers "now" for queries.
///
/// ```
/// use sentinel_core::{Clock, Sentinel};
///
/// let sentinel = Sentinel::builder().clock(Clock::manual(1_700_000_000_000)).build()?;
/// sentinel.tick(1_700_000_005_000); // moves a manual clock
/// assert_eq!(sentinel.now_ms(), 1_700_000_005_000);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System { started: Instant, wall_at_start: Arc<AtomicI64> },
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's time, driven by the monotonic clock: it follows the wall clock forward and never goes back.
    ///
    /// ```
    /// # use sentinel_core::Clock;
    /// assert!(Clock::system().now_ms() > 1_700_000_000_000);
    /// ```
    pub fn system() -> Self {
        Self(Source::System { started: Instant::now(), wall_at_start: Arc::new(AtomicI64::new(wall_ms())) })
    }

    /// A clock that stands at `start_ms` (Unix milliseconds) until somebody ticks: for tests and for replays.
    ///
    /// ```
    /// # use sentinel_core::Clock;
    /// assert_eq!(Clock::manual(42).now_ms(), 42);
    /// ```
    pub fn manual(start_ms: i64) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start_ms))))
    }

    /// Unix milliseconds.
    ///
    /// ```
    /// # use sentinel_core::Clock;
    /// let clock = Clock::system();
    /// assert!(clock.now_ms() <= clock.now_ms());
    /// ```
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System { started, wall_at_start } => {
                wall_at_start.load(Ordering::Relaxed) + started.elapsed().as_millis() as i64
            }
            Source::Manual(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Now, to measure from.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { at_ms: self.now_ms(), instant: Instant::now() }
    }

    /// The time since a stamp, by the monotonic clock where there is one.
    pub(crate) fn since(&self, stamp: &Stamp) -> Duration {
        match &self.0 {
            Source::System { .. } => stamp.instant.elapsed(),
            Source::Manual(now) => {
                Duration::from_millis(now.load(Ordering::Relaxed).saturating_sub(stamp.at_ms).max(0) as u64)
            }
        }
    }

    /// Told the time: a manual clock moves there, the system's follows the wall clock where that has run ahead (suspend).
    /// Gives the time that it is.
    pub(crate) fn tick(&self, now_ms: i64) -> i64 {
        match &self.0 {
            Source::System { started, wall_at_start } => {
                wall_at_start.fetch_max(wall_ms() - started.elapsed().as_millis() as i64, Ordering::Relaxed);
                now_ms.min(self.now_ms())
            }
            Source::Manual(now) => {
                now.fetch_max(now_ms, Ordering::Relaxed);
                now_ms
            }
        }
    }
}

/// A moment to measure from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) at_ms: i64,
    instant: Instant,
}

fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as i64)
}
