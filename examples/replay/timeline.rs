//! Stream time: which moments are ticked before which event, and at which of them somebody looks.
//!
//! Time is the events' own. It moves over a lattice of whole seconds, ticked in order before the first event that is
//! not older; with `--at` the lattice and the slot boundaries start 1 ms after the first moment asked for, so that the
//! slots that ended there are exactly (T - window, T].

use std::collections::VecDeque;
use std::io;

use sentinel_core::{Clock, Dropped, Event, Sentinel};

use crate::lines::Request;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
/// Time that is ticked after a jump, so that the verdict settles as in steady time, ms.
const SETTLE: i64 = 60 * SECOND;

/// When to look.
pub(crate) enum Plan {
    /// As of these moments, sorted: each has seen the events up to it, that millisecond included.
    At(Vec<i64>),
    /// On every beat of so many milliseconds, a multiple of a second.
    Every(i64),
    /// Once, after the last event.
    End,
}

/// An action at a moment of the replay, with the sentinel as it is then.
pub(crate) trait Look {
    fn look(&mut self, sentinel: &Sentinel, as_of: i64) -> io::Result<()>;
}

pub(crate) struct Timeline<B> {
    build: B,
    sentinel: Option<Sentinel>,
    /// The second that was ticked last.
    second: i64,
    /// Any second of the lattice: the others lie whole seconds before and after it.
    anchor: i64,
    /// With `--at`: the boundaries at which to look, and whether nothing else is to be looked at.
    looks: VecDeque<i64>,
    only_looks: bool,
    every: Option<i64>,
    /// So long a silence is ticked through; the rest of it is jumped over.
    silence: i64,
    latest_event: i64,
}

/// Anchor of the slot boundaries for a plan, Unix ms.
pub(crate) fn anchor(plan: &Plan) -> i64 {
    match plan {
        Plan::At(moments) => moments.first().map_or(0, |first| first + 1),
        Plan::Every(_) | Plan::End => 0,
    }
}

impl<B: FnMut(Clock) -> Sentinel> Timeline<B> {
    /// `build` makes the Sentinel once it is known where time begins.
    pub(crate) fn new(plan: &Plan, window: i64, slot: i64, build: B) -> Self {
        let anchor = anchor(plan);
        let (looks, every) = match plan {
            Plan::At(moments) => {
                let boundary = |at: &i64| round_up(at + 1, anchor, slot);
                (moments.iter().map(boundary).collect(), None)
            }
            Plan::Every(beat) => (VecDeque::new(), Some(*beat)),
            Plan::End => (VecDeque::new(), None),
        };
        Self {
            build,
            sentinel: None,
            second: 0,
            anchor,
            looks,
            only_looks: matches!(plan, Plan::At(_)),
            every,
            silence: window.saturating_add(HOUR).max(2 * HOUR),
            latest_event: 0,
        }
    }

    /// Brings time to the request, then records it. Late ones are recorded as they are.
    pub(crate) fn record(&mut self, request: &Request<'_>, out: &mut impl Look) -> io::Result<()> {
        self.advance(request.timestamp, out)?;
        if self.only_looks && self.looks.is_empty() {
            return Ok(()); // nobody will look at it
        }
        self.latest_event = self.latest_event.max(request.timestamp);
        if let Some(sentinel) = &self.sentinel {
            sentinel.record(Event {
                tenant: request.tenant.as_bytes(),
                endpoint: &request.endpoint,
                status: request.status,
                latency: request.latency,
                at: Some(request.timestamp),
            });
        }
        Ok(())
    }

    /// No more events: time runs on to what is still to be looked at, at least one second after the last event.
    pub(crate) fn finish(&mut self, out: &mut impl Look) -> io::Result<()> {
        if let Some(&last) = self.looks.back() {
            return self.advance(last, out);
        }
        if self.only_looks {
            return Ok(());
        }
        let end = self.latest_event + SECOND;
        if let Some(beat) = self.every {
            return self.advance(round_up(end, 0, beat), out);
        }
        self.advance(round_up(end, self.anchor, SECOND), out)?;
        self.sentinel.as_ref().map_or(Ok(()), |sentinel| out.look(sentinel, self.second))
    }

    /// Ticks every second up to `to`, in order, and looks where the plan says so.
    /// Events that were handed in and not counted.
    pub(crate) fn dropped(&self) -> Dropped {
        self.sentinel.as_ref().map_or_else(Dropped::default, |sentinel| sentinel.stats().dropped)
    }

    fn advance(&mut self, to: i64, out: &mut impl Look) -> io::Result<()> {
        if self.only_looks && self.looks.is_empty() {
            return Ok(());
        }
        let sentinel = if let Some(sentinel) = &self.sentinel {
            sentinel
        } else {
            let begin = self.looks.front().map_or(to, |look| to.min(*look));
            let first = round_up(begin - (SECOND - 1), self.anchor, SECOND);
            self.second = first - SECOND;
            self.latest_event = begin;
            self.sentinel.insert((self.build)(Clock::manual(first)))
        };
        loop {
            let horizon = self.looks.front().map_or(to, |look| to.min(*look));
            let mut next = self.second + SECOND;
            if next > self.latest_event + self.silence && horizon - next > SETTLE {
                next = round_up(horizon - SETTLE, self.anchor, SECOND);
            }
            if next <= horizon {
                sentinel.tick(next);
                self.second = next;
                if self.every.is_some_and(|beat| next % beat == 0) {
                    out.look(sentinel, next)?;
                }
            }
            if let Some(&look) = self.looks.front()
                && look <= to
                && look < self.second + SECOND
            {
                if look > self.second {
                    sentinel.tick(look); // a boundary of slots that are no whole seconds long
                }
                out.look(sentinel, look - 1)?;
                self.looks.pop_front();
            } else if next > horizon {
                return Ok(());
            }
        }
    }
}

/// The first moment of the lattice `anchor + k * step` that is not before `at`.
fn round_up(at: i64, anchor: i64, step: i64) -> i64 {
    at + (anchor - at).rem_euclid(step)
}
