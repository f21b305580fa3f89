//! How much of a window a target was up: sums of milliseconds, so that windows add up exactly.
//!
//! By docs/design/08-uptime.md: result i covers `[tᵢ, min(tᵢ₊₁, tᵢ + 2·interval))`; the rest is unknown; what lies in a maintenance window is
//! maintenance, whatever was found there.

use super::maintenance::Spans;
use super::result::{CheckResult, Outcome};
use crate::util::wire::MAX_COUNT;
use serde::Serialize;

/// What is known of a target in `[from_ms, to_ms)`. The four parts are the window, to the millisecond.
///
/// ```
/// use sentinel_core::uptime::{Cause, CheckResult, availability};
///
/// let results = [CheckResult::up(0, 60_000), CheckResult::down(60_000, 60_000, Cause::Timeout), CheckResult::up(90_000, 60_000)];
/// let hour = availability(&results, &[], 0, 0, 3_600_000);
/// assert_eq!((hour.up_ms, hour.down_ms, hour.unknown_ms), (60_000 + 120_000, 30_000, 3_390_000));
/// assert_eq!(hour.uptime(), Some(180.0 / 210.0));
/// assert_eq!(hour.coverage(), Some(210.0 / 3_600.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Availability {
    /// Its beginning, Unix ms.
    pub from_ms: i64,
    /// Its end, Unix ms: the first moment that is not part of it.
    pub to_ms: i64,
    /// So long it was up, in milliseconds.
    pub up_ms: u64,
    /// So long it was down.
    pub down_ms: u64,
    /// So long it was in maintenance.
    pub maintenance_ms: u64,
    /// So long nobody knows: before its creation, while it was paused, while nobody probed, while this side's network was down.
    pub unknown_ms: u64,
}

impl Availability {
    /// Its length in milliseconds.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::availability(&[], &[], 0, 7, 9).window_ms(), 2);
    /// ```
    pub fn window_ms(&self) -> u64 {
        self.to_ms.saturating_sub(self.from_ms).max(0) as u64
    }

    /// up / (up + down), 0 to 1; `None` without data. Less than 1 whenever it was down at all.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Availability::default().uptime(), None);
    /// ```
    pub fn uptime(&self) -> Option<f64> {
        let known = self.up_ms.saturating_add(self.down_ms);
        (known > 0).then(|| self.up_ms as f64 / known as f64)
    }

    /// (up + down) / (window − maintenance), 0 to 1: how much of what was to be watched is behind [`Availability::uptime`]. `None` where
    /// nothing was to be watched.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::availability(&[], &[], 0, 0, 1_000).coverage(), Some(0.0));
    /// ```
    pub fn coverage(&self) -> Option<f64> {
        let watched = self.window_ms().saturating_sub(self.maintenance_ms);
        (watched > 0).then(|| self.up_ms.saturating_add(self.down_ms) as f64 / watched as f64)
    }

    /// As people read it, in thousandths of a percent and rounded down: never `100%` if it was down, never `0%` if it was up.
    ///
    /// ```
    /// use sentinel_core::uptime::Availability;
    ///
    /// let day = Availability { up_ms: 86_399_999, down_ms: 1, ..Availability::default() };
    /// assert_eq!(day.uptime_text(), "99.999%");
    /// assert_eq!(Availability { up_ms: 1, ..Availability::default() }.uptime_text(), "100%");
    /// assert_eq!(Availability::default().uptime_text(), "–");
    /// ```
    pub fn uptime_text(&self) -> String {
        let known = u128::from(self.up_ms) + u128::from(self.down_ms);
        let Some(thousandths) = (u128::from(self.up_ms) * 100_000).checked_div(known) else { return "–".into() };
        let thousandths = if self.up_ms > 0 { thousandths.max(1) } else { 0 };
        match (thousandths / 1_000, thousandths % 1_000) {
            (whole, 0) => format!("{whole}%"),
            (whole, rest) => format!("{whole}.{}%", format!("{rest:03}").trim_end_matches('0')),
        }
    }

