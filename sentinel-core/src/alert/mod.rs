//! Alerts: rules over the contents of a report, each with a life-cycle that does not flap, and the messages that people get.
//!
//! ```text
//! Report ─► Facts ─► readings ─► life-cycle ─► Transition ─► group ─► Notice ─► Message ─► sinks
//!           facts    reading     engine        state         group    group     message    (exporter)
//!                    rule
//! ```
//!
//! [`Alerts::step`] is a pure function: from a [`State`], the time and the [`Facts`] of one look it computes the next state and the
//! [`Outcome`]. The step reads no clock, starts no thread and sends nothing. The leader process keeps the state, and writes it down as
//! [bytes](State::encode) so that the next leader goes on where this one stopped.
//!
//! | file | contents |
//! |---|---|
//! | `rule` | the rules, their options and ranges |
//! | `facts` | the verdicts and rows of a look, and how far each can be trusted |
//! | `reading` | one look at one alert: above, between, below, unknown or gone |
//! | `engine` | the life-cycle: one step of every alert |
//! | `time` | the time that a step accounts for |
//! | `state` | alerts with their phase and evidence, and the state that outlives a step |
//! | `key` | the identity of an alert: rule, subject, id |
//! | `group` | alerts become notices: when something is told, and when it is told again |
//! | `message`, `target_text` | the text of notices and alerts |
//! | `overview` | the answer of `/alerts` |
//! | `codec` | states, notices and alerts as bytes |
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

/// Largest number of alerts that are followed at a time, pending ones included.
pub const MAX_KEYS: usize = 1_024;
/// Places among [`MAX_KEYS`] that only verdicts and the own network may take, so that tenants above a threshold cannot crowd them out.
const PLACES_FOR_VERDICTS: usize = 64;
/// Largest number of alerts that a notice lists; it counts the others.
pub const LISTED: usize = 20;
