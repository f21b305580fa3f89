//! Which stripe a thread records into: its own while no more threads than stripes have ever come, else that of the processor it
//! runs on, so that a stripe stays in one processor's cache.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads that have come so far.
static THREADS: AtomicUsize = AtomicUsize::new(0);
/// Requests after which a thread looks anew where it belongs.
const LOOK: u32 = 64;

thread_local! {
    /// The number of this thread, in the order they came.
    static ORDINAL: Cell<Option<usize>> = const { Cell::new(None) };
    /// Where it records, and requests until it looks again.
    static HOME: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// The stripe of this thread, of `stripes`, which is a power of two.
#[inline]
pub(crate) fn of_thread(stripes: usize) -> usize {
    // While a thread's locals are torn down it knows nothing: any stripe will do.
    let home = HOME.try_with(|known| {
        let (home, left) = known.get();
        if left == 0 {
            return look(known, stripes);
        }
        known.set((home, left - 1));
        home
    });
    home.unwrap_or(0) as usize & (stripes - 1)
}

#[cold]
fn look(known: &Cell<(u32, u32)>, stripes: usize) -> u32 {
    let ordinal = ORDINAL.try_with(|ordinal| {
        let number = ordinal.get().unwrap_or_else(|| THREADS.fetch_add(1, Ordering::Relaxed));
        ordinal.set(Some(number));
        number
    });
    let ordinal = ordinal.unwrap_or(0) as u32;
    let alone = THREADS.load(Ordering::Relaxed) <= stripes;
    let home = if alone { ordinal } else { processor().unwrap_or(ordinal) };
    known.set((home, LOOK));
    home
}

#[cfg(target_os = "linux")]
fn processor() -> Option<u32> {
    nix::sched::sched_getcpu().ok().map(|processor| processor as u32)
}

#[cfg(not(target_os = "linux"))]
fn processor() -> Option<u32> {
    None
}
