//! The time that a step of the life-cycle accounts for.

use std::time::Duration;

/// The moment of a step, and how much time it accounts for.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_field_names, reason = "the unit")]
pub(super) struct StepTime {
    /// Unix ms.
    pub(super) now_ms: i64,
    /// Milliseconds since the step before; 0 when the clock was set back.
    pub(super) passed_ms: u64,
    /// The part of `passed_ms` in which looks were taken: all of it, or 0 after a step that was too long.
    pub(super) observed_ms: u64,
}

/// `ms` has reached `duration`.
pub(super) fn at_least(ms: u64, duration: Duration) -> bool {
    u128::from(ms) >= duration.as_millis()
}
