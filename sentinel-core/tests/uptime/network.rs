//! Is it the targets, or this side's own network?

use crate::{MINUTE, START, World, check, checks, told};
use proptest::prelude::*;
use sentinel_core::uptime::{Cause, Check, CheckResult, Confirm, Outcome, Status, Target, Uptime, What};
use std::time::Duration;

const DEAD: std::ops::Range<i64> = 10 * MINUTE..20 * MINUTE;

fn many(count: usize) -> impl Iterator<Item = Check> {
    (0..count).map(|at| check(&format!("t{at}")))
}

fn dead(at: i64) -> Outcome {
    if DEAD.contains(&at) { Outcome::Down } else { Outcome::Up }
}

/// After a dead network: no check was ever down, nothing is counted as down, and what was probed then is unknown.
fn nobody_was_down(world: &World) {
    assert!(!world.changes.iter().any(|change| matches!(change.what, What::Down)), "{:?}", world.told());
    let since = world.disowned[0];
    for name in world.uptime.names() {
        let window = world.uptime.availability(name, START, START + 30 * MINUTE).unwrap();
        assert_eq!(window.down_ms, 0, "{name}");
        let results: Vec<_> = world
            .uptime
            .history(name)
            .unwrap()
            .results()
            .filter(|result| DEAD.contains(&(result.at_ms - START)))
            .collect();
        assert!(
            !results.is_empty()
                && results.iter().all(|result| result.cause == Some(Cause::OwnNetwork) && result.at_ms >= since)
        );
        assert_eq!(world.uptime.standing(name, world.now).unwrap().status, Status::Up);
    }
}

/// 200 checks, for ten minutes nothing can be reached: whether it fails at once or by a timeout, and however quickly it is confirmed.
#[test]
fn two_hundred_on_a_dead_network_are_one_message() {
    for (took, every) in [(100, 10_000), (9_000, 10_000), (100, 1_000), (100, 100)] {
        let confirm = Confirm { every: Duration::from_millis(every), ..Confirm::default() };
        let mut world = World::new(checks(many(200).map(|check| Check { confirm: confirm.clone(), ..check })));
        world.run(30 * MINUTE, took, |_, at| dead(at));
        let none = String::new();
        assert_eq!(world.told(), [(none.clone(), "network_down"), (none, "network_up")], "took {took}, every {every}");
        let down = world.changes.iter().find(|change| change.what == What::NetworkDown).unwrap();
        assert!(DEAD.contains(&(down.since_ms - START)) && down.at_ms - down.since_ms < MINUTE);
        let up = world.changes.iter().find(|change| change.what == What::NetworkUp).unwrap();
        assert!(up.at_ms - START - DEAD.end < 11_000);
        nobody_was_down(&world);
    }
}

#[test]
fn a_few_checks_ask_each_other() {
    for count in [5, 6, 10, 20] {
        let mut world = World::new(checks(many(count)));
        world.run(30 * MINUTE, 100, |_, at| dead(at));
        let none = String::new();
        assert_eq!(world.told(), [(none.clone(), "network_down"), (none, "network_up")], "{count} checks");
        nobody_was_down(&world);
    }
}

/// One target of ten is down: the others are asked, and it takes no longer than it would.
#[test]
fn one_of_ten_is_down() {
    let mut world = World::new(checks(many(10)));
    world.run(30 * MINUTE, 100, |name, at| if name == "t3" { dead(at) } else { Outcome::Up });
    assert_eq!(world.told(), [("t3".into(), "down"), ("t3".into(), "up")]);
    let down = world.changes.iter().find(|change| change.what == What::Down).unwrap();
    assert!(down.at_ms - down.since_ms <= 20_500, "{down:?}");
    // Asked for it once, and that is all that it costs.
    let extra = world.probes.len() as i64 - 10 * 31;
    assert!(extra < 4 + 10 + 15, "{extra}");
}

/// Up to four checks, or one host: nothing can be said of the network.
#[test]
fn too_few_to_tell() {
    let mut world = World::new(checks(many(4)));
    world.run(30 * MINUTE, 100, |_, at| dead(at));
    assert_eq!(world.told().len(), 8);
    assert!(world.disowned.is_empty());
    let one_host =
        (0..20).map(|at| Check::new(format!("t{at}"), Target::new(&format!("https://shop.example/{at}")).unwrap()));
    let mut world = World::new(checks(one_host));
    world.run(30 * MINUTE, 100, |_, at| dead(at));
    assert_eq!(world.told().len(), 40);
}

