//! What is normal: counts of every tenant (and of every endpoint) by trailing window, by slot, and decayed beyond the ring.
//!
//! A baseline is for one judged window: the decayed counts of what left the ring (half-life 1 h) and the ring's slots that are
//! older than the window, *tainted* slots left out, so that it never contains the incident that is being judged.
//! Two judges keep their own: errors, and latency (requests above the key's own tail threshold).

pub(crate) mod horizon;
pub(crate) mod latency_tails;
pub(crate) mod lookup;
pub(crate) mod slot_counts;
pub(crate) mod wire;

use crate::baseline::latency_tails::{Tail, Tails, dot, pairwise};
use crate::baseline::lookup::Lookup;
use crate::slot::histogram::{HALVES, HalfCell};
use horizon::Horizon;
use slot_counts::{KeyCounts, Observed, Side, SourceCounts};
use std::borrow::Borrow;
use std::collections::VecDeque;

/// What is known of a key beyond the ring: (requests, bad ones) of each side, and its latencies in halves of an octave.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Past {
    pub(crate) errors: Observed<f64>,
    pub(crate) latency: Observed<f64>,
    pub(crate) tail: Vec<(u8, f64)>,
}

/// What one side has learned of each key: requests and bad ones.
#[derive(Debug)]
struct Learned {
    side: Side,
    /// Older than the ring, decayed.
    old: Vec<Observed<f64>>,
    /// By window: untainted slots of the ring that are older than it.
    older: Vec<Vec<Observed<u32>>>,
}

/// What one source has in the open slot.
#[derive(Debug)]
struct OpenPart {
    source: u64,
    rows: Vec<(u32, KeyCounts)>,
}

/// All tenants, or all endpoints. Key 0 is the rest: what has no row of its own.
#[derive(Debug)]
pub(crate) struct Keys<L: Lookup> {
    horizon: Horizon,
    index: L,
    names: Vec<L::Key>,
    /// By window: counts of its closed slots.
    closed: Vec<Vec<KeyCounts>>,
    open: Vec<KeyCounts>,
    in_open: Vec<u32>,
    open_parts: Vec<OpenPart>,
    /// Closed slots, oldest first: what each source had in them, so that just that can be taken back.
    ring: VecDeque<Vec<SourceCounts>>,
    learned: [Learned; 2],
    tails: Tails,
}

/// The key of everything that has no key.
pub(crate) const REST: u32 = 0;

impl<L: Lookup> Keys<L> {
    pub(crate) fn new(horizon: &Horizon, rest: L::Key, index: L) -> Self {
        let windows = horizon.windows.len();
        let learned = |side| Learned { side, old: Vec::new(), older: vec![Vec::new(); windows] };
        let mut out = Self {
            horizon: horizon.clone(),
            index,
            names: Vec::new(),
            closed: vec![Vec::new(); windows],
            open: Vec::new(),
            in_open: Vec::new(),
            open_parts: Vec::new(),
            ring: VecDeque::new(),
            learned: [learned(Side::Errors), learned(Side::Latency)],
            tails: Tails::new(),
        };
        out.add_key(rest);
        out
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn key(&self, i: u32) -> &L::Key {
        &self.names[i as usize]
    }

    pub(crate) fn find(&self, key: &L::Asked) -> Option<u32> {
        self.index.find(key)
    }

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
        for learned in &mut self.learned {
            learned.old.push(Observed::default());
            learned.older.iter_mut().for_each(|counts| counts.push(Observed::default()));
        }
        self.tails.of.push(Tail::default());
        self.names.len() as u32 - 1
    }

    /// By an eighth: twice as much as is needed would be a third of the judges' memory.
    #[cold]
    fn grow(&mut self) {
        let more = (self.names.len() / 8).max(64);
        self.names.reserve_exact(more);
        self.open.reserve_exact(more);
        self.closed.iter_mut().for_each(|counts| counts.reserve_exact(more));
        for learned in &mut self.learned {
            learned.old.reserve_exact(more);
            learned.older.iter_mut().for_each(|counts| counts.reserve_exact(more));
        }
        self.tails.of.reserve_exact(more);
    }

    /// Closed slots of a window.
    pub(crate) fn slots(&self, w: usize) -> usize {
        self.horizon.windows[w]
    }

    /// Counts of a window: its closed slots and the open one.
    pub(crate) fn window(&self, w: usize, i: u32) -> KeyCounts {
        self.closed[w][i as usize].wrapping_add(self.open[i as usize])
    }

    /// Counts of the open slot.
    pub(crate) fn in_open(&self) -> impl Iterator<Item = (u32, KeyCounts)> {
        self.in_open.iter().map(|&i| (i, self.open[i as usize]))
    }

