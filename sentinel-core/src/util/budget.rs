//! The byte budget of the tables: memory is reserved before it grows, and given back when it is freed. Blocks of the window are not
//! reserved here; the window adds up their bytes when a block arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A share of the whole budget, and the bytes of it that are in use.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Bytes.
    limit: usize,
    /// Bytes; [`Reserved::force`] may take it beyond the limit.
    used: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether no byte is left.
    pub(crate) fn is_full(&self) -> bool {
        self.used() >= self.limit
    }

    /// Takes bytes, unless fewer are left. Says whether they were taken.
    fn take(&self, bytes: usize) -> bool {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= self.limit)
        });
        taken.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes that one owner has reserved. Dropping this gives them back.
#[derive(Debug)]
pub(crate) struct Reserved {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reserved {
    /// A reservation of 0 bytes, which may grow.
    pub(crate) fn nothing(budget: &Arc<Budget>) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    /// Bytes reserved so far.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reserves further bytes, unless fewer are left. Says whether they were reserved.
    #[must_use]
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let taken = self.budget.take(bytes);
        self.bytes += if taken { bytes } else { 0 };
        taken
    }

    /// Reserves further bytes, whether there are so many or not: for what cannot be refused, and is bounded itself.
    pub(crate) fn force(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_given_back() {
        let budget = Budget::new(1_000);
        let (mut a, mut b) = (Reserved::nothing(&budget), Reserved::nothing(&budget));
        assert!(a.grow(600) && !b.grow(401) && b.grow(400) && !b.grow(1));
        assert_eq!(budget.used(), 1_000);
        drop(a);
        assert!(b.grow(500) && !b.grow(101));
        b.force(2_000);
        assert_eq!((b.bytes(), budget.used()), (2_900, 2_900));
        assert!(!b.grow(usize::MAX));
        drop(b);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn threads_never_take_more_than_there_is() {
        let budget = Budget::new(10_000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..2_000 {
                        let mut own = Reserved::nothing(&budget);
                        let _ = own.grow(i * 7 % 5_000);
                        assert!(budget.used() <= 10_000);
                    }
                });
            }
        });
        assert_eq!(budget.used(), 0);
    }
}
