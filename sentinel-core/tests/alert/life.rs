//! ok → pending → firing → recovering → ok, by the clock.

use crate::{Bench, START, acme, errors_rule, names, verdict_rule};
use sentinel_core::Kind;
use sentinel_core::alert::Phase::{Firing, Ok, Pending, Recovering};
use sentinel_core::alert::{Phase, Rules};

const DAY: i64 = 86_400;

fn path(bench: &Bench) -> Vec<(Phase, Phase)> {
    bench.transitions.iter().map(|t| (t.from, t.to)).collect()
}

#[test]
fn a_whole_life() {
    let mut bench = Bench::new(errors_rule(100, 30, 60));
    bench.looks(0..=0, |facts| acme(facts, 100));
    assert_eq!(bench.phase(), Pending);
    bench.looks(1..=29, |facts| acme(facts, 100));
    assert_eq!(bench.phase(), Pending);
    bench.look(30, |facts| acme(facts, 260));
    assert_eq!(bench.phase(), Firing);
    bench.looks(31..=99, |facts| acme(facts, 300));
    bench.looks(100..=159, |facts| acme(facts, 50));
    assert_eq!(bench.phase(), Recovering);
    bench.look(160, |facts| acme(facts, 50));
    assert_eq!(bench.phase(), Ok);
    assert_eq!(path(&bench), [(Ok, Pending), (Pending, Firing), (Firing, Recovering), (Recovering, Ok)]);
    let (fired, resolved) = (bench.fired()[0], bench.resolved()[0]);
    assert_eq!((fired.fired_ms, fired.resolved_ms), (START + 30_000, None));
    assert_eq!((resolved.id, resolved.resolved_ms, resolved.lasted_ms), (fired.id, Some(START + 160_000), 130_000));
    // The evidence stays as it was.
    assert_eq!((fired.evidence.errors, &resolved.evidence), (260, &fired.evidence));
}

#[test]
fn pending_clears_and_begins_anew() {
    let mut bench = Bench::new(errors_rule(100, 30, 60));
    bench.table(acme, &[(0, 100, Pending), (29, 100, Pending), (30, 99, Ok), (31, 100, Pending), (60, 100, Pending)]);
    bench.table(acme, &[(61, 100, Firing)]);
    assert_eq!(path(&bench), [(Ok, Pending), (Pending, Ok), (Ok, Pending), (Pending, Firing)]);
    assert!(bench.transitions[..3].iter().all(|t| t.alert.is_none() && !t.notifies()));
}

#[test]
fn flapping_around_the_threshold_is_one_alert() {
    let mut bench = Bench::new(errors_rule(100, 0, 60));
    bench.looks(0..=0, |facts| acme(facts, 100));
    for s in 1..3_600 {
        bench.look(s, |facts| acme(facts, if s % 2 == 0 { 100 } else { 60 }));
    }
    assert_eq!(path(&bench), [(Ok, Firing)]);
    // Even across the whole hysteresis, as long as it is not over for a minute.
    for s in 3_600..7_200 {
        bench.look(s, |facts| acme(facts, if s % 60 == 0 { 60 } else { 0 }));
    }
    assert_eq!((bench.phase(), bench.resolved().len()), (Recovering, 0));
    bench.looks(7_200..=7_201, |facts| acme(facts, 0));
    assert_eq!((bench.phase(), bench.resolved().len()), (Ok, 1));
}

#[test]
fn what_comes_back_while_it_recovers_is_the_same_alert() {
    let mut bench = Bench::new(errors_rule(100, 30, 60));
    bench.looks(0..=30, |facts| acme(facts, 200));
    bench.looks(31..=90, |facts| acme(facts, 0));
    assert_eq!(bench.phase(), Recovering);
    bench.look(91, |facts| acme(facts, 51)); // not over, though not at N: that is enough
    assert_eq!(bench.phase(), Firing);
    bench.looks(92..=151, |facts| acme(facts, 0));
    assert_eq!(bench.phase(), Recovering); // counted from the beginning
    bench.look(152, |facts| acme(facts, 0));
    assert_eq!((bench.phase(), bench.fired().len(), bench.resolved().len()), (Ok, 1, 1));
}

#[test]
fn the_same_condition_later_is_another_alert() {
    let mut bench = Bench::new(errors_rule(100, 0, 0));
    bench.table(acme, &[(0, 100, Firing), (1, 0, Ok), (2, 100, Firing), (3, 0, Ok)]);
    let ids: Vec<_> = bench.fired().iter().map(|alert| alert.id).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(bench.resolved().iter().map(|alert| alert.id).collect::<Vec<_>>(), ids);
}

