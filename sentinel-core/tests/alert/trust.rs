//! Missing data begins no alert and ends none.

use crate::{Bench, START, acme, errors_rule, latency_rule, names, share_rule, verdict_rule};
use sentinel_core::Kind;
use sentinel_core::alert::Phase::{self, Firing, Ok, Pending, Recovering};
use sentinel_core::alert::{Accused, Facts, Row, Rules, Subject};
use sentinel_core::{Clock, Event, Query, Scope, Sentinel};

fn cold(mut facts: Facts) -> Facts {
    facts.cold = true;
    facts
}

fn partial(mut facts: Facts) -> Facts {
    facts.partial = true;
    facts
}

fn slow(mut facts: Facts, p95: f64) -> Facts {
    facts.row(b"acme", Row { requests: 900, p95_ms: Some(p95), deviation: Some(p95 / 100.0), ..Row::default() });
    facts
}

fn accused(facts: Facts) -> Facts {
    facts.with_verdict(names(Kind::OneTenant, &["acme"]))
}

/// A rule, a look in which it is there, and one in which it is over.
type Case = (Rules, fn(Facts) -> Facts, fn(Facts) -> Facts);

/// All rules, with what their alerts rest on.
fn cases() -> [Case; 4] {
    [
        (errors_rule(100, 0, 0), |facts| acme(facts, 100), |facts| acme(facts, 0)),
        (share_rule(0.5, 0, 0), |facts| acme(facts, 100), |facts| acme(facts, 0)),
        (latency_rule(3.0, 100, 0, 0), |facts| slow(facts, 900.0), |facts| slow(facts, 100.0)),
        (verdict_rule(0, 0), accused, |facts| facts),
    ]
}

#[test]
fn nothing_ends_because_nobody_could_look() {
    for (rules, there, over) in cases() {
        let mut bench = Bench::new(rules);
        bench.look(0, there);
        (1..5_000).for_each(|s| assert!(bench.step(s * 1_000, None).is_empty()));
        assert_eq!((bench.phase(), bench.state.counts().missing), (Firing, 4_999));
        assert!(!bench.state.entries().next().unwrap().1.known);
        // Nor by a look of another time.
        for as_of in [START + 5_000_000 - 120_001, START + 5_000_000 + 120_001] {
            bench.step(5_000_000, Some(&over(Facts::new(as_of, 600_000))));
            assert_eq!(bench.phase(), Firing);
        }
        bench.step(5_000_000, Some(&over(Facts::new(START + 5_000_000 - 120_000, 600_000))));
        assert_eq!(bench.phase(), Ok);
    }
}

#[test]
fn nothing_ends_by_a_look_that_is_cold_or_partial() {
    for (rules, there, over) in cases() {
        for doubt in [cold, partial] {
            let mut bench = Bench::new(rules.clone());
            bench.look(0, there);
            bench.looks(1..=300, |facts| doubt(over(facts)));
            assert_eq!(bench.phase(), Firing, "{rules:?}");
            bench.look(301, over);
            assert_eq!(bench.phase(), Ok, "{rules:?}");
        }
    }
}

/// Rules that compare with the normal state do not begin an alert while it is unknown; rules on counts do. A part of the processes gives a
/// lower bound.
#[test]
fn what_begins_by_a_look_that_is_cold_or_partial() {
    let cold_verdict: fn(Facts) -> Facts =
        |facts| cold(facts).with_verdict(Accused { cold: true, ..names(Kind::OneTenant, &["acme"]) });
    for (at, (rules, there, _)) in cases().into_iter().enumerate() {
        let begins = |look: &dyn Fn(Facts) -> Facts| {
            let mut bench = Bench::new(rules.clone());
            bench.look(0, look);
            bench.phase() == Firing
        };
        assert_eq!(begins(&|facts| cold(there(facts))), [true, true, false, true][at]);
        assert_eq!(begins(&|facts| partial(there(facts))), [true, false, false, false][at]);
    }
    let mut bench = Bench::new(verdict_rule(0, 0));
    bench.looks(0..=60, cold_verdict);
    assert_eq!(bench.phase(), Ok);
    bench.look(61, accused);
    assert_eq!(bench.phase(), Firing);
}

/// An outage of a fifth of all requests is one, whatever was normal: a service that is broken from its first second must not be silent.
#[test]
fn an_outage_needs_no_baseline() {
    for (rate, phase) in [(0.199, Ok), (0.2, Firing)] {
        let mut bench = Bench::new(verdict_rule(0, 0));
        let outage = Accused { cold: true, rate_without: Some(rate), ..names(Kind::Everyone, &[]) };
        bench.look(0, |facts| cold(facts).with_verdict(outage));
        assert_eq!(bench.phase(), phase);
    }
}

#[test]
fn time_without_knowledge_does_not_count() {
    let mut bench = Bench::new(errors_rule(100, 10, 10));
    bench.look(0, |facts| acme(facts, 100));
    bench.looks(1..=5, |facts| acme(facts, 100));
    (6..=60).for_each(|s| _ = bench.step(s * 1_000, None));
    assert_eq!(bench.phase(), Pending);
    bench.looks(61..=64, |facts| acme(facts, 100));
    assert_eq!(bench.phase(), Pending);
    bench.look(65, |facts| acme(facts, 100));
    assert_eq!(bench.phase(), Firing);
    bench.looks(66..=70, |facts| acme(facts, 0));
    bench.looks(71..=200, |facts| cold(acme(facts, 0)));
    assert_eq!(bench.phase(), Recovering);
    bench.looks(201..=205, |facts| acme(facts, 0));
    assert_eq!(bench.phase(), Recovering);
    bench.look(206, |facts| acme(facts, 0));
    assert_eq!(bench.phase(), Ok);
}

