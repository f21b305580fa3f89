//! The index of a sub-table: it finds a tenant's entry by the hash of the id. Open addressing, at most a third full.
//!
//! A request waits here for a chain of loads, each of which needs the one before. One word (tag and position) and then the entry
//! is the shortest chain there can be. Entries only leave all at once, so nothing is ever deleted.

/// 16 bits of the hash (the tag), then the position + 1; 0 = free.
type IndexWord = u32;

/// Positions by hash.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// A power of two of them, or none.
    words: Vec<IndexWord>,
    /// Words in use.
    len: usize,
}

/// Positions are below this.
pub(crate) const MAX_POSITIONS: usize = 0xffff;
/// Words of the smallest index.
const FIRST_WORDS: usize = 64;

#[inline]
fn tag(hash: u64) -> IndexWord {
    (hash >> 32) as IndexWord & 0xffff_0000
}

impl Index {
    /// The position with this hash for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        // Out of bounds only while there is nothing at all.
        let word = *self.words.get(hash as usize & self.words.len().wrapping_sub(1))?;
        let position = (word & 0xffff) as usize;
        // As a rule the first word is the right one.
        if word & 0xffff_0000 == tag(hash) && position > 0 && is_it(position - 1) {
            return Some(position - 1);
        }
        self.search(hash, is_it)
    }

    #[inline(never)]
    fn search(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let (mask, tag) = (self.words.len().wrapping_sub(1), tag(hash));
        let mut at = hash as usize;
        loop {
            let word = *self.words.get(at & mask)?;
            if word == 0 {
                return None;
            }
            let position = (word & 0xffff) as usize - 1;
            if word & 0xffff_0000 == tag && is_it(position) {
                return Some(position);
            }
            at = at.wrapping_add(1);
        }
    }

    /// Adds a position that is not there yet; `hash_of` gives the hashes of the positions that are.
    pub(crate) fn insert(&mut self, hash: u64, position: usize, hash_of: impl Fn(usize) -> u64) {
        if (self.len + 1) * 3 > self.words.len() {
            self.grow(hash_of);
        }
        self.put(hash, position);
    }

    fn put(&mut self, hash: u64, position: usize) {
        let mask = self.words.len() - 1;
        let mut at = hash as usize & mask;
        while self.words[at] != 0 {
            at = (at + 1) & mask;
        }
        self.words[at] = tag(hash) | (position + 1) as IndexWord;
        self.len += 1;
    }

    #[cold]
    fn grow(&mut self, hash_of: impl Fn(usize) -> u64) {
        let words = (self.words.len() * 2).max(FIRST_WORDS);
        let old = std::mem::replace(&mut self.words, vec![0; words]);
        self.len = 0;
        for word in old.into_iter().filter(|word| *word != 0) {
            let position = (word & 0xffff) as usize - 1;
            self.put(hash_of(position), position);
        }
    }

    pub(crate) fn clear(&mut self) {
        if self.len > 0 {
            self.words.fill(0);
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
