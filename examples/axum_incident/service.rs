//! The service: what it offers, and the two lines by which Sentinel is in it.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use sentinel_core::{ConfigError, Sentinel};
use sentinel_tower::{AdminService, SentinelLayer, tenant_header};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The tenant whose requests begin to fail.
pub(crate) const FAILING: &str = "tenant_acme";

/// Whether something is broken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Incident {
    on: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
}

impl Incident {
    /// Breaks it; `false` when it was broken already.
    pub(crate) fn begin(&self) -> bool {
        !self.on.swap(true, Ordering::Relaxed)
    }

    /// Whether this request meets it: every second one of that tenant.
    fn hits(&self, headers: &HeaderMap) -> bool {
        let theirs = headers.get("x-tenant-id").is_some_and(|id| id == FAILING);
        theirs && self.on.load(Ordering::Relaxed) && self.requests.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
    }
}

/// A service as any other; the last two lines are Sentinel.
pub(crate) fn app(sentinel: &Sentinel, incident: &Incident, token: &str) -> Result<Router, ConfigError> {
    let api = Router::new()
        .route("/process", post(process))
        .route("/documents/{id}", get(document))
        .with_state(incident.clone());
    Ok(Router::new()
        .route("/health", get(|| async { "ok" }))
        .nest("/v1", api)
        .layer(SentinelLayer::new(sentinel, tenant_header("x-tenant-id")?).exclude(["/health"]))
        .nest_service("/sentinel", AdminService::new(sentinel.admin().token(token)?)))
}

async fn process(State(incident): State<Incident>, headers: HeaderMap) -> (StatusCode, &'static str) {
    tokio::time::sleep(Duration::from_millis(rand::random_range(2..8))).await;
    if incident.hits(&headers) {
        return (StatusCode::BAD_GATEWAY, "their database does not answer");
    }
    // Nobody is perfect: that is what is normal here.
    if rand::random_bool(0.002) { (StatusCode::INTERNAL_SERVER_ERROR, "a bug") } else { (StatusCode::OK, "done") }
}

async fn document(Path(id): Path<u32>) -> String {
    tokio::time::sleep(Duration::from_millis(rand::random_range(1..4))).await;
    format!("document {id}")
}
