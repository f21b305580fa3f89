//! Where `now` comes from. Algorithms never read a clock: they are given the time.

use crate::util::sync::{AtomicI64, Ordering};
use std::sync::Arc;
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
    /// What the wall clock is ahead of the monotonic one, in ms.
    System {
        ahead: Arc<AtomicI64>,
    },
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's time, driven by the monotonic clock: at each tick or query it follows the wall clock forward, and back
    /// when that was set back by more than a minute.
    ///
    /// ```
    /// # use sentinel_core::Clock;
    /// assert!(Clock::system().now_ms() > 1_700_000_000_000);
    /// ```
    pub fn system() -> Self {
        Self(Source::System { ahead: Arc::new(AtomicI64::new(wall_ms() - monotonic_ms())) })
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
    #[inline]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System { ahead } => ahead.load(Ordering::Relaxed) + monotonic_ms(),
            Source::Manual(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Now, to measure from.
    pub(crate) fn stamp(&self) -> Stamp {
        match &self.0 {
            Source::System { .. } => Stamp::System(Instant::now()),
            Source::Manual(now) => Stamp::Manual(now.load(Ordering::Relaxed)),
        }
    }

    /// The time since a stamp, by the monotonic clock where there is one.
    pub(crate) fn since(&self, stamp: &Stamp) -> Duration {
        match (&self.0, stamp) {
            (Source::Manual(now), Stamp::Manual(at_ms)) => {
                Duration::from_millis(now.load(Ordering::Relaxed).saturating_sub(*at_ms).max(0) as u64)
            }
            (_, Stamp::System(instant)) => instant.elapsed(),
            // No clock stamps for another.
            (Source::System { .. }, Stamp::Manual(_)) => Duration::ZERO,
        }
    }

    /// The time, after a look at the wall clock: the system's clock follows it where it has run ahead (a suspended machine), and
    /// where it was set back by more than a minute.
    pub(crate) fn sync(&self) -> i64 {
        if let Source::System { ahead } = &self.0 {
            let (wall, now_ms) = (wall_ms(), self.now_ms());
            if wall > now_ms || wall < now_ms - SET_BACK_MS {
                ahead.store(wall - monotonic_ms(), Ordering::Relaxed);
            }
        }
        self.now_ms()
    }

    /// Any time at all, for tests: a manual clock only.
    #[cfg(test)]
    pub(crate) fn set(&self, now_ms: i64) {
        if let Source::Manual(now) = &self.0 {
            now.store(now_ms, Ordering::Relaxed);
        }
    }

    /// Told the time: only a manual clock listens.
    pub(crate) fn tick(&self, now_ms: i64) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_max(now_ms, Ordering::Relaxed);
        }
    }
}

/// Smaller steps back are the wall clock being adjusted: time goes on at its pace.
const SET_BACK_MS: i64 = 60_000;

/// A moment to measure from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stamp {
    System(Instant),
    /// Unix ms.
    Manual(i64),
}

/// The monotonic clock, which need not be finer than slots are long: the coarse one (1 to 4 ms) takes a third of the time of
/// the fine one, and a request reads it.
#[cfg(target_os = "linux")]
#[inline]
fn monotonic_ms() -> i64 {
    // It cannot fail where the clock exists, which is everywhere on Linux.
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or(0, |now| now.tv_sec() * 1_000 + now.tv_nsec() / 1_000_000)
}

#[cfg(not(target_os = "linux"))]
fn monotonic_ms() -> i64 {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    STARTED.get_or_init(Instant::now).elapsed().as_millis() as i64
}

fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as i64)
}
