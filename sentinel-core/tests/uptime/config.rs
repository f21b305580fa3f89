//! The configuration: the limits of every value, and that errors show no secret.

use crate::{check, checks};
use sentinel_core::ConfigError;
use sentinel_core::uptime::{
    Answer, Cause, Check, Checks, Confirm, Expect, Hidden, Maintenance, Method, Target, Uptime,
};
use serde_json::json;
use std::time::Duration;

fn of(json: &serde_json::Value) -> Result<Check, String> {
    serde_json::from_value(json.clone()).map_err(|error| error.to_string())
}

type Edit<'a> = &'a dyn Fn(&mut Check);

#[allow(clippy::needless_pass_by_value, reason = "each is made for it")]
fn shop(more: serde_json::Value) -> Result<Check, String> {
    let mut all = json!({ "name": "shop", "target": "https://shop.example/" });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    of(&all)
}

fn field(check: Check) -> String {
    Checks::new(vec![check]).map_or_else(|error: ConfigError| error.field, |_| "none".into())
}

#[test]
fn every_option_is_read() {
    let check = shop(json!({
        "interval": 30, "timeout": "2500ms", "method": "POST", "headers": {"X-Key": "k"}, "redirects": 0, "verify_tls": false,
        "certificate_days": 30, "confirm": {"failures": 2, "successes": 1, "every": "5s"}, "paused": true, "tags": ["eu"],
        "expect": {"status": [200, "3xx", "401-403"], "contains": "ok", "lacks": "error", "json": {"/a/0": 1}, "max_latency": 1},
        "maintenance": [{"once": {"from": "2026-03-01T22:00:30+02:00", "to": "2026-03-02T00:00Z"}}],
    }))
    .unwrap();
    assert_eq!((check.interval, check.timeout()), (Duration::from_secs(30), Duration::from_millis(2_500)));
    assert_eq!((check.method, check.redirects, check.verify_tls, check.paused), (Method::Post, 0, false, true));
    assert_eq!(check.confirm, Confirm { failures: 2, successes: 1, every: Duration::from_secs(5) });
    assert_eq!(check.maintenance, [Maintenance::once(1_772_395_230_000, 1_772_409_600_000)]);
    assert_eq!(field(check), "none");
    for wrong in [
        json!({"intervall": 30}),
        json!({"expect": {"stauts": 200}}),
        json!({"confirm": {"fails": 2}}),
        json!({"expect": {"status": []}}),
        json!({"expect": {"status": 99}}),
        json!({"expect": {"status": "300-200"}}),
        json!({"method": "DELETE"}),
        json!({"maintenance": [{"daily": {}}]}),
        json!({"maintenance": [{"weekly": {"days": ["fun"], "at": "03:00", "for": "1h"}}]}),
        json!({"maintenance": [{"weekly": {"days": ["sun"], "at": "24:00", "for": "1h"}}]}),
        json!({"maintenance": [{"weekly": {"days": ["sun"], "at": "03:00", "for": "1h", "offset": "CET"}}]}),
        json!({"maintenance": [{"once": {"from": "2026-02-29T22:00Z", "to": "2026-03-02T00:00Z"}}]}),
        json!({"maintenance": [{"once": {"from": "2026-03-01T22:00", "to": "2026-03-02T00:00Z"}}]}),
    ] {
        assert!(shop(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn moments_are_those_of_the_calendar() {
    for (text, ms) in [
        ("1970-01-01T00:00Z", 0_i64),
        ("2000-02-29T23:59:59Z", 951_868_799_000),
        ("2024-12-31T23:59-01:00", 1_735_693_140_000),
        ("2100-03-01T00:00+14:00", 4_107_492_000_000),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000),
    ] {
        let window = shop(json!({"maintenance": [{"once": {"from": text, "to": text}}]})).unwrap();
        assert_eq!(window.maintenance, [Maintenance::once(ms, ms)], "{text}");
        assert_eq!(field(window), "checks[0].maintenance[0].once.to");
    }
}

#[test]
fn every_option_has_its_edges() {
    let ms = Duration::from_millis;
    let with = |edit: &dyn Fn(&mut Check)| {
        let mut check = check("shop");
        edit(&mut check);
        field(check)
    };
    let weekly = |at: i64, minutes: u64, offset: i64| Maintenance::Weekly {
        days: vec![sentinel_core::uptime::Day::Mon],
        at,
        length: Duration::from_mins(minutes),
        offset,
    };
    let tcp = || Target::new("tcp://db:5432").unwrap();
    let text = |len: usize| Some("x".repeat(len));
    let good: [Edit<'_>; 12] = [
        &|check| check.name = "x".repeat(64),
        &|check| (check.interval, check.timeout) = (ms(1_000), Some(ms(1_000))),
        &|check| check.interval = Duration::from_hours(24),
        &|check| check.timeout = Some(ms(60_000)),
        &|check| check.timeout = Some(ms(10)),
        &|check| check.confirm = Confirm { failures: 10, successes: 10, every: ms(100) },
        &|check| check.redirects = 10,
        &|check| check.certificate_days = 365,
        &|check| check.expect.contains = text(1_024),
        &|check| check.expect.max_latency = Some(ms(10_000)),
        &|check| check.maintenance = vec![weekly(86_399_999, 1_440, 14 * 3_600_000); 16],
        &|check| check.target = tcp(),
    ];
    good.iter().enumerate().for_each(|(at, edit)| assert_eq!(with(edit), "none", "{at}"));
    let header = |name: &str, value: &str| [(name.to_owned(), Hidden::new(value))].into();
    let bad: [(Edit<'_>, &str); 31] = [
        (&|check| check.name.clear(), "name"),
        (&|check| check.name = "x".repeat(65), "name"),
        (&|check| check.name = "a\nb".into(), "name"),
        (&|check| check.interval = ms(999), "interval"),
        (&|check| check.interval = Duration::from_hours(24) + ms(1), "interval"),
        (&|check| check.timeout = Some(ms(9)), "timeout"),
        (&|check| check.timeout = Some(ms(60_001)), "timeout"),
        (&|check| (check.interval, check.timeout) = (ms(5_000), Some(ms(5_001))), "timeout"),
        (&|check| check.confirm.every = ms(99), "confirm.every"),
        (&|check| check.confirm.every = ms(10_001), "confirm.every"),
        (&|check| check.confirm.failures = 0, "confirm.failures"),
        (&|check| check.confirm.failures = 11, "confirm.failures"),
        (&|check| check.confirm.successes = 0, "confirm.successes"),
        (&|check| check.redirects = 11, "redirects"),
        (&|check| check.certificate_days = 366, "certificate_days"),
        (&|check| check.headers = header("a b", ""), "headers"),
        (&|check| check.headers = header("Accept-Encoding", "gzip"), "headers"),
        (&|check| check.headers = header("a", "x\r\ny: z"), "headers.a"),
        (&|check| check.headers = header("a", &"x".repeat(4_097)), "headers.a"),
        (&|check| check.headers = (0..33).map(|at| (format!("h{at}"), Hidden::new(""))).collect(), "headers"),
        (&|check| check.expect.contains = text(0), "expect.contains"),
        (&|check| check.expect.lacks = text(1_025), "expect.lacks"),
        (&|check| check.expect.json = [("a".to_owned(), json!(1))].into(), "expect.json"),
        (&|check| check.expect.max_latency = Some(ms(10_001)), "expect.max_latency"),
        (&|check| (check.method, check.expect.contains) = (Method::Head, text(1)), "method"),
        (&|check| (check.target, check.method) = (tcp(), Method::Head), "method"),
        (&|check| (check.target, check.expect.contains) = (tcp(), text(1)), "expect"),
        (&|check| check.maintenance = vec![weekly(86_400_000, 1, 0)], "maintenance[0].weekly.at"),
        (&|check| check.maintenance = vec![weekly(0, 1_441, 0)], "maintenance[0].weekly.for"),
        (&|check| check.maintenance = vec![weekly(0, 1, 15 * 3_600_000)], "maintenance[0].weekly.offset"),
        (&|check| check.tags = vec![String::new()], "tags[0]"),
    ];
    for (edit, name) in bad {
        assert_eq!(with(edit), format!("checks[0].{name}"));
    }
}

#[test]
fn names_are_there_once() {
    let error = Checks::new(vec![check("a"), check("b"), check("a")]).unwrap_err();
    assert_eq!(error.field, "checks[2].name");
    assert!(Checks::new((0..10_000).map(|at| check(&at.to_string())).collect()).is_ok());
    assert_eq!(Checks::new(vec![check("a"); 10_001]).unwrap_err().field, "checks");
}

#[test]
fn targets_are_what_they_look_like() {
    let parts = |url: &str| {
        Target::new(url).ok().map(|target| (target.host().to_owned(), target.port(), target.path().to_owned()))
    };
    let some = |host: &str, port, path: &str| Some((host.to_owned(), port, path.to_owned()));
    for (url, expected) in [
        ("https://Shop.Example", some("shop.example", 443, "/")),
        ("http://127.0.0.1:8080?x=/y", some("127.0.0.1", 8_080, "/?x=/y")),
        ("http://[::ffff:1.2.3.4]:80/a", some("::ffff:1.2.3.4", 80, "/a")),
        ("http://0x7f000001/", some("0x7f000001", 80, "/")), // for the dialler to judge by its address
        ("tls://mail.example", some("mail.example", 443, "")),
        ("tcp://[::1]:5432", some("::1", 5_432, "")),
        ("https://shop.example/#top", None),
        ("https://shop.example:443:443/", None),
        ("https://shop.example:/", None),
        ("https://shop.example:+80/", None),
        ("https://shop.example:65536/", None),
        ("https://[::1/", None),
        ("https://[::1]x/", None),
        ("https://[localhost]/", None),
        ("https://a@b/", None),
        ("https://a\\b/", None),
        ("https://ä.example/", None),
        ("https://a.example/\r\nx", None),
        ("file:///etc/passwd", None),
        ("HTTPS://shop.example", None),
        ("tcp://db", None),
        ("tls://mail.example/path", None),
    ] {
        assert_eq!(parts(url), expected, "{url}");
    }
    assert!(Target::new(&format!("https://a/{}", "x".repeat(2_048))).is_err());
}

/// Nothing that can be shown shows a header's value, a path, a query, or what a body contains.
#[test]
fn no_secret_is_shown() {
    let canary = "hunter2";
    let secret = shop(json!({
        "target": format!("https://shop.example/{canary}?key={canary}"), "headers": {"authorization": canary},
        "expect": {"contains": canary, "lacks": canary, "json": {"/a": canary}},
    }))
    .unwrap();
    let mut uptime = Uptime::default();
    let shown = format!("{secret:?}");
    uptime.configure(checks([secret]), 0);
    for text in [shown, format!("{uptime:?}"), serde_json::to_string(&uptime.report(0)).unwrap()] {
        assert!(!text.contains(canary) && text.contains("shop.example"), "{text}");
    }
    let bytes = uptime.encode("shop").unwrap();
    assert!(!bytes.windows(7).any(|part| part == canary.as_bytes()));
    for wrong in [
        json!({"target": format!("ftp://{canary}/")}),
        json!({"target": format!("https://u:{canary}@a/")}),
        json!({"target": 112_233}),
        json!({"headers": {"a": 112_233}}),
        json!({"headers": {"a": [canary]}}),
    ] {
        let error = shop(wrong.clone()).unwrap_err();
        assert!(!error.contains(canary) && !error.contains("112233"), "{error}");
    }
    let mut bad = check("shop");
    bad.headers = [("a".to_owned(), Hidden::new(format!("{canary}\n")))].into();
    assert!(!Checks::new(vec![bad]).unwrap_err().to_string().contains(canary));
}

#[test]
fn answers_are_judged_in_order() {
    let expect: Expect = serde_json::from_value(json!({
        "status": "2xx", "contains": "ready", "lacks": "error", "json": {"/up": true, "/n": 1, "/list/1": "b"}, "max_latency": "1s",
    }))
    .unwrap();
    let judge = |status, body: &str, ms| {
        expect.judge(&Answer { status, body: body.as_bytes(), latency: Duration::from_millis(ms) })
    };
    let good = r#"{"up": true, "n": 1.0, "list": ["a", "b"], "is": "ready"}"#;
    assert_eq!(judge(299, good, 1_000), Ok(()));
    assert_eq!(judge(300, "", 9_999), Err(Cause::Status));
    assert_eq!(judge(200, "error ready", 9_999), Err(Cause::Body));
    assert_eq!(judge(200, "", 0), Err(Cause::Body));
    assert_eq!(judge(200, "ready", 0), Err(Cause::Json));
    assert_eq!(judge(200, &good.replace("1.0", "2"), 0), Err(Cause::Json));
    assert_eq!(judge(200, &good.replace("true", "1"), 0), Err(Cause::Json));
    assert_eq!(judge(200, &good[..40], 0), Err(Cause::Body)); // what a cap cut off is not there
    assert_eq!(judge(200, good, 1_001), Err(Cause::Latency));
}
