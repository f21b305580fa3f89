//! The allocator of this program: the system's, which counts while it is told to.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Off unless memory is what is measured: an atomic counter would slow down whoever allocates.
static ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

struct Counting;

impl Counting {
    fn came(size: usize) {
        if ON.load(Relaxed) {
            CALLS.fetch_add(1, Relaxed);
            let live = LIVE.fetch_add(size as i64, Relaxed) + size as i64;
            PEAK.fetch_max(live, Relaxed);
        }
    }

    fn went(size: usize) {
        if ON.load(Relaxed) {
            LIVE.fetch_sub(size as i64, Relaxed);
        }
    }
}

// SAFETY: every call is handed on to the system's allocator as it came; the counters do not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::came(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::came(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the system's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        Self::went(layout.size());
        // SAFETY: `place` came from the system's allocator with this layout.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are there while it is copied: the peak says so.
        Self::came(size);
        Self::went(layout.size());
        // SAFETY: `place` came from the system's allocator with this layout; the caller vouches for `size`.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Allocations since [`Count::begin`]: bytes as asked for, without the overhead of the allocator.
pub(crate) struct Count {
    live: i64,
    calls: u64,
}

impl Count {
    /// Counts from here on.
    pub(crate) fn begin() -> Self {
        ON.store(true, Relaxed);
        let live = LIVE.load(Relaxed);
        PEAK.store(live, Relaxed);
        Self { live, calls: CALLS.load(Relaxed) }
    }

    /// Bytes that are there now.
    pub(crate) fn live(&self) -> i64 {
        LIVE.load(Relaxed) - self.live
    }

    /// The most there ever was.
    pub(crate) fn peak(&self) -> i64 {
        PEAK.load(Relaxed) - self.live
    }

    /// Allocations, growing ones included.
    pub(crate) fn calls(&self) -> u64 {
        CALLS.load(Relaxed) - self.calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other tests allocate meanwhile: what is asked for is far above that.
    #[test]
    fn bytes_are_counted() {
        let count = Count::begin();
        let big = vec![0_u8; 1 << 30];
        assert!(count.live() > 900 << 20 && count.calls() > 0);
        drop(std::hint::black_box(big));
        assert!(count.live() < 200 << 20 && count.peak() > 900 << 20);
    }
}
