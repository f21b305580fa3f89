//! Where the judges keep a key's counts: tenants are found by their number, which is small and asked for in order, endpoints by their name.

use crate::block::dictionary::Number;
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

/// A word for each number, in pages, so that it grows and shrinks without being copied.
#[derive(Debug, Default)]
pub(crate) struct ByNumber(Vec<Option<Box<Page>>>);

const PAGE: usize = 1_024;
type Page = [u32; PAGE];
const NONE: u32 = u32::MAX;

impl Lookup for ByNumber {
    type Key = Number;
    type Asked = Number;

    #[inline]
    fn find(&self, key: &Number) -> Option<u32> {
        let page = self.0.get(*key as usize / PAGE)?.as_ref()?;
        Some(page[*key as usize % PAGE]).filter(|&place| place != NONE)
    }

    fn insert(&mut self, key: Number, place: u32) {
        let at = key as usize / PAGE;
        if at >= self.0.len() {
            self.0.resize_with(at + 1, || None);
        }
        self.0[at].get_or_insert_with(|| Box::new([NONE; PAGE]))[key as usize % PAGE] = place;
    }

    fn remap(&mut self, to: impl Fn(u32) -> Option<u32>) {
        for page in &mut self.0 {
            let places = page.iter_mut().flat_map(|page| page.iter_mut()).filter(|place| **place != NONE);
            places.for_each(|place| *place = to(*place).unwrap_or(NONE));
            page.take_if(|page| page.iter().all(|&place| place == NONE));
        }
    }

    fn weight(&self) -> usize {
        self.0.capacity() * size_of::<Option<Box<Page>>>() + self.0.iter().flatten().count() * size_of::<Page>()
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
        numbers.insert(5_000, 7);
        assert_eq!((numbers.find(&5_000), numbers.find(&4_999)), (Some(7), None));
        let before = numbers.weight();
        numbers.remap(|place| (place != 7).then_some(place));
        assert_eq!((numbers.find(&147), numbers.find(&5_000)), (Some(50), None));
        assert_eq!(before - numbers.weight(), size_of::<Page>());
        let mut names = ByName::new(RandomState::new());
        names.insert("/a".into(), 1);
        names.insert("/b".into(), 2);
        names.remap(|place| (place == 2).then_some(7));
        assert_eq!((names.find("/a"), names.find("/b")), (None, Some(7)));
    }
}
