//! Turns blocks into the judges' counts, and limits the tenants that have counts of their own.
//!
//! A tenant gets a key of its own when it first appears in a block. When the judges' memory runs out, the lightest
//! tenants lose theirs and their counts join the rest. For a window after that only an eighth of the budget admits
//! newcomers in each slot; otherwise tenants that come once would push out tenants that come again, slot after slot.

use super::fleet::Fleet;
use crate::baseline::REST;
use crate::baseline::slot_counts::KeyCounts;
use crate::block::dictionary::{Dictionary, Number};
use crate::block::packed::Packed;
use crate::block::summary::MAX_ENDPOINTS;
use crate::slot::histogram::{HALVES, HalfCell, count_above_of, last_bucket_of};
use crate::slot::weights::Counts;

/// Most requests of a key that are counted in a slot: more than a process can handle in ten seconds, and small enough
/// that the slots of a window add up in 32 bits.
const MAX_SLOT_COUNT: u64 = 1 << 25;

/// Bytes that a tenant's key takes at least, as long as it is in no slot.
const KEY_BYTES: usize = 600;

/// Bytes of the judges' budget above which the lightest tenants are dropped: a quarter stays free for newcomers, since
/// a tenant with errors must be counted by its own key as soon as it appears.
fn crowded_bytes(budget: usize) -> usize {
    budget / 4 * 3
}

/// Bytes that admit newcomers in each slot for a window after tenants were dropped: an eighth of the budget.
fn newcomer_bytes(budget: usize) -> usize {
    budget / 8
}

/// Counts by index of the key.
type KeyedCounts = Vec<(u32, KeyCounts)>;

fn clamped(count: u64) -> u32 {
    count.min(MAX_SLOT_COUNT) as u32
}

/// Counts of an endpoint's row: `threshold` is the half octave above which a latency is unusual for the endpoint.
fn endpoint_counts(counts: Counts<u64>, halves: &[HalfCell], threshold: u8) -> KeyCounts {
    let above = halves.partition_point(|cell| cell.half <= threshold);
    let slow = halves[above..].iter().map(|cell| u64::from(cell.count)).sum();
    Counts { slow, ..counts }.map(clamped)
}

/// Newcomers of one slot.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) slot: i64,
    pub(super) tenants: usize,
}

impl Fleet {
    /// Counts of a block for the judges: by tenant, and by endpoint.
    pub(super) fn count(&mut self, block: &Packed, ids: &mut Dictionary) -> (KeyedCounts, KeyedCounts) {
        self.admit(block, ids);
        let (mut tenants, mut endpoints) = (Vec::with_capacity(block.rows.len() + 1), Vec::new());
        for row in block.rows.iter() {
            let i = self.tenants.find(&row.number).unwrap_or(REST);
            let threshold = self.tenants.tail_threshold(i);
            // No latency is above the last half octave.
            let slow = if usize::from(threshold) < HALVES - 1 {
                count_above_of(row.latency(), last_bucket_of(threshold))
            } else {
                0
            };
            tenants.push((i, Counts { slow, ..row.sums.counts }.map(clamped)));
        }
        if block.summary.tail.requests > 0 {
            tenants.push((REST, block.summary.tail.map(clamped)));
        }
        for row in &block.summary.endpoints {
            let i = self.endpoints.index_of(&row.name);
            endpoints.push((i, endpoint_counts(row.counts, &row.halves, self.endpoints.tail_threshold(i))));
        }
        (tenants, endpoints)
    }

    /// Gives keys to the block's tenants that have none. When there is room for some only, tenants with errors come
    /// first, then those with slow requests; the others count as part of the rest meanwhile. Keys are added in the
    /// order of the ids, so that sums over keys are the same in every process.
    pub(super) fn admit(&mut self, block: &Packed, ids: &mut Dictionary) {
        let unknown = block.rows.iter().filter(|row| self.tenants.find(&row.number).is_none());
        let mut unknown: Vec<(KeyCounts, Number)> =
            unknown.map(|row| (row.sums.counts.map(clamped), row.number)).collect();
        if unknown.is_empty() {
            return;
        }
        let budget = self.settings.budget;
        let mut room = budget.saturating_sub(self.weight()) / KEY_BYTES;
        if self.slot < self.crowded_until {
            if self.admitted.slot != self.slot {
                self.admitted = Admitted { slot: self.slot, tenants: 0 };
            }
            room = room.min((newcomer_bytes(budget) / KEY_BYTES).saturating_sub(self.admitted.tenants));
            self.admitted.tenants += room.min(unknown.len());
        }
        if unknown.len() > room {
            unknown.sort_unstable_by_key(|&(KeyCounts { requests, errors, slow }, number)| {
                std::cmp::Reverse(([errors, slow, requests], number))
            });
            unknown.truncate(room);
        }
        // The first eight bytes of the ids decide almost always; comparing them as one word saves the dictionary's
        // look-up.
        let beginning =
            |id: &[u8]| id.iter().take(8).enumerate().fold(0, |word, (i, &b)| word | u64::from(b) << (56 - 8 * i));
        let mut unknown: Vec<(u64, Number)> =
            unknown.into_iter().map(|(_, number)| (beginning(ids.id(number)), number)).collect();
        unknown.sort_unstable_by(|(a, i), (b, j)| a.cmp(b).then_with(|| ids.id(*i).cmp(ids.id(*j))));
        for (_, number) in unknown {
            ids.retain(number);
            self.tenants.index_of(&number);
        }
    }

    /// Drops the lightest tenants and endpoints when there are too many. A tenant or endpoint that a verdict
    /// names keeps its key.
    pub(super) fn shrink(&mut self, ids: &mut Dictionary) {
        let mut keep: Vec<u32> = self.errors.named().chain(self.latency.named()).collect();
        keep.extend(self.unattributed(ids));
        if let Some(to) = self.tenants.shrink(self.most_tenants(), &keep, |number| ids.release(*number)) {
            self.tenants_dropped += (to.len() - self.tenants.len()) as u64;
            self.crowded_until = self.slot + self.horizon.ring as i64;
            self.errors.remap(&to);
            self.latency.remap(&to);
        }
        let keep: Vec<u32> = [&self.errors, &self.latency].iter().filter_map(|judge| judge.shown.endpoint).collect();
        if let Some(to) = self.endpoints.shrink(2 * MAX_ENDPOINTS, &keep, |_| ()) {
            self.errors.remap_endpoints(&to);
            self.latency.remap_endpoints(&to);
        }
    }

    /// Number of tenants above which keys are dropped: one less than there are when the judges take more than three
    /// quarters of their budget.
    fn most_tenants(&self) -> usize {
        let crowded = self.weight() > crowded_bytes(self.settings.budget);
        if crowded && self.tenants.len() > 64 { self.tenants.len() - 1 } else { usize::MAX }
    }
}
