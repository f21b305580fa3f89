//! A stripe: the open slot, the late slots and the counters that one thread's requests touch, behind one lock.

use crate::event::endpoint::{EndpointCache, Registry, ResolvedEndpoint};
use crate::event::{ErrorClasses, Event, StatusClass};
use crate::slot::late_events::{FilledTable, LateEvents};
use crate::slot::sample::{HashedId, KnownSample, Sample};
use crate::slot::stats::Ledger;
use crate::slot::table::{SlowLine, Table};
use crate::util::budget::Budget;
use crate::util::grid::Grid;
use ahash::RandomState;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// Parts that all stripes of a sentinel share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) grid: Grid,
    /// Meaning of each status; see [`meaning`].
    pub(crate) statuses: [u8; STATUSES],
    /// Tenants that a table keeps for each weight, whatever else comes.
    pub(crate) places: usize,
    pub(crate) hasher: RandomState,
    pub(crate) registry: Registry,
    /// Bytes for the tables of all stripes.
    pub(crate) budget: Arc<Budget>,
}

/// Statuses are below this.
const STATUSES: usize = 600;
const IS_KNOWN: u8 = 1;
const MEANS_ERROR: u8 = 2;
const MEANS_ABORTED: u8 = 4;

/// The meaning of each status, as bits, where `errors` are the outcomes that count as errors. Every request looks its status up.
pub(crate) fn meaning(errors: ErrorClasses) -> [u8; STATUSES] {
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    let of = |class: StatusClass| {
        IS_KNOWN | flag(errors.contain(class), MEANS_ERROR) | flag(class == StatusClass::Aborted, MEANS_ABORTED)
    };
    std::array::from_fn(|status| StatusClass::of(status as u16).map_or(0, of))
}

/// The hash by which all tables and the dictionary find an id.
#[inline]
pub(crate) fn hash(hasher: &RandomState, id: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(id);
    state.finish()
}

/// The tenant and the endpoint that a request counts for, after the boundary rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribution<'a> {
    pub(crate) tenant: HashedId<'a>,
    /// The event's tenant id was longer than an id may be.
    pub(crate) truncated: bool,
    /// `None` = the stripe resolves the event's endpoint.
    pub(crate) endpoint: Option<ResolvedEndpoint>,
}

/// The open slot and the late slots of the threads that record here.
#[derive(Debug)]
pub(crate) struct Stripe {
    /// The open slot.
    slot: i64,
    /// Bounds of the open slot, Unix ms: most events need no division.
    from_ms: i64,
    to_ms: i64,
    pub(crate) ledger: Ledger,
    open: Box<Table>,
    /// The open slot has counted a request, in this table or in one that has been taken.
    begun: bool,
    shared: Arc<Shared>,
    endpoints: EndpointCache,
    /// Tables of slots that closed but are not sealed yet, oldest first.
    filled: VecDeque<FilledTable>,
    /// Late events, whose slots are over.
    late: LateEvents,
    /// An empty table, for the next slot.
    spare: Option<Box<Table>>,
    /// The line of the next slot.
    slow_line: SlowLine,
}

