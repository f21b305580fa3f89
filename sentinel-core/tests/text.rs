//! The answer as people read it, and as programs do: the example of the design, word for word, from a stream on a manual
//! clock, and every key of its JSON.
//!
//! A fleet of 258 requests a second with 0.2 % of errors, eight minutes without any, then two minutes in which `tenant_acme`
//! fails: one request a second, a burst of three, and fewer again. Because it has eased within the last half minute the short
//! windows say that it stopped; the last two minutes hold all of it, and there it goes on.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

use sentinel_core::{By, Clock, Event, Kind, Latency, Query, Sentinel};
use serde_json::Value;

/// 2023-11-15 14:03:00 UTC.
const ONSET_MS: i64 = 1_700_056_980_000;
const CALM_S: i64 = 1_200;
const PAUSE_S: i64 = 480;

/// A tenant, its requests in a second, and its errors in the incident.
const OTHERS: [(&str, u64, u64); 4] =
    [("tenant_beta", 168, 63), ("tenant_gamma", 56, 21), ("tenant_delta", 16, 6), ("tenant_epsilon", 16, 6)];

/// `errors` of `seconds · rate` requests, spread evenly: is request `i` one of them?
fn is_due(i: u64, errors: u64, of: u64) -> bool {
    (i + 1) * errors / of > i * errors / of
}

struct Stream {
    sentinel: Sentinel,
}

impl Stream {
    fn record(&self, tenant: &str, endpoint: &str, fails: bool, at: i64) {
        let (status, latency) = (if fails { 503 } else { 200 }, Latency::from_millis(20.0));
        self.sentinel.record(Event { tenant: tenant.as_bytes(), endpoint, status, latency, at: Some(at) });
    }

    /// Everybody but the culprit, for `seconds`: `errors` says how many each makes of how many seconds' requests.
    fn others(&self, from_s: i64, seconds: i64, second: i64, errors: impl Fn(usize) -> u64) {
        for (tenant, (name, rate, _)) in OTHERS.into_iter().enumerate() {
            for i in 0..rate {
                let fails = is_due(second as u64 * rate + i, errors(tenant), seconds as u64 * rate);
                self.record(name, "/v1/list", fails, ONSET_MS + (from_s + second) * 1_000 + i as i64);
            }
        }
    }

    fn tick(&self, second: i64) {
        self.sentinel.tick(ONSET_MS + second * 1_000);
    }
}

/// Twenty minutes with 0.2 % of errors, then eight without a request.
fn calm() -> Stream {
    let start = -CALM_S - PAUSE_S;
    let stream =
        Stream { sentinel: Sentinel::builder().clock(Clock::manual(ONSET_MS + start * 1_000)).build().unwrap() };
    for second in 0..CALM_S {
        stream.others(start, CALM_S, second, |tenant| OTHERS[tenant].1 * CALM_S as u64 / 500);
        (0..2)
            .for_each(|i| stream.record("tenant_acme", "/v1/process", false, ONSET_MS + (start + second) * 1_000 + i));
        stream.tick(start + second + 1);
    }
    (-PAUSE_S..=0).for_each(|second| stream.tick(second));
    stream
}

/// The failing requests of `tenant_acme` in each second of the incident: 204 in 122 seconds.
fn failing(second: i64) -> i64 {
    match second {
        0..4 | 113 | 119 => 0,
        10..60 => i64::from(is_due(second as u64 - 10, 27, 50)),
        70..107 => 4,
        _ => 1,
    }
}

fn incident() -> Stream {
    let stream = calm();
    for second in 0..122 {
        stream.others(0, 122, second, |tenant| OTHERS[tenant].2);
        for i in 0..4 {
            stream.record("tenant_acme", "/v1/process", i < failing(second), ONSET_MS + second * 1_000 + i);
        }
        stream.tick(second + 1);
    }
    stream
}

fn printed(stream: &Stream, by: By, limit: usize) -> String {
    stream.sentinel.report(Query { by, limit, ..Query::default() }).to_string()
}

const VERDICT: &str = "\
ONE TENANT  tenant_acme causes 68% of all 5xx (204 of 300, last 2 minutes, since 14:03:10, still active)
            without it the error rate is 0.3% (normal 0.2%)";

#[test]
fn the_example_of_the_design() {
    let expected = "

Top tenants by 5xx (last 10 minutes)
1. tenant_acme    68% of all 5xx  (endpoint: /v1/process)  204 of 300, 488 requests
2. tenant_beta    21%  63 of 300, 20,496 requests
3. tenant_gamma   7%  21 of 300, 6,832 requests";
    let stream = incident();
    assert_eq!(printed(&stream, By::Errors, 3), format!("{VERDICT}{expected}"));
    assert_eq!(stream.sentinel.verdict().to_string(), VERDICT);
}

