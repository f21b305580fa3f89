//! The admin view, as an adapter sees it: who may see what, what is answered, and that no input breaks it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use proptest::prelude::*;
use sentinel_core::admin::{Admin, Request, Response};
use sentinel_core::uptime::{Cause, Check, CheckResult, Checks, Target, Uptime, UptimeReport};
use sentinel_core::{Answer, Clock, Event, Latency, Sentinel, Sharing, Unavailable, Wider};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Weak};

const TOKEN: &str = "correct-horse-battery";
const START: i64 = 1_700_000_000_000;
const DATA: [&str; 7] = ["/report", "/tenants/acme", "/stats", "/alerts", "/uptime", "/metrics", "/tenants/%2e%2e"];

fn sentinel() -> Sentinel {
    let sentinel = Sentinel::builder().clock(Clock::manual(START)).build().unwrap();
    for (tenant, status) in [("acme", 500), ("acme", 503), ("beta", 200), ("<img src=x onerror=alert(1)>", 502)] {
        let latency = Latency::from_millis(20.0);
        sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: "/v1/process", status, latency, at: None });
    }
    sentinel
}

fn admin() -> Admin {
    sentinel().admin().token(TOKEN).unwrap()
}

fn ask(admin: &Admin, path: &str, query: &str) -> Response {
    let token = format!("Bearer {TOKEN}");
    admin.respond(&Request { authorization: Some(token.as_bytes()), ..Request::get(path, query) })
}

fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

#[test]
fn tenants_are_for_who_has_the_token() {
    let configured = admin();
    for path in DATA {
        for (authorization, status) in [
            (None, 401),
            (Some(&b""[..]), 401),
            (Some(b"Bearer"), 401),
            (Some(b"Bearer "), 401),
            (Some(b"Bearer correct-horse-batter"), 401),
            (Some(b"Bearer correct-horse-battery2"), 401),
            (Some(b"Basic correct-horse-battery"), 401),
            (Some(b"correct-horse-battery"), 401),
            (Some(b"bearer \xff\xfe"), 401),
        ] {
            let response = configured.respond(&Request { authorization, ..Request::get(path, "") });
            assert_eq!(response.status, status, "{path} {authorization:?}");
            assert_eq!(header(&response, "www-authenticate"), Some("Bearer realm=\"sentinel\""));
            assert!(!String::from_utf8_lossy(&response.body).contains("acme"));
        }
        let long = [b"Bearer ".as_slice(), &vec![b'x'; 1 << 20]].concat();
        assert_eq!(configured.respond(&Request { authorization: Some(&long), ..Request::get(path, "") }).status, 401);
        // Without a token nobody sees anything, with or without one.
        let closed = sentinel().admin();
        for authorization in [None, Some(&b"Bearer "[..]), Some(b"Bearer correct-horse-battery")] {
            let response = closed.respond(&Request { authorization, ..Request::get(path, "") });
            assert_eq!(response.status, 403, "{path}");
            assert!(json(&response)["detail"].as_str().unwrap().contains("no admin token is configured"));
        }
    }
    let public = sentinel().admin().public();
    assert_eq!(public.respond(&Request::get("/report", "")).status, 200);
    assert_eq!(ask(&configured, "/report", "").status, 200);
    let spaced = Request { authorization: Some(b"bearer  correct-horse-battery "), ..Request::get("/report", "") };
    assert_eq!(configured.respond(&spaced).status, 200);
    assert!(!format!("{configured:?} {spaced:?}").contains("horse"));
}

#[test]
fn the_page_and_the_document_hold_no_data() {
    for path in ["", "/", "/openapi.json"] {
        let response = sentinel().admin().respond(&Request::get(path, ""));
        assert_eq!(response.status, 200);
        // Not "acme": the document has an example of that name.
        assert!(!String::from_utf8_lossy(&response.body).contains("onerror=alert"));
    }
}

#[test]
fn every_answer_is_strict() {
    let admin = admin();
    for path in [
        "/",
        "/openapi.json",
        "/report",
        "/stats",
        "/alerts",
        "/uptime",
        "/metrics",
        "/tenants/acme",
        "/tenants/nobody",
        "/nothing",
    ] {
        let response = ask(&admin, path, "");
        assert_eq!(header(&response, "cache-control"), Some("no-store"), "{path}");
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
        assert!(header(&response, "content-security-policy").unwrap().starts_with("default-src 'none'"));
        let mut names: Vec<&str> = response.headers.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), response.headers.len());
    }
}

