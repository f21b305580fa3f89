//! Which stripe a thread records into: its own while no more threads than stripes have ever come, else that of the processor it
//! runs on, so that a stripe stays in one processor's cache.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads that have come so far.
static THREADS: AtomicUsize = AtomicUsize::new(0);
/// Requests after which a thread looks anew where it runs.
const LOOK: u32 = 64;

/// What a thread knows of itself.
#[derive(Debug, Clone, Copy)]
struct Place {
    ordinal: u32,
    processor: u32,
    /// Requests until it looks again.
    left: u32,
}

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place { ordinal: u32::MAX, processor: 0, left: 0 }) };
}

/// The stripe of this thread, of `stripes`, which is a power of two.
#[inline]
pub(crate) fn of_thread(stripes: usize) -> usize {
    // While a thread's locals are torn down it knows nothing: any stripe will do.
    let place = PLACE.try_with(|place| {
        let known = place.get();
        if known.left == 0 { look(place) } else { place.replace(Place { left: known.left - 1, ..known }) }
    });
    let Ok(place) = place else {
        return 0;
    };
    let alone = THREADS.load(Ordering::Relaxed) <= stripes;
    (if alone { place.ordinal } else { place.processor }) as usize & (stripes - 1)
}

#[cold]
fn look(place: &Cell<Place>) -> Place {
    let mut known = place.get();
    if known.ordinal == u32::MAX {
        known.ordinal = THREADS.fetch_add(1, Ordering::Relaxed) as u32;
    }
    let now = Place { processor: processor().unwrap_or(known.ordinal), left: LOOK, ..known };
    place.set(now);
    now
}

#[cfg(target_os = "linux")]
fn processor() -> Option<u32> {
    nix::sched::sched_getcpu().ok().map(|processor| processor as u32)
}

#[cfg(not(target_os = "linux"))]
fn processor() -> Option<u32> {
    None
}