    /// The baseline of window `w`: requests and bad ones.
    pub(crate) fn base(&self, side: Side, w: usize, i: u32) -> Observed<f64> {
        let learned = &self.learned[side as usize];
        learned.old[i as usize].plus(learned.older[w][i as usize].exact())
    }

    /// The same of all keys, in their order.
    pub(crate) fn bases(&self, side: Side, w: usize) -> impl Iterator<Item = Observed<f64>> {
        let learned = &self.learned[side as usize];
        learned.old.iter().zip(&learned.older[w]).map(|(old, older)| old.plus(older.exact()))
    }

    /// Forgets what it knew of the open slot.
    pub(crate) fn clear_open(&mut self) {
        for i in self.in_open.drain(..) {
            self.open[i as usize] = KeyCounts::default();
        }
        self.open_parts.clear();
    }

    /// Adds what a source has in the open slot.
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

    /// Changes a closed slot, `back` slots before the newest: adds late events of a source, or puts its newer snapshot in
    /// place of what it had there.
    pub(crate) fn amend(
        &mut self,
        back: usize,
        tainted: [bool; 2],
        source: u64,
        rows: Vec<(u32, KeyCounts)>,
        replace: bool,
    ) {
        let Some(at) = self.ring.len().checked_sub(1 + back) else {
            return;
        };
        let known = self.ring[at].iter().position(|part| part.source == source);
        let mut all: Vec<(u32, KeyCounts)> =
            known.map_or_else(Vec::new, |known| self.ring[at].swap_remove(known).iter().collect());
        if replace {
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

    fn change(&mut self, back: usize, tainted: [bool; 2], i: u32, change: KeyCounts) {
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

    /// Closes the open slot: every window moves on by one slot; what leaves the ring is learned, or forgotten when tainted.
    /// `tainted` are the slots of the ring, oldest first, the closing one last, by side.
    pub(crate) fn close(&mut self, tainted: [&VecDeque<bool>; 2]) {
        for counts in &mut self.closed {
            for &i in &self.in_open {
                counts[i as usize] = counts[i as usize].wrapping_add(self.open[i as usize]);
            }
        }
        let closing = std::mem::take(&mut self.open_parts);
        let closing = closing.into_iter().map(|part| SourceCounts::new(part.source, part.rows)).collect();
        self.clear_open();
        self.ring.push_back(closing);
        for learned in &mut self.learned {
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
                        learned.retire(i, tally);
                    }
                }
            }
        }
        self.tails.close(self.horizon.decay);
    }

