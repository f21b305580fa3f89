//! Latencies that are unusual for a key: its decayed histogram, and the tail threshold that 5 % of the histogram
//! exceeds.
//!
//! ```text
//!   requests
//!     │      ▂▅█▆▃
//!     │    ▂▅█████▆▃▂    tail threshold of this key
//!     │  ▁▄██████████▅▃│▂▁▁    ← at most 5 % of the histogram lies above
//!     └────────────────┴──────────►  latency in half octaves: 1, 1.5, 2, 3, 4, 6, 8 … µs
//!
//!   histogram of a key = its own learned requests, decayed (half-life 1 h)
//!                      + 20 requests distributed as the fleet's (the prior)
//! ```
//!
//! The latency judge counts a request as bad when it lies in a half octave above its key's threshold, and expects 5 %
//! of them.
//!
//! **Invariants.** `counts` of a key are right as of close `decayed_at`; a reader multiplies by `decay` once for each
//! close since. All keys compute their threshold as of the same close, `epoch`, so it does not matter when within a
//! slot a threshold is asked for. Thresholds exist once the fleet has 100 learned requests; before that no latency is
//! unusual.
//!
//! **Why a threshold for each key, and not the fleet's 95th percentile?** A fast tenant that becomes three times slower
//! may still be below the fleet's percentile: a third of such slowdowns were missed with it.
//!
//! **Why lazily?** Most tenants are quiet in most slots. A key's histogram decays when it is touched, and its threshold
//! is computed when it is asked for and remembered for the epoch.
//!
//! **Why step by step?** `count * decay * decay` and `count * decay.powi(2)` round differently. Shares that lie on 5 %
//! exactly must round as in the reference of the rules, which decays every histogram at every close.

use crate::slot::histogram::{HALVES, HalfCell, LatencyCell, half_of};

/// Expected share of requests above a tail threshold: the normal rate of the latency judge.
pub(crate) const TAIL_SHARE: f64 = 0.05;
/// Requests at the fleet's average that each key's own history is mixed with, so that a short history is judged by the
/// fleet's.
pub(crate) const PSEUDO_REQUESTS: f64 = 20.0;
/// Learned requests of the fleet from which on thresholds are set. With fewer, 5 % is less than five requests.
const MIN_FLEET_REQUESTS: f64 = 100.0;

/// Decayed latency histogram of a key, in half octaves, and its threshold.
#[derive(Debug, Clone, Default)]
pub(crate) struct LatencyTail {
    /// Bit set of the half octaves that have a count.
    pub(crate) halves: u64,
    /// Counts of these half octaves, in rising order.
    pub(crate) counts: Vec<f64>,
    /// Close as of which `counts` are right.
    pub(crate) decayed_at: u64,
    /// Threshold: the half octave above which a latency is unusual.
    threshold: u8,
    /// Epoch that `threshold` was computed for; 0 = not computed yet.
    epoch: u64,
}

/// Histograms and thresholds of all keys.
#[derive(Debug)]
pub(crate) struct LatencyTails {
    pub(crate) keys: Vec<LatencyTail>,
    /// Decayed histogram of all keys together.
    pub(crate) fleet: [f64; HALVES],
    /// `PSEUDO_REQUESTS` requests distributed as the fleet's were at `epoch`.
    pub(crate) prior: [f64; HALVES],
    /// Closes so far.
    pub(crate) closes: u64,
    /// Close at which the thresholds were last set; 0 = never.
    pub(crate) epoch: u64,
}

impl LatencyTail {
    /// Half octaves and their counts, decayed to close `now`.
    fn as_of(&self, now: u64, decay: f64) -> impl Iterator<Item = (u8, f64)> + '_ {
        let steps = now.saturating_sub(self.decayed_at);
        let halves = (0..HALVES as u8).filter(|half| self.halves & (1 << half) != 0);
        halves.zip(&self.counts).map(move |(half, count)| (half, decayed(*count, decay, steps)))
    }
}

impl LatencyTails {
    pub(crate) fn new() -> Self {
        Self { keys: Vec::new(), fleet: [0.0; HALVES], prior: [0.0; HALVES], closes: 0, epoch: 0 }
    }

    /// Histogram of a key, decayed to the present close.
    pub(crate) fn histogram(&self, i: u32, decay: f64) -> Vec<(u8, f64)> {
        self.keys[i as usize].as_of(self.closes, decay).collect()
    }

    /// Sets the histogram of a key, given in rising half octaves.
    pub(crate) fn inherit(&mut self, i: u32, histogram: &[(u8, f64)]) {
        let halves = histogram.iter().fold(0, |bits, (half, _)| bits | 1 << half);
        let counts = histogram.iter().map(|(_, count)| *count).collect();
        self.keys[i as usize] = LatencyTail { halves, counts, decayed_at: self.closes, ..LatencyTail::default() };
    }

