//! The kept history gives the same availability as all raw results.

use crate::windows::outcomes;
use crate::{DAY, HOUR, START, adds_up, once, result};
use proptest::collection::vec;
use proptest::prelude::*;
use sentinel_core::uptime::{Cause, CheckResult, History, KEPT_RESULTS, Outcome, availability};

/// Results that come roughly in order: gaps, late ones, doubled ones, intervals that are edited.
fn stream() -> impl Strategy<Value = Vec<CheckResult>> {
    let gap = prop_oneof![30 => 1_i64..60_000, 3 => 60_000_i64..600_000, 1 => 600_000_i64..40_000_000];
    let late = prop_oneof![20 => Just(0_i64), 2 => 0_i64..120_000, 1 => 0_i64..1_500_000_000];
    let one = (
        gap,
        late,
        prop::sample::select(vec![1_000_u32, 10_000, 60_000, 3_600_000]),
        outcomes(),
        prop::bool::weighted(0.05),
    );
    vec(one, 0..2_600).prop_map(|all| {
        let (mut at, mut out) = (START, Vec::new());
        for (gap, late, interval, outcome, doubled) in all {
            at += gap;
            out.push(result(at - late, interval, outcome));
            if doubled {
                out.push(result(at - late, interval, Outcome::Down));
            }
        }
        out
    })
}

/// The full hour before and after.
fn hours_around(from: i64, to: i64) -> (i64, i64) {
    (from.div_euclid(HOUR) * HOUR, (to + HOUR - 1).div_euclid(HOUR) * HOUR)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Hours and raw results together are what all raw results are, in every window: those that were dropped as late are counted.
    #[test]
    fn hours_are_what_the_raw_results_are(stream in stream(), since in 0_i64..7_200_000, spans in vec((0_i64..200_000_000, 1_i64..20_000_000), 0..4), windows in vec((-20_000_000_i64..150_000_000, 0_i64..100_000_000), 1..8), cuts in vec(-100_i64..3_000, 2..5)) {
        let spans: Vec<(i64, i64)> = spans.iter().map(|(from, length)| (START + from, START + from + length)).collect();
        let (maintenance, since) = (once(&spans), START + since);
        let (mut history, mut kept, mut late) = (History::new(since), Vec::new(), 0);
        for result in &stream {
            if result.at_ms < history.raw_from_ms() {
                late += 1;
            } else {
                kept.push(*result);
            }
            history.record(*result, &maintenance);
        }
        let counts = history.counts();
        prop_assert_eq!((counts.offered, counts.late), (stream.len() as u64, late));
        prop_assert!(history.results().count() <= KEPT_RESULTS);
        let raw = history.raw_from_ms();
        for (from, length) in windows {
            let (from, to) = (START + from, START + from + length);
            let found = history.availability(from, to, &maintenance);
            prop_assert!(adds_up(&found), "{found:?}");
            let around = hours_around(from, to);
            prop_assert_eq!(found.from_ms, if since < from && from < raw && from < to { around.0 } else { from });
            prop_assert_eq!(found.to_ms, if to < raw && since.max(from) < to { around.1 } else { to });
            prop_assert_eq!(found, availability(&kept, &maintenance, since, found.from_ms, found.to_ms));
        }
        // Additive over splits at full hours, wherever the raw results begin.
        let mut cuts: Vec<i64> = cuts.iter().map(|hour| hours_around(START, 0).0 + hour * HOUR).collect();
        cuts.sort_unstable();
        if cuts[cuts.len() - 1] - cuts[0] < 80 * DAY {
            let part = |from, to| history.availability(from, to, &maintenance);
            let sum = cuts.windows(2).map(|pair| part(pair[0], pair[1])).reduce(|sum, next| sum.and(&next).unwrap());
            prop_assert_eq!(sum, Some(part(cuts[0], cuts[cuts.len() - 1])));
        }
    }

    /// The clock is set back, far or a little, at any time: what is kept adds up, and what is found from then on has a place.
    #[test]
    fn a_clock_that_is_set_back_leaves_no_hole_in_the_future(stream in stream(), back in prop_oneof![60_000_i64..3_600_000, 1_i64..200_000_000], again in 0_i64..50_000_000) {
        let mut history = History::new(START);
        let mut latest = START;
        for result in &stream {
            history.record(*result, &[]);
            latest = latest.max(result.at_ms);
        }
        let now = latest - back;
        let before = history.availability(now - 2 * DAY, hours_around(now, 0).0, &[]);
        history.set_back(now);
        prop_assert!(history.results().all(|result| result.at_ms <= now));
        prop_assert!(history.raw_from_ms() <= now);
        // Full hours before it are as they were.
        if before.from_ms <= before.to_ms && before.to_ms <= now && before.to_ms < history.raw_from_ms() {
            prop_assert_eq!(history.availability(before.from_ms, before.to_ms, &[]), before);
        }
        let accepted = history.record(CheckResult::up(now + 1, 60_000), &[]);
        prop_assert!(accepted);
        let window = history.availability(now + 1, now + 120_001, &[]);
        prop_assert_eq!((window.up_ms, window.unknown_ms), (120_000, 0));
        prop_assert!(adds_up(&history.availability(now - again - 1, now + again, &[])));
    }

    /// Failures that are this side's own are unknown: nothing else changes.
    #[test]
    fn disowned_failures_are_unknown(stream in stream(), from in 0_i64..200_000_000) {
        let mut history = History::new(START);
        stream.iter().take(900).for_each(|result| _ = history.record(*result, &[]));
        let raw: Vec<CheckResult> = history.results().collect();
        let disowned = history.disown(START + from);
        let changed: Vec<CheckResult> = raw.iter().map(|result| {
            let own = result.is_down() && result.at_ms >= START + from;
            if own { CheckResult::unknown(result.at_ms, result.interval_ms, Cause::OwnNetwork) } else { *result }
        }).collect();
        prop_assert_eq!(disowned, raw.iter().zip(&changed).filter(|(a, b)| a != b).count());
        prop_assert_eq!(history.results().collect::<Vec<_>>(), changed);
    }
}

