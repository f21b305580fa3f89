//! However many conditions there are, so many are followed, and the others are counted.

use crate::{Bench, errors_rule, names, verdict_rule};
use sentinel_core::Kind;
use sentinel_core::alert::{Accused, Facts, MAX_KEYS, Phase, Row, Rules};

/// Places that rows may take.
const ROWS: u64 = MAX_KEYS as u64 - 64;

fn tenants(mut facts: Facts, range: std::ops::Range<u64>) -> Facts {
    for i in range {
        facts.row(format!("tenant_{i:05}").as_bytes(), Row { requests: 9_000, errors: 100 + i, ..Row::default() });
    }
    facts
}

fn both(r#for: u64) -> Rules {
    Rules { tenant_errors: errors_rule(100, r#for, 0).tenant_errors, ..verdict_rule(0, 0) }
}

#[test]
fn the_most_important_are_followed_and_the_others_counted() {
    let mut bench = Bench::new(both(0));
    bench.look(0, |facts| tenants(facts, 0..3_000));
    assert_eq!(bench.state.entries().count() as u64, ROWS);
    assert!(bench.state.entries().all(|(_, entry)| entry.weight >= 3_000 + 100 - ROWS));
    let counts = bench.state.counts();
    assert_eq!((counts.dropped, counts.without_place), (3_000 - ROWS, 3_000 - ROWS));
    // The same ones do not count again, further ones do, and there is room when some are over.
    bench.looks(1..=5, |facts| tenants(facts, 0..3_000));
    assert_eq!(bench.state.counts().dropped, 3_000 - ROWS);
    bench.look(6, |facts| tenants(facts, 0..3_010));
    assert_eq!((bench.state.counts().dropped, bench.state.counts().without_place), (3_010 - ROWS, 3_010 - ROWS));
    assert!(bench.state.encode().len() < 1 << 18);
    bench.looks(7..=15, |facts| tenants(facts, 0..3_010));
    assert!(bench.notices[0].message().lines.last().unwrap().starts_with("2,050 further conditions are not followed"));
    bench.look(16, |facts| tenants(facts, 0..10));
    assert_eq!((bench.state.counts().without_place, bench.state.entries().count()), (0, 10));
}

#[test]
fn a_flood_of_failing_tenants_does_not_keep_a_verdict_out() {
    let mut bench = Bench::new(both(0));
    bench.looks(0..=3, |facts| tenants(facts, 0..3_000));
    bench.look(4, |facts| tenants(facts, 0..3_000).with_verdict(names(Kind::Everyone, &[])));
    assert_eq!(bench.fired().last().unwrap().message().title.split(':').nth(1), Some(" Everyone is hit"));
}

/// A pending alert gives its place to a more important one; a firing one never does: its end has to be told.
#[test]
fn pending_alerts_give_way_and_firing_ones_do_not() {
    let mut bench = Bench::new(both(60));
    bench.look(0, |facts| tenants(facts, 0..ROWS));
    assert!(bench.state.entries().all(|(_, entry)| entry.phase == Phase::Pending));
    bench.look(1, |facts| tenants(facts, 0..ROWS + 10));
    assert_eq!((bench.state.entries().count() as u64, bench.state.counts().dropped), (ROWS, 10 + 10));
    let weights: Vec<u64> = bench.state.entries().map(|(_, entry)| entry.weight).collect();
    assert_eq!((weights.iter().min(), weights.iter().max()), (Some(&110), Some(&(ROWS + 109))));
    assert_eq!(bench.transitions.iter().filter(|t| t.to == Phase::Ok).count(), 10);

    let mut bench = Bench::new(both(0));
    bench.look(0, |facts| tenants(facts, 0..ROWS));
    bench.looks(1..=3, |facts| tenants(facts, 0..ROWS + 10));
    assert!(bench.state.entries().all(|(_, entry)| entry.phase == Phase::Firing && entry.weight < ROWS + 100));
    assert_eq!((bench.state.counts().dropped, bench.resolved().len()), (10, 0));
}

/// Tenants that fire and recover in every other look are told in time: the alerts that wait for a notice are bounded, and none is lost.
#[test]
fn what_is_over_does_not_pile_up() {
    let mut bench = Bench::new(errors_rule(100, 0, 0));
    for s in 0..400 {
        let from = s as u64 * 100;
        bench.look(s, |facts| tenants(facts, from..from + 100));
        assert!(bench.state.encode().len() < 1 << 19);
    }
    bench.looks(400..=1_000, |facts| facts);
    let told: usize = bench.notices.iter().map(|notice| notice.resolved).sum();
    assert_eq!((bench.fired().len(), bench.resolved().len(), told), (40_000, 40_000, 40_000));
}

#[test]
fn texts_are_cut() {
    let long = "é".repeat(5_000);
    let mut bench = Bench::new(verdict_rule(0, 0));
    bench.look(0, |mut facts| {
        facts.note = Some(long.clone());
        facts.errors_name = long.clone();
        facts.with_verdict(Accused { endpoint: Some(long.clone()), ..names(Kind::OneEndpoint, &[]) })
    });
    bench
        .look(1, |facts| facts.with_verdict(Accused { endpoint: Some(long.clone()), ..names(Kind::OneEndpoint, &[]) }));
    assert_eq!((bench.fired().len(), bench.phase()), (1, Phase::Firing));
    assert!(bench.state.encode().len() < 8_192);
    let many: Vec<String> = (0..100).map(|i| format!("{i}-{}", "x".repeat(300))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut bench = Bench::new(verdict_rule(0, 0));
    bench.look(0, |facts| facts.with_verdict(names(Kind::FewTenants, &many)));
    assert_eq!(bench.fired()[0].evidence.with.len(), 8);
    assert_eq!(sentinel_core::alert::State::decode(&bench.state.encode()), Ok(bench.state));
}
