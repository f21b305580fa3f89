//! When each rule begins and ends, at the very edge, and what a configuration may say.

use crate::{Bench, acme, errors_rule, latency_rule, names, quiet_rules, share_rule, verdict_rule};
use sentinel_core::Kind;
use sentinel_core::alert::Phase::{Firing, Ok, Pending, Recovering};
use sentinel_core::alert::{Accused, Facts, Grouping, Phase, Row, Rule, Rules, Subject, Transition, Verdicts};
use std::time::Duration;

#[test]
fn errors_begin_at_n_and_end_at_half_of_it() {
    let table = [(0, 99, Ok), (1, 100, Firing), (2, 99, Firing), (3, 51, Firing), (4, 50, Ok), (5, 99, Ok)];
    Bench::new(errors_rule(100, 0, 0)).table(acme, &table);
    // An odd half is not rounded up, and one error is over when there is none.
    Bench::new(errors_rule(5, 0, 0)).table(acme, &[(0, 5, Firing), (1, 3, Firing), (2, 2, Ok)]);
    Bench::new(errors_rule(1, 0, 0)).table(acme, &[(0, 1, Firing), (1, 0, Ok)]);
}

#[test]
fn errors_that_may_be_missing_keep_an_alert_and_begin_none() {
    let bounded = |mut facts: Facts, (errors, errors_bound): (u64, u64)| {
        facts.row(b"acme", Row { requests: 900, errors, errors_bound, ..Row::default() });
        facts
    };
    let table = [(0, (99, 50), Ok), (1, (100, 0), Firing), (2, (40, 11), Firing), (3, (40, 10), Ok)];
    Bench::new(errors_rule(100, 0, 0)).table(bounded, &table);
    // A tenant that is not listed may have as many errors as the look says.
    let mut bench = Bench::new(errors_rule(100, 0, 0));
    bench.look(0, |facts| acme(facts, 100));
    let unlisted = |mut facts: Facts, errors: u64| {
        facts.unlisted_errors = errors;
        facts
    };
    bench.table(unlisted, &[(1, 51, Firing), (2, 50, Ok)]);
}

/// acme's errors, and everybody's.
fn share(mut facts: Facts, (errors, all): (u64, u64)) -> Facts {
    facts.row(b"acme", Row { requests: 5_000, errors, ..Row::default() });
    facts.errors = all;
    facts
}

#[test]
fn a_share_counts_when_it_is_certain_and_ends_at_four_fifths() {
    // Lower bounds of 1,000: 530 → 0.49901, 531 → 0.50001; 431 → 0.40063, 430 → 0.39964.
    let table = [
        (1, (530, 1_000), Ok),
        (2, (531, 1_000), Firing),
        (3, (520, 1_000), Firing),
        (4, (431, 1_000), Firing),
        (5, (430, 1_000), Ok),
        (6, (520, 1_000), Ok),
    ];
    Bench::new(share_rule(0.5, 0, 0)).table(share, &table);
}

#[test]
fn a_share_of_few_failures_means_nothing() {
    let table = [
        (0, (49, 49), Ok),
        (1, (50, 50), Firing),
        (2, (49, 49), Firing),
        (3, (26, 26), Firing),
        (4, (25, 25), Ok),
        (5, (49, 49), Ok),
    ];
    Bench::new(share_rule(0.5, 0, 0)).table(share, &table);
}

/// acme's p95 in ms, where 100 ms is normal.
fn slow(mut facts: Facts, (p95, requests): (f64, u64)) -> Facts {
    let (p95_ms, deviation) = (Some(p95), Some(p95 / 100.0));
    facts.row(b"acme", Row { requests, p95_ms, deviation, ..Row::default() });
    facts
}

#[test]
fn latency_begins_above_the_factor_and_ends_at_one_and_a_half() {
    let table = [
        (0, (300.0, 100), Ok),
        (1, (301.0, 99), Ok),
        (2, (301.0, 100), Firing),
        (3, (299.0, 100), Firing),
        (4, (151.0, 100), Firing),
        (5, (150.0, 100), Ok),
        (6, (299.0, 100), Ok),
    ];
    Bench::new(latency_rule(3.0, 100, 0, 0)).table(slow, &table);
    // Too few requests to begin; half of that to end, however slow.
    let table = [(0, (900.0, 100), Firing), (1, (900.0, 99), Firing), (2, (900.0, 51), Firing), (3, (900.0, 50), Ok)];
    Bench::new(latency_rule(3.0, 100, 0, 0)).table(slow, &table);
}

