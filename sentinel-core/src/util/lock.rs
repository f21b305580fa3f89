//! The lock in front of a stripe: one atomic operation to take it, a plain store to let go.
//!
//! It is held for some tens of nanoseconds. Who finds it taken goes to another stripe; when all are taken, waiters stand in a
//! queue (a mutex that sleeps), and only the first of them tries again, letting others run in between. So letting go never
//! has to wake anybody, which under sixteen threads on two cores would be a system call for each request.

#[cfg(not(sentinel_loom))]
mod imp {
    use spin::mutex::{SpinMutex, SpinMutexGuard};
    use std::sync::{Mutex, PoisonError};

    /// Tries of the first in the queue before it lets others run.
    const TRIES: usize = 50;

    #[derive(Debug)]
    pub(crate) struct Lock<T> {
        inner: SpinMutex<T>,
        queue: Mutex<()>,
    }

    pub(crate) type Guard<'a, T> = SpinMutexGuard<'a, T>;

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self { inner: SpinMutex::new(value), queue: Mutex::new(()) }
        }

        /// The lock, if nobody has it. A panic of who had it before leaves it free: what it holds is still the best there is.
        #[inline]
        pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
            self.inner.try_lock()
        }

        #[inline]
        pub(crate) fn lock(&self) -> Guard<'_, T> {
            self.try_lock().unwrap_or_else(|| self.wait())
        }

        #[cold]
        fn wait(&self) -> Guard<'_, T> {
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

    /// The model checker's own lock, which it can see.
    #[derive(Debug)]
    pub(crate) struct Lock<T>(loom::sync::Mutex<T>);

    pub(crate) type Guard<'a, T> = loom::sync::MutexGuard<'a, T>;

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
            self.0.try_lock().ok()
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

pub(crate) use imp::{Guard, Lock};

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
