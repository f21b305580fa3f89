//! Drives both judges: takes what each slot holds, asks for a verdict once a second, closes slots, follows late blocks.

use super::decide::{Case, Scene};
use super::judge::{Judge, Moment};
use super::sentence::{Evidence, sentence};
use super::{Finding, Kind, Verdict};
use crate::baseline::horizon::Horizon;
use crate::baseline::latency_tails::{first_line, halves_of};
use crate::baseline::lookup::{ByName, ByNumber};
use crate::baseline::slot_counts::{Side, Tally};
use crate::baseline::{Keys, REST};
use crate::block::dictionary::{Dictionary, NOBODY, Number};
use crate::block::packed::Packed;
use crate::block::summary::MAX_ENDPOINTS;
use crate::event::tenant::{UNATTRIBUTED, shown};
use crate::slot::histogram::{HALVES, count_above_of, half_lower_us, last_bucket_of};
use crate::slot::table::SlowLine;
use crate::slot::weights::WEIGHTS;
use crate::util::grid::Grid;
use crate::window::Window;
use ahash::RandomState;
use std::sync::Arc;

/// What a fleet is made with.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) grid: Grid,
    /// Bytes that the judges may take; beyond it, the tenants who weigh least join the rest.
    pub(crate) budget: usize,
    /// What the errors are called: `5xx`.
    pub(crate) errors: String,
    /// Slower than this is slow, in buckets; `None` = what 5 % of the fleet's requests exceed.
    pub(crate) slow_after: Option<u16>,
    pub(crate) hasher: RandomState,
}

#[derive(Debug)]
pub(crate) struct Fleet {
    pub(super) setup: Setup,
    pub(super) horizon: Horizon,
    pub(super) tenants: Keys<ByNumber>,
    pub(super) endpoints: Keys<ByName>,
    pub(super) errors: Judge,
    pub(super) latency: Judge,
    /// Start of the first slot, Unix ms: evaluations count from here.
    origin_ms: i64,
    /// The slot that is open.
    pub(super) slot: i64,
    evaluated_ms: i64,
    /// Tenants that have become one of the rest.
    let_go: u64,
    /// Slots before this one follow one that had too many tenants.
    crowded_until: i64,
    /// Those that came since, in which slot.
    admitted: (i64, usize),
    /// Latencies of slots before this one were inherited, and how much errors stray of slots before that one.
    pub(super) latencies_until: i64,
    pub(super) strays_until: i64,
}

/// Bytes that a tenant takes at least, as long as it is in no slot.
const KEY_BYTES: usize = 600;
/// Shortest time between two evaluations. Ticks come once a second, give or take.
const BEAT_MS: i64 = 500;

impl Fleet {
    /// A fleet that begins with slot `slot`.
    pub(crate) fn new(setup: Setup, slot: i64) -> Self {
        let horizon = Horizon::new(setup.grid.slot_ms, setup.grid.slots);
        let tenants = Keys::new(&horizon, NOBODY, ByNumber::default());
        let endpoints = Keys::new(&horizon, Arc::from(""), ByName::new(setup.hasher.clone()));
        let (mut errors, mut latency) = (Judge::new(Side::Errors, &horizon), Judge::new(Side::Latency, &horizon));
        errors.learn(&tenants);
        latency.learn(&tenants);
        let origin_ms = setup.grid.start_of(slot);
        Self {
            setup,
            horizon,
            tenants,
            endpoints,
            errors,
            latency,
            origin_ms,
            slot,
            evaluated_ms: origin_ms,
            let_go: 0,
            crowded_until: i64::MIN,
            admitted: (i64::MIN, 0),
            latencies_until: i64::MIN,
            strays_until: i64::MIN,
        }
    }

    pub(crate) fn slot(&self) -> i64 {
        self.slot
    }

    pub(crate) fn let_go(&self) -> u64 {
        self.let_go
    }