    /// Sets the fleet's histogram, and the thresholds by it.
    pub(crate) fn inherit_fleet(&mut self, histogram: &[(u8, f64)]) {
        // Epoch 0 would mean that no threshold is known.
        self.closes += 1;
        histogram.iter().for_each(|&(half, count)| self.fleet[usize::from(half)] = count);
        self.set_thresholds();
    }

    /// Counts a close. The fleet's histogram decays at once, those of the keys when they are touched.
    pub(crate) fn close(&mut self, decay: f64) {
        self.closes += 1;
        self.fleet.iter_mut().for_each(|count| *count *= decay);
    }

    /// Adds latencies of a slot, given in half octaves, to a key and to the fleet.
    pub(crate) fn learn(&mut self, i: u32, halves: &[HalfCell], decay: f64) {
        let tail = &mut self.keys[i as usize];
        for count in &mut tail.counts {
            *count = decayed(*count, decay, self.closes - tail.decayed_at);
        }
        tail.decayed_at = self.closes;
        for &HalfCell { half, count } in halves {
            let bit = 1 << half;
            let at = (tail.halves & (bit - 1)).count_ones() as usize;
            if tail.halves & bit == 0 {
                tail.halves |= bit;
                tail.counts.insert(at, 0.0);
            }
            tail.counts[at] += f64::from(count);
            self.fleet[usize::from(half)] += f64::from(count);
        }
    }

    /// Begins a new epoch: thresholds are computed anew, as of the present close, when they are next asked for.
    pub(crate) fn set_thresholds(&mut self) {
        let total = sum_in_lanes(&self.fleet);
        if total >= MIN_FLEET_REQUESTS {
            self.epoch = self.closes;
            self.prior = self.fleet.map(|count| PSEUDO_REQUESTS * count / total);
        }
    }

    /// Histogram of a key as of `epoch`, with the prior added.
    pub(crate) fn mixed_with_prior(&self, i: usize, decay: f64) -> [f64; HALVES] {
        let (mut own, tail) = (self.prior, &self.keys[i]);
        let mut left = tail.halves;
        for &count in &tail.counts {
            let half = left.trailing_zeros() as usize % HALVES;
            left &= left.wrapping_sub(1);
            own[half] += decayed(count, decay, self.epoch.saturating_sub(tail.decayed_at));
        }
        own
    }

    /// Threshold of a key: latencies in a half octave above it are unusual. `HALVES` = no threshold is known yet.
    pub(crate) fn threshold(&mut self, i: usize, decay: f64) -> u8 {
        if self.epoch == 0 {
            return HALVES as u8;
        }
        if self.keys[i].epoch != self.epoch {
            self.keys[i].threshold = tail_threshold(&self.mixed_with_prior(i, decay));
            self.keys[i].epoch = self.epoch;
        }
        self.keys[i].threshold
    }
}

/// First half octave with at most 5 % of the histogram above it.
pub(crate) fn tail_threshold(histogram: &[f64; HALVES]) -> u8 {
    let (total, mut seen) = (sum_in_lanes(histogram), 0.0);
    let at = histogram.iter().position(|count| {
        seen += count / total;
        1.0 - seen <= TAIL_SHARE
    });
    at.unwrap_or(0) as u8
}

/// Sum in eight lanes, the order in which the reference of the rules adds: shares of exactly 5 % round alike.
pub(crate) fn sum_in_lanes(values: &[f64; HALVES]) -> f64 {
    let mut lanes = [0.0; 8];
    for chunk in values.chunks_exact(8) {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += value);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

/// Sum of products.
pub(crate) fn dot(a: &[f64; HALVES], b: &[f64; HALVES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Decays a count by `steps` closes: step by step, as a decay at each close would round it, and by a power beyond 1,000
/// steps.
fn decayed(count: f64, decay: f64, steps: u64) -> f64 {
    if steps > 1_000 { count * decay.powf(steps as f64) } else { (0..steps).fold(count, |count, _| count * decay) }
}

/// Sums sorted latency cells by half octave into `out`.
pub(crate) fn halves_of(cells: impl Iterator<Item = LatencyCell>, out: &mut Vec<HalfCell>) {
    out.clear();
    for cell in cells {
        let half = half_of(cell.bucket);
        match out.last_mut() {
            Some(last) if last.half == half => last.count = last.count.saturating_add(cell.count),
            _ => out.push(HalfCell { half, count: cell.count }),
        }
    }
}