#[test]
fn the_other_rankings() {
    let stream = incident();
    let expected = [
        (
            By::ErrorRate,
            "Top tenants by error rate (last 10 minutes)
1. tenant_acme    42% of its requests fail  (endpoint: /v1/process)  204 of 488
2. tenant_beta    0.3%  63 of 20,496
3. tenant_gamma   0.3%  21 of 6,832",
        ),
        (By::Latency, "Top tenants by slow requests (last 10 minutes)\nnone: 31,720 requests of 5 tenants, 300 5xx"),
        (
            By::Load,
            "Top tenants by load (last 10 minutes)
1. tenant_beta    65% of all time spent  20,496 requests, 0 in flight
2. tenant_gamma   22%  6,832 requests, 0 in flight
3. tenant_delta   6.2%  1,952 requests, 0 in flight",
        ),
        (
            By::Requests,
            "Top tenants by requests (last 10 minutes)
1. tenant_beta    65% of all requests  20,496 of 31,720
2. tenant_gamma   22%  6,832 of 31,720
3. tenant_delta   6.2%  1,952 of 31,720",
        ),
    ];
    for (by, expected) in expected {
        assert_eq!(printed(&stream, by, 3), format!("{VERDICT}\n\n{expected}"));
    }
}

/// Twenty tenants with five requests a second each; from the onset on some fail.
fn fleet(
    fails: impl Fn(i64, usize) -> bool,
    endpoint: &'static str,
    seconds: i64,
    mut each: impl FnMut(&Stream),
) -> Stream {
    let stream = Stream { sentinel: Sentinel::builder().clock(Clock::manual(ONSET_MS - 240_000)).build().unwrap() };
    for second in -240..seconds {
        for request in 0..100 {
            // Once in a while somebody fails: what is normal is not nothing.
            let (failing, stray) = (fails(second, request % 20), (second * 100 + request as i64) % 1_009 == 0);
            let route = if failing || request % 4 == 0 && !stray { endpoint } else { "/v1/list" };
            stream.record(
                &format!("t{}", request % 20),
                route,
                failing || stray,
                ONSET_MS + second * 1_000 + request as i64,
            );
        }
        stream.tick(second + 1);
        each(&stream);
    }
    stream
}

#[test]
fn one_word_for_each_kind() {
    let told = |fails: fn(usize) -> bool, endpoint| {
        fleet(|second, tenant| second >= 0 && fails(tenant), endpoint, 20, |_| ()).sentinel.verdict().to_string()
    };
    let expected = "\
QUIET  no unusual 5xx
ONE TENANT  t3 causes 97% of all 5xx (100 of 103, last 30 seconds, since 14:03:02, still active)
            without it the error rate is 0.08% (normal 0.1%); it fails at /a
FEW TENANTS  t10, t17, t3 cause 99% of all 5xx (300 of 303, last 30 seconds, since 14:03:03, still active)
             without them the error rate is 0.09% (normal 0.1%)
ONE ENDPOINT  /a has 99.8% of all 5xx (1,000 of 1,002, last 30 seconds, since 14:03:02, still active), for several tenants
              without it the error rate is 0.08% (normal 0.1%)
EVERYONE  50% of all requests: 5xx across tenants (2,001 of 4,000, last 30 seconds, since 14:03:02, still active)
          the error rate is 50% (normal 0.1%)";
    let found = [
        told(|_| false, "/a"),
        told(|tenant| tenant == 3, "/a"),
        told(|tenant| tenant % 7 == 3, "/a"),
        told(|tenant| tenant % 2 == 0, "/a"),
        told(|_| true, "/v1/list"),
    ];
    assert_eq!(found.join("\n"), expected);
}

#[test]
fn it_stops_and_says_so() {
    let mut told = Vec::new();
    fleet(
        |second, tenant| (0..20).contains(&second) && tenant == 3,
        "/a",
        60,
        |stream| told.push(stream.sentinel.verdict()),
    );
    let [begun, stopped] = [true, false].map(|active| {
        told.iter().position(|verdict| verdict.kind == Kind::OneTenant && verdict.active == active).unwrap()
    });
    let quiet = told.iter().rposition(|verdict| verdict.kind != Kind::Quiet).unwrap() + 1;
    assert!(begun < stopped && stopped < quiet && quiet < told.len(), "{begun} {stopped} {quiet}");
    assert!(told[..begun].iter().chain(&told[quiet..]).all(|verdict| verdict.to_string() == "QUIET  no unusual 5xx"));
    assert!(told[begun..stopped].iter().all(|verdict| verdict.text.ends_with(", since 14:03:02, still active)")));
    assert!(told[stopped..quiet].iter().all(|verdict| verdict.text.ends_with(", since 14:03:02, no longer active)")));
}

#[test]
fn nothing_to_tell() {
    let sentinel = || Sentinel::builder().clock(Clock::manual(ONSET_MS)).build().unwrap();
    let empty = Stream { sentinel: sentinel() };
    assert_eq!(
        printed(&empty, By::Errors, 10),
        "QUIET  no unusual 5xx\n\nTop tenants by 5xx (last 10 minutes)\nno requests"
    );
    let calm = Stream { sentinel: sentinel() };
    calm.record("acme", "/", false, ONSET_MS);
    let none = "Top tenants by 5xx (last 10 minutes)\nnone: 1 requests of 1 tenants, 0 5xx";
    assert_eq!(printed(&calm, By::Errors, 10), format!("QUIET  no unusual 5xx\n\n{none}"));
}

