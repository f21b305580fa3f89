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
use crate::slot::histogram::HALVES;
use horizon::Horizon;
use slot_counts::{Part, Side, Tally};
use std::borrow::Borrow;
use std::collections::VecDeque;

/// What is known of a key beyond the ring: (requests, bad ones) of each side, and its latencies in halves of an octave.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Past {
    pub(crate) errors: [f64; 2],
    pub(crate) latency: [f64; 2],
    pub(crate) tail: Vec<(u8, f64)>,
}

/// What one side has learned of each key: requests and bad ones.
#[derive(Debug)]
struct Learned {
    side: Side,
    /// Older than the ring, decayed.
    old: Vec<[f64; 2]>,
    /// By window: untainted slots of the ring that are older than it.
    older: Vec<Vec<[u32; 2]>>,
}

/// All tenants, or all endpoints. Key 0 is the rest: what has no row of its own.
#[derive(Debug)]
pub(crate) struct Keys<L: Lookup> {
    horizon: Horizon,
    index: L,
    names: Vec<L::Key>,
    /// By window: counts of its closed slots.
    closed: Vec<Vec<Tally>>,
    open: Vec<Tally>,
    in_open: Vec<u32>,
    open_parts: Vec<(u64, Vec<(u32, Tally)>)>,
    /// Closed slots, oldest first: what each source had in them, so that just that can be taken back.
    ring: VecDeque<Vec<Part>>,
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
        self.closed.iter_mut().for_each(|counts| counts.push(Tally::default()));
        self.open.push(Tally::default());
        for learned in &mut self.learned {
            learned.old.push([0.0; 2]);
            learned.older.iter_mut().for_each(|counts| counts.push([0; 2]));
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
    pub(crate) fn window(&self, w: usize, i: u32) -> Tally {
        let mut tally = self.closed[w][i as usize];
        tally.add(self.open[i as usize]);
        tally
    }

    /// Counts of the open slot.
    pub(crate) fn in_open(&self) -> impl Iterator<Item = (u32, Tally)> {
        self.in_open.iter().map(|&i| (i, self.open[i as usize]))
    }

    /// The baseline of window `w`: requests and bad ones.
    pub(crate) fn base(&self, side: Side, w: usize, i: u32) -> (f64, f64) {
        let learned = &self.learned[side as usize];
        let ([n, e], [older_n, older_e]) = (learned.old[i as usize], learned.older[w][i as usize]);
        (n + f64::from(older_n), e + f64::from(older_e))
    }

    /// The same of all keys, in their order.
    pub(crate) fn bases(&self, side: Side, w: usize) -> impl Iterator<Item = (f64, f64)> {
        let learned = &self.learned[side as usize];
        let both = learned.old.iter().zip(&learned.older[w]);
        both.map(|([n, e], [older_n, older_e])| (n + f64::from(*older_n), e + f64::from(*older_e)))
    }

    /// Forgets what it knew of the open slot.
    pub(crate) fn clear_open(&mut self) {
        for i in self.in_open.drain(..) {
            self.open[i as usize] = Tally::default();
        }
        self.open_parts.clear();
    }

    /// Adds what a source has in the open slot.
    pub(crate) fn add_open(&mut self, source: u64, rows: Vec<(u32, Tally)>) {
        for &(i, tally) in rows.iter().filter(|(_, tally)| *tally != Tally::default()) {
            let open = &mut self.open[i as usize];
            if *open == Tally::default() {
                self.in_open.push(i);
            }
            open.add(tally);
        }
        self.open_parts.push((source, rows));
    }

    /// Changes a closed slot, `back` slots before the newest: adds late events of a source, or puts its newer snapshot in
    /// place of what it had there.
    pub(crate) fn amend(
        &mut self,
        back: usize,
        tainted: [bool; 2],
        source: u64,
        rows: Vec<(u32, Tally)>,
        replace: bool,
    ) {
        let Some(at) = self.ring.len().checked_sub(1 + back) else {
            return;
        };
        let known = self.ring[at].iter().position(|part| part.source == source);
        let mut all: Vec<(u32, Tally)> =
            known.map_or_else(Vec::new, |known| self.ring[at].swap_remove(known).iter().collect());
        if replace {
            for (i, tally) in all.drain(..) {
                let mut change = Tally::default();
                change.sub(tally);
                self.change(back, tainted, i, change);
            }
        }
        for &(i, tally) in &rows {
            self.change(back, tainted, i, tally);
        }
        all.extend(rows);
        self.ring[at].push(Part::new(source, all));
    }

    fn change(&mut self, back: usize, tainted: [bool; 2], i: u32, change: Tally) {
        for (w, &slots) in self.horizon.windows.iter().enumerate() {
            if back < slots {
                self.closed[w][i as usize].add(change);
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
                counts[i as usize].add(self.open[i as usize]);
            }
        }
        let closing = std::mem::take(&mut self.open_parts);
        let closing = closing.into_iter().map(|(source, rows)| Part::new(source, rows)).collect();
        self.clear_open();
        self.ring.push_back(closing);
        for learned in &mut self.learned {
            for counts in learned.old.iter_mut().flatten() {
                *counts *= self.horizon.decay;
            }
        }
        for (w, &slots) in self.horizon.windows.iter().enumerate() {
            let Some(leaving) = self.ring.len().checked_sub(1 + slots) else {
                continue;
            };
            for (i, tally) in self.ring[leaving].iter().flat_map(Part::iter) {
                self.closed[w][i as usize].sub(tally);
                for (learned, tainted) in self.learned.iter_mut().zip(tainted) {
                    if !tainted[leaving] {
                        learned.grow(w, i, tally);
                    }
                }
            }
        }
        if self.ring.len() > self.horizon.ring {
            let oldest = self.ring.pop_front().unwrap_or_default();
            for (i, tally) in oldest.iter().flat_map(Part::iter) {
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
    pub(crate) fn learn_tails<'a>(&mut self, slot: impl Iterator<Item = (u32, &'a [(u8, u32)])>) {
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
        let key = (windows + 1) * size_of::<Tally>() + 2 * (16 + windows * 8) + size_of::<Tail>() + size_of::<L::Key>();
        let halves: usize = self.tails.of.iter().map(|tail| tail.counts.capacity() * size_of::<f64>()).sum();
        let ring: usize = self.ring.iter().flatten().map(|part| size_of::<Part>() + part.weight()).sum();
        self.names.capacity() * key + self.index.weight() + halves + ring
    }

    /// Skips `slots` empty untainted slots when the ring holds nothing any more.
    pub(crate) fn skip(&mut self, slots: u64) {
        let decay = self.horizon.decay.powf(slots as f64);
        self.learned.iter_mut().flat_map(|learned| &mut learned.old).flatten().for_each(|count| *count *= decay);
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
            let (now, (n, e)) = (self.window(longest, i), self.base(Side::Errors, longest, i));
            (kept[i as usize], f64::from(now.e) + e, f64::from(now.s), f64::from(now.n) + n)
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
            regroup(counts, &to, order.len(), |sum, part| sum.add(*part));
        }
        for learned in &mut self.learned {
            regroup(&mut learned.old, &to, order.len(), |sum, part| *sum = [sum[0] + part[0], sum[1] + part[1]]);
            for counts in &mut learned.older {
                regroup(counts, &to, order.len(), |sum, part| {
                    *sum = [sum[0].wrapping_add(part[0]), sum[1].wrapping_add(part[1])];
                });
            }
        }
        self.tails.of = order.iter().map(|&i| std::mem::take(&mut self.tails.of[i as usize])).collect();
        for part in self.ring.iter_mut().flatten() {
            *part = Part::new(part.source, part.iter().map(|(i, tally)| (to[i as usize], tally)).collect());
        }
        for (i, _) in self.open_parts.iter_mut().flat_map(|(_, rows)| rows) {
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
    fn grow(&mut self, w: usize, i: u32, tally: Tally) {
        let counts = &mut self.older[w][i as usize];
        *counts = [counts[0].wrapping_add(tally.n), counts[1].wrapping_add(tally.bad(self.side))];
    }

    /// From "in the ring, older than every shorter window" to "older than the ring".
    fn retire(&mut self, i: u32, tally: Tally) {
        let bad = tally.bad(self.side);
        for counts in &mut self.older {
            let counts = &mut counts[i as usize];
            *counts = [counts[0].wrapping_sub(tally.n), counts[1].wrapping_sub(bad)];
        }
        let old = &mut self.old[i as usize];
        // Counts that were taken back are negative here.
        *old = [old[0] + f64::from(tally.n as i32), old[1] + f64::from(bad as i32)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::lookup::ByNumber;
    use proptest::prelude::*;
    use std::collections::HashMap;

    type Counts = HashMap<u32, Tally>;

    /// Slots as they were, oldest first: what each key did, and whether the slot was tainted, by side.
    #[derive(Debug, Clone)]
    struct Slot {
        counts: Counts,
        tainted: [bool; 2],
    }

    fn slots() -> impl Strategy<Value = Vec<Slot>> {
        let tally = (0..50_u32, 0..50_u32, 0..50_u32).prop_map(|(n, e, s)| Tally { n: n + 1, e, s });
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

    fn sum<'a>(slots: impl Iterator<Item = &'a Slot>, key: u32) -> Tally {
        slots.filter_map(|slot| slot.counts.get(&key)).fold(Tally::default(), |mut sum, part| {
            sum.add(*part);
            sum
        })
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
                            n += known.map_or(0.0, |tally| f64::from(tally.n)) * left;
                            bad += known.map_or(0.0, |tally| f64::from(tally.bad(side))) * left;
                        }
                        let (base_n, base_bad) = keys.base(side, w, i);
                        prop_assert!((base_n - n).abs() < 1e-6 && (base_bad - bad).abs() < 1e-6);
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
                let total = |keys: &Keys<ByNumber>| (0..keys.len() as u32).map(|i| keys.window(w, i)).fold(Tally::default(), |mut sum, part| {
                    sum.add(part);
                    sum
                });
                prop_assert_eq!(total(&shrunk), total(&whole));
                for side in [Side::Errors, Side::Latency] {
                    let learned = |keys: &Keys<ByNumber>| (0..keys.len() as u32).map(|i| keys.base(side, w, i).0).sum::<f64>();
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
        let of = |n, e| vec![(i, Tally { n, e, s: 1 })];
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
                assert_eq!(keys.window(1, i), Tally { n: 11, e: 3, s: 2 }); // 30 s: three slots
                keys.amend(2, [false; 2], 9, of(3, 0), true);
                keys.amend(2, [false; 2], 8, of(1, 0), false);
                assert_eq!(keys.window(1, i), Tally { n: 5, e: 0, s: 3 });
                assert_eq!(keys.window(0, i), Tally::default());
                assert_eq!(keys.base(Side::Errors, 0, i), (5.0, 0.0));
            }
        }
        let (n, e) = keys.base(Side::Errors, 5, i);
        assert!(n > 4.8 && n <= 5.0 && e == 0.0, "{n} {e}");
        assert_eq!(keys.window(5, i), Tally::default());
    }

    #[test]
    fn a_row_of_nothing_counts_nobody_twice() {
        let horizon = Horizon::new(10_000, 60);
        let mut keys = Keys::new(&horizon, 0, ByNumber::default());
        let (i, some) = (keys.index_of(&1), Tally { n: 50, e: 50, s: 0 });
        keys.add_open(1, vec![(i, Tally::default())]);
        keys.add_open(2, vec![(i, some)]);
        let tainted = VecDeque::from([false]);
        keys.close([&tainted, &tainted]);
        assert_eq!(keys.window(1, i), some);
    }

    #[test]
    fn the_rest_stays_the_rest_when_all_are_to_be_kept() {
        let horizon = Horizon::new(10_000, 60);
        let mut keys = Keys::new(&horizon, 0, ByNumber::default());
        let rows: Vec<_> = (1..=40).map(|key| (keys.index_of(&key), Tally { n: 9, e: 9, s: 0 })).collect();
        keys.add_open(1, rows);
        let all: Vec<u32> = (1..=40).collect();
        assert!(keys.shrink(20, &all, |_| ()).is_some());
        assert_eq!((keys.len(), *keys.key(REST)), (10, 0));
        assert_eq!(keys.window(0, REST), Tally { n: 9 * 31, e: 9 * 31, s: 0 });
    }
}