/// Twenty checks of one host that is down say no more than one of them would: the others answer.
#[test]
fn a_host_with_many_checks_is_down() {
    let target = |at: usize| Target::new(&format!("https://shop.example/{at}")).unwrap();
    let shop = (0..20).map(|at| Check::new(format!("s{at}"), target(at)));
    let mut world = World::new(checks(shop.chain(many(4))));
    world.run(30 * MINUTE, 100, |name, at| if name.starts_with('s') { dead(at) } else { Outcome::Up });
    assert_eq!(world.told().len(), 40);
    assert!(world.disowned.is_empty());
}

/// A third of the targets goes down: those are down. And who was down already when the network died stays so, untold.
#[test]
fn a_third_is_down_and_then_the_network_dies() {
    let mut world = World::new(checks(many(30)));
    let third = |name: &str| name[1..].parse::<usize>().unwrap().is_multiple_of(3);
    world.run(30 * MINUTE, 100, |name, at| if third(name) && at >= 3 * MINUTE { Outcome::Down } else { dead(at) });
    let downs: Vec<_> = world.told().into_iter().filter(|(_, what)| *what == "down").map(|(name, _)| name).collect();
    assert_eq!(downs.len(), 10);
    assert!(downs.iter().all(|name| third(name)));
    assert_eq!(world.told().len(), 12);
    for name in world.uptime.names() {
        let standing = world.uptime.standing(name, world.now).unwrap();
        assert_eq!(standing.status, if third(name) { Status::Down } else { Status::Up }, "{name}");
        let window = world.uptime.availability(name, START + DEAD.start + 2 * MINUTE, START + DEAD.end).unwrap();
        assert_eq!(window.unknown_ms, window.window_ms(), "{name}");
    }
}

/// Checks of this machine answer all the time: they neither hide that the network is dead nor end it.
#[test]
fn local_targets_answer_all_the_time() {
    let mut world = World::new(checks(many(50)));
    let local = |name: &str| name[1..].parse::<usize>().unwrap() < 8;
    world.run(30 * MINUTE, 100, |name, at| if local(name) { Outcome::Up } else { dead(at) });
    assert_eq!(told(&world.changes).len(), 2, "{:?}", world.told());
    assert!(world.told().iter().all(|(name, _)| name.is_empty()));
    let window = world.uptime.availability("t1", START + 2 * MINUTE, START + 30 * MINUTE).unwrap();
    assert_eq!((window.down_ms, window.unknown_ms), (0, 0));
}

/// A target that is down when the network comes back is down: told after it, and counted from then on.
#[test]
fn who_does_not_come_back_is_down() {
    let mut world = World::new(checks(many(20)));
    world.run(30 * MINUTE, 100, |name, at| if name == "t7" && at >= DEAD.start { Outcome::Down } else { dead(at) });
    let names: Vec<_> = world.told().into_iter().map(|(name, what)| format!("{name} {what}")).collect();
    assert_eq!(names, [" network_down", " network_up", "t7 down"]);
    let down = world.changes.iter().find(|change| change.what == What::Down).unwrap();
    assert!(down.since_ms - START >= DEAD.end);
}

/// A third failure that began before the network was dead and is known after that: nobody is told twice.
#[test]
fn a_late_failure_is_not_told_again() {
    let confirm = |at: usize| Confirm { failures: if at == 0 { 3 } else { 1 }, ..Confirm::default() };
    let all = (0..7).map(|at| Check { confirm: confirm(at), ..check(&format!("t{at}")) });
    let mut uptime = Uptime::default();
    uptime.configure(checks(all), START);
    let mut changes = Vec::new();
    let mut record = |name: usize, began: i64, known: i64, outcome| {
        let found = crate::result(START + began, 60_000, outcome);
        changes.extend(uptime.record(&format!("t{name}"), START + known, found, None).changes);
    };
    (0..14).for_each(|at| record(at as usize % 7, at, at, Outcome::Up));
    [100, 20_000].into_iter().for_each(|at| record(0, at, at, Outcome::Down));
    (1..7).for_each(|name| record(name, 40_000 + name as i64, 40_000 + name as i64, Outcome::Down));
    record(1, 40_010, 40_010, Outcome::Down);
    record(0, 40_000, 49_000, Outcome::Down);
    assert_eq!(told(&changes), [(String::new(), "network_down")]);
}

