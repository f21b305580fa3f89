//! Work of milliseconds, while other threads have the interpreter.
//!
//! A thread that comes back when the interpreter ends hangs there, with what it holds (before CPython 3.14 it would be unwound by
//! force, which frames of Rust do not survive). So nobody is out there at that moment: at exit, before the interpreter begins to
//! end, [`_drain`] waits for who is, and from then on nobody leaves.

use crate::exporters;
use crate::panics::guarded;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Threads that are out there. Changed with the interpreter held, as is `EXITING`, so that no thread leaves in between.
static OUTSIDE: AtomicUsize = AtomicUsize::new(0);
static EXITING: AtomicBool = AtomicBool::new(false);

/// Longest wait at exit.
const PATIENCE: Duration = Duration::from_secs(2);

struct Outside;

impl Drop for Outside {
    fn drop(&mut self) {
        OUTSIDE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs `work` without holding the interpreter.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    if EXITING.load(Ordering::Relaxed) {
        return work();
    }
    OUTSIDE.fetch_add(1, Ordering::Relaxed);
    let _outside = Outside;
    py.detach(work)
}

/// In a forked child: the threads that were outside are not there.
pub(crate) fn forget() {
    OUTSIDE.store(0, Ordering::Relaxed);
}

/// Registered with `atexit`: waits for who is outside, and for what is left to be published.
#[pyfunction]
pub(crate) fn _drain(py: Python<'_>) {
    // First, and whatever comes of the rest: from here on nobody leaves.
    EXITING.store(true, Ordering::Relaxed);
    // Once more where it failed: what is not published now is lost.
    let closing = guarded("drain", exporters::close).or_else(|| guarded("drain_again", exporters::close));
    wait_for_outside(py);
    // Holding the interpreter, which the exporters do not need: there are only daemon threads left, and coming back to it past
    // them would take longer than the deadline says.
    if let Some(closing) = closing {
        let _ = guarded("drain_wait", || closing.wait());
    }
}

/// Not guarded: after panics elsewhere that would keep it from waiting, and there is nothing in it that panics.
fn wait_for_outside(py: Python<'_>) {
    if OUTSIDE.load(Ordering::Relaxed) > 0 {
        // Left and taken back once: with many threads at work the interpreter is not to be had at once.
        py.detach(|| {
            let end = Instant::now() + PATIENCE;
            while OUTSIDE.load(Ordering::Relaxed) > 0 && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }
}
