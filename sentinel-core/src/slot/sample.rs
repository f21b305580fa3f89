//! One request on its way into a table, after the boundary rules.

use crate::event::endpoint::EndpointId;

/// A tenant's id, and the hash by which all tables and the dictionary find it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashedId<'a> {
    pub(crate) id: &'a [u8],
    pub(crate) hash: u64,
}

/// The fields of a request that a table counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'a> {
    pub(crate) tenant: HashedId<'a>,
    pub(crate) endpoint: EndpointId,
    pub(crate) error: bool,
    /// The client went away.
    pub(crate) aborted: bool,
    /// Microseconds; `None` = the event has no latency that can be counted.
    pub(crate) latency_us: Option<u32>,
}

/// A request with a known latency and a known endpoint, as almost every request has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownSample<'a> {
    pub(crate) tenant: HashedId<'a>,
    pub(crate) endpoint: EndpointId,
    pub(crate) error: bool,
    /// The client went away.
    pub(crate) aborted: bool,
    /// Microseconds.
    pub(crate) latency_us: u32,
}
