//! Who is worst: five rankings in one pass over the tenants.

use crate::block::dictionary::{Dictionary, Number};
use crate::util::error::ConfigError;
use crate::window::sums::Sum;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// What tenants are ranked by.
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
    /// Share of all errors, after the culprits of the verdict: those come first, in the order of their errors beyond the
    /// expected ones (`e − x`). Tenants with equally many errors stand in that order too.
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

/// The errors expected of a tenant's requests, and whether it always fails like this.
pub(crate) type Expected<'a> = Box<dyn Fn(Number, u64) -> (f64, bool) + 'a>;

/// What a ranking needs to know beside the sums.
pub(crate) struct Context<'a> {
    /// Requests and slow requests of everybody.
    pub(crate) requests: u64,
    pub(crate) slow: u64,
    /// The fleet's normal error rate.
    pub(crate) p0: f64,
    /// Errors expected of a tenant with so many requests, and whether it always fails like that.
    pub(crate) expected: &'a Expected<'a>,
    /// Whether a tenant passed the gate of the error verdict that is shown.
    pub(crate) is_culprit: &'a dyn Fn(Number) -> bool,
    /// The share of a tenant's requests that is slow as a rule; `None` while nothing is known.
    pub(crate) normal_slow: &'a dyn Fn(Number) -> Option<f64>,
    /// Age of all requests of a tenant that are in flight, µs.
    pub(crate) in_flight_us: &'a dyn Fn(Number) -> u64,
    pub(crate) ids: &'a Dictionary,
}

/// What comes of a pass over all tenants.
#[derive(Debug)]
pub(crate) struct Ranking {
    /// The worst first.
    pub(crate) worst: Vec<Number>,
    /// Tenants with requests.
    pub(crate) tenants: u64,
    /// The errors beyond the expected ones.
    pub(crate) excess: Excess,
}

/// A sum that is the same in any order: tenants come in another one in each process. In 2⁻³² errors.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Excess(u128);

impl Excess {
    const ONE: f64 = 4_294_967_296.0;

    /// Adds a tenant's, unless it is below what was expected.
    pub(crate) fn add(&mut self, errors: f64, expected: f64) {
        self.0 += ((errors - expected).max(0.0) * Self::ONE) as u128;
    }

    pub(crate) fn sum(self) -> f64 {
        self.0 as f64 / Self::ONE
    }
}

/// Compared in turn, the larger first; tenants that are equal in all stand in the order of their ids.
type Key = [f64; 3];

/// The first `limit` tenants, the worst first.
pub(crate) fn rank(
    by: By,
    limit: usize,
    context: &Context<'_>,
    tenants: impl Iterator<Item = (Number, Sum)>,
) -> Ranking {
    let order = |(a, i): &(Key, Number), (b, j): &(Key, Number)| {
        let falling = a.iter().zip(b).map(|(a, b)| b.total_cmp(a)).find(|order| order.is_ne());
        falling.unwrap_or_else(|| context.ids.id(*i).cmp(context.ids.id(*j)))
    };
    let mut out = Ranking { worst: Vec::new(), tenants: 0, excess: Excess::default() };
    // The best so far; cut back to `limit` whenever there are twice as many. Who is behind `bar` has no chance any more.
    let (mut best, mut bar): (Vec<(Key, Number)>, Option<Key>) = (Vec::new(), None);
    let room = limit.saturating_mul(2).max(64);
    for (number, sum) in tenants {
        out.tenants += u64::from(sum.counts[0] > 0);
        if sum.counts[1] > 0 {
            out.excess.add(sum.counts[1] as f64, (context.expected)(number, sum.counts[0]).0);
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

/// Whether a tenant's key is surely smaller than `bar`, by what is known of it at once: `expected` and `normal_slow` take long.
fn is_behind(by: By, sum: &Sum, context: &Context<'_>, number: Number, bar: &Key) -> bool {
    match by {
        By::Errors => !(context.is_culprit)(number) && [0.0, sum.counts[1] as f64] < [bar[0], bar[1]],
        By::Latency => (sum.counts[2] as f64) < bar[0],
        By::ErrorRate | By::Load | By::Requests => key(by, number, sum, context)[0] < bar[0],
    }
}

fn key(by: By, number: Number, sum: &Sum, context: &Context<'_>) -> Key {
    let [n, e, slow] = sum.counts.map(|count| count as f64);
    match by {
        By::Errors => {
            let excess = e - (context.expected)(number, sum.counts[0]).0;
            if (context.is_culprit)(number) { [1.0, excess, e] } else { [0.0, e, excess] }
        }
        By::ErrorRate => [wilson_lower(e, n, context.p0), e, n],
        By::Latency => {
            let fleet = context.slow as f64 / (context.requests as f64).max(1.0);
            let normal = (context.normal_slow)(number).unwrap_or(fleet);
            [slow - n * normal, slow, sum.latency_sum_us as f64 / n.max(1.0)]
        }
        By::Load => [sum.latency_sum_us.saturating_add((context.in_flight_us)(number)) as f64, n, 0.0],
        By::Requests => [n, e, 0.0],
    }
}

/// Requests at the normal rate that every tenant is given on top.
const PSEUDO_REQUESTS: f64 = 20.0;

/// Lower end of the Wilson score interval of the drawn-in error rate (Wilson 1927).
pub(crate) fn wilson_lower(e: f64, n: f64, p0: f64) -> f64 {
    const Z: f64 = 1.96;
    let n = n + PSEUDO_REQUESTS;
    let p = ((e + PSEUDO_REQUESTS * p0) / n).min(1.0);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    (p + Z * Z / (2.0 * n) - half) / (1.0 + Z * Z / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_requests_do_not_outrank_many() {
        for p0 in [1e-4, 0.002, 0.005, 0.05] {
            assert!(wilson_lower(1.0, 1.0, p0) < wilson_lower(100.0, 1_000.0, p0));
            assert!(wilson_lower(20.0, 20.0, p0) > wilson_lower(300.0, 1_500.0, p0));
        }
    }
}
