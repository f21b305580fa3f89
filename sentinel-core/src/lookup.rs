//! Where the judges keep a key's counts: tenants are found by their number, which is small and asked for in order, endpoints by their name.

use crate::dictionary::Number;
use ahash::RandomState;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

/// From keys to the places of their counts.
pub(crate) trait Lookup {
    type Key: Clone + Eq + Borrow<Self::Asked>;
    /// What one asks for a key by.
    type Asked: ?Sized;

    fn find(&self, key: &Self::Asked) -> Option<u32>;
    fn insert(&mut self, key: Self::Key, place: u32);
    /// Moves each place; `None` = its key is forgotten.
    fn remap(&mut self, to: impl Fn(u32) -> Option<u32>);
    /// Bytes on the heap.
    fn weight(&self) -> usize;
}

/// A word for each number up to the largest.
#[derive(Debug, Default)]
pub(crate) struct ByNumber(Vec<u32>);

const NONE: u32 = u32::MAX;

impl Lookup for ByNumber {
    type Key = Number;
    type Asked = Number;

    #[inline]
    fn find(&self, key: &Number) -> Option<u32> {
        self.0.get(*key as usize).copied().filter(|&place| place != NONE)
    }

    fn insert(&mut self, key: Number, place: u32) {
        let at = key as usize;
        if at >= self.0.len() {
            self.0.resize(at + 1, NONE);
        }
        self.0[at] = place;
    }

    fn remap(&mut self, to: impl Fn(u32) -> Option<u32>) {
        for place in self.0.iter_mut().filter(|place| **place != NONE) {
            *place = to(*place).unwrap_or(NONE);
        }
        let used = self.0.iter().rposition(|&place| place != NONE).map_or(0, |last| last + 1);
        self.0.truncate(used);
        self.0.shrink_to_fit();
    }

    fn weight(&self) -> usize {
        self.0.capacity() * size_of::<u32>()
    }
}

#[derive(Debug)]
pub(crate) struct ByName(HashMap<Arc<str>, u32, RandomState>);

impl ByName {
    pub(crate) fn new(hasher: RandomState) -> Self {
        Self(HashMap::with_hasher(hasher))
    }
}

impl Lookup for ByName {
    type Key = Arc<str>;
    type Asked = str;

    fn find(&self, key: &str) -> Option<u32> {
        self.0.get(key).copied()
    }

    fn insert(&mut self, key: Arc<str>, place: u32) {
        self.0.insert(key, place);
    }

    fn remap(&mut self, to: impl Fn(u32) -> Option<u32>) {
        self.0.retain(|_, place| to(*place).map(|new| *place = new).is_some());
    }

    fn weight(&self) -> usize {
        self.0.capacity() * (size_of::<(Arc<str>, u32)>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found_until_it_is_forgotten() {
        let mut numbers = ByNumber::default();
        (0..100).for_each(|i| numbers.insert(i * 3, i));
        assert_eq!((numbers.find(&297), numbers.find(&298), numbers.find(&3_000)), (Some(99), None, None));
        numbers.remap(|place| (place < 50).then_some(place + 1));
        assert_eq!((numbers.find(&147), numbers.find(&150)), (Some(50), None));
        assert!(numbers.weight() < 200 * size_of::<u32>());
        let mut names = ByName::new(RandomState::new());
        names.insert("/a".into(), 1);
        names.insert("/b".into(), 2);
        names.remap(|place| (place == 2).then_some(7));
        assert_eq!((names.find("/a"), names.find("/b")), (None, Some(7)));
    }
}
