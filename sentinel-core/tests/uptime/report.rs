//! The report for programs and the page: days that add up to the window, and an order that puts problems first.

use crate::windows::outcomes;
use crate::{DAY, HOUR, MINUTE, START, adds_up, check, checks, once, result};
use proptest::collection::vec;
use proptest::prelude::*;
use sentinel_core::uptime::{Check, CheckResult, Outcome, Status, Uptime, availability};

/// One check that was probed as `stream` says, and the moment after that.
fn probed(check: Check, created: i64, stream: &[(i64, Outcome)], interval_ms: u32) -> (Uptime, Vec<CheckResult>, i64) {
    let (mut uptime, mut now, mut results) = (Uptime::default(), created, Vec::new());
    uptime.configure(checks([check]), created);
    for (gap, outcome) in stream {
        now += gap;
        results.push(result(now, interval_ms, *outcome));
        uptime.record("shop", now, result(now, interval_ms, *outcome), None);
    }
    (uptime, results, now)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Ninety days, one after the other and each from midnight to midnight, that are what all raw results say, and, with what is left of
    /// the first day of the window, the window of 90 days: to the millisecond, wherever hours end and raw results begin.
    #[test]
    fn days_are_the_window(created in -100 * DAY..DAY, interval in prop::sample::select(vec![10_000_u32, 60_000, 3_600_000, 86_400_000]), stream in vec((prop_oneof![20 => 1_i64..120_000, 3 => 60_000..4 * HOUR, 1 => HOUR..9 * DAY], outcomes()), 0..1_600), spans in vec((-90 * DAY..30 * DAY, 1..3 * DAY), 0..4), later in prop_oneof![Just(0_i64), 1..4 * MINUTE, 1..100 * DAY], midnight in any::<bool>()) {
        let spans: Vec<(i64, i64)> = spans.iter().map(|(from, length)| (START + from, START + from + length)).collect();
        let (created, maintenance) = (START + created, once(&spans));
        let (uptime, results, now) = probed(Check { maintenance: maintenance.clone(), ..check("shop") }, created, &stream, interval);
        let now = if midnight { (now + later).div_euclid(DAY) * DAY + DAY } else { now + later };
        let standing = uptime.standing("shop", now).unwrap();
        for window in &standing.windows {
            prop_assert_eq!(window.availability, uptime.availability("shop", now - window.hours * HOUR, now).unwrap());
        }
        let (days, window) = (standing.days.unwrap(), standing.windows[3].availability);
        let parts: Vec<_> = days.iter().collect();
        prop_assert_eq!(parts.len(), 90);
        prop_assert_eq!((days.from_ms.rem_euclid(DAY), days.from_ms, days.to_ms), (0, parts[0].from_ms, now));
        for (place, day) in parts.iter().enumerate() {
            prop_assert!(adds_up(day), "{day:?}");
            prop_assert!(place == 89 || day.window_ms() == DAY as u64);
            prop_assert_eq!(*day, availability(&results, &maintenance, created, day.from_ms, day.to_ms));
            prop_assert!(day.to_ms > created || day.unknown_ms == day.window_ms());
        }
        let last = parts[89].window_ms();
        prop_assert!((1..=DAY as u64).contains(&last), "{last}");
        let sum = parts.into_iter().reduce(|sum, next| sum.and(&next).unwrap()).unwrap();
        prop_assert!((0..DAY + HOUR).contains(&(sum.from_ms - window.from_ms)));
        let before = uptime.availability("shop", window.from_ms, sum.from_ms).unwrap();
        prop_assert_eq!(before.and(&sum), Some(window));
    }
}

/// A day by hand: it came to be at noon, was up for an hour, then nobody probed.
#[test]
fn a_day_before_it_came_to_be_is_unknown() {
    let noon = START.div_euclid(DAY) * DAY + 12 * HOUR;
    let stream: Vec<(i64, Outcome)> = (0..60).map(|at| (if at == 0 { 0 } else { MINUTE }, Outcome::Up)).collect();
    let maintained = Check { maintenance: once(&[(noon - 40 * DAY, noon - DAY)]), ..check("shop") };
    let (uptime, _, _) = probed(maintained, noon, &stream, 60_000);
    let now = noon + DAY;
    let days = uptime.standing("shop", now).unwrap().days.unwrap();
    assert_eq!((days.up_ms[88], days.unknown_ms[88]), (61 * 60_000, (DAY - 61 * MINUTE) as u32));
    // Nothing is known of a day before that: not even that it was in maintenance.
    assert!(days.iter().take(88).all(|day| day.unknown_ms == DAY as u64));
    assert_eq!((days.up_ms[89], days.unknown_ms[89]), (0, (12 * HOUR) as u32));
}

#[test]
fn what_is_wrong_comes_first() {
    let mut uptime = Uptime::default();
    let paused = Check { paused: true, ..check("e") };
    uptime.configure(checks([check("a"), check("b"), check("c"), check("d"), paused]), START);
    let probe = |uptime: &mut Uptime, name: &str, outcome| {
        for at in [0, 20_000, 40_000, 60_000] {
            uptime.record(name, START + at, result(START + at, 60_000, outcome), None);
        }
    };
    for (name, outcome) in [("a", Outcome::Up), ("b", Outcome::Down), ("d", Outcome::Up)] {
        probe(&mut uptime, name, outcome);
    }
    let report = uptime.report(START + MINUTE);
    let order: Vec<_> = report.checks.iter().map(|check| (check.name.as_str(), check.status)).collect();
    let wanted =
        [("b", Status::Down), ("c", Status::Unknown), ("e", Status::Unknown), ("a", Status::Up), ("d", Status::Up)];
    assert_eq!(order, wanted);
    assert_eq!((report.counts.down, report.counts.unknown, report.counts.up), (1, 2, 2));
    let first = report.clone().first(2);
    assert_eq!((&first.checks[..], first.counts), (&report.checks[..2], report.counts));
    assert_eq!(report.clone().first(9), report);
    // Whoever fills it in has nothing to say of these.
    assert_eq!((report.service.as_str(), report.leader, &report.note), ("", false, &None));
}

#[test]
fn without_days_it_is_small() {
    let mut uptime = Uptime::default();
    uptime.configure(checks([check("shop")]), START);
    let report = uptime.report(START);
    let days = serde_json::to_value(&report).unwrap()["checks"][0]["days"].clone();
    assert_eq!((days["from_ms"].as_i64(), days["to_ms"].as_i64()), (Some((START / DAY - 89) * DAY), Some(START)));
    assert!(
        ["up_ms", "down_ms", "maintenance_ms", "unknown_ms"]
            .iter()
            .all(|part| days[part].as_array().unwrap().len() == 90)
    );
    let small = serde_json::to_value(report.without_days()).unwrap();
    assert_eq!(small["checks"][0].get("days"), None);
    assert!(small["note"].is_null() && small["network_down_since_ms"].is_null());
}
