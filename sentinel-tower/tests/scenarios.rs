//! Requests to an axum service over real sockets, and the events that the layer records.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod support;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query as Parameters, WebSocketUpgrade};
use axum::http::{Request, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_util::stream;
use sentinel_core::{ErrorClasses, Query, Sentinel};
use sentinel_tower::{
    AdminService, CurrentTenant, Head, SentinelLayer, Tenant, tenant_async_fn, tenant_extension, tenant_fn,
    tenant_from_handler, tenant_header, tenant_path,
};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Client errors count as errors too, so that a status shows.
fn with_client_errors() -> Sentinel {
    Sentinel::builder().errors(ErrorClasses::CLIENT | ErrorClasses::SERVER).build().unwrap()
}

fn by_header(sentinel: &Sentinel) -> SentinelLayer {
    SentinelLayer::new(sentinel, tenant_header("x-tenant-id").unwrap())
}

/// Failed the way that applications do it.
struct Failed;

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, "no database").into_response()
    }
}

/// One chunk, a pause of that many ms, and another chunk.
fn chunks(pause: u64) -> Body {
    Body::from_stream(stream::unfold(0, move |sent| async move {
        if sent == 1 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        (sent < 2).then_some((Ok::<_, Infallible>(Bytes::from_static(b"chunk")), sent + 1))
    }))
}

fn broken_after_one_chunk() -> Body {
    Body::from_stream(stream::unfold(0, |sent| async move {
        if sent == 1 {
            tokio::time::sleep(Duration::from_millis(50)).await; // the first one is on its way
            return Some((Err(io::Error::other("the disk is gone")), 2));
        }
        (sent == 0).then_some((Ok(Bytes::from_static(b"chunk")), 1))
    }))
}