/// Hours that were added up for a future that does not come get nothing added.
#[test]
fn hours_are_not_counted_twice() {
    let mut history = History::new(0);
    (0..1_500).for_each(|at| _ = history.record(CheckResult::up(at * 60_000, 60_000), &[]));
    history.set_back(3 * HOUR + 1);
    (0..1_500).for_each(|at| _ = history.record(result(4 * HOUR + at * 60_000, 60_000, Outcome::Down), &[]));
    let window = history.availability(4 * HOUR, 4 * HOUR + 1_500 * 60_000, &[]);
    assert_eq!((window.up_ms, window.down_ms, adds_up(&window)), (0, 1_500 * 60_000, true));
    // Nor is the hour of the beginning for a window before that.
    let mut history = History::new(HOUR / 2);
    (30..1_500).for_each(|at| _ = history.record(CheckResult::up(at * 60_000, 60_000), &[]));
    assert_eq!(history.availability(0, HOUR / 4, &[]).unknown_ms, 900_000);
}

#[test]
fn ninety_days_and_not_more() {
    let mut history = History::new(START);
    let mut results = Vec::new();
    // Every ten minutes for a hundred days; down in the 7th minute of each hour's third probe.
    for at in 0..100 * 144 {
        let outcome = if at % 6 == 2 { Outcome::Down } else { Outcome::Up };
        let result = result(START + at * 600_000, 600_000, outcome);
        results.push(result);
        history.record(result, &[]);
    }
    let now = START + 100 * DAY;
    for days in [1, 7, 30, 90] {
        let window = history.availability(now - days * DAY, now, &[]);
        assert_eq!(window, availability(&results, &[], START, window.from_ms, now), "{days} days");
        assert_eq!(window.unknown_ms, 0);
        assert!((now - days * DAY - window.from_ms) < HOUR);
    }
    // Older hours are gone, and a longer window is answered for 90 days.
    let all = history.availability(START, now, &[]);
    assert_eq!(all.from_ms, (now.div_euclid(HOUR) - 90 * 24) * HOUR);
    let old = history.availability(START, START + 3 * DAY, &[]);
    assert_eq!(old.unknown_ms, old.window_ms());
}

#[test]
fn a_long_silence_is_unknown_and_costs_nothing() {
    let mut history = History::new(0);
    for at in 0..1_500_i64 {
        history.record(CheckResult::up(at * 60_000, 60_000), &[]);
    }
    // Ten years later, and again.
    for years in [10, 20, 1_000] {
        let later = years * 365 * DAY;
        for at in 0..1_500 {
            history.record(CheckResult::up(later + at * 60_000, 60_000), &[]);
        }
        let window = history.availability(later - 30 * DAY, later + 1_500 * 60_000, &[]);
        assert_eq!(window.up_ms, 1_500 * 60_000);
        assert_eq!(window.unknown_ms as i64, later - window.from_ms);
    }
}

#[test]
fn a_result_takes_twenty_bytes() {
    assert_eq!(CheckResult::BYTES, 20);
    // The worse of two results of one moment counts, whichever came first.
    let (up, down) = (CheckResult::up(5, 60_000), CheckResult::down(5, 60_000, Cause::Tls));
    for pair in [[up, down], [down, up]] {
        let mut history = History::new(0);
        pair.iter().for_each(|result| _ = history.record(*result, &[]));
        assert_eq!(history.results().collect::<Vec<_>>(), [down]);
        assert_eq!(history.counts().doubled, 1);
    }
}
