//! Notices: alerts that share one, repetition, and the length of the list.

use crate::{Bench, acme, errors_rule, names, quiet_rules, verdict_rule};
use sentinel_core::Kind;
use sentinel_core::alert::{Facts, Phase, Row, Status};

/// So many tenants with 100 errors and more.
fn tenants(mut facts: Facts, range: std::ops::Range<u64>) -> Facts {
    for i in range {
        facts.row(format!("tenant_{i}").as_bytes(), Row { requests: 900, errors: 100 + i, ..Row::default() });
    }
    facts
}

fn told(bench: &Bench) -> Vec<(i64, usize, usize, usize)> {
    bench.notices.iter().map(|n| ((n.at_ms - crate::START) / 1_000, n.firing, n.still, n.resolved)).collect()
}

#[test]
fn the_first_waits_for_others_and_the_next_for_five_minutes() {
    let mut bench = Bench::new(errors_rule(100, 0, 0));
    bench.looks(0..=9, |facts| tenants(facts, 0..1));
    bench.looks(10..=14, |facts| tenants(facts, 0..3));
    assert_eq!(told(&bench), []);
    bench.looks(15..=19, |facts| tenants(facts, 0..3));
    assert_eq!(told(&bench), [(15, 3, 0, 0)]);
    bench.looks(20..=99, |facts| tenants(facts, 0..5));
    bench.looks(100..=400, |facts| tenants(facts, 1..5));
    assert_eq!(told(&bench)[1..], [(315, 2, 2, 1)]);
    bench.looks(401..=1_000, |facts| tenants(facts, 1..5));
    assert_eq!(bench.notices.len(), 2); // nothing new, nothing told
    bench.looks(1_001..=1_016, |facts| facts);
    assert_eq!(told(&bench)[2..], [(1_016, 0, 0, 4)]);
    // All over: the next one is the first again.
    bench.looks(1_020..=1_035, |facts| tenants(facts, 9..10));
    assert_eq!(told(&bench)[3..], [(1_035, 1, 0, 0)]);
}

#[test]
fn what_fires_and_recovers_before_it_is_told_is_told_once() {
    let mut bench = Bench::new(errors_rule(100, 0, 0));
    bench.looks(0..=9, |facts| acme(facts, 100));
    bench.looks(10..=60, |facts| acme(facts, 0));
    assert_eq!(told(&bench), [(15, 0, 0, 1)]);
    let listed = &bench.notices[0].listed[0];
    assert_eq!((listed.status, listed.alert.told), (Status::Resolved, false));
    assert_eq!(
        bench.titles(),
        ["✅ Sentinel: fired and resolved within 10 seconds: Tenant acme has 100 5xx in the last 10 minutes"]
    );
    assert_eq!(listed.alert.id, bench.fired()[0].id);
    // One that was told says so.
    bench.looks(100..=120, |facts| acme(facts, 100));
    bench.looks(121..=500, |facts| acme(facts, 0));
    assert_eq!(told(&bench)[1..], [(115, 1, 0, 0), (415, 0, 0, 1)]);
    assert!(bench.notices[2].listed[0].alert.told);
}

#[test]
fn what_goes_on_is_told_every_four_hours() {
    let mut bench = Bench::new(verdict_rule(0, 60));
    let all = 12 * 3_600;
    bench.looks(0..=all, |facts| facts.with_verdict(names(Kind::OneTenant, &["acme"])));
    let hours = |n: i64| (15 + n * 4 * 3_600, 0, 1, 0);
    assert_eq!(told(&bench), [(15, 1, 0, 0), hours(1), hours(2)]);
    let title = &bench.titles()[2];
    assert_eq!(
        title,
        "🚨 Sentinel: still firing after 8 hours: Tenant acme responsible for 68% of 5xx in the last 2 minutes"
    );
    let ids: std::collections::BTreeSet<_> = bench.notices.iter().map(|notice| notice.id).collect();
    assert_eq!((ids.len(), bench.fired().len()), (3, 1));
    assert!(bench.notices.iter().all(|notice| notice.listed[0].alert.id == bench.fired()[0].id));
}

/// A clock that jumps changes when it is told by no more than the jump, and never how often it fires.
#[test]
fn repeats_survive_a_clock_that_jumps() {
    let look = |facts: Facts| facts.with_verdict(names(Kind::Everyone, &[]));
    let mut bench = Bench::new(verdict_rule(0, 60));
    bench.looks(0..=20, look);
    bench.looks(-36_000..=-35_000, look);
    assert_eq!(bench.notices.len(), 1);
    bench.looks(90_000..=90_100, look); // more than four hours forward: told once more
    assert_eq!((bench.notices.len(), bench.fired().len(), bench.phase()), (2, 1, Phase::Firing));
}

#[test]
fn what_waits_is_told_without_a_look() {
    let mut bench = Bench::new(verdict_rule(0, 60));
    bench.look(0, |facts| facts.with_verdict(names(Kind::Everyone, &[])));
    (1..=15).for_each(|s| _ = bench.step(s * 1_000, None));
    assert_eq!(told(&bench), [(15, 1, 0, 0)]);
}

#[test]
fn twenty_are_listed_and_the_others_counted() {
    let mut bench = Bench::new(errors_rule(100, 0, 0));
    bench.looks(0..=15, |facts| tenants(facts, 0..20));
    assert_eq!((bench.notices[0].listed.len(), bench.notices[0].more), (20, 0));
    let mut bench = Bench::new(errors_rule(100, 0, 0));
    bench.looks(0..=15, |facts| tenants(facts, 0..57));
    let notice = &bench.notices[0];
    assert_eq!((notice.listed.len(), notice.more, notice.firing), (20, 37, 57));
    let ids: Vec<_> = notice.listed.iter().map(|listed| listed.alert.key.subject.shown()).collect();
    assert_eq!((ids[0].as_str(), ids[19].as_str()), ("tenant_56", "tenant_37")); // the worst first
    let message = notice.message();
    assert_eq!(message.title, "🚨 Sentinel: 57 alerts of shop: 57 firing");
    assert_eq!((message.lines.len(), message.lines[20].as_str()), (21, "and 37 more"));
    // All of them are told: nothing is left for the next notice.
    bench.looks(16..=1_000, |facts| tenants(facts, 0..57));
    assert_eq!(bench.notices.len(), 1);
}

#[test]
fn what_fires_comes_before_what_is_over_and_verdicts_before_rows() {
    let mut rules = verdict_rule(0, 0);
    rules.tenant_errors = errors_rule(100, 0, 0).tenant_errors;
    let mut bench = Bench::new(rules);
    bench.looks(0..=15, |facts| tenants(facts, 0..2));
    bench.looks(16..=315, |facts| tenants(facts, 2..3).with_verdict(names(Kind::OneTenant, &["acme"])));
    let order = |listed: &sentinel_core::alert::Listed| (listed.status, listed.alert.key.subject.shown());
    let listed: Vec<_> = bench.notices[1].listed.iter().map(order).collect();
    let wanted = [
        (Status::Firing, "acme"),
        (Status::Firing, "tenant_2"),
        (Status::Resolved, "tenant_1"),
        (Status::Resolved, "tenant_0"),
    ];
    assert_eq!(listed, wanted.map(|(status, id)| (status, id.to_string())));
    let _ = quiet_rules();
}
