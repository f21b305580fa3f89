//! The life of one check: confirmed before it is told, quiet while it flaps, silent where nothing is known.

use crate::{DAY, MINUTE, START, World, check, checks, result, told};
use proptest::collection::vec;
use proptest::prelude::*;
use sentinel_core::uptime::{
    Cause, Change, Check, CheckResult, Confirm, Maintenance, Outcome, Status, Target, Uptime, What,
};

/// Results of one check at these seconds; what is told, with the second.
fn life(check: Check, found: &[(i64, Outcome)]) -> (Uptime, Vec<(i64, &'static str)>) {
    let (mut uptime, mut out) = (Uptime::default(), Vec::new());
    let (name, interval) = (check.name.clone(), check.interval_ms());
    uptime.configure(checks([check]), START);
    for (s, outcome) in found {
        let at = START + s * 1_000;
        let after = uptime.record(&name, at, result(at, interval, *outcome), None);
        out.extend(after.changes.iter().filter(|change| change.tells).map(|change| (*s, change.what.name())));
    }
    (uptime, out)
}

const UP: Outcome = Outcome::Up;
const DOWN: Outcome = Outcome::Down;
const UNKNOWN: Outcome = Outcome::Unknown;

#[test]
fn three_failures_and_two_successes_in_a_row() {
    let found = [
        (0, UP),
        (10, UP),
        (60, DOWN),
        (70, DOWN),
        (80, UP),
        (120, DOWN),
        (130, DOWN),
        (140, DOWN),
        (200, UP),
        (210, DOWN),
        (220, UP),
        (230, UP),
        (300, UP),
    ];
    assert_eq!(life(check("shop"), &found).1, [(140, "down"), (230, "up")]);
    let quick = Check { confirm: Confirm { failures: 1, successes: 1, ..Confirm::default() }, ..check("shop") };
    assert_eq!(life(quick, &found[..5]).1, [(60, "down"), (80, "up")]);
    // Down from the first: told. Up from the first: no news.
    assert_eq!(life(check("shop"), &[(0, DOWN), (10, DOWN), (20, DOWN)]).1, [(20, "down")]);
    assert_eq!(life(check("shop"), &[(0, UP), (10, UP), (20, UP)]).1, []);
}

#[test]
fn what_is_counted_must_be_in_a_row() {
    // An unknown result, or a gap of two intervals, in between.
    assert_eq!(life(check("shop"), &[(0, DOWN), (10, DOWN), (20, UNKNOWN), (30, DOWN), (40, DOWN)]).1, []);
    assert_eq!(life(check("shop"), &[(0, DOWN), (10, DOWN), (130, DOWN), (140, DOWN)]).1, []);
    assert_eq!(life(check("shop"), &[(0, DOWN), (10, DOWN), (129, DOWN)]).1, [(129, "down")]);
    // One that is late, or doubled.
    assert_eq!(life(check("shop"), &[(0, UP), (20, DOWN), (30, DOWN), (30, DOWN), (10, DOWN)]).1, []);
}

#[test]
fn it_is_asked_again_soon_until_it_is_known() {
    let (mut uptime, _) = life(check("shop"), &[(0, UP)]);
    assert_eq!(uptime.next("shop", START), Some((START + 10_000).min(uptime.next("shop", START).unwrap())));
    let mut world = World::new(checks([check("shop")]));
    world.run(10 * MINUTE, 100, |_, at| if (200_000..400_000).contains(&at) { DOWN } else { UP });
    let down = world.changes.iter().find(|change| change.what == What::Down).unwrap();
    let up = world.changes.iter().rfind(|change| change.what == What::Up).unwrap();
    // At most an interval until the first failure, then 10 s and 10 s.
    assert!(down.at_ms - down.since_ms <= 2 * 10_200 && down.since_ms - START <= 260_000, "{down:?}");
    assert!(up.at_ms - up.since_ms <= 10_200 && up.since_ms - START <= 460_000, "{up:?}");
    assert_eq!((down.cause, world.told().len()), (Some(Cause::Timeout), 2));
    uptime.configure(checks([]), START);
    assert_eq!(uptime.next("shop", START), None);
}

#[test]
fn what_is_known_ends_where_nobody_probes() {
    let (uptime, _) = life(check("shop"), &[(0, UP), (10, UP)]);
    let status = |s: i64| uptime.standing("shop", START + s * 1_000).unwrap().status;
    assert_eq!((status(10), status(129), status(130)), (Status::Up, Status::Up, Status::Unknown));
    assert_eq!(uptime.standing("shop", START + DAY).unwrap().confirmed, Status::Up);
    // Known to be down before the gap and after it: one message.
    let found =
        [(0, DOWN), (10, DOWN), (20, DOWN), (4_000, DOWN), (4_010, DOWN), (4_020, DOWN), (4_030, UP), (4_040, UP)];
    assert_eq!(life(check("shop"), &found).1, [(20, "down"), (4_040, "up")]);
}

#[test]
fn failures_in_maintenance_are_no_news() {
    let window = Maintenance::once(START + 50_000, START + 1_000_000);
    let calm = Check { maintenance: vec![window], ..check("shop") };
    let mut found = vec![(0, UP), (10, UP)];
    found.extend((6..100).map(|at| (at * 10, DOWN)));
    let (uptime, told) = life(calm.clone(), &found);
    assert_eq!(told, []);
    assert!(uptime.standing("shop", START + 60_000).unwrap().maintenance);
    // Counted from the window's end on.
    found.extend([(1_000, DOWN), (1_010, DOWN)]);
    assert_eq!(life(calm.clone(), &found).1, []);
    found.push((1_020, DOWN));
    assert_eq!(life(calm, &found).1, [(1_020, "down")]);
}

#[test]
fn who_is_paused_while_down_is_over() {
    let (mut uptime, before) = life(check("shop"), &[(0, UP), (10, UP), (60, DOWN), (70, DOWN), (80, DOWN)]);
    assert_eq!(before, [(80, "down")]);
    let pause = uptime.configure(checks([Check { paused: true, ..check("shop") }]), START + 90_000);
    assert_eq!(told(&pause.changes), [("shop".into(), "unknown")]);
    assert_eq!(pause.marks, [("shop".into(), CheckResult::unknown(START + 90_000, 60_000, Cause::Paused))]);
    assert_eq!(uptime.standing("shop", START + 95_000).unwrap().status, Status::Unknown);
    // A probe that was on its way does not count.
    assert!(uptime.record("shop", START + 95_000, CheckResult::up(START + 91_000, 60_000), None).stored.is_none());
    let window = uptime.availability("shop", START, START + 300_000).unwrap();
    assert_eq!((window.up_ms, window.down_ms, window.unknown_ms), (60_000, 30_000, 210_000));
    let back = uptime.configure(checks([check("shop")]), START + 300_000);
    assert_eq!(told(&back.changes), []);
}

#[test]
fn another_target_is_another_life() {
    let found = [(0, DOWN), (10, DOWN), (20, DOWN)];
    let moved = Check { target: Target::new("https://other.example/").unwrap(), ..check("shop") };
    let (mut uptime, _) = life(check("shop"), &found);
    assert_eq!(told(&uptime.configure(checks([moved]), START + 30_000).changes), [("shop".into(), "unknown")]);
    // Only the interval, or the tags: it goes on.
    let (mut uptime, _) = life(check("shop"), &found);
    let tagged = Check { tags: vec!["eu".into()], ..check("shop") };
    assert_eq!(uptime.configure(checks([tagged]), START + 30_000).changes, []);
    assert_eq!(uptime.standing("shop", START + 31_000).unwrap().status, Status::Down);
    // Removed: over.
    assert_eq!(told(&uptime.configure(checks([]), START + 40_000).changes), [("shop".into(), "unknown")]);
}

#[test]
fn a_certificate_is_told_of_once_and_when_it_is_renewed() {
    let mut uptime = Uptime::default();
    uptime.configure(checks([check("shop")]), START);
    let expires = START + 20 * DAY;
    let mut out = Vec::new();
    for day in 0..30 {
        let (at, renewed) = (START + day * DAY, day >= 17);
        let expires = if renewed { expires + 90 * DAY } else { expires };
        let after = uptime.record("shop", at, CheckResult::up(at, 60_000), Some(expires));
        out.extend(after.changes.into_iter().filter(|change| change.tells).map(|change| (day, change.what)));
    }
    let renewed = What::CertificateRenewed { expires_ms: expires + 90 * DAY };
    assert_eq!(out, [(6, What::CertificateExpiring { expires_ms: expires }), (17, renewed)]);
    // Switched off.
    let mut uptime = Uptime::default();
    uptime.configure(checks([Check { certificate_days: 0, ..check("shop") }]), START);
    assert_eq!(uptime.record("shop", START, CheckResult::up(START, 60_000), Some(START)).changes, []);
}

/// Up for 40 s, down for 40 s, for a day: it is said that it flaps, and then nothing until it has settled.
#[test]
fn a_flapping_target_is_told_of_seven_times() {
    let mut world = World::new(checks([check("shop")]));
    world.run(DAY, 100, |_, at| if at < DAY - 3_600_000 && (at / 40_000) % 2 == 1 { DOWN } else { UP });
    let confirmed = world.changes.iter().filter(|change| matches!(change.what, What::Up | What::Down)).count();
    assert!(confirmed > 500, "it does flap: {confirmed}");
    let told: Vec<&str> = world.told().iter().map(|(_, what)| *what).collect();
    assert_eq!(told, ["down", "up", "down", "up", "down", "flapping", "settled"]);
    assert_eq!(world.changes.last().unwrap().what, What::Settled { status: Status::Up });
}

/// Six changes in a day are no flapping: each is told.
#[test]
fn what_is_rare_is_told_each_time() {
    let mut found = vec![(0, UP), (10, UP)];
    for hour in 1..5 {
        found.extend([0, 10, 20].map(|s| (hour * 7_200 + s, DOWN)));
        found.extend([30, 40].map(|s| (hour * 7_200 + s, UP)));
    }
    let told = life(check("shop"), &found).1;
    assert_eq!(told.len(), 8);
    assert!(told.iter().all(|(_, what)| *what != "flapping"));
}

/// Follows changes; panics at one that cannot be.
fn follow(changes: &[Change]) {
    let mut status = Status::Unknown;
    let mut known = false;
    for change in changes {
        let next = match change.what {
            What::Down => Status::Down,
            What::Up => Status::Up,
            What::Unknown => Status::Unknown,
            What::Flapping | What::Settled { .. } => {
                assert_ne!(known, change.what == What::Flapping, "{change:?}");
                known = change.what == What::Flapping;
                continue;
            }
            _ => continue,
        };
        assert_ne!(status, next, "{change:?}");
        assert!(change.since_ms <= change.at_ms, "{change:?}");
        known &= change.what != What::Unknown;
        status = next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any results: changes are what three failures and two successes in a row make of them, and no hour has more than fourteen messages.
    #[test]
    fn changes_are_what_is_in_a_row(found in vec((1_i64..70, prop::sample::select(vec![UP, DOWN])), 0..400), sticky in 0_u32..9) {
        let (mut uptime, mut changes, mut at) = (Uptime::default(), Vec::new(), START);
        uptime.configure(checks([check("shop")]), START);
        let (mut wanted, mut status, mut row, mut last) = (Vec::new(), None, 0, None);
        for (at_index, (wait, outcome)) in found.iter().enumerate() {
            let outcome = if sticky > 0 { found[at_index - at_index % (sticky as usize * 4)].1 } else { *outcome };
            at += wait * 1_000;
            changes.extend(uptime.record("shop", at, result(at, 60_000, outcome), None).changes);
            // The oracle: no gap can be here, so only the row counts.
            row = if last == Some(outcome) { row + 1 } else { 1 };
            last = Some(outcome);
            if status != Some(outcome) && row >= (if outcome == DOWN { 3 } else { 2 }) {
                status = Some(outcome);
                wanted.push((at, if outcome == DOWN { What::Down } else { What::Up }));
            }
        }
        let confirmed: Vec<(i64, What)> = changes.iter().filter(|change| matches!(change.what, What::Up | What::Down)).map(|change| (change.at_ms, change.what)).collect();
        prop_assert_eq!(confirmed, wanted);
        follow(&changes);
        let told: Vec<i64> = changes.iter().filter(|change| change.tells).map(|change| change.at_ms).collect();
        for first in &told {
            prop_assert!(told.iter().filter(|at| (*first..first + 3_600_000).contains(at)).count() <= 14);
        }
    }
}
