//! A stripe: what one thread's requests touch. Its open slot, its late slots, its counters, behind one lock.

use crate::endpoint::{EndpointCache, Registry};
use crate::event::{ErrorClasses, Event, Outcome};
use crate::slot::{Sample, SlowLine, Table};
use crate::stats::Ledger;
use crate::tenant;
use ahash::RandomState;
use std::sync::Arc;

/// The grid of slots: `[anchor + i·length, anchor + (i+1)·length)` in Unix ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) anchor_ms: i64,
    pub(crate) slot_ms: i64,
    /// Closed slots in the window.
    pub(crate) slots: i64,
}

impl Grid {
    pub(crate) fn slot_of(self, at_ms: i64) -> i64 {
        at_ms.saturating_sub(self.anchor_ms).div_euclid(self.slot_ms)
    }

    /// The oldest slot that is in the window while `open` is open.
    pub(crate) fn oldest(self, open: i64) -> i64 {
        open.saturating_sub(self.slots)
    }

    pub(crate) fn start_of(self, slot: i64) -> i64 {
        slot.saturating_mul(self.slot_ms).saturating_add(self.anchor_ms)
    }
}

/// What all stripes of a sentinel share, and only read.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) grid: Grid,
    pub(crate) errors: ErrorClasses,
    pub(crate) places: usize,
    pub(crate) hasher: RandomState,
    pub(crate) registry: Registry,
}

/// Late events that a stripe keeps before it asks to be sealed: they may name as many tenants, in as many slots.
const LATE_EVENTS: usize = 8_192;

/// A slot's table and which slot it is.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) slot: i64,
    pub(crate) table: Table,
}

#[derive(Debug)]
pub(crate) struct Stripe {
    shared: Arc<Shared>,
    /// The open slot and its bounds in Unix ms, so that most events need no division.
    slot: i64,
    from_ms: i64,
    to_ms: i64,
    open: Table,
    /// Closed but not sealed, oldest first.
    filled: Vec<Filled>,
    /// Events for slots that are over, each in a table of its own.
    late: Vec<Filled>,
    late_events: usize,
    spare: Option<Table>,
    endpoints: EndpointCache,
    pub(crate) ledger: Ledger,
    slow_line: SlowLine,
}

