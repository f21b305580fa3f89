//! A sub-table, an eighth of a table: an index over a dense array of entries, and the purge that keeps it bounded.

use crate::event::endpoint::EndpointId;
use crate::slot::aggregate::Aggregate;
use crate::slot::entry::{Entry, EntryView, INLINE_ID, id_in};
use crate::slot::index::{self, Index};
use crate::slot::pool::Pool;
use crate::slot::sample::{HashedId, KnownSample, Sample};
use crate::slot::weights::{Counts, WEIGHTS, Weight};
use crate::util::budget::Reserved;
use crate::util::bytes::same;

/// Bytes of an entry and of its words in the index.
const ENTRY_AND_INDEX_BYTES: usize = size_of::<Entry>() + 24;
const _: () = assert!(2 * WEIGHTS * 16_384 / 8 <= index::MAX_POSITIONS);
/// Entries that a sub-table has room for at first.
const FIRST_ENTRIES: usize = 16;

/// Tenants whose hashes share three bits.
#[derive(Debug, Default)]
pub(crate) struct SubTable {
    index: Index,
    /// In no order.
    pub(crate) entries: Vec<Entry>,
    /// Pages of the entries.
    pool: Pool,
    /// Ids that are too long for an entry.
    arena: Vec<u8>,
    /// The most that a tenant without an entry can have had.
    pub(crate) offset: Counts<u32>,
}

/// Receives what a sub-table cannot keep.
#[derive(Debug)]
pub(crate) struct Overflow<'a> {
    /// Takes the counts of tenants that a purge lets go of.
    pub(crate) tail: &'a mut Aggregate,
    /// Pays for what the sub-table grows by.
    pub(crate) reserved: &'a mut Reserved,
}

impl SubTable {
    pub(crate) fn reset(&mut self) {
        self.index.clear();
        self.entries.clear();
        self.pool.clear();
        self.arena.clear();
        self.offset = Counts::default();
    }

    /// Bytes in use.
    pub(crate) fn used_bytes(&self) -> usize {
        self.entries.len() * ENTRY_AND_INDEX_BYTES + self.pool.used_bytes() + self.arena.len()
    }