/// Targets that are down already tell nothing about the network, however many they are.
#[test]
fn one_after_another_goes_down() {
    let mut world = World::new(checks(many(24)));
    world.run(30 * MINUTE, 100, |name, at| {
        let since = match name[1..].parse::<i64>().unwrap() {
            0..10 => 3 * MINUTE,
            10..19 => 8 * MINUTE,
            19 => 13 * MINUTE,
            _ => i64::MAX,
        };
        if at >= since { Outcome::Down } else { Outcome::Up }
    });
    assert_eq!(world.told().len(), 20, "{:?}", world.told());
    assert!(world.disowned.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However many, whenever it dies, and however long a probe takes: one message that it is dead, one that it is not.
    #[test]
    fn a_dead_network_is_one_message(count in 5_usize..60, from in 150_i64..400, length in 90_i64..600, took in 50_i64..9_500) {
        let dead = from * 1_000..(from + length) * 1_000;
        let mut world = World::new(checks(many(count)));
        world.run((from + length + 240) * 1_000, took, |_, at| if dead.contains(&at) { Outcome::Down } else { Outcome::Up });
        let none = String::new();
        prop_assert_eq!(world.told(), [(none.clone(), "network_down"), (none, "network_up")]);
        for name in world.uptime.names() {
            prop_assert_eq!(world.uptime.availability(name, START, world.now).unwrap().down_ms, 0);
        }
    }
}

/// Ten targets that fail together, three times; how many are down then, and whether it is the network.
fn together(cause: Cause) -> (usize, bool) {
    let mut uptime = Uptime::default();
    uptime.configure(checks(many(10)), START);
    for round in 0..3 {
        for at in 0..10 {
            let at_ms = START + round * MINUTE + at;
            uptime.record(&format!("t{at}"), at_ms + 50, CheckResult::down(at_ms, 60_000, cause), None);
        }
    }
    let report = uptime.report(START + 2 * MINUTE + 100);
    (report.counts.down, report.network_down_since_ms.is_some())
}

/// A target that answers is reached, whatever the answer; a blocked target tells nothing about the network.
#[test]
fn an_answer_is_no_dead_network() {
    for cause in [Cause::Dns, Cause::Connect, Cause::Timeout, Cause::Tls, Cause::Protocol] {
        assert_eq!(together(cause), (0, true), "{cause}");
    }
    for cause in
        [Cause::Status, Cause::Body, Cause::Json, Cause::Latency, Cause::Redirects, Cause::Certificate, Cause::Blocked]
    {
        assert_eq!(together(cause), (10, false), "{cause}");
    }
}

fn outage() -> Uptime {
    let mut uptime = Uptime::default();
    uptime.configure(checks(many(10)), START);
    for round in 0..3 {
        for at in 0..10 {
            let at_ms = START + round * MINUTE + at;
            uptime.record(&format!("t{at}"), at_ms + 50, CheckResult::down(at_ms, 60_000, Cause::Timeout), None);
        }
    }
    assert!(uptime.network().down_since_ms().is_some());
    uptime
}

/// A wrong answer is an answer: it ends an outage, and counts as down itself.
#[test]
fn a_wrong_answer_ends_an_outage() {
    let mut uptime = outage();
    let at = START + 3 * MINUTE;
    for (i, name) in ["t0", "t1"].iter().enumerate() {
        uptime.record(name, at + i as i64, CheckResult::down(at + i as i64, 60_000, Cause::Status), None);
    }
    assert_eq!(uptime.network().down_since_ms(), None);
    assert!(uptime.availability("t0", at, at + 60_000).unwrap().down_ms > 0);
}

/// Asked while the network was dead, and heard when it was back.
#[test]
fn who_was_asked_in_an_outage_is_excused_after_it() {
    let mut uptime = outage();
    let at = START + 3 * MINUTE;
    for (i, name) in ["t0", "t1"].iter().enumerate() {
        uptime.record(name, at + 100 + i as i64, CheckResult::up(at + i as i64, 60_000), None);
    }
    assert_eq!(uptime.network().down_since_ms(), None);
    uptime.record("t2", at + 9_000, CheckResult::down(at, 60_000, Cause::Timeout), None);
    let last = |uptime: &Uptime| uptime.history("t2").unwrap().results().last().unwrap();
    assert_eq!(last(&uptime).outcome, Outcome::Unknown);
    uptime.record("t2", at + 70_000, CheckResult::down(at + 60_000, 60_000, Cause::Timeout), None);
    assert_eq!(last(&uptime).outcome, Outcome::Down);
}

/// Whoever knew that the network is dead is gone: those who are left are not excused for ever.
#[test]
fn other_checks_find_out_anew() {
    let mut uptime = outage();
    let now = START + 3 * MINUTE;
    let after = uptime.configure(checks(many(3)), now);
    assert!(after.changes.iter().any(|change| change.what == What::NetworkUp));
    for at_ms in [now + 10, now + MINUTE, now + 2 * MINUTE] {
        uptime.record("t1", at_ms, CheckResult::up(at_ms, 60_000), None);
        uptime.record("t0", at_ms, CheckResult::down(at_ms, 60_000, Cause::Timeout), None);
    }
    assert_eq!(uptime.standing("t0", now + 2 * MINUTE).unwrap().status, Status::Down);
    // The same after a restart, with a file of more checks.
    let (before, mut after) = (outage(), Uptime::default());
    after.configure(checks(many(3)), now);
    after.restore_shared(&before.encode_shared()).unwrap();
    assert_eq!(after.network().down_since_ms(), None);
}

/// When a thousand targets hang and few can be probed at a time, each waits for its turn and is called down all the same.
#[test]
fn rare_probes_are_in_a_row() {
    for (interval, apart, wanted) in
        [(10, 39, Status::Down), (10, 119, Status::Down), (10, 121, Status::Unknown), (60, 119, Status::Down)]
    {
        let mut uptime = Uptime::default();
        let interval = Duration::from_secs(interval);
        uptime.configure(checks(many(1).map(|check| Check { interval, ..check })), START);
        for at in 0..3 {
            let at_ms = START + at * apart * 1_000;
            uptime.record("t0", at_ms, CheckResult::down(at_ms, interval.as_millis() as u32, Cause::Timeout), None);
        }
        let confirmed = uptime.standing("t0", START + 2 * apart * 1_000).unwrap().confirmed;
        assert_eq!(confirmed, wanted, "{interval:?} {apart}");
    }
}

/// One that times out while the others answer wrongly, and one that answers wrongly while the others time out: each is down by itself.
#[test]
fn each_is_judged_by_what_it_says_itself() {
    for (own, others) in
        [(Cause::Timeout, Cause::Status), (Cause::Status, Cause::Timeout), (Cause::Blocked, Cause::Timeout)]
    {
        let mut uptime = Uptime::default();
        uptime.configure(checks(many(10)), START);
        for round in 0..3 {
            // The others first: what they say is known when it is judged.
            for at in (0..10).rev() {
                let (at_ms, cause) = (START + round * MINUTE + 10 - at, if at == 0 { own } else { others });
                // These targets have not failed often enough to be judged themselves.
                if at == 0 || round == 2 {
                    uptime.record(&format!("t{at}"), at_ms, CheckResult::down(at_ms, 60_000, cause), None);
                }
            }
        }
        let first = uptime.standing("t0", START + 2 * MINUTE + 10).unwrap();
        assert_eq!((first.confirmed, uptime.network().down_since_ms()), (Status::Down, None), "{own}, others {others}");
    }
}

/// Half of the checks may not be asked at all: the others find out that the network is dead, and not that half of them answer.
#[test]
fn who_may_not_be_asked_is_no_witness() {
    let mut uptime = Uptime::default();
    uptime.configure(checks(many(12)), START);
    for round in 0..3 {
        for at in 0..12 {
            let at_ms = START + round * MINUTE + at;
            // The blocked targets have only begun to be: none is down yet.
            let (cause, asked) = if at < 6 { (Cause::Blocked, round == 2) } else { (Cause::Timeout, true) };
            if asked {
                uptime.record(&format!("t{at}"), at_ms, CheckResult::down(at_ms, 60_000, cause), None);
            }
        }
    }
    assert!(uptime.network().down_since_ms().is_some());
}
