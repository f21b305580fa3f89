//! What the judges hand on to another process, and how one begins with it.

use super::fleet::{Fleet, Setup};
use crate::baseline::wire::{Baseline, KeysPast, travels};
use crate::baseline::{Past, REST};
use crate::block::dictionary::Dictionary;
use crate::block::summary::MAX_ENDPOINTS;
use std::sync::Arc;

impl Fleet {
    /// A fleet that begins with slot `slot`, or where the baseline of another process ends when that is later.
    pub(crate) fn heir(setup: Setup, slot: i64, baseline: &Baseline, ids: &mut Dictionary) -> Self {
        let grid = setup.grid;
        let until = grid.slot_of(baseline.until_ms);
        let mut out = Self::new(setup, slot.max(until));
        out.latencies_until = grid.slot_of(baseline.latencies_until_ms);
        out.strays_until = out.latencies_until.saturating_add(out.horizon.tail_age() as i64);
        out.tenants.inherit_fleet(&baseline.tenants.fleet);
        out.tenants.inherit(REST, &baseline.tenants.rest);
        for (id, past) in &baseline.tenants.keys {
            if out.weight() > out.setup.budget / 2 {
                break;
            }
            let number = ids.intern(id);
            let i = out.tenants.index_of(&number);
            out.tenants.inherit(i, past);
        }
        out.endpoints.inherit_fleet(&baseline.endpoints.fleet);
        out.endpoints.inherit(REST, &baseline.endpoints.rest);
        for (name, past) in &baseline.endpoints.keys {
            let i = out.endpoints.index_of(&Arc::from(&*String::from_utf8_lossy(name)));
            out.endpoints.inherit(i, past);
        }
        let [errors, latency] = baseline.sides;
        out.errors.inherit(errors, &out.tenants);
        out.latency.inherit(latency, &out.tenants);
        // Nobody has seen the slots in between.
        let gap = slot.saturating_sub(until).max(0) as u64;
        if gap > 0 {
            out.tenants.skip(gap);
            out.endpoints.skip(gap);
            out.errors.skip(gap, &out.tenants);
            out.latency.skip(gap, &out.tenants);
        }
        out
    }

    /// What is known of the time before the ring, of at most `most` tenants.
    pub(crate) fn baseline(&self, most: usize, ids: &Dictionary) -> Baseline {
        let grid = self.setup.grid;
        let ring = self.errors.tainted().len() as i64;
        // The heir closes the slots of the ring once more, and all decays with each.
        let fresh = self.horizon.decay.powi(-(ring as i32));
        let keys = |rest, fleet: Vec<(u8, f64)>, keys: Vec<(Vec<u8>, Past)>, most| {
            let fresher = |cells: Vec<(u8, f64)>| cells.into_iter().map(|(half, n)| (half, n * fresh)).collect();
            let past = |past: Past| Past {
                errors: past.errors.map(|n| n * fresh),
                latency: past.latency.map(|n| n * fresh),
                tail: fresher(past.tail),
            };
            let keys = keys.into_iter().map(|(id, own)| (id, past(own))).collect();
            KeysPast::new(fresher(fleet), past(rest), keys, most)
        };
        let tenants = (1..self.tenants.len() as u32)
            .map(|i| (ids.id(*self.tenants.key(i)).to_vec(), self.tenants.past(i)))
            .collect();
        let endpoints = (1..self.endpoints.len() as u32)
            .map(|i| (self.endpoints.key(i).as_bytes().to_vec(), self.endpoints.past(i)))
            .collect();
        let sides = [&self.errors, &self.latency].map(|judge| {
            let mut past = judge.past();
            past.clock_s *= fresh;
            let values = [&mut past.learned_s, &mut past.clock_s, &mut past.phi_weight, &mut past.phi_sum];
            values.into_iter().for_each(travels);
            past
        });
        Baseline {
            slot_ms: grid.slot_ms as u64,
            until_ms: grid.start_of(self.slot - ring),
            latencies_until_ms: grid.start_of(self.slot - self.horizon.tail_age() as i64),
            sides,
            tenants: keys(self.tenants.past(REST), self.tenants.past_fleet(), tenants, most),
            endpoints: keys(self.endpoints.past(REST), self.endpoints.past_fleet(), endpoints, 2 * MAX_ENDPOINTS),
        }
    }
}
