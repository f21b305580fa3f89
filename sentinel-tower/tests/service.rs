//! The layer around services that are no axum router.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use sentinel_core::Sentinel;
use sentinel_tower::{SentinelLayer, tenant_header};
use std::convert::Infallible;
use tower::{ServiceBuilder, ServiceExt, service_fn};

type Body = Full<bytes::Bytes>;

fn layer(sentinel: &Sentinel) -> SentinelLayer {
    SentinelLayer::new(sentinel, tenant_header("x-tenant-id").unwrap())
}

fn request() -> Request<()> {
    Request::get("/orders/8731").header("x-tenant-id", "acme").body(()).unwrap()
}

#[tokio::test]
async fn an_error_of_the_service_is_a_server_error_and_goes_on_its_way() {
    let sentinel = Sentinel::builder().build().unwrap();
    let failing = service_fn(|_: Request<()>| async { Err::<Response<Body>, _>("no route to the database") });
    let service = ServiceBuilder::new().layer(layer(&sentinel)).service(failing);
    assert_eq!(service.oneshot(request()).await.unwrap_err(), "no route to the database");
    let found = sentinel.tenant(b"acme", None).unwrap();
    assert_eq!((found.row.requests, found.row.errors, found.endpoints[0].endpoint.as_str()), (1, 1, "unmatched"));
}

#[tokio::test]
async fn the_endpoint_is_what_the_embedder_names() {
    let sentinel = Sentinel::builder().build().unwrap();
    let fine = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Body::from("hello"))) });
    let named = layer(&sentinel).endpoint(|head| Some(sentinel_core::normalise_path(head.uri.path())));
    let service = ServiceBuilder::new().layer(named).service(fine);
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(sentinel.stats().accepted, 0); // the body is still to come
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(sentinel.tenant(b"acme", None).unwrap().endpoints[0].endpoint, "/orders/{id}");
}

#[tokio::test]
async fn a_body_that_nobody_asks_for_leaves_the_status() {
    let sentinel = Sentinel::builder().build().unwrap();
    let fine = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Body::from("hello"))) });
    drop(ServiceBuilder::new().layer(layer(&sentinel)).service(fine).oneshot(request()).await.unwrap());
    // Somebody outside put another in its place.
    let totals = sentinel.report(sentinel_core::Query::default()).totals;
    assert_eq!((totals.requests, totals.aborted), (1, 0));
}

#[test]
fn a_service_that_panics_before_its_future_is_a_server_error() {
    let sentinel = Sentinel::builder().build().unwrap();
    let panics = service_fn(|_: Request<()>| -> std::future::Ready<Result<Response<Body>, Infallible>> {
        panic!("a bug in the service")
    });
    let mut service = ServiceBuilder::new().layer(layer(&sentinel)).service(panics);
    let call = std::panic::AssertUnwindSafe(|| drop(tower::Service::call(&mut service, request())));
    assert!(std::panic::catch_unwind(call).is_err());
    let totals = sentinel.report(sentinel_core::Query::default()).totals;
    assert_eq!((totals.requests, totals.errors, totals.aborted), (1, 1, 0));
}
