//! Constants of the decision, and the two tests that it rests on.
//!
//! **G** is the log-likelihood ratio of a Poisson count: `e` observed against `x` expected bad requests (Wilks; 0
//! without an excess),
//!
//! ```text
//! G(e, x) = 2·(e·ln(e/x) − (e − x))
//! ```
//!
//! **Concentration** is the log-likelihood ratio of the Poisson scan statistic (Kulldorff 1997). The test compares how
//! the excess `D = dS + dR` divides between a group S and the rest R with how the requests divide, where `q` is the
//! group's share of the requests:
//!
//! ```text
//! 2·(dS·ln(dS / (D·q)) + dR·ln(dR / (D·(1 − q))))
//! ```
//!
//! The values were tuned on made incidents and real recordings, and checked on streams that the tuning had not seen.
//! The reference of the rules uses the same ones, and its verdicts are compared second by second.

/// Normal error rate of the fleet: (errors + 1) / (requests + 200), 0.5 % before anything is known.
pub(crate) const PRIOR_ERRORS: f64 = 1.0;
pub(crate) const PRIOR_REQUESTS: f64 = 200.0;
/// Lowest normal rate of the fleet. Below it, a single error in a large fleet would be far beyond the expectation.
pub(crate) const MIN_RATE: f64 = 1e-4;
/// A tenant with at least 5 errors in its baseline, at 5 times the fleet's normal rate or more, is a chronic failer.
/// With fewer errors the rate is not known well enough to call it chronic.
pub(crate) const CHRONIC_ERRORS: f64 = 5.0;
pub(crate) const CHRONIC_RATIO: f64 = 5.0;
/// Expected errors are at most 1.5 times the tenant's baseline errors a second: a chronic failer whose volume surges is
/// new.
pub(crate) const SURGE_FACTOR: f64 = 1.5;
/// Decayed untainted seconds from which on the errors a second are known well enough for that cap.
pub(crate) const SURGE_AFTER_S: f64 = 60.0;
/// Gate on G for a culprit and for the fleet's excess. A verdict is tested every second: 8 gave a false alarm a day,
/// and 25 lost 20 percentage points of the incidents at low traffic.
pub(crate) const GATE: f64 = 18.0;
/// Rise of the culprit's gate for each natural logarithm of the number of active tenants, since each of them is tested.
pub(crate) const GATE_PER_LOG_K: f64 = 2.0;
/// Gate on G for the excess of the other tenants, for `everyone`: one test, made after the fleet's gate has been
/// passed.
pub(crate) const GATE_REST: f64 = 9.0;
/// Gate for "it has stopped": too few bad requests in a shorter window. With none seen at λ expected ones a second, an
/// end is recognised after 5/λ s. A lower gate would switch the verdict off and on within an incident.
pub(crate) const GATE_NOW: f64 = 10.0;
/// Gate on the concentration of the excess in a group. A log-likelihood ratio instead of "twice its share of the
/// traffic": such a ratio could never name a tenant that has half of the traffic.
const CONCENTRATION_GATE: f64 = 16.0;
/// Bad requests of a culprit, and of a window, at least: with fewer, one unlucky request decides.
pub(crate) const MIN_ERRORS: f64 = 5.0;
/// A culprit has at least 3 times its expected bad requests. At high volume G alone would accuse a tenant for a small
/// rise.
pub(crate) const MIN_RATIO: f64 = 3.0;
/// An excess of the fleet needs at least this many bad requests,
pub(crate) const FLEET_ERRORS: f64 = 10.0;
/// and this many times the expected ones. The ratio is lower than a culprit's, because a sum over all tenants varies
/// less.
pub(crate) const FLEET_RATIO: f64 = 1.5;
/// Without the culprits, the rest may have up to 1.5 times its expected bad requests (plus noise and one): above it,
/// the rest is part of the incident and the culprits do not explain it.
pub(crate) const REST_RATIO: f64 = 1.5;
/// Culprits explain at least two thirds of the excess; with less, a reader who acts on them would still see most of the
/// incident.
const MIN_EXPLAINED_SHARE: f64 = 0.67;
/// Most tenants that a verdict names. More than five failing tenants are a failing service.
pub(crate) const MAX_CULPRITS: usize = 5;
/// An endpoint is to blame only when it fails for at least this many tenants; with fewer, the tenants may be the cause.
pub(crate) const ENDPOINT_TENANTS: usize = 3;
/// Below this many tenants, `everyone` is tested without the top one instead of the top five, which would leave too
/// few.
pub(crate) const FEW_TENANTS: usize = 12;
/// Until this many untainted seconds are learned, an error rate below 20 % of all requests may be normal here.
pub(crate) const COLD_S: f64 = 120.0;
pub(crate) const COLD_OUTAGE_RATE: f64 = 0.2;
/// The slots of an incident are kept out of the baseline from 60 learned seconds on, when there is a normal to protect,
pub(crate) const TAINT_AFTER_S: f64 = 60.0;
/// and for 2 h, after which the incident has become the normal state.
pub(crate) const TAINT_MAX_S: f64 = 7_200.0;
/// Baseline requests from which on a tenant has a history. A tenant without one may always have failed like this.
pub(crate) const MIN_HISTORY_REQUESTS: f64 = 5.0;
/// A verdict on one tenant names an endpoint that has at least 80 % of the tenant's errors and less than 70 % of its
/// traffic.
pub(crate) const ENDPOINT_ERRORS: f64 = 0.8;
pub(crate) const ENDPOINT_TRAFFIC: f64 = 0.7;

