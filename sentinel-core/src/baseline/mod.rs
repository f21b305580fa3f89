//! Normal traffic: counts of each tenant and endpoint by window and by slot, and the baselines that a window is
//! compared with.
//!
//! ```text
//! time ─►                                                                      now
//!  decayed counts │ ring: 60 closed slots, undecayed                        │ open │
//!  half-life 1 h  │ s60 ……… s31 │ s30 …… s13 │ s12 … s7 │ s6 … s4 │ s3 … s1 │ slot │
//!                                                                  └─ window 30 s ──┘
//!                                                        └───── window 60 s ────────┘
//!                                             └───────── window 120 s ──────────────┘
//!                                └────────────────────── window 300 s ──────────────┘
//!                  └──────────────────────────────────── window 600 s ──────────────┘
//!
//!  baseline of window 120 s  =  decayed counts  +  s60 … s13, tainted slots left out
//! ```
//!
//! For each key, [`Keys`] holds one sum for each window (`closed`), one for the open slot (`open`), and for each side
//! one sum for each window of the untainted ring slots that are older than it (`older`) and the decayed counts beyond
//! the ring (`old`). A close
//!
//! 1. multiplies `old` by the decay and adds the open slot to `closed` of every window;
//! 2. moves, for each window, the slot that has just left it from `closed` to `older`, or drops it from the baseline
//!    when tainted;
//! 3. moves the slot that leaves the ring from `older` to `old`.
//!
//! **Invariant**: a window's counts and its baseline share no slot, and a tainted slot is in no baseline of its side.
//! So the baseline never contains the incident that is being judged. The test
//! `windows_and_baselines_equal_sums_over_a_list_of_slots` checks both against plain sums.
//!
//! **Why not one moving average?** The judged incident would be part of it: an incident that starts early would become
//! normal while it is being judged. **Why not sum over the ring at each judgement?** A judgement each second would read
//! 60 slots of all tenants; each close adds one slot and takes one away. Sums are `u32` and wrap, so a newer snapshot
//! of a source can take back exactly the counts of the older one. That is also why the ring keeps counts by source
//! instead of reading the window's blocks again: a block may have been pruned since, and tail thresholds move.
//!
//! Errors and latency have baselines of their own (`side`), because an incident of errors does not taint the latencies.
//! All keys without a row, and those dropped for memory (`shrink`), share index 0, [`REST`].
//!
//! | file | content |
//! |---|---|
//! | `keys` | the sums of all tenants, or of all endpoints: open slot, windows, ring, decayed counts |
//! | `shrink` | drops the lightest keys when there are too many |
//! | `lookup` | key to index: tenants by number, endpoints by name |
//! | `slot_counts` | counts of one slot and source, packed |
//! | `latency_tails` | the decayed latency histogram of each key, and its tail threshold |
//! | `side` | errors or latency |
//! | `horizon` | lengths of windows and ring, decay, age at which latencies are learned |
//! | `wire` | the baseline as it travels to another process |

pub(crate) mod horizon;
pub(crate) mod keys;
pub(crate) mod latency_tails;
pub(crate) mod lookup;
mod shrink;
pub(crate) mod side;
pub(crate) mod slot_counts;
pub(crate) mod wire;

pub(crate) use keys::{Amendment, Keys};
use slot_counts::Observed;

/// Index of the rest: all keys that have no row of their own.
pub(crate) const REST: u32 = 0;

/// Baseline of one key beyond the ring, decayed.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Past {
    pub(crate) errors: Observed<f64>,
    pub(crate) latency: Observed<f64>,
    /// Latency histogram: (half octave, count), rising.
    pub(crate) tail: Vec<(u8, f64)>,
}
