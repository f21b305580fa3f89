//! The sum of several tenants: the tail of a table keeps one of the tenants that have left it, sealing one of the rows so far.

use crate::slot::entry::EntryView;
use crate::slot::histogram::{BUCKETS, LatencyCell};
use crate::slot::weights::Counts;

/// Counts and latencies of several tenants together.
#[derive(Debug, Clone)]
pub(crate) struct Aggregate {
    pub(crate) counts: Counts<u64>,
    /// Requests by latency bucket.
    pub(crate) latency: [u32; BUCKETS],
    /// Sum of all latencies, µs.
    pub(crate) latency_sum_us: u64,
    /// Longest latency, µs.
    pub(crate) latency_max_us: u32,
}

impl Default for Aggregate {
    fn default() -> Self {
        Self { counts: Counts::default(), latency: [0; BUCKETS], latency_sum_us: 0, latency_max_us: 0 }
    }
}

impl Aggregate {
    /// Adds a tenant's requests.
    pub(crate) fn add(&mut self, tenant: &EntryView<'_>) {
        self.add_sums(tenant);
        tenant.each_latency(|cell| self.add_latency(cell));
    }

    /// Adds a tenant's requests, but not their histogram.
    pub(crate) fn add_sums(&mut self, tenant: &EntryView<'_>) {
        self.counts = self.counts.zip(tenant.counts(), |sum, count| sum + count);
        self.latency_sum_us = self.latency_sum_us.saturating_add(tenant.latency_sum_us());
        self.latency_max_us = self.latency_max_us.max(tenant.latency_max_us());
    }

    /// Adds another aggregate.
    pub(crate) fn join(&mut self, other: &Self) {
        self.counts = self.counts.zip(other.counts, |sum, count| sum + count);
        self.latency_sum_us = self.latency_sum_us.saturating_add(other.latency_sum_us);
        self.latency_max_us = self.latency_max_us.max(other.latency_max_us);
        for (sum, count) in self.latency.iter_mut().zip(other.latency) {
            *sum = sum.saturating_add(count);
        }
    }

    #[inline]
    pub(crate) fn add_latency(&mut self, cell: LatencyCell) {
        let sum = &mut self.latency[usize::from(cell.bucket)];
        *sum = sum.saturating_add(cell.count);
    }
}
