//! Cases that the verdict must tell apart: a quiet failer beside a noisy one, a process that looks only once a slot, and who has always failed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use sentinel_core::{BaselineKind, By, Clock, Event, Kind, Latency, Query, Sentinel};

const START: i64 = 1_700_000_000_000;

fn sentinel() -> Sentinel {
    Sentinel::builder().clock(Clock::manual(START)).build().unwrap()
}

/// One second of twenty tenants with ten requests each, of which one in `fails` fails.
fn normal_second(sentinel: &Sentinel, second: i64, fails: i64) {
    for i in 0..200 {
        let status = if (second * 203 + i) % fails == 0 { 500 } else { 200 };
        request(sentinel, &format!("tenant_{}", i % 20), status, second, i);
    }
}

fn request(sentinel: &Sentinel, tenant: &str, status: u16, second: i64, i: i64) {
    let at = Some(START + second * 1_000 + i);
    sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/v1/process", status, at, ..Event::default() });
}

/// A noisy tenant explains nearly everything; a small one fails every request. The verdict names the noisy one, and the
/// small one is still marked as a culprit and leads by rate.
#[test]
fn a_quiet_failer_beside_a_noisy_one_is_listed_as_culprit() {
    let sentinel = sentinel();
    for second in 0..420 {
        normal_second(&sentinel, second, 50);
        let incident = second >= 300;
        for i in 0..80 {
            request(&sentinel, "noisy", if incident && i % 2 == 0 { 503 } else { 200 }, second, i);
        }
        if second % 2 == 0 {
            request(&sentinel, "quiet", if incident { 500 } else { 200 }, second, 1);
        }
        sentinel.tick(START + (second + 1) * 1_000);
    }
    let report = sentinel.report(Query { by: By::ErrorRate, ..Query::default() });
    assert_eq!((report.verdict.kind, &report.verdict.tenants[..]), (Kind::OneTenant, &["noisy".to_string()][..]));
    assert!(report.verdict.excess_share > Some(0.95), "{report}");
    let culprits: Vec<&str> =
        report.tenants.iter().filter(|row| row.culprit).map(|row| row.tenant_id.as_str()).collect();
    assert_eq!(culprits, ["quiet", "noisy"], "{report}");
}

/// The same incident, once ticked every second, and once only at the end of each slot.
#[test]
fn once_a_slot_is_enough() {
    let (ticked, asked) = (sentinel(), sentinel());
    for second in 0..400 {
        for sentinel in [&ticked, &asked] {
            normal_second(sentinel, second, 500);
            (0..4).for_each(|i| request(sentinel, "acme", if second >= 340 { 500 } else { 200 }, second, i));
        }
        ticked.tick(START + (second + 1) * 1_000);
        if second % 10 == 9 {
            asked.tick(START + (second + 1) * 1_000);
        }
    }
    for sentinel in [&ticked, &asked] {
        let verdict = sentinel.verdict();
        assert_eq!((verdict.kind, &verdict.tenants[..]), (Kind::OneTenant, &["acme".to_string()][..]), "{verdict}");
        assert_eq!(sentinel.report(Query::default()).totals.requests, 400 * 204);
    }
}

/// A tenant that has always failed is marked and not accused; when a new one fails beside it, only that one is.
#[test]
fn a_chronic_failer_is_marked_and_not_accused() {
    let sentinel = sentinel();
    for second in 0..900 {
        normal_second(&sentinel, second, 500);
        request(&sentinel, "broken_since_ever", 500, second, 7);
        request(&sentinel, "acme", if second >= 800 { 500 } else { 200 }, second, 8);
        sentinel.tick(START + (second + 1) * 1_000);
        if second == 780 {
            let report = sentinel.report(Query::default());
            let row = report.tenants.iter().find(|row| row.tenant_id == "broken_since_ever").unwrap();
            assert!(row.chronic && !row.culprit, "{report}");
            // Everybody else has failed often enough by now, and never at such a rate.
            let window = Some(std::time::Duration::from_mins(1));
            let report = sentinel.report(Query { window, limit: 100, by: By::Requests, ..Query::default() });
            let chronic: Vec<_> = report.tenants.iter().filter(|row| row.chronic).collect();
            assert_eq!((report.tenants.len(), chronic.len()), (22, 1), "{report}");
            assert_eq!(report.verdict.kind, Kind::Quiet, "{report}");
        }
    }
    assert_eq!(sentinel.verdict().tenants, ["acme"]);
}

