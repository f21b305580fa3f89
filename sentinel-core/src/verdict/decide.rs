//! DECIDE: the verdict of one window, for errors or for latency.

use super::learning::Learning;
use super::rules::{
    CHRONIC_ERRORS, CHRONIC_RATIO, COLD_RATE, COLD_S, ENDPOINT_ERRORS, ENDPOINT_TENANTS, ENDPOINT_TRAFFIC, FEW_TENANTS,
    FLEET_ERRORS, FLEET_RATIO, GATE, GATE_PER_LOG_K, GATE_REST, MAX_CULPRITS, MIN_ERRORS, MIN_RATIO, SURGE,
    SURGE_AFTER_S, Sums, explains, log_ratio,
};
use super::{Finding, Kind};
use crate::baseline::latency_tails::{PSEUDO_REQUESTS, TAIL};
use crate::baseline::lookup::{ByName, ByNumber};
use crate::baseline::slot_counts::Side;
use crate::baseline::{Keys, REST};
use crate::block::dictionary::Dictionary;
use crate::block::packed::Packed;
use crate::event::endpoint;
use crate::window::Window;
use std::sync::Arc;

/// What a decision may look at: counts and baselines of all keys, and the blocks behind them.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) tenants: &'a Keys<ByNumber>,
    pub(crate) endpoints: &'a Keys<ByName>,
    /// `unattributed`, when it has been seen: never a culprit.
    pub(crate) unattributed: Option<u32>,
    pub(crate) window: &'a Window,
    /// The ids of the tenants.
    pub(crate) ids: &'a Dictionary,
    /// The open slot, and what each source has in it.
    pub(crate) slot: i64,
    pub(crate) open: &'a [&'a Packed],
}

impl<'a> Scene<'a> {
    /// The blocks of the last `slots` closed slots, and those of the open one.
    fn blocks(self, slots: usize) -> impl Iterator<Item = &'a Packed> {
        let first = self.slot.saturating_sub(slots as i64);
        self.window.between(first, self.slot).chain(self.open.iter().copied())
    }
}

/// One side's view of one window: what was expected of everyone.
pub(crate) struct Case<'a> {
    pub(crate) scene: Scene<'a>,
    pub(crate) side: Side,
    /// Window of the horizon.
    pub(crate) w: usize,
    pub(crate) learning: &'a Learning,
    pub(crate) phi: f64,
    /// Seconds that the window spans.
    pub(crate) span: f64,
}

