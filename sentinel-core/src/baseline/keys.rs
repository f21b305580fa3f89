//! Counts and baselines of all tenants, or of all endpoints; see the folder's page for how slots move through them.

use super::Past;
use super::horizon::Horizon;
use super::latency_tails::{LatencyTail, LatencyTails, dot, sum_in_lanes};
use super::lookup::Lookup;
use super::side::{BySide, Side};
use super::slot_counts::{KeyCounts, Observed, SourceCounts};
use crate::slot::histogram::{HALVES, HalfCell};
use std::borrow::Borrow;
use std::collections::VecDeque;

/// Counts of one side outside the windows, by key.
#[derive(Debug)]
pub(super) struct SideBaseline {
    side: Side,
    /// Decayed counts of the untainted slots that have left the ring.
    pub(super) old: Vec<Observed<f64>>,
    /// By window, then by key: sums over the untainted slots of the ring that are older than the window.
    pub(super) older: Vec<Vec<Observed<u32>>>,
}

/// Counts of one source in the open slot, by key.
#[derive(Debug)]
pub(super) struct OpenPart {
    pub(super) source: u64,
    pub(super) rows: Vec<(u32, KeyCounts)>,
}

/// Counts of all tenants, or of all endpoints. Each key has an index `i`; index 0 is the rest, every key that has no
/// row of its own. A window is named by its index `w` in `Horizon::windows`.
#[derive(Debug)]
pub(crate) struct Keys<L: Lookup> {
    pub(super) horizon: Horizon,
    pub(super) index: L,
    /// By index: tenants' numbers, or endpoints' names.
    pub(super) names: Vec<L::Key>,
    /// By window, then by key: sums over the window's closed slots.
    pub(super) closed: Vec<Vec<KeyCounts>>,
    /// By key: counts of the open slot.
    pub(super) open: Vec<KeyCounts>,
    /// Keys with a count in the open slot.
    pub(super) in_open: Vec<u32>,
    /// Counts of the open slot by source, as they will enter the ring.
    pub(super) open_parts: Vec<OpenPart>,
    /// Closed slots, oldest first, each with the counts of its sources: a newer snapshot takes back just those of its
    /// source.
    pub(super) ring: VecDeque<Vec<SourceCounts>>,
    pub(super) learned: BySide<SideBaseline>,
    pub(super) tails: LatencyTails,
}

/// Manner in which rows of a source change a closed slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amendment {
    /// Late events: add the rows to the source's counts.
    Add,
    /// A newer snapshot: the rows replace all of the source's counts.
    Replace,
}

impl<L: Lookup> Keys<L> {
    pub(crate) fn new(horizon: &Horizon, rest: L::Key, index: L) -> Self {
        let windows = horizon.windows.len();
        let learned = |side| SideBaseline { side, old: Vec::new(), older: vec![Vec::new(); windows] };
        let mut out = Self {
            horizon: horizon.clone(),
            index,
            names: Vec::new(),
            closed: vec![Vec::new(); windows],
            open: Vec::new(),
            in_open: Vec::new(),
            open_parts: Vec::new(),
            ring: VecDeque::new(),
            learned: BySide { errors: learned(Side::Errors), latency: learned(Side::Latency) },
            tails: LatencyTails::new(),
        };
        out.add_key(rest);
        out
    }

