//! The `prometheus` crate: a counter and a histogram by label values.

use super::{BUCKETS, Contender};
use crate::Failure;
use crate::stream::Sample;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

pub(crate) struct Prometheus {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl Prometheus {
    pub(crate) fn new() -> Result<Self, Failure> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(Opts::new("requests_total", "Requests"), &["tenant", "endpoint", "status"])?;
        let options = HistogramOpts::new("request_seconds", "Latency").buckets(BUCKETS.to_vec());
        let seconds = HistogramVec::new(options, &["tenant", "endpoint"])?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { requests, seconds })
    }
}

impl Contender for Prometheus {
    fn record(&self, sample: &Sample) {
        let (tenant, endpoint) = (sample.tenant(), sample.endpoint);
        self.requests.with_label_values(&[tenant, endpoint, sample.status_label()]).inc();
        self.seconds.with_label_values(&[tenant, endpoint]).observe(sample.seconds());
    }

    fn check(&self, events: u64) -> Result<(), Failure> {
        let families = self.requests.collect();
        let counted: f64 =
            families.iter().flat_map(MetricFamily::get_metric).map(|m| m.get_counter().get_value()).sum();
        super::all_counted(counted as u64, events)
    }
}
