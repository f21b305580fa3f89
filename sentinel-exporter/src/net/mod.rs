//! What sinks and probes both need of the network: a connection, TLS, one HTTP exchange, and what can go wrong with them.

pub(crate) mod dial;
pub(crate) mod exchange;
pub(crate) mod fault;
pub(crate) mod paced;
pub(crate) mod stream;
pub(crate) mod trust;