    pub(crate) fn view(&self, at: usize) -> EntryView<'_> {
        EntryView { entry: &self.entries[at], arena: &self.arena, pool: &self.pool }
    }

    /// The id behind a hash, when its tenant is still here.
    pub(crate) fn id_of(&self, hash: u64) -> Option<&[u8]> {
        let at = self.index.find(hash, |at| self.entries[at].hash == hash)?;
        Some(id_in(&self.arena, &self.entries[at]))
    }

    /// The place of a tenant's entry.
    #[inline]
    fn find(&self, tenant: HashedId<'_>) -> Option<usize> {
        self.index.find(tenant.hash, |at| {
            let entry = &self.entries[at];
            entry.hash == tenant.hash && same(id_in(&self.arena, entry), tenant.id)
        })
    }

    /// Counts a request whose latency is in `bucket`, if that needs no page; else nothing. Returns the place of its tenant's
    /// entry.
    #[inline]
    pub(crate) fn add_known(
        &mut self,
        sample: &KnownSample<'_>,
        bucket: u16,
        places: usize,
        Overflow { tail, reserved }: Overflow<'_>,
    ) -> Option<usize> {
        let at = match self.find(sample.tenant) {
            Some(at) => at,
            None => self.insert(sample.tenant.id, sample.tenant.hash, places, Overflow { tail, reserved }),
        };
        self.entries[at].add_known(sample.endpoint, bucket, sample.latency_us, &mut self.pool).then_some(at)
    }

    /// Counts what was wrong with a request that [`SubTable::add_known`] has counted.
    pub(crate) fn mark(&mut self, at: usize, endpoint: EndpointId, error: bool, slow: bool) {
        let entry = &mut self.entries[at];
        entry.counts.mark(error, slow);
        if error {
            entry.add_known_error(endpoint);
        }
    }

    /// Counts a request. `false` when its latency found no memory.
    pub(crate) fn add(
        &mut self,
        sample: &Sample<'_>,
        bucket: Option<u16>,
        slow: bool,
        places: usize,
        Overflow { tail, reserved }: Overflow<'_>,
    ) -> bool {
        let at = match self.find(sample.tenant) {
            Some(at) => at,
            None => self.insert(sample.tenant.id, sample.tenant.hash, places, Overflow { tail, reserved }),
        };
        let Self { entries, pool, .. } = self;
        let entry = &mut entries[at];
        entry.counts.add_request();
        if sample.error | slow {
            entry.counts.mark(sample.error, slow);
        }
        entry.add_endpoint(sample.endpoint, u32::from(sample.error), pool, reserved);
        if let Some(us) = sample.latency_us {
            entry.add_time(us);
        }
        bucket.is_none_or(|bucket| entry.add_latency(bucket, pool, reserved))
    }

    fn insert(&mut self, id: &[u8], hash: u64, places: usize, Overflow { tail, reserved }: Overflow<'_>) -> usize {
        let most = 2 * WEIGHTS * places;
        if self.entries.len() == self.entries.capacity() && self.entries.len() < most {
            self.grow(most, reserved);
        }
        // Full, or as full as memory allows: a smaller sub-table guarantees fewer places.
        if self.entries.len() >= most || self.entries.len() == self.entries.capacity() {
            self.purge((self.entries.len() / (2 * WEIGHTS)).max(1), tail);
        }
        let mut inline = [0; INLINE_ID];
        if id.len() <= INLINE_ID {
            inline[..id.len()].copy_from_slice(id);
        } else {
            if self.arena.capacity() - self.arena.len() < id.len() {
                // At most 128 bytes for each entry. The entry has been granted, so they cannot be refused.
                let before = self.arena.capacity();
                self.arena.reserve(id.len());
                reserved.force(self.arena.capacity() - before);
            }
            inline[..4].copy_from_slice(&(self.arena.len() as u32).to_le_bytes());
            self.arena.extend_from_slice(id);
        }
        let at = self.entries.len();
        self.entries.push(Entry::new(hash, self.offset, inline, id.len() as u8));
        let entries = &self.entries;
        self.index.insert(hash, at, |at| entries[at].hash);
        at
    }

    /// Doubles the room for entries, up to `most`, if the budget grants it. The first entries come in any case.
    #[cold]
    fn grow(&mut self, most: usize, reserved: &mut Reserved) {
        let len = self.entries.len();
        let more = len.max(FIRST_ENTRIES).min(most - len);
        if len == 0 {
            reserved.force(more * ENTRY_AND_INDEX_BYTES);
        } else if !reserved.grow(more * ENTRY_AND_INDEX_BYTES) {
            return;
        }
        self.entries.reserve_exact(more);
    }

    /// Makes room: raises the offset so that at most `places` upper bounds of each weight stay above it, and adds every tenant
    /// whose bounds all lie within it to the tail. Afterwards at least half of a full sub-table's entries are free.
    #[cold]
    pub(crate) fn purge(&mut self, places: usize, tail: &mut Aggregate) {
        self.offset = raised(&self.entries, self.offset, places);
        let Self { index, entries, pool, arena, offset } = self;
        index.clear();
        let old_arena = std::mem::take(arena);
        let mut kept = 0;
        for at in 0..entries.len() {
            let entry = &mut entries[at];
            if !entry.upper().any_above(*offset) {
                tail.add(&EntryView { entry, arena: &old_arena, pool });
                entry.free_pages(pool);
                continue;
            }
            if usize::from(entry.id_len) > INLINE_ID {
                let start = arena.len() as u32;
                if arena.capacity() == 0 {
                    arena.reserve_exact(old_arena.capacity());
                }
                arena.extend_from_slice(id_in(&old_arena, entry));
                entry.id[..4].copy_from_slice(&start.to_le_bytes());
            }
            if kept < at {
                entries[kept] = entries[at];
            }
            kept += 1;
        }
        if arena.capacity() == 0 {
            *arena = old_arena;
            arena.clear();
        }
        entries.truncate(kept);
        for (at, entry) in entries.iter().enumerate() {
            index.insert(entry.hash, at, |at| entries[at].hash);
        }
    }
}

/// The offsets that leave at most `places` upper bounds above each: the (k+1)-th largest, never lower than before.
fn raised(entries: &[Entry], offset: Counts<u32>, places: usize) -> Counts<u32> {
    /// As a rule upper bounds lie close above the offset: distances below this are counted, not sorted.
    const NEAR: usize = 64;
    if entries.len() <= places {
        return offset;
    }
    let mut near = Counts::all([0_u32; NEAR]);
    for entry in entries {
        let upper = entry.upper();
        for weight in Weight::ALL {
            near[weight][(upper[weight].saturating_sub(offset[weight]) as usize).min(NEAR - 1)] += 1;
        }
    }
    Counts::from_fn(|weight| {
        let mut above = 0;
        for (distance, &count) in near[weight].iter().enumerate().rev() {
            above += count as usize;
            if above > places {
                if distance == NEAR - 1 {
                    let mut uppers: Vec<u32> = entries.iter().map(|entry| entry.upper()[weight]).collect();
                    let (_, cut, _) = uppers.select_nth_unstable_by(places, |a, b| b.cmp(a));
                    return offset[weight].max(*cut);
                }
                return offset[weight] + distance as u32;
            }
        }
        offset[weight]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Counted or sorted, the cut is the (k+1)-th largest.
        #[test]
        fn offsets_rise_to_the_first_that_must_go(
            uppers in prop::collection::vec(prop_oneof![0..6_u32, 0..200_u32, 0..=u32::MAX], 1..200),
            offset in prop_oneof![0..8_u32, any::<u32>()],
            places in 1..40_usize,
        ) {
            let entry = |&count: &u32| Entry::new(1, Counts::all(count), [0; INLINE_ID], 0);
            let entries: Vec<Entry> = uppers.iter().map(entry).collect();
            let mut sorted = uppers.clone();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            let exact = sorted.get(places).map_or(offset, |&cut| cut.max(offset));
            prop_assert_eq!(raised(&entries, Counts::all(offset), places), Counts::all(exact));
        }
    }
}
