//! What is kept of a check: its last results as they are, and what older ones amount to, hour by hour for 90 days.

use super::availability::{Availability, Sum, measure};
use super::maintenance::{Maintenance, Spans};
use super::result::{Cause, CheckResult, Outcome, Packed};
use super::{KEPT_HOURS, KEPT_RESULTS};
use crate::util::wire::MAX_COUNT;
use serde::Serialize;
use std::collections::VecDeque;

pub(super) const HOUR: i64 = 3_600_000;

/// An hour, or what has been added up of it: the rest of its milliseconds is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_field_names, reason = "the unit")]
pub(super) struct Bucket {
    pub(super) up_ms: u32,
    pub(super) down_ms: u32,
    pub(super) maintenance_ms: u32,
}

impl Bucket {
    fn add(&mut self, sum: Sum) {
        self.up_ms = self.up_ms.saturating_add(sum.up_ms as u32);
        self.down_ms = self.down_ms.saturating_add(sum.down_ms as u32);
        self.maintenance_ms = self.maintenance_ms.saturating_add(sum.maintenance_ms as u32);
    }
}

/// What became of the results that came in: `offered = kept + doubled + late + future`, where what was added up is kept too.
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
    /// All that came.
    pub offered: u64,
    /// There was one of the same moment; the worse one is kept.
    pub doubled: u64,
    /// They belong to a time that has been added up, or to one before the check came to be.
    pub late: u64,
    /// They were of a future that did not come: the clock was set back.
    pub future: u64,
}

/// The history of one check: at most 1,000 results of 20 bytes and 2,161 hours of 12, whatever comes.
///
/// The last results are raw. What leaves them is added to the hours it covers, so the hours and the raw results never overlap: a window
/// is a sum over both.
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
    /// Everything before it is in the hours, everything from it on in the results. Never after the first result.
    pub(super) folded_ms: i64,
    /// The hour (Unix ms / 3,600,000) of the first bucket.
    pub(super) first_hour: i64,
    pub(super) hours: VecDeque<Bucket>,
    /// In rising order, one a moment.
    pub(super) results: VecDeque<Packed>,
    pub(super) counts: ResultCounts,
}