#[test]
fn who_hangs_has_not_gone_away() {
    let mut bench = Bench::new(latency_rule(3.0, 100, 0, 0));
    bench.look(0, |facts| slow(facts, (900.0, 100)));
    let hangs = |mut facts: Facts, in_flight: u64| {
        facts.row(b"acme", Row { in_flight, ..Row::default() });
        facts
    };
    bench.table(hangs, &[(1, 51, Firing), (2, 50, Ok)]);
}

/// The normal p95 is frozen when an alert begins: a baseline that learns the incident does not end the alert for a day.
#[test]
fn latency_is_compared_with_what_was_normal_when_it_began() {
    let rows = |normal: f64, p95: f64| {
        move |mut facts: Facts| {
            let (p95_ms, deviation) = (Some(p95), Some(p95 / normal));
            facts.row(b"acme", Row { requests: 500, p95_ms, deviation, ..Row::default() });
            facts
        }
    };
    let mut bench = Bench::new(latency_rule(3.0, 100, 30, 0));
    bench.looks(0..=10, rows(100.0, 800.0));
    // The latency becomes normal while the alert is still pending.
    bench.looks(11..=30, rows(790.0, 800.0));
    assert_eq!(bench.phase(), Firing);
    assert_eq!(bench.fired()[0].evidence.normal_p95_ms, Some(100.0));
    bench.looks(31..=3_600, rows(800.0, 800.0));
    assert_eq!(bench.phase(), Firing);
    bench.look(3_601, rows(800.0, 151.0));
    assert_eq!(bench.phase(), Firing);
    let mut recovers =
        Bench { alerts: bench.alerts.clone(), state: bench.state.clone(), ..Bench::new(Rules::default()) };
    recovers.look(3_602, rows(800.0, 149.0));
    assert_eq!(recovers.phase(), Ok);
    // After a day it is what is normal.
    (3_602..24 * 3_600 + 30).step_by(60).for_each(|s| _ = bench.look(s, rows(800.0, 800.0)));
    assert_eq!(bench.phase(), Firing);
    bench.look(24 * 3_600 + 31, rows(800.0, 800.0));
    assert_eq!(bench.phase(), Ok);
}

#[test]
fn each_kind_of_verdict_has_its_subject() {
    let endpoint = Accused { endpoint: Some("/v1/pay".into()), ..names(Kind::OneEndpoint, &[]) };
    let tenant = |id: &str| Subject::Tenant(id.into());
    for (accused, subjects) in [
        (names(Kind::OneTenant, &["acme"]), vec![tenant("acme")]),
        (names(Kind::FewTenants, &["beta", "acme"]), vec![tenant("acme"), tenant("beta")]),
        (endpoint, vec![Subject::Endpoint("/v1/pay".into())]),
        (names(Kind::Everyone, &[]), vec![Subject::Everyone]),
        (names(Kind::Unclear, &[]), vec![]),
        (names(Kind::Quiet, &[]), vec![]),
        (names(Kind::OneTenant, &[""]), vec![]),
    ] {
        for rule in [Rule::VerdictErrors, Rule::VerdictLatency] {
            let mut bench = Bench::new(Rules::default());
            bench.look(0, |facts| match rule {
                Rule::VerdictErrors => facts.with_verdict(accused.clone()),
                _ => facts.with_latency_verdict(accused.clone()),
            });
            let found: Vec<_> = bench.state.entries().map(|(key, _)| (key.rule, key.subject.clone())).collect();
            let wanted: Vec<_> = subjects.iter().map(|subject| (rule, subject.clone())).collect();
            assert_eq!(found, wanted, "{accused:?}");
            assert!(bench.transitions.iter().all(Transition::fires));
        }
    }
}

