//! The dictionary: each tenant id that the window or the judges know is stored once, and called by a number.
//!
//! A number lives as long as something uses it: a row of a block, a key of the judges. It is split into shards by hash, so that
//! growing one is a short pause.

use crate::slot::stripe::hash as hash_id;
use ahash::RandomState;
use hashbrown::HashTable;

/// What an id is called; given again once nobody uses it.
pub(crate) type Number = u32;
/// Nobody's number.
pub(crate) const NOBODY: Number = Number::MAX;

const SHARDS: usize = 64;
/// Text of ids is stored in pieces that are a multiple of this.
const GRAIN: usize = 8;
const CLASSES: usize = crate::event::tenant::MAX_ID / GRAIN;
const CHUNK: usize = 8 << 10;

#[derive(Debug)]
pub(crate) struct Dictionary {
    shards: Vec<Shard>,
    hasher: RandomState,
    len: usize,
}

#[derive(Debug, Default)]
struct Shard {
    index: HashTable<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    text: Text,
    /// Bytes of text that are in use.
    live: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Piece of text.
    at: u32,
    /// Rows and keys that use it; 0 = free.
    uses: u32,
    len: u8,
}

/// Chunks of pieces; a piece that is given back serves the next id of its size.
#[derive(Debug, Default)]
struct Text {
    chunks: Vec<Box<[u8]>>,
    /// Bytes used of the last chunk.
    used: usize,
    free: [Vec<u32>; CLASSES + 1],
}

impl Text {
    fn get(&self, at: u32, len: u8) -> &[u8] {
        let at = at as usize * GRAIN;
        &self.chunks[at / CHUNK][at % CHUNK..][..usize::from(len)]
    }

    fn put(&mut self, id: &[u8]) -> u32 {
        let class = id.len().div_ceil(GRAIN);
        if class == 0 {
            return 0;
        }
        let at = if let Some(at) = self.free[class].pop() {
            at as usize * GRAIN
        } else {
            if self.chunks.is_empty() || self.used + class * GRAIN > self.chunks.last().map_or(0, |chunk| chunk.len()) {
                // The first chunk of each shard is small: few tenants, little memory.
                let len = if self.chunks.is_empty() { CHUNK / 16 } else { CHUNK };
                self.chunks.push(vec![0; len].into());
                self.used = 0;
            }
            self.used += class * GRAIN;
            (self.chunks.len() - 1) * CHUNK + self.used - class * GRAIN
        };
        self.chunks[at / CHUNK][at % CHUNK..][..id.len()].copy_from_slice(id);
        (at / GRAIN) as u32
    }

    fn give_back(&mut self, at: u32, len: u8) {
        let class = usize::from(len).div_ceil(GRAIN);
        if class > 0 {
            self.free[class].push(at);
        }
    }
}

impl Shard {
    fn id(&self, at: u32) -> &[u8] {
        let entry = &self.entries[at as usize];
        if entry.len == 0 { &[] } else { self.text.get(entry.at, entry.len) }
    }

    fn weight(&self) -> usize {
        self.index.capacity() * 8 / 7 * 5
            + self.entries.capacity() * size_of::<Entry>()
            + self.free.capacity() * 4
            + self.text.chunks.iter().map(|chunk| chunk.len() + 16).sum::<usize>()
            + self.text.free.iter().map(|free| free.capacity() * 4).sum::<usize>()
    }
}

fn shard_of(hash: u64) -> usize {
    (hash >> 20) as usize % SHARDS
}

