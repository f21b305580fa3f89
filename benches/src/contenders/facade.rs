//! The `metrics` crate with `metrics-exporter-prometheus` behind it.

use super::{Adding, BUCKETS, Contender};
use crate::Failure;
use crate::stream::Sample;
use metrics::{counter, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

pub(crate) struct Facade(PrometheusHandle);

impl Facade {
    /// Becomes the recorder of this process, as in a service.
    pub(crate) fn new() -> Result<Self, Failure> {
        let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS)?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|e| e.to_string())?;
        Ok(Self(handle))
    }
}

impl Contender for Facade {
    fn record(&self, sample: &Sample) {
        let (tenant, endpoint) = (sample.tenant().to_owned(), sample.endpoint);
        histogram!("request_seconds", "tenant" => tenant.clone(), "endpoint" => endpoint).record(sample.seconds());
        let status = sample.status_label();
        counter!("requests_total", "tenant" => tenant, "endpoint" => endpoint, "status" => status).increment(1);
    }

    /// Latencies pile up until somebody does this; the crate's own default is every five seconds.
    fn upkeep(&self) {
        self.0.run_upkeep();
    }

    fn finish(&self, _now_ms: i64) {
        self.0.run_upkeep();
    }

    fn check(&self, events: u64) -> Result<(), Failure> {
        let mut counted = Adding::default();
        self.0.render_to_write(&mut counted)?;
        super::all_counted(counted.total(), events)
    }
}
