//! Ten seconds of traffic, bounded: the stripes that requests write to, and the tables in them.

pub(crate) mod aggregate;
pub(crate) mod entry;
pub(crate) mod histogram;
pub(crate) mod index;
pub(crate) mod stats;
pub(crate) mod stripe;
pub(crate) mod subtable;
pub(crate) mod table;
#[cfg_attr(sentinel_loom, path = "thread_stripe_loom.rs")]
pub(crate) mod thread_stripe;
pub(crate) mod weights;
