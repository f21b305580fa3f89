//! The history of a check: its last results, and sums of older ones by the hour for 90 days.
//!
//! ```text
//!  since_ms                 folded_ms                          now
//!     │ hours: up, down, maintenance │ results: at most 1,000 │
//!     └──────────────────────────────┴────────────────────────┘
//! ```
//!
//! Invariant: the hours cover the time before `folded_ms`, the results the time from it on. Neither covers the same millisecond twice,
//! so any window is the sum of both parts.

use super::availability::{Availability, KnownTime, measure};
use super::maintenance::{Maintenance, Spans};
use super::result::{Cause, CheckResult, Outcome, PackedResult};
use super::{KEPT_HOURS, KEPT_RESULTS};
use crate::util::civil::HOUR_MS;
use crate::util::wire::MAX_COUNT;
use serde::Serialize;
use std::collections::VecDeque;

/// The known time of one hour, in milliseconds; the rest of the hour is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_field_names, reason = "the unit")]
pub(super) struct HourBucket {
    pub(super) up_ms: u32,
    pub(super) down_ms: u32,
    pub(super) maintenance_ms: u32,
}

impl HourBucket {
    fn add(&mut self, sum: KnownTime) {
        self.up_ms = self.up_ms.saturating_add(sum.up_ms as u32);
        self.down_ms = self.down_ms.saturating_add(sum.down_ms as u32);
        self.maintenance_ms = self.maintenance_ms.saturating_add(sum.maintenance_ms as u32);
    }
}

/// Counters of results: `offered = kept + doubled + late + future`. A result that was added to the hours counts as kept.
///
/// ```
/// use sentinel_core::uptime::{CheckResult, History};
///
/// let mut history = History::new(0);
/// history.record(CheckResult::up(60_000, 60_000), &[]);
/// history.record(CheckResult::up(60_000, 60_000), &[]);
/// assert_eq!((history.counts().offered, history.counts().doubled), (2, 1));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ResultCounts {
    /// Results that came in.
    pub offered: u64,
    /// Results of a moment that already had one; the worse of the two is kept.
    pub doubled: u64,
    /// Results of a time that was already added up, or before the check was created.
    pub late: u64,
    /// Results that lay in the future after the clock was set back, and were dropped.
    pub future: u64,
}

/// The history of one check, bounded: at most 1,000 results of 20 bytes and 2,161 hours of 12 bytes.
///
/// The last results are kept raw. When a further result needs room, the oldest one is added to the hours that it covers, so hours and
/// raw results never overlap, and a window is a sum over both.
///
/// ```
/// use sentinel_core::uptime::{CheckResult, History};
///
/// let mut history = History::new(0);
/// for minute in 0..2_000 {
///     history.record(CheckResult::up(minute * 60_000, 60_000), &[]);
/// }
/// let all = history.availability(0, 2_000 * 60_000, &[]);
/// assert_eq!((all.up_ms, all.unknown_ms, history.results().count()), (2_000 * 60_000, 0, 1_000));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    pub(super) since_ms: i64,
    /// The time before it is in the hours, the time from it on in the results, Unix ms. Never after the first result.
    pub(super) folded_ms: i64,
    /// The hour (Unix ms / 3,600,000) of the first bucket.
    pub(super) first_hour: i64,
    pub(super) hours: VecDeque<HourBucket>,
    /// Raw results in rising order, with distinct moments.
    pub(super) results: VecDeque<PackedResult>,
    pub(super) counts: ResultCounts,
}

impl History {
    /// The empty history of a check that was created at `since_ms` (Unix ms). The time before is unknown.
    ///
    /// ```
    /// let history = sentinel_core::uptime::History::new(1_000);
    /// assert_eq!(history.availability(0, 3_000, &[]).unknown_ms, 3_000);
    /// ```
    pub fn new(since_ms: i64) -> Self {
        let limit = MAX_COUNT as i64;
        let since_ms = since_ms.clamp(-limit, limit);
        Self {
            since_ms,
            folded_ms: since_ms,
            first_hour: since_ms.div_euclid(HOUR_MS),
            hours: VecDeque::new(),
            results: VecDeque::new(),
            counts: ResultCounts::default(),
        }
    }

    /// Moment when the check was created, Unix ms.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::History::new(7).since_ms(), 7);
    /// ```
    pub fn since_ms(&self) -> i64 {
        self.since_ms
    }

