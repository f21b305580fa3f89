//! A defect in here is not the host's: each entry from JavaScript catches panics, and after a few of them nothing is tried any more.

use napi_derive::napi;
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

/// Runs an entry's work; `None` when it panicked, or when there were too many panics before.
#[inline]
pub(crate) fn guarded<T>(entry: &str, work: impl FnOnce() -> T) -> Option<T> {
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

/// For calls that must answer something.
pub(crate) fn internal_error() -> napi::Error {
    napi::Error::from_reason("tenant-sentinel failed inside; requests go on, nothing is answered")
}

/// For tests: the next calls of this entry panic. Nothing has all entries work again.
#[napi(catch_unwind)]
#[allow(clippy::needless_pass_by_value, dead_code, unreachable_pub)] // what napi hands over is owned, and Node calls it
pub fn fail_at(entry: Option<String>) {
    PANICS.store(0, Ordering::Relaxed);
    let state = if entry.is_some() { ARMED } else { WORKING };
    *ARMED_AT.lock().unwrap_or_else(PoisonError::into_inner) = entry.unwrap_or_default();
    STATE.store(state, Ordering::Relaxed);
}
