//! Five rankings of tenants, each in one pass over the sums of a window.
//!
//! ```text
//!  by          first key                        second key        third key
//!  errors      1 for culprits, 0 for others     culprits: excess  errors
//!                                               others: errors    excess         excess = errors − expected errors
//!  error_rate  Wilson lower bound               errors            requests
//!  latency     slow − normally slow requests    slow requests     mean latency
//!  load        time spent, in flight included   requests          –
//!  requests    requests                         errors            –
//! ```
//!
//! Keys are compared in turn, the larger one first; tenants that are equal in all of them stand in the order of their ids.
//!
//! **Why do `errors` order culprits by one quantity and all others by another?** The verdict accuses by excess, so its culprits stand
//! first, and in that order: a large tenant that always fails a little does not hide them. The printed figure of each row is its
//! share of all errors. When the others were ordered by excess as well, a report listed 0.5 %, 1 % and 2 % in rising order.
//!
//! **Invariant**: the result does not depend on the order in which tenants come, which differs between processes. So keys are total
//! (`total_cmp`, then ids), and the sum of the excess is added in integers ([`ExcessSum`]), where addition is associative.
//!
//! **Why not sort all tenants?** A window may hold 100,000 of them and a report lists ten. The pass keeps at most twice the
//! limit (or 64), and skips a tenant that is surely behind the last of them (`bar`) before it computes the expensive parts of its key.

use crate::block::dictionary::{Dictionary, Number};
use crate::util::error::ConfigError;
use crate::util::wilson::wilson_lower;
use crate::verdict::ranking_baseline::TenantExpectation;
use crate::window::sums::TenantSum;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Quantity that tenants are ranked by.
///
/// ```
/// use sentinel_core::By;
///
/// assert_eq!("error_rate".parse::<By>()?, By::ErrorRate);
/// assert_eq!(By::Load.to_string(), "load");
/// assert_eq!("cost".parse::<By>().unwrap_err().allowed, "errors, error_rate, latency, load, requests");
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum By {
    /// The culprits of the verdict first, by their errors beyond the expected ones (`e − x`); then all others by their share of all
    /// errors. Others with equally many errors stand in the order of `e − x` too.
    Errors,
    /// The Wilson lower bound (z = 1.96) of `(e + m·p0) / (n + m)` with `m = 20` requests at the fleet's normal rate p0:
    /// 1 of 1 never outranks 100 of 1,000, 20 of 20 outranks 300 of 1,500.
    ErrorRate,
    /// Slow requests beyond what is normal for the tenant.
    Latency,
    /// Share of the time spent on requests, in flight included, which is the share of the mean concurrency (Little's law):
    /// the noisy neighbour whose own errors look normal.
    Load,
    /// Share of the requests.
    Requests,
}

impl By {
    /// All rankings.
    ///
    /// ```
    /// assert_eq!(sentinel_core::By::ALL.len(), 5);
    /// ```
    pub const ALL: [Self; 5] = [Self::Errors, Self::ErrorRate, Self::Latency, Self::Load, Self::Requests];

    const fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::ErrorRate => "error_rate",
            Self::Latency => "latency",
            Self::Load => "load",
            Self::Requests => "requests",
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for By {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|by| by.name() == text)
            .ok_or_else(|| ConfigError::new("by", format!("{text:?}"), names()))
    }
}

/// Function from a tenant and its requests to the errors expected of it.
pub(crate) type Expectations<'a> = Box<dyn Fn(Number, u64) -> TenantExpectation + 'a>;

/// Facts that a ranking needs beside the tenants' sums.
pub(crate) struct RankingContext<'a> {
    /// Requests of all tenants in the window.
    pub(crate) requests: u64,
    /// Slow requests of all tenants in the window.
    pub(crate) slow: u64,
    /// The fleet's normal error rate, 0 to 1.
    pub(crate) p0: f64,
    pub(crate) expected: &'a Expectations<'a>,
    /// Whether a tenant passed the gate of the error verdict that is shown.
    pub(crate) is_culprit: &'a dyn Fn(Number) -> bool,
    /// The normal share of slow requests of a tenant, 0 to 1; `None` while nothing is known.
    pub(crate) normal_slow: &'a dyn Fn(Number) -> Option<f64>,
    /// Summed age of a tenant's requests in flight, µs.
    pub(crate) in_flight_us: &'a dyn Fn(Number) -> u64,
    pub(crate) ids: &'a Dictionary,
}

