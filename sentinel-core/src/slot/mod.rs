//! Ten seconds of traffic, bounded: the stripes that requests write to, and the tables in them.
//!
//! - `stripe`: the open slot, late events and counters behind one lock; the boundary rules of an event
//! - `late_events`: tables for events whose slot is over
//! - `thread_stripe`: the stripe that a thread records into (`thread_stripe_loom`: the same for the model checker)
//! - `sample`: one request on its way into a table
//! - `table`: the bounded table of a slot, with its error bound; counts by endpoint
//! - `subtable`: an eighth of a table, and the purge
//! - `index`: from the hash of an id to an entry
//! - `entry`: one tenant's counts, histogram and endpoints
//! - `latency_pages`: the tenant's histogram once it outgrows its entry
//! - `pool`: pages of memory for entries that need more than three cache lines
//! - `aggregate`: the sum of several tenants
//! - `histogram`: latency buckets, halves of an octave, percentiles
//! - `weights`: requests, errors and slow requests as fields
//! - `stats`: the ledger, and the public counters

pub(crate) mod aggregate;
pub(crate) mod entry;
pub(crate) mod histogram;
pub(crate) mod index;
pub(crate) mod late_events;
pub(crate) mod latency_pages;
pub(crate) mod pool;
pub(crate) mod sample;
pub(crate) mod stats;
pub(crate) mod stripe;
pub(crate) mod subtable;
pub(crate) mod table;
#[cfg_attr(sentinel_loom, path = "thread_stripe_loom.rs")]
pub(crate) mod thread_stripe;
pub(crate) mod weights;