    /// Is it time to judge again?
    pub(crate) fn is_due(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.evaluated_ms) >= BEAT_MS
    }

    /// Takes the open slot's counts, of each source, in place of what it knew of it.
    pub(crate) fn observe(&mut self, open: &[&Packed], ids: &mut Dictionary) {
        self.tenants.clear_open();
        self.endpoints.clear_open();
        for block in open {
            let (tenants, endpoints) = self.tallies(block, ids);
            self.tenants.add_open(block.head.source, tenants);
            self.endpoints.add_open(block.head.source, endpoints);
        }
    }

    /// A closed slot has changed: late events are added, or (`replace`) a newer snapshot takes its source's place.
    pub(crate) fn amend(&mut self, slot: i64, block: &Packed, replace: bool, ids: &mut Dictionary) {
        let Ok(back) = usize::try_from(self.slot.saturating_sub(1).saturating_sub(slot)) else {
            return;
        };
        let at = |judge: &Judge| judge.tainted().iter().rev().nth(back).copied();
        let (Some(errors), Some(latency)) = (at(&self.errors), at(&self.latency)) else {
            return;
        };
        let (tenants, endpoints) = self.tallies(block, ids);
        self.tenants.amend(back, [errors, latency], block.head.source, tenants, replace);
        self.endpoints.amend(back, [errors, latency], block.head.source, endpoints, replace);
        self.shrink(ids);
    }

    /// What the judges count of a block: tenants, and endpoints.
    fn tallies(&mut self, block: &Packed, ids: &mut Dictionary) -> (Tallies, Tallies) {
        self.meet(block, ids);
        let (mut tenants, mut endpoints) = (Vec::with_capacity(block.rows.len() + 1), Vec::new());
        for row in block.rows.iter() {
            let i = self.tenants.find(&row.number).unwrap_or(REST);
            let line = self.tenants.line(i);
            // Nothing is above the last half.
            let slow =
                if usize::from(line) < HALVES - 1 { count_above_of(row.latency(), last_bucket_of(line)) } else { 0 };
            let [n, e, s] = [row.sums.counts[0], row.sums.counts[1], slow].map(clamped);
            tenants.push((i, Tally { n, e, s }));
        }
        if block.head.tail[0] > 0 {
            let [n, e, s] = block.head.tail.map(clamped);
            tenants.push((REST, Tally { n, e, s }));
        }
        for row in &block.head.endpoints {
            let i = self.endpoints.index_of(&row.name);
            endpoints.push((i, tally(row.counts, &row.halves, self.endpoints.line(i))));
        }
        (tenants, endpoints)
    }

    /// Gives keys to tenants that have none. Where there is room for some only, those with errors come first, then the slow
    /// ones; the others are part of the rest until there is. In the order of their ids: sums over keys are the same in
    /// every process.
    fn meet(&mut self, block: &Packed, ids: &mut Dictionary) {
        let unknown = block.rows.iter().filter(|row| self.tenants.find(&row.number).is_none());
        let mut unknown: Vec<([u32; WEIGHTS], Number)> =
            unknown.map(|row| (row.sums.counts.map(clamped), row.number)).collect();
        if unknown.is_empty() {
            return;
        }
        let budget = self.setup.budget;
        let mut room = budget.saturating_sub(self.weight()) / KEY_BYTES;
        if self.slot < self.crowded_until {
            // Once they have not fitted, few may come in a slot: who comes once would push out who comes again, each time.
            if self.admitted.0 != self.slot {
                self.admitted = (self.slot, 0);
            }
            room = room.min((budget / 8 / KEY_BYTES).saturating_sub(self.admitted.1));
            self.admitted.1 += room.min(unknown.len());
        }
        if unknown.len() > room {
            unknown.sort_unstable_by_key(|&([n, e, s], number)| std::cmp::Reverse(([e, s, n], number)));
            unknown.truncate(room);
        }
        // The beginnings of the ids decide, as a rule.
        let beginning =
            |id: &[u8]| id.iter().take(8).enumerate().fold(0, |word, (i, &b)| word | u64::from(b) << (56 - 8 * i));
        let mut unknown: Vec<(u64, Number)> =
            unknown.into_iter().map(|(_, number)| (beginning(ids.id(number)), number)).collect();
        unknown.sort_unstable_by(|(a, i), (b, j)| a.cmp(b).then_with(|| ids.id(*i).cmp(ids.id(*j))));
        for (_, number) in unknown {
            ids.retain(number);
            self.tenants.index_of(&number);
        }
    }

    /// Judges as of `now_ms`, within the open slot or at its end.
    pub(crate) fn evaluate(&mut self, now_ms: i64, window: &Window, open: &[&Packed], ids: &Dictionary) {
        if now_ms <= self.evaluated_ms {
            return;
        }
        self.evaluated_ms = now_ms;
        let (tenants, endpoints, slot) = (&self.tenants, &self.endpoints, self.slot);
        let unattributed = self.unattributed(ids);
        let scene = Scene { tenants, endpoints, unattributed, window, ids, slot, open };
        let at = self.moment();
        self.errors.evaluate(scene, at);
        self.latency.evaluate(scene, at);
    }

    fn unattributed(&self, ids: &Dictionary) -> Option<u32> {
        self.tenants.find(&ids.find(UNATTRIBUTED)?)
    }

    /// The last evaluation.
    fn moment(&self) -> Moment {
        let seconds = |ms: i64| ms as f64 / 1_000.0;
        let open_ms = self.evaluated_ms - self.setup.grid.start_of(self.slot);
        Moment {
            now_s: seconds(self.evaluated_ms.saturating_sub(self.origin_ms)),
            open_s: seconds(open_ms.clamp(0, self.horizon.slot_ms)),
        }
    }

    /// Closes the open slot, whose block is not in the window yet; a slot that has just become a minute old is learned.
    pub(crate) fn close(&mut self, window: &Window, open: &[&Packed], ids: &mut Dictionary) {
        let (tenants, endpoints, slot) = (&self.tenants, &self.endpoints, self.slot);
        let scene = Scene { tenants, endpoints, unattributed: None, window, ids, slot, open };
        let learns = slot >= self.strays_until;
        self.errors.closing(scene, learns);
        self.latency.closing(scene, learns);
        let tainted = [self.errors.tainted(), self.latency.tainted()];
        self.tenants.close(tainted);
        self.endpoints.close(tainted);
        let age = self.horizon.tail_age();
        if tainted[1].iter().rev().nth(age) == Some(&false) && self.slot - age as i64 >= self.latencies_until {
            self.learn_tails(window, self.slot - age as i64, ids);
        }
        self.errors.closed(&self.tenants);
        self.latency.closed(&self.tenants);
        self.slot += 1;
        self.shrink(ids);
    }

    fn learn_tails(&mut self, window: &Window, slot: i64, ids: &mut Dictionary) {
        // Cells of all rows one after another, and where each row's are.
        let (mut cells, mut halves, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for block in window.of_slot(slot) {
            self.meet(block, ids);
            for row in block.rows.iter() {
                halves_of(row.latency(), &mut halves);
                rows.push((self.tenants.find(&row.number).unwrap_or(REST), cells.len(), cells.len() + halves.len()));
                cells.extend_from_slice(&halves);
            }
        }
        // In the order of the keys: sums are the same in every process.
        rows.sort_by_key(|(i, ..)| *i);
        self.tenants.learn_tails(rows.iter().map(|&(i, from, to)| (i, &cells[from..to])));
        let rows: Vec<_> = window
            .of_slot(slot)
            .flat_map(|block| &block.head.endpoints)
            .map(|row| (self.endpoints.index_of(&row.name), &row.halves[..]))
            .collect();
        self.endpoints.learn_tails(rows.into_iter());
    }

    fn shrink(&mut self, ids: &mut Dictionary) {
        let mut keep: Vec<u32> = self.errors.named().chain(self.latency.named()).collect();
        keep.extend(self.unattributed(ids));
        if let Some(to) = self.tenants.shrink(self.most_tenants(), &keep, |number| ids.release(*number)) {
            self.let_go += (to.len() - self.tenants.len()) as u64;
            self.crowded_until = self.slot + self.horizon.ring as i64;
            self.errors.remap(&to);
            self.latency.remap(&to);
        }
        let keep: Vec<u32> = [&self.errors, &self.latency].iter().filter_map(|judge| judge.shown.endpoint).collect();
        if let Some(to) = self.endpoints.shrink(2 * MAX_ENDPOINTS, &keep, |_| ()) {
            self.errors.remap_endpoints(&to);
            self.latency.remap_endpoints(&to);
        }
    }

    /// Tenants that fit: fewer when those that are known leave no quarter of the budget to those who come.
    fn most_tenants(&self) -> usize {
        let crowded = self.weight() > self.setup.budget / 4 * 3;
        if crowded && self.tenants.len() > 64 { self.tenants.len() - 1 } else { usize::MAX }
    }

    /// Bytes of memory.
    pub(crate) fn weight(&self) -> usize {
        self.tenants.weight() + self.endpoints.weight()
    }

    /// Nothing came for a long time: closes enough empty slots to empty the ring, and counts the others as learned.
    pub(crate) fn skip_to(&mut self, slot: i64) {
        let skipped = slot.saturating_sub(self.slot).max(0) as u64;
        self.tenants.skip(skipped);
        self.endpoints.skip(skipped);
        self.errors.skip(skipped, &self.tenants);
        self.latency.skip(skipped, &self.tenants);
        self.slot = slot;
        self.evaluated_ms = self.evaluated_ms.max(self.setup.grid.start_of(slot));
    }

    /// Closed slots after which the ring holds nothing of before.
    pub(crate) fn memory(&self) -> i64 {
        self.horizon.ring as i64 + self.horizon.tail_age() as i64 + 2
    }

    /// What is slow from now on; `names` are the endpoints by their number.
    pub(crate) fn slow_line(&mut self, names: &[Arc<str>]) -> SlowLine {
        let fleet =
            self.setup.slow_after.or_else(|| self.tenants.fleet_tail().map(|tail| last_bucket_of(first_line(tail))));
        let line = |name: &Arc<str>| match self.endpoints.find(&**name) {
            Some(i) => self.endpoints.line(i),
            None => HALVES as u8,
        };
        SlowLine { fleet: fleet.unwrap_or(SlowLine::default().fleet), endpoints: names.iter().map(line).collect() }
    }

    /// What the judges think of a tenant, over a window of about `window_ms`.
    pub(crate) fn opinion(&self, window_ms: i64) -> Opinion<'_> {
        let fits = |&w: &usize| self.horizon.windows[w] as i64 * self.horizon.slot_ms >= window_ms;
        let last = self.horizon.windows.len() - 1;
        Opinion { fleet: self, w: (1..last).find(fits).unwrap_or(last), window_s: window_ms as f64 / 1_000.0 }
    }

    /// For each tenant: the errors expected of so many requests in `window_ms`, and whether it always fails like this.
    pub(crate) fn expectations<'a>(
        &'a self,
        window_ms: i64,
        window: &'a Window,
        ids: &'a Dictionary,
    ) -> impl Fn(Number, u64) -> (f64, bool) + 'a {
        let opinion = self.opinion(window_ms);
        let scene = Scene {
            tenants: &self.tenants,
            endpoints: &self.endpoints,
            unattributed: None,
            window,
            ids,
            slot: self.slot,
            open: &[],
        };
        let case = Case { span: opinion.window_s, ..self.errors.case(scene, opinion.w, self.moment()) };
        let p0 = opinion.normal_rate();
        move |number, requests| match self.tenants.find(&number) {
            Some(i) => (case.expected(i, requests as f64).0, case.is_chronic(i)),
            None => (requests as f64 * p0, false),
        }
    }

    pub(crate) fn verdict(&self, side: Side, ids: &Dictionary) -> Verdict {
        let (judge, name) = match side {
            Side::Errors => (&self.errors, self.setup.errors.as_str()),
            Side::Latency => (&self.latency, "slow requests"),
        };
        let found = &judge.shown;
        if found.kind == Kind::Quiet {
            return Verdict::quiet(name, side == Side::Latency);
        }
        self.told(found, judge, name, ids)
    }

    fn told(&self, found: &Finding, judge: &Judge, name: &str, ids: &Dictionary) -> Verdict {
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
            cold: judge.learning(found.window).learned_s < KNOWN_S,
        };
        verdict.text = sentence(&verdict, &Evidence { errors: name, requests: all.n as u64 });
        verdict
    }
}

