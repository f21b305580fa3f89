//! Allocations of the layer for a request: counted by the allocator, beside a layer that does nothing.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use http_body_util::BodyExt;
use sentinel_core::Sentinel;
use sentinel_tower::{SentinelLayer, tenant_header};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use tower::Service;
use tower::layer::layer_fn;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Allocations of this thread.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, with a count of what each thread asks it for.
struct Counting;

// SAFETY: everything is passed on to the system's allocator as it came; what counts does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // No count while a thread is torn down.
        let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is ours.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Allocations for each of some requests, once all is warm.
async fn allocations(mut app: Router) -> Vec<u64> {
    let mut found = Vec::new();
    for _ in 0..40 {
        let request = Request::get("/users/7")
            .header("x-tenant-id", "b3e1c2d4-5f60-4718-92a3-b4c5d6e7f801")
            .body(Body::empty())
            .unwrap();
        let before = CALLS.get();
        let response = app.call(request).await.unwrap();
        response.into_body().collect().await.unwrap();
        found.push(CALLS.get() - before);
    }
    found.split_off(20)
}

#[tokio::test]
async fn a_request_of_a_known_tenant_costs_one_allocation() {
    let sentinel = Sentinel::builder().build().unwrap();
    let app = || Router::new().route("/users/{id}", get(|| async { "hello" }));
    // It holds something, as layers do: axum clones them for each request, and that allocates.
    let held = Arc::new(());
    let nothing = move |inner| {
        let _ = &held;
        inner
    };
    let nothing = allocations(app().layer(layer_fn(nothing))).await;
    let watched = allocations(app().layer(SentinelLayer::new(&sentinel, tenant_header("x-tenant-id").unwrap()))).await;
    assert_eq!(sentinel.stats().accepted, 40);
    // The box that axum makes around another type of body.
    let added: Vec<u64> = watched.iter().zip(&nothing).map(|(watched, nothing)| watched - nothing).collect();
    assert!(added.iter().all(|added| *added <= 1), "{added:?}");
}