/// Never 0 % or 100 % unless it is exactly that.
#[test]
fn almost_all_is_not_all() {
    let stream = Stream { sentinel: Sentinel::builder().clock(Clock::manual(ONSET_MS)).build().unwrap() };
    (0..49_999).for_each(|_| stream.record("acme", "/", true, ONSET_MS));
    stream.record("beta", "/", true, ONSET_MS);
    let rows = printed(&stream, By::Errors, 2);
    assert!(rows.contains("49,999 of 50,000") && !rows.contains(" 100"), "{rows}");
    let second = rows.lines().last().unwrap().to_string();
    assert!(second.contains("1 of 50,000") && !second.contains(" 0%") && !second.contains(" 0.00%"), "{rows}");
}

/// Pointers into the JSON of a report and the types there: `n` whole number, `f` number, `s` text, `b` truth, `a` list, `o` object.
const SHAPE: &str = "as_of:n from_ms:n to_ms:n window_ms:n baseline:s scope:s sources:n mode:s by:s \
    totals/requests:n totals/errors:n totals/error_rate:f totals/aborted:n totals/tenants:n totals/p50_ms:f totals/p95_ms:f totals/p99_ms:f \
    verdict/kind:s verdict/tenants:a verdict/endpoint:s verdict/window_ms:n verdict/share:f verdict/excess_share:f verdict/errors:n verdict/of:n \
    verdict/rate_without:f verdict/rate_normal:f verdict/since_ms:n verdict/active:b verdict/text:s \
    latency_verdict/kind:s latency_verdict/tenants:a latency_verdict/text:s tenants:a tenants/0/tenant_id:s tenants/0/requests:n tenants/0/errors:n \
    tenants/0/error_rate:f tenants/0/error_share:f tenants/0/excess_share:f tenants/0/bound/requests:n tenants/0/bound/errors:n \
    tenants/0/bound/slow:n tenants/0/culprit:b tenants/0/chronic:b tenants/0/p50_ms:f tenants/0/p95_ms:f tenants/0/p99_ms:f \
    tenants/0/latency_deviation:f tenants/0/load_share:f tenants/0/in_flight:n tenants/0/top_endpoint/endpoint:s tenants/0/top_endpoint/errors:n \
    tenants/0/top_endpoint/exact:b tail/requests:n tail/errors:n stats/offered:n stats/accepted:n stats/dropped/status:n stats/dropped/late:n stats/dropped/no_memory:n \
    stats/adjusted/latency:n stats/adjusted/future:n stats/adjusted/tenant_truncated:n";

fn kind_of(value: &Value) -> char {
    match value {
        Value::Null => '0',
        Value::Bool(_) => 'b',
        Value::Number(number) if number.is_f64() => 'f',
        Value::Number(_) => 'n',
        Value::String(_) => 's',
        Value::Array(_) => 'a',
        Value::Object(_) => 'o',
    }
}

#[test]
fn the_json_has_every_key_of_the_design() {
    // Most of its errors and not most of its traffic are at /a; its latencies have a past once the fleet's are learned.
    let failing = fleet(|second, tenant| second >= 0 && tenant == 3, "/a", 20, |_| ()).sentinel;
    let json = serde_json::to_value(failing.report(Query::default())).unwrap();
    let empty = Sentinel::builder().clock(Clock::manual(ONSET_MS)).build().unwrap();
    let empty = serde_json::to_value(empty.report(Query::default())).unwrap();
    for (path, kind) in SHAPE.split_whitespace().filter_map(|entry| entry.split_once(':')) {
        let found = json.pointer(&format!("/{path}")).map(kind_of);
        // JSON does not tell 1.0 from 1: serde_json does.
        assert_eq!(found, kind.chars().next(), "{path} in {json:#}");
        let Some(value) = empty.pointer(&format!("/{path}")) else {
            assert!(path.starts_with("tenants/"), "{path} is missing in {empty:#}");
            continue;
        };
        let counts = path.ends_with("verdict/window_ms")
            || path.ends_with("since_ms")
            || path.starts_with("verdict/errors")
            || path == "verdict/of";
        let meaningless = kind == "f" || counts || path == "verdict/endpoint";
        assert_eq!(value.is_null(), meaningless, "{path} is {value} in an empty report");
    }
    let words = ["/baseline", "/scope", "/mode", "/verdict/kind", "/by"]
        .map(|path| json.pointer(path).unwrap().as_str().unwrap());
    assert_eq!(words, ["cold", "process", "exact", "one_tenant", "errors"]);
    assert_eq!(empty["tenants"], Value::Array(Vec::new()));
}
