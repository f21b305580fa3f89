//! The constants of the decision rules, and the two tests that everything rests on.
//!
//! G(e, x) = 2·(e·ln(e/x) − (e − x)) for e > x, else 0: the log-likelihood ratio of a Poisson excess of e over the expectation x.

/// Fleet's error rate before anything is known: (errors + 1) / (requests + 200), at least 1e-4.
pub(crate) const PRIOR_ERRORS: f64 = 1.0;
pub(crate) const PRIOR_REQUESTS: f64 = 200.0;
pub(crate) const MIN_RATE: f64 = 1e-4;
/// A chronic failer: at least 5 baseline errors, at 5 times the fleet's rate.
pub(crate) const CHRONIC_ERRORS: f64 = 5.0;
pub(crate) const CHRONIC_RATIO: f64 = 5.0;
/// Expected errors are capped at 1.5 times the tenant's baseline errors a second, once 60 s are known: a surge is new.
pub(crate) const SURGE: f64 = 1.5;
pub(crate) const SURGE_AFTER_S: f64 = 60.0;
/// Gates on G: of a culprit (plus 2 a natural logarithm of the active tenants), of the rest in an outage, of "it has stopped".
pub(crate) const GATE: f64 = 18.0;
pub(crate) const GATE_PER_LOG_K: f64 = 2.0;
pub(crate) const GATE_REST: f64 = 9.0;
pub(crate) const GATE_NOW: f64 = 10.0;
const CONCENTRATED: f64 = 16.0;
pub(crate) const MIN_ERRORS: f64 = 5.0;
pub(crate) const MIN_RATIO: f64 = 3.0;
pub(crate) const FLEET_ERRORS: f64 = 10.0;
pub(crate) const FLEET_RATIO: f64 = 1.5;
pub(crate) const REST_RATIO: f64 = 1.5;
const EXPLAINED: f64 = 0.67;
pub(crate) const MAX_CULPRITS: usize = 5;
/// An endpoint is to blame only when it fails for at least this many tenants.
pub(crate) const ENDPOINT_TENANTS: usize = 3;
/// Below this many tenants an outage is judged without the top one, not without the top five.
pub(crate) const FEW_TENANTS: usize = 12;
/// Until this much is learned, an error rate below 20 % may be what is normal here.
pub(crate) const COLD_S: f64 = 120.0;
pub(crate) const COLD_RATE: f64 = 0.2;
/// An incident is kept out of the baseline from 60 learned seconds on and for 2 h.
pub(crate) const TAINT_AFTER_S: f64 = 60.0;
pub(crate) const TAINT_MAX_S: f64 = 7_200.0;
/// Baseline requests from which on a tenant has a history.
pub(crate) const HISTORY: f64 = 5.0;
/// An endpoint is named with a tenant when it has 80 % of its errors and less than 70 % of its traffic.
pub(crate) const ENDPOINT_ERRORS: f64 = 0.8;
pub(crate) const ENDPOINT_TRAFFIC: f64 = 0.7;

/// G(e, x): 0 without an excess.
pub(crate) fn log_ratio(e: f64, x: f64) -> f64 {
    let x = x.max(1e-12);
    if e > x { 2.0 * (e * (e / x).ln() - (e - x)) } else { 0.0 }
}

/// Bad requests, the expected ones, and requests.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) e: f64,
    pub(crate) x: f64,
    pub(crate) n: f64,
}

/// Does the group explain the errors of all: concentrated in it, the rest normal, the excess explained?
/// Its share of the excess, or `None`.
pub(crate) fn explains(group: Comparison, all: Comparison, phi: f64) -> Option<f64> {
    let (rest_e, rest_x) = ((all.e - group.e).max(0.0), (all.x - group.x).max(0.0));
    let (own, rest) = (group.e - group.x, (rest_e - rest_x).max(0.0));
    let (d, q, noise) = (own + rest, (group.n / all.n).min(1.0 - 1e-9), 2.0 * (phi * rest_x).sqrt());
    let of_rest = if rest > 0.0 { rest * (rest / (d * (1.0 - q))).ln() } else { 0.0 };
    let concentrated = 2.0 * (own * (own / (d * q)).ln() + of_rest) >= CONCENTRATED;
    let rest_normal = rest_e <= REST_RATIO * rest_x + noise + 1.0;
    let explained = own / (own + (rest - noise).max(0.0)) >= EXPLAINED;
    (own / d > q && concentrated && rest_normal && explained).then_some(own / d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_equals_is_no_explanation() {
        let all = Comparison { e: 200.0, x: 2.0, n: 1_000.0 };
        assert_eq!(explains(Comparison { e: 100.0, x: 1.0, n: 500.0 }, all, 1.0), None);
        let one = Comparison { e: 199.0, x: 1.0, n: 100.0 };
        assert_eq!(explains(one, all, 1.0), Some(198.0 / 198.0));
    }

    #[test]
    fn no_excess_is_no_evidence() {
        assert_eq!((log_ratio(3.0, 3.0), log_ratio(1.0, 3.0)), (0.0, 0.0));
        assert!((log_ratio(10.0, 1.0) - 2.0 * (10.0 * 10.0_f64.ln() - 9.0)).abs() < 1e-12);
    }
}
