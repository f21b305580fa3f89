//! An eighth of a table: an index over a dense array of entries, and the purge that keeps it bounded.

use crate::event::endpoint::EndpointId;
use crate::slot::aggregate::Lump;
use crate::slot::entry::{Entry, EntryView, INLINE_ID, Pool, id_in};
use crate::slot::index::{self, Index};
use crate::slot::weights::{Sample, WEIGHTS, count};
use crate::util::budget::Reserved;
use crate::util::bytes::same;

/// Bytes of an entry and of its place in the index.
const ENTRY_BYTES: usize = size_of::<Entry>() + 24;
const _: () = assert!(2 * WEIGHTS * 16_384 / 8 <= index::MOST);
/// Entries that a sub-table begins with.
const FIRST: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct SubTable {
    index: Index,
    pub(crate) entries: Vec<Entry>,
    pool: Pool,
    arena: Vec<u8>,
    pub(crate) offset: [u32; WEIGHTS],
}

impl SubTable {
    pub(crate) fn reset(&mut self) {
        self.index.clear();
        self.entries.clear();
        self.pool.clear();
        self.arena.clear();
        self.offset = [0; WEIGHTS];
    }

    /// Bytes that hold something.
    pub(crate) fn used_bytes(&self) -> usize {
        self.entries.len() * ENTRY_BYTES + self.pool.used_bytes() + self.arena.len()
    }

