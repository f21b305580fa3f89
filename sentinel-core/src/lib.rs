//! Which tenant is causing elevated errors or latency right now — and is it one tenant, a few, or everyone?
//!
//! This crate answers inside the service that is asked: it uses no network, starts no thread, and keeps its memory within a budget.
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
//! # Which call, when?
//!
//! | a caller that … | calls | in flight until it ends |
//! |---|---|---|
//! | knows tenant, endpoint, status and latency of a finished request | [`Sentinel::record`] | no |
//! | sees a request begin, and should have it counted when it hangs or is aborted | [`Sentinel::start`], then [`Guard::finish`] | yes |
//! | serves one tenant at one endpoint for a long time: a connection, a worker | [`Sentinel::bind`], then [`Handle::record`] | no |
//! | has many finished requests at once, in any order of time: a log, a replay | [`Sentinel::record_batch`] | no |
//!
//! # One way through the crate
//!
//! ```text
//!  record, start, bind, record_batch                     sentinel/           the façade
//!    ▼
//!  event      one request, bounded and normalised        event/              ids and templates are cut here, once
//!    ▼
//!  stripe     the tables of one thread, behind a lock    slot/stripe.rs      held for some tens of nanoseconds
//!    ▼
//!  slot       ten seconds in a bounded table             slot/table.rs       vector Misra–Gries: count ≤ true ≤ count + bound
//!    ▼        sealed by a tick, a query or a request     engine/             moves time
//!  block      a closed slot, immutable                   block/              other processes send more blocks
//!    │
//!    ├─► window      ten minutes, and the open slot      window/
//!    │     └─► ranking    the worst tenants of it        report/ranking.rs
//!    └─► baseline    what is normal for each tenant      baseline/           untainted slots older than what is judged
//!          └─► verdict    one tenant, a few, one         verdict/            judged each second, for errors and for latency
//!                         endpoint, or everyone
//!
//!  report     ranking, verdicts, totals, ledger          report/             printed, or as JSON by admin/
//!    ▼
//!  alert      messages about what reports know           alert/              the crate sentinel_exporter delivers them
//! ```
//!
//! A room (a folder, or a single file) imports only from the rooms below it, in this order, which `tools/rooms` checks: `admin`,
//! `sentinel`, `alert`, `uptime`, `report`, `engine`, `verdict`, `baseline`, `window`, `block`, `config`, `slot`, `event`, `util`.
//! [`uptime`] stands beside the way: it judges results of probes that another process sends to targets outside.
//!
//! # Where is what?
//!
//! | question | file |
//! |---|---|
//! | a late event | `slot/late_events.rs` counts it in a table of its own, `engine/closing.rs` merges that into its slot |
//! | a tenant's latency page | `slot/latency_pages.rs`; the buckets on it are those of `slot/histogram.rs` |
//! | the decision "one tenant" | `verdict/decide.rs`, with the constants of `verdict/rules.rs` |
//! | the printed report | `report/text.rs`; the sentence of a verdict is written by `verdict/sentence.rs` |
//! | the admin page | `admin/page.html`, served by `admin/mod.rs` |
//! | the fresh start of a forked child | `sentinel/mod.rs`, by the generation that `util/fork.rs` counts |
//!
//! # Glossary
//!
//! - **Event**: one finished request: tenant, endpoint, status, latency, and the time at which it ended.
//! - **Stripe**: the state that the requests of one thread touch: an open table, tables for late events and counters, behind one
//!   lock. Threads share stripes when there are more threads than stripes.
//! - **Slot**: an interval of ten seconds (1 to 60 by configuration), aligned in UTC. A slot is open until time has passed its end.
//! - **Block**: the rows and totals of one slot and one source, sealed and sorted. Late events are one more small block.
//!   A newer snapshot of the same slot and source replaces the older one, so nothing is counted twice.
//! - **Window**: the blocks of the last ten minutes (30 s to 24 h by configuration), and the open slot on top.
//! - **Weight**: one of the three quantities that a tenant is kept for: requests, errors, slow requests. A bounded table keeps a
//!   tenant that is heavy by any of them.
//! - **Bound**: the number by which a count may fall short of the truth: `count ≤ true ≤ count + bound`. A bound is 0 as long as all
//!   tenants fit.
//! - **Tail**: the summed counts of all tenants without a row, which purges took out of their tables. (A *tail threshold* is
//!   another thing: the latency that 5 % of one tenant's requests exceed.)
//! - **Slow line**: the latency above which a request counts as slow: the edge that 5 % of the fleet's requests exceed, or a
//!   configured limit. A slot's line is fixed when the slot begins.
//! - **Culprit**: a tenant that passed the gate of the error verdict that is shown: its errors exceed the expected ones by more
//!   than chance explains.
//! - **Chronic**: a tenant that failed at five times the fleet's normal rate before the window too. The report lists it, and
//!   no verdict accuses it unless it gets worse.
//! - **Taint**: the mark of a slot in which an incident was going on. A tainted slot stays out of the baseline, so an incident does
//!   not become normal.
//! - **Source**: one process, by the random 64-bit id that its blocks carry. A forked child is another source.
//! - **Leader**: the one process of a host that evaluates alerts and probes targets for all processes of the service: the one
//!   whose exporter holds the lock of the host directory.
//!
//! # Guarantees
//!
//! 1. While distinct ids fit, counts are exact and the report says `mode: exact`: 12,288 a stripe and slot; the default
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
#[doc(hidden)] // for the exporter and the examples
pub use util::civil;
pub use util::clock::Clock;
pub use util::error::{ConfigError, DecodeError, MergeError};
pub use util::units::{parse_duration, parse_size};
pub use util::{fork, panics};
pub use verdict::{Kind, Verdict};
