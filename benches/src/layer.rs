//! `layer`: what a layer adds to each request of an axum service. No socket and no runtime: they cost many times what is
//! measured, and differ from run to run by more than it.

use crate::Failure;
use crate::alloc::Count;
use crate::timing::cpu_time;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use axum_prometheus::BaseMetricLayer;
use clap::ValueEnum;
use http::Request;
use http_body_util::BodyExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use sentinel_core::Sentinel;
use sentinel_tower::{SentinelLayer, tenant_header};
use serde_json::{Value, json};
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tower_service::Service;

const TENANTS: usize = 1_000;
/// Requests whose allocations are counted, apart from those that are timed.
const COUNTED: usize = 10_000;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layer {
    /// Passes requests on
    Nothing,
    Sentinel,
    /// By method, status and endpoint; no tenant
    AxumPrometheus,
}

/// Passes requests on.
#[derive(Clone)]
struct Pass<S>(S);

impl<S: Service<Request<Body>>> Service<Request<Body>> for Pass<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        self.0.call(request)
    }
}

/// Holds something, as layers do: axum clones them for each request, and that allocates.
#[derive(Clone)]
struct PassLayer(Arc<()>);

impl<S> tower_layer::Layer<S> for PassLayer {
    type Service = Pass<S>;

    fn layer(&self, inner: S) -> Pass<S> {
        black_box(&self.0);
        Pass(inner)
    }
}

/// So many requests through one layer.
pub(crate) fn run(who: Layer, requests: usize) -> Result<Value, Failure> {
    let sentinel = Sentinel::builder().build()?;
    let app = Router::new().route("/users/{id}", get(|| async { "hello" }));
    let mut app = match who {
        Layer::Nothing => app.layer(PassLayer(Arc::new(()))),
        Layer::Sentinel => app.layer(SentinelLayer::new(&sentinel, tenant_header("x-tenant-id")?)),
        Layer::AxumPrometheus => {
            PrometheusBuilder::new().install_recorder()?;
            app.layer(BaseMetricLayer::new())
        }
    };
    let tenants: Vec<String> = (0..TENANTS).map(|i| format!("{i:016x}")).collect();
    let mut serve = |range: std::ops::Range<usize>| -> Result<(), Failure> {
        for i in range {
            let request = Request::get("/users/7").header("x-tenant-id", &tenants[i % TENANTS]).body(Body::empty())?;
            let Ok(response) = now(app.call(request))?;
            black_box(now(response.into_body().collect())??);
        }
        Ok(())
    };
    serve(0..COUNTED)?; // every tenant is known from here on
    let start = cpu_time();
    serve(0..requests)?;
    let ns = cpu_time().saturating_sub(start).as_nanos() as f64 / requests as f64;
    let count = Count::begin();
    serve(0..COUNTED)?;
    let allocations = count.calls() as f64 / COUNTED as f64;
    let recorded = sentinel.stats().accepted;
    let wanted = if who == Layer::Sentinel { (requests + 2 * COUNTED) as u64 } else { 0 };
    if recorded != wanted {
        return Err(format!("{recorded} of {wanted} requests were recorded").into());
    }
    Ok(json!({ "ns": ns, "allocations": allocations }))
}

/// Output of a future that is ready at the first poll.
fn now<F: Future>(future: F) -> Result<F::Output, Failure> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err("the service waits for something".into()),
    }
}
