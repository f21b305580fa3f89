//! Which tenant is causing elevated errors or latency right now? The layer that tells `sentinel_core` of every request that an
//! axum, tower or hyper service answers, and the service that shows the answer.
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
//! # What is counted
//!
//! - **One event a request**, when its answer is complete: from the call of the service to the last byte of the body that is
//!   taken from it. What is upgraded (101), or a stream of server-sent events, counts when its head is sent.
//! - **The route template**, from axum's `MatchedPath`, prefixes of nested routers included. A request that no route took, and
//!   any request where the layer is not inside an axum `Router` and has no [`SentinelLayer::endpoint`], is `unmatched`. So is
//!   what goes into a `nest_service`: give that service a layer of its own, and add it after the outer one
//!   (`.layer(..).nest_service(..)`), for two layers around each other count twice. Never the raw path.
//! - **The status**, of gRPC the one that its `grpc-status` stands for; 499 when the client went away before the answer was complete, 500 when the service or the body gave an
//!   error or panicked. Errors and panics go on their way.
//! - **The tenant**, from what [`SentinelLayer::new`] was told, unless the handler said otherwise: by a [`Tenant`] among the
//!   extensions of its response, or by [`CurrentTenant`] where that is on. Without any, `unattributed`. Take it from what was
//!   authenticated, not from a token that nobody has verified.
//! - **What is inside the layer.** Add it last, so that it is around timeouts, error pages and authentication: what these answer
//!   counts then, and a handler that a timeout drops is not taken for a client who went away.
//! - **Nothing** for the templates of [`SentinelLayer::exclude`] and for requests to the [`AdminService`].
//!
//! # What it costs
//!
//! With a tenant by header of up to 40 bytes nothing of Sentinel's own is allocated; around the body axum makes one box.
//! A tenant extractor that panics is counted in [`Stats::adapter_failures`](sentinel_core::Stats::adapter_failures), and the
//! request goes on.

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

// The documents for users are tested here, because what they show needs axum and a runtime.
#[cfg(all(doctest, feature = "axum"))]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/services.md")]
    struct Services;
    #[doc = include_str!("../../docs/workers.md")]
    struct Workers;
}