    /// Number of keys, the rest included.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn key(&self, i: u32) -> &L::Key {
        &self.names[i as usize]
    }

    pub(crate) fn find(&self, key: &L::Asked) -> Option<u32> {
        self.index.find(key)
    }

    /// Index of a key, which is added when it is new.
    pub(crate) fn index_of(&mut self, key: &L::Key) -> u32 {
        if let Some(i) = self.index.find(key.borrow()) {
            i
        } else {
            let i = self.add_key(key.clone());
            self.index.insert(key.clone(), i);
            i
        }
    }

    fn add_key(&mut self, key: L::Key) -> u32 {
        if self.names.len() == self.names.capacity() {
            self.grow();
        }
        self.names.push(key);
        self.closed.iter_mut().for_each(|counts| counts.push(KeyCounts::default()));
        self.open.push(KeyCounts::default());
        for learned in self.learned.iter_mut() {
            learned.old.push(Observed::default());
            learned.older.iter_mut().for_each(|counts| counts.push(Observed::default()));
        }
        self.tails.keys.push(LatencyTail::default());
        self.names.len() as u32 - 1
    }

    /// Grows all vectors by an eighth: doubling could leave a third of the judges' memory unused.
    #[cold]
    fn grow(&mut self) {
        let more = (self.names.len() / 8).max(64);
        self.names.reserve_exact(more);
        self.open.reserve_exact(more);
        self.closed.iter_mut().for_each(|counts| counts.reserve_exact(more));
        for learned in self.learned.iter_mut() {
            learned.old.reserve_exact(more);
            learned.older.iter_mut().for_each(|counts| counts.reserve_exact(more));
        }
        self.tails.keys.reserve_exact(more);
    }

    /// Number of closed slots in a window.
    pub(crate) fn slots(&self, w: usize) -> usize {
        self.horizon.windows[w]
    }

    /// Counts of a key in a window: its closed slots and the open one.
    pub(crate) fn window(&self, w: usize, i: u32) -> KeyCounts {
        self.closed[w][i as usize].wrapping_add(self.open[i as usize])
    }

    /// Keys and their counts in the open slot.
    pub(crate) fn in_open(&self) -> impl Iterator<Item = (u32, KeyCounts)> {
        self.in_open.iter().map(|&i| (i, self.open[i as usize]))
    }

    /// Baseline of a key for window `w`: decayed counts, and untainted slots of the ring that are older than the
    /// window.
    pub(crate) fn base(&self, side: Side, w: usize, i: u32) -> Observed<f64> {
        let learned = &self.learned[side];
        learned.old[i as usize].plus(learned.older[w][i as usize].exact())
    }

    /// Baselines of all keys, by index.
    pub(crate) fn bases(&self, side: Side, w: usize) -> impl Iterator<Item = Observed<f64>> {
        let learned = &self.learned[side];
        learned.old.iter().zip(&learned.older[w]).map(|(old, older)| old.plus(older.exact()))
    }

    /// Clears the counts of the open slot.
    pub(crate) fn clear_open(&mut self) {
        for i in self.in_open.drain(..) {
            self.open[i as usize] = KeyCounts::default();
        }
        self.open_parts.clear();
    }

    /// Adds the counts of one source in the open slot.
    pub(crate) fn add_open(&mut self, source: u64, rows: Vec<(u32, KeyCounts)>) {
        for &(i, tally) in rows.iter().filter(|(_, tally)| *tally != KeyCounts::default()) {
            let open = &mut self.open[i as usize];
            if *open == KeyCounts::default() {
                self.in_open.push(i);
            }
            *open = open.wrapping_add(tally);
        }
        self.open_parts.push(OpenPart { source, rows });
    }

    /// Amends a closed slot, `back` slots before the newest closed one, with `rows` of one source. `tainted` tells
    /// whether that slot is tainted; slots older than the ring are left as they are.
    pub(crate) fn amend(
        &mut self,
        back: usize,
        tainted: BySide<bool>,
        source: u64,
        rows: Vec<(u32, KeyCounts)>,
        amendment: Amendment,
    ) {
        let Some(at) = self.ring.len().checked_sub(1 + back) else {
            return;
        };
        let known = self.ring[at].iter().position(|part| part.source == source);
        let mut all: Vec<(u32, KeyCounts)> =
            known.map_or_else(Vec::new, |known| self.ring[at].swap_remove(known).iter().collect());
        if amendment == Amendment::Replace {
            for (i, tally) in all.drain(..) {
                self.change(back, tainted, i, KeyCounts::default().wrapping_sub(tally));
            }
        }
        for &(i, tally) in &rows {
            self.change(back, tainted, i, tally);
        }
        all.extend(rows);
        self.ring[at].push(SourceCounts::new(source, all));
    }

    fn change(&mut self, back: usize, tainted: BySide<bool>, i: u32, change: KeyCounts) {
        for (w, &slots) in self.horizon.windows.iter().enumerate() {
            if back < slots {
                let counts = &mut self.closed[w][i as usize];
                *counts = counts.wrapping_add(change);
                continue;
            }
            for (learned, tainted) in self.learned.iter_mut().zip(tainted) {
                if !tainted {
                    learned.grow(w, i, change);
                }
            }
        }
    }

    /// Closes the open slot: every window moves on by one slot, and the oldest slot leaves the ring into the decayed
    /// counts unless it is tainted. `tainted` has a flag for each slot of the ring, oldest first, the closing slot
    /// last.
    pub(crate) fn close(&mut self, tainted: BySide<&VecDeque<bool>>) {
        for counts in &mut self.closed {
            for &i in &self.in_open {
                counts[i as usize] = counts[i as usize].wrapping_add(self.open[i as usize]);
            }
        }
        let closing = std::mem::take(&mut self.open_parts);
        let closing = closing.into_iter().map(|part| SourceCounts::new(part.source, part.rows)).collect();
        self.clear_open();
        self.ring.push_back(closing);
        for learned in self.learned.iter_mut() {
            for old in &mut learned.old {
                *old = old.scaled(self.horizon.decay);
            }
        }
        for (w, &slots) in self.horizon.windows.iter().enumerate() {
            let Some(leaving) = self.ring.len().checked_sub(1 + slots) else {
                continue;
            };
            for (i, tally) in self.ring[leaving].iter().flat_map(SourceCounts::iter) {
                let counts = &mut self.closed[w][i as usize];
                *counts = counts.wrapping_sub(tally);
                for (learned, tainted) in self.learned.iter_mut().zip(tainted) {
                    if !tainted[leaving] {
                        learned.grow(w, i, tally);
                    }
                }
            }
        }
        if self.ring.len() > self.horizon.ring {
            let oldest = self.ring.pop_front().unwrap_or_default();
            for (i, tally) in oldest.iter().flat_map(SourceCounts::iter) {
                for (learned, tainted) in self.learned.iter_mut().zip(tainted) {
                    if !tainted[0] {
                        learned.leave_ring(i, tally);
                    }
                }
            }
        }
        self.tails.close(self.horizon.decay);
    }

    /// Learns the latencies of a slot, given by key, then sets all thresholds anew.
    pub(crate) fn learn_tails<'a>(&mut self, slot: impl Iterator<Item = (u32, &'a [HalfCell])>) {
        for (i, halves) in slot {
            self.tails.learn(i, halves, self.horizon.decay);
        }
        self.tails.set_thresholds();
    }

    /// Tail threshold of a key: a latency in a half octave above it is unusual. `HALVES` = none is.
    pub(crate) fn tail_threshold(&mut self, i: u32) -> u8 {
        self.tails.threshold(i as usize, self.horizon.decay)
    }

    /// Decayed histogram of all keys together, in half octaves; `None` before thresholds are known.
    pub(crate) fn fleet_tail(&self) -> Option<&[f64; HALVES]> {
        // After weeks of silence it has decayed to nothing.
        (self.tails.epoch > 0 && sum_in_lanes(&self.tails.fleet) >= 1.0).then_some(&self.tails.fleet)
    }

    /// Decayed histogram of a key, mixed with `PSEUDO_REQUESTS` requests of the fleet; `None` before thresholds are
    /// known.
    pub(crate) fn tail(&self, i: u32) -> Option<[f64; HALVES]> {
        (self.tails.epoch > 0).then(|| self.tails.mixed_with_prior(i as usize, self.horizon.decay))
    }

    /// Share of a key's histogram, 0 to 1, with half octaves weighted by `weights`; `None` for a key without a history.
    /// The decay is one power, not step by step: a ranking does not need the reference's rounding.
    pub(crate) fn tail_share(&self, i: u32, weights: &[f64; HALVES]) -> Option<f64> {
        let (tails, tail) = (&self.tails, &self.tails.keys[i as usize]);
        if tails.epoch == 0 || tail.halves == 0 {
            return None;
        }
        let left = self.horizon.decay.powf(tails.epoch.saturating_sub(tail.decayed_at) as f64);
        let (mut total, mut above) = (sum_in_lanes(&tails.prior), dot(&tails.prior, weights));
        let mut halves = tail.halves;
        for count in tail.counts.iter().map(|count| count * left) {
            total += count;
            above += count * weights[halves.trailing_zeros() as usize % HALVES];
            halves &= halves.wrapping_sub(1);
        }
        (total > 0.0).then(|| above / total)
    }

    /// Whether a key has a latency history of its own.
    pub(crate) fn has_tail(&self, i: u32) -> bool {
        self.tails.keys[i as usize].halves != 0
    }

    /// Baseline of a key beyond the ring, for another process.
    pub(crate) fn past(&self, i: u32) -> Past {
        let BySide { errors, latency } = &self.learned;
        let (errors, latency) = (errors.old[i as usize], latency.old[i as usize]);
        Past { errors, latency, tail: self.tails.histogram(i, self.horizon.decay) }
    }

    /// Sets the baseline of a key beyond the ring, from another process.
    pub(crate) fn inherit(&mut self, i: u32, past: &Past) {
        self.learned.errors.old[i as usize] = past.errors;
        self.learned.latency.old[i as usize] = past.latency;
        self.tails.inherit(i, &past.tail);
    }

    /// Decayed histogram of all keys together, for another process.
    pub(crate) fn past_fleet(&self) -> Vec<(u8, f64)> {
        (0..).zip(self.tails.fleet).filter(|(_, count)| *count > 0.0).collect()
    }

    /// Sets the histogram of all keys together, from another process. Call it before `inherit` of single keys.
    pub(crate) fn inherit_fleet(&mut self, histogram: &[(u8, f64)]) {
        self.tails.inherit_fleet(histogram);
    }

    /// Approximate bytes on the heap, for the memory budget.
    pub(crate) fn weight(&self) -> usize {
        let windows = self.horizon.windows.len();
        let key = (windows + 1) * size_of::<KeyCounts>()
            + 2 * (16 + windows * 8)
            + size_of::<LatencyTail>()
            + size_of::<L::Key>();
        let halves: usize = self.tails.keys.iter().map(|tail| tail.counts.capacity() * size_of::<f64>()).sum();
        let ring: usize = self.ring.iter().flatten().map(|part| size_of::<SourceCounts>() + part.weight()).sum();
        self.names.capacity() * key + self.index.weight() + halves + ring
    }

    /// Skips `slots` empty untainted slots: decays as so many closes would. The ring must be empty of counts.
    pub(crate) fn skip(&mut self, slots: u64) {
        let decay = self.horizon.decay.powf(slots as f64);
        self.learned.iter_mut().flat_map(|learned| &mut learned.old).for_each(|old| *old = old.scaled(decay));
        self.tails.fleet.iter_mut().for_each(|count| *count *= decay);
        self.tails.closes += slots;
    }
}

