//! The two sides that are judged apart from each other: errors, and latency.

use std::ops::{Index, IndexMut};

/// Side of a verdict: the reason why a request counts as bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// A bad request is an error by the configured classes.
    Errors,
    /// A bad request took longer than the tail threshold of its key.
    Latency,
}

/// One value for each side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BySide<T> {
    pub(crate) errors: T,
    pub(crate) latency: T,
}

impl<T> BySide<T> {
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        [&mut self.errors, &mut self.latency].into_iter()
    }

    pub(crate) fn map<U>(self, mut of: impl FnMut(T) -> U) -> BySide<U> {
        BySide { errors: of(self.errors), latency: of(self.latency) }
    }
}

impl<T> Index<Side> for BySide<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        match side {
            Side::Errors => &self.errors,
            Side::Latency => &self.latency,
        }
    }
}

impl<T> IndexMut<Side> for BySide<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Errors => &mut self.errors,
            Side::Latency => &mut self.latency,
        }
    }
}

impl<T> IntoIterator for BySide<T> {
    type Item = T;
    type IntoIter = std::array::IntoIter<T, 2>;

    fn into_iter(self) -> Self::IntoIter {
        [self.errors, self.latency].into_iter()
    }
}
