//! Network code that sinks and probes share. Nothing here knows of notices or checks.
//!
//! - `dial`: from a host's name to a connection
//! - `stream`: a connection, encrypted or not
//! - `trust`: the certificate authorities that are trusted
//! - `exchange`: one HTTP request and its answer
//! - `fault`: errors on the way to another machine, by kind
//! - `paced`: reads of a peer that may flood: capped, interrupted, ended by the deadline

pub(crate) mod dial;
pub(crate) mod exchange;
pub(crate) mod fault;
pub(crate) mod paced;
pub(crate) mod stream;
pub(crate) mod trust;
