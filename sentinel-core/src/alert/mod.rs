//! When to tell people, and what: rules over what a report knows, each with a life-cycle that does not flap.
//!
//! ```text
//! Report ─► Facts ─► readings ─► life-cycle ─► Transition ─► group ─► Notice ─► Message ─► sinks
//!           facts    reading     engine        state         group    group     message    elsewhere
//!                    rule
//! ```
//!
//! [`Alerts::step`] is pure: a [`State`], the time and the [`Facts`] of a look give the next state and what follows from it. No clock,
//! no thread, nothing is sent. Whoever acts for all processes keeps the state, as [bytes](State::encode) where it must survive.
//!
//! ```
//! use sentinel_core::alert::{Alerts, Facts, Phase, Row, Rules, State, TenantErrors};
//!
//! let rules = Rules { tenant_errors: Some(TenantErrors { at_least: 100, ..TenantErrors::default() }), ..Rules::default() };
//! let alerts = Alerts::new("shop", rules)?;
//! let (mut state, mut at, mut titles) = (State::default(), 1_700_000_000_000, Vec::new());
//! for second in 0..60 {
//!     // In a service: Facts::of(&sentinel.report(Query { limit: 1_000, ..Query::default() }))
//!     let mut facts = Facts::new(at, 600_000);
//!     facts.row(b"acme", Row { requests: 900, errors: 20 * second, ..Row::default() });
//!     let (next, outcome) = alerts.step(state, at, Some(&facts));
//!     titles.extend(outcome.notice.map(|notice| notice.message().title));
//!     (state, at) = (next, at + 1_000);
//! }
//! assert_eq!(titles, ["🚨 Sentinel: Tenant acme has 700 5xx in the last 10 minutes"]);
//! assert_eq!(state.entries().next().map(|(_, entry)| entry.phase), Some(Phase::Firing));
//! # Ok::<(), sentinel_core::ConfigError>(())
//! ```

mod codec;
mod engine;
mod facts;
mod group;
mod key;
mod message;
mod overview;
mod reading;
mod rule;
mod state;
mod target_text;
mod time;

pub use engine::{Alerts, Outcome};
pub use facts::{Accused, Facts, Row};
pub use group::{Listed, Notice, Status};
pub use key::{AlertId, Key, Subject};
pub use message::Message;
pub use overview::{AlertsReport, Followed, Over, SinkReport, SinkState};
pub use rule::{Grouping, Rule, Rules, Severity, Targets, TenantErrors, TenantLatency, TenantShare, Verdicts};
pub use state::{Alert, Counts, Entry, Evidence, Phase, State, TargetEvidence, Transition, Why};

/// Alerts that are followed at a time, pending ones included.
pub const MAX_KEYS: usize = 1_024;
/// Of them, those that only verdicts may take: tenants that exceed a threshold cannot keep a verdict out.
const FOR_VERDICTS: usize = 64;
/// Alerts that a notice lists; the others are counted.
pub const LISTED: usize = 20;