    /// Both windows as one; `None` unless `next` begins where this one ends.
    ///
    /// ```
    /// use sentinel_core::uptime::{CheckResult, availability};
    ///
    /// let part = |from, to| availability(&[CheckResult::up(0, 60_000)], &[], 0, from, to);
    /// assert_eq!(part(0, 70_000).and(&part(70_000, 300_000)), Some(part(0, 300_000)));
    /// assert_eq!(part(0, 70_000).and(&part(70_001, 300_000)), None);
    /// ```
    #[must_use]
    pub fn and(&self, next: &Self) -> Option<Self> {
        (self.to_ms == next.from_ms).then(|| Self {
            from_ms: self.from_ms,
            to_ms: next.to_ms,
            up_ms: self.up_ms.saturating_add(next.up_ms),
            down_ms: self.down_ms.saturating_add(next.down_ms),
            maintenance_ms: self.maintenance_ms.saturating_add(next.maintenance_ms),
            unknown_ms: self.unknown_ms.saturating_add(next.unknown_ms),
        })
    }

    /// Of what is known of a window, and the rest unknown.
    pub(super) fn of(from_ms: i64, to_ms: i64, sum: Sum) -> Self {
        let Sum { up_ms, down_ms, maintenance_ms } = sum;
        let window = Self { from_ms, to_ms, up_ms, down_ms, maintenance_ms, unknown_ms: 0 };
        let known = up_ms.saturating_add(down_ms).saturating_add(maintenance_ms);
        Self { unknown_ms: window.window_ms().saturating_sub(known), ..window }
    }
}

/// The availability of `[from_ms, to_ms)` by raw results, which may come in any order and doubled; of one moment the worst counts. Before
/// `since_ms`, when the check came to be, nothing is maintenance. A window that ends before it begins is empty; moments beyond ±2^53 are
/// those.
///
/// [`super::History`] computes the same of what it keeps.
///
/// ```
/// use sentinel_core::uptime::{CheckResult, Maintenance, availability};
///
/// let nightly = Maintenance::once(30_000, 40_000);
/// let minute = availability(&[CheckResult::up(0, 60_000)], &[nightly], 0, 0, 60_000);
/// assert_eq!((minute.up_ms, minute.maintenance_ms, minute.uptime_text()), (50_000, 10_000, "100%".into()));
/// ```
pub fn availability(
    results: &[CheckResult],
    maintenance: &[super::Maintenance],
    since_ms: i64,
    from_ms: i64,
    to_ms: i64,
) -> Availability {
    let limit = MAX_COUNT as i64;
    let from_ms = from_ms.clamp(-limit, limit);
    let to_ms = to_ms.clamp(from_ms, limit);
    let mut results: Vec<CheckResult> = results.iter().map(|result| result.bounded()).collect();
    results.sort_unstable();
    results.dedup_by(|later, kept| {
        let same = later.at_ms == kept.at_ms;
        if same {
            *kept = *later;
        }
        same
    });
    let spans = Spans::of(maintenance, from_ms.max(since_ms), to_ms);
    Availability::of(from_ms, to_ms, measure(results.into_iter(), &spans, from_ms, to_ms))
}

/// What is known of some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_field_names, reason = "the unit")]
pub(super) struct Sum {
    pub(super) up_ms: u64,
    pub(super) down_ms: u64,
    pub(super) maintenance_ms: u64,
}

/// The sums of `[from_ms, to_ms)`; results in rising order, one a moment. The one place that knows the formula.
pub(super) fn measure(results: impl Iterator<Item = CheckResult>, spans: &Spans, from_ms: i64, to_ms: i64) -> Sum {
    let mut sum = Sum { maintenance_ms: spans.overlap(from_ms, to_ms), ..Sum::default() };
    let mut results = results.peekable();
    while let Some(result) = results.next() {
        let next = results.peek().map_or(i64::MAX, |next| next.at_ms);
        let (from, to) = (result.at_ms.max(from_ms), result.until_ms().min(next).min(to_ms));
        if from >= to {
            continue;
        }
        let ms = ((to - from) as u64).saturating_sub(spans.overlap(from, to));
        match result.outcome {
            Outcome::Up => sum.up_ms += ms,
            Outcome::Down => sum.down_ms += ms,
            Outcome::Unknown => {}
        }
    }
    sum
}