    /// Takes a result; results may come in any order. `maintenance` are the windows of the current configuration: hours that are added up
    /// keep the windows of that time. Returns false if the result changes nothing, because it is late or known.
    ///
    /// ```
    /// use sentinel_core::uptime::{CheckResult, History};
    ///
    /// let mut history = History::new(1_000);
    /// assert!(history.record(CheckResult::up(2_000, 60_000), &[]));
    /// assert!(!history.record(CheckResult::up(500, 60_000), &[])); // from before the check was created
    /// ```
    pub fn record(&mut self, result: CheckResult, maintenance: &[Maintenance]) -> bool {
        let result = result.bounded();
        self.counts.offered = self.counts.offered.saturating_add(1);
        if result.at_ms < self.folded_ms {
            self.counts.late = self.counts.late.saturating_add(1);
            return false;
        }
        let place = self.results.partition_point(|other| other.at_ms() < result.at_ms);
        if let Some(other) = self.results.get_mut(place).filter(|other| other.at_ms() == result.at_ms) {
            self.counts.doubled = self.counts.doubled.saturating_add(1);
            let worse = other.get() < result;
            if worse {
                *other = PackedResult::new(result);
            }
            return worse;
        }
        self.results.insert(place, PackedResult::new(result));
        if self.results.len() > KEPT_RESULTS {
            self.fold(maintenance);
        }
        true
    }

    /// Adds the oldest result to the hours that it covers, and removes it.
    fn fold(&mut self, maintenance: &[Maintenance]) {
        let Some(until) = self.results.get(1).map(PackedResult::at_ms) else { return };
        // Hours that would be dropped at once are skipped.
        let kept_from = (until.div_euclid(HOUR_MS) - KEPT_HOURS).saturating_mul(HOUR_MS);
        let mut from = self.folded_ms.max(kept_from);
        let spans = Spans::of(maintenance, from, until);
        let oldest = self.results.front().map(PackedResult::get);
        while from < until {
            let hour = from.div_euclid(HOUR_MS);
            let to = ((hour + 1) * HOUR_MS).min(until);
            let sum = measure(oldest.into_iter(), &spans, from, to);
            if let Some(bucket) = self.bucket(hour) {
                bucket.add(sum);
            }
            from = to;
        }
        self.results.pop_front();
        self.folded_ms = until;
    }

    /// The bucket of an hour at or after the last one. Hours in between become empty buckets; hours older than 90 days are dropped.
    fn bucket(&mut self, hour: i64) -> Option<&mut HourBucket> {
        let oldest = hour - KEPT_HOURS;
        if self.hours.is_empty() || self.first_hour + (self.hours.len() as i64) <= oldest {
            self.hours.clear();
            self.first_hour = hour;
        }
        let place = usize::try_from(hour - self.first_hour).ok()?;
        if place >= self.hours.len() {
            // Room grows by three days at a time: doubling would keep room for half a year.
            let more = place + 1 - self.hours.len();
            if self.hours.capacity() <= place {
                self.hours.reserve_exact(more.max(72));
            }
            self.hours.resize(place + 1, HourBucket::default());
        }
        while self.first_hour < oldest {
            self.hours.pop_front();
            self.first_hour += 1;
        }
        let place = usize::try_from(hour - self.first_hour).ok()?;
        self.hours.get_mut(place)
    }

    /// The availability in `[from_ms, to_ms)`, Unix ms. Between the check's creation and [`History::raw_from_ms`] only whole hours are
    /// known, so a start there is moved back, and an end there forward, to a full hour; the answer contains the window that was used. A
    /// window of more than 90 days is reduced to the last 90 days.
    ///
    /// ```
    /// use sentinel_core::uptime::{CheckResult, History};
    ///
    /// let mut history = History::new(0);
    /// history.record(CheckResult::up(0, 60_000), &[]);
    /// let window = history.availability(30_000, 180_000, &[]);
    /// assert_eq!((window.from_ms, window.up_ms, window.unknown_ms), (30_000, 90_000, 60_000));
    /// ```
    pub fn availability(&self, from_ms: i64, to_ms: i64, maintenance: &[Maintenance]) -> Availability {
        let limit = MAX_COUNT as i64;
        let (mut from, mut to) = (from_ms.clamp(-limit, limit), to_ms.clamp(-limit, limit));
        to = to.max(from);
        if to < self.folded_ms && to > from.max(self.since_ms) {
            to = (to - 1).div_euclid(HOUR_MS).saturating_add(1) * HOUR_MS;
        }
        from = from.max((to.div_euclid(HOUR_MS) - KEPT_HOURS) * HOUR_MS);
        if from < self.folded_ms && to > from && from > self.since_ms {
            from = from.div_euclid(HOUR_MS) * HOUR_MS;
        }
        let mut sum = KnownTime::default();
        if from < self.folded_ms && to > self.since_ms {
            let skip = usize::try_from(from.div_euclid(HOUR_MS) - self.first_hour).unwrap_or(0);
            let hours = self.hours.iter().enumerate().skip(skip);
            for (_, bucket) in hours.take_while(|(at, _)| (self.first_hour + *at as i64) * HOUR_MS < to) {
                sum.up_ms += u64::from(bucket.up_ms);
                sum.down_ms += u64::from(bucket.down_ms);
                sum.maintenance_ms += u64::from(bucket.maintenance_ms);
            }
        }
        let raw = from.max(self.folded_ms);
        if raw < to {
            let spans = Spans::of(maintenance, raw, to);
            let KnownTime { up_ms, down_ms, maintenance_ms } = measure(self.saying(raw, to), &spans, raw, to);
            sum.up_ms += up_ms;
            sum.down_ms += down_ms;
            sum.maintenance_ms += maintenance_ms;
        }
        Availability::of(from, to, sum)
    }