    pub(crate) fn view(&self, at: usize) -> EntryView<'_> {
        EntryView { entry: &self.entries[at], arena: &self.arena, pool: &self.pool }
    }

    /// The id behind a hash, when its tenant is still here.
    pub(crate) fn id_of(&self, hash: u64) -> Option<&[u8]> {
        let at = self.index.find(hash, |at| self.entries[at].hash == hash)?;
        Some(id_in(&self.arena, &self.entries[at]))
    }

    /// Where a tenant's entry is.
    #[inline]
    fn find(&self, tenant: &[u8], hash: u64) -> Option<usize> {
        self.index.find(hash, |at| {
            let entry = &self.entries[at];
            entry.hash == hash && same(id_in(&self.arena, entry), tenant)
        })
    }

    /// Counts a request that took a known time, if that needs no page; else nothing. Says where its tenant's entry is. What a purge
    /// lets go of is added to `tail`.
    #[inline]
    pub(crate) fn add_known(
        &mut self,
        (tenant, hash): (&[u8], u64),
        (endpoint, bucket, us): (EndpointId, u16, u32),
        places: usize,
        (tail, reserved): (&mut Lump, &mut Reserved),
    ) -> Option<usize> {
        let at = match self.find(tenant, hash) {
            Some(at) => at,
            None => self.insert(tenant, hash, places, tail, reserved),
        };
        self.entries[at].add_known(endpoint, bucket, us, &mut self.pool).then_some(at)
    }

    /// Says what was wrong with a request that `add_known` has counted.
    pub(crate) fn mark(&mut self, at: usize, endpoint: EndpointId, error: bool, slow: bool) {
        let entry = &mut self.entries[at];
        entry.counts[1] = entry.counts[1].saturating_add(u32::from(error));
        entry.counts[2] = entry.counts[2].saturating_add(u32::from(slow));
        if error {
            entry.add_known_error(endpoint);
        }
    }

    /// Counts a request; what a purge lets go of is added to `tail`. `false` when its latency found no memory.
    pub(crate) fn add(
        &mut self,
        sample: &Sample<'_>,
        hash: u64,
        bucket: Option<u16>,
        slow: bool,
        places: usize,
        (tail, reserved): (&mut Lump, &mut Reserved),
    ) -> bool {
        let at = match self.find(sample.tenant, hash) {
            Some(at) => at,
            None => self.insert(sample.tenant, hash, places, tail, reserved),
        };
        let Self { entries, pool, .. } = self;
        let entry = &mut entries[at];
        count(&mut entry.counts, sample.error, slow);
        entry.add_endpoint(sample.endpoint, u32::from(sample.error), pool, reserved);
        if let Some(us) = sample.latency_us {
            entry.add_time(us);
        }
        bucket.is_none_or(|bucket| entry.add_latency(bucket, pool, reserved))
    }

    fn insert(&mut self, id: &[u8], hash: u64, places: usize, tail: &mut Lump, reserved: &mut Reserved) -> usize {
        let most = 2 * WEIGHTS * places;
        if self.entries.len() == self.entries.capacity() && self.entries.len() < most {
            self.grow(most, reserved);
        }
        // Full, or as full as memory allows: the smaller it is, the fewer places are guaranteed.
        if self.entries.len() >= most || self.entries.len() == self.entries.capacity() {
            self.purge((self.entries.len() / (2 * WEIGHTS)).max(1), tail);
        }
        let mut inline = [0; INLINE_ID];
        if id.len() <= INLINE_ID {
            inline[..id.len()].copy_from_slice(id);
        } else {
            if self.arena.capacity() - self.arena.len() < id.len() {
                // At most 128 bytes for each entry, which cannot be refused any more.
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

    /// Twice the room, if memory for it is there; less, if only for that; at least `FIRST` in any case.
    #[cold]
    fn grow(&mut self, most: usize, reserved: &mut Reserved) {
        let len = self.entries.len();
        let more = len.max(FIRST).min(most - len);
        if len == 0 {
            reserved.force(more * ENTRY_BYTES);
        } else if !reserved.grow(more * ENTRY_BYTES) {
            return;
        }
        self.entries.reserve_exact(more);
    }

    /// Makes room: raises the offsets so that `places` upper bounds of each weight stay above them, and moves who lies within
    /// all of them to the tail. Half the entries are free after it.
    #[cold]
    pub(crate) fn purge(&mut self, places: usize, tail: &mut Lump) {
        self.offset = raised(&self.entries, self.offset, places);
        let Self { index, entries, pool, arena, offset } = self;
        index.clear();
        let old_arena = std::mem::take(arena);
        let mut kept = 0;
        for at in 0..entries.len() {
            let entry = &mut entries[at];
            let upper = entry.upper();
            if (0..WEIGHTS).all(|m| upper[m] <= offset[m]) {
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
fn raised(entries: &[Entry], offset: [u32; WEIGHTS], places: usize) -> [u32; WEIGHTS] {
    /// Upper bounds lie close above the offset as a rule: those up to here are counted, not sorted.
    const NEAR: usize = 64;
    if entries.len() <= places {
        return offset;
    }
    let mut near = [[0_u32; NEAR]; WEIGHTS];
    for entry in entries {
        let upper = entry.upper();
        for m in 0..WEIGHTS {
            near[m][(upper[m].saturating_sub(offset[m]) as usize).min(NEAR - 1)] += 1;
        }
    }
    std::array::from_fn(|m| {
        let mut above = 0;
        for (distance, &count) in near[m].iter().enumerate().rev() {
            above += count as usize;
            if above > places {
                if distance == NEAR - 1 {
                    let mut uppers: Vec<u32> = entries.iter().map(|entry| entry.upper()[m]).collect();
                    let (_, cut, _) = uppers.select_nth_unstable_by(places, |a, b| b.cmp(a));
                    return offset[m].max(*cut);
                }
                return offset[m] + distance as u32;
            }
        }
        offset[m]
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
            let entry = |&count: &u32| Entry::new(1, [count; WEIGHTS], [0; INLINE_ID], 0);
            let entries: Vec<Entry> = uppers.iter().map(entry).collect();
            let mut sorted = uppers.clone();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            let exact = sorted.get(places).map_or(offset, |&cut| cut.max(offset));
            prop_assert_eq!(raised(&entries, [offset; WEIGHTS], places), [exact; WEIGHTS]);
        }
    }
}
