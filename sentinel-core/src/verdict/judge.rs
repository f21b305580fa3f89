//! Combines the windows of one side into one verdict over time: entering, staying and leaving it, and what may be
//! learned meanwhile.
//!
//! ```text
//!  time ─►            │   slot    │   slot    │   slot    │   slot    │   slot    │
//!  bad requests       ········▂▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▁·························
//!  windows find       quiet    │ one_tenant             │ it has stopped: none counts
//!  shown verdict      quiet     │ one_tenant                │ quiet
//!                               ▲ held for 1 s              ▲ held for 4 s
//!  tainted slots      ──────────[█ taint ███████████████████]────────────────────
//!  latch                                                    ├─ windows > 30 s are left out until
//!                                                           │  each is as long as the quiet time
//! ```
//!
//! - **One verdict of five windows**: the shortest window with a definite verdict wins. A longer one replaces it when
//!   it names the same tenants and more. `unclear` counts only when no window is definite.
//! - **NOW** (`keeps_up`): a finding counts only while its culprits keep up their excess in every shorter window. A
//!   long window remembers an incident for minutes after its end.
//! - **Hysteresis** (`show`): a candidate is shown when it has lasted: 1 s for a cause, 4 s for quiet, 9 s for
//!   `unclear`, in stream time.
//! - **Latch**: when a verdict was cleared because the culprits stopped, a window longer than 30 s is not used until as
//!   much time has passed as it is long. Such a window still contains the incident and would name it again at the first
//!   new error.
//! - **Taint** (`taint_open_slot`): slots of an incident stay out of the baseline. One tainted second taints its slot,
//!   and a tainted incident stays tainted until quiet or for two hours. A tenant that always failed like this is not
//!   tainted: one without a history, or with a baseline of more than a third of its present rate. Then the errors are
//!   learned, and the tenant becomes a chronic failer.
//!
//! **Invariant**: `tainted` has a flag for each slot of the baseline's ring, oldest first, and time comes in through
//! `EvaluationTime` only: the same blocks judged at the same times give the same verdicts, on a live clock and in a
//! replay.
//!
//! **Why hysteresis in seconds and not in evaluations?** A process that nobody ticks evaluates at the ends of slots
//! only; counting calls would make it wait for several slots.

use super::decide::{DecisionInputs, JudgedWindow};
use super::learning::Learning;
use super::rules::{
    CHRONIC_ERRORS, CHRONIC_RATIO, COLD_S, Comparison, GATE_NOW, MIN_HISTORY_REQUESTS, MIN_RATE, PRIOR_ERRORS,
    PRIOR_REQUESTS, REST_RATIO, TAINT_AFTER_S, TAINT_MAX_S,
};
use super::{Finding, Kind};
use crate::baseline::horizon::Horizon;
use crate::baseline::lookup::ByNumber;
use crate::baseline::side::Side;
use crate::baseline::slot_counts::Observed;
use crate::baseline::wire::SidePast;
use crate::baseline::{Keys, REST};
use std::collections::VecDeque;
use std::ops::Range;

/// Seconds that a candidate must last after it was first seen, to be shown. With an evaluation each second, 1 s asks
/// for a second look. Quiet waits 4 s, because a culprit with few errors pauses for seconds within an incident;
/// `unclear` waits 9 s, because a cause is often found meanwhile. The measured times to quiet contain these waits.
fn hold_s(kind: Kind) -> f64 {
    match kind {
        Kind::Quiet => 4.0,
        Kind::Unclear => 9.0,
        _ => 1.0,
    }
}
/// Factor by which earlier slots lose weight in the overdispersion with each new slot.
const PHI_DECAY: f64 = 0.99;
/// Most that one slot's Pearson statistic, (observed − expected)² / expected, adds: one extreme slot must not hide the
/// next incident.
const PHI_CAP: f64 = 9.0;
/// Weight, in slots, from which on the overdispersion is used; until then it is 1.
const MIN_PHI_WEIGHT: f64 = 20.0;
/// Seconds that must be learned outside a window before it is judged: as many as it is long, at most these. The
/// shortest judged window is exempt, and so is the latency side.
const MIN_LEARNED_S: f64 = 60.0;

