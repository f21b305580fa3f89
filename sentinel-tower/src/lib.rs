//! Which tenant is causing elevated errors or latency right now? This crate has the layer that records every request of an axum,
//! tower or hyper service in a [`Sentinel`](sentinel_core::Sentinel), and the service that shows the answer.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use sentinel_core::Sentinel;
//! use sentinel_tower::{AdminService, SentinelLayer, tenant_header};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let sentinel = Sentinel::from_env()?;
//! let app = Router::new()
//!     .route("/users/{id}", get(|| async { "hello" }))
//!     .layer(SentinelLayer::new(&sentinel, tenant_header("x-tenant-id")?))
//!     .nest_service("/sentinel", AdminService::new(sentinel.admin().token("correct-horse-battery")?));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is counted?
//!
//! - **One event a request**, when the answer is complete. The latency runs from the call of the service to the last byte that is
//!   taken from the body. An upgraded connection (101) and a stream of server-sent events count when the head is sent.
//! - **The route template**, from axum's `MatchedPath`, prefixes of nested routers included; never the raw path. A request that no
//!   route took is `unmatched`, and so is any request when the layer is outside an axum `Router` and has no
//!   [`SentinelLayer::endpoint`]. Requests to a `nest_service` are `unmatched` too. Give that service a layer of its own, and add it
//!   after the outer layer (`.layer(..).nest_service(..)`), because two layers around each other count a request twice.
//! - **The status**; for gRPC the HTTP status that `grpc-status` stands for. 499 when the client went away before the answer was
//!   complete, 500 when the service or the body returned an error or panicked. The layer passes errors and panics on.
//! - **The tenant**, as given to [`SentinelLayer::new`], unless the handler names another one: by a [`Tenant`] among the extensions of
//!   its response, or by [`CurrentTenant`] with [`SentinelLayer::settable`]. Without a tenant, the request is `unattributed`. Take
//!   the tenant from an authenticated identity, not from a token that nobody has verified.
//! - **Everything inside the layer.** Add the layer last, so that it is around timeouts, error pages and authentication. Then their
//!   answers count, and a handler that a timeout drops is not taken for a client that went away.
//! - **Nothing** for the templates of [`SentinelLayer::exclude`] and for requests to the [`AdminService`].
//!
//! # What does it cost?
//!
//! With a tenant of up to 40 bytes from a header, this crate allocates nothing; axum allocates one box around the body.
//! A tenant extractor that panics is counted in [`Stats::adapter_failures`](sentinel_core::Stats::adapter_failures), and the
//! request goes on.

// | file | content |
// |---|---|
// | `layer`, `options` | the layer, and its options as the service reads them |
// | `service` | the wrapped service and the future of its answer |
// | `watch` | one request until it is recorded |
// | `body` | the body of an answer, watched until its end |
// | `tenant` | the tenant of a request: extractors, and the ways in which a handler names it |
// | `grpc` | the status of gRPC |
// | `admin` | the admin view as a service |

mod admin;
mod body;
mod grpc;
mod layer;
mod options;
mod service;
mod tenant;
mod watch;

pub use admin::AdminService;
pub use body::SentinelBody;
pub use layer::SentinelLayer;
pub use service::{ResponseFuture, SentinelService};
#[cfg(feature = "axum")]
pub use tenant::tenant_path;
pub use tenant::{
    CurrentTenant, Head, Tenant, TenantFrom, tenant_async_fn, tenant_extension, tenant_fn, tenant_from_handler,
    tenant_header,
};

// The documents for users are tested here, because their code needs axum and a runtime.
#[cfg(all(doctest, feature = "axum"))]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/services.md")]
    struct Services;
    #[doc = include_str!("../../docs/workers.md")]
    struct Workers;
}
