//! The text that people read, word for word.

use crate::{Bench, START, errors_rule, latency_rule, names, share_rule, verdict_rule};
use sentinel_core::Kind;
use sentinel_core::alert::{Accused, Facts, Message, Row, Severity, Subject};

/// The message of the first alert of a look.
fn says(rules: sentinel_core::alert::Rules, fill: impl FnOnce(Facts) -> Facts) -> Message {
    let mut bench = Bench::new(rules);
    bench.look(0, fill);
    bench.fired()[0].message()
}

fn verdict(accused: Accused) -> Message {
    says(verdict_rule(0, 0), |facts| facts.with_verdict(accused))
}

fn row(row: Row) -> impl FnOnce(Facts) -> Facts {
    move |mut facts| {
        facts.row(b"acme", row);
        facts.errors = 300;
        facts
    }
}

/// The words that were asked for, for the verdict and for the share.
#[test]
fn the_wording_of_the_seed() {
    let wanted = "🚨 Sentinel: Tenant acme responsible for 64% of 5xx in the last 10 minutes (endpoint /v1/process)";
    let accused = Accused {
        share: Some(0.64),
        window_ms: 600_000,
        endpoint: Some("/v1/process".into()),
        ..names(Kind::OneTenant, &["acme"])
    };
    assert_eq!(verdict(accused).title, wanted);
    let failing =
        Row { requests: 2_000, errors: 192, top_endpoint: Some(("/v1/process".into(), 96)), ..Row::default() };
    let message = says(share_rule(0.5, 0, 0), row(failing.clone()));
    assert_eq!(message.title, wanted);
    assert_eq!(message.lines, ["192 of 300 5xx, 2,000 requests", "since 22:13:20 UTC, warning"]);
    // An endpoint with less than half of it says nothing.
    let scattered = Row { top_endpoint: Some(("/v1/process".into(), 95)), ..failing };
    assert!(says(share_rule(0.5, 0, 0), row(scattered)).title.ends_with("in the last 10 minutes"));
}

/// Texts from a source other than a report, which may contain anything.
#[test]
fn each_line_is_one_line_whatever_it_was_made_of() {
    let failing =
        Row { requests: 2_000, errors: 300, top_endpoint: Some(("/a\\b\n\u{202e}c".into(), 300)), ..Row::default() };
    let message = says(share_rule(0.5, 0, 0), |mut facts| {
        facts.errors_name = "5xx\r\nX".into();
        row(failing)(facts)
    });
    let title = r"🚨 Sentinel: Tenant acme responsible for 100% of 5xx\u{d}\u{a}X in the last 10 minutes (endpoint /a\b\u{a}\u{202e}c)";
    assert_eq!(message.title, title);
    assert_eq!(message.lines[0], r"300 of 300 5xx\u{d}\u{a}X, 2,000 requests");
}

#[test]
fn a_verdict_with_its_evidence() {
    let message = verdict(names(Kind::OneTenant, &["acme"]));
    assert_eq!(message.title, "🚨 Sentinel: Tenant acme responsible for 68% of 5xx in the last 2 minutes");
    let lines = ["204 of 300 5xx; without it the error rate is 0.3% (normal 0.2%)", "since 22:13:20 UTC, critical"];
    assert_eq!(message.lines, lines);
    assert_eq!(message.severity, Severity::Critical);
    assert_eq!(message.text(), format!("{}\n{}\n{}", message.title, lines[0], lines[1]));
    // Less than half of all, and nearly all that is new.
    let message = verdict(Accused { share: Some(0.17), excess_share: Some(0.91), ..names(Kind::OneTenant, &["acme"]) });
    assert!(message.title.contains("acme responsible for 91% of the new 5xx (17% of all) in"), "{}", message.title);
    let few = names(Kind::FewTenants, &["acme", "beta", "gamma"]);
    let message = verdict(few);
    let title = "🚨 Sentinel: Tenant acme, together with beta, gamma, responsible for 68% of 5xx in the last 2 minutes";
    assert_eq!(message.title, title);
    assert!(message.lines[0].contains("; without them the error rate"));
    let message = verdict(Accused { endpoint: Some("/v1/pay".into()), ..names(Kind::OneEndpoint, &[]) });
    let title = "🚨 Sentinel: Endpoint /v1/pay responsible for 68% of 5xx in the last 2 minutes, for several tenants";
    assert_eq!(message.title, title);
    let message = verdict(Accused { rate_without: Some(0.25), ..names(Kind::Everyone, &[]) });
    assert_eq!(message.title, "🚨 Sentinel: Everyone is hit: 25% of all requests are 5xx in the last 2 minutes");
    assert_eq!(message.lines[0], "300 of 1,200 requests (normal 0.2%)");
    let message = says(verdict_rule(0, 0), |facts| facts.with_latency_verdict(names(Kind::OneTenant, &["acme"])));
    assert_eq!(message.title, "🚨 Sentinel: Tenant acme responsible for 68% of slow requests in the last 2 minutes");
    assert_eq!(
        message.lines[0],
        "204 of 300 slow requests; without it the share of slow requests is 0.3% (normal 0.2%)"
    );
}

