//! The time of a step of the life-cycle.

use std::time::Duration;

/// The moment of a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    pub(super) now_ms: i64,
    /// Milliseconds since the step before; 0 when the clock was set back.
    pub(super) passed: u64,
    /// Those of them during which somebody has looked.
    pub(super) observed: u64,
}

pub(super) fn at_least(ms: u64, duration: Duration) -> bool {
    u128::from(ms) >= duration.as_millis()
}
