//! Normal rates and latencies of single tenants, as rankings compare them.

use super::Kind;
use super::decide::{DecisionInputs, JudgedWindow};
use super::fleet::{Fleet, KNOWN_BASELINE_S};
use crate::baseline::REST;
use crate::block::dictionary::{Dictionary, Number};
use crate::slot::histogram::{HALVES, half_lower_us, last_bucket_of};
use crate::window::Window;

impl Fleet {
    /// Normal rates for rankings over `window_ms`: those of the shortest judged window that is at least as long.
    pub(crate) fn ranking_baseline(&self, window_ms: i64) -> RankingBaseline<'_> {
        let fits = |&w: &usize| self.horizon.windows[w] as i64 * self.horizon.slot_ms >= window_ms;
        let last = self.horizon.windows.len() - 1;
        let (w, window_s) = ((1..last).find(fits).unwrap_or(last), window_ms as f64 / 1_000.0);
        let shown = &self.errors.shown;
        let mut culprits = Vec::new();
        if shown.kind != Kind::Quiet && !shown.culprits.is_empty() {
            culprits.resize(self.tenants.len(), false);
            shown.culprits.iter().for_each(|&i| culprits[i as usize] = true);
        }
        RankingBaseline { fleet: self, w, window_s, culprits }
    }

    /// Function from a tenant and its requests in `window_ms` to the errors expected of it.
    pub(crate) fn expectations<'a>(
        &'a self,
        window_ms: i64,
        window: &'a Window,
        ids: &'a Dictionary,
    ) -> impl Fn(Number, u64) -> TenantExpectation + 'a {
        let ranking_baseline = self.ranking_baseline(window_ms);
        let inputs = DecisionInputs {
            tenants: &self.tenants,
            endpoints: &self.endpoints,
            unattributed: None,
            window,
            ids,
            slot: self.slot,
            open: &[],
        };
        let judged = JudgedWindow {
            span_s: ranking_baseline.window_s,
            ..self.errors.judged_window(inputs, ranking_baseline.w, self.evaluation_time())
        };
        let p0 = ranking_baseline.normal_rate();
        move |number, requests| match self.tenants.find(&number) {
            Some(i) => {
                TenantExpectation { errors: judged.expected(i, requests as f64).x, is_chronic: judged.is_chronic(i) }
            }
            None => TenantExpectation::at_rate(p0, requests),
        }
    }
}

/// Errors expected of a tenant in a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TenantExpectation {
    pub(crate) errors: f64,
    /// The tenant is a chronic failer.
    pub(crate) is_chronic: bool,
}

impl TenantExpectation {
    /// The expectation for a tenant without a history: `rate` (0 to 1) errors a request.
    pub(crate) fn at_rate(rate: f64, requests: u64) -> Self {
        Self { errors: requests as f64 * rate, is_chronic: false }
    }
}

/// Normal rates and latencies of single tenants, for a ranking over one window.
pub(crate) struct RankingBaseline<'a> {
    fleet: &'a Fleet,
    /// Index of the judged window in `Horizon::windows`.
    w: usize,
    /// Length of the ranking's window, seconds.
    window_s: f64,
    /// Whether each key is a culprit of the shown error verdict, by its index; empty without culprits. In an outage nearly every
    /// tenant is one, and a ranking asks for each of them: a search through a list would be quadratic.
    culprits: Vec<bool>,
}

impl RankingBaseline<'_> {
    /// Normal error rate of the fleet, 0 to 1.
    pub(crate) fn normal_rate(&self) -> f64 {
        self.fleet.errors.learning(self.w).p0
    }

    /// Whether enough time outside the window is known.
    pub(crate) fn has_baseline(&self) -> bool {
        self.fleet.errors.learning(self.w).learned_s >= KNOWN_BASELINE_S
    }

    /// Whether the tenant is a culprit of the shown error verdict.
    pub(crate) fn is_culprit(&self, number: Number) -> bool {
        !self.culprits.is_empty() && self.fleet.tenants.find(&number).is_some_and(|i| self.culprits[i as usize])
    }

    /// Share of a tenant's requests, 0 to 1, that is normally above the bucket of `weights` (see [`weights_above`]);
    /// `None` without a history.
    pub(crate) fn normal_share(&self, number: Number, weights: &[f64; HALVES]) -> Option<f64> {
        self.fleet.tenants.tail_share(self.fleet.tenants.find(&number)?, weights)
    }

    /// Latencies that are normal for a tenant: its decayed histogram, drawn towards the fleet's by twenty requests.
    pub(crate) fn normal_latency(&self, number: Number) -> Option<NormalLatency> {
        let known = self.fleet.tenants.find(&number).filter(|&i| self.fleet.tenants.has_tail(i));
        let histogram = self.fleet.tenants.tail(known.unwrap_or(REST))?;
        Some(NormalLatency { histogram, own: known.is_some() })
    }
}

/// For each half octave, the share of it that lies above a bucket, 0 to 1, linear within the half octave.
pub(crate) fn weights_above(bucket: u16) -> [f64; HALVES] {
    let mut first = 0;
    std::array::from_fn(|half| {
        let last = last_bucket_of(half as u8);
        let size = last + 1 - first;
        first = last + 1;
        f64::from(last.saturating_sub(bucket).min(size)) / f64::from(size.max(1))
    })
}

/// Latency histogram that is normal for a tenant, decayed.
#[derive(Debug)]
pub(crate) struct NormalLatency {
    histogram: [f64; HALVES],
    /// The tenant has a history of its own; otherwise this is the fleet's histogram.
    pub(crate) own: bool,
}

impl NormalLatency {
    /// Share of requests above the bucket of `weights`, 0 to 1.
    pub(crate) fn share(&self, weights: &[f64; HALVES]) -> f64 {
        let total: f64 = self.histogram.iter().sum();
        let above: f64 = self.histogram.iter().zip(weights).map(|(count, weight)| count * weight).sum();
        if total > 0.0 { above / total } else { 0.0 }
    }

    /// 95th percentile, ms, linear within its half octave; `None` without a history of its own.
    pub(crate) fn p95_ms(&self) -> Option<f64> {
        let (rank, mut seen) = (0.95 * self.histogram.iter().sum::<f64>(), 0.0);
        for half in 0..HALVES as u8 {
            let count = self.histogram[usize::from(half)];
            if count > 0.0 && seen + count >= rank {
                let (low, high) = (half_lower_us(half), half_lower_us(half + 1));
                return self.own.then_some((low + (high - low) * (rank - seen) / count) / 1_000.0);
            }
            seen += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_percentile_of_a_histogram_are_linear_within_a_half_octave() {
        let mut histogram = [0.0; HALVES];
        (histogram[20], histogram[30]) = (90.0, 10.0); // 1.024 to 1.536 ms, 32.768 to 49.152 ms
        let normal = NormalLatency { histogram, own: true };
        let (low, last) = (last_bucket_of(19), last_bucket_of(20));
        let shares =
            [0, low, low + 2, last, last_bucket_of(29), last_bucket_of(30)].map(|at| normal.share(&weights_above(at)));
        let expected: [f64; 6] = [1.0, 1.0, 0.775, 0.1, 0.1, 0.0];
        assert!(shares.iter().zip(expected).all(|(share, expected)| (share - expected).abs() < 1e-9), "{shares:?}");
        assert_eq!(normal.p95_ms(), Some(40.96));
        assert_eq!(NormalLatency { histogram, own: false }.p95_ms(), None);
    }
}
