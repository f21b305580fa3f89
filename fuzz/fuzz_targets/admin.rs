//! The admin view: any request is answered with a status that is documented, and no tenant is shown to who has no token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentinel_core::admin::{Admin, Request, Response};
use sentinel_core::{Clock, Event, Sentinel};
use sentinel_fuzz::{Input, START};
use std::sync::LazyLock;

const TOKEN: &str = "correct-horse-battery";
/// In every id, and in nothing that an answer without the token may hold.
const MARK: &str = "qXzW";
const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "get"];
const PATHS: [&str; 12] = [
    "",
    "/",
    "/report",
    "/stats",
    "/metrics",
    "/openapi.json",
    "/tenants/",
    "/tenants/qXzW",
    "/tenants/%71XzW%2fb",
    "/tenants/%5Cu%7b202e%7dqXzW",
    "/alerts",
    "/uptime",
];
const QUERIES: [&str; 8] = ["", "by=", "limit=", "window=", "series=", "by=load&limit=3&window=2m&series=1&", "%", "&&"];

/// The same for every run: what answers share is part of what is tested. With the token, for everybody, for nobody.
static VIEWS: LazyLock<[Admin; 3]> = LazyLock::new(|| {
    let sentinel = Sentinel::builder().stripes(1).clock(Clock::manual(START)).build().expect("valid");
    for id in ["qXzW", "qXzW/b", "\u{202e}qXzW", "<qXzW>", "qXzW%2F\0"] {
        for status in [200, 503, 500] {
            sentinel.record(Event { tenant: id.as_bytes(), endpoint: "/v1/process", status, ..Event::default() });
        }
    }
    [sentinel.admin().token(TOKEN).expect("a token"), sentinel.admin().public(), sentinel.admin()]
});

/// One of the usual beginnings and the fuzzer's own text.
fn text(input: &mut Input<'_>, usual: &[&str]) -> String {
    let begin = usual[usize::from(input.byte()) % usual.len()];
    format!("{begin}{}", String::from_utf8_lossy(input.bytes()))
}

fn well_formed(request: &Request<'_>, response: &Response, shown: bool) {
    let allowed: &[u16] = if shown { &[200, 400, 404, 405] } else { &[200, 400, 401, 403, 404, 405] };
    assert!(allowed.contains(&response.status), "{} {request:?}", response.status);
    let header = |name| response.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    assert_eq!(header("cache-control"), Some("no-store"));
    assert_eq!(header("allow").is_some(), response.status == 405);
    assert_eq!(header("www-authenticate").is_some(), response.status == 401);
    if request.method == "HEAD" {
        assert!(response.body.is_empty());
        return;
    }
    let kind = header("content-type").expect("a content type");
    assert_eq!(kind == "application/problem+json", response.status != 200, "{kind}");
    if response.status != 200 {
        let problem: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
        assert_eq!(problem["status"], response.status);
        // One line that names what is wrong, however long the request was.
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(!detail.is_empty() && detail.len() < 1_000 && !detail.contains(char::is_control), "{detail}");
    } else if kind.ends_with("json") {
        serde_json::from_slice::<serde_json::Value>(&response.body).expect("JSON");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let method = if input.byte() < 224 { METHODS[usize::from(input.byte() & 1)].into() } else { text(&mut input, &METHODS) };
    let (path, query) = (text(&mut input, &PATHS), text(&mut input, &QUERIES));
    let given = [b"Bearer ".as_slice(), input.0].concat();
    let right = format!("Bearer {TOKEN}");
    let has_token = given[7..].trim_ascii() == TOKEN.as_bytes();
    let [guarded, public, closed] = &*VIEWS;
    let asks: [(&Admin, Option<&[u8]>, bool); 6] = [
        (guarded, None, false),
        (guarded, Some(&given), has_token),
        (guarded, Some(input.0), false),
        (closed, Some(&given), false),
        (guarded, Some(right.as_bytes()), true),
        (public, Some(&given), true),
    ];
    for (admin, authorization, shown) in asks {
        let request = Request { method: &method, path: &path, query: &query, authorization };
        let response = admin.respond(&request);
        // What was sent comes back in a problem: that is no tenant of ours.
        let echoed = path.contains(MARK) || query.contains(MARK);
        well_formed(&request, &response, shown);
        let body = String::from_utf8_lossy(&response.body);
        // Whoever sends the header as a whole may have the token in it as well.
        let own = authorization.is_some_and(|header| header.trim_ascii().ends_with(TOKEN.as_bytes()));
        assert!(shown || own || echoed || !body.contains(MARK), "{request:?}");
    }
});