impl History {
    /// Of a check that came to be at `since_ms` (Unix ms): before it, everything is unknown.
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
            first_hour: since_ms.div_euclid(HOUR),
            hours: VecDeque::new(),
            results: VecDeque::new(),
            counts: ResultCounts::default(),
        }
    }

    /// When the check came to be, Unix ms.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::History::new(7).since_ms(), 7);
    /// ```
    pub fn since_ms(&self) -> i64 {
        self.since_ms
    }

    /// Takes a result, in whatever order they come; `maintenance` are the windows that hold now. False if it changes nothing: it is late, or
    /// known. What is once added up keeps the maintenance windows of that time.
    ///
    /// ```
    /// use sentinel_core::uptime::{CheckResult, History};
    ///
    /// let mut history = History::new(1_000);
    /// assert!(history.record(CheckResult::up(2_000, 60_000), &[]));
    /// assert!(!history.record(CheckResult::up(500, 60_000), &[])); // from before it came to be
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
                *other = Packed::new(result);
            }
            return worse;
        }
        self.results.insert(place, Packed::new(result));
        if self.results.len() > KEPT_RESULTS {
            self.fold(maintenance);
        }
        true
    }

    /// Adds up what the oldest result says of the time until the next one.
    fn fold(&mut self, maintenance: &[Maintenance]) {
        let Some(until) = self.results.get(1).map(Packed::at_ms) else { return };
        // What would be dropped at once is not laid out.
        let kept_from = (until.div_euclid(HOUR) - KEPT_HOURS).saturating_mul(HOUR);
        let mut from = self.folded_ms.max(kept_from);
        let spans = Spans::of(maintenance, from, until);
        let oldest = self.results.front().map(Packed::get);
        while from < until {
            let hour = from.div_euclid(HOUR);
            let to = ((hour + 1) * HOUR).min(until);
            let sum = measure(oldest.into_iter(), &spans, from, to);
            if let Some(bucket) = self.bucket(hour) {
                bucket.add(sum);
            }
            from = to;
        }
        self.results.pop_front();
        self.folded_ms = until;
    }

    /// The bucket of an hour that is not before the last one; those between are empty, those that are too old go.
    fn bucket(&mut self, hour: i64) -> Option<&mut Bucket> {
        let oldest = hour - KEPT_HOURS;
        if self.hours.is_empty() || self.first_hour + (self.hours.len() as i64) <= oldest {
            self.hours.clear();
            self.first_hour = hour;
        }
        let place = usize::try_from(hour - self.first_hour).ok()?;
        if place >= self.hours.len() {
            // Three days at a time: to double would keep room for half a year.
            let more = place + 1 - self.hours.len();
            if self.hours.capacity() <= place {
                self.hours.reserve_exact(more.max(72));
            }
            self.hours.resize(place + 1, Bucket::default());
        }
        while self.first_hour < oldest {
            self.hours.pop_front();
            self.first_hour += 1;
        }
        let place = usize::try_from(hour - self.first_hour).ok()?;
        self.hours.get_mut(place)
    }

    /// The availability of `[from_ms, to_ms)`. Between the check's beginning and [`History::raw_from_ms`] only whole hours are known, so a
    /// beginning there is moved back, and an end there forward, to a full hour: the answer says for what window it is. Of more than 90 days
    /// the last ones.
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
            to = (to - 1).div_euclid(HOUR).saturating_add(1) * HOUR;
        }
        from = from.max((to.div_euclid(HOUR) - KEPT_HOURS) * HOUR);
        if from < self.folded_ms && to > from && from > self.since_ms {
            from = from.div_euclid(HOUR) * HOUR;
        }
        let mut sum = Sum::default();
        if from < self.folded_ms && to > self.since_ms {
            let skip = usize::try_from(from.div_euclid(HOUR) - self.first_hour).unwrap_or(0);
            let hours = self.hours.iter().enumerate().skip(skip);
            for (_, bucket) in hours.take_while(|(at, _)| (self.first_hour + *at as i64) * HOUR < to) {
                sum.up_ms += u64::from(bucket.up_ms);
                sum.down_ms += u64::from(bucket.down_ms);
                sum.maintenance_ms += u64::from(bucket.maintenance_ms);
            }
        }
        let raw = from.max(self.folded_ms);
        if raw < to {
            let spans = Spans::of(maintenance, raw, to);
            let Sum { up_ms, down_ms, maintenance_ms } = measure(self.saying(raw, to), &spans, raw, to);
            sum.up_ms += up_ms;
            sum.down_ms += down_ms;
            sum.maintenance_ms += maintenance_ms;
        }
        Availability::of(from, to, sum)
    }

    /// The results that say something of `[from_ms, to_ms)`, which is not empty: of those before it the last one.
    fn saying(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = CheckResult> {
        let first = self.results.partition_point(|result| result.at_ms() <= from_ms).saturating_sub(1);
        let end = self.results.partition_point(|result| result.at_ms() < to_ms);
        self.results.range(first..end).map(Packed::get)
    }

    /// From here on (Unix ms) all results are raw: windows may begin and end at any millisecond.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::History::new(7).raw_from_ms(), 7);
    /// ```
    pub fn raw_from_ms(&self) -> i64 {
        self.folded_ms
    }

    /// The last results, the oldest first.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::History::new(0).results().count(), 0);
    /// ```
    pub fn results(&self) -> impl DoubleEndedIterator<Item = CheckResult> {
        self.results.iter().map(Packed::get)
    }

    /// What became of all results.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::History::new(0).counts().offered, 0);
    /// ```
    pub fn counts(&self) -> ResultCounts {
        self.counts
    }

    /// Failures from this moment on (Unix ms) that nobody has answered are this side's own: they say nothing of the target. How many there were.
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
                *packed = Packed::new(CheckResult { outcome, cause, ..result });
                disowned += 1;
            }
        }
        disowned
    }

    /// The clock was set back to `now_ms`: what was found after that lies in a future that is not coming, and is forgotten, so that what
    /// is found from now on has a place. An hour that was added up beyond `now_ms` becomes unknown.
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
            let hours = now_ms.div_euclid(HOUR) - self.first_hour;
            self.hours.truncate(usize::try_from(hours).unwrap_or(0));
            self.folded_ms = now_ms;
        }
    }
}
