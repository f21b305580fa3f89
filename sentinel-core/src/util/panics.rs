//! For bindings: a defect in here is not the host's. Each entry from another language catches panics, and after a few of them nothing
//! is tried any more.
//!
//! One state for the process, as a library that is loaded has one: what panics again and again is broken for all.
//!
//! ```
//! use sentinel_core::panics::{fail_at, guarded};
//!
//! assert_eq!(guarded("report", || 7), Some(7));
//! fail_at(Some("report")); // what a binding's tests do
//! assert_eq!(guarded("report", || 7), None);
//! assert_eq!(guarded("stats", || 7), Some(7));
//! fail_at(None);
//! assert_eq!(guarded("report", || 7), Some(7));
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Panics after which all entries do nothing.
const MOST: u32 = 3;

const WORKING: u8 = 0;
/// A test has asked for a panic.
const ARMED: u8 = 1;
const OFF: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(WORKING);
static PANICS: AtomicU32 = AtomicU32::new(0);
static ARMED_AT: Mutex<String> = Mutex::new(String::new());

/// Runs an entry's work; `None` when it panicked, or when there were three panics before.
///
/// ```
/// use sentinel_core::panics::guarded;
///
/// assert_eq!(guarded("report", || "an answer"), Some("an answer"));
/// ```
#[inline]
pub fn guarded<T>(entry: &str, work: impl FnOnce() -> T) -> Option<T> {
    let state = STATE.load(Ordering::Relaxed);
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
    if PANICS.fetch_add(1, Ordering::Relaxed) + 1 >= MOST {
        STATE.store(OFF, Ordering::Relaxed);
    }
}

#[cold]
fn fail(entry: &str) {
    let armed = ARMED_AT.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(armed != entry, "asked for by a test, in {entry}");
}

/// For a binding's tests: the next calls of this entry panic. `None` has all entries work again.
///
/// ```
/// sentinel_core::panics::fail_at(None);
/// ```
pub fn fail_at(entry: Option<&str>) {
    PANICS.store(0, Ordering::Relaxed);
    let state = if entry.is_some() { ARMED } else { WORKING };
    *ARMED_AT.lock().unwrap_or_else(PoisonError::into_inner) = entry.unwrap_or_default().into();
    STATE.store(state, Ordering::Relaxed);
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