/// Result of a pass over all tenants.
#[derive(Debug)]
pub(crate) struct Ranking {
    /// The listed tenants, the worst first.
    pub(crate) worst: Vec<Number>,
    /// Tenants with requests.
    pub(crate) tenants: u64,
    /// Errors of all tenants beyond the expected ones.
    pub(crate) excess: ExcessSum,
}

/// Sum of errors beyond the expected ones, in units of 2⁻³² errors. Integers give the same sum in any order, and tenants come in
/// another order in each process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ExcessSum(u128);

impl ExcessSum {
    /// Units of one error.
    const ONE: f64 = 4_294_967_296.0;

    /// Adds the errors of a tenant beyond the expected ones; nothing when there were fewer.
    pub(crate) fn add(&mut self, errors: f64, expected: f64) {
        self.0 += ((errors - expected).max(0.0) * Self::ONE) as u128;
    }

    /// The sum, in errors.
    pub(crate) fn sum(self) -> f64 {
        self.0 as f64 / Self::ONE
    }
}

/// The three keys of a tenant; see the table at the top of the file.
type RankingKey = [f64; 3];

/// The first `limit` tenants, the worst first.
pub(crate) fn rank(
    by: By,
    limit: usize,
    context: &RankingContext<'_>,
    tenants: impl Iterator<Item = (Number, TenantSum)>,
) -> Ranking {
    let order = |(a, i): &(RankingKey, Number), (b, j): &(RankingKey, Number)| {
        let falling = a.iter().zip(b).map(|(a, b)| b.total_cmp(a)).find(|order| order.is_ne());
        falling.unwrap_or_else(|| context.ids.id(*i).cmp(context.ids.id(*j)))
    };
    let mut out = Ranking { worst: Vec::new(), tenants: 0, excess: ExcessSum::default() };
    // The best tenants so far, cut back to `limit` whenever there are twice as many. No tenant behind `bar` can be listed any more.
    let (mut best, mut bar): (Vec<(RankingKey, Number)>, Option<RankingKey>) = (Vec::new(), None);
    let room = limit.saturating_mul(2).max(64);
    for (number, sum) in tenants {
        out.tenants += u64::from(sum.counts.requests > 0);
        if sum.counts.errors > 0 {
            out.excess.add(sum.counts.errors as f64, (context.expected)(number, sum.counts.requests).errors);
        }
        if limit == 0 || bar.is_some_and(|bar| is_behind(by, &sum, context, number, &bar)) {
            continue;
        }
        best.push((key(by, number, &sum, context), number));
        if best.len() >= room && limit < best.len() {
            best.select_nth_unstable_by(limit - 1, order);
            best.truncate(limit);
            bar = best.last().map(|(key, _)| *key);
        }
    }
    best.sort_unstable_by(order);
    best.truncate(limit);
    out.worst = best.into_iter().map(|(_, number)| number).collect();
    out
}

/// Whether a tenant's key is surely smaller than `bar`. Looks at the sums alone, because `expected` and `normal_slow` take long.
fn is_behind(by: By, sum: &TenantSum, context: &RankingContext<'_>, number: Number, bar: &RankingKey) -> bool {
    match by {
        By::Errors => {
            let errors = sum.counts.errors;
            [0.0, errors as f64] < [bar[0], bar[1]] && (errors == 0 || !(context.is_culprit)(number))
        }
        By::Latency => (sum.counts.slow as f64) < bar[0],
        By::ErrorRate | By::Load | By::Requests => key(by, number, sum, context)[0] < bar[0],
    }
}

