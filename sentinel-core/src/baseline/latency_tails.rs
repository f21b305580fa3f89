//! Which latencies are unusual for a key: its decayed histogram, and the threshold above which 5 % of it lies.

use crate::slot::histogram::{HALVES, LatencyCell, half_of};

/// Expected share of requests above a tail threshold.
pub(crate) const TAIL: f64 = 0.05;
/// Requests of an average key that each key's own history is mixed with.
pub(crate) const PSEUDO_REQUESTS: f64 = 20.0;
/// Requests that the fleet must have before thresholds mean anything.
const TAIL_MIN: f64 = 100.0;

/// A key's decayed latency histogram, in halves of an octave, and its threshold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail {
    /// Which halves have a count, by their bits, and the counts in that order.
    pub(crate) halves: u64,
    pub(crate) counts: Vec<f64>,
    /// Close at which `counts` were true.
    pub(crate) stamp: u64,
    /// The threshold and the epoch it was computed for.
    line: u8,
    epoch: u64,
}

/// Thresholds of all keys: learned together, computed when asked for.
#[derive(Debug)]
pub(crate) struct Tails {
    pub(crate) of: Vec<Tail>,
    pub(crate) fleet: [f64; HALVES],
    /// Twenty requests of the fleet, as of `epoch`.
    pub(crate) pseudo: [f64; HALVES],
    pub(crate) closes: u64,
    /// The close that last set thresholds; 0 = none yet.
    pub(crate) epoch: u64,
}

impl Tail {
    /// What a half of this histogram has, as of the close `now`.
    fn as_of(&self, now: u64, decay: f64) -> impl Iterator<Item = (u8, f64)> + '_ {
        let steps = now.saturating_sub(self.stamp);
        let halves = (0..HALVES as u8).filter(|half| self.halves & (1 << half) != 0);
        halves.zip(&self.counts).map(move |(half, count)| (half, decayed(*count, decay, steps)))
    }
}

impl Tails {
    pub(crate) fn new() -> Self {
        Self { of: Vec::new(), fleet: [0.0; HALVES], pseudo: [0.0; HALVES], closes: 0, epoch: 0 }
    }

    /// A key's histogram as it is now.
    pub(crate) fn histogram(&self, i: u32, decay: f64) -> Vec<(u8, f64)> {
        self.of[i as usize].as_of(self.closes, decay).collect()
    }

    /// A key has this histogram now; its halves rise.
    pub(crate) fn inherit(&mut self, i: u32, histogram: &[(u8, f64)]) {
        let halves = histogram.iter().fold(0, |bits, (half, _)| bits | 1 << half);
        let counts = histogram.iter().map(|(_, count)| *count).collect();
        self.of[i as usize] = Tail { halves, counts, stamp: self.closes, ..Tail::default() };
    }

    /// Everybody together has this one now; thresholds follow.
    pub(crate) fn inherit_fleet(&mut self, histogram: &[(u8, f64)]) {
        // Epoch 0 means that nothing is known.
        self.closes += 1;
        histogram.iter().for_each(|&(half, count)| self.fleet[usize::from(half)] = count);
        self.set_lines();
    }

    pub(crate) fn close(&mut self, decay: f64) {
        self.closes += 1;
        self.fleet.iter_mut().for_each(|count| *count *= decay);
    }

    pub(crate) fn learn(&mut self, i: u32, halves: &[(u8, u32)], decay: f64) {
        let tail = &mut self.of[i as usize];
        for count in &mut tail.counts {
            *count = decayed(*count, decay, self.closes - tail.stamp);
        }
        tail.stamp = self.closes;
        for &(half, count) in halves {
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

    pub(crate) fn set_lines(&mut self) {
        let total = pairwise(&self.fleet);
        if total >= TAIL_MIN {
            self.epoch = self.closes;
            self.pseudo = self.fleet.map(|count| PSEUDO_REQUESTS * count / total);
        }
    }

    pub(crate) fn mixed(&self, i: usize, decay: f64) -> [f64; HALVES] {
        let (mut own, tail) = (self.pseudo, &self.of[i]);
        let mut left = tail.halves;
        for &count in &tail.counts {
            let half = left.trailing_zeros() as usize % HALVES;
            left &= left.wrapping_sub(1);
            own[half] += decayed(count, decay, self.epoch.saturating_sub(tail.stamp));
        }
        own
    }

    pub(crate) fn line(&mut self, i: usize, decay: f64) -> u8 {
        if self.epoch == 0 {
            return HALVES as u8;
        }
        if self.of[i].epoch != self.epoch {
            self.of[i].line = first_line(&self.mixed(i, decay));
            self.of[i].epoch = self.epoch;
        }
        self.of[i].line
    }
}

/// The first half with at most 5 % of the histogram above it.
pub(crate) fn first_line(histogram: &[f64; HALVES]) -> u8 {
    let (total, mut seen) = (pairwise(histogram), 0.0);
    let at = histogram.iter().position(|count| {
        seen += count / total;
        1.0 - seen <= TAIL
    });
    at.unwrap_or(0) as u8
}

/// A sum in eight lanes: shares that lie on the line exactly are rounded as the reference of the rules rounds them.
pub(crate) fn pairwise(values: &[f64; HALVES]) -> f64 {
    let mut lanes = [0.0; 8];
    for chunk in values.chunks_exact(8) {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += value);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

pub(crate) fn dot(a: &[f64; HALVES], b: &[f64; HALVES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Step by step, as an eager decay would round it; in one go when it was long ago.
fn decayed(count: f64, decay: f64, steps: u64) -> f64 {
    if steps > 1_000 { count * decay.powf(steps as f64) } else { (0..steps).fold(count, |count, _| count * decay) }
}

/// Cells in halves of an octave, sorted.
pub(crate) fn halves_of(cells: impl Iterator<Item = LatencyCell>, out: &mut Vec<(u8, u32)>) {
    out.clear();
    for cell in cells {
        let half = half_of(cell.bucket);
        match out.last_mut() {
            Some(last) if last.0 == half => last.1 = last.1.saturating_add(cell.count),
            _ => out.push((half, cell.count)),
        }
    }
}