impl SideBaseline {
    /// Adds counts of a slot that is older than window `w`.
    fn grow(&mut self, w: usize, i: u32, tally: KeyCounts) {
        let counts = &mut self.older[w][i as usize];
        *counts = counts.wrapping_add(tally.on(self.side));
    }

    /// Moves counts of a slot that leaves the ring from `older` to `old`.
    fn leave_ring(&mut self, i: u32, tally: KeyCounts) {
        let leaving = tally.on(self.side);
        for counts in &mut self.older {
            let counts = &mut counts[i as usize];
            *counts = counts.wrapping_sub(leaving);
        }
        let old = &mut self.old[i as usize];
        *old = old.plus(leaving.signed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::REST;
    use crate::baseline::lookup::ByNumber;
    use proptest::prelude::*;
    use std::collections::HashMap;

    type CountsByKey = HashMap<u32, KeyCounts>;

    /// A slot: counts by key, and whether it was tainted.
    #[derive(Debug, Clone)]
    struct Slot {
        counts: CountsByKey,
        tainted: BySide<bool>,
    }

    fn slots() -> impl Strategy<Value = Vec<Slot>> {
        let tally = (0..50_u32, 0..50_u32, 0..50_u32).prop_map(|(requests, errors, slow)| KeyCounts {
            requests: requests + 1,
            errors,
            slow,
        });
        let slot = (prop::collection::hash_map(1..30_u32, tally, 0..12), any::<(bool, bool)>());
        let slot = slot.prop_map(|(counts, (errors, latency))| Slot { counts, tainted: BySide { errors, latency } });
        prop::collection::vec(slot, 1..90)
    }

    /// Feeds slots to new keys, with the tainted flags that the judges would keep; calls `each` after each close.
    fn feed(slots: &[Slot], horizon: &Horizon, mut each: impl FnMut(&mut Keys<ByNumber>)) -> Keys<ByNumber> {
        let mut keys = Keys::new(horizon, 0, ByNumber::default());
        let mut tainted: BySide<VecDeque<bool>> = BySide::default();
        for slot in slots {
            let rows = slot.counts.iter().map(|(key, tally)| (keys.index_of(key), *tally)).collect();
            keys.add_open(1, rows);
            for (flags, tainted) in tainted.iter_mut().zip(slot.tainted) {
                flags.push_back(tainted);
            }
            keys.close(BySide { errors: &tainted.errors, latency: &tainted.latency });
            for flags in tainted.iter_mut() {
                if flags.len() > horizon.ring {
                    flags.pop_front();
                }
            }
            each(&mut keys);
        }
        keys
    }

    fn sum<'a>(slots: impl Iterator<Item = &'a Slot>, key: u32) -> KeyCounts {
        slots.filter_map(|slot| slot.counts.get(&key)).fold(KeyCounts::default(), |sum, part| sum.wrapping_add(*part))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn windows_and_baselines_equal_sums_over_a_list_of_slots(slots in slots()) {
            let horizon = Horizon::new(10_000, 60);
            let keys = feed(&slots, &horizon, |_| {});
            for key in 1..30 {
                let Some(i) = keys.find(&key) else { continue };
                for (w, &length) in horizon.windows.iter().enumerate() {
                    let inside = slots.len().saturating_sub(length);
                    prop_assert_eq!(keys.window(w, i), sum(slots[inside..].iter(), key));
                    for side in [Side::Errors, Side::Latency] {
                        let (mut n, mut bad) = (0.0, 0.0);
                        for (age, slot) in slots.iter().rev().enumerate().skip(length) {
                            let known = slot.counts.get(&key).filter(|_| !slot.tainted[side]);
                            // Decays from the close after the one at which it left the ring.
                            let left = horizon.decay.powf(age.saturating_sub(horizon.ring) as f64);
                            n += known.map_or(0.0, |tally| f64::from(tally.requests)) * left;
                            bad += known.map_or(0.0, |tally| f64::from(tally.bad(side))) * left;
                        }
                        let base = keys.base(side, w, i);
                        prop_assert!((base.requests - n).abs() < 1e-6 && (base.bad - bad).abs() < 1e-6);
                    }
                }
            }
        }

        #[test]
        fn dropping_keys_loses_no_count(slots in slots(), most in 2..20_usize) {
            let horizon = Horizon::new(10_000, 60);
            let named = std::cell::Cell::new(0);
            let shrunk = feed(&slots, &horizon, |keys| {
                let keep: Vec<u32> = keys.find(&7).into_iter().collect();
                if let Some(to) = keys.shrink(most, &keep, |_| ()) {
                    named.set(named.get() + keep.len());
                    assert!(keep.iter().all(|&i| most < 4 || to[i as usize] != REST), "the kept one is gone");
                }
                assert!(keys.len() <= most, "{} keys, allowed {most}", keys.len());
            });
            let whole = feed(&slots, &horizon, |_| {});
            for w in 0..horizon.windows.len() {
                let total = |keys: &Keys<ByNumber>| (0..keys.len() as u32).map(|i| keys.window(w, i)).fold(KeyCounts::default(), KeyCounts::wrapping_add);
                prop_assert_eq!(total(&shrunk), total(&whole));
                for side in [Side::Errors, Side::Latency] {
                    let learned = |keys: &Keys<ByNumber>| (0..keys.len() as u32).map(|i| keys.base(side, w, i).requests).sum::<f64>();
                    prop_assert!((learned(&shrunk) - learned(&whole)).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn a_replaced_snapshot_leaves_no_count_behind() {
        let horizon = Horizon::new(10_000, 60);
        let mut keys = Keys::new(&horizon, 0, ByNumber::default());
        let i = keys.index_of(&1);
        let of = |requests, errors| vec![(i, KeyCounts { requests, errors, slow: 1 })];
        let mut tainted = VecDeque::new();
        for slot in 0..80 {
            tainted.push_back(false);
            keys.close(BySide { errors: &tainted, latency: &tainted });
            if tainted.len() > horizon.ring {
                tainted.pop_front();
            }
            if slot == 4 {
                keys.amend(2, BySide::default(), 9, of(10, 3), Amendment::Replace);
                keys.amend(2, BySide::default(), 8, of(1, 0), Amendment::Add); // another source's late events
                assert_eq!(keys.window(1, i), KeyCounts { requests: 11, errors: 3, slow: 2 }); // 30 s: three slots
                keys.amend(2, BySide::default(), 9, of(3, 0), Amendment::Replace);
                keys.amend(2, BySide::default(), 8, of(1, 0), Amendment::Add);
                assert_eq!(keys.window(1, i), KeyCounts { requests: 5, errors: 0, slow: 3 });
                assert_eq!(keys.window(0, i), KeyCounts::default());
                assert_eq!(keys.base(Side::Errors, 0, i), Observed { requests: 5.0, bad: 0.0 });
            }
        }
        let base = keys.base(Side::Errors, 5, i);
        assert!(base.requests > 4.8 && base.requests <= 5.0 && base.bad == 0.0, "{base:?}");
        assert_eq!(keys.window(5, i), KeyCounts::default());
    }

    #[test]
    fn an_empty_row_does_not_count_a_key_twice() {
        let horizon = Horizon::new(10_000, 60);
        let mut keys = Keys::new(&horizon, 0, ByNumber::default());
        let (i, some) = (keys.index_of(&1), KeyCounts { requests: 50, errors: 50, slow: 0 });
        keys.add_open(1, vec![(i, KeyCounts::default())]);
        keys.add_open(2, vec![(i, some)]);
        let tainted = VecDeque::from([false]);
        keys.close(BySide { errors: &tainted, latency: &tainted });
        assert_eq!(keys.window(1, i), some);
    }

    #[test]
    fn the_rest_keeps_index_0_when_all_keys_are_to_be_kept() {
        let horizon = Horizon::new(10_000, 60);
        let mut keys = Keys::new(&horizon, 0, ByNumber::default());
        let rows: Vec<_> =
            (1..=40).map(|key| (keys.index_of(&key), KeyCounts { requests: 9, errors: 9, slow: 0 })).collect();
        keys.add_open(1, rows);
        let all: Vec<u32> = (1..=40).collect();
        assert!(keys.shrink(20, &all, |_| ()).is_some());
        assert_eq!((keys.len(), *keys.key(REST)), (10, 0));
        assert_eq!(keys.window(0, REST), KeyCounts { requests: 9 * 31, errors: 9 * 31, slow: 0 });
    }
}
