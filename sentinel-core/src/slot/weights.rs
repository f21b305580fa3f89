//! The three weights that each request is counted by, and how an error bound rises.

use std::ops::{Index, IndexMut};

/// The number of weights: requests, errors, slow requests.
pub(crate) const WEIGHTS: usize = Weight::ALL.len();

/// One of the quantities that a tenant can be heavy by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Requests,
    Errors,
    Slow,
}

impl Weight {
    /// All weights, in the order of the fields of [`Counts`] and of every wire form.
    pub(crate) const ALL: [Self; 3] = [Self::Requests, Self::Errors, Self::Slow];
}

/// A number for each weight: counts of requests, or bounds of such counts. Errors and slow requests are also requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Counts<T> {
    pub(crate) requests: T,
    pub(crate) errors: T,
    pub(crate) slow: T,
}

impl<T> Index<Weight> for Counts<T> {
    type Output = T;

    #[inline]
    fn index(&self, weight: Weight) -> &T {
        match weight {
            Weight::Requests => &self.requests,
            Weight::Errors => &self.errors,
            Weight::Slow => &self.slow,
        }
    }
}

impl<T> IndexMut<Weight> for Counts<T> {
    #[inline]
    fn index_mut(&mut self, weight: Weight) -> &mut T {
        match weight {
            Weight::Requests => &mut self.requests,
            Weight::Errors => &mut self.errors,
            Weight::Slow => &mut self.slow,
        }
    }
}

impl<T: Copy> Counts<T> {
    /// The same value for each weight.
    pub(crate) const fn all(value: T) -> Self {
        Self { requests: value, errors: value, slow: value }
    }

    /// The value that `of` gives for each weight, asked in the order of [`Weight::ALL`].
    #[inline]
    pub(crate) fn from_fn(mut of: impl FnMut(Weight) -> T) -> Self {
        Self { requests: of(Weight::Requests), errors: of(Weight::Errors), slow: of(Weight::Slow) }
    }

    /// Each value, changed by `to`.
    #[inline]
    pub(crate) fn map<U>(self, mut to: impl FnMut(T) -> U) -> Counts<U> {
        Counts { requests: to(self.requests), errors: to(self.errors), slow: to(self.slow) }
    }

    /// The values of two, put together weight by weight.
    #[inline]
    pub(crate) fn zip<U: Copy, V>(self, other: Counts<U>, mut with: impl FnMut(T, U) -> V) -> Counts<V> {
        Counts {
            requests: with(self.requests, other.requests),
            errors: with(self.errors, other.errors),
            slow: with(self.slow, other.slow),
        }
    }

    /// The values in the order of [`Weight::ALL`].
    #[inline]
    pub(crate) fn to_array(self) -> [T; WEIGHTS] {
        [self.requests, self.errors, self.slow]
    }

    /// Does any weight exceed that of `limit`?
    #[inline]
    pub(crate) fn any_above(self, limit: Self) -> bool
    where
        T: PartialOrd,
    {
        self.requests > limit.requests || self.errors > limit.errors || self.slow > limit.slow
    }
}

impl Counts<u32> {
    /// Counts a request.
    #[inline]
    pub(crate) fn add_request(&mut self) {
        self.requests = self.requests.saturating_add(1);
    }

    /// Counts what was wrong with a request that has been counted.
    #[inline]
    pub(crate) fn mark(&mut self, error: bool, slow: bool) {
        self.errors = self.errors.saturating_add(u32::from(error));
        self.slow = self.slow.saturating_add(u32::from(slow));
    }

    /// The sum, for counts that are taken back later: a difference may wrap, and a sum of differences is right again.
    #[inline]
    #[must_use]
    pub(crate) fn wrapping_add(self, other: Self) -> Self {
        self.zip(other, u32::wrapping_add)
    }

    /// The difference; see [`Counts::wrapping_add`].
    #[inline]
    #[must_use]
    pub(crate) fn wrapping_sub(self, other: Self) -> Self {
        self.zip(other, u32::wrapping_sub)
    }
}

impl Counts<u64> {
    /// The sum, as far as 64 bits hold it.
    #[inline]
    #[must_use]
    pub(crate) fn saturating_add(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }
}

/// The offsets that leave at most `places` upper bounds above each: the (k+1)-th largest, never lower than before.
pub(crate) fn raised(upper: &[Counts<u64>], offset: Counts<u64>, places: usize) -> Counts<u64> {
    if upper.len() <= places {
        return offset;
    }
    Counts::from_fn(|weight| {
        let mut bounds: Vec<u64> = upper.iter().map(|bounds| bounds[weight]).collect();
        let (_, cut, _) = bounds.select_nth_unstable_by(places, |a, b| b.cmp(a));
        offset[weight].max(*cut)
    })
}