#[test]
fn rules_about_a_tenant() {
    let failing = Row { requests: 12_345, errors: 1_234, chronic: true, ..Row::default() };
    let message = says(errors_rule(100, 0, 0), row(failing));
    assert_eq!(message.title, "🚨 Sentinel: Tenant acme has 1,234 5xx in the last 10 minutes");
    assert_eq!(message.lines[..2], ["1,234 of 300 5xx, 12,345 requests", "it always fails like this"]);
    let slow = Row { requests: 500, p95_ms: Some(820.0), deviation: Some(8.2), ..Row::default() };
    let message = says(latency_rule(3.0, 100, 0, 0), row(slow));
    assert_eq!(message.title, "🚨 Sentinel: Tenant acme is 8.2 × slower than normal in the last 10 minutes");
    assert_eq!(message.lines[0], "p95 820 ms of 500 requests, normally 100 ms");
}

#[test]
fn what_is_over_says_how_long_it_was() {
    let mut bench = Bench::new(verdict_rule(0, 60));
    bench.looks(0..=660, |facts| facts.with_verdict(names(Kind::OneTenant, &["acme"])));
    bench.looks(661..=721, |facts| facts);
    let message = bench.resolved()[0].message();
    let headline = "Tenant acme responsible for 68% of 5xx in the last 2 minutes";
    assert_eq!(message.title, format!("✅ Sentinel: resolved after 12 minutes: {headline}"));
    assert_eq!(message.lines[1], "it was so since 22:13:20 UTC until 22:25:21 UTC, critical");
    assert_eq!(bench.fired()[0].message().title, format!("🚨 Sentinel: {headline}"));
    bench.looks(722..=1_000, |facts| facts);
    assert_eq!(bench.titles()[1], message.title);
}

/// Ids are bytes, and whatever they are, a message is one title and its lines; what is shown leads back to the id.
#[test]
fn an_id_cannot_break_a_message() {
    for id in
        [&b"a\nb\r\nc"[..], b"\x1b[31m", "\u{202e}live\u{2028}".as_bytes(), b"\xff\xfe", b"<!channel> & <b>", b"\\"]
    {
        let accused = Accused { tenants: vec![id.to_vec()], ..names(Kind::OneTenant, &[]) };
        let mut bench = Bench::new(verdict_rule(0, 0));
        bench.look(0, |mut facts| {
            facts.note = Some("one\ntwo".into());
            facts.with_verdict(accused)
        });
        let alert = bench.fired()[0];
        let subject = Subject::Tenant(id.to_vec());
        assert_eq!(alert.key.subject, subject);
        let message = alert.message();
        assert!(message.title.contains(&format!("Tenant {} responsible", subject.shown())));
        assert_eq!(message.text().lines().count(), 1 + message.lines.len());
        assert_eq!(message.lines.last().unwrap(), r"note: one\u{a}two");
        assert!(!message.text().chars().any(|c| c.is_control() && c != '\n' || "\u{202e}\u{2028}".contains(c)));
    }
}

#[test]
fn an_alert_as_data() {
    let mut bench = Bench::new(verdict_rule(0, 0));
    bench.look(0, |facts| facts.with_verdict(names(Kind::FewTenants, &["acme", "be\nta"])));
    let json = serde_json::to_value(bench.fired()[0]).unwrap();
    assert_eq!(json["rule"], "verdict_errors");
    assert_eq!(json["subject"]["tenant_id"], "acme");
    assert_eq!((json["severity"].as_str(), json["fired_ms"].as_i64()), (Some("critical"), Some(START)));
    assert_eq!(json["evidence"]["kind"], "few_tenants");
    assert_eq!(json["evidence"]["with"][0], r"be\u{a}ta");
    assert_eq!(json["evidence"]["p95_ms"], serde_json::Value::Null);
    assert_eq!(json["id"].as_str().map(str::len), Some(32));
}
