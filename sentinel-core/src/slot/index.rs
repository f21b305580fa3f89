//! Where a tenant's entry is, by its hash: one word a place, a tag and a position, at most a third full.
//!
//! A request waits for a chain of loads here, each for the one before: one word and the entry make it as short as it can be.
//! Entries only leave all at once, so there is nothing to delete.

/// A place: 16 bits of the hash, then the position + 1; 0 = free.
type Slot = u32;

#[derive(Debug, Default)]
pub(crate) struct Index {
    slots: Vec<Slot>,
    len: usize,
}

/// Positions are below this.
pub(crate) const MOST: usize = 0xffff;
const FIRST: usize = 64;

#[inline]
fn tag(hash: u64) -> Slot {
    (hash >> 32) as Slot & 0xffff_0000
}

impl Index {
    /// The position with this hash that `is_it`.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        // Out of bounds only while there is nothing at all.
        let slot = *self.slots.get(hash as usize & self.slots.len().wrapping_sub(1))?;
        let position = (slot & 0xffff) as usize;
        // The first place is the right one, as a rule.
        if slot & 0xffff_0000 == tag(hash) && position > 0 && is_it(position - 1) {
            return Some(position - 1);
        }
        self.search(hash, is_it)
    }

    #[inline(never)]
    fn search(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let (mask, tag) = (self.slots.len().wrapping_sub(1), tag(hash));
        let mut at = hash as usize;
        loop {
            let slot = *self.slots.get(at & mask)?;
            if slot == 0 {
                return None;
            }
            let position = (slot & 0xffff) as usize - 1;
            if slot & 0xffff_0000 == tag && is_it(position) {
                return Some(position);
            }
            at = at.wrapping_add(1);
        }
    }

    /// Adds a position that is not there yet; `hash_of` are the hashes of those that are.
    pub(crate) fn insert(&mut self, hash: u64, position: usize, hash_of: impl Fn(usize) -> u64) {
        if (self.len + 1) * 3 > self.slots.len() {
            self.grow(hash_of);
        }
        self.put(hash, position);
    }

    fn put(&mut self, hash: u64, position: usize) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = tag(hash) | (position + 1) as Slot;
        self.len += 1;
    }

    #[cold]
    fn grow(&mut self, hash_of: impl Fn(usize) -> u64) {
        let slots = (self.slots.len() * 2).max(FIRST);
        let old = std::mem::replace(&mut self.slots, vec![0; slots]);
        self.len = 0;
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            let position = (slot & 0xffff) as usize - 1;
            self.put(hash_of(position), position);
        }
    }

    pub(crate) fn clear(&mut self) {
        if self.len > 0 {
            self.slots.fill(0);
            self.len = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Few hashes, so that they meet: a position is what it says, and nothing else is found.
        #[test]
        fn it_finds_what_is_there(hashes in prop::collection::vec(prop_oneof![0..4_u64, any::<u64>(), Just(u64::MAX)], 0..300), other in any::<u64>()) {
            let mut index = Index::default();
            for _ in 0..2 {
                for (position, &hash) in hashes.iter().enumerate() {
                    index.insert(hash, position, |at| hashes[at]);
                }
                for (position, &hash) in hashes.iter().enumerate() {
                    prop_assert_eq!(index.find(hash, |at| at == position), Some(position));
                }
                let strange = !hashes.contains(&other);
                prop_assert_eq!(index.find(other, |at| hashes[at] == other).is_none(), strange);
                index.clear();
                prop_assert_eq!(index.find(hashes.first().copied().unwrap_or(0), |_| true), None);
            }
        }
    }
}