    /// Learns the latencies of a slot that has just become a minute old, then sets all thresholds anew.
    pub(crate) fn learn_tails<'a>(&mut self, slot: impl Iterator<Item = (u32, &'a [HalfCell])>) {
        for (i, halves) in slot {
            self.tails.learn(i, halves, self.horizon.decay);
        }
        self.tails.set_lines();
    }

    /// The key's threshold: a latency is unusual in a half above it. 64 = nothing is.
    pub(crate) fn line(&mut self, i: u32) -> u8 {
        self.tails.line(i as usize, self.horizon.decay)
    }

    /// The fleet's decayed histogram, in halves of an octave.
    pub(crate) fn fleet_tail(&self) -> Option<&[f64; HALVES]> {
        // After weeks of silence nothing is left of it.
        (self.tails.epoch > 0 && pairwise(&self.tails.fleet) >= 1.0).then_some(&self.tails.fleet)
    }

    /// The key's decayed histogram mixed with twenty requests of the fleet; `None` before thresholds are known.
    pub(crate) fn tail(&self, i: u32) -> Option<[f64; HALVES]> {
        (self.tails.epoch > 0).then(|| self.tails.mixed(i as usize, self.horizon.decay))
    }

    /// The share of a key's tail histogram, halves weighed by `weights`. Decayed in one go: a ranking needs no more.
    pub(crate) fn tail_share(&self, i: u32, weights: &[f64; HALVES]) -> Option<f64> {
        let (tails, tail) = (&self.tails, &self.tails.of[i as usize]);
        if tails.epoch == 0 || tail.halves == 0 {
            return None;
        }
        let left = self.horizon.decay.powf(tails.epoch.saturating_sub(tail.stamp) as f64);
        let (mut total, mut above) = (pairwise(&tails.pseudo), dot(&tails.pseudo, weights));
        let mut halves = tail.halves;
        for count in tail.counts.iter().map(|count| count * left) {
            total += count;
            above += count * weights[halves.trailing_zeros() as usize % HALVES];
            halves &= halves.wrapping_sub(1);
        }
        (total > 0.0).then(|| above / total)
    }

    /// The key has a latency history of its own.
    pub(crate) fn has_tail(&self, i: u32) -> bool {
        self.tails.of[i as usize].halves != 0
    }

    /// What is known of a key beyond the ring, for another process.
    pub(crate) fn past(&self, i: u32) -> Past {
        let [errors, latency] = [Side::Errors, Side::Latency].map(|side| self.learned[side as usize].old[i as usize]);
        Past { errors, latency, tail: self.tails.histogram(i, self.horizon.decay) }
    }

    /// Takes what another process knew of a key.
    pub(crate) fn inherit(&mut self, i: u32, past: &Past) {
        self.learned[Side::Errors as usize].old[i as usize] = past.errors;
        self.learned[Side::Latency as usize].old[i as usize] = past.latency;
        self.tails.inherit(i, &past.tail);
    }

    /// The latencies of everybody, for another process.
    pub(crate) fn past_fleet(&self) -> Vec<(u8, f64)> {
        (0..).zip(self.tails.fleet).filter(|(_, count)| *count > 0.0).collect()
    }

    /// Takes the latencies of everybody that another process knew: before those of the keys.
    pub(crate) fn inherit_fleet(&mut self, histogram: &[(u8, f64)]) {
        self.tails.inherit_fleet(histogram);
    }

    /// Bytes on the heap, near enough to budget by.
    pub(crate) fn weight(&self) -> usize {
        let windows = self.horizon.windows.len();
        let key =
            (windows + 1) * size_of::<KeyCounts>() + 2 * (16 + windows * 8) + size_of::<Tail>() + size_of::<L::Key>();
        let halves: usize = self.tails.of.iter().map(|tail| tail.counts.capacity() * size_of::<f64>()).sum();
        let ring: usize = self.ring.iter().flatten().map(|part| size_of::<SourceCounts>() + part.weight()).sum();
        self.names.capacity() * key + self.index.weight() + halves + ring
    }

    /// Skips `slots` empty untainted slots when the ring holds nothing any more.
    pub(crate) fn skip(&mut self, slots: u64) {
        let decay = self.horizon.decay.powf(slots as f64);
        self.learned.iter_mut().flat_map(|learned| &mut learned.old).for_each(|old| *old = old.scaled(decay));
        self.tails.fleet.iter_mut().for_each(|count| *count *= decay);
        self.tails.closes += slots;
    }

    /// Keeps the keys that weigh most when there are more than `most`; the others join the rest.
    /// Says where each key went, or `None` when nothing changed. `keep` are never let go; `gone` is told who is.
    pub(crate) fn shrink(&mut self, most: usize, keep: &[u32], mut gone: impl FnMut(&L::Key)) -> Option<Vec<u32>> {
        if self.len() <= most {
            return None;
        }
        let longest = self.horizon.windows.len() - 1;
        let mut kept = vec![0_u8; self.len()];
        keep.iter().for_each(|&i| kept[i as usize] = 1);
        kept[REST as usize] = 2;
        let weight = |i: u32| {
            let (now, base) = (self.window(longest, i), self.base(Side::Errors, longest, i));
            let errors = f64::from(now.errors) + base.bad;
            (kept[i as usize], errors, f64::from(now.slow), f64::from(now.requests) + base.requests)
        };
        let mut weighed: Vec<_> = (0..self.len() as u32).map(|i| (weight(i), i)).collect();
        let room = (most / 2).max(1);
        // Of equals, who came first stays.
        weighed.select_nth_unstable_by(room - 1, |(a, i), (b, j)| {
            b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal).then(i.cmp(j))
        });
        let mut order: Vec<u32> = weighed.iter().take(room).map(|(_, i)| *i).collect();
        order.sort_unstable();
        let mut to = vec![REST; self.len()];
        order.iter().zip(0..).for_each(|(&from, i)| to[from as usize] = i);
        let others = self.names.iter().zip(&to).filter(|(_, i)| **i == REST).skip(1);
        others.for_each(|(name, _)| gone(name));
        self.names = order.iter().map(|&i| self.names[i as usize].clone()).collect();
        self.index.remap(|i| Some(to[i as usize]).filter(|&i| i != REST));
        for counts in self.closed.iter_mut().chain([&mut self.open]) {
            regroup(counts, &to, order.len(), |sum, part| *sum = sum.wrapping_add(*part));
        }
        for learned in &mut self.learned {
            regroup(&mut learned.old, &to, order.len(), |sum, part| *sum = sum.plus(*part));
            for counts in &mut learned.older {
                regroup(counts, &to, order.len(), |sum, part| *sum = sum.wrapping_add(*part));
            }
        }
        self.tails.of = order.iter().map(|&i| std::mem::take(&mut self.tails.of[i as usize])).collect();
        for part in self.ring.iter_mut().flatten() {
            *part = SourceCounts::new(part.source, part.iter().map(|(i, tally)| (to[i as usize], tally)).collect());
        }
        for (i, _) in self.open_parts.iter_mut().flat_map(|part| &mut part.rows) {
            *i = to[*i as usize];
        }
        self.in_open.iter_mut().for_each(|i| *i = to[*i as usize]);
        self.in_open.sort_unstable();
        self.in_open.dedup();
        Some(to)
    }
}

