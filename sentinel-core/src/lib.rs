//! Which tenant is causing elevated errors or latency right now — and is it one tenant, a few, or everyone?
//!
//! This crate answers that inside the service that is asked: no network, no thread, memory within a budget.
//!
//! ```text
//! record ─► Event ─► stripe ─► open slot ─► block ─► window ─► ranking ─► verdict ─► report
//!           event    stripe    slot         block    window    rank       verdict    report
//!           tenant             histogram    codec              baseline              text
//!           endpoint                        ▲
//!                                           └─ blocks of other processes
//! ```
//!
//! - an **event** is one finished request, bounded and normalised at the boundary;
//! - a **stripe** is what one thread's requests touch: an open slot behind an uncontended lock;
//! - a **slot** is ten seconds of traffic in a hard-bounded table with a provable error bound (vector Misra–Gries);
//! - a **block** is a closed slot, and the one unit of everything after it: the window is a merge of blocks, another process
//!   is more blocks, a late event is one more small block;
//! - the **window** is the blocks of the last ten minutes and a look at the open slot;
//! - a **ranking** orders the tenants of a window; the **verdict** says whether one tenant, a few, one endpoint or everyone
//!   is behind it, with its evidence; the **report** carries both.
//!
//! `engine` moves time through all of it; `sentinel` is the façade. What a report knows becomes an [`alert`], for people who do not look. [`uptime`] is
//! about targets that are probed from outside, by somebody else.
//!
//! ```
//! use sentinel_core::{Event, Query, Sentinel};
//! use std::time::Duration;
//!
//! let sentinel = Sentinel::builder().window(Duration::from_secs(600)).build()?;
//!
//! // in the middleware, once a request:
//! let latency = Duration::from_millis(31).into();
//! sentinel.record(Event { tenant: b"tenant_acme", endpoint: "/v1/process", status: 503, latency, at: None });
//!
//! // in the admin endpoint, when the pager goes off:
//! let report = sentinel.report(Query::default());
//! println!("{report}");
//! assert_eq!(report.tenants[0].tenant_id, "tenant_acme");
//! # Ok::<(), sentinel_core::ConfigError>(())
//! ```
//!
//! # Guarantees
//!
//! 1. While distinct ids fit counts are exact and the report says `mode: exact`: 12,288 a stripe and slot; the default
//!    budget of 64 MiB holds ten minutes of 10,000 tenants at 5,000 requests a second in a third of it.
//! 2. Beyond it, every tenant whose true requests, errors or slow requests exceed the reported bound is present, and
//!    `count ≤ true ≤ count + bound`.
//! 3. `offered = accepted + dropped`, `accepted = in the window + expired`, at any moment.
//! 4. An event is visible to the next query.
//! 5. p50, p95 and p99 are within 3.2 % of the exact nearest-rank value.
//! 6. All of this holds for any merge order.

#![forbid(unsafe_code)]

pub mod admin;
pub mod alert;
mod baseline;
mod block;
mod config;
mod engine;
mod event;
#[cfg(all(test, sentinel_loom))]
mod loom_tests;
mod report;
mod sentinel;
mod slot;
pub mod uptime;
mod util;
mod verdict;
mod window;

pub use baseline::wire::Baseline;
pub use block::Block;
pub use block::published::Published;
pub use config::Builder;
pub use engine::in_flight_wire::Live;
pub use event::endpoint::normalise_path;
pub use event::{ErrorClasses, Event, Latency};
pub use report::ranking::By;
pub use report::scope::Scope;
pub use report::{
    BaselineKind, Bound, EndpointCounts, Mode, Query, Report, Series, Tail, TenantReport, TenantRow, TopEndpoint,
    Totals,
};
pub use sentinel::Sentinel;
pub use sentinel::guard::Guard;
pub use sentinel::handle::Handle;
pub use sentinel::wider::{Answer, Sharing, Unavailable, Wider};
pub use slot::stats::{Adjusted, Dropped, Memory, Stats};
pub use util::clock::Clock;
pub use util::error::{ConfigError, DecodeError, MergeError};
pub use util::units::{parse_duration, parse_size};
pub use util::{fork, panics};
pub use verdict::{Kind, Verdict};
