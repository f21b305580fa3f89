//! Decides one window on one side: one tenant, a few, one endpoint, everyone, unclear, or quiet.
//!
//! **Inputs.** For each tenant and endpoint: requests `n` and bad requests `e` of the window, and its baseline. The
//! baseline gives the rate `p`, drawn towards the fleet's normal rate `p0` by 20 requests, and so the expected bad
//! requests `x = n·p`. On the latency side `p` is 5 % by construction of the tail thresholds. The gate compares with
//! `n·max(p, p0)` instead, so that a clean past makes no tenant suspect of a rate that is normal for the fleet.
//!
//! **Order of the tests** (constants in `rules`; K = active tenants, φ = overdispersion of the fleet, E and X = sums
//! over all):
//!
//! ```text
//!  fewer than 5 bad requests in all ────────────────────────────────────────────► quiet
//!    │
//!  suspects:     e ≥ 5,  e ≥ 3·gate,  G(e, gate) ≥ 18 + 2 ln K
//!  fleet excess: E ≥ 10, E ≥ 1.5·X,   G(E, X)/φ ≥ 18
//!    │ neither ─────────────────────────────────────────────────────────────────► quiet
//!  the top 1, 2 … 5 suspects by excess: the first group that explains the errors ► one_tenant, few_tenants
//!    │ none
//!  the top endpoint explains them, and at least 3 tenants fail there ────────────► one_endpoint
//!    │ no
//!  no fleet excess ──────────────────────────────────────────────────────────────► unclear
//!  errors, under 120 s learned, E/N below 20 % ──────────────────────────────────► quiet
//!    │
//!  without the 5 tenants of the largest excess (1 of few tenants) still an excess ► everyone, else unclear
//! ```
//!
//! A group *explains* the errors when the excess is concentrated in it, the rest is normal, and little excess is left
//! (`rules::explains`). **Invariant**: `unattributed`, `other` and the rest never become suspects; their errors count
//! in the sums.
//!
//! **Why not a fixed threshold, such as 5 % errors?** For one tenant 5 % is normal and for another an incident, and
//! three errors of four requests are 75 %. **Why not a z-test?** Expectations are often far below one error, where the
//! normal approximation calls a single error highly significant. The log-likelihood ratio of a Poisson count is usable
//! there, and its gate grows by 2 ln K because K tenants are tested each second. **Why not "twice its share of the
//! traffic"?** A tenant with half of the traffic could never be named.

use super::learning::Learning;
use super::rules::{
    CHRONIC_ERRORS, CHRONIC_RATIO, COLD_OUTAGE_RATE, COLD_S, Comparison, ENDPOINT_ERRORS, ENDPOINT_TENANTS,
    ENDPOINT_TRAFFIC, FEW_TENANTS, FLEET_ERRORS, FLEET_RATIO, GATE, GATE_PER_LOG_K, GATE_REST, MAX_CULPRITS,
    MIN_ERRORS, MIN_RATIO, SURGE_AFTER_S, SURGE_FACTOR, explains, log_ratio,
};
use super::{Finding, Kind};
use crate::baseline::latency_tails::{PSEUDO_REQUESTS, TAIL_SHARE};
use crate::baseline::lookup::{ByName, ByNumber};
use crate::baseline::side::Side;
use crate::baseline::slot_counts::Observed;
use crate::baseline::{Keys, REST};
use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::event::endpoint;
use crate::window::Window;
use std::sync::Arc;

/// Data that a decision reads: counts and baselines of all keys, and the blocks behind them.
#[derive(Clone, Copy)]
pub(crate) struct DecisionInputs<'a> {
    pub(crate) tenants: &'a Keys<ByNumber>,
    pub(crate) endpoints: &'a Keys<ByName>,
    /// Index of `unattributed`, when it has been seen: never a culprit.
    pub(crate) unattributed: Option<u32>,
    pub(crate) window: &'a Window,
    /// Ids of the tenants by number.
    pub(crate) ids: &'a Dictionary,
    /// Number of the open slot.
    pub(crate) slot: i64,
    /// Blocks of the open slot, one for each source.
    pub(crate) open: &'a [&'a Packed],
}