/// Moves each value to its new place; values that meet are added up.
fn regroup<T: Clone + Default>(values: &mut Vec<T>, to: &[u32], len: usize, add: impl Fn(&mut T, &T)) {
    let mut out = vec![T::default(); len];
    for (value, &i) in values.iter().zip(to) {
        add(&mut out[i as usize], value);
    }
    *values = out;
}

impl Learned {
    fn grow(&mut self, w: usize, i: u32, tally: KeyCounts) {
        let counts = &mut self.older[w][i as usize];
        *counts = counts.wrapping_add(tally.on(self.side));
    }

    /// From "in the ring, older than every shorter window" to "older than the ring".
    fn retire(&mut self, i: u32, tally: KeyCounts) {
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
    use crate::baseline::lookup::ByNumber;
    use proptest::prelude::*;
    use std::collections::HashMap;

    type CountsByKey = HashMap<u32, KeyCounts>;

    /// Slots as they were, oldest first: what each key did, and whether the slot was tainted, by side.
    #[derive(Debug, Clone)]
    struct Slot {
        counts: CountsByKey,
        tainted: [bool; 2],
    }

    fn slots() -> impl Strategy<Value = Vec<Slot>> {
        let tally = (0..50_u32, 0..50_u32, 0..50_u32).prop_map(|(requests, errors, slow)| KeyCounts {
            requests: requests + 1,
            errors,
            slow,
        });
        let slot = (prop::collection::hash_map(1..30_u32, tally, 0..12), any::<[bool; 2]>());
        prop::collection::vec(slot.prop_map(|(counts, tainted)| Slot { counts, tainted }), 1..90)
    }

    /// Feeds slots; gives the keys and the ring's tainted flags, as the judges keep them.
    fn feed(slots: &[Slot], horizon: &Horizon, mut each: impl FnMut(&mut Keys<ByNumber>)) -> Keys<ByNumber> {
        let mut keys = Keys::new(horizon, 0, ByNumber::default());
        let mut tainted: [VecDeque<bool>; 2] = [VecDeque::new(), VecDeque::new()];
        for slot in slots {
            let rows = slot.counts.iter().map(|(key, tally)| (keys.index_of(key), *tally)).collect();
            keys.add_open(1, rows);
            for (flags, tainted) in tainted.iter_mut().zip(slot.tainted) {
                flags.push_back(tainted);
            }
            keys.close([&tainted[0], &tainted[1]]);
            for flags in &mut tainted {
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
        fn windows_and_baselines_are_those_of_a_list(slots in slots()) {
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
                            let known = slot.counts.get(&key).filter(|_| !slot.tainted[side as usize]);
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
        fn letting_keys_go_loses_no_count(slots in slots(), most in 2..20_usize) {
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
    fn what_was_replaced_is_gone_everywhere() {
        let horizon = Horizon::new(10_000, 60);
        let mut keys = Keys::new(&horizon, 0, ByNumber::default());
        let i = keys.index_of(&1);
        let of = |requests, errors| vec![(i, KeyCounts { requests, errors, slow: 1 })];
        let mut tainted = VecDeque::new();
        for slot in 0..80 {
            tainted.push_back(false);
            keys.close([&tainted, &tainted]);
            if tainted.len() > horizon.ring {
                tainted.pop_front();
            }
            if slot == 4 {
                keys.amend(2, [false; 2], 9, of(10, 3), true);
                keys.amend(2, [false; 2], 8, of(1, 0), false); // another source's late events
                assert_eq!(keys.window(1, i), KeyCounts { requests: 11, errors: 3, slow: 2 }); // 30 s: three slots
                keys.amend(2, [false; 2], 9, of(3, 0), true);
                keys.amend(2, [false; 2], 8, of(1, 0), false);
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
    fn a_row_of_nothing_counts_nobody_twice() {
        let horizon = Horizon::new(10_000, 60);
        let mut keys = Keys::new(&horizon, 0, ByNumber::default());
        let (i, some) = (keys.index_of(&1), KeyCounts { requests: 50, errors: 50, slow: 0 });
        keys.add_open(1, vec![(i, KeyCounts::default())]);
        keys.add_open(2, vec![(i, some)]);
        let tainted = VecDeque::from([false]);
        keys.close([&tainted, &tainted]);
        assert_eq!(keys.window(1, i), some);
    }

    #[test]
    fn the_rest_stays_the_rest_when_all_are_to_be_kept() {
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
