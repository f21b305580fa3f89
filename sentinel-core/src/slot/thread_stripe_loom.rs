//! `home` for the model checker: a thread says which stripe is its own, so that every run of a model is the same.

use std::cell::Cell;

loom::thread_local! {
    static HOME: Cell<usize> = Cell::new(0);
}

/// From now on this thread's stripe is this one.
#[cfg(test)]
pub(crate) fn set(home: usize) {
    HOME.with(|known| known.set(home));
}

/// The stripe of this thread, of `stripes`, which is a power of two.
pub(crate) fn of_thread(stripes: usize) -> usize {
    HOME.with(Cell::get) & (stripes - 1)
}
