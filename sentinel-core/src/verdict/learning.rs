//! Knowledge of the time outside a window: the normal rate that the window is compared with, and how well it is known.

/// Knowledge of one side about the time outside one window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Learning {
    /// Normal rate of bad requests of the fleet, `rules::MIN_RATE` to 1, chronic failers left out.
    pub(crate) p0: f64,
    /// Untainted seconds outside the window.
    pub(crate) learned_s: f64,
    /// The same seconds, with those beyond the ring decayed as counts are.
    pub(crate) decayed_s: f64,
    /// Untainted seconds inside and outside the window.
    pub(crate) learned_total_s: f64,
}