/// G(e, x), the log-likelihood ratio of a Poisson excess; 0 when `e` does not exceed `x`.
pub(crate) fn log_ratio(e: f64, x: f64) -> f64 {
    let x = x.max(1e-12);
    if e > x { 2.0 * (e * (e / x).ln() - (e - x)) } else { 0.0 }
}

/// Observed and expected bad requests of a tenant, an endpoint or a group, by the letters of the formulas.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Comparison {
    /// Observed bad requests.
    pub(crate) e: f64,
    /// Expected bad requests.
    pub(crate) x: f64,
    /// Requests.
    pub(crate) n: f64,
}

impl Comparison {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { e: self.e + other.e, x: self.x + other.x, n: self.n + other.n }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self { e: self.e - other.e, x: self.x - other.x, n: self.n - other.n }
    }

    /// Bad requests beyond the expected ones; negative when there are fewer.
    pub(crate) fn excess(self) -> f64 {
        self.e - self.x
    }
}

/// Tests whether a group explains the bad requests of all: the excess is concentrated in the group, the rest is normal,
/// and at most a third of the excess is left unexplained. Returns the group's share of the excess, 0 to 1, or `None`.
///
/// `phi` is the overdispersion of the fleet; two standard deviations of the rest, `2·√(φ·x)`, count as noise.
pub(crate) fn explains(group: Comparison, all: Comparison, phi: f64) -> Option<f64> {
    let (rest_e, rest_x) = ((all.e - group.e).max(0.0), (all.x - group.x).max(0.0));
    let (own, rest) = (group.e - group.x, (rest_e - rest_x).max(0.0));
    let (d, q, noise) = (own + rest, (group.n / all.n).min(1.0 - 1e-9), 2.0 * (phi * rest_x).sqrt());
    let of_rest = if rest > 0.0 { rest * (rest / (d * (1.0 - q))).ln() } else { 0.0 };
    let concentrated = 2.0 * (own * (own / (d * q)).ln() + of_rest) >= CONCENTRATION_GATE;
    let rest_normal = rest_e <= REST_RATIO * rest_x + noise + 1.0;
    let explained = own / (own + (rest - noise).max(0.0)) >= MIN_EXPLAINED_SHARE;
    (own / d > q && concentrated && rest_normal && explained).then_some(own / d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_equal_culprits_does_not_explain_the_errors() {
        let all = Comparison { e: 200.0, x: 2.0, n: 1_000.0 };
        assert_eq!(explains(Comparison { e: 100.0, x: 1.0, n: 500.0 }, all, 1.0), None);
        let one = Comparison { e: 199.0, x: 1.0, n: 100.0 };
        assert_eq!(explains(one, all, 1.0), Some(198.0 / 198.0));
    }

    #[test]
    fn no_excess_has_a_ratio_of_zero() {
        assert_eq!((log_ratio(3.0, 3.0), log_ratio(1.0, 3.0)), (0.0, 0.0));
        assert!((log_ratio(10.0, 1.0) - 2.0 * (10.0 * 10.0_f64.ln() - 9.0)).abs() < 1e-12);
    }
}