/// Invented ids that fail no more often than anybody is no incident, also when there are far more of them than a small
/// budget can follow.
#[test]
fn a_flood_of_ids_is_no_incident_on_a_small_budget() {
    let sentinel = Sentinel::builder().clock(Clock::manual(START)).budget(4 << 20).build().unwrap();
    let mut id = 0_u64;
    for second in 0..660 {
        normal_second(&sentinel, second, 500);
        for i in 0..if second >= 360 { 300 } else { 0 } {
            id += 1;
            let tenant = format!("{:016x}", id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            request(&sentinel, &tenant, if id % 500 == 250 { 500 } else { 200 }, second, i);
        }
        sentinel.tick(START + (second + 1) * 1_000);
        let verdict = sentinel.verdict();
        assert_eq!(verdict.kind, Kind::Quiet, "second {second}: {verdict}");
    }
}

/// A tenant that becomes slow is named by the latency verdict alone, not by the error verdict.
#[test]
fn who_becomes_slow_is_named() {
    let sentinel = sentinel();
    for second in 0..400 {
        for i in 0..210 {
            let is_acme = i % 21 == 0;
            let tenant = if is_acme { "acme".to_string() } else { format!("tenant_{}", i % 21) };
            let latency = Latency::from_millis(if is_acme && second >= 340 { 900.0 } else { 10.0 + (i % 7) as f64 });
            let at = Some(START + second * 1_000 + i);
            sentinel.record(Event {
                tenant: tenant.as_bytes(),
                endpoint: "/v1/process",
                latency,
                at,
                ..Event::default()
            });
        }
        sentinel.tick(START + (second + 1) * 1_000);
    }
    let verdict = sentinel.latency_verdict();
    assert_eq!((verdict.kind, &verdict.tenants[..]), (Kind::OneTenant, &["acme".to_string()][..]), "{verdict:?}");
    assert_eq!(sentinel.verdict().kind, Kind::Quiet);
}

/// Quiet is never active; a fleet that fails is, and all of the excess is its own. The names are those of the JSON.
#[test]
fn quiet_is_not_active_and_everyone_has_all_of_the_excess() {
    let sentinel = sentinel();
    assert!(!sentinel.verdict().active);
    for second in 0..360 {
        normal_second(&sentinel, second, if second < 300 { 100 } else { 3 });
        sentinel.tick(START + (second + 1) * 1_000);
        let verdict = sentinel.verdict();
        assert!(verdict.kind != Kind::Quiet || !verdict.active, "{second}: {verdict:?}");
    }
    let verdict = sentinel.verdict();
    assert_eq!((verdict.kind, verdict.active, verdict.excess_share), (Kind::Everyone, true, Some(1.0)), "{verdict:?}");
    // When it is over it is still shown for a while, as what is over.
    let mut over = 0;
    for second in 360..420 {
        normal_second(&sentinel, second, 100);
        sentinel.tick(START + (second + 1) * 1_000);
        let verdict = sentinel.verdict();
        over += u32::from(verdict.kind != Kind::Quiet && !verdict.active);
    }
    assert!(over > 1, "{over} s");
    let kinds = [Kind::Quiet, Kind::OneTenant, Kind::FewTenants, Kind::OneEndpoint, Kind::Everyone, Kind::Unclear];
    let names = ["quiet", "one_tenant", "few_tenants", "one_endpoint", "everyone", "unclear"];
    assert_eq!(kinds.map(|kind| serde_json::to_value(kind).unwrap()), names.map(serde_json::Value::from));
}

/// After eight minutes something is known of the time outside the last half minute, and nothing of the time outside the whole window: a
/// report is judged by the baseline of the window that it covers.
#[test]
fn a_report_is_judged_by_the_baseline_of_its_own_window() {
    let sentinel = sentinel();
    for second in 0..480 {
        normal_second(&sentinel, second, 100);
        sentinel.tick(START + (second + 1) * 1_000);
    }
    let baseline = |seconds| {
        let window = Some(std::time::Duration::from_secs(seconds));
        sentinel.report(Query { window, ..Query::default() }).baseline
    };
    assert_eq!([30, 120, 300, 600].map(baseline), {
        use BaselineKind::{Cold, Own};
        [Own, Own, Own, Cold]
    });
}

/// Two hours without a request are normal time too: what comes afterwards is judged by it.
#[test]
fn a_long_silence_is_learned() {
    let sentinel = sentinel();
    for second in 0..30 {
        normal_second(&sentinel, second, 100);
        sentinel.tick(START + (second + 1) * 1_000);
    }
    assert_eq!(sentinel.report(Query::default()).baseline, BaselineKind::Cold);
    let silence = 7_200;
    for second in silence..silence + 20 {
        normal_second(&sentinel, second, 100);
        sentinel.tick(START + (second + 1) * 1_000);
    }
    let report = sentinel.report(Query::default());
    assert_eq!((report.baseline, report.verdict.kind), (BaselineKind::Own, Kind::Quiet), "{report}");
}
