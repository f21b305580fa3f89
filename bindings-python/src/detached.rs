//! Work of milliseconds, for which a thread detaches from the interpreter so that other threads run Python code.
//!
//! A detached thread that attaches again while the interpreter finalizes hangs there, with the locks that it holds (before CPython
//! 3.14 the interpreter would unwind it by force, which frames of Rust do not survive). So no thread may be detached at that
//! moment: [`_drain`] runs at exit, before finalization, waits for the detached threads, and keeps others from detaching.

use crate::exporters;
use crate::panics::guarded;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Number of detached threads. Incremented by attached threads only, as `EXITING` is set by one, so that no thread detaches
/// between the two.
static DETACHED: AtomicUsize = AtomicUsize::new(0);
static EXITING: AtomicBool = AtomicBool::new(false);

/// Longest wait for detached threads at exit.
const MAX_DRAIN: Duration = Duration::from_secs(2);

/// Counts a thread as detached until it is dropped.
struct DetachedThread;

impl Drop for DetachedThread {
    fn drop(&mut self) {
        DETACHED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs `work` detached from the interpreter; attached once the process exits.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    if EXITING.load(Ordering::Relaxed) {
        return work();
    }
    DETACHED.fetch_add(1, Ordering::Relaxed);
    let _detached = DetachedThread;
    py.detach(work)
}

/// Called in a forked child, which has none of its parent's detached threads.
pub(crate) fn forget_threads() {
    DETACHED.store(0, Ordering::Relaxed);
}

/// Registered with `atexit`: waits until detached threads are back and the exporters have published their last counts.
#[pyfunction]
pub(crate) fn _drain(py: Python<'_>) {
    // First, and even if the rest fails: from here on no thread detaches.
    EXITING.store(true, Ordering::Relaxed);
    // A second attempt where the first panicked: counts that are not published now are lost.
    let closing = guarded("drain", exporters::close).or_else(|| guarded("drain_again", exporters::close));
    wait_for_detached(py);
    // Attached, which does not hinder the exporters: only daemon threads are left, and attaching again in competition with them
    // could take longer than the deadline.
    if let Some(closing) = closing {
        let _ = guarded("drain_wait", || closing.wait());
    }
}

/// Not `guarded`, which after panics elsewhere would skip the wait. Nothing in here panics.
fn wait_for_detached(py: Python<'_>) {
    if DETACHED.load(Ordering::Relaxed) > 0 {
        // Detaches once for the whole wait: with many busy threads each attach takes its time.
        py.detach(|| {
            let end = Instant::now() + MAX_DRAIN;
            while DETACHED.load(Ordering::Relaxed) > 0 && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }
}
