//! The `opentelemetry_sdk` crate: a counter and a histogram with attributes.
//!
//! The limit on attribute sets (2,000 by default; beyond it everything is one series) is raised so that it never overflows.

use super::{BUCKETS, Contender};
use crate::Failure;
use crate::stream::Sample;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics, SumDataPoint};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Instrument, InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Stream, Temporality,
};
use std::sync::{Arc, Weak};
use std::time::Duration;

pub(crate) struct Otel {
    _provider: SdkMeterProvider,
    reader: Reader,
    requests: Counter<u64>,
    seconds: Histogram<f64>,
}

impl Otel {
    pub(crate) fn new(series: usize) -> Self {
        let reader = Reader(Arc::new(ManualReader::default()));
        let raised = move |_: &Instrument| Stream::builder().with_cardinality_limit(series).build().ok();
        let provider = SdkMeterProvider::builder().with_reader(reader.clone()).with_view(raised).build();
        let meter = provider.meter("benches");
        let requests = meter.u64_counter("requests_total").build();
        let seconds = meter.f64_histogram("request_seconds").with_boundaries(BUCKETS.to_vec()).build();
        Self { _provider: provider, reader, requests, seconds }
    }
}

impl Contender for Otel {
    fn record(&self, sample: &Sample) {
        let tenant = KeyValue::new("tenant", sample.tenant().to_owned());
        let endpoint = KeyValue::new("endpoint", sample.endpoint);
        let labels = [tenant, endpoint, KeyValue::new("status", sample.status_label())];
        self.requests.add(1, &labels);
        self.seconds.record(sample.seconds(), &labels[..2]);
    }

    fn check(&self, events: u64) -> Result<(), Failure> {
        let mut collected = ResourceMetrics::default();
        self.reader.collect(&mut collected)?;
        let metrics = collected.scope_metrics().flat_map(ScopeMetrics::metrics);
        let counted = metrics.map(|metric| match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => sum.data_points().map(counted_in).sum(),
            _ => 0,
        });
        super::all_counted(counted.sum(), events)
    }
}

/// An overflow counts for nothing.
fn counted_in(point: &SumDataPoint<u64>) -> u64 {
    if point.attributes().any(|attribute| attribute.key.as_str() == "otel.metric.overflow") { 0 } else { point.value() }
}

/// The provider takes its reader for itself; this one is also asked at the end.
#[derive(Debug, Clone)]
struct Reader(Arc<ManualReader>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
