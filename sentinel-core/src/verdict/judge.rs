//! COMBINE: one verdict of all windows, for one side; what it takes to enter, to stay and to leave it, and what is learned meanwhile.

use super::decide::{Case, Scene};
use super::learning::Learning;
use super::rules::{
    CHRONIC_ERRORS, CHRONIC_RATIO, COLD_S, GATE_NOW, HISTORY, MIN_RATE, PRIOR_ERRORS, PRIOR_REQUESTS, REST_RATIO, Sums,
    TAINT_AFTER_S, TAINT_MAX_S,
};
use super::{Finding, Kind};
use crate::baseline::horizon::Horizon;
use crate::baseline::lookup::ByNumber;
use crate::baseline::slot_counts::Side;
use crate::baseline::wire::SidePast;
use crate::baseline::{Keys, REST};
use std::collections::VecDeque;
use std::ops::Range;

/// Seconds that a candidate must last after it was first seen, to be shown.
fn hold_s(kind: Kind) -> f64 {
    match kind {
        Kind::Quiet => 4.0,
        Kind::Unclear => 9.0,
        _ => 1.0,
    }
}
/// A slot adds this much of the old overdispersion; a squared deviation above nine times the expected counts as that.
const PHI_DECAY: f64 = 0.99;
const PHI_CAP: f64 = 9.0;
const PHI_WEIGHT: f64 = 20.0;
/// Windows longer than this need as many untainted seconds outside them before they are judged.
const YOUNG_S: f64 = 60.0;

// Each flag is a separate fact of the rules; a state machine of them would hide which.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) side: Side,
    horizon: Horizon,
    /// The ring's slots, oldest first: in an incident that must not become normal.
    tainted: VecDeque<bool>,
    open_tainted: bool,
    learned_s: f64,
    clock_s: f64,
    phi: f64,
    phi_weight: f64,
    phi_sum: f64,
    learning: Vec<Learning>,
    pub(crate) shown: Finding,
    pub(crate) shown_since_s: f64,
    candidate: Option<(Kind, Vec<u32>)>,
    candidate_since_s: f64,
    incident_since_s: Option<f64>,
    had_history: bool,
    stopped: bool,
    cleared_s: f64,
    /// What is shown is still so in the last ten seconds.
    pub(crate) active: bool,
}

