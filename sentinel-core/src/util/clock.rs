//! The source of `now`. Only this file reads a clock; every algorithm is given the time.
//!
//! ```text
//!  now_ms()  =  monotonic_ms()  +  ahead              (one atomic load, and the coarse clock of the system)
//!                                    ▲
//!  sync(), at each tick and query:   │ wall > now              follow forward: the machine was suspended, or the clock was set on
//!                                    │ wall < now − 60 s       follow back: the clock was set back
//!                                    └ otherwise               leave it: time goes on at its own pace
//! ```
//!
//! **Invariant**: between two calls of `sync` time never goes back, and a latency (`stamp`, `since`) is measured on the monotonic
//! clock alone, so no step of the wall clock can make one negative or hours long.
//!
//! **Why not the wall clock itself?** Time daemons step it back by milliseconds to seconds. Each such step could reopen a slot that is closed.
//! **Why not the monotonic clock alone?** Slots are aligned in UTC, so that the processes of all hosts cut time at the same moments.
//! **Why not follow small steps back?** A process that is ahead of its peers by less than a minute counts its events in slots that
//! they reach later; a process that goes back drops everything and begins anew.

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
    System {
        /// Milliseconds by which the wall clock is ahead of the monotonic one.
        ahead: Arc<AtomicI64>,
    },
    /// Unix ms.
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

    /// A clock that stands at `start_ms` (Unix ms) until [`Sentinel::tick`](crate::Sentinel::tick) moves it: for tests and replays.
    ///
    /// ```
    /// # use sentinel_core::Clock;
    /// assert_eq!(Clock::manual(42).now_ms(), 42);
    /// ```
    pub fn manual(start_ms: i64) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start_ms))))
    }

    /// The time, Unix ms.
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

    /// The present moment, to measure a latency from.
    pub(crate) fn stamp(&self) -> Stamp {
        match &self.0 {
            Source::System { .. } => Stamp::System(Instant::now()),
            Source::Manual(now) => Stamp::Manual(now.load(Ordering::Relaxed)),
        }
    }

    /// The time since a stamp, on the monotonic clock unless the clock is manual.
    pub(crate) fn since(&self, stamp: &Stamp) -> Duration {
        match (&self.0, stamp) {
            (Source::Manual(now), Stamp::Manual(at_ms)) => {
                Duration::from_millis(now.load(Ordering::Relaxed).saturating_sub(*at_ms).max(0) as u64)
            }
            (_, Stamp::System(instant)) => instant.elapsed(),
            // A stamp is read by the clock that made it, so this does not happen.
            (Source::System { .. }, Stamp::Manual(_)) => Duration::ZERO,
        }
    }

    /// Reads the wall clock, follows it as the module says, and returns the time, Unix ms.
    pub(crate) fn sync(&self) -> i64 {
        if let Source::System { ahead } = &self.0 {
            let (wall, now_ms) = (wall_ms(), self.now_ms());
            if wall > now_ms || wall < now_ms - SET_BACK_MS {
                ahead.store(wall - monotonic_ms(), Ordering::Relaxed);
            }
        }
        self.now_ms()
    }

    /// Sets a manual clock to any time, for tests.
    #[cfg(test)]
    pub(crate) fn set(&self, now_ms: i64) {
        if let Source::Manual(now) = &self.0 {
            now.store(now_ms, Ordering::Relaxed);
        }
    }

    /// Moves a manual clock on to `now_ms`, never back. The system clock does not take the time from a caller.
    pub(crate) fn tick(&self, now_ms: i64) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_max(now_ms, Ordering::Relaxed);
        }
    }
}

/// A wall clock that is behind by more than this was set back, and [`Clock::sync`] follows it. A smaller step is an adjustment: the
/// clock does not follow it, and the process stays ahead of its peers by up to this much. `RESTART_BACK_MS` of
/// `engine/closing.rs` (30 s) is less, so that every step back that this clock does follow restarts the engine, whose own time may
/// be ahead of this clock by a slot that a request has opened.
pub(crate) const SET_BACK_MS: i64 = 60_000;

/// A moment to measure a latency from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stamp {
    /// On the monotonic clock.
    System(Instant),
    /// Unix ms.
    Manual(i64),
}

/// Milliseconds on the monotonic clock. The coarse clock (steps of 1 to 4 ms) is fine enough to find a slot of a second or more, and
/// a request reads it in a third of the time of the fine one.
#[cfg(target_os = "linux")]
#[inline]
fn monotonic_ms() -> i64 {
    // The call fails only where this clock does not exist, and Linux has had it since 2.6.32.
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or(0, |now| now.tv_sec() * 1_000 + now.tv_nsec() / 1_000_000)
}

#[cfg(not(target_os = "linux"))]
fn monotonic_ms() -> i64 {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    STARTED.get_or_init(Instant::now).elapsed().as_millis() as i64
}

/// The wall clock, Unix ms.
fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as i64)
}