/// More than anybody does in a slot, and little enough that the slots of a window add up without wrapping.
const MOST: u64 = 1 << 25;

/// Seconds of the time before a window from which on what is expected there is known.
const KNOWN_S: f64 = 60.0;

/// Counts of keys.
type Tallies = Vec<(u32, Tally)>;

fn clamped(count: u64) -> u32 {
    count.min(MOST) as u32
}

/// What a judge counts of a row: `line` is the half above which a latency is unusual for its key.
fn tally(counts: [u64; WEIGHTS], halves: &[(u8, u32)], line: u8) -> Tally {
    let above = halves.partition_point(|(half, _)| *half <= line);
    let slow = halves[above..].iter().map(|(_, count)| u64::from(*count)).sum();
    Tally { n: clamped(counts[0]), e: clamped(counts[1]), s: clamped(slow) }
}

/// The judges' view of single tenants, for rankings.
pub(crate) struct Opinion<'a> {
    fleet: &'a Fleet,
    w: usize,
    window_s: f64,
}

impl Opinion<'_> {
    /// The fleet's normal error rate.
    pub(crate) fn normal_rate(&self) -> f64 {
        self.fleet.errors.learning(self.w).p0
    }

    /// Enough is known of the time before the window.
    pub(crate) fn has_baseline(&self) -> bool {
        self.fleet.errors.learning(self.w).learned_s >= KNOWN_S
    }

    /// Is it a culprit of the error verdict?
    pub(crate) fn is_culprit(&self, number: Number) -> bool {
        let found = &self.fleet.errors.shown;
        self.fleet.tenants.find(&number).is_some_and(|i| found.kind != Kind::Quiet && found.culprits.contains(&i))
    }

    /// The share of a tenant's requests that is normally above a bucket, where it has a history; see [`weights_above`].
    pub(crate) fn normal_share(&self, number: Number, weights: &[f64; HALVES]) -> Option<f64> {
        self.fleet.tenants.tail_share(self.fleet.tenants.find(&number)?, weights)
    }

    /// The latencies that are normal for a tenant: decayed, drawn towards the fleet's by twenty requests.
    pub(crate) fn normal_latency(&self, number: Number) -> Option<NormalLatency> {
        let known = self.fleet.tenants.find(&number).filter(|&i| self.fleet.tenants.has_tail(i));
        let histogram = self.fleet.tenants.tail(known.unwrap_or(REST))?;
        Some(NormalLatency { histogram, own: known.is_some() })
    }
}