#[test]
fn a_verdict_that_names_somebody_else_is_over_for_the_first() {
    let accuses = |facts: Facts, who: &str| match who {
        "" => facts,
        who => facts.with_verdict(names(Kind::OneTenant, &[who])),
    };
    let table = [(0, "", Ok), (1, "acme", Firing), (2, "acme", Firing), (3, "", Recovering), (4, "acme", Firing)];
    Bench::new(verdict_rule(0, 60)).table(accuses, &table);
    let mut bench = Bench::new(verdict_rule(0, 0));
    bench.look(0, |facts| accuses(facts, "acme"));
    bench.look(1, |facts| accuses(facts, "beta"));
    assert_eq!((bench.fired().len(), bench.resolved().len(), bench.phase()), (2, 1, Firing));
    // Each tenant of a verdict on several has its own alert: the first one stays the same.
    let mut bench = Bench::new(verdict_rule(0, 0));
    bench.look(0, |facts| accuses(facts, "acme"));
    bench.look(1, |facts| facts.with_verdict(names(Kind::FewTenants, &["acme", "beta"])));
    bench.look(2, |facts| accuses(facts, "acme"));
    assert_eq!(bench.fired().len(), 2);
    assert_eq!(bench.resolved()[0].key.subject, Subject::Tenant(b"beta".to_vec()));
}

#[test]
fn only_the_kinds_and_sides_that_are_asked_for() {
    let outage = |facts: Facts| facts.with_verdict(names(Kind::Everyone, &[]));
    let only = |kinds: &[Kind], errors| Rules {
        verdict: Verdicts { kinds: kinds.to_vec(), errors, ..Verdicts::default() },
        ..Rules::default()
    };
    for (rules, phase) in [
        (only(&[Kind::OneTenant], true), Ok),
        (only(&[Kind::Everyone], false), Ok),
        (only(&[Kind::Everyone], true), Firing),
    ] {
        let mut bench = Bench::new(rules);
        bench.look(0, outage);
        assert_eq!(bench.phase(), phase);
    }
}

#[test]
fn who_is_nobody_is_never_accused() {
    let mut rules = errors_rule(1, 0, 0);
    rules.tenant_share = share_rule(0.01, 0, 0).tenant_share;
    rules.tenant_latency = latency_rule(2.0, 20, 0, 0).tenant_latency;
    let mut bench = Bench::new(rules);
    bench.look(0, |mut facts| {
        let (p95_ms, deviation) = (Some(900.0), Some(9.0));
        facts.row(b"", Row { requests: 900, errors: 900, p95_ms, deviation, ..Row::default() });
        facts
    });
    assert_eq!(bench.state.entries().count(), 0);
    bench.look(1, |mut facts| {
        facts.row(b"unattributed", Row { requests: 900, errors: 900, ..Row::default() });
        facts
    });
    assert_eq!(bench.state.entries().count(), 2); // a tenant may call itself that
}

#[test]
fn every_option_has_its_edges() {
    let field = |rules: Rules| rules.validated().map_or_else(|error| error.field, |_| "none".into());
    let grouping = |first, then, repeat| Rules {
        grouping: Grouping {
            first: Duration::from_secs(first),
            then: Duration::from_secs(then),
            repeat: Duration::from_secs(repeat),
        },
        ..Rules::default()
    };
    let kinds = |kinds: &[Kind]| Rules {
        verdict: Verdicts { kinds: kinds.to_vec(), ..Verdicts::default() },
        ..Rules::default()
    };
    let day = 86_400;
    for good in [
        errors_rule(1, 0, day),
        errors_rule(1 << 53, day, 0),
        share_rule(0.01, day, day),
        share_rule(0.99, 0, 0),
        latency_rule(2.0, 20, day, day),
        latency_rule(1_000.0, 1 << 53, 0, 0),
        verdict_rule(day, day),
        grouping(0, 0, 300),
        grouping(600, day, 7 * day),
    ] {
        assert_eq!(field(good), "none");
    }
    for (bad, name) in [
        (errors_rule(0, 0, 0), "tenant_errors.at_least"),
        (errors_rule((1 << 53) + 1, 0, 0), "tenant_errors.at_least"),
        (errors_rule(1, day + 1, 0), "tenant_errors.for"),
        (errors_rule(1, 0, day + 1), "tenant_errors.keep_firing_for"),
        (share_rule(0.009, 0, 0), "tenant_share.above"),
        (share_rule(0.991, 0, 0), "tenant_share.above"),
        (share_rule(f64::NAN, 0, 0), "tenant_share.above"),
        (share_rule(0.5, day + 1, 0), "tenant_share.for"),
        (share_rule(0.5, 0, day + 1), "tenant_share.keep_firing_for"),
        (latency_rule(1.99, 20, 0, 0), "tenant_latency.factor"),
        (latency_rule(1_001.0, 20, 0, 0), "tenant_latency.factor"),
        (latency_rule(2.0, 19, 0, 0), "tenant_latency.min_requests"),
        (latency_rule(2.0, 20, day + 1, 0), "tenant_latency.for"),
        (latency_rule(2.0, 20, 0, day + 1), "tenant_latency.keep_firing_for"),
        (verdict_rule(day + 1, 0), "verdict.for"),
        (verdict_rule(0, day + 1), "verdict.keep_firing_for"),
        (kinds(&[]), "verdict.kinds"),
        (kinds(&[Kind::OneTenant, Kind::Unclear]), "verdict.kinds"),
        (grouping(601, 0, 300), "grouping.first"),
        (grouping(0, day + 1, 300), "grouping.then"),
        (grouping(0, 0, 299), "grouping.repeat"),
        (grouping(0, 0, 7 * day + 1), "grouping.repeat"),
    ] {
        assert_eq!(field(bad), name);
    }
}

