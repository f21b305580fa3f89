//! The `prometheus-client` crate: families of a counter and of a histogram.

use super::{Adding, BUCKETS, Contender};
use crate::Failure;
use crate::stream::Sample;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    tenant: String,
    endpoint: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    tenant: String,
    endpoint: &'static str,
}

pub(crate) struct Client {
    registry: Registry,
    requests: Family<Labels, Counter>,
    seconds: Family<Route, Histogram>,
}

impl Client {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Family::<Labels, Counter>::default();
        let seconds = Family::<Route, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        registry.register("requests", "Requests", requests.clone());
        registry.register("request_seconds", "Latency", seconds.clone());
        Self { registry, requests, seconds }
    }
}

impl Contender for Client {
    fn record(&self, sample: &Sample) {
        let (tenant, endpoint) = (sample.tenant().to_owned(), sample.endpoint);
        let route = Route { tenant, endpoint };
        self.seconds.get_or_create(&route).observe(sample.seconds());
        let labels = Labels { tenant: route.tenant, endpoint, status: sample.status };
        self.requests.get_or_create(&labels).inc();
    }

    fn check(&self, events: u64) -> Result<(), Failure> {
        let mut counted = Adding::default();
        encode(&mut counted, &self.registry)?;
        super::all_counted(counted.total(), events)
    }
}