impl Case<'_> {
    /// Requests and bad ones of a tenant.
    pub(crate) fn tenant(&self, i: u32) -> (f64, f64) {
        let tally = self.scene.tenants.window(self.w, i);
        (f64::from(tally.n), f64::from(tally.bad(self.side)))
    }

    /// A tenant's own expected rate, without the surge cap.
    pub(crate) fn rate(&self, i: u32) -> f64 {
        match self.side {
            Side::Errors => self.own_rate(i),
            Side::Latency => TAIL,
        }
    }

    /// The rate at which a tenant was bad before, drawn towards the fleet's by twenty requests.
    pub(crate) fn own_rate(&self, i: u32) -> f64 {
        // The rest is many tenants without a history, who each would have this. Its own past would mislead: those without
        // errors join it first.
        if i == REST {
            return self.learning.p0;
        }
        let (n, e) = self.scene.tenants.base(self.side, self.w, i);
        (e + PSEUDO_REQUESTS * self.learning.p0) / (n + PSEUDO_REQUESTS)
    }

    /// x and the gate's x of a tenant: capped, so that the surge of a chronic failer is new.
    pub(crate) fn expected(&self, i: u32, n: f64) -> (f64, f64) {
        if self.side == Side::Latency {
            return (n * TAIL, n * TAIL);
        }
        let (p, p0) = (self.own_rate(i), self.learning.p0);
        let (x, gate) = (n * p, n * p.max(p0));
        if self.learning.clock_s < SURGE_AFTER_S {
            return (x, gate);
        }
        let errors = self.scene.tenants.base(self.side, self.w, i).1;
        let cap = (SURGE * errors / self.learning.clock_s * self.span).max(n * p0);
        (x.min(cap), gate.min(cap))
    }

    /// Requests and bad ones of an endpoint, and what was expected of it.
    pub(crate) fn endpoint(&self, i: u32) -> Sums {
        let tally = self.scene.endpoints.window(self.w, i);
        let n = f64::from(tally.n);
        Sums { e: f64::from(tally.bad(self.side)), x: n * self.endpoint_rate(i), n }
    }

    fn endpoint_rate(&self, i: u32) -> f64 {
        if self.side == Side::Latency {
            return TAIL;
        }
        let (n, e) = self.scene.endpoints.base(self.side, self.w, i);
        (e + PSEUDO_REQUESTS * self.learning.p0) / (n + PSEUDO_REQUESTS)
    }

    /// A chronic failer: was bad at five times the fleet's rate before.
    pub(crate) fn is_chronic(&self, i: u32) -> bool {
        let errors = self.scene.tenants.base(self.side, self.w, i).1;
        errors >= CHRONIC_ERRORS && self.own_rate(i) >= CHRONIC_RATIO * self.learning.p0
    }

    fn is_reserved(&self, i: u32) -> bool {
        i == REST || Some(i) == self.scene.unattributed
    }

    /// The verdict of this window.
    pub(crate) fn decide(&self) -> Finding {
        let keys = self.scene.tenants;
        let id = |i: u32| self.scene.ids.id(*keys.key(i));
        let mut bad = 0;
        let enough = (0..keys.len() as u32).any(|i| {
            bad += u64::from(keys.window(self.w, i).bad(self.side));
            bad as f64 >= MIN_ERRORS
        });
        if !enough {
            return Finding::QUIET;
        }
        let (mut all, mut active) = (Sums::default(), 0_usize);
        let mut suspects: Vec<(u32, Sums, f64)> = Vec::new();
        for i in 0..keys.len() as u32 {
            let (n, e) = self.tenant(i);
            if n == 0.0 {
                continue;
            }
            let (x, gate) = self.expected(i, n);
            let own = Sums { e, x, n };
            all = Sums { e: all.e + e, x: all.x + x, n: all.n + n };
            active += 1;
            if e >= MIN_ERRORS && e >= MIN_RATIO * gate && !self.is_reserved(i) {
                suspects.push((i, own, log_ratio(e, gate)));
            }
        }
        let gate = GATE + GATE_PER_LOG_K * (active.max(1) as f64).ln();
        suspects.retain(|(_, _, ratio)| *ratio >= gate);
        suspects.sort_by(|(a, own_a, _), (b, own_b, _)| {
            (own_b.e - own_b.x).total_cmp(&(own_a.e - own_a.x)).then_with(|| id(*a).cmp(id(*b)))
        });
        let fleet = all.e >= FLEET_ERRORS && all.e >= FLEET_RATIO * all.x && log_ratio(all.e, all.x) / self.phi >= GATE;
        if suspects.is_empty() && !fleet {
            return Finding::QUIET;
        }
        let found =
            Finding { window: self.w, all, culprits: suspects.iter().map(|(i, ..)| *i).collect(), ..Finding::QUIET };
        let mut group = Sums::default();
        for (j, (_, own, _)) in suspects.iter().take(MAX_CULPRITS).enumerate() {
            group = Sums { e: group.e + own.e, x: group.x + own.x, n: group.n + own.n };
            if let Some(share) = explains(group, all, self.phi) {
                let mut tenants: Vec<u32> = suspects[..=j].iter().map(|(i, ..)| *i).collect();
                tenants.sort_unstable();
                let endpoint =
                    (j == 0 && self.side == Side::Errors).then(|| self.failing_endpoint(tenants[0])).flatten();
                let kind = if j == 0 { Kind::OneTenant } else { Kind::FewTenants };
                return Finding { kind, tenants, endpoint, group, excess_share: Some(share), ..found };
            }
        }
        if let Some((endpoint, group, all, share)) = self.failing_everywhere(gate) {
            return Finding {
                kind: Kind::OneEndpoint,
                endpoint: Some(endpoint),
                group,
                all,
                excess_share: Some(share),
                ..found
            };
        }
        if !fleet || self.side == Side::Errors && self.learning.learned_total_s < COLD_S && all.e / all.n < COLD_RATE {
            return if fleet { Finding::QUIET } else { Finding { kind: Kind::Unclear, ..found } };
        }
        let rest = self.rest(all);
        let kind = if log_ratio(rest.e, rest.x) / self.phi >= GATE_REST && rest.e >= FLEET_RATIO * rest.x + 1.0 {
            Kind::Everyone
        } else {
            Kind::Unclear
        };
        let excess_share = (kind == Kind::Everyone).then_some(1.0);
        Finding { kind, group: all, excess_share, ..found }
    }

    /// The sums of all but those with the largest excess: five of many tenants, one of few.
    fn rest(&self, all: Sums) -> Sums {
        let keys = self.scene.tenants;
        let id = |i: u32| self.scene.ids.id(*keys.key(i));
        let (mut excesses, mut known): (Vec<(f64, u32, Sums)>, usize) = (Vec::new(), 0);
        for i in 0..keys.len() as u32 {
            let (n, e) = self.tenant(i);
            if n == 0.0 {
                known += usize::from(keys.base(self.side, self.w, i).0 > 0.0);
                continue;
            }
            let x = self.expected(i, n).0;
            excesses.push((e - x, i, Sums { e, x, n }));
        }
        let dropped = if excesses.len() + known >= FEW_TENANTS { 5 } else { 1 };
        excesses.sort_unstable_by(|(a, i, _), (b, j, _)| b.total_cmp(a).then_with(|| id(*i).cmp(id(*j))));
        excesses.iter().take(dropped).fold(all, |rest, (_, _, own)| Sums {
            e: rest.e - own.e,
            x: rest.x - own.x,
            n: rest.n - own.n,
        })
    }

    /// The endpoint with the largest excess, when it explains the errors and fails for three tenants at least: its sums, those
    /// of all endpoints, and its share of the excess. (A latency that is unusual for its tenant may be usual for its endpoint.)
    fn failing_everywhere(&self, gate: f64) -> Option<(u32, Sums, Sums, f64)> {
        let keys = self.scene.endpoints;
        let mut all = Sums::default();
        let mut top: Option<(u32, Sums)> = None;
        for i in 0..keys.len() as u32 {
            let own = self.endpoint(i);
            all = Sums { e: all.e + own.e, x: all.x + own.x, n: all.n + own.n };
            let suspect = own.e >= MIN_ERRORS
                && own.e >= MIN_RATIO * own.x
                && log_ratio(own.e, own.x) >= gate
                && !endpoint::is_reserved(keys.key(i));
            let excess = own.e - own.x;
            let ahead = |(other, sums): (u32, Sums)| {
                excess.total_cmp(&(sums.e - sums.x)).then_with(|| keys.key(other).cmp(keys.key(i))).is_gt()
            };
            if suspect && top.is_none_or(ahead) {
                top = Some((i, own));
            }
        }
        let (i, own) = top?;
        let share = explains(own, all, self.phi)?;
        let mut witnesses: Vec<u64> = Vec::new();
        for block in self.scene.blocks(keys.slots(self.w)) {
            if let Ok(at) = block.head.endpoints.binary_search_by(|row| row.name.cmp(keys.key(i))) {
                let row = &block.head.endpoints[at];
                witnesses.extend(if self.side == Side::Errors { &row.failing } else { &row.lagging });
            }
        }
        witnesses.sort_unstable();
        witnesses.dedup();
        (witnesses.len() >= ENDPOINT_TENANTS).then_some((i, own, all, share))
    }

    /// The endpoint with most of the tenant's errors and not most of its traffic: an attribute, not the identity.
    fn failing_endpoint(&self, tenant: u32) -> Option<u32> {
        let number = *self.scene.tenants.key(tenant);
        let mut cells: Vec<(&Arc<str>, u64, u64)> = Vec::new();
        let (mut requests, mut errors) = (0_u64, 0_u64);
        for block in self.scene.blocks(self.scene.tenants.slots(self.w)) {
            let Some(row) = block.rows.find(number) else {
                continue;
            };
            requests = row.sums.counts[0].saturating_add(requests);
            errors = row.sums.counts[1].saturating_add(errors);
            for cell in row.endpoints() {
                let name = &block.head.endpoints[usize::from(cell.endpoint)].name;
                let (n, e) = (u64::from(cell.requests), u64::from(cell.errors));
                match cells.iter_mut().find(|(known, ..)| *known == name) {
                    Some(known) => (known.1, known.2) = (known.1.saturating_add(n), known.2.saturating_add(e)),
                    None => cells.push((name, n, e)),
                }
            }
        }
        let (name, n, e) = cells.into_iter().max_by(|a, b| a.2.cmp(&b.2).then_with(|| b.0.cmp(a.0)))?;
        let clear = e as f64 >= ENDPOINT_ERRORS * errors as f64 && (n as f64 / requests as f64) < ENDPOINT_TRAFFIC;
        clear.then(|| self.scene.endpoints.find(&**name)).flatten()
    }
}
