//! When checks are probed: spread, without drift, nothing made up for.

use crate::{DAY, MINUTE, START, World, check, checks};
use proptest::collection::vec;
use proptest::prelude::*;
use sentinel_core::uptime::{Check, Due, Outcome, Schedule, Uptime};
use std::collections::BTreeMap;
use std::time::Duration;

#[test]
fn ten_thousand_checks_spread_over_their_interval() {
    let mut seconds = BTreeMap::<i64, u32>::new();
    for check in 0..10_000 {
        let schedule = Schedule::new(&format!("check-{check}"), 60_000);
        *seconds.entry((schedule.first(START) - START) / 1_000).or_default() += 1;
    }
    // 167 a second on average, Poisson: 250 is six standard deviations above.
    assert_eq!(seconds.len(), 60);
    assert!(seconds.values().all(|count| (100..250).contains(count)), "{seconds:?}");
}

#[test]
fn a_suspended_machine_wakes_to_no_burst() {
    let schedules: Vec<Schedule> = (0..10_000).map(|at| Schedule::new(&format!("check-{at}"), 60_000)).collect();
    let (slept, now) = (START, START + 8 * 3_600_000);
    let mut seconds = BTreeMap::<i64, u32>::new();
    for schedule in &schedules {
        let last = schedule.first(slept);
        let due = schedule.next(last, now);
        *seconds.entry((due.at_ms.max(now) - now) / 1_000).or_default() += 1;
        assert!((478..=480).contains(&due.missed));
    }
    // Moments of the last five seconds are due at once, the others when they come.
    assert!(seconds[&0] < 7 * 250 && seconds.iter().skip(1).all(|(_, count)| *count < 250), "{seconds:?}");
}

#[test]
fn a_late_probe_does_not_shift_the_next_one() {
    let mut world = World::new(checks([check("shop")]));
    let first = world.uptime.next("shop", START).unwrap();
    for round in 0..100 {
        let now = first + round * MINUTE + (round * 37) % 4_000;
        assert!(world.uptime.begin("shop", now), "round {round}");
        let _ = world.uptime.record("shop", now + 1, crate::result(now, 60_000, Outcome::Up), None);
        assert!(world.uptime.next("shop", now + 1).unwrap() <= first + (round + 1) * MINUTE);
        while world.uptime.begin("shop", now + 11_000) {
            let _ = world.uptime.record("shop", now + 11_001, crate::result(now + 11_000, 60_000, Outcome::Up), None);
        }
    }
    assert_eq!(world.uptime.standing("shop", START).unwrap().missed, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// However the clock moves: each moment at most once, in order, those passed over are counted, the wait is never longer than two intervals.
    #[test]
    fn each_moment_at_most_once(interval in 1_000_u64..90_000_000, steps in vec(prop_oneof![10 => 0_i64..30_000, 3 => 0_i64..400_000_000, 1 => -2_000_i64..0, 1 => -900_000_000_i64..0], 1..60)) {
        let schedule = Schedule::new("shop", interval);
        let interval = interval as i64;
        let (mut now, mut last) = (START, schedule.first(START));
        prop_assert!((START..START + interval.min(MINUTE)).contains(&last));
        let phase = schedule.phase_ms() as i64;
        for step in steps {
            now += step;
            let Due { at_ms, missed } = schedule.next(last, now);
            prop_assert_eq!((at_ms - phase).rem_euclid(interval), 0, "on the grid");
            prop_assert!(at_ms - now <= 2 * interval);
            prop_assert!(now - at_ms <= 5_000.min(interval / 2), "nothing old is made up for");
            if at_ms > last {
                // The grid between the two, counted one by one where that is possible.
                let first = last + 1 + (phase - last - 1).rem_euclid(interval);
                prop_assert_eq!(missed as i64, (at_ms - first) / interval);
            } else {
                prop_assert!(last - now > interval, "only a clock that was set back far begins anew");
                prop_assert_eq!(missed, 0);
            }
            if at_ms <= now {
                last = at_ms;
            }
        }
    }
}

/// An edited interval holds at once: the next probe comes within the new interval (or a minute), and nothing is counted as missed.
#[test]
fn an_edited_interval_holds_at_once() {
    let with = |seconds: u64| checks([Check { interval: Duration::from_secs(seconds), ..check("shop") }]);
    for (before, after) in [(3_600, 10), (10, 3_600), (60, 61)] {
        let mut uptime = Uptime::default();
        uptime.configure(with(before), START);
        let first = uptime.next("shop", START).unwrap();
        assert!(uptime.begin("shop", first));
        let now = first + 1_800_000;
        let _ = uptime.record("shop", first + 10, crate::result(first, (before * 1_000) as u32, Outcome::Up), None);
        uptime.configure(with(after), now);
        let next = uptime.next("shop", now).unwrap().max(now);
        assert!(next - now < (after as i64 * 1_000).min(MINUTE), "{before} to {after}");
        assert!(uptime.begin("shop", next));
        assert_eq!(uptime.standing("shop", now).unwrap().missed, 0);
    }
}

#[test]
fn one_probe_at_a_time_and_none_while_paused() {
    let mut uptime = Uptime::default();
    uptime.configure(checks([Check { interval: Duration::from_secs(10), ..check("shop") }]), START);
    let at = uptime.next("shop", START).unwrap();
    assert!(uptime.begin("shop", at) && !uptime.begin("shop", at + 10_000));
    // The probe never came back: five seconds after its timeout it counts as lost.
    assert!(!uptime.begin("shop", at + 14_999));
    assert!(uptime.begin("shop", at + MINUTE));
    uptime.configure(checks([Check { paused: true, ..check("shop") }]), at + 2 * MINUTE);
    assert_eq!(uptime.next("shop", at + DAY), None);
    assert!(!uptime.begin("shop", at + DAY));
    uptime.configure(checks([check("shop")]), at + DAY);
    assert!((at + DAY..at + DAY + MINUTE).contains(&uptime.next("shop", at + DAY).unwrap()));
    assert_eq!(uptime.standing("shop", at + DAY).unwrap().missed, 5); // while that one was waited for
}

/// A clock that is set back by a year: probed again within a minute.
#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut world = World::new(checks([check("shop")]));
    world.run(10 * MINUTE, 100, |_, _| Outcome::Up);
    let now = START - 365 * DAY;
    assert!(!world.uptime.begin("shop", now));
    let next = world.uptime.next("shop", now).unwrap();
    assert!((now..now + MINUTE).contains(&next));
    assert!(world.uptime.begin("shop", next));
    let after = world.uptime.record("shop", next, crate::result(next, 60_000, Outcome::Up), None);
    assert!(after.stored.is_some());
    let window = world.uptime.availability("shop", next, next + MINUTE).unwrap();
    assert_eq!(window.up_ms, 60_000);
}
