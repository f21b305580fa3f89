//! Drops the lightest keys when the judges need memory: their counts join the rest.

use super::lookup::Lookup;
use super::side::Side;
use super::slot_counts::SourceCounts;
use super::{Keys, REST};

impl<L: Lookup> Keys<L> {
    /// When there are more than `most` keys, keeps the heaviest `most / 2` and adds the others to the rest. Halving
    /// makes shrinking rare. Keys rank by errors, then by slow requests, then by requests, the baseline included; those
    /// in `keep` rank first.
    ///
    /// Returns the new index of each old one (`REST` for a dropped key), or `None` when nothing changed. `on_drop` is
    /// called for each dropped key.
    pub(crate) fn shrink(&mut self, most: usize, keep: &[u32], mut on_drop: impl FnMut(&L::Key)) -> Option<Vec<u32>> {
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
        // Among equals the older key, which has the lower index, stays.
        weighed.select_nth_unstable_by(room - 1, |(a, i), (b, j)| {
            b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal).then(i.cmp(j))
        });
        let mut order: Vec<u32> = weighed.iter().take(room).map(|(_, i)| *i).collect();
        order.sort_unstable();
        let mut to = vec![REST; self.len()];
        order.iter().zip(0..).for_each(|(&from, i)| to[from as usize] = i);
        let dropped = self.names.iter().zip(&to).filter(|(_, i)| **i == REST).skip(1);
        dropped.for_each(|(name, _)| on_drop(name));
        self.names = order.iter().map(|&i| self.names[i as usize].clone()).collect();
        self.index.remap(|i| Some(to[i as usize]).filter(|&i| i != REST));
        for counts in self.closed.iter_mut().chain([&mut self.open]) {
            regroup(counts, &to, order.len(), |sum, part| *sum = sum.wrapping_add(*part));
        }
        for learned in self.learned.iter_mut() {
            regroup(&mut learned.old, &to, order.len(), |sum, part| *sum = sum.plus(*part));
            for counts in &mut learned.older {
                regroup(counts, &to, order.len(), |sum, part| *sum = sum.wrapping_add(*part));
            }
        }
        self.tails.keys = order.iter().map(|&i| std::mem::take(&mut self.tails.keys[i as usize])).collect();
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

/// Moves each value to its new index; values with the same new index are added up.
fn regroup<T: Clone + Default>(values: &mut Vec<T>, to: &[u32], len: usize, add: impl Fn(&mut T, &T)) {
    let mut out = vec![T::default(); len];
    for (value, &i) in values.iter().zip(to) {
        add(&mut out[i as usize], value);
    }
    *values = out;
}
