//! What a judge has learned of the time outside a window.

/// What is known about the time outside a window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Learning {
    /// The fleet's normal rate, chronic failers left out.
    pub(crate) p0: f64,
    /// Untainted seconds outside the window, as they are and decayed.
    pub(crate) learned_s: f64,
    pub(crate) clock_s: f64,
    /// Untainted seconds ever.
    pub(crate) learned_total_s: f64,
}