/// The keys of a tenant.
fn key(by: By, number: Number, sum: &TenantSum, context: &RankingContext<'_>) -> RankingKey {
    let [n, e, slow] = sum.counts.to_array().map(|count| count as f64);
    match by {
        By::Errors => {
            let excess = e - (context.expected)(number, sum.counts.requests).errors;
            // A verdict may rest on a longer window than the ranking's, in which its culprit has no error any more.
            if e > 0.0 && (context.is_culprit)(number) { [1.0, excess, e] } else { [0.0, e, excess] }
        }
        By::ErrorRate => [certain_rate(e, n, context.p0), e, n],
        By::Latency => {
            let fleet = context.slow as f64 / (context.requests as f64).max(1.0);
            let normal = (context.normal_slow)(number).unwrap_or(fleet);
            [slow - n * normal, slow, sum.latency_sum_us as f64 / n.max(1.0)]
        }
        By::Load => [sum.latency_sum_us.saturating_add((context.in_flight_us)(number)) as f64, n, 0.0],
        By::Requests => [n, e, 0.0],
    }
}

/// Requests at the fleet's normal rate that the ranking adds to those of every tenant. With 20 of them, 1 error in 1 request never
/// outranks 100 in 1,000, and 20 in 20 outrank 300 in 1,500 (the tests below).
const ADDED_REQUESTS: f64 = 20.0;

/// Lower end of the Wilson interval of a tenant's error rate: `errors` in `requests`, after [`ADDED_REQUESTS`] at the rate `p0`.
fn certain_rate(errors: f64, requests: f64, p0: f64) -> f64 {
    let n = requests + ADDED_REQUESTS;
    let p = ((errors + ADDED_REQUESTS * p0) / n).min(1.0);
    wilson_lower(p, n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::weights::Counts;

    /// Ranks tenants by errors; each is (requests, errors, is a culprit), and one error in a hundred requests is expected.
    fn ranked(tenants: &[(u64, u64, bool)], limit: usize) -> Vec<usize> {
        let mut ids = Dictionary::new(ahash::RandomState::with_seeds(1, 2, 3, 4));
        let numbers: Vec<Number> = (0..tenants.len()).map(|i| ids.intern(format!("t{i:03}").as_bytes())).collect();
        let index = |number: Number| numbers.iter().position(|&known| known == number).unwrap();
        let expected: Expectations<'_> = Box::new(|_, requests| TenantExpectation::at_rate(0.01, requests));
        let context = RankingContext {
            requests: 0,
            slow: 0,
            p0: 0.01,
            expected: &expected,
            is_culprit: &|number| tenants[index(number)].2,
            normal_slow: &|_| None,
            in_flight_us: &|_| 0,
            ids: &ids,
        };
        let sum = |&(requests, errors, _): &(u64, u64, bool)| TenantSum {
            counts: Counts { requests, errors, slow: 0 },
            ..TenantSum::default()
        };
        let ranking = rank(By::Errors, limit, &context, numbers.iter().copied().zip(tenants.iter().map(sum)));
        ranking.worst.into_iter().map(index).collect()
    }

    #[test]
    fn culprits_stand_first_and_the_others_by_their_share() {
        // By excess the third would stand before the second: 9 of 100 are more beyond the expected ones than 10 of 900.
        assert_eq!(ranked(&[(1_000, 30, false), (900, 10, false), (100, 9, false), (50, 5, true)], 4), [3, 0, 1, 2]);
        // A culprit that has no error in this window is none of it.
        assert_eq!(ranked(&[(10, 0, true), (10, 1, false)], 1), [1]);
        // Many tenants with more errors do not keep out a culprit that comes last.
        let mut many = vec![(1_000, 500, false); 200];
        many.push((10, 3, true));
        assert_eq!(ranked(&many, 1), [200]);
    }

    #[test]
    fn few_requests_do_not_outrank_many() {
        for p0 in [1e-4, 0.002, 0.005, 0.05] {
            assert!(certain_rate(1.0, 1.0, p0) < certain_rate(100.0, 1_000.0, p0));
            assert!(certain_rate(20.0, 20.0, p0) > certain_rate(300.0, 1_500.0, p0));
        }
    }
}
