//! The choice of a stripe for the model checker: a test sets it for each thread, so that every run of a model is the same.

use std::cell::Cell;

loom::thread_local! {
    static HOME: Cell<usize> = Cell::new(0);
}

/// Sets this thread's stripe.
#[cfg(test)]
pub(crate) fn set(home: usize) {
    HOME.with(|known| known.set(home));
}

/// The stripe of this thread: below `stripes`, which is a power of two.
pub(crate) fn of_thread(stripes: usize) -> usize {
    HOME.with(Cell::get) & (stripes - 1)
}
