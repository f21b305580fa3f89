//! The lower end of the Wilson score interval: a share that is certain even after few observations.
//!
//! E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American Statistical
//! Association 22 (1927), 209–212. With p the observed share of n observations and z the quantile of the normal distribution:
//!
//! ```text
//! p + z²/2n − z · √( p(1 − p)/n + z²/4n² )
//! ----------------------------------------
//!                1 + z²/n
//! ```
//!
//! Unlike p itself it ranks 100 of 1,000 above 1 of 1; unlike p minus its standard error it stays sound near 0 and 1.

/// Quantile of the two-sided 95 % interval.
const WILSON_Z: f64 = 1.96;

/// The lower end of the interval of a share `p` (0 to 1) that was observed `n` times (above 0; pseudo-observations count too).
/// Rounding may put the result a little below 0.
pub(crate) fn wilson_lower(p: f64, n: f64) -> f64 {
    let z2 = WILSON_Z * WILSON_Z;
    let half = WILSON_Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    (p + z2 / (2.0 * n) - half) / (1.0 + z2 / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_observations_are_worth_less() {
        assert!(wilson_lower(1.0, 1.0) < wilson_lower(1.0, 10.0));
        assert!((wilson_lower(1.0, 50.0) - 0.9286).abs() < 1e-4);
        assert!(wilson_lower(0.0, 50.0).abs() < 1e-12);
    }
}
