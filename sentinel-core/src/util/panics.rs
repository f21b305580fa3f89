//! Panics at the entries of a binding: a defect in this library must not end the host process. Each entry from another language
//! runs in [`guarded`], and after three panics no entry does anything any more.
//!
//! The state is one for the process. A call that panics again and again is broken for all sentinels in it.
//!
//! ```
//! use sentinel_core::panics::{fail_at, guarded};
//!
//! assert_eq!(guarded("report", || 7), Some(7));
//! fail_at(Some("report")); // for the tests of a binding
//! assert_eq!(guarded("report", || 7), None);
//! assert_eq!(guarded("stats", || 7), Some(7));
//! fail_at(None);
//! assert_eq!(guarded("report", || 7), Some(7));
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Panics after which all entries do nothing: one may be bad luck with an input, three are a defect that comes back.
const MAX_PANICS: u32 = 3;

/// Entries run.
const WORKING: u8 = 0;
/// A test has asked for a panic.
const ARMED: u8 = 1;
/// Entries do nothing, after [`MAX_PANICS`].
const OFF: u8 = 2;

static PANIC_STATE: AtomicU8 = AtomicU8::new(WORKING);
static PANICS: AtomicU32 = AtomicU32::new(0);
static ARMED_AT: Mutex<String> = Mutex::new(String::new());

/// Runs the work of an entry; `None` when it panicked, or when three panics came before.
///
/// ```
/// use sentinel_core::panics::guarded;
///
/// assert_eq!(guarded("report", || "an answer"), Some("an answer"));
/// ```
#[inline]
pub fn guarded<T>(entry: &str, work: impl FnOnce() -> T) -> Option<T> {
    let state = PANIC_STATE.load(Ordering::Relaxed);
    if state == OFF {
        return None;
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        if state == ARMED {
            fail(entry);
        }
        work()
    }));
    result.map_err(|_| panicked()).ok()
}

#[cold]
fn panicked() {
    if PANICS.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_PANICS {
        PANIC_STATE.store(OFF, Ordering::Relaxed);
    }
}

#[cold]
fn fail(entry: &str) {
    let armed = ARMED_AT.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(armed != entry, "asked for by a test, in {entry}");
}

/// Makes the next calls of this entry panic, for the tests of a binding. `None` lets all entries work again.
///
/// ```
/// sentinel_core::panics::fail_at(None);
/// ```
pub fn fail_at(entry: Option<&str>) {
    PANICS.store(0, Ordering::Relaxed);
    let state = if entry.is_some() { ARMED } else { WORKING };
    *ARMED_AT.lock().unwrap_or_else(PoisonError::into_inner) = entry.unwrap_or_default().into();
    PANIC_STATE.store(state, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: there is one state.
    #[test]
    fn what_panics_three_times_is_tried_no_more_until_it_is_told_to_work() {
        fail_at(Some("record"));
        for _ in 0..2 {
            assert_eq!(guarded("record", || 1), None);
        }
        assert_eq!(guarded("report", || 1), Some(1));
        assert_eq!(guarded("record", || 1), None);
        assert_eq!(guarded("report", || 1), None);
        fail_at(None);
        assert_eq!(guarded("record", || 1), Some(1));
    }
}
