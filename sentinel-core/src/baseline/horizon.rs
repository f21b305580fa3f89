//! The trailing windows that are judged, and how fast the past fades.

/// A slot enters the tail histograms when it is this old, or leaves a shorter window.
const TAIL_AGE_MS: i64 = 60_000;
const HALF_LIFE_S: f64 = 3_600.0;
/// What windows are judged, in seconds, and the one before them that serves only "is it still so now".
const WINDOWS_S: [i64; 5] = [30, 60, 120, 300, 600];

/// The trailing windows that are judged, in slots.
#[derive(Debug, Clone)]
pub(crate) struct Horizon {
    pub(crate) slot_ms: i64,
    /// Closed slots of each window; the first one only serves "is it still so now".
    pub(crate) windows: Vec<usize>,
    /// Closed slots that are kept as they are.
    pub(crate) ring: usize,
    /// What of a count is left after a slot.
    pub(crate) decay: f64,
    tail_age: usize,
}

impl Horizon {
    /// For slots of `slot_ms` in a window of `slots`.
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

    pub(crate) fn slot_s(&self) -> f64 {
        self.slot_ms as f64 / 1_000.0
    }

    /// Seconds of closed slots in window `w`.
    pub(crate) fn window_s(&self, w: usize) -> f64 {
        self.windows[w] as f64 * self.slot_s()
    }

    /// How many slots ago the slot closed whose latencies are learned now.
    pub(crate) fn tail_age(&self) -> usize {
        self.tail_age
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn horizons_of_other_slots() {
        let windows = |slot_ms, slots| Horizon::new(slot_ms, slots).windows;
        assert_eq!(windows(10_000, 60), [1, 3, 6, 12, 30, 60]);
        assert_eq!(windows(10_000, 360), [1, 3, 6, 12, 30, 60]);
        assert_eq!(windows(10_000, 12), [1, 3, 6, 12]);
        assert_eq!(windows(60_000, 10), [1, 1, 2, 5, 10]);
        assert_eq!(windows(1_000, 30), [1, 30]);
        assert_eq!(windows(45_000, 2), [1, 2]);
    }
}
