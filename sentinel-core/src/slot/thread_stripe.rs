//! The choice of a stripe: a thread has its own while no more threads than stripes have ever recorded, else it takes that of the
//! processor it runs on, so that a stripe stays in one processor's cache.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads that have recorded so far.
static THREADS: AtomicUsize = AtomicUsize::new(0);
/// Requests after which a thread chooses its stripe anew.
const LOOK: u32 = 64;

thread_local! {
    /// Number of this thread, in the order of their first requests.
    static ORDINAL: Cell<Option<usize>> = const { Cell::new(None) };
    static HOME: Cell<Home> = const { Cell::new(Home { stripe: 0, left: 0 }) };
}

/// The stripe that a thread records into.
#[derive(Debug, Clone, Copy)]
struct Home {
    stripe: u32,
    /// Requests until the thread chooses again.
    left: u32,
}

/// The stripe of this thread: below `stripes`, which is a power of two.
#[inline]
pub(crate) fn of_thread(stripes: usize) -> usize {
    // While a thread's locals are torn down any stripe will do.
    let home = HOME.try_with(|known| {
        let Home { stripe, left } = known.get();
        if left == 0 {
            return look(known, stripes);
        }
        known.set(Home { stripe, left: left - 1 });
        stripe
    });
    home.unwrap_or(0) as usize & (stripes - 1)
}

#[cold]
fn look(known: &Cell<Home>, stripes: usize) -> u32 {
    let ordinal = ORDINAL.try_with(|ordinal| {
        let number = ordinal.get().unwrap_or_else(|| THREADS.fetch_add(1, Ordering::Relaxed));
        ordinal.set(Some(number));
        number
    });
    let ordinal = ordinal.unwrap_or(0) as u32;
    let alone = THREADS.load(Ordering::Relaxed) <= stripes;
    let stripe = if alone { ordinal } else { processor().unwrap_or(ordinal) };
    known.set(Home { stripe, left: LOOK });
    stripe
}

#[cfg(target_os = "linux")]
fn processor() -> Option<u32> {
    nix::sched::sched_getcpu().ok().map(|processor| processor as u32)
}

#[cfg(not(target_os = "linux"))]
fn processor() -> Option<u32> {
    None
}
