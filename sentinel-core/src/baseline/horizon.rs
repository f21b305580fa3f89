//! Lengths of the judged windows and of the ring, and the rate at which older counts decay.

/// Age in ms at which the latencies of a slot enter the tail histograms (at most the ring's length). A slowdown is
/// judged, and its slots tainted, before its latencies could raise the thresholds that it is measured by.
const TAIL_AGE_MS: i64 = 60_000;
/// Half-life, seconds, of the counts that have left the ring: recent hours define what is normal, and yesterday's
/// traffic fades.
const HALF_LIFE_S: f64 = 3_600.0;
/// Judged windows, seconds. Several of them: a long window sees weak incidents, a short one recovers quickly (600 s
/// alone need 565 s).
const WINDOWS_S: [i64; 5] = [30, 60, 120, 300, 600];

/// Judged windows, ring and decay for one slot length.
#[derive(Debug, Clone)]
pub(crate) struct Horizon {
    /// Length of a slot, ms.
    pub(crate) slot_ms: i64,
    /// Closed slots of each window, shortest first. Window 0, one slot, is not judged: it tells whether an incident
    /// still goes on.
    pub(crate) windows: Vec<usize>,
    /// Closed slots that are kept undecayed: as many as the longest window has.
    pub(crate) ring: usize,
    /// Factor by which a decayed count shrinks at each close, below 1.
    pub(crate) decay: f64,
    /// Closes after its own at which the latencies of a slot are learned.
    tail_age: usize,
}

impl Horizon {
    /// Horizon for slots of `slot_ms` in a sentinel that keeps `slots` of them. Windows that are no whole number of
    /// slots are left out.
    pub(crate) fn new(slot_ms: i64, slots: i64) -> Self {
        let fits = |s: &&i64| *s * 1_000 % slot_ms == 0 && *s * 1_000 / slot_ms <= slots;
        let mut windows = vec![1];
        windows.extend(WINDOWS_S.iter().filter(fits).map(|s| (s * 1_000 / slot_ms) as usize));
        if windows.len() == 1 {
            windows.push(slots.clamp(1, i64::from(u16::MAX)) as usize);
        }
        let ring = windows.last().copied().unwrap_or(1);
        let decay = 0.5_f64.powf(slot_ms as f64 / 1_000.0 / HALF_LIFE_S);
        Self { slot_ms, windows, ring, decay, tail_age: ((TAIL_AGE_MS / slot_ms) as usize).clamp(1, ring) }
    }

    /// Length of a slot, seconds.
    pub(crate) fn slot_s(&self) -> f64 {
        self.slot_ms as f64 / 1_000.0
    }

    /// Length of the closed part of window `w`, seconds.
    pub(crate) fn window_s(&self, w: usize) -> f64 {
        self.windows[w] as f64 * self.slot_s()
    }

    /// Number of slots between the newest closed slot and the one whose latencies are learned now.
    pub(crate) fn tail_age(&self) -> usize {
        self.tail_age
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_fit_slots_of_any_length() {
        let windows = |slot_ms, slots| Horizon::new(slot_ms, slots).windows;
        assert_eq!(windows(10_000, 60), [1, 3, 6, 12, 30, 60]);
        assert_eq!(windows(10_000, 360), [1, 3, 6, 12, 30, 60]);
        assert_eq!(windows(10_000, 12), [1, 3, 6, 12]);
        assert_eq!(windows(60_000, 10), [1, 1, 2, 5, 10]);
        assert_eq!(windows(1_000, 30), [1, 30]);
        assert_eq!(windows(45_000, 2), [1, 2]);
    }
}