impl Dictionary {
    pub(crate) fn new(hasher: RandomState) -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), hasher, len: 0 }
    }

    /// Ids in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The number of an id whose hash is known, used once more; a new one if it has none.
    pub(crate) fn intern_hashed(&mut self, id: &[u8], hash: u64) -> Number {
        let s = shard_of(hash);
        let shard = &mut self.shards[s];
        if let Some(&at) = shard.index.find(hash, |&at| shard.id(at) == id) {
            let entry = &mut shard.entries[at as usize];
            entry.uses = entry.uses.saturating_add(1);
            return at * SHARDS as u32 + s as u32;
        }
        let entry = Entry { at: shard.text.put(id), uses: 1, len: id.len() as u8 };
        shard.live += id.len().next_multiple_of(GRAIN);
        let at = if let Some(at) = shard.free.pop() {
            shard.entries[at as usize] = entry;
            at
        } else {
            shard.entries.push(entry);
            shard.entries.len() as u32 - 1
        };
        let Shard { index, entries, text, .. } = shard;
        let hasher = &self.hasher;
        index.insert_unique(hash, at, |&at| {
            let entry = &entries[at as usize];
            hash_id(hasher, if entry.len == 0 { &[][..] } else { text.get(entry.at, entry.len) })
        });
        self.len += 1;
        at * SHARDS as u32 + s as u32
    }

    /// The number of an id, used once more.
    pub(crate) fn intern(&mut self, id: &[u8]) -> Number {
        self.intern_hashed(id, hash_id(&self.hasher, id))
    }

    /// The number of an id, if it has one.
    pub(crate) fn find(&self, id: &[u8]) -> Option<Number> {
        let hash = hash_id(&self.hasher, id);
        let s = shard_of(hash);
        let shard = &self.shards[s];
        shard.index.find(hash, |&at| shard.id(at) == id).map(|at| at * SHARDS as u32 + s as u32)
    }

    /// The id behind a number; empty for nobody's.
    pub(crate) fn id(&self, number: Number) -> &[u8] {
        let (at, shard) = (number / SHARDS as u32, &self.shards[number as usize % SHARDS]);
        if (at as usize) < shard.entries.len() { shard.id(at) } else { &[] }
    }

    /// One more uses a number.
    pub(crate) fn retain(&mut self, number: Number) {
        let uses = &mut self.shards[number as usize % SHARDS].entries[number as usize / SHARDS].uses;
        *uses = uses.saturating_add(1);
    }

    /// One less uses it. The last one takes the id along.
    pub(crate) fn release(&mut self, number: Number) {
        let (at, shard) = (number / SHARDS as u32, &mut self.shards[number as usize % SHARDS]);
        let entry = &mut shard.entries[at as usize];
        // What was used 2³² times stays for good: it is not known how often it has been given back.
        if entry.uses == u32::MAX {
            return;
        }
        entry.uses = entry.uses.saturating_sub(1);
        if entry.uses > 0 {
            return;
        }
        let Entry { at: text, len, .. } = *entry;
        let hash = hash_id(&self.hasher, shard.id(at));
        if let Ok(found) = shard.index.find_entry(hash, |&known| known == at) {
            found.remove();
            shard.text.give_back(text, len);
            shard.live -= usize::from(len).next_multiple_of(GRAIN);
            shard.free.push(at);
            self.len -= 1;
        }
    }

    /// Gives memory back where most of the text is of ids that have gone.
    pub(crate) fn tidy(&mut self) {
        for shard in &mut self.shards {
            let held: usize = shard.text.chunks.iter().map(|chunk| chunk.len()).sum();
            if held <= 2 * shard.live + CHUNK {
                continue;
            }
            let old = std::mem::take(&mut shard.text);
            for entry in shard.entries.iter_mut().filter(|entry| entry.uses > 0 && entry.len > 0) {
                entry.at = shard.text.put(old.get(entry.at, entry.len));
            }
        }
    }

    /// Bytes on the heap, near enough to budget by.
    pub(crate) fn weight(&self) -> usize {
        self.shards.iter().map(Shard::weight).sum::<usize>() + SHARDS * size_of::<Shard>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// Against a map of ids to how often they are used.
        #[test]
        fn numbers_live_as_long_as_they_are_used(steps in prop::collection::vec((any::<bool>(), 0..200_u16), 0..2_000)) {
            let mut dictionary = Dictionary::new(RandomState::new());
            let mut truth: HashMap<Vec<u8>, (Number, u32)> = HashMap::new();
            for (comes, i) in steps {
                let id = i.to_string().repeat(usize::from(i % 40)).into_bytes();
                if comes {
                    let number = dictionary.intern(&id);
                    let (known, uses) = truth.entry(id).or_insert((number, 0));
                    prop_assert_eq!(*known, number);
                    *uses += 1;
                } else if let Some((number, uses)) = truth.get_mut(&id) {
                    dictionary.release(*number);
                    *uses -= 1;
                    if *uses == 0 {
                        truth.remove(&id);
                    }
                }
            }
            prop_assert_eq!(dictionary.len(), truth.len());
            for (id, (number, _)) in &truth {
                prop_assert_eq!(dictionary.id(*number), &id[..]);
                prop_assert_eq!(dictionary.find(id), Some(*number));
            }
        }
    }

    #[test]
    fn equal_hashes_are_different_ids() {
        let mut dictionary = Dictionary::new(RandomState::new());
        let numbers: Vec<Number> = (0..100_u32).map(|i| dictionary.intern_hashed(&i.to_le_bytes(), 7)).collect();
        assert_eq!(dictionary.len(), 100);
        for (i, number) in numbers.iter().enumerate() {
            assert_eq!(dictionary.id(*number), (i as u32).to_le_bytes());
        }
    }

    #[test]
    fn what_is_given_back_is_used_again() {
        let mut dictionary = Dictionary::new(RandomState::new());
        let mut weights = Vec::new();
        for round in 0..20_u32 {
            let numbers: Vec<Number> =
                (0..5_000_u32).map(|i| dictionary.intern(format!("{round}-{i:08}").as_bytes())).collect();
            numbers.into_iter().for_each(|number| dictionary.release(number));
            assert_eq!(dictionary.len(), 0);
            weights.push(dictionary.weight());
        }
        assert!(weights[19] <= weights[1] * 11 / 10, "{weights:?}");
    }
}