/// The same rule, subject and moment give the same id in every process; any other service, rule, subject or moment another one.
#[test]
fn ids_are_stable() {
    let id = |service: &str, rules: Rules, who: &str, at: i64| {
        let mut bench = Bench::new(rules.clone());
        bench.alerts = sentinel_core::alert::Alerts::new(service, rules).unwrap();
        bench.look(at, |mut facts| {
            let row = sentinel_core::alert::Row { errors: 200, requests: 900, ..Default::default() };
            facts.row(who.as_bytes(), row);
            facts.with_verdict(names(Kind::OneTenant, &[who]))
        });
        bench.fired()[0].id
    };
    let first = id("shop", verdict_rule(0, 0), "acme", 0);
    assert_eq!(first, id("shop", verdict_rule(0, 60), "acme", 0));
    let others = [
        id("shop", verdict_rule(0, 0), "acme", 1),
        id("shop", verdict_rule(0, 0), "acm", 0),
        id("shopa", verdict_rule(0, 0), "cme", 0),
        id("till", verdict_rule(0, 0), "acme", 0),
        id("shop", errors_rule(100, 0, 0), "acme", 0),
    ];
    assert!(others.iter().all(|other| *other != first));
    // SHA-256 of length-prefixed parts, computed elsewhere.
    assert_eq!(first.to_string(), "0a8d60dcec6c208b10182a1d0d90bc81");
}

/// Time that nobody watched is no time that something lasted.
#[test]
fn a_gap_counts_for_nothing_that_must_last() {
    let mut bench = Bench::new(errors_rule(100, 180, 180));
    bench.table(acme, &[(0, 100, Pending), (120, 100, Pending), (7_200, 100, Pending), (7_259, 100, Pending)]);
    bench.table(acme, &[(7_260, 100, Firing), (7_261, 0, Recovering), (7_381, 0, Recovering), (20_000, 0, Recovering)]);
    bench.table(acme, &[(20_059, 0, Recovering), (20_060, 0, Ok)]);
}

#[test]
fn a_clock_that_is_set_forward_begins_and_ends_nothing() {
    let mut bench = Bench::new(errors_rule(100, 60, 60));
    bench.looks(0..=10, |facts| acme(facts, 100));
    bench.looks(10_800..=10_849, |facts| acme(facts, 100));
    assert_eq!(bench.phase(), Pending);
    bench.look(10_850, |facts| acme(facts, 100));
    assert_eq!(bench.phase(), Firing);
    bench.looks(10_851..=10_861, |facts| acme(facts, 0));
    bench.looks(30_000..=30_049, |facts| acme(facts, 0));
    assert_eq!(bench.phase(), Recovering);
    bench.look(30_050, |facts| acme(facts, 0));
    assert_eq!(bench.phase(), Ok);
}

#[test]
fn a_clock_that_is_set_back_neither_hurries_nor_stops_anything() {
    let mut bench = Bench::new(errors_rule(100, 30, 60));
    bench.looks(0..=20, |facts| acme(facts, 100));
    bench.looks(-7_200..=-7_191, |facts| acme(facts, 100));
    assert_eq!(bench.phase(), Pending);
    bench.look(-7_190, |facts| acme(facts, 100));
    assert_eq!(bench.phase(), Firing);
    assert_eq!(bench.fired()[0].fired_ms, START - 7_190_000);
    bench.looks(-7_189..=-7_170, |facts| acme(facts, 0));
    bench.looks(-DAY..=-DAY + 60, |facts| acme(facts, 0));
    assert_eq!(bench.phase(), Ok);
    let resolved = bench.resolved()[0];
    assert_eq!(resolved.lasted_ms, 61_000); // 20 s before the step back, 41 s after it
    // The moment of the first alert comes again: this is another alert.
    bench.looks(-7_191..=-7_161, |facts| acme(facts, 100));
    bench.looks(-7_160..=-7_100, |facts| acme(facts, 0));
    let mut ids: Vec<_> = bench.fired().iter().map(|alert| alert.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 2);
}

/// Set back so that it fires again in the same millisecond.
#[test]
fn no_id_comes_twice() {
    let mut bench = Bench::new(errors_rule(100, 0, 0));
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..100 {
        ids.insert(bench.look(0, |facts| acme(facts, 100))[0].alert.as_ref().unwrap().id);
        assert!(bench.look(0, |facts| acme(facts, 0))[0].resolves());
    }
    assert_eq!(ids.len(), 100);
}

#[test]
fn absurd_moments_are_survived() {
    let mut bench = Bench::new(errors_rule(100, 0, 0));
    for at in [i64::MIN, -1, 0, i64::MAX, i64::MIN, i64::MAX] {
        let facts = acme(sentinel_core::alert::Facts::new(at, 600_000), 100);
        let (state, _) = bench.alerts.step(std::mem::take(&mut bench.state), at, Some(&facts));
        bench.state = sentinel_core::alert::State::decode(&state.encode()).unwrap();
        assert_eq!(bench.state, state);
    }
}
