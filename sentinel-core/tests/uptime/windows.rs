//! The formula against the oracle, and maintenance windows against a calendar.

use crate::{DAY, HOUR, MINUTE, adds_up, once, oracle, result};
use proptest::collection::vec;
use proptest::prelude::*;
use sentinel_core::uptime::{CheckResult, Day, Maintenance, Outcome, availability};
use std::time::Duration;

pub(crate) fn outcomes() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![Outcome::Up, Outcome::Up, Outcome::Down, Outcome::Unknown])
}

fn results() -> impl Strategy<Value = Vec<CheckResult>> {
    vec(
        (-300_i64..1_500, 1_u32..120, outcomes()).prop_map(|(at, interval, outcome)| result(at, interval, outcome)),
        0..40,
    )
}

fn spans() -> impl Strategy<Value = Vec<(i64, i64)>> {
    vec((-300_i64..1_500, 1_i64..300).prop_map(|(from, length)| (from, from + length)), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_parts_are_those_of_each_millisecond(results in results(), spans in spans(), since in -300_i64..900, from in -400_i64..1_600, length in 0_i64..1_200) {
        let window = availability(&results, &once(&spans), since, from, from + length);
        prop_assert!(adds_up(&window), "{window:?}");
        prop_assert_eq!(window, oracle(&results, &spans, since, from, from + length));
    }

    #[test]
    fn windows_add_up_over_any_splits(results in results(), spans in spans(), since in -300_i64..900, cuts in vec(-400_i64..1_600, 2..6)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let part = |from, to| availability(&results, &once(&spans), since, from, to);
        let whole = part(cuts[0], cuts[cuts.len() - 1]);
        let sum = cuts.windows(2).map(|pair| part(pair[0], pair[1])).reduce(|sum, next| sum.and(&next).unwrap());
        prop_assert_eq!(sum, Some(whole));
        prop_assert_eq!(whole.and(&part(whole.to_ms + 1, whole.to_ms + 2)), None);
    }

    /// Whatever order they come in, and however often.
    #[test]
    fn late_and_doubled_results_change_nothing(results in results(), order: prop::sample::Index, spans in spans()) {
        let mut other = results.clone();
        if !other.is_empty() {
            let at = order.index(other.len());
            other.rotate_left(at);
            other.push(other[at]);
        }
        let window = |results: &[CheckResult]| availability(results, &once(&spans), 0, -300, 1_500);
        prop_assert_eq!(window(&results), window(&other));
    }

    /// Weekly windows against a calendar that walks day by day, minute by minute.
    #[test]
    fn weeks_are_those_of_the_calendar(days in vec(0_usize..7, 1..4), at in 0_i64..1_440, length in 1_u64..1_440, offset in -840_i64..=840, from_minute in -20_000_i64..30_000_000) {
        let names = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
        let weekly = Maintenance::Weekly {
            days: days.iter().map(|day| names[*day]).collect(),
            at: at * MINUTE,
            length: Duration::from_mins(length),
            offset: offset * MINUTE,
        };
        let minutes = 3 * 1_440;
        let mut inside = 0;
        for minute in from_minute..from_minute + minutes {
            // On the clock of the window; 1970-01-01 was a Thursday, the fourth day.
            let local = minute + offset;
            let begins = (0..=1).any(|back| {
                let day = local.div_euclid(1_440) - back;
                let since = local - day * 1_440 - at;
                days.contains(&(((day + 3).rem_euclid(7)) as usize)) && (0..length as i64).contains(&since)
            });
            prop_assert_eq!(weekly.contains(minute * MINUTE), begins, "minute {}", minute);
            inside += u64::from(begins);
        }
        let (from, to) = (from_minute * MINUTE, (from_minute + minutes) * MINUTE);
        let window = availability(&[], &[weekly], from, from, to);
        prop_assert_eq!(window.maintenance_ms, inside * 60_000);
    }
}

#[test]
fn a_day_by_hand() {
    // Up at 0, fails at 10:00 to 10:00:30 (three probes), up again, nobody probes from 12:00 to 13:00, maintenance 20:00 to 21:00.
    let mut results: Vec<CheckResult> = (0..1_440)
        .filter(|minute| !(720..780).contains(minute))
        .map(|minute| result(minute * MINUTE, 60_000, Outcome::Up))
        .collect();
    results.extend([0, 10, 20].map(|s| result(10 * HOUR + s * 1_000, 60_000, Outcome::Down)));
    results.push(result(10 * HOUR + 30_000, 60_000, Outcome::Up));
    let day = availability(&results, &once(&[(20 * HOUR, 21 * HOUR)]), 0, 0, DAY);
    // The last probe before noon was at 11:59 and holds for two intervals.
    assert_eq!((day.down_ms, day.unknown_ms, day.maintenance_ms), (30_000, 59 * 60_000, 3_600_000));
    assert_eq!(day.up_ms, 86_400_000 - 30_000 - 59 * 60_000 - 3_600_000);
    assert_eq!(day.coverage(), Some((86_400_000 - 59 * 60_000 - 3_600_000) as f64 / (86_400_000 - 3_600_000) as f64));
    assert_eq!(day.uptime_text(), "99.962%");
}

#[test]
fn never_a_hundred_percent_when_it_was_down() {
    let day = 90 * DAY;
    let results = [result(0, 86_400_000, Outcome::Up), result(day - 1, 1, Outcome::Down)];
    let window = availability(&results, &[], 0, 0, day);
    assert_eq!((window.up_ms, window.down_ms, window.uptime_text().as_str()), (2 * 86_400_000, 1, "99.999%"));
    assert!(window.uptime().unwrap() < 1.0);
    assert_eq!(availability(&[result(0, 1, Outcome::Down)], &[], 0, 0, 9).uptime_text(), "0%");
    // Nor nothing when it was up.
    let hardly =
        availability(&[result(0, 1, Outcome::Up), result(2, 86_400_000, Outcome::Down)], &[], 0, 0, 2 * 86_400_000);
    assert_eq!((hardly.up_ms, hardly.uptime_text().as_str()), (2, "0.001%"));
    assert_eq!(availability(&[], &once(&[(0, 9)]), 0, 0, 9).coverage(), None);
}

#[test]
fn absurd_windows_are_answered() {
    for (from, to) in [(i64::MIN, i64::MAX), (5, -5), (i64::MAX, i64::MIN), (0, 0)] {
        let weekly = Maintenance::Weekly { days: vec![Day::Mon], at: 0, length: Duration::from_hours(24), offset: 0 };
        let window =
            availability(&[CheckResult::up(i64::MAX, u32::MAX), CheckResult::up(i64::MIN, 0)], &[weekly], 0, from, to);
        assert!(window.from_ms <= window.to_ms);
    }
}