/// How much of each half is above a bucket, linear within the half.
pub(crate) fn weights_above(bucket: u16) -> [f64; HALVES] {
    let mut first = 0;
    std::array::from_fn(|half| {
        let last = last_bucket_of(half as u8);
        let size = last + 1 - first;
        first = last + 1;
        f64::from(last.saturating_sub(bucket).min(size)) / f64::from(size.max(1))
    })
}

/// A tenant's decayed latency histogram.
#[derive(Debug)]
pub(crate) struct NormalLatency {
    histogram: [f64; HALVES],
    /// The tenant has a history; else this is the fleet's.
    pub(crate) own: bool,
}

impl NormalLatency {
    /// The share of requests above a bucket, by [`weights_above`].
    pub(crate) fn share(&self, weights: &[f64; HALVES]) -> f64 {
        let total: f64 = self.histogram.iter().sum();
        let above: f64 = self.histogram.iter().zip(weights).map(|(count, weight)| count * weight).sum();
        if total > 0.0 { above / total } else { 0.0 }
    }

    /// The 95th percentile in ms, linear within its half; `None` without a history of its own.
    pub(crate) fn p95_ms(&self) -> Option<f64> {
        let (rank, mut seen) = (0.95 * self.histogram.iter().sum::<f64>(), 0.0);
        for half in 0..HALVES as u8 {
            let count = self.histogram[usize::from(half)];
            if count > 0.0 && seen + count >= rank {
                let (low, high) = (half_lower_us(half), half_lower_us(half + 1));
                return self.own.then_some((low + (high - low) * (rank - seen) / count) / 1_000.0);
            }
            seen += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_latencies() {
        let mut histogram = [0.0; HALVES];
        (histogram[20], histogram[30]) = (90.0, 10.0); // 1.024 to 1.536 ms, 32.768 to 49.152 ms
        let normal = NormalLatency { histogram, own: true };
        let (low, last) = (last_bucket_of(19), last_bucket_of(20));
        let shares =
            [0, low, low + 2, last, last_bucket_of(29), last_bucket_of(30)].map(|at| normal.share(&weights_above(at)));
        let expected: [f64; 6] = [1.0, 1.0, 0.775, 0.1, 0.1, 0.0];
        assert!(shares.iter().zip(expected).all(|(share, expected)| (share - expected).abs() < 1e-9), "{shares:?}");
        assert_eq!(normal.p95_ms(), Some(40.96));
        assert_eq!(NormalLatency { histogram, own: false }.p95_ms(), None);
    }
}