/// Judge of one side.
// Each flag is a separate fact of the rules. One state machine would have to multiply them out.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) side: Side,
    horizon: Horizon,
    /// For each slot of the baseline's ring, oldest first: whether it stays out of the baseline.
    tainted: VecDeque<bool>,
    /// The open slot stays out of the baseline.
    open_tainted: bool,
    /// Untainted seconds so far.
    learned_s: f64,
    /// Untainted seconds that have left the ring, decayed as counts are.
    decayed_s: f64,
    /// Overdispersion of the fleet's bad requests a slot, at least 1.
    phi: f64,
    /// Decayed number of slots in `phi_sum`.
    phi_weight: f64,
    /// Decayed sum of the slots' Pearson statistics.
    phi_sum: f64,
    /// By window: knowledge of the time outside it.
    learning: Vec<Learning>,
    /// The shown verdict.
    pub(crate) shown: Finding,
    /// Stream time at which it was first shown, seconds since the first slot.
    pub(crate) shown_since_s: f64,
    /// The finding that may be shown next.
    candidate: Option<HeldFinding>,
    /// Stream time at which the incident was first evaluated as shown; `None` while quiet.
    incident_since_s: Option<f64>,
    /// Each culprit of this incident had a history of working well. Stays true until quiet.
    culprits_had_history: bool,
    /// The last evaluation rejected a finding because its culprits have stopped.
    stopped: bool,
    /// Stream time at which a verdict was cleared because its culprits stopped; −∞ = never.
    latched_at_s: f64,
    /// The shown verdict still holds in the last ten seconds.
    pub(crate) active: bool,
}

/// A finding that waits to be shown.
#[derive(Debug)]
struct HeldFinding {
    kind: Kind,
    tenants: Vec<u32>,
    /// Stream time at which it was first seen.
    since_s: f64,
}

/// Time of an evaluation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EvaluationTime {
    /// Stream time: seconds since the first slot began.
    pub(crate) now_s: f64,
    /// Seconds of the open slot that have passed: above 0, up to a whole slot.
    pub(crate) open_s: f64,
}

impl Judge {
    pub(crate) fn new(side: Side, horizon: &Horizon) -> Self {
        Self {
            side,
            horizon: horizon.clone(),
            tainted: VecDeque::new(),
            open_tainted: false,
            learned_s: 0.0,
            decayed_s: 0.0,
            phi: 1.0,
            phi_weight: 0.0,
            phi_sum: 0.0,
            learning: vec![Learning::default(); horizon.windows.len()],
            shown: Finding::QUIET,
            shown_since_s: 0.0,
            candidate: None,
            incident_since_s: None,
            culprits_had_history: false,
            stopped: false,
            latched_at_s: f64::NEG_INFINITY,
            active: false,
        }
    }

    /// Knowledge of the time outside window `w`.
    pub(crate) fn learning(&self, w: usize) -> Learning {
        self.learning[w]
    }

