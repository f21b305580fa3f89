//! A solution that one writes in an afternoon: a concurrent map from the tenant to a ring of slots, each with counters and a histogram.

use super::Contender;
use crate::Failure;
use crate::stream::{SLOT_MS, Sample};
use dashmap::DashMap;
use hdrhistogram::Histogram;

/// Slots of ten minutes.
const RING: usize = 60;
/// 1 %: what such a design would ask for.
const DIGITS: u8 = 2;

#[derive(Default)]
pub(crate) struct Afternoon {
    tenants: DashMap<String, Ring>,
}

struct Ring([Option<Box<Slot>>; RING]);

struct Slot {
    number: i64,
    requests: u64,
    errors: u64,
    latency_us: Histogram<u32>,
}

impl Ring {
    fn new() -> Self {
        Self([const { None }; RING])
    }

    fn record(&mut self, sample: &Sample) {
        let number = sample.at / SLOT_MS;
        let place = &mut self.0[number as usize % RING];
        if place.is_none() {
            let Ok(latency_us) = Histogram::new(DIGITS) else { return };
            *place = Some(Box::new(Slot { number, requests: 0, errors: 0, latency_us }));
        }
        let Some(slot) = place else { return };
        if slot.number != number {
            (slot.number, slot.requests, slot.errors) = (number, 0, 0);
            slot.latency_us.reset();
        }
        slot.requests += 1;
        slot.errors += u64::from(sample.status >= 500);
        slot.latency_us.saturating_record(u64::from(sample.micros()));
    }
}

impl Contender for Afternoon {
    fn record(&self, sample: &Sample) {
        // Two look-ups for a tenant's first request, none of the others copies its id.
        if let Some(mut ring) = self.tenants.get_mut(sample.tenant()) {
            ring.record(sample);
        } else {
            self.tenants.entry(sample.tenant().to_owned()).or_insert_with(Ring::new).record(sample);
        }
    }

    fn check(&self, events: u64) -> Result<(), Failure> {
        let last = self.tenants.iter().filter_map(|ring| ring.0.iter().flatten().map(|s| s.number).max()).max();
        let first = last.unwrap_or(0) - RING as i64;
        let slots = |ring: &Ring| ring.0.iter().flatten().filter(|s| s.number > first).map(|s| s.requests).sum::<u64>();
        let held: u64 = self.tenants.iter().map(|ring| slots(&ring)).sum();
        let wanted = events.min((RING * crate::stream::EVENTS_PER_SLOT) as u64);
        super::all_counted(held, wanted)
    }
}
