//! Who is worst: five rankings over one merged block.

use crate::block::{Block, Row};
use crate::error::ConfigError;
use crate::verdict::fleet::NormalLatency;
use serde::Serialize;
use std::cmp::Ordering;
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
    /// Errors beyond the expected ones, `e − x`; the plain share of all errors stands beside it.
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
pub(crate) type Expected<'a> = Box<dyn Fn(&[u8], u64) -> (f64, bool) + 'a>;

/// What a ranking needs to know beside the block.
pub(crate) struct Context<'a> {
    pub(crate) block: &'a Block,
    /// The fleet's normal error rate.
    pub(crate) p0: f64,
    /// Errors expected of a tenant with so many requests, and whether it always fails like that.
    pub(crate) expected: &'a Expected<'a>,
    /// Latencies that are normal for a tenant; `None` while nothing is known.
    pub(crate) normal_latency: &'a dyn Fn(&[u8]) -> Option<NormalLatency>,
    /// Age of all requests of a tenant that are in flight, µs.
    pub(crate) in_flight_us: &'a dyn Fn(&[u8]) -> u64,
}

/// The first `limit` rows (as places in the block), the worst first.
pub(crate) fn rank(by: By, limit: usize, context: &Context<'_>) -> Vec<usize> {
    let rows = &context.block.rows;
    let mut keyed: Vec<([f64; 3], usize)> =
        rows.iter().enumerate().map(|(at, row)| (key(by, row, context), at)).collect();
    let order = |(a, i): &([f64; 3], usize), (b, j): &([f64; 3], usize)| {
        let falling = a.iter().zip(b).map(|(a, b)| b.total_cmp(a)).find(|order| order.is_ne());
        falling.unwrap_or(Ordering::Equal).then(i.cmp(j))
    };
    if limit < keyed.len() {
        keyed.select_nth_unstable_by(limit, order);
        keyed.truncate(limit);
    }
    keyed.sort_unstable_by(order);
    keyed.into_iter().map(|(_, at)| at).collect()
}

/// Compared in turn, the larger first; rows that are equal in all stand in the order of their ids.
fn key(by: By, row: &Row, context: &Context<'_>) -> [f64; 3] {
    let [n, e, slow] = row.counts.map(|count| count as f64);
    match by {
        By::Errors => {
            let excess = e - (context.expected)(row.id.as_bytes(), row.counts[0]).0;
            [f64::from(u8::from(e > 0.0)), excess, e]
        }
        By::ErrorRate => [wilson_lower(e, n, context.p0), e, n],
        By::Latency => {
            let normal =
                (context.normal_latency)(row.id.as_bytes()).map(|normal| normal.share_above(context.block.slow_above));
            let known = context.block.latency_of(row).iter().map(|cell| f64::from(cell.count)).sum::<f64>();
            let fleet = context.block.totals[2] as f64 / (context.block.totals[0] as f64).max(1.0);
            [slow - known * normal.unwrap_or(fleet), slow, row.latency_sum_us as f64 / n.max(1.0)]
        }
        By::Load => [row.latency_sum_us.saturating_add((context.in_flight_us)(row.id.as_bytes())) as f64, n, 0.0],
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
