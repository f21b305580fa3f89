//! Drives both judges through slots and seconds, and turns their findings into verdicts.
//!
//! ```text
//!  each second:          observe(open blocks)  ─► counts of the open slot, anew
//!                        evaluate(now)         ─► both judges judge all windows
//!  at the end of a slot: observe, evaluate(end of the slot), then close
//!                                              ─► judges: overdispersion, tainted flag
//!                                              ─► keys: the slot enters the ring, another leaves it
//!                                              ─► latencies of the slot that became a minute old are learned
//!                                              ─► judges: normal rates of all windows anew
//!  late blocks:          amend(closed slot)    ─► counts of that slot, in windows or baseline
//!  a long silence:       skip_to(slot)         ─► the same as closing empty slots, in closed form
//! ```
//!
//! **Invariants.** `slot` is the open slot, and all slots before it are closed in the baselines. The last evaluation of
//! a slot is the one at its end. Keys are visited in the order of their indexes, and new keys are added in the order of
//! their ids, so that sums of floating-point numbers are the same in every process with the same blocks.
//!
//! **Why count blocks again, instead of requests as they come?** Blocks of other processes arrive as cumulative
//! snapshots. Counting blocks treats the own process and the others alike, and `record` stays free of it.

use super::counting::Admitted;
use super::decide::DecisionInputs;
use super::judge::{EvaluationTime, Judge};
use super::sentence::{SentenceFacts, sentence};
use super::{Finding, Kind, Verdict};
use crate::baseline::horizon::Horizon;
use crate::baseline::latency_tails::{halves_of, tail_threshold};
use crate::baseline::lookup::{ByName, ByNumber};
use crate::baseline::side::{BySide, Side};
use crate::baseline::{Amendment, Keys, REST};
use crate::block::dictionary::{Dictionary, NOBODY};
use crate::block::packed::Packed;
use crate::event::tenant::{UNATTRIBUTED, shown};
use crate::slot::histogram::{HALVES, last_bucket_of};
use crate::slot::table::SlowLine;
use crate::util::grid::Grid;
use crate::window::Window;
use ahash::RandomState;
use std::sync::Arc;

/// Settings of a fleet's judges.
#[derive(Debug, Clone)]
pub(crate) struct FleetSettings {
    pub(crate) grid: Grid,
    /// Bytes that the judges may take; when memory runs out, the lightest tenants join the rest.
    pub(crate) budget: usize,
    /// Name of the counted errors: `5xx`.
    pub(crate) errors: String,
    /// Bucket above which a latency is slow; `None` = the fleet's own tail threshold.
    pub(crate) slow_after: Option<u16>,
    pub(crate) hasher: RandomState,
}

/// Both judges, and the counts and baselines of all tenants and endpoints.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(super) settings: FleetSettings,
    pub(super) horizon: Horizon,
    pub(super) tenants: Keys<ByNumber>,
    pub(super) endpoints: Keys<ByName>,
    pub(super) errors: Judge,
    pub(super) latency: Judge,
    /// Start of the first slot, Unix ms: stream time 0.
    origin_ms: i64,
    /// Number of the open slot.
    pub(super) slot: i64,
    /// Time of the last evaluation, Unix ms.
    evaluated_ms: i64,
    /// Tenants that lost their key and joined the rest, so far.
    pub(super) tenants_dropped: u64,
    /// First slot in which newcomers are admitted without a limit again.
    pub(super) crowded_until: i64,
    pub(super) admitted: Admitted,
    /// First slot whose latencies this process learns itself; earlier ones are in the inherited baseline.
    pub(super) first_own_latency_slot: i64,
    /// First slot whose overdispersion this process learns itself.
    pub(super) first_own_phi_slot: i64,
}

/// Seconds outside a window from which on the normal rates for it count as known.
pub(super) const KNOWN_BASELINE_S: f64 = 60.0;
/// Shortest time between two evaluations, ms. Ticks come about once a second; a shorter gap would only repeat the work.
const MIN_EVALUATION_GAP_MS: i64 = 500;

impl Fleet {
    /// Begins with slot `slot` and no baseline.
    pub(crate) fn new(settings: FleetSettings, slot: i64) -> Self {
        let horizon = Horizon::new(settings.grid.slot_ms, settings.grid.slots);
        let tenants = Keys::new(&horizon, NOBODY, ByNumber::default());
        let endpoints = Keys::new(&horizon, Arc::from(""), ByName::new(settings.hasher.clone()));
        let (mut errors, mut latency) = (Judge::new(Side::Errors, &horizon), Judge::new(Side::Latency, &horizon));
        errors.update_learning(&tenants);
        latency.update_learning(&tenants);
        let origin_ms = settings.grid.start_of(slot);
        Self {
            settings,
            horizon,
            tenants,
            endpoints,
            errors,
            latency,
            origin_ms,
            slot,
            evaluated_ms: origin_ms,
            tenants_dropped: 0,
            crowded_until: i64::MIN,
            admitted: Admitted { slot: i64::MIN, tenants: 0 },
            first_own_latency_slot: i64::MIN,
            first_own_phi_slot: i64::MIN,
        }
    }