#[test]
fn rules_are_written_and_read_back() {
    let text = r#"{"verdict": {"kinds": ["one_tenant"], "for": 90, "keep_firing_for": "250ms"},
        "tenant_errors": {"at_least": 7, "for": "1m"}, "tenant_latency": {"factor": 4, "for": 0.5}, "grouping": {"repeat": "1h"}}"#;
    let rules: Rules = serde_json::from_str(text).unwrap();
    assert_eq!(rules.verdict.r#for, Duration::from_secs(90));
    assert_eq!(rules.verdict.keep_firing_for, Duration::from_millis(250));
    assert_eq!(rules.tenant_latency.as_ref().map(|rule| rule.r#for), Some(Duration::from_millis(500)));
    assert_eq!((rules.tenant_share.is_none(), rules.grouping.repeat), (true, Duration::from_hours(1)));
    assert_eq!(serde_json::from_str::<Rules>(&serde_json::to_string(&rules).unwrap()).unwrap(), rules);
    let default = Rules::default();
    assert_eq!(serde_json::from_str::<Rules>(&serde_json::to_string(&default).unwrap()).unwrap(), default);
    for wrong in [
        r#"{"verdicts": {}}"#,
        r#"{"verdict": {"fro": 1}}"#,
        r#"{"tenant_errors": {"atleast": 1}}"#,
        r#"{"tenant_share": {"over": 1}}"#,
        r#"{"tenant_latency": {"ratio": 1}}"#,
        r#"{"grouping": {"wait": 1}}"#,
        r#"{"verdict": {"for": -1}}"#,
        r#"{"verdict": {"for": "soon"}}"#,
        r#"{"verdict": {"kinds": ["nobody"]}}"#,
    ] {
        assert!(serde_json::from_str::<Rules>(wrong).is_err(), "{wrong}");
    }
}

/// A rule that is switched off while its alert fires: it is over, and says why.
#[test]
fn a_rule_that_is_switched_off_ends_its_alerts() {
    let mut bench = Bench::new(errors_rule(100, 0, 600));
    bench.look(0, |facts| acme(facts, 500));
    bench.alerts = Bench::new(quiet_rules()).alerts;
    bench.look(1, |facts| acme(facts, 500));
    assert_eq!(bench.phase(), Phase::Ok);
    assert_eq!(bench.resolved()[0].why, Some(sentinel_core::alert::Why::RuleOff));
    let mut bench = Bench::new(errors_rule(100, 60, 600));
    bench.look(0, |facts| acme(facts, 500));
    assert_eq!(bench.phase(), Pending);
    bench.alerts = Bench::new(quiet_rules()).alerts;
    bench.look(1, |facts| acme(facts, 500));
    assert_eq!((bench.phase(), bench.resolved().len()), (Phase::Ok, 0));
}