impl Stripe {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let open = Table::new(shared.places, SlowLine::default());
        Self {
            slot: i64::MIN,
            from_ms: 0,
            to_ms: 0,
            open,
            filled: Vec::new(),
            late: Vec::new(),
            late_events: 0,
            spare: None,
            endpoints: EndpointCache::new(shared.hasher.clone()),
            ledger: Ledger::default(),
            slow_line: SlowLine::default(),
            shared,
        }
    }

    /// Counts an event, by the boundary rules. `true` asks the caller to seal what has piled up here.
    pub(crate) fn record(&mut self, event: &Event<'_>, now_ms: i64) -> bool {
        self.ledger.offered += 1;
        let Some(outcome) = Outcome::of(event.status) else {
            self.ledger.dropped.status += 1;
            return false;
        };
        let grid = self.shared.grid;
        let at_ms = event.at.unwrap_or(now_ms);
        if at_ms > now_ms.saturating_add(grid.slot_ms) {
            self.ledger.adjusted.future += 1;
        }
        // Up to a slot ahead is another host's clock: it counts now, so that the next look sees it.
        let at_ms = at_ms.min(now_ms);
        let is_open = (self.from_ms..self.to_ms).contains(&at_ms);
        let slot = if is_open { self.slot } else { grid.slot_of(at_ms) };
        // Younger than a window is inside whatever the slots are; only beyond it they decide.
        if now_ms.saturating_sub(at_ms) > grid.slots * grid.slot_ms && slot < grid.oldest(grid.slot_of(now_ms)) {
            self.ledger.dropped.late += 1;
            return false;
        }
        self.ledger.accepted += 1;
        self.ledger.adjusted.latency += u64::from(event.latency.is_invalid());
        self.ledger.adjusted.latency_clamped += u64::from(event.latency.is_clamped());
        let (tenant, truncated) = tenant::bounded(event.tenant);
        self.ledger.adjusted.tenant_truncated += u64::from(truncated);
        let (endpoint, other) = self.endpoints.id(event.endpoint, &self.shared.registry);
        self.ledger.adjusted.endpoint_other += u64::from(other);
        let error = self.shared.errors.contain(outcome);
        let sample = Sample {
            tenant: &tenant,
            endpoint,
            error,
            aborted: outcome == Outcome::Aborted,
            latency_us: event.latency.micros(),
        };
        if slot > self.slot {
            self.rotate(slot);
        }
        if slot == self.slot {
            self.open.add(&sample, &self.shared.hasher);
        } else {
            self.late_events += 1;
            let shared = Arc::clone(&self.shared);
            self.late_table(slot).add(&sample, &shared.hasher);
        }
        self.filled.len() > 1 || self.late_events >= LATE_EVENTS
    }

    /// Opens a newer slot; the one that was open waits to be sealed.
    pub(crate) fn rotate(&mut self, slot: i64) {
        if slot <= self.slot {
            return;
        }
        let slow_line = self.slow_line.clone();
        if self.open.is_empty() {
            self.open.reset(slow_line);
        } else {
            let next = match self.spare.take() {
                Some(mut spare) => {
                    spare.reset(slow_line);
                    spare
                }
                None => Table::new(self.shared.places, slow_line),
            };
            let table = std::mem::replace(&mut self.open, next);
            self.filled.push(Filled { slot: self.slot, table });
        }
        self.slot = slot;
        self.from_ms = self.shared.grid.start_of(slot);
        self.to_ms = self.shared.grid.start_of(slot + 1);
    }

    fn late_table(&mut self, slot: i64) -> &mut Table {
        let at = match self.late.binary_search_by_key(&slot, |late| late.slot) {
            Ok(at) => at,
            Err(at) => {
                let table = Table::new(self.shared.places, self.slow_line.clone());
                self.late.insert(at, Filled { slot, table });
                at
            }
        };
        &mut self.late[at].table
    }

    /// What waits to be sealed: the slots that are over, then the late events.
    pub(crate) fn take_filled(&mut self) -> Vec<Filled> {
        self.late_events = 0;
        let mut out = std::mem::take(&mut self.filled);
        out.append(&mut self.late);
        out
    }

    /// Forgets everything but the ledger and what is in the window of slot `now`; says how many requests went.
    pub(crate) fn begin_again(&mut self, now: i64) -> u64 {
        let before = self.requests();
        let kept = self.shared.grid.oldest(now)..=now;
        self.filled = self.take_filled().into_iter().filter(|part| kept.contains(&part.slot)).collect();
        self.open.reset(self.slow_line.clone());
        (self.slot, self.from_ms, self.to_ms) = (i64::MIN, 0, 0);
        before - self.requests()
    }

    /// Requests that are here: accepted, not sealed yet.
    pub(crate) fn requests(&self) -> u64 {
        self.filled.iter().chain(&self.late).map(|part| part.table.totals[0]).sum::<u64>() + self.open.totals[0]
    }

    /// Its tables of one slot.
    pub(crate) fn of_slot(&self, slot: i64) -> impl Iterator<Item = &Table> {
        let parts = self.filled.iter().chain(&self.late).filter(move |part| part.slot == slot);
        let open = (self.slot == slot && !self.open.is_empty()).then_some(&self.open);
        open.into_iter().chain(parts.map(|part| &part.table))
    }

    /// The slot that is open.
    pub(crate) fn slot(&self) -> i64 {
        self.slot
    }

    /// A new line for what is slow. The open slot takes it while nothing is in it: a line holds for a whole slot.
    pub(crate) fn set_slow_line(&mut self, slow_line: &SlowLine) {
        self.slow_line = slow_line.clone();
        if self.open.is_empty() {
            self.open.slow_line = slow_line.clone();
        }
    }

    /// Gives a sealed table back, so that the next rotation allocates nothing.
    pub(crate) fn give_back(&mut self, table: Table) {
        self.spare = Some(table);
    }
}