    /// Number of the open slot.
    pub(crate) fn slot(&self) -> i64 {
        self.slot
    }

    /// Tenants that lost their key for memory, so far.
    pub(crate) fn tenants_dropped(&self) -> u64 {
        self.tenants_dropped
    }

    /// Whether half a second has passed since the last evaluation.
    pub(crate) fn is_due(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.evaluated_ms) >= MIN_EVALUATION_GAP_MS
    }

    /// Counts the blocks of the open slot anew, one for each source.
    pub(crate) fn observe(&mut self, open: &[&Packed], ids: &mut Dictionary) {
        self.tenants.clear_open();
        self.endpoints.clear_open();
        for block in open {
            let (tenants, endpoints) = self.count(block, ids);
            self.tenants.add_open(block.summary.source, tenants);
            self.endpoints.add_open(block.summary.source, endpoints);
        }
    }

    /// Amends a closed slot: adds late events, or replaces a source's counts by those of its newer snapshot.
    pub(crate) fn amend(&mut self, slot: i64, block: &Packed, amendment: Amendment, ids: &mut Dictionary) {
        let Ok(back) = usize::try_from(self.slot.saturating_sub(1).saturating_sub(slot)) else {
            return;
        };
        let at = |judge: &Judge| judge.tainted().iter().rev().nth(back).copied();
        let (Some(errors), Some(latency)) = (at(&self.errors), at(&self.latency)) else {
            return;
        };
        let tainted = BySide { errors, latency };
        let (tenants, endpoints) = self.count(block, ids);
        self.tenants.amend(back, tainted, block.summary.source, tenants, amendment);
        self.endpoints.amend(back, tainted, block.summary.source, endpoints, amendment);
        self.shrink(ids);
    }

    /// Judges as of `now_ms`, within the open slot or at its end.
    pub(crate) fn evaluate(&mut self, now_ms: i64, window: &Window, open: &[&Packed], ids: &Dictionary) {
        if now_ms <= self.evaluated_ms {
            return;
        }
        self.evaluated_ms = now_ms;
        let (tenants, endpoints, slot) = (&self.tenants, &self.endpoints, self.slot);
        let unattributed = self.unattributed(ids);
        let inputs = DecisionInputs { tenants, endpoints, unattributed, window, ids, slot, open };
        let at = self.evaluation_time();
        self.errors.evaluate(inputs, at);
        self.latency.evaluate(inputs, at);
    }

    pub(super) fn unattributed(&self, ids: &Dictionary) -> Option<u32> {
        self.tenants.find(&ids.find(UNATTRIBUTED)?)
    }

    /// Stream time of the last evaluation.
    pub(super) fn evaluation_time(&self) -> EvaluationTime {
        let seconds = |ms: i64| ms as f64 / 1_000.0;
        let open_ms = self.evaluated_ms - self.settings.grid.start_of(self.slot);
        EvaluationTime {
            now_s: seconds(self.evaluated_ms.saturating_sub(self.origin_ms)),
            open_s: seconds(open_ms.clamp(0, self.horizon.slot_ms)),
        }
    }

    /// Closes the open slot, whose block is not in the window yet, and learns the latencies of the slot that became a
    /// minute old.
    pub(crate) fn close(&mut self, window: &Window, open: &[&Packed], ids: &mut Dictionary) {
        let (tenants, endpoints, slot) = (&self.tenants, &self.endpoints, self.slot);
        let inputs = DecisionInputs { tenants, endpoints, unattributed: None, window, ids, slot, open };
        let learn_phi = slot >= self.first_own_phi_slot;
        self.errors.before_close(inputs, learn_phi);
        self.latency.before_close(inputs, learn_phi);
        let tainted = BySide { errors: self.errors.tainted(), latency: self.latency.tainted() };
        self.tenants.close(tainted);
        self.endpoints.close(tainted);
        let age = self.horizon.tail_age();
        if tainted.latency.iter().rev().nth(age) == Some(&false)
            && self.slot - age as i64 >= self.first_own_latency_slot
        {
            self.learn_tails(window, self.slot - age as i64, ids);
        }
        self.errors.after_close(&self.tenants);
        self.latency.after_close(&self.tenants);
        self.slot += 1;
        self.shrink(ids);
    }

    fn learn_tails(&mut self, window: &Window, slot: i64, ids: &mut Dictionary) {
        // Cells of all rows one after another, and for each row its key and its range among them.
        let (mut cells, mut halves, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for block in window.of_slot(slot) {
            self.admit(block, ids);
            for row in block.rows.iter() {
                halves_of(row.latency(), &mut halves);
                rows.push((self.tenants.find(&row.number).unwrap_or(REST), cells.len(), cells.len() + halves.len()));
                cells.extend_from_slice(&halves);
            }
        }
        // In the order of the keys, so that sums are the same in every process.
        rows.sort_by_key(|(i, ..)| *i);
        self.tenants.learn_tails(rows.iter().map(|&(i, from, to)| (i, &cells[from..to])));
        let rows: Vec<_> = window
            .of_slot(slot)
            .flat_map(|block| &block.summary.endpoints)
            .map(|row| (self.endpoints.index_of(&row.name), &row.halves[..]))
            .collect();
        self.endpoints.learn_tails(rows.into_iter());
    }

    /// Approximate bytes of memory of all counts and baselines.
    pub(crate) fn weight(&self) -> usize {
        self.tenants.weight() + self.endpoints.weight()
    }

    /// Skips the empty slots of a long silence. The ring must be empty of counts, see [`Fleet::memory`].
    pub(crate) fn skip_to(&mut self, slot: i64) {
        let skipped = slot.saturating_sub(self.slot).max(0) as u64;
        self.tenants.skip(skipped);
        self.endpoints.skip(skipped);
        self.errors.skip(skipped, &self.tenants);
        self.latency.skip(skipped, &self.tenants);
        self.slot = slot;
        self.evaluated_ms = self.evaluated_ms.max(self.settings.grid.start_of(slot));
    }

    /// Number of empty closed slots after which neither the ring nor a latency that is still to be learned holds a
    /// request.
    pub(crate) fn memory(&self) -> i64 {
        self.horizon.ring as i64 + self.horizon.tail_age() as i64 + 2
    }

    /// Slow line for new tables: the fleet's, and that of each endpoint. `names` are the endpoints by their number.
    pub(crate) fn slow_line(&mut self, names: &[Arc<str>]) -> SlowLine {
        let fleet = self
            .settings
            .slow_after
            .or_else(|| self.tenants.fleet_tail().map(|tail| last_bucket_of(tail_threshold(tail))));
        let line = |name: &Arc<str>| match self.endpoints.find(&**name) {
            Some(i) => self.endpoints.tail_threshold(i),
            None => HALVES as u8,
        };
        SlowLine { fleet: fleet.unwrap_or(SlowLine::default().fleet), endpoints: names.iter().map(line).collect() }
    }

    /// The shown verdict of a side.
    pub(crate) fn verdict(&self, side: Side, ids: &Dictionary) -> Verdict {
        let (judge, name) = match side {
            Side::Errors => (&self.errors, self.settings.errors.as_str()),
            Side::Latency => (&self.latency, "slow requests"),
        };
        let found = &judge.shown;
        if found.kind == Kind::Quiet {
            return Verdict::quiet(name, side == Side::Latency);
        }
        self.to_verdict(found, judge, name, ids)
    }

    /// Turns a finding into a verdict: ids for indexes, shares and rates, and the sentence.
    fn to_verdict(&self, found: &Finding, judge: &Judge, name: &str, ids: &Dictionary) -> Verdict {
        let (group, all) = (found.group, found.all);
        // Culprits come ordered by excess; the tenants of a verdict are the first of them.
        let named = found.culprits.iter().filter(|i| found.tenants.contains(i));
        let tenants: Vec<String> = named.map(|&i| shown(ids.id(*self.tenants.key(i)))).collect();
        let endpoint = found.endpoint.map(|i| shown(self.endpoints.key(i).as_bytes()));
        let has_group = !matches!(found.kind, Kind::Unclear);
        let rest_n = all.n - group.n;
        let (rate_without, rate_normal) = match found.kind {
            Kind::Everyone | Kind::Unclear => (all.e / all.n, all.x / all.n),
            _ => ((all.e - group.e) / rest_n, (all.x - group.x) / rest_n),
        };
        let number = |value: f64| value.is_finite().then_some(value);
        let mut verdict = Verdict {
            kind: found.kind,
            tenants,
            endpoint,
            window_ms: Some((self.horizon.window_s(found.window) * 1_000.0) as u64),
            share: has_group.then_some(group.e / all.e),
            excess_share: found.excess_share,
            errors: Some(if has_group { group.e } else { all.e } as u64),
            of: Some(all.e as u64),
            rate_without: number(rate_without),
            rate_normal: number(rate_normal),
            since_ms: Some(self.origin_ms + (judge.shown_since_s * 1_000.0).round() as i64),
            active: judge.active,
            text: String::new(),
            slow: judge.side == Side::Latency,
            cold: judge.learning(found.window).learned_s < KNOWN_BASELINE_S,
        };
        verdict.text = sentence(&verdict, &SentenceFacts { errors: name, requests: all.n as u64 });
        verdict
    }
}