/// When an evaluation happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Seconds since the first slot began.
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
            clock_s: 0.0,
            phi: 1.0,
            phi_weight: 0.0,
            phi_sum: 0.0,
            learning: vec![Learning::default(); horizon.windows.len()],
            shown: Finding::QUIET,
            shown_since_s: 0.0,
            candidate: None,
            candidate_since_s: 0.0,
            incident_since_s: None,
            had_history: false,
            stopped: false,
            cleared_s: f64::NEG_INFINITY,
            active: false,
        }
    }

    pub(crate) fn learning(&self, w: usize) -> Learning {
        self.learning[w]
    }

    pub(crate) fn case<'a>(&'a self, scene: Scene<'a>, w: usize, at: Moment) -> Case<'a> {
        let span = at.now_s.min(self.horizon.window_s(w) + at.open_s);
        Case { scene, side: self.side, w, learning: &self.learning[w], phi: self.phi, span }
    }

    /// Judges all windows at this moment and shows what has lasted.
    pub(crate) fn evaluate(&mut self, scene: Scene<'_>, at: Moment) {
        let found = self.combine(scene, at);
        self.show(found, at.now_s);
        self.taint(scene, at);
        self.active = self.shown.kind != Kind::Quiet && self.keeps_up(scene, &self.shown, at, 0..1);
    }

    fn combine(&mut self, scene: Scene<'_>, at: Moment) -> Finding {
        self.stopped = false;
        let (mut unclear, mut definite): (Option<Finding>, Vec<Finding>) = (None, Vec::new());
        for w in 1..self.horizon.windows.len() {
            let seconds = self.horizon.window_s(w);
            let latched = at.now_s - self.cleared_s < seconds;
            let too_young = self.side == Side::Errors && self.learning[w].learned_s < seconds.min(YOUNG_S);
            if w > 1 && (latched || too_young) {
                continue;
            }
            let found = self.case(scene, w, at).decide();
            if found.kind == Kind::Quiet {
                continue;
            }
            if !self.keeps_up(scene, &found, at, 0..w) {
                self.stopped = true;
            } else if found.kind == Kind::Unclear {
                unclear = unclear.or(Some(found));
            } else if self.rest_normal_in_shorter(scene, &found, at) {
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

    /// NOW: in these shorter windows each culprit (or the endpoint, or the fleet) keeps up its excess.
    fn keeps_up(&self, scene: Scene<'_>, found: &Finding, at: Moment, shorter: Range<usize>) -> bool {
        let subjects: Vec<Option<u32>> =
            if found.tenants.is_empty() { vec![None] } else { found.tenants.iter().copied().map(Some).collect() };
        subjects.iter().all(|subject| {
            let long = self.case(scene, found.window, at);
            let excess = Self::excess(&long, found, *subject);
            shorter.clone().all(|s| {
                let short = self.case(scene, s, at);
                let expected = excess * short.span / long.span;
                let observed = Self::excess(&short, found, *subject).max(0.0);
                let of_observed = if observed > 0.0 { observed * (observed / expected).ln() } else { 0.0 };
                !(observed < expected && 2.0 * (of_observed - (observed - expected)) >= GATE_NOW)
            })
        })
    }

    /// Bad requests beyond the expected ones: of a tenant, of the finding's endpoint, or of the fleet.
    fn excess(case: &Case<'_>, found: &Finding, tenant: Option<u32>) -> f64 {
        let of = |i| {
            let (n, e) = case.tenant(i);
            if n == 0.0 { 0.0 } else { e - n * case.rate(i) }
        };
        match (tenant, found.kind, found.endpoint) {
            (Some(i), ..) => of(i),
            (None, Kind::OneEndpoint, Some(i)) => {
                let sums = case.endpoint(i);
                sums.e - sums.x
            }
            _ => (0..case.scene.tenants.len() as u32).map(of).sum(),
        }
    }

    /// A tenant verdict of a long window needs a normal rest in every shorter one too.
    fn rest_normal_in_shorter(&self, scene: Scene<'_>, found: &Finding, at: Moment) -> bool {
        found.tenants.is_empty()
            || (1..found.window).all(|s| {
                let case = self.case(scene, s, at);
                let sum = |sums: Sums, i: u32| {
                    let (n, e) = case.tenant(i);
                    if n == 0.0 { sums } else { Sums { e: sums.e + e, x: sums.x + n * case.rate(i), n: sums.n + n } }
                };
                let all = (0..scene.tenants.len() as u32).fold(Sums::default(), sum);
                let own = found.tenants.iter().copied().fold(Sums::default(), sum);
                let (e, x) = ((all.e - own.e).max(0.0), (all.x - own.x).max(0.0));
                e <= REST_RATIO * x + 2.0 * x.sqrt() + 1.0 + 1e-9
            })
    }

    /// Hysteresis and latch: shows a finding once it has lasted. Another endpoint attribute does not start the wait anew.
    fn show(&mut self, found: Finding, now_s: f64) {
        let same = found.is_same_as(&self.shown);
        let identity = (found.kind, found.tenants.clone());
        if !same && self.candidate.as_ref() != Some(&identity) {
            (self.candidate, self.candidate_since_s) = (Some(identity), now_s);
        }
        if same || now_s - self.candidate_since_s >= hold_s(found.kind) - 1e-6 {
            if !same {
                self.shown_since_s = now_s;
                if found.kind == Kind::Quiet && self.stopped {
                    self.cleared_s = now_s;
                }
            }
            (self.shown, self.candidate) = (found, None);
        }
    }

    /// Keeps the open slot out of the baseline while an incident is shown that is not "always like this": each culprit of a
    /// tenant verdict was known and failed at most a third as often. Once so, it stays so until quiet.
    fn taint(&mut self, scene: Scene<'_>, at: Moment) {
        if self.shown.kind == Kind::Quiet {
            (self.incident_since_s, self.had_history) = (None, false);
            return;
        }
        let since = *self.incident_since_s.get_or_insert(at.now_s);
        if self.learned_s < TAINT_AFTER_S || at.now_s - since >= TAINT_MAX_S {
            return;
        }
        let known = self.side == Side::Latency || self.had_history;
        if !self.shown.tenants.is_empty() && !known {
            let case = self.case(scene, self.shown.window, at);
            self.had_history = self.shown.tenants.iter().all(|&i| {
                let ((n, e), (base_n, base_e)) = (case.tenant(i), scene.tenants.base(self.side, self.shown.window, i));
                base_n >= HISTORY && base_e * n.max(1.0) * 3.0 <= e * base_n
            });
        }
        self.open_tainted |= self.shown.tenants.is_empty() || known || self.had_history;
    }

    /// Before the open slot closes: learns how far the fleet's bad requests of a slot stray from what was expected.
    /// Then says which slots of the ring are tainted, the closing one last.
    /// `strays` is false where that is known already.
    pub(crate) fn closing(&mut self, scene: Scene<'_>, strays: bool) -> &VecDeque<bool> {
        if !self.open_tainted {
            if strays && self.learned_s >= COLD_S {
                self.learn_phi(scene);
            }
            self.learned_s += self.horizon.slot_s();
        }
        self.tainted.push_back(std::mem::take(&mut self.open_tainted));
        &self.tainted
    }

    fn learn_phi(&mut self, scene: Scene<'_>) {
        let case = self.case(scene, 0, Moment { now_s: 0.0, open_s: 0.0 });
        let (mut x, mut bad) = (0.0, 0.0);
        for (i, tally) in scene.tenants.in_open() {
            x += f64::from(tally.n) * case.own_rate(i);
            bad += f64::from(tally.bad(self.side));
        }
        if x > 0.0 {
            self.phi_weight = self.phi_weight * PHI_DECAY + 1.0;
            self.phi_sum = self.phi_sum * PHI_DECAY + ((bad - x).powi(2) / x).min(PHI_CAP);
            self.phi = phi(self.phi_weight, self.phi_sum);
        }
    }

    /// The slots of the ring that are tainted, oldest first.
    pub(crate) fn tainted(&self) -> &VecDeque<bool> {
        &self.tainted
    }

    /// After the slot is closed: lets go of the oldest, and computes what is normal for each window.
    pub(crate) fn closed(&mut self, tenants: &Keys<ByNumber>) {
        let learned = self.tainted.len() > self.horizon.ring && self.tainted.pop_front() == Some(false);
        self.clock_s = self.clock_s * self.horizon.decay + if learned { self.horizon.slot_s() } else { 0.0 };
        self.learn(tenants);
    }

    /// Skips `slots` empty slots: nothing happened, and that is learned.
    pub(crate) fn skip(&mut self, slots: u64, tenants: &Keys<ByNumber>) {
        let (seconds, left) = (slots as f64 * self.horizon.slot_s(), self.horizon.decay.powf(slots as f64));
        self.learned_s += seconds;
        self.clock_s = self.clock_s * left + self.horizon.slot_s() * (1.0 - left) / (1.0 - self.horizon.decay);
        (self.shown, self.candidate, self.incident_since_s) = (Finding::QUIET, None, None);
        self.learn(tenants);
    }

    /// What it knows of the time before the ring, for another process.
    pub(crate) fn past(&self) -> SidePast {
        let in_ring = self.tainted.iter().filter(|tainted| !**tainted).count() as f64 * self.horizon.slot_s();
        let Self { clock_s, phi_weight, phi_sum, .. } = *self;
        SidePast { learned_s: self.learned_s - in_ring, clock_s, phi_weight, phi_sum }
    }

    /// Takes what another process knew, before the first slot.
    pub(crate) fn inherit(&mut self, past: SidePast, tenants: &Keys<ByNumber>) {
        SidePast {
            learned_s: self.learned_s,
            clock_s: self.clock_s,
            phi_weight: self.phi_weight,
            phi_sum: self.phi_sum,
        } = past;
        self.phi = phi(self.phi_weight, self.phi_sum);
        self.learn(tenants);
    }

    pub(crate) fn learn(&mut self, tenants: &Keys<ByNumber>) {
        let clean = |slots: &mut dyn Iterator<Item = &bool>| {
            slots.filter(|tainted| !**tainted).count() as f64 * self.horizon.slot_s()
        };
        let in_ring = clean(&mut self.tainted.iter());
        let rate = |n: f64, e: f64| ((e + PRIOR_ERRORS) / (n + PRIOR_REQUESTS)).max(MIN_RATE);
        let learning = (0..self.horizon.windows.len()).map(|w| {
            let inside = clean(&mut self.tainted.iter().rev().take(self.horizon.windows[w]));
            let sum = |keep: &dyn Fn(f64, f64) -> bool| {
                let bases = tenants.bases(self.side, w);
                bases.filter(|&(n, e)| keep(n, e)).fold((0.0, 0.0), |(n, e), (own_n, own_e)| (n + own_n, e + own_e))
            };
            let (n, e) = sum(&|_, _| true);
            let p0 = rate(n, e);
            let (n, e) = sum(&|n, e| e < CHRONIC_ERRORS || e < CHRONIC_RATIO * p0 * n);
            let (learned_s, clock_s) = (self.learned_s - inside, self.clock_s + in_ring - inside);
            Learning { p0: rate(n, e), learned_s, clock_s, learned_total_s: self.learned_s }
        });
        self.learning = learning.collect();
    }

    /// Keys of tenants have moved; who has become one of the rest is not remembered.
    pub(crate) fn remap(&mut self, to: &[u32]) {
        let tenants = [&mut self.shown.tenants, &mut self.shown.culprits];
        let candidate = self.candidate.as_mut().map(|(_, tenants)| tenants);
        for tenants in tenants.into_iter().chain(candidate) {
            tenants.iter_mut().for_each(|i| *i = to[*i as usize]);
            tenants.retain(|i| *i != REST);
        }
    }

    /// Keys of endpoints have moved.
    pub(crate) fn remap_endpoints(&mut self, to: &[u32]) {
        self.shown.endpoint = self.shown.endpoint.map(|i| to[i as usize]).filter(|i| *i != REST);
    }

    /// Tenants that must keep their keys.
    pub(crate) fn named(&self) -> impl Iterator<Item = u32> {
        let candidate = self.candidate.iter().flat_map(|(_, tenants)| tenants);
        self.shown.tenants.iter().chain(&self.shown.culprits).chain(candidate).copied()
    }
}

/// Overdispersion, once enough slots have shown it.
fn phi(weight: f64, sum: f64) -> f64 {
    if weight > PHI_WEIGHT { (sum / weight).max(1.0) } else { 1.0 }
}