impl Stripe {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let open = Box::new(Table::new(shared.places, SlowLine::default(), &shared.budget));
        Self {
            slot: i64::MIN,
            from_ms: 0,
            to_ms: 0,
            ledger: Ledger::default(),
            open,
            begun: false,
            endpoints: EndpointCache::new(shared.hasher.clone()),
            filled: VecDeque::new(),
            late: LateEvents::default(),
            spare: None,
            slow_line: SlowLine::default(),
            shared,
        }
    }

    /// Counts an event, by the boundary rules. The clock is read only when the event's own time is not in the open slot.
    /// Returns how many tables wait to be sealed here.
    #[inline]
    pub(crate) fn record(
        &mut self,
        event: &Event<'_>,
        attribution: &Attribution<'_>,
        now_ms: impl Fn() -> i64,
    ) -> usize {
        self.record_known(event, attribution, &now_ms).unwrap_or_else(|| self.record_any(event, attribution, now_ms))
    }

    /// Counts an event in the open slot with a known endpoint and a known latency, as almost every event has. `None` = this one has
    /// not, and nothing has been counted.
    #[inline]
    fn record_known(
        &mut self,
        event: &Event<'_>,
        attribution: &Attribution<'_>,
        now_ms: impl Fn() -> i64,
    ) -> Option<usize> {
        let meaning = *self.shared.statuses.get(usize::from(event.status))?;
        let latency_us = event.latency.plain()?;
        if meaning == 0 || attribution.truncated {
            return None;
        }
        let endpoint = match attribution.endpoint {
            Some(endpoint) => (!endpoint.is_other).then_some(endpoint.id)?,
            None => self.endpoints.recent(event.endpoint)?,
        };
        // Last, since it may read the clock.
        if !(self.from_ms..self.to_ms).contains(&event.at.unwrap_or_else(now_ms)) {
            return None;
        }
        let (error, aborted) = (meaning & MEANS_ERROR != 0, meaning & MEANS_ABORTED != 0);
        if !self.open.add_known(&KnownSample { tenant: attribution.tenant, endpoint, error, aborted, latency_us }) {
            return None;
        }
        self.begun = true;
        self.ledger.accepted += 1;
        Some(self.filled.len())
    }

    #[inline(never)]
    fn record_any(&mut self, event: &Event<'_>, attribution: &Attribution<'_>, now_ms: impl Fn() -> i64) -> usize {
        let meaning = self.shared.statuses.get(usize::from(event.status)).copied().unwrap_or(0);
        if meaning == 0 {
            self.ledger.dropped.status += 1;
            return self.filled.len();
        }
        let slot = match event.at {
            // The open slot has begun by now, so its end is not more than a slot ahead.
            Some(at_ms) if (self.from_ms..self.to_ms).contains(&at_ms) => self.slot,
            at => {
                let Some(slot) = self.slot_of(at, now_ms()) else {
                    self.ledger.dropped.late += 1;
                    return self.filled.len();
                };
                slot
            }
        };
        if slot < self.slot && !self.has_room_for_late(slot) {
            self.ledger.dropped.no_memory += 1;
            return self.filled.len();
        }
        self.ledger.accepted += 1;
        let endpoint = match attribution.endpoint {
            Some(known) => known,
            None => self.endpoints.resolve(event.endpoint, &self.shared.registry),
        };
        let plain = event.latency.plain();
        if plain.is_none() | endpoint.is_other | attribution.truncated {
            self.adjusted(event, endpoint.is_other, attribution.truncated);
        }
        let sample = Sample {
            tenant: attribution.tenant,
            endpoint: endpoint.id,
            error: meaning & MEANS_ERROR != 0,
            aborted: meaning & MEANS_ABORTED != 0,
            latency_us: plain.or_else(|| event.latency.micros()),
        };
        if slot > self.slot {
            self.rotate(slot);
        }
        let table = if slot == self.slot {
            self.begun = true;
            &mut self.open
        } else {
            let (shared, line) = (&self.shared, &self.slow_line);
            self.late.table(slot, || Box::new(Table::new(shared.places, line.clone(), &shared.budget)))
        };
        if !table.add(&sample) {
            self.ledger.adjusted.latency_unplaced += 1;
        }
        self.filled.len()
    }

    #[cold]
    fn adjusted(&mut self, event: &Event<'_>, other: bool, truncated: bool) {
        let adjusted = &mut self.ledger.adjusted;
        adjusted.latency += u64::from(event.latency.is_invalid());
        adjusted.latency_clamped += u64::from(event.latency.is_clamped());
        adjusted.tenant_truncated += u64::from(truncated);
        adjusted.endpoint_other += u64::from(other);
    }

    /// The endpoint of a template.
    pub(crate) fn resolve(&mut self, template: &str) -> ResolvedEndpoint {
        self.endpoints.resolve(template, &self.shared.registry)
    }

    /// The slot that an event counts in; `None` when that slot has left the window.
    fn slot_of(&mut self, at_ms: Option<i64>, now_ms: i64) -> Option<i64> {
        let grid = self.shared.grid;
        let at_ms = at_ms.unwrap_or(now_ms);
        if at_ms > now_ms.saturating_add(grid.slot_ms) {
            self.ledger.adjusted.future += 1;
        }
        // A time up to a slot ahead is another host's clock: the event counts now, so that the next look sees it.
        let at_ms = at_ms.min(now_ms);
        let slot = if (self.from_ms..self.to_ms).contains(&at_ms) { self.slot } else { grid.slot_of(at_ms) };
        // An event younger than the window is inside it, wherever slots begin; only beyond that do slots decide.
        let is_late =
            now_ms.saturating_sub(at_ms) > grid.slots * grid.slot_ms && slot < grid.oldest(grid.slot_of(now_ms));
        (!is_late).then_some(slot)
    }

    /// Opens a newer slot; the table of the one that was open waits to be sealed.
    #[cold]
    pub(crate) fn rotate(&mut self, slot: i64) {
        if slot <= self.slot {
            return;
        }
        let line = self.slow_line.clone();
        if self.open.is_empty() {
            self.open.slow_line = line;
        } else {
            let next = self.empty_table(line);
            let table = std::mem::replace(&mut self.open, next);
            self.filled.push_back(FilledTable::new(self.slot, table));
        }
        self.begun = false;
        self.slot = slot;
        self.from_ms = self.shared.grid.start_of(slot);
        self.to_ms = self.shared.grid.start_of(slot + 1);
    }

    fn empty_table(&mut self, line: SlowLine) -> Box<Table> {
        match self.spare.take() {
            Some(mut spare) => {
                spare.slow_line = line;
                spare
            }
            None => Box::new(Table::new(self.shared.places, line, &self.shared.budget)),
        }
    }

    /// Whether a late event may be counted; where it may not, the tables of late events wait to be sealed from now on.
    #[cold]
    fn has_room_for_late(&mut self, slot: i64) -> bool {
        let memory_is_full = self.shared.budget.is_full();
        if self.late.has_room(slot, memory_is_full) {
            return true;
        }
        self.filled.extend(self.late.take());
        !memory_is_full
    }

    /// Takes the oldest table that waits to be sealed.
    pub(crate) fn take_filled(&mut self) -> Option<FilledTable> {
        self.filled.pop_front()
    }

    /// Takes all tables that wait, and the tables of late events.
    pub(crate) fn take_all(&mut self) -> Vec<FilledTable> {
        self.filled.drain(..).chain(self.late.take()).collect()
    }

    /// Takes the open slot's table and puts an empty one in its place; `None` when it is empty.
    pub(crate) fn take_open(&mut self) -> Option<FilledTable> {
        if self.open.is_empty() {
            return None;
        }
        let line = self.open.slow_line.clone();
        let next = self.empty_table(line);
        Some(FilledTable::new(self.slot, std::mem::replace(&mut self.open, next)))
    }

    /// Forgets everything but the ledger and tables in the window of slot `now`; returns how many requests were forgotten.
    pub(crate) fn begin_again(&mut self, now: i64) -> u64 {
        let before = self.requests();
        let kept = self.shared.grid.oldest(now)..=now;
        self.filled.extend(self.late.take());
        self.filled.retain(|part| kept.contains(&part.slot));
        self.open.reset(self.slow_line.clone());
        (self.slot, self.from_ms, self.to_ms, self.begun) = (i64::MIN, 0, 0, false);
        before - self.requests()
    }

    /// Requests that were accepted and are not sealed yet.
    pub(crate) fn requests(&self) -> u64 {
        let filled = self.filled.iter().map(|part| part.requests).sum::<u64>();
        filled + self.late.requests() + self.open.requests()
    }

    /// The slot that is open.
    pub(crate) fn slot(&self) -> i64 {
        self.slot
    }

    /// Sets the line of the next slot. The open slot takes it too while it has counted nothing: a line holds for a whole slot.
    pub(crate) fn set_slow_line(&mut self, slow_line: &SlowLine) {
        self.slow_line = slow_line.clone();
        if !self.begun {
            self.open.slow_line = slow_line.clone();
        }
    }

    /// Gives an empty table back, so that the next rotation allocates nothing. Returns the one that it replaces.
    pub(crate) fn give_back(&mut self, table: Box<Table>) -> Option<Box<Table>> {
        self.spare.replace(table)
    }
}