/// The hashes in the policy are those of the script and the style that stand in the page.
#[test]
fn the_page_may_run_its_own_script_and_nothing_else() {
    let response = admin().respond(&Request::get("/", ""));
    let page = String::from_utf8(response.body.to_vec()).unwrap();
    let policy = header(&response, "content-security-policy").unwrap();
    for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
        let (from, to) = (format!("<{tag}>"), format!("</{tag}>"));
        assert_eq!(page.matches(&from).count(), 1, "one {tag}");
        let text = page.split(&from).nth(1).unwrap().split(&to).next().unwrap();
        let wanted = format!("{directive} 'sha256-{}'", base64(&Sha256::digest(text)));
        assert!(policy.contains(&wanted), "PAGE_POLICY must say: {wanted}");
    }
    for outside in
        ["http://", "https://", "//cdn", "innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("]
    {
        let allowed = outside == "http://"
            && page.matches("http://").count() == page.matches("http://www.w3.org/2000/svg").count();
        assert!(allowed || !page.contains(outside), "{outside}");
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |chunk: &[u8]| {
        let bits = (0..3).fold(0_u32, |bits, i| bits << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        (0..4)
            .map(move |i| (i, bits))
            .map({
                let len = chunk.len();
                move |(i, bits)| if i <= len { char::from(DIGITS[(bits >> (18 - 6 * i) & 63) as usize]) } else { '=' }
            })
            .collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

#[test]
fn what_is_asked_is_answered() {
    let admin = admin();
    let report = json(&ask(&admin, "/report", "by=errors&limit=2&window=2m&series=1"));
    assert_eq!((report["tenants"].as_array().unwrap().len(), &report["window_ms"]), (2, &120_000.into()));
    assert_eq!(report["series"]["errors"].as_array().unwrap().len(), 13);
    assert_eq!(report["tenants"][0]["series"]["errors"][12], 2);
    assert!(json(&ask(&admin, "/report", "")).get("series").is_none());
    let tenant = json(&ask(&admin, "/tenants/acme", "window=60"));
    assert_eq!((&tenant["tenant_id"], &tenant["errors"]), (&"acme".into(), &2.into()));
    assert_eq!(tenant["endpoints"][0]["endpoint"], "/v1/process");
    let stats = json(&ask(&admin, "/stats", ""));
    assert_eq!((&stats["offered"], &stats["accepted"]), (&4.into(), &4.into()));
    assert_eq!(json(&ask(&admin, "/alerts", "")), serde_json::Value::Null);
    assert_eq!(json(&ask(&admin, "/uptime", "series=1&limit=3")), serde_json::Value::Null);
    let metrics = String::from_utf8(ask(&admin, "/metrics", "").body.into_owned()).unwrap();
    assert!(
        metrics.contains("\nsentinel_events_accepted_total 4\n") && metrics.contains("\nsentinel_window_errors 3\n"),
        "{metrics}"
    );
    assert!(metrics.contains("sentinel_error_verdict{kind=\"quiet\"} 1\n") && !metrics.contains("acme"), "{metrics}");
    let head = admin.respond(&Request { method: "HEAD", ..Request::get("/", "") });
    assert!(head.status == 200 && head.body.is_empty());
}

/// Whoever knows about checks: what it says of them.
#[derive(Debug)]
struct Checked(Result<Option<UptimeReport>, Unavailable>);

impl Wider for Checked {
    fn begin(&self) {}

    fn answer(&self) -> Result<Option<Answer>, Unavailable> {
        Ok(None)
    }

    fn sharing(&self) -> Option<Sharing> {
        None
    }

    fn uptime(&self) -> Result<Option<UptimeReport>, Unavailable> {
        self.0.clone()
    }
}

#[test]
fn checks_are_listed_as_they_are_asked_for() {
    let mut uptime = Uptime::default();
    let check = |name: &str| Check::new(name, Target::new("https://user-names.example/private").unwrap());
    uptime.configure(Checks::new(vec![check("a"), check("b"), check("c")]).unwrap(), START);
    for at in [START, START + 10_000, START + 20_000] {
        uptime.record("c", at, CheckResult::down(at, 60_000, Cause::Timeout), None);
    }
    let mut report = uptime.report(START + 20_000);
    (report.service, report.leader, report.note) = ("shop".into(), true, Some("<b>".into()));
    let sentinel = sentinel();
    let wider = Arc::new(Checked(Ok(Some(report.clone()))));
    let weak: Weak<Checked> = Arc::downgrade(&wider);
    sentinel.widen(weak);
    assert_eq!(sentinel.uptime(), Ok(Some(report.clone())));
    let admin = sentinel.admin().token(TOKEN).unwrap();
    let asked = |query: &str| json(&ask(&admin, "/uptime", query));
    assert_eq!(asked("series=1"), serde_json::to_value(&report).unwrap());
    for query in ["", "series=0", "limit=10000", "limit=3&series=0"] {
        assert_eq!(asked(query), serde_json::to_value(report.clone().without_days()).unwrap(), "{query}");
    }
    let cut = asked("limit=1&series=1");
    assert_eq!((cut["checks"].as_array().unwrap().len(), &cut["checks"][0]["name"]), (1, &"c".into()));
    assert_eq!(cut["counts"], serde_json::json!({ "down": 1, "unknown": 2, "up": 0 }));
    assert_eq!(cut["checks"][0]["days"]["down_ms"][89], 20_000);
    assert!(!cut.to_string().contains("private"));
    // When nobody can say, that is said; when nobody is there any more, nothing is configured.
    let mute = Arc::new(Checked(Err(Unavailable("nobody answers".into()))));
    let weak: Weak<Checked> = Arc::downgrade(&mute);
    sentinel.widen(weak);
    let refused = ask(&admin, "/uptime", "");
    assert_eq!((refused.status, &json(&refused)["detail"]), (503, &"nobody answers".into()));
    drop(mute);
    assert_eq!(asked(""), Value::Null);
}

#[test]
fn tenants_are_found_by_what_is_shown() {
    let sentinel = Sentinel::builder().clock(Clock::manual(START)).build().unwrap();
    let ids: [&[u8]; 9] = [
        b"a/b",
        b"a%2Fb",
        b"nul\0",
        b"\xff\xfe",
        b"back\\slash",
        b"",
        b"unattributed",
        "\u{202e}x".as_bytes(),
        b"a b+c",
    ];
    for id in ids {
        sentinel.record(Event { tenant: id, status: 500, ..Event::default() });
    }
    let admin = sentinel.admin().token(TOKEN).unwrap();
    let report = json(&ask(&admin, "/report", "limit=100"));
    let shown: Vec<&str> =
        report["tenants"].as_array().unwrap().iter().map(|row| row["tenant_id"].as_str().unwrap()).collect();
    assert_eq!(shown.len(), ids.len());
    for id in shown {
        let encoded = id.bytes().fold(String::new(), |out, byte| out + &format!("%{byte:02x}"));
        let tenant = ask(&admin, &format!("/tenants/{encoded}"), "");
        assert_eq!((tenant.status, json(&tenant)["tenant_id"].as_str()), (200, Some(id)), "{id}");
    }
    assert_eq!(json(&ask(&admin, "/tenants/a/b", ""))["tenant_id"], "a/b");
    // What a browser would take out of the path.
    for id in [".", ".."] {
        sentinel.record(Event { tenant: id.as_bytes(), ..Event::default() });
        assert_eq!(json(&ask(&admin, &format!("/tenants/%5C{id}"), ""))["tenant_id"], id);
    }
}

#[test]
fn what_is_wrong_is_named() {
    let admin = admin();
    for (method, path, query, status, said) in [
        ("GET", "/report", "by=cost", 400, "\"cost\""),
        ("GET", "/report", "limit=9999999999999999999999", 400, "1 to 1000"),
        ("GET", "/report", "color=red", 400, "\"color\""),
        ("GET", "/stats", "by=load", 400, "no query parameters"),
        ("GET", "/alerts", "by=load", 400, "no query parameters"),
        ("GET", "/uptime", "by=load", 400, "series, limit only"),
        ("GET", "/uptime", "series=yes", 400, "0 or 1"),
        ("GET", "/uptime", "limit=0", 400, "1 to 10000"),
        ("GET", "/uptime", "limit=10001", 400, "1 to 10000"),
        ("GET", "/uptime", "series=1&series=1", 400, "given twice"),
        ("POST", "/uptime", "", 405, "GET and HEAD"),
        ("GET", "/", "x", 400, "no query parameters"),
        ("GET", "/tenants/%zz", "", 400, "hexadecimal"),
        ("GET", "/tenants/%", "", 400, "hexadecimal"),
        ("GET", "/tenants/nobody", "", 404, "\"nobody\""),
        ("GET", "/tenants/", "", 404, "nothing at"),
        ("GET", "/../etc/passwd", "", 404, "nothing at"),
        ("POST", "/report", "", 405, "GET and HEAD"),
        ("DELETE", "/tenants/acme", "", 405, "GET and HEAD"),
        ("get", "/report", "", 405, "GET and HEAD"),
    ] {
        let token = format!("Bearer {TOKEN}");
        let response = admin.respond(&Request { method, path, query, authorization: Some(token.as_bytes()) });
        assert_eq!(response.status, status, "{method} {path}?{query}");
        assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
        let problem = json(&response);
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().unwrap().contains(said), "{problem}");
        assert_eq!(header(&response, "allow"), (status == 405).then_some("GET, HEAD"));
    }
}

#[test]
fn a_token_must_be_one() {
    for token in ["", "short", "with space inside", "tab\there-and-more", "umläut-umläut", &"x".repeat(1_025)] {
        let error = sentinel().admin().token(token).unwrap_err();
        assert_eq!(error.field, "admin_token");
        assert!(token.is_empty() || !error.to_string().contains(token));
    }
}

proptest! {
    #[test]
    fn nothing_breaks_it(method in "GET|HEAD|\\PC{0,8}", path in "(/report|/tenants/|/stats|/alerts|/uptime|/metrics|/)?\\PC{0,40}", query in "((by|limit|window|series)=)?\\PC{0,40}", token in prop::option::of(prop::collection::vec(any::<u8>(), 0..60))) {
        let response = sentinel().admin().public().respond(&Request { method: &method, path: &path, query: &query, authorization: token.as_deref() });
        prop_assert!(matches!(response.status, 200 | 400 | 404 | 405), "{}", response.status);
        prop_assert!(header(&response, "content-type").is_some());
    }
}
