//! Alerts on a virtual clock: the life of each rule's alerts as tables, what is told when, and what holds for any sequence of looks.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::float_cmp, reason = "nothing is computed between what is compared")]

mod bounds;
mod groups;
mod life;
mod messages;
mod properties;
mod rules;
mod targets;
mod trust;

use sentinel_core::Kind;
use sentinel_core::alert::{
    Accused, Alert, Alerts, Facts, Notice, Phase, Row, Rules, State, TenantErrors, TenantLatency, TenantShare,
    Transition, Verdicts,
};
use std::time::Duration;

const START: i64 = 1_700_000_000_000;
const WINDOW: u64 = 600_000;

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// The rules, the state, and what came of them.
struct Bench {
    alerts: Alerts,
    state: State,
    now: i64,
    transitions: Vec<Transition>,
    notices: Vec<Notice>,
}

impl Bench {
    fn new(rules: Rules) -> Self {
        let alerts = Alerts::new("shop", rules).unwrap();
        Self { alerts, state: State::default(), now: START, transitions: Vec::new(), notices: Vec::new() }
    }

    /// A step at so many ms after `START`.
    fn step(&mut self, at_ms: i64, facts: Option<&Facts>) -> &[Transition] {
        self.now = START + at_ms;
        let (state, outcome) = self.alerts.step(std::mem::take(&mut self.state), self.now, facts);
        self.state = state;
        let before = self.transitions.len();
        self.transitions.extend(outcome.transitions);
        self.notices.extend(outcome.notice);
        &self.transitions[before..]
    }

    /// A look at so many seconds after `START`.
    fn look(&mut self, at_s: i64, fill: impl FnOnce(Facts) -> Facts) -> &[Transition] {
        let facts = fill(Facts::new(START + at_s * 1_000, WINDOW));
        self.step(at_s * 1_000, Some(&facts))
    }

    /// The same look every second from one second to another, both included.
    fn looks(&mut self, seconds: std::ops::RangeInclusive<i64>, fill: impl Fn(Facts) -> Facts) {
        seconds.for_each(|s| _ = self.look(s, &fill));
    }

    /// The phase of the only alert.
    fn phase(&self) -> Phase {
        assert!(self.state.entries().count() <= 1);
        self.state.entries().next().map_or(Phase::Ok, |(_, entry)| entry.phase)
    }

    fn fired(&self) -> Vec<&Alert> {
        self.transitions.iter().filter(|t| t.fires()).map(|t| t.alert.as_ref().unwrap()).collect()
    }

    fn resolved(&self) -> Vec<&Alert> {
        self.transitions.iter().filter(|t| t.resolves()).map(|t| t.alert.as_ref().unwrap()).collect()
    }

    fn titles(&self) -> Vec<String> {
        self.notices.iter().map(|notice| notice.message().title).collect()
    }

    /// Looks at these seconds, and where the alert must stand after each.
    fn table<T: Copy + std::fmt::Debug>(&mut self, fill: impl Fn(Facts, T) -> Facts, table: &[(i64, T, Phase)]) {
        for &(at_s, value, expected) in table {
            self.look(at_s, |facts| fill(facts, value));
            assert_eq!(self.phase(), expected, "at {at_s} s, {value:?}");
        }
    }
}

/// Only rules about tenants that are switched on.
fn quiet_rules() -> Rules {
    Rules { verdict: Verdicts { errors: false, latency: false, ..Verdicts::default() }, ..Rules::default() }
}

fn errors_rule(at_least: u64, r#for: u64, keep: u64) -> Rules {
    let rule = TenantErrors { at_least, r#for: seconds(r#for), keep_firing_for: seconds(keep) };
    Rules { tenant_errors: Some(rule), ..quiet_rules() }
}

fn share_rule(above: f64, r#for: u64, keep: u64) -> Rules {
    let rule = TenantShare { above, r#for: seconds(r#for), keep_firing_for: seconds(keep) };
    Rules { tenant_share: Some(rule), ..quiet_rules() }
}

fn latency_rule(factor: f64, min_requests: u64, r#for: u64, keep: u64) -> Rules {
    let rule = TenantLatency { factor, min_requests, r#for: seconds(r#for), keep_firing_for: seconds(keep) };
    Rules { tenant_latency: Some(rule), ..quiet_rules() }
}

fn verdict_rule(r#for: u64, keep: u64) -> Rules {
    let verdict = Verdicts { r#for: seconds(r#for), keep_firing_for: seconds(keep), ..Verdicts::default() };
    Rules { verdict, ..Rules::default() }
}

/// acme with so many errors.
fn acme(mut facts: Facts, errors: u64) -> Facts {
    facts.row(b"acme", Row { requests: errors + 1_000, errors, ..Row::default() });
    facts
}

/// A verdict on errors that names these.
fn names(kind: Kind, tenants: &[&str]) -> Accused {
    Accused {
        kind,
        tenants: tenants.iter().map(|id| id.as_bytes().to_vec()).collect(),
        window_ms: 120_000,
        share: Some(0.68),
        excess_share: Some(0.97),
        errors: 204,
        of: 300,
        rate_without: Some(0.003),
        rate_normal: Some(0.002),
        ..Accused::default()
    }
}