    /// Window `w` with everything that is needed to judge it.
    pub(crate) fn judged_window<'a>(
        &'a self,
        inputs: DecisionInputs<'a>,
        w: usize,
        at: EvaluationTime,
    ) -> JudgedWindow<'a> {
        let span_s = at.now_s.min(self.horizon.window_s(w) + at.open_s);
        JudgedWindow { inputs, side: self.side, w, learning: &self.learning[w], phi: self.phi, span_s }
    }

    /// Judges all windows, shows a finding that has lasted long enough, and taints the open slot while an incident is
    /// shown.
    pub(crate) fn evaluate(&mut self, inputs: DecisionInputs<'_>, at: EvaluationTime) {
        let found = self.combine(inputs, at);
        self.show(found, at.now_s);
        self.taint_open_slot(inputs, at);
        self.active = self.shown.kind != Kind::Quiet && self.keeps_up(inputs, &self.shown, at, 0..1);
    }

    /// Finds one verdict of all windows: the shortest definite one, or a longer one that adds tenants to it.
    fn combine(&mut self, inputs: DecisionInputs<'_>, at: EvaluationTime) -> Finding {
        self.stopped = false;
        let (mut unclear, mut definite): (Option<Finding>, Vec<Finding>) = (None, Vec::new());
        for w in 1..self.horizon.windows.len() {
            let seconds = self.horizon.window_s(w);
            let latched = at.now_s - self.latched_at_s < seconds;
            let too_young = self.side == Side::Errors && self.learning[w].learned_s < seconds.min(MIN_LEARNED_S);
            if w > 1 && (latched || too_young) {
                continue;
            }
            let found = self.judged_window(inputs, w, at).decide();
            if found.kind == Kind::Quiet {
                continue;
            }
            if !self.keeps_up(inputs, &found, at, 0..w) {
                self.stopped = true;
            } else if found.kind == Kind::Unclear {
                unclear = unclear.or(Some(found));
            } else if self.rest_normal_in_shorter(inputs, &found, at) {
                definite.push(found);
            }
        }
        let mut definite = definite.into_iter();
        let Some(mut best) = definite.next() else {
            return unclear.unwrap_or(Finding::QUIET);
        };
        for longer in definite {
            let superset =
                longer.tenants.len() > best.tenants.len() && best.tenants.iter().all(|i| longer.tenants.contains(i));
            if superset && !best.tenants.is_empty() {
                best = longer;
            }
        }
        best
    }

    /// The rule NOW: whether each culprit (or the endpoint, or the fleet) keeps up its excess in all of these shorter
    /// windows. With λ bad requests expected there from the excess, and o observed, G tests the lack: 2·(o·ln(o/λ) − (o
    /// − λ)) for o < λ.
    fn keeps_up(&self, inputs: DecisionInputs<'_>, found: &Finding, at: EvaluationTime, shorter: Range<usize>) -> bool {
        let subjects: Vec<Option<u32>> =
            if found.tenants.is_empty() { vec![None] } else { found.tenants.iter().copied().map(Some).collect() };
        subjects.iter().all(|subject| {
            let long = self.judged_window(inputs, found.window, at);
            let excess = Self::excess(&long, found, *subject);
            shorter.clone().all(|s| {
                let short = self.judged_window(inputs, s, at);
                let expected = excess * short.span_s / long.span_s;
                let observed = Self::excess(&short, found, *subject).max(0.0);
                let of_observed = if observed > 0.0 { observed * (observed / expected).ln() } else { 0.0 };
                !(observed < expected && 2.0 * (of_observed - (observed - expected)) >= GATE_NOW)
            })
        })
    }

    /// Bad requests beyond the expected ones in a window: those of a tenant, of the finding's endpoint, or of the
    /// fleet.
    fn excess(judged: &JudgedWindow<'_>, found: &Finding, tenant: Option<u32>) -> f64 {
        let of = |i| {
            let Observed { requests: n, bad: e } = judged.tenant(i);
            if n == 0.0 { 0.0 } else { e - n * judged.rate(i) }
        };
        match (tenant, found.kind, found.endpoint) {
            (Some(i), ..) => of(i),
            (None, Kind::OneEndpoint, Some(i)) => judged.endpoint(i).excess(),
            _ => (0..judged.inputs.tenants.len() as u32).map(of).sum(),
        }
    }

    /// Whether the tenants outside a tenant verdict are normal in every shorter window too; otherwise the
    /// incident has spread to them meanwhile.
    fn rest_normal_in_shorter(&self, inputs: DecisionInputs<'_>, found: &Finding, at: EvaluationTime) -> bool {
        found.tenants.is_empty()
            || (1..found.window).all(|s| {
                let judged = self.judged_window(inputs, s, at);
                let sum = |sums: Comparison, i: u32| {
                    let Observed { requests: n, bad: e } = judged.tenant(i);
                    if n == 0.0 { sums } else { sums.plus(Comparison { e, x: n * judged.rate(i), n }) }
                };
                let all = (0..inputs.tenants.len() as u32).fold(Comparison::default(), sum);
                let own = found.tenants.iter().copied().fold(Comparison::default(), sum);
                let (e, x) = ((all.e - own.e).max(0.0), (all.x - own.x).max(0.0));
                e <= REST_RATIO * x + 2.0 * x.sqrt() + 1.0 + 1e-9
            })
    }

    /// Hysteresis and latch: shows a finding once it has lasted. Another endpoint beside the same tenant does not
    /// restart the wait.
    fn show(&mut self, found: Finding, now_s: f64) {
        let same = found.is_same_as(&self.shown);
        let waits = |candidate: &HeldFinding| candidate.kind == found.kind && candidate.tenants == found.tenants;
        if !same && !self.candidate.as_ref().is_some_and(waits) {
            self.candidate = Some(HeldFinding { kind: found.kind, tenants: found.tenants.clone(), since_s: now_s });
        }
        let lasted = |candidate: &HeldFinding| now_s - candidate.since_s >= hold_s(found.kind) - 1e-6;
        if same || self.candidate.as_ref().is_some_and(lasted) {
            if !same {
                self.shown_since_s = now_s;
                if found.kind == Kind::Quiet && self.stopped {
                    self.latched_at_s = now_s;
                }
            }
            (self.shown, self.candidate) = (found, None);
        }
    }

    /// Keeps the open slot out of the baseline while an incident is shown. A tenant verdict on errors taints only when
    /// each culprit has a history of at most a third of its present rate; otherwise the tenant always failed like this,
    /// and that is learned. Once an incident taints, it does so until quiet.
    fn taint_open_slot(&mut self, inputs: DecisionInputs<'_>, at: EvaluationTime) {
        if self.shown.kind == Kind::Quiet {
            (self.incident_since_s, self.culprits_had_history) = (None, false);
            return;
        }
        let since = *self.incident_since_s.get_or_insert(at.now_s);
        if self.learned_s < TAINT_AFTER_S || at.now_s - since >= TAINT_MAX_S {
            return;
        }
        let known = self.side == Side::Latency || self.culprits_had_history;
        if !self.shown.tenants.is_empty() && !known {
            let judged = self.judged_window(inputs, self.shown.window, at);
            self.culprits_had_history = self.shown.tenants.iter().all(|&i| {
                let (now, base) = (judged.tenant(i), inputs.tenants.base(self.side, self.shown.window, i));
                base.requests >= MIN_HISTORY_REQUESTS
                    && base.bad * now.requests.max(1.0) * 3.0 <= now.bad * base.requests
            });
        }
        self.open_tainted |= self.shown.tenants.is_empty() || known || self.culprits_had_history;
    }

    /// Before the open slot closes: learns the overdispersion of its bad requests, unless `learn_phi` is false because
    /// an inherited baseline contains it. Then adds the slot's tainted flag and returns the flags of the ring, the
    /// closing slot last.
    pub(crate) fn before_close(&mut self, inputs: DecisionInputs<'_>, learn_phi: bool) -> &VecDeque<bool> {
        if !self.open_tainted {
            if learn_phi && self.learned_s >= COLD_S {
                self.learn_overdispersion(inputs);
            }
            self.learned_s += self.horizon.slot_s();
        }
        self.tainted.push_back(std::mem::take(&mut self.open_tainted));
        &self.tainted
    }

    fn learn_overdispersion(&mut self, inputs: DecisionInputs<'_>) {
        let judged = self.judged_window(inputs, 0, EvaluationTime { now_s: 0.0, open_s: 0.0 });
        let (mut x, mut bad) = (0.0, 0.0);
        for (i, tally) in inputs.tenants.in_open() {
            let observed = tally.on(self.side).exact();
            x += observed.requests * judged.own_rate(i);
            bad += observed.bad;
        }
        if x > 0.0 {
            self.phi_weight = self.phi_weight * PHI_DECAY + 1.0;
            self.phi_sum = self.phi_sum * PHI_DECAY + ((bad - x).powi(2) / x).min(PHI_CAP);
            self.phi = phi(self.phi_weight, self.phi_sum);
        }
    }

    /// Tainted flags of the ring's slots, oldest first.
    pub(crate) fn tainted(&self) -> &VecDeque<bool> {
        &self.tainted
    }

    /// After the slot is closed: drops the flag of the slot that left the ring, and computes the normal rate for each
    /// window.
    pub(crate) fn after_close(&mut self, tenants: &Keys<ByNumber>) {
        let learned = self.tainted.len() > self.horizon.ring && self.tainted.pop_front() == Some(false);
        self.decayed_s = self.decayed_s * self.horizon.decay + if learned { self.horizon.slot_s() } else { 0.0 };
        self.update_learning(tenants);
    }

    /// Skips `slots` empty slots, which count as untainted time without errors.
    pub(crate) fn skip(&mut self, slots: u64, tenants: &Keys<ByNumber>) {
        let (seconds, left) = (slots as f64 * self.horizon.slot_s(), self.horizon.decay.powf(slots as f64));
        self.learned_s += seconds;
        self.decayed_s = self.decayed_s * left + self.horizon.slot_s() * (1.0 - left) / (1.0 - self.horizon.decay);
        (self.shown, self.candidate, self.incident_since_s) = (Finding::QUIET, None, None);
        self.update_learning(tenants);
    }

    /// State of the time before the ring, for another process.
    pub(crate) fn past(&self) -> SidePast {
        let in_ring = self.tainted.iter().filter(|tainted| !**tainted).count() as f64 * self.horizon.slot_s();
        let Self { decayed_s, phi_weight, phi_sum, .. } = *self;
        SidePast { learned_s: self.learned_s - in_ring, decayed_s, phi_weight, phi_sum }
    }

    /// Begins with the state of another process, before the first slot.
    pub(crate) fn inherit(&mut self, past: SidePast, tenants: &Keys<ByNumber>) {
        SidePast {
            learned_s: self.learned_s,
            decayed_s: self.decayed_s,
            phi_weight: self.phi_weight,
            phi_sum: self.phi_sum,
        } = past;
        self.phi = phi(self.phi_weight, self.phi_sum);
        self.update_learning(tenants);
    }

    /// Computes normal rate and learned time for each window. The fleet's rate is computed twice: chronic failers by
    /// the first value are left out of the second.
    pub(crate) fn update_learning(&mut self, tenants: &Keys<ByNumber>) {
        let clean = |slots: &mut dyn Iterator<Item = &bool>| {
            slots.filter(|tainted| !**tainted).count() as f64 * self.horizon.slot_s()
        };
        let in_ring = clean(&mut self.tainted.iter());
        let rate = |all: Observed<f64>| ((all.bad + PRIOR_ERRORS) / (all.requests + PRIOR_REQUESTS)).max(MIN_RATE);
        let learning = (0..self.horizon.windows.len()).map(|w| {
            let inside = clean(&mut self.tainted.iter().rev().take(self.horizon.windows[w]));
            let sum = |keep: &dyn Fn(Observed<f64>) -> bool| {
                tenants.bases(self.side, w).filter(|&base| keep(base)).fold(Observed::default(), Observed::<f64>::plus)
            };
            let p0 = rate(sum(&|_| true));
            let usual = sum(&|base| base.bad < CHRONIC_ERRORS || base.bad < CHRONIC_RATIO * p0 * base.requests);
            let (learned_s, decayed_s) = (self.learned_s - inside, self.decayed_s + in_ring - inside);
            Learning { p0: rate(usual), learned_s, decayed_s, learned_total_s: self.learned_s }
        });
        self.learning = learning.collect();
    }

    /// Follows tenants to their new indexes; a tenant that became part of the rest is forgotten.
    pub(crate) fn remap(&mut self, to: &[u32]) {
        let tenants = [&mut self.shown.tenants, &mut self.shown.culprits];
        let candidate = self.candidate.as_mut().map(|candidate| &mut candidate.tenants);
        for tenants in tenants.into_iter().chain(candidate) {
            tenants.iter_mut().for_each(|i| *i = to[*i as usize]);
            tenants.retain(|i| *i != REST);
        }
    }

    /// Follows endpoints to their new indexes.
    pub(crate) fn remap_endpoints(&mut self, to: &[u32]) {
        self.shown.endpoint = self.shown.endpoint.map(|i| to[i as usize]).filter(|i| *i != REST);
    }

    /// Tenants that are named by the shown verdict or the candidate, and so must keep their keys.
    pub(crate) fn named(&self) -> impl Iterator<Item = u32> {
        let candidate = self.candidate.iter().flat_map(|candidate| &candidate.tenants);
        self.shown.tenants.iter().chain(&self.shown.culprits).chain(candidate).copied()
    }
}

/// Overdispersion: mean Pearson statistic of the slots, at least 1; exactly 1 until enough slots are measured.
fn phi(weight: f64, sum: f64) -> f64 {
    if weight > MIN_PHI_WEIGHT { (sum / weight).max(1.0) } else { 1.0 }
}