/// A tenant that is not listed is not gone, unless all tenants are listed or the look says so.
#[test]
fn who_is_not_listed_is_not_known() {
    let mut bench = Bench::new(errors_rule(100, 0, 0));
    let unlisted = |mut facts: Facts| {
        facts.complete = false;
        facts
    };
    bench.look(0, |facts| acme(facts, 100));
    bench.looks(1..=100, unlisted);
    assert_eq!(bench.phase(), Firing);
    assert_eq!(bench.state.tenants().collect::<Vec<_>>(), [b"acme"]);
    let mut told = Bench { alerts: bench.alerts.clone(), state: bench.state.clone(), ..Bench::new(Rules::default()) };
    told.look(101, |facts| {
        let mut facts = unlisted(facts);
        facts.tenant(b"acme", None);
        facts
    });
    assert_eq!(told.phase(), Ok);
    bench.look(101, |facts| facts);
    assert_eq!(bench.phase(), Ok);
}

/// Without a past there is no deviation: neither begins nor ends.
#[test]
fn a_tenant_without_a_past_is_not_slow() {
    let row = |p95_ms, deviation| {
        move |mut facts: Facts| {
            facts.row(b"acme", Row { requests: 900, p95_ms, deviation, ..Row::default() });
            facts
        }
    };
    let mut bench = Bench::new(latency_rule(3.0, 100, 0, 0));
    for deviation in [None, Some(f64::NAN)] {
        bench.look(0, row(Some(9_000.0), deviation));
        assert_eq!(bench.phase(), Ok);
    }
    bench.look(1, row(Some(900.0), Some(9.0)));
    bench.look(2, row(None, None));
    assert_eq!(bench.phase(), Firing);
}

#[test]
fn a_report_of_less_than_was_asked_for_is_partial() {
    let sentinel = Sentinel::builder().clock(Clock::manual(START)).build().unwrap();
    sentinel.record(Event { tenant: b"acme", status: 500, at: Some(START), ..Event::default() });
    let (mut report, tenant) = (sentinel.report(Query::default()), sentinel.tenant(b"acme", None).unwrap());
    let whole = Facts::of(&report);
    assert!(!whole.partial);
    report.scope_note = Some("nobody answers for the host".into());
    assert!(Facts::of(&report).partial);
    // A host's answer that leaves something out is one.
    report.scope = Scope::Host;
    report.tail.bound.errors = 7;
    let host = Facts::of(&report);
    assert_eq!((host.partial, host.note.as_deref()), (false, Some("nobody answers for the host")));
    assert_eq!(host.unlisted_errors, 7);
    // Reports that are combined must be about the same events.
    let (mut with_rows, mut with_tenant, mut same) = (whole.clone(), host.clone(), whole);
    with_rows.rows(&report);
    with_tenant.tenant(b"acme", Some(&tenant));
    same.tenant(b"acme", Some(&tenant));
    assert_eq!([&with_rows, &with_tenant, &same].map(|facts| facts.partial), [true, true, false]);
    let mut absent = host;
    absent.tenant(b"beta", None);
    assert_eq!(absent.find(b"beta").map(|row| row.errors_bound), Some(7));
}

/// From a real sentinel: its ids lead back to bytes, its baseline is cold at first, and its verdict becomes an alert.
#[test]
fn facts_of_a_report() {
    let sentinel = Sentinel::builder().clock(Clock::manual(START)).build().unwrap();
    let ids: [&[u8]; 5] = [b"acme", b"", b"unattributed", b"a\nb\xff", "\u{202e}".as_bytes()];
    let second = |s: i64| {
        for i in 0..40 {
            let (tenant, fails) = (format!("tenant_{}", i % 20), s >= 200 && i % 20 == 7);
            let status = if fails { 503 } else { 200 };
            let at = Some(START + s * 1_000 + i);
            sentinel.record(Event {
                tenant: tenant.as_bytes(),
                endpoint: "/v1/process",
                status,
                at,
                ..Event::default()
            });
        }
        sentinel.tick(START + (s + 1) * 1_000);
    };
    second(0);
    for id in ids {
        sentinel.record(Event { tenant: id, status: 500, at: Some(START + 999), ..Event::default() });
    }
    let facts = |limit| Facts::of(&sentinel.report(Query { limit, ..Query::default() }));
    for id in ids {
        assert_eq!(facts(1_000).find(id).map(|row| row.errors), Some(1), "{id:?}");
    }
    let look = facts(1_000);
    assert!(look.cold && look.complete && !look.partial);
    assert_eq!((look.errors, look.window_ms, look.errors_name.as_str()), (5, 600_000, "5xx"));
    assert!(!facts(3).complete);

    let mut bench = Bench::new(verdict_rule(0, 60));
    for s in 1..260 {
        second(s);
        bench.step((s + 1) * 1_000, Some(&facts(1_000)));
    }
    let fired = bench.fired();
    assert_eq!(fired.len(), 1, "{fired:?}");
    assert_eq!(fired[0].key.subject, Subject::Tenant(b"tenant_7".to_vec()));
    assert!(fired[0].fired_ms < START + 210_000);
    assert_eq!(fired[0].evidence.endpoint.as_deref(), Some("/v1/process"));
    assert_eq!(bench.phase(), Phase::Firing);
}