    /// The results that may cover a part of `[from_ms, to_ms)`, which is not empty: those within it, and the last one before it.
    fn saying(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = CheckResult> {
        let first = self.results.partition_point(|result| result.at_ms() <= from_ms).saturating_sub(1);
        let end = self.results.partition_point(|result| result.at_ms() < to_ms);
        self.results.range(first..end).map(PackedResult::get)
    }

    /// The moment from which on results are raw, Unix ms. After it a window may begin and end at any millisecond.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::History::new(7).raw_from_ms(), 7);
    /// ```
    pub fn raw_from_ms(&self) -> i64 {
        self.folded_ms
    }

    /// The raw results, the oldest first.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::History::new(0).results().count(), 0);
    /// ```
    pub fn results(&self) -> impl DoubleEndedIterator<Item = CheckResult> {
        self.results.iter().map(PackedResult::get)
    }

    /// Counters of results.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::History::new(0).counts().offered, 0);
    /// ```
    pub fn counts(&self) -> ResultCounts {
        self.counts
    }

    /// Makes failures without an answer from this moment on (Unix ms) unknown: they were due to this side's own network. Returns their
    /// number.
    ///
    /// ```
    /// use sentinel_core::uptime::{Cause, CheckResult, History};
    ///
    /// let mut history = History::new(0);
    /// history.record(CheckResult::down(5_000, 60_000, Cause::Connect), &[]);
    /// assert_eq!((history.disown(5_001), history.disown(5_000), history.disown(0)), (0, 1, 0));
    /// assert_eq!(history.availability(0, 60_000, &[]).unknown_ms, 60_000);
    /// ```
    pub fn disown(&mut self, from_ms: i64) -> usize {
        let first = self.results.partition_point(|result| result.at_ms() < from_ms);
        let mut disowned = 0;
        for packed in self.results.range_mut(first..) {
            let result = packed.get();
            if result.may_be_ours() {
                let (outcome, cause) = (Outcome::Unknown, Some(Cause::OwnNetwork));
                *packed = PackedResult::new(CheckResult { outcome, cause, ..result });
                disowned += 1;
            }
        }
        disowned
    }

    /// Handles a clock that was set back to `now_ms` (Unix ms): later results are dropped, so that new results have a place. The hour of
    /// `now_ms` and later ones become unknown where they were added up.
    ///
    /// ```
    /// use sentinel_core::uptime::{CheckResult, History};
    ///
    /// let mut history = History::new(0);
    /// history.record(CheckResult::up(9_000_000, 60_000), &[]);
    /// history.set_back(60_000);
    /// assert_eq!((history.results().count(), history.counts().future), (0, 1));
    /// ```
    pub fn set_back(&mut self, now_ms: i64) {
        let limit = MAX_COUNT as i64;
        let now_ms = now_ms.clamp(-limit, limit);
        let keep = self.results.partition_point(|result| result.at_ms() <= now_ms);
        self.counts.future = self.counts.future.saturating_add((self.results.len() - keep) as u64);
        self.results.truncate(keep);
        self.since_ms = self.since_ms.min(now_ms);
        if self.folded_ms > now_ms {
            let hours = now_ms.div_euclid(HOUR_MS) - self.first_hour;
            self.hours.truncate(usize::try_from(hours).unwrap_or(0));
            self.folded_ms = now_ms;
        }
    }
}