impl<'a> DecisionInputs<'a> {
    /// Blocks of the last `slots` closed slots, then those of the open slot.
    fn blocks(self, slots: usize) -> impl Iterator<Item = &'a Packed> {
        let first = self.slot.saturating_sub(slots as i64);
        self.window.between(first, self.slot).chain(self.open.iter().copied())
    }
}

/// One window on one side, with everything that is needed to judge it.
pub(crate) struct JudgedWindow<'a> {
    pub(crate) inputs: DecisionInputs<'a>,
    pub(crate) side: Side,
    /// Index of the window in `Horizon::windows`.
    pub(crate) w: usize,
    pub(crate) learning: &'a Learning,
    /// Overdispersion of the fleet's bad requests, at least 1.
    pub(crate) phi: f64,
    /// Length of the window including the open slot so far, seconds.
    pub(crate) span_s: f64,
}

/// Bad requests expected of a tenant.
pub(crate) struct ExpectedBad {
    /// Expectation for sums and excesses: x.
    pub(crate) x: f64,
    /// Expectation for the gate: at least the fleet's normal rate.
    pub(crate) gate: f64,
}

/// A tenant that passed the gate.
struct Suspect {
    tenant: u32,
    own: Comparison,
    /// G of its bad requests over the gate's expectation.
    ratio: f64,
}

/// An endpoint that explains the bad requests.
struct FailingEndpoint {
    endpoint: u32,
    own: Comparison,
    all: Comparison,
    /// Share of the excess, 0 to 1.
    share: f64,
}

