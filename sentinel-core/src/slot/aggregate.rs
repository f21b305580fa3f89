//! Requests of several tenants, lumped together: what is left of those who have left a table, and the whole of a slot.

use crate::slot::entry::EntryView;
use crate::slot::histogram::{BUCKETS, LatencyCell};
use crate::slot::weights::WEIGHTS;

#[derive(Debug, Clone)]
pub(crate) struct Lump {
    /// Requests, errors, slow requests.
    pub(crate) counts: [u64; WEIGHTS],
    pub(crate) latency: [u32; BUCKETS],
    pub(crate) latency_sum_us: u64,
    pub(crate) latency_max_us: u32,
}

impl Default for Lump {
    fn default() -> Self {
        Self { counts: [0; WEIGHTS], latency: [0; BUCKETS], latency_sum_us: 0, latency_max_us: 0 }
    }
}

impl Lump {
    /// Adds a tenant's requests.
    pub(crate) fn add(&mut self, tenant: &EntryView<'_>) {
        self.add_sums(tenant);
        tenant.each_latency(|cell| self.add_latency(cell));
    }

    /// Adds a tenant's requests, but not their histogram.
    pub(crate) fn add_sums(&mut self, tenant: &EntryView<'_>) {
        for (sum, count) in self.counts.iter_mut().zip(tenant.counts()) {
            *sum += count;
        }
        self.latency_sum_us = self.latency_sum_us.saturating_add(tenant.latency_sum_us());
        self.latency_max_us = self.latency_max_us.max(tenant.latency_max_us());
    }

    /// Adds another lump.
    pub(crate) fn join(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
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
