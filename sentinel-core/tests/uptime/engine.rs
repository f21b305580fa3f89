//! Whatever happens, in any order: the parts are the window, and every result counts as the raw ones do.

use crate::windows::outcomes;
use crate::{DAY, MINUTE, START, adds_up, check, checks, result};
use proptest::collection::vec;
use proptest::prelude::*;
use sentinel_core::uptime::{Check, CheckResult, Outcome, Uptime, availability};
use std::time::Duration;

#[derive(Debug, Clone)]
enum Event {
    /// A result of a check, so much later than it began.
    Found(u8, Outcome, i64),
    Again(u8),
    Pause(u8),
    Resume(u8),
    Interval(u8, u64),
    Remove(u8),
}

fn events() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let event = prop_oneof![
        30 => (0_u8..3, outcomes(), 0_i64..30_000).prop_map(|(check, outcome, late)| Event::Found(check, outcome, late)),
        3 => (0_u8..3).prop_map(Event::Again),
        1 => (0_u8..3).prop_map(Event::Pause),
        2 => (0_u8..3).prop_map(Event::Resume),
        1 => (0_u8..3, 1_u64..600).prop_map(|(check, seconds)| Event::Interval(check, seconds)),
        1 => (0_u8..3).prop_map(Event::Remove),
    ];
    let moves = prop_oneof![20 => 0_i64..20_000, 2 => 0_i64..4_000_000, 1 => -50_000_i64..0];
    vec((moves, event), 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A model that keeps what was stored, and when it was paused: the availability of any window is that of the model.
    #[test]
    fn any_events_add_up(events in events(), windows in vec((-100_000_i64..5_000_000, 0_i64..5_000_000), 1..6)) {
        let mut list: Vec<Check> = (0..3).map(|at| check(&format!("t{at}"))).collect();
        let mut gone = [false; 3];
        let mut uptime = Uptime::default();
        uptime.configure(checks(list.clone()), START);
        let (mut now, mut latest) = (START, START);
        // Raw results of each, and since when it is there.
        let mut raw: [(i64, Vec<CheckResult>); 3] = [(START, Vec::new()), (START, Vec::new()), (START, Vec::new())];
        for (moves, event) in events {
            // Steps back of less than a minute from the latest: what a clock does.
            now = (now + moves).max(latest - 59_000);
            latest = latest.max(now);
            let mut edit = None;
            match event {
                Event::Found(at, outcome, late) => {
                    let found = result(now - late, list[at as usize].interval_ms(), outcome);
                    let after = uptime.record(&list[at as usize].name, now, found, None);
                    if let Some(stored) = after.stored {
                        raw[at as usize].1.push(stored);
                    }
                    if let Some(since) = after.disowned_ms {
                        raw.iter_mut().flat_map(|(_, results)| results).filter(|one| one.is_down() && one.at_ms >= since).for_each(|one| one.outcome = Outcome::Unknown);
                    }
                }
                Event::Again(at) => {
                    if let Some(last) = raw[at as usize].1.last().copied() {
                        prop_assert!(uptime.record(&list[at as usize].name, now, last, None).stored.is_none());
                    }
                }
                Event::Pause(at) => edit = Some((at as usize, true, list[at as usize].interval, false)),
                Event::Resume(at) => edit = Some((at as usize, false, list[at as usize].interval, false)),
                Event::Interval(at, seconds) => edit = Some((at as usize, list[at as usize].paused, Duration::from_secs(seconds), false)),
                Event::Remove(at) => edit = Some((at as usize, list[at as usize].paused, list[at as usize].interval, true)),
            }
            if let Some((at, paused, interval, remove)) = edit {
                if gone[at] {
                    // The check comes back as a new one.
                    raw[at] = (now, Vec::new());
                } else if paused && !list[at].paused && !remove {
                    raw[at].1.push(result(now, interval.as_millis() as u32, Outcome::Unknown));
                }
                gone[at] = remove;
                list[at] = Check { paused, interval, ..list[at].clone() };
                uptime.configure(checks(list.iter().zip(gone).filter(|(_, gone)| !gone).map(|(check, _)| check.clone())), now);
            }
        }
        for (at, (since, results)) in raw.iter().enumerate().filter(|(at, _)| !gone[*at]) {
            for (from, length) in &windows {
                let (from, to) = (START + from, START + from + length);
                let window = uptime.availability(&list[at].name, from, to).unwrap();
                prop_assert!(adds_up(&window));
                prop_assert_eq!(window, availability(results, &[], *since, from, to));
            }
        }
        prop_assert!(uptime.report(now).checks.iter().flat_map(|check| &check.windows).all(|window| adds_up(&window.availability)));
    }
}