fn app() -> Router {
    let users = Router::new().route("/users/{id}", get(|| async { "user" }));
    Router::new()
        .route("/ok", get(|| async { "ok" }))
        .route("/things/{id}", get(|| async { (StatusCode::NOT_FOUND, "no such thing") }))
        .route("/post", post(|| async { "posted" }))
        .route("/moved", get(|| async { Redirect::temporary("/ok") }))
        .route("/numbers/{number}", get(|Path(number): Path<u32>| async move { number.to_string() }))
        .route(
            "/search",
            get(|Parameters(query): Parameters<HashMap<String, u32>>| async move { query.len().to_string() }),
        )
        .route("/panics", get(async || -> &'static str { panic!("a bug in the handler") }))
        .route("/fails", get(|| async { Err::<(), _>(Failed) }))
        .route("/slow", get(|| tokio::time::sleep(Duration::from_secs(30))))
        .route("/stream", get(|| async { chunks(300) }))
        .route("/endless", get(|| async { chunks(30_000) }))
        .route("/breaks", get(|| async { broken_after_one_chunk() }))
        .route("/sized", get(|| async { ([("content-length", "10")], chunks(1)) }))
        .route(
            "/socket",
            get(|upgrade: WebSocketUpgrade| async {
                upgrade.on_upgrade(|_| tokio::time::sleep(Duration::from_secs(2)))
            }),
        )
        .route("/events", get(|| async { ([("content-type", "text/event-stream")], chunks(30_000)) }))
        .route("/health", get(|| async { "healthy" }))
        .nest("/api/{version}", users)
}

/// Asks each of these once, and expects of what is recorded: (target, status, template, errors with 4xx counted).
async fn each(method: &str, cases: &[(&str, u16, &str, u64)]) {
    for &(target, status, template, errors) in cases {
        let sentinel = with_client_errors();
        let address = serve(app().layer(by_header(&sentinel))).await;
        let (answered, _) = ask(address, method, target, &[("x-tenant-id", b"acme")]).await;
        assert_eq!(answered, status, "{method} {target}");
        recorded(&sentinel, 1).await;
        assert_eq!(only_endpoint(&sentinel, "acme"), (template.into(), 1, errors), "{method} {target}");
        assert_eq!(sentinel.report(Query::default()).totals.aborted, 0, "{method} {target}");
        assert_eq!(sentinel.stats().adapter_failures, 0);
    }
}

#[tokio::test]
async fn each_answer_counts_once_with_its_status_and_its_template() {
    each(
        "GET",
        &[
            ("/ok", 200, "/ok", 0),
            ("/ok?page=2", 200, "/ok", 0),
            ("/things/7", 404, "/things/{id}", 1),
            ("/nowhere", 404, "unmatched", 1),
            ("/post", 405, "/post", 1),
            ("/moved", 307, "/moved", 0),
            ("/numbers/seven", 400, "/numbers/{number}", 1),
            ("/search?a=b", 400, "/search", 1),
            ("/fails", 503, "/fails", 1),
            ("/sized", 200, "/sized", 0),
            ("/api/v2/users/7", 200, "/api/{version}/users/{id}", 0),
            ("/api/v2/nowhere", 404, "unmatched", 1),
        ],
    )
    .await;
    each("HEAD", &[("/ok", 200, "/ok", 0), ("/stream", 200, "/stream", 0), ("/nowhere", 404, "unmatched", 1)]).await;
    each("OPTIONS", &[("/ok", 405, "/ok", 1)]).await;
    each("POST", &[("/post", 200, "/post", 0)]).await;
}

#[tokio::test]
async fn a_panic_is_a_server_error_and_goes_on_its_way() {
    let sentinel = sentinel();
    let address = serve(app().layer(by_header(&sentinel))).await;
    assert_eq!(visit(address, "/panics", "acme").await, 0); // nothing catches it here: the connection ends
    recorded(&sentinel, 1).await;
    assert_eq!(only_endpoint(&sentinel, "acme"), ("/panics".into(), 1, 1));
    assert_eq!(sentinel.report(Query::default()).totals.aborted, 0);
}

#[tokio::test]
async fn a_streamed_body_takes_until_its_last_chunk() {
    let sentinel = sentinel();
    let address = serve(app().layer(by_header(&sentinel))).await;
    assert_eq!(visit(address, "/stream", "acme").await, 200);
    recorded(&sentinel, 1).await;
    let latency = tenant(&sentinel, "acme").row.p50_ms.unwrap();
    assert!((285.0..60_000.0).contains(&latency), "{latency} ms");
}

#[tokio::test]
async fn a_body_that_breaks_is_a_server_error() {
    let sentinel = sentinel();
    let address = serve(app().layer(by_header(&sentinel))).await;
    assert_eq!(visit(address, "/breaks", "acme").await, 200); // its head had gone out
    recorded(&sentinel, 1).await;
    assert_eq!(only_endpoint(&sentinel, "acme"), ("/breaks".into(), 1, 1));
}

#[tokio::test]
async fn a_client_that_goes_away_before_or_during_the_body_is_aborted() {
    for target in ["/slow", "/endless"] {
        let sentinel = sentinel();
        let address = serve(app().layer(by_header(&sentinel))).await;
        let mut stream = connect(address).await;
        send(&mut stream, "GET", target, &[("x-tenant-id", b"acme")]).await;
        if target == "/endless" {
            let mut some = [0; 64];
            assert!(stream.read(&mut some).await.unwrap() > 0);
        }
        let start = std::time::Instant::now();
        while tenant_in_flight(&sentinel) == 0 {
            assert!(start.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(stream);
        recorded(&sentinel, 1).await;
        let report = sentinel.report(Query::default());
        assert_eq!((report.totals.aborted, report.totals.errors), (1, 0), "{target}");
        assert_eq!(only_endpoint(&sentinel, "acme").0, target);
        assert!(report.tenants[0].p50_ms.unwrap() < 20_000.0, "{target}");
    }
}

fn tenant_in_flight(sentinel: &Sentinel) -> u64 {
    sentinel.tenant(b"acme", None).map_or(0, |found| found.row.in_flight)
}

#[tokio::test]
async fn an_upgrade_counts_its_handshake_only() {
    let sentinel = sentinel();
    let address = serve(app().layer(by_header(&sentinel))).await;
    let headers: [(&str, &[u8]); 5] = [
        ("x-tenant-id", b"acme"),
        ("upgrade", b"websocket"),
        ("connection", b"upgrade"),
        ("sec-websocket-version", b"13"),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut stream = connect(address).await;
    let mut request = b"GET /socket HTTP/1.1\r\nhost: localhost\r\n".to_vec();
    for (name, value) in headers {
        request.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    stream.write_all(&[&request[..], b"\r\n"].concat()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(status_of(&answer), 101);
    recorded(&sentinel, 1).await;
    assert_eq!(only_endpoint(&sentinel, "acme"), ("/socket".into(), 1, 0));
    let latency = tenant(&sentinel, "acme").row.p99_ms.unwrap();
    assert!(latency < 1_900.0, "{latency} ms of a connection that lived for 2,000");
}

#[tokio::test]
async fn server_sent_events_count_when_they_begin() {
    let sentinel = sentinel();
    let address = serve(app().layer(by_header(&sentinel))).await;
    let mut stream = connect(address).await;
    send(&mut stream, "GET", "/events", &[("x-tenant-id", b"acme")]).await;
    recorded(&sentinel, 1).await; // while it is still open
    drop(stream);
    tokio::time::sleep(Duration::from_millis(50)).await;
    recorded(&sentinel, 1).await;
    assert_eq!(sentinel.report(Query::default()).totals.aborted, 0);
}

#[tokio::test]
async fn an_early_answer_of_a_middleware_inside_counts_with_its_template() {
    for status in [401, 403, 304, 204] {
        let sentinel = with_client_errors();
        let early = from_fn(move |_: Request<Body>, _: Next| async move { StatusCode::from_u16(status).unwrap() });
        let address = serve(app().layer(early).layer(by_header(&sentinel))).await;
        assert_eq!(visit(address, "/things/7", "acme").await, status);
        recorded(&sentinel, 1).await;
        assert_eq!(only_endpoint(&sentinel, "acme"), ("/things/{id}".into(), 1, u64::from(status >= 400)));
    }
}

#[tokio::test]
async fn excluded_templates_and_the_admin_view_do_not_count() {
    let sentinel = sentinel();
    let admin = AdminService::new(sentinel.admin().public());
    // The layer is over the view, too.
    let app = app().nest_service("/sentinel", admin).layer(by_header(&sentinel).exclude(["/health", "/things/{id}"]));
    let address = serve(app).await;
    for (target, status) in
        [("/health", 200), ("/things/7", 404), ("/sentinel/report", 200), ("/sentinel/nothing", 404)]
    {
        assert_eq!(visit(address, target, "acme").await, status, "{target}");
    }
    assert_eq!(visit(address, "/ok", "acme").await, 200);
    recorded(&sentinel, 1).await;
}

#[tokio::test]
async fn a_nested_service_has_a_layer_of_its_own() {
    let (outer, inner) = (sentinel(), sentinel());
    let service = Router::new().route("/users/{id}", get(|| async { "user" })).layer(by_header(&inner));
    let address = serve(Router::new().nest_service("/api/{version}", service).layer(by_header(&outer))).await;
    assert_eq!(visit(address, "/api/v2/users/7", "acme").await, 200);
    recorded(&outer, 1).await;
    recorded(&inner, 1).await;
    assert_eq!(only_endpoint(&outer, "acme").0, "unmatched");
    assert_eq!(only_endpoint(&inner, "acme").0, "/api/{version}/users/{id}");
}

/// Asks `/ok` of an app with this layer, and says whose it was, as it is shown.
async fn whose(layer: SentinelLayer, sentinel: &Sentinel, app: Router, headers: &[(&str, &[u8])]) -> String {
    let address = serve(app.layer(layer)).await;
    assert_eq!(ask(address, "GET", "/ok", headers).await.0, 200);
    recorded(sentinel, 1).await;
    sentinel.report(Query::default()).tenants[0].tenant_id.clone()
}

#[tokio::test]
async fn the_tenant_by_header() {
    let long = vec![b'x'; 300_000];
    for (value, shown) in [
        (&b"acme"[..], "acme".to_owned()),
        (b"", "unattributed".into()),
        (b"unattributed", "\\unattributed".into()),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80".into()), // a lone surrogate
        ("caf\u{e9}".as_bytes(), "caf\u{e9}".into()),
        (b"a/b%2Fc", "a/b%2Fc".into()),
        (&long, format!("{}{}", "x".repeat(96), &sha(&long)[..32])),
    ] {
        let sentinel = sentinel();
        let found = whose(by_header(&sentinel), &sentinel, app(), &[("x-tenant-id", value)]).await;
        assert_eq!(found, shown);
    }
    let sentinel = sentinel();
    assert_eq!(whose(by_header(&sentinel), &sentinel, app(), &[]).await, "unattributed");
}

fn sha(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

#[tokio::test]
async fn a_header_of_a_megabyte_is_the_servers_to_refuse() {
    let sentinel = sentinel();
    let address = serve(app().layer(by_header(&sentinel))).await;
    let (status, _) = ask(address, "GET", "/ok", &[("x-tenant-id", &vec![b'x'; 1 << 20])]).await;
    assert!(status == 431 || status == 0, "{status}");
    assert_eq!(visit(address, "/ok", "acme").await, 200);
    recorded(&sentinel, 1).await;
}

#[tokio::test]
async fn the_tenant_by_functions_and_extensions() {
    let key = |head: &Head<'_>| head.headers.get("x-api-key").map(|key| key.as_bytes().to_vec());
    let headers: [(&str, &[u8]); 1] = [("x-api-key", b"acme")];

    let one = sentinel();
    assert_eq!(whose(SentinelLayer::new(&one, tenant_fn(key)), &one, app(), &headers).await, "acme");

    // The answer waits for who it is for: nothing is lost when the handler is faster.
    let two = sentinel();
    let slowly = tenant_async_fn(move |head| {
        let key = key(head);
        async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            key
        }
    });
    assert_eq!(whose(SentinelLayer::new(&two, slowly), &two, app(), &headers).await, "acme");

    let three = sentinel();
    let layer = SentinelLayer::new(&three, tenant_extension(|user: &User| &user.organisation));
    let app = app().layer(layer).layer(Extension(User { organisation: "acme".into() }));
    let address = serve(app).await;
    assert_eq!(ask(address, "GET", "/ok", &[]).await.0, 200);
    recorded(&three, 1).await;
    assert_eq!(only_endpoint(&three, "acme"), ("/ok".into(), 1, 0));
}

#[derive(Clone)]
struct User {
    organisation: String,
}

#[tokio::test]
async fn the_tenant_by_a_parameter_of_the_path() {
    let sentinel = sentinel();
    let orgs = Router::new().route("/users/{id}", get(|| async { "user" }));
    let app = Router::new().nest("/orgs/{org}", orgs).layer(SentinelLayer::new(&sentinel, tenant_path("org")));
    let address = serve(app).await;
    for target in ["/orgs/acme/users/7", "/orgs/a%2Fb%20c/users/7", "/nowhere"] {
        ask(address, "GET", target, &[]).await;
    }
    recorded(&sentinel, 3).await;
    assert_eq!(only_endpoint(&sentinel, "acme"), ("/orgs/{org}/users/{id}".into(), 1, 0));
    assert_eq!(only_endpoint(&sentinel, "a/b c").1, 1);
    assert_eq!(only_endpoint(&sentinel, "").0, "unmatched");
}

#[tokio::test]
async fn what_the_handler_says_goes_before_what_the_request_says() {
    let by_response = Router::new().route("/ok", get(|| async { (Extension(Tenant::new("acme")), "ok") }));
    let one = sentinel();
    assert_eq!(whose(by_header(&one), &one, by_response, &[("x-tenant-id", b"liar")]).await, "acme");

    // From a thread of its own.
    let by_holder = Router::new().route(
        "/ok",
        get(|Extension(current): Extension<CurrentTenant>| async move {
            tokio::task::spawn_blocking(move || current.set("acme")).await.unwrap();
        }),
    );
    let two = sentinel();
    let layer = SentinelLayer::new(&two, tenant_from_handler()).settable();
    assert_eq!(whose(layer, &two, by_holder, &[("x-tenant-id", b"liar")]).await, "acme");

    // Also when there is no response.
    let three = sentinel();
    let panics = Router::new().route(
        "/panics",
        get(async |Extension(current): Extension<CurrentTenant>| -> &'static str {
            current.set("acme");
            panic!("a bug in the handler")
        }),
    );
    let address = serve(panics.layer(by_header(&three).settable())).await;
    assert_eq!(visit(address, "/panics", "liar").await, 0);
    recorded(&three, 1).await;
    assert_eq!(only_endpoint(&three, "acme"), ("/panics".into(), 1, 1));
}

#[tokio::test]
async fn an_extractor_that_panics_is_counted_and_the_request_goes_on() {
    let later = || async { panic!("a bug in the extractor") };
    for tenant in [
        tenant_fn(|_| -> Option<String> { panic!("a bug in the extractor") }),
        tenant_async_fn(|_| -> std::future::Ready<Option<String>> { panic!("a bug in the extractor") }),
        tenant_async_fn(move |_| {
            let found = later();
            async move {
                let () = found.await;
                None::<String>
            }
        }),
    ] {
        let sentinel = sentinel();
        assert_eq!(whose(SentinelLayer::new(&sentinel, tenant), &sentinel, app(), &[]).await, "unattributed");
        assert_eq!(sentinel.stats().adapter_failures, 1);
    }
    let sentinel = sentinel();
    let layer = by_header(&sentinel).endpoint(|_| panic!("a bug in the name"));
    assert_eq!(whose(layer, &sentinel, app(), &[("x-tenant-id", b"acme")]).await, "acme");
    assert_eq!((only_endpoint(&sentinel, "acme").0, sentinel.stats().adapter_failures), ("/ok".into(), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_at_once_over_fifty_tenants_are_counted_exactly() {
    let sentinel = sentinel();
    let address = serve(app().layer(by_header(&sentinel))).await;
    let asked: Vec<_> = (0..1_000)
        .map(|i| {
            let target = ["/ok", "/stream", "/fails", "/things/7"][i / 50 % 4];
            tokio::spawn(async move { visit(address, target, &format!("tenant-{}", i % 50)).await })
        })
        .collect();
    for asked in asked {
        assert!([200, 503, 404].contains(&asked.await.unwrap()));
    }
    recorded(&sentinel, 1_000).await;
    for i in 0..50 {
        let found = tenant(&sentinel, &format!("tenant-{i}"));
        assert_eq!((found.row.requests, found.row.errors), (20, 5));
        let endpoints: Vec<_> =
            found.endpoints.iter().map(|counts| (counts.endpoint.as_str(), counts.requests)).collect();
        assert_eq!(endpoints[0], ("/fails", 5));
        assert_eq!(endpoints.len(), 4);
        assert!(endpoints.iter().all(|(_, requests)| *requests == 5));
    }
}

#[tokio::test]
async fn requests_on_one_connection_each_count() {
    let sentinel = sentinel();
    let address = serve(app().layer(by_header(&sentinel))).await;
    let mut stream = connect(address).await;
    for _ in 0..10 {
        stream.write_all(b"GET /ok HTTP/1.1\r\nhost: localhost\r\nx-tenant-id: acme\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 1_024];
        let read = stream.read(&mut answer).await.unwrap();
        assert_eq!(status_of(&answer[..read]), 200);
    }
    recorded(&sentinel, 10).await;
    assert_eq!(only_endpoint(&sentinel, "acme"), ("/ok".into(), 10, 0));
}

#[tokio::test]
async fn the_admin_view_is_for_who_has_the_token() {
    let sentinel = sentinel();
    let admin = AdminService::new(sentinel.admin().token("correct-horse-battery").unwrap());
    let address = serve(app().layer(by_header(&sentinel)).nest_service("/sentinel", admin)).await;
    assert_eq!(visit(address, "/fails", "acme").await, 503);
    recorded(&sentinel, 1).await;
    for (authorization, status) in
        [(None, 401), (Some("Bearer wrong"), 401), (Some("Bearer correct-horse-battery"), 200)]
    {
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_bytes())).collect();
        let (answered, body) = ask(address, "GET", "/sentinel/report?limit=3", &headers).await;
        assert_eq!(answered, status);
        assert_eq!(String::from_utf8_lossy(&body).contains("acme"), status == 200);
    }
    for target in ["/sentinel", "/sentinel/"] {
        let (status, page) = ask(address, "GET", target, &[]).await;
        assert_eq!(status, 200);
        let page = String::from_utf8_lossy(&page);
        assert!(page.contains("content-security-policy") && page.contains("<title>") && !page.contains("acme"));
    }
    let (status, answer) = ask(address, "DELETE", "/sentinel/report", &[]).await;
    assert_eq!(status, 405);
    assert!(String::from_utf8_lossy(&answer).contains("allow: GET, HEAD"));
    recorded(&sentinel, 1).await;
}

/// Serves one route through the layer, with something outside it; asks once and gives (status, requests, errors, aborted).
async fn once(
    answer: impl Fn() -> Response + Clone + Send + Sync + 'static,
    outside: fn(Router) -> Router,
) -> (u16, [u64; 3]) {
    let sentinel = sentinel();
    let app = Router::new().route("/ok", get(move || std::future::ready(answer())));
    let address = serve(outside(app.layer(by_header(&sentinel)))).await;
    let status = visit(address, "/ok", "acme").await;
    recorded(&sentinel, 1).await;
    let totals = sentinel.report(Query::default()).totals;
    (status, [totals.requests, totals.errors, totals.aborted])
}

fn trailers(name: &'static str, value: &'static str) -> impl Fn() -> Response + Clone + Send + Sync + 'static {
    move || {
        let trailers = axum::http::HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        let frames = [
            Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(b"hello"))),
            Ok(http_body::Frame::trailers(trailers)),
        ];
        let body = Body::new(http_body_util::StreamBody::new(stream::iter(frames)));
        ([("trailer", name), ("content-type", "application/grpc")], body).into_response()
    }
}

#[tokio::test]
async fn trailers_end_an_answer_and_say_how_grpc_went() {
    assert_eq!(once(trailers("x-sum", "1"), |app| app).await, (200, [1, 0, 0]));
    assert_eq!(once(trailers("grpc-status", "0"), |app| app).await, (200, [1, 0, 0]));
    assert_eq!(once(trailers("grpc-status", "13"), |app| app).await, (200, [1, 1, 0]));
    let head = || ([("content-type", "application/grpc"), ("grpc-status", "14")], ()).into_response();
    assert_eq!(once(head, |app| app).await, (200, [1, 1, 0]));
}

#[tokio::test]
async fn what_stands_outside_does_not_make_errors_vanish() {
    // An error page takes the body away, a cache answers 304: nobody asked for the first one.
    let page = |app: Router| {
        app.layer(from_fn(|request: Request<Body>, next: Next| async move {
            let response = next.run(request).await;
            (response.status(), "we are sorry").into_response()
        }))
    };
    assert_eq!(once(|| Failed.into_response(), page).await, (503, [1, 1, 0]));
    let cache = |app: Router| {
        app.layer(from_fn(|request: Request<Body>, next: Next| async move {
            drop(next.run(request).await);
            StatusCode::NOT_MODIFIED
        }))
    };
    assert_eq!(once(|| "hello".into_response(), cache).await, (304, [1, 0, 0]));
}

#[tokio::test]
async fn an_answer_that_failed_stays_one_when_the_client_leaves() {
    let sentinel = sentinel();
    let failing = || async { (StatusCode::INTERNAL_SERVER_ERROR, chunks(30_000)) };
    let address = serve(Router::new().route("/ok", get(failing)).layer(by_header(&sentinel))).await;
    let mut stream = connect(address).await;
    send(&mut stream, "GET", "/ok", &[("x-tenant-id", b"acme")]).await;
    assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
    drop(stream);
    recorded(&sentinel, 1).await;
    let totals = sentinel.report(Query::default()).totals;
    assert_eq!((totals.errors, totals.aborted), (1, 0));
}

/// Says how long it is, and not that it has ended.
struct Sized(Option<Bytes>);

impl http_body::Body for Sized {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[tokio::test]
async fn a_body_ends_with_its_length_and_not_before() {
    let sized = || Body::new(Sized(Some(Bytes::from_static(b"hello")))).into_response();
    assert_eq!(once(sized, |app| app).await, (200, [1, 0, 0]));
    // The server ends the connection: the client has nothing whole.
    let short = || {
        let chunk = stream::iter([Ok::<_, Infallible>("short")]);
        ([("content-length", "100")], Body::from_stream(chunk)).into_response()
    };
    assert_eq!(once(short, |app| app).await.1, [1, 1, 0]);
}

#[tokio::test]
async fn who_hangs_does_not_keep_the_admin_view_waiting() {
    let sentinel = sentinel();
    let hung = tenant_async_fn(|_| std::future::pending::<Option<String>>());
    let app = Router::new()
        .route("/ok", get(|| async { (Extension(Tenant::new("acme")), "ok") }))
        .nest_service("/sentinel", AdminService::new(sentinel.admin().public()));
    let address = serve(app.layer(SentinelLayer::new(&sentinel, hung))).await;
    for target in ["/sentinel/report", "/ok"] {
        assert_eq!(tokio::time::timeout(PATIENCE, visit(address, target, "")).await.unwrap(), 200, "{target}");
    }
    recorded(&sentinel, 1).await;
    assert_eq!(only_endpoint(&sentinel, "acme").1, 1);
}
