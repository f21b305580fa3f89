//! The lock in front of a stripe: one atomic operation to take it, a plain store to release it.
//!
//! ```text
//!  thread ──try_lock──► inner (spin flag) ── free ──► holds the stripe for some tens of nanoseconds
//!              │ taken: the caller tries the other stripes; all taken: lock()
//!              ▼
//!           queue (a mutex that sleeps)
//!             first waiter:  50 tries on `inner`, yield the processor, 50 tries, …
//!             all others:    asleep until the first one has got `inner`
//! ```
//!
//! **Invariant**: only the thread that holds `queue` spins on `inner`, so at most one processor is busy with waiting. A release
//! stores one flag and wakes nobody: the first waiter is awake already, and it wakes the second one when it leaves the queue.
//!
//! **Why not a mutex of the standard library?** A release has to wake a sleeping waiter. With sixteen threads on two cores that is a
//! system call for almost every request. **Why not a plain spin lock?** When the holder is descheduled, all waiters spend their
//! whole time slices on spinning. **Why no poisoning?** A panic under the lock leaves counts that may lack one event. Such counts are
//! still the best answer there is, so the next thread goes on with them.
//!
//! Under `sentinel_loom` the lock is loom's mutex, because the model checker has to see each operation.

#[cfg(not(sentinel_loom))]
mod imp {
    use spin::mutex::{SpinMutex, SpinMutexGuard};
    use std::sync::{Mutex, PoisonError};

    /// Tries of the first waiter before it yields the processor. Fifty take longer than a holder that runs needs,
    /// which is some tens of nanoseconds: a stripe that is still taken then is held by a thread that does not run.
    const TRIES: usize = 50;

    #[derive(Debug)]
    pub(crate) struct Lock<T> {
        inner: SpinMutex<T>,
        queue: Mutex<()>,
    }

    pub(crate) type LockGuard<'a, T> = SpinMutexGuard<'a, T>;

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self { inner: SpinMutex::new(value), queue: Mutex::new(()) }
        }

        /// The guard, unless another thread has it. A thread that panicked while it had the guard has released it.
        #[inline]
        pub(crate) fn try_lock(&self) -> Option<LockGuard<'_, T>> {
            self.inner.try_lock()
        }

        /// The guard, as soon as no other thread has it.
        #[inline]
        pub(crate) fn lock(&self) -> LockGuard<'_, T> {
            self.try_lock().unwrap_or_else(|| self.wait())
        }

        #[cold]
        fn wait(&self) -> LockGuard<'_, T> {
            let _turn = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                for _ in 0..TRIES {
                    if let Some(guard) = self.inner.try_lock() {
                        return guard;
                    }
                    std::hint::spin_loop();
                }
                std::thread::yield_now();
            }
        }
    }
}

#[cfg(sentinel_loom)]
mod imp {
    use std::sync::PoisonError;

    /// The lock of the model checker, so that it sees each operation.
    #[derive(Debug)]
    pub(crate) struct Lock<T>(loom::sync::Mutex<T>);

    pub(crate) type LockGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn try_lock(&self) -> Option<LockGuard<'_, T>> {
            self.0.try_lock().ok()
        }

        pub(crate) fn lock(&self) -> LockGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

pub(crate) use imp::{Lock, LockGuard};

#[cfg(all(test, not(sentinel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_excludes() {
        let lock = Lock::new(0_u64);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        // Two steps, so that two threads inside at once would lose one.
                        let mut guard = lock.lock();
                        let before = *guard;
                        std::hint::black_box(&guard);
                        *guard = before + 1;
                    }
                });
            }
        });
        assert_eq!(*lock.lock(), 160_000);
    }

    #[test]
    fn a_panic_leaves_it_free() {
        let lock = Lock::new(1);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _guard = lock.lock();
            panic!("inside");
        }));
        assert!(caught.is_err());
        assert_eq!(lock.try_lock().map(|guard| *guard), Some(1));
    }
}