/// Created in the middle of a window, paused in it, and nobody probes for a while: by hand.
#[test]
fn an_hour_by_hand() {
    let mut uptime = Uptime::default();
    uptime.configure(checks([check("shop")]), START + 10 * MINUTE);
    let probe = |uptime: &mut Uptime, minutes: std::ops::Range<i64>, outcome| {
        for minute in minutes {
            let at = START + minute * MINUTE;
            uptime.record("shop", at + 100, result(at, 60_000, outcome), None);
        }
    };
    probe(&mut uptime, 10..20, Outcome::Up); // 10 min up
    probe(&mut uptime, 20..25, Outcome::Down); // 5 min down
    uptime.configure(checks([Check { paused: true, ..check("shop") }]), START + 25 * MINUTE);
    uptime.configure(checks([check("shop")]), START + 30 * MINUTE); // 5 min unknown
    probe(&mut uptime, 30..40, Outcome::Up); // 11 min up: the last one holds for two
    probe(&mut uptime, 50..60, Outcome::Up); // after 9 min of nobody, 10 min up
    let hour = uptime.availability("shop", START, START + 60 * MINUTE).unwrap();
    let minutes = |ms: u64| ms / 60_000;
    assert_eq!((minutes(hour.up_ms), minutes(hour.down_ms), minutes(hour.unknown_ms)), (31, 5, 24));
    assert_eq!(hour.coverage(), Some(0.6));
    assert_eq!(hour.uptime(), Some(31.0 / 36.0));
}

/// An interval that is edited: each result holds for two of the intervals that it was taken at.
#[test]
fn each_result_has_the_interval_of_its_time() {
    let mut uptime = Uptime::default();
    uptime.configure(checks([check("shop")]), START);
    uptime.record("shop", START, result(START, 60_000, Outcome::Up), None);
    uptime.configure(checks([Check { interval: Duration::from_secs(10), ..check("shop") }]), START + 30_000);
    let window = |uptime: &Uptime| uptime.availability("shop", START, START + 600_000).unwrap();
    assert_eq!(window(&uptime).up_ms, 120_000);
    uptime.record("shop", START + 30_000, result(START + 30_000, 10_000, Outcome::Up), None);
    assert_eq!(window(&uptime).up_ms, 50_000);
}

#[test]
fn absurd_moments_are_survived() {
    let mut uptime = Uptime::default();
    uptime.configure(checks([check("shop")]), i64::MAX);
    for now in [i64::MIN, -1, 0, i64::MAX, START, START - 3_650 * DAY, START + 3_650 * DAY, i64::MIN] {
        let _ = (uptime.begin("shop", now), uptime.next("shop", now));
        uptime.record("shop", now, CheckResult { interval_ms: u32::MAX, ..result(now, 0, Outcome::Down) }, Some(now));
        assert!(uptime.report(now).checks[0].windows.iter().all(|window| adds_up(&window.availability)), "{now}");
        let bytes = uptime.encode("shop").unwrap();
        assert_eq!(uptime.restore("shop", &bytes), Ok(true));
    }
}

/// The test that is easiest to forget: what programs see has no secret, and null where nothing is known.
#[test]
fn a_report_is_plain_json() {
    let mut uptime = Uptime::default();
    uptime.configure(checks([check("shop")]), START);
    let json = serde_json::to_value(uptime.report(START)).unwrap();
    let shop = &json["checks"][0];
    assert_eq!((shop["status"].as_str(), shop["last"].is_null()), (Some("unknown"), true));
    assert!(shop["windows"][3]["uptime"].is_null() && shop["windows"][3]["hours"] == 2_160);
    assert_eq!(shop["windows"][0]["unknown_ms"], 86_400_000);
}