impl JudgedWindow<'_> {
    /// Requests and bad requests of a tenant in the window.
    pub(crate) fn tenant(&self, i: u32) -> Observed<f64> {
        self.inputs.tenants.window(self.w, i).on(self.side).exact()
    }

    /// Expected rate of a tenant, 0 to 1, without the surge cap.
    pub(crate) fn rate(&self, i: u32) -> f64 {
        match self.side {
            Side::Errors => self.own_rate(i),
            Side::Latency => TAIL_SHARE,
        }
    }

    /// Rate of bad requests in a tenant's baseline, drawn towards the fleet's normal rate by twenty requests.
    pub(crate) fn own_rate(&self, i: u32) -> f64 {
        // The rest is many tenants without a history, and each of them would have the fleet's rate. The rest's own past
        // would mislead: tenants without errors join it first.
        if i == REST {
            return self.learning.p0;
        }
        self.shrunk_rate(self.inputs.tenants.base(self.side, self.w, i))
    }

    /// Bad requests expected of a tenant with `n` requests. Both expectations are capped, so that a surge of a chronic
    /// failer counts as new.
    pub(crate) fn expected(&self, i: u32, n: f64) -> ExpectedBad {
        if self.side == Side::Latency {
            return ExpectedBad { x: n * TAIL_SHARE, gate: n * TAIL_SHARE };
        }
        let (p, p0) = (self.own_rate(i), self.learning.p0);
        let (x, gate) = (n * p, n * p.max(p0));
        if self.learning.decayed_s < SURGE_AFTER_S {
            return ExpectedBad { x, gate };
        }
        let errors = self.inputs.tenants.base(self.side, self.w, i).bad;
        let cap = (SURGE_FACTOR * errors / self.learning.decayed_s * self.span_s).max(n * p0);
        ExpectedBad { x: x.min(cap), gate: gate.min(cap) }
    }

    /// Observed and expected bad requests of an endpoint.
    pub(crate) fn endpoint(&self, i: u32) -> Comparison {
        let Observed { requests: n, bad: e } = self.inputs.endpoints.window(self.w, i).on(self.side).exact();
        Comparison { e, x: n * self.endpoint_rate(i), n }
    }

    fn endpoint_rate(&self, i: u32) -> f64 {
        if self.side == Side::Latency {
            return TAIL_SHARE;
        }
        self.shrunk_rate(self.inputs.endpoints.base(self.side, self.w, i))
    }

    /// Rate of a baseline, drawn towards the fleet's normal rate by twenty requests.
    fn shrunk_rate(&self, base: Observed<f64>) -> f64 {
        (base.bad + PSEUDO_REQUESTS * self.learning.p0) / (base.requests + PSEUDO_REQUESTS)
    }

    /// Whether a tenant is a chronic failer: its baseline is bad at five times the fleet's normal rate.
    pub(crate) fn is_chronic(&self, i: u32) -> bool {
        let errors = self.inputs.tenants.base(self.side, self.w, i).bad;
        errors >= CHRONIC_ERRORS && self.own_rate(i) >= CHRONIC_RATIO * self.learning.p0
    }

    fn is_reserved(&self, i: u32) -> bool {
        i == REST || Some(i) == self.inputs.unattributed
    }

    /// Decides this window; the order of the tests is drawn at the top of the module.
    pub(crate) fn decide(&self) -> Finding {
        let keys = self.inputs.tenants;
        let id = |i: u32| self.inputs.ids.id(*keys.key(i));
        let mut bad = 0;
        let enough = (0..keys.len() as u32).any(|i| {
            bad += u64::from(keys.window(self.w, i).bad(self.side));
            bad as f64 >= MIN_ERRORS
        });
        if !enough {
            return Finding::QUIET;
        }
        let (mut all, mut active) = (Comparison::default(), 0_usize);
        let mut suspects: Vec<Suspect> = Vec::new();
        for i in 0..keys.len() as u32 {
            let Observed { requests: n, bad: e } = self.tenant(i);
            if n == 0.0 {
                continue;
            }
            let ExpectedBad { x, gate } = self.expected(i, n);
            let own = Comparison { e, x, n };
            all = all.plus(own);
            active += 1;
            if e >= MIN_ERRORS && e >= MIN_RATIO * gate && !self.is_reserved(i) {
                suspects.push(Suspect { tenant: i, own, ratio: log_ratio(e, gate) });
            }
        }
        let gate = GATE + GATE_PER_LOG_K * (active.max(1) as f64).ln();
        suspects.retain(|suspect| suspect.ratio >= gate);
        suspects.sort_by(|a, b| b.own.excess().total_cmp(&a.own.excess()).then_with(|| id(a.tenant).cmp(id(b.tenant))));
        let fleet = all.e >= FLEET_ERRORS && all.e >= FLEET_RATIO * all.x && log_ratio(all.e, all.x) / self.phi >= GATE;
        if suspects.is_empty() && !fleet {
            return Finding::QUIET;
        }
        let culprits = suspects.iter().map(|suspect| suspect.tenant).collect();
        let found = Finding { window: self.w, all, culprits, ..Finding::QUIET };
        let mut group = Comparison::default();
        for (j, suspect) in suspects.iter().take(MAX_CULPRITS).enumerate() {
            group = group.plus(suspect.own);
            if let Some(share) = explains(group, all, self.phi) {
                let mut tenants: Vec<u32> = suspects[..=j].iter().map(|suspect| suspect.tenant).collect();
                tenants.sort_unstable();
                let endpoint =
                    (j == 0 && self.side == Side::Errors).then(|| self.endpoint_of_tenant(tenants[0])).flatten();
                let kind = if j == 0 { Kind::OneTenant } else { Kind::FewTenants };
                return Finding { kind, tenants, endpoint, group, excess_share: Some(share), ..found };
            }
        }
        if let Some(failing) = self.failing_endpoint(gate) {
            return Finding {
                kind: Kind::OneEndpoint,
                endpoint: Some(failing.endpoint),
                group: failing.own,
                all: failing.all,
                excess_share: Some(failing.share),
                ..found
            };
        }
        if !fleet {
            return Finding { kind: Kind::Unclear, ..found };
        }
        let cold = self.side == Side::Errors && self.learning.learned_total_s < COLD_S;
        if cold && all.e / all.n < COLD_OUTAGE_RATE {
            return Finding::QUIET;
        }
        let rest = self.without_largest(all);
        let kind = if log_ratio(rest.e, rest.x) / self.phi >= GATE_REST && rest.e >= FLEET_RATIO * rest.x + 1.0 {
            Kind::Everyone
        } else {
            Kind::Unclear
        };
        let excess_share = (kind == Kind::Everyone).then_some(1.0);
        Finding { kind, group: all, excess_share, ..found }
    }

    /// Sums without the tenants of the largest excess: five of them, or one where there are fewer than `FEW_TENANTS`
    /// tenants.
    fn without_largest(&self, all: Comparison) -> Comparison {
        let keys = self.inputs.tenants;
        let id = |i: u32| self.inputs.ids.id(*keys.key(i));
        let (mut active, mut silent): (Vec<(u32, Comparison)>, usize) = (Vec::new(), 0);
        for i in 0..keys.len() as u32 {
            let Observed { requests: n, bad: e } = self.tenant(i);
            if n == 0.0 {
                silent += usize::from(keys.base(self.side, self.w, i).requests > 0.0);
                continue;
            }
            active.push((i, Comparison { e, x: self.expected(i, n).x, n }));
        }
        let left_out = if active.len() + silent >= FEW_TENANTS { 5 } else { 1 };
        active.sort_unstable_by(|(i, a), (j, b)| b.excess().total_cmp(&a.excess()).then_with(|| id(*i).cmp(id(*j))));
        active.iter().take(left_out).fold(all, |rest, (_, own)| rest.minus(*own))
    }

    /// The endpoint with the largest excess, when it explains the bad requests and fails for at least three tenants.
    /// All sums are over endpoints here: a latency that is unusual for its tenant may be usual for its endpoint.
    fn failing_endpoint(&self, gate: f64) -> Option<FailingEndpoint> {
        let keys = self.inputs.endpoints;
        let mut all = Comparison::default();
        let mut top: Option<(u32, Comparison)> = None;
        for i in 0..keys.len() as u32 {
            let own = self.endpoint(i);
            all = all.plus(own);
            let suspect = own.e >= MIN_ERRORS
                && own.e >= MIN_RATIO * own.x
                && log_ratio(own.e, own.x) >= gate
                && !endpoint::is_reserved(keys.key(i));
            let exceeds = |(other, sums): (u32, Comparison)| {
                own.excess().total_cmp(&sums.excess()).then_with(|| keys.key(other).cmp(keys.key(i))).is_gt()
            };
            if suspect && top.is_none_or(exceeds) {
                top = Some((i, own));
            }
        }
        let (i, own) = top?;
        let share = explains(own, all, self.phi)?;
        let mut witnesses: Vec<u64> = Vec::new();
        for block in self.inputs.blocks(keys.slots(self.w)) {
            if let Ok(at) = block.summary.endpoints.binary_search_by(|row| row.name.cmp(keys.key(i))) {
                let row = &block.summary.endpoints[at];
                witnesses.extend(if self.side == Side::Errors { &row.failing } else { &row.lagging });
            }
        }
        witnesses.sort_unstable();
        witnesses.dedup();
        (witnesses.len() >= ENDPOINT_TENANTS).then_some(FailingEndpoint { endpoint: i, own, all, share })
    }

    /// The endpoint with most of the culprit's errors and not most of its traffic. An attribute: another endpoint does
    /// not make another verdict.
    fn endpoint_of_tenant(&self, tenant: u32) -> Option<u32> {
        let number = *self.inputs.tenants.key(tenant);
        let mut cells: Vec<(&Arc<str>, u64, u64)> = Vec::new();
        let (mut requests, mut errors) = (0_u64, 0_u64);
        for block in self.inputs.blocks(self.inputs.tenants.slots(self.w)) {
            let Some(row) = block.rows.find(number) else {
                continue;
            };
            requests = row.sums.counts.requests.saturating_add(requests);
            errors = row.sums.counts.errors.saturating_add(errors);
            for cell in row.endpoints() {
                let name = &block.summary.endpoints[usize::from(cell.endpoint)].name;
                let (n, e) = (u64::from(cell.requests), u64::from(cell.errors));
                match cells.iter_mut().find(|(known, ..)| *known == name) {
                    Some(known) => (known.1, known.2) = (known.1.saturating_add(n), known.2.saturating_add(e)),
                    None => cells.push((name, n, e)),
                }
            }
        }
        let (name, n, e) = cells.into_iter().max_by(|a, b| a.2.cmp(&b.2).then_with(|| b.0.cmp(a.0)))?;
        let clear = e as f64 >= ENDPOINT_ERRORS * errors as f64 && (n as f64 / requests as f64) < ENDPOINT_TRAFFIC;
        clear.then(|| self.inputs.endpoints.find(&**name)).flatten()
    }
}
