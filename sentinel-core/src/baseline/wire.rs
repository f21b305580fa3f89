//! What a process knows of normal, for one that has just begun: a recycled worker is not born blind.
//!
//! It is what lies before the judges' ring of slots (`baseline`). The slots since then travel as blocks: whoever takes both in
//! judges those anew, one by one, and knows what the other one knows.

use crate::baseline::Past;
use crate::block::summary::MAX_ENDPOINTS;
use crate::event::endpoint::MAX_TEMPLATE;
use crate::event::tenant::MAX_ID;
use crate::slot::histogram::HALVES;
use crate::util::error::DecodeError;
use crate::util::wire::{Reader, Writer, invalid};

const MAGIC: [u8; 4] = *b"SNTN";
const VERSION: u8 = 1;
/// Tenants in it, at most.
const MAX_TENANTS: usize = 16_384;

/// What a sentinel knows of the time before its window: counts and latencies of each tenant and endpoint, decayed.
///
/// ```
/// use sentinel_core::{Baseline, Clock, Event, Sentinel};
///
/// let sentinel = Sentinel::builder().clock(Clock::manual(1_700_000_000_000)).build()?;
/// sentinel.record(Event { tenant: b"acme", ..Event::default() });
/// sentinel.tick(1_700_000_010_000);
/// let bytes = sentinel.baseline(512).unwrap().encode();
///
/// let young = Sentinel::builder().clock(Clock::manual(1_700_000_010_000)).build()?;
/// young.inherit(Baseline::decode(&bytes)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    pub(crate) slot_ms: u64,
    /// It is about the time before this, Unix ms.
    pub(crate) until_ms: i64,
    /// Latencies of slots before this are in it.
    pub(crate) latencies_until_ms: i64,
    /// Of the errors, and of the latencies.
    pub(crate) sides: [SidePast; 2],
    pub(crate) tenants: KeysPast,
    pub(crate) endpoints: KeysPast,
}

/// What a judge knows beside the counts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct SidePast {
    /// Seconds of normal time, as they are and decayed.
    pub(crate) learned_s: f64,
    pub(crate) clock_s: f64,
    /// Overdispersion: its weight and its sum.
    pub(crate) phi_weight: f64,
    pub(crate) phi_sum: f64,
}

/// Of all tenants, or all endpoints.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct KeysPast {
    /// Everybody's latencies.
    pub(crate) fleet: Vec<(u8, f64)>,
    /// Of what has no key.
    pub(crate) rest: Past,
    pub(crate) keys: Vec<(Vec<u8>, Past)>,
}

impl Baseline {
    /// The bytes that another process decodes.
    ///
    /// ```
    /// # use sentinel_core::{Baseline, Clock, Event, Sentinel};
    /// # let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
    /// # sentinel.record(Event::default());
    /// # sentinel.tick(10_000);
    /// let baseline = sentinel.baseline(512).unwrap();
    /// assert_eq!(Baseline::decode(&baseline.encode())?, baseline);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION, 256 + 64 * self.tenants.keys.len());
        out.number(self.slot_ms);
        out.signed(self.until_ms);
        out.signed(self.latencies_until_ms);
        for side in &self.sides {
            out.floats(&[side.learned_s, side.clock_s, side.phi_weight, side.phi_sum]);
        }
        out.keys(&self.tenants);
        out.keys(&self.endpoints);
        out.finish()
    }

    /// Reads what [`Baseline::encode`] wrote.
    ///
    /// # Errors
    /// A [`DecodeError`] for everything else. Memory is bounded by the length of `bytes`.
    ///
    /// ```
    /// use sentinel_core::{Baseline, DecodeError};
    ///
    /// assert!(matches!(Baseline::decode(b"SNTB"), Err(DecodeError::Magic { .. })));
    /// ```
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::open(bytes, MAGIC, VERSION)?;
        let slot_ms = input.count("slot_ms")?;
        let (until_ms, latencies_until_ms) = (input.signed()?, input.signed()?);
        let mut side = || {
            let [learned_s, clock_s, phi_weight, phi_sum] = input.floats("seconds")?;
            Ok::<_, DecodeError>(SidePast { learned_s, clock_s, phi_weight, phi_sum })
        };
        let sides = [side()?, side()?];
        let tenants = input.keys("tenants", MAX_TENANTS, MAX_ID)?;
        let endpoints = input.keys("endpoints", 2 * MAX_ENDPOINTS, MAX_TEMPLATE)?;
        for (at, (name, _)) in endpoints.keys.iter().enumerate() {
            if name.is_empty() || std::str::from_utf8(name).is_err() {
                return Err(invalid("endpoint", at as u64, "not empty, UTF-8"));
            }
        }
        input.end()?;
        Ok(Self { slot_ms, until_ms, latencies_until_ms, sides, tenants, endpoints })
    }

    /// Tenants that it knows by name.
    ///
    /// ```
    /// # use sentinel_core::{Clock, Event, Sentinel};
    /// # let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
    /// # sentinel.record(Event { tenant: b"acme", ..Event::default() });
    /// # sentinel.tick(10_000);
    /// assert_eq!(sentinel.baseline(512).unwrap().tenants(), 1);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn tenants(&self) -> usize {
        self.tenants.keys.len()
    }
}

impl Writer {
    /// Counts that have decayed: 24 bits of them are enough.
    fn floats(&mut self, values: &[f64]) {
        for value in values {
            self.0.extend_from_slice(&rounded(*value).to_le_bytes());
        }
    }

    fn histogram(&mut self, halves: &[(u8, f64)]) {
        self.0.push(halves.len() as u8);
        for &(half, count) in halves {
            self.0.push(half);
            self.floats(&[count]);
        }
    }

    fn past(&mut self, past: &Past) {
        self.floats(&past.errors);
        self.floats(&past.latency);
        self.histogram(&past.tail);
    }

    fn keys(&mut self, keys: &KeysPast) {
        self.histogram(&keys.fleet);
        self.past(&keys.rest);
        self.number(keys.keys.len() as u64);
        for (id, past) in &keys.keys {
            self.bytes(id);
            self.past(past);
        }
    }
}

/// As it travels. Counts that were taken back may leave a little less than nothing.
fn rounded(value: f64) -> f32 {
    if value.is_finite() { value.max(0.0) as f32 } else { 0.0 }
}

impl Reader<'_> {
    fn floats<const N: usize>(&mut self, field: &'static str) -> Result<[f64; N], DecodeError> {
        let mut out = [0.0; N];
        for value in &mut out {
            let found = f32::from_le_bytes(self.array()?);
            if !(0.0..=1e18).contains(&found) {
                return Err(invalid(field, u64::from(found.to_bits()), "a number from 0 to 1e18"));
            }
            *value = f64::from(found);
        }
        Ok(out)
    }

    fn histogram(&mut self) -> Result<Vec<(u8, f64)>, DecodeError> {
        let [len] = self.array()?;
        if usize::from(len) > HALVES {
            return Err(invalid("halves", u64::from(len), "0 to 64"));
        }
        let mut out: Vec<(u8, f64)> = Vec::new();
        for _ in 0..len {
            let [half] = self.array()?;
            if usize::from(half) >= HALVES || out.last().is_some_and(|&(last, _)| last >= half) {
                return Err(invalid("halves", u64::from(half), "rising halves below 64"));
            }
            let [count] = self.floats("halves")?;
            out.push((half, count));
        }
        Ok(out)
    }

    fn past(&mut self) -> Result<Past, DecodeError> {
        Ok(Past { errors: self.floats("errors")?, latency: self.floats("slow requests")?, tail: self.histogram()? })
    }

    fn keys(&mut self, field: &'static str, most: usize, longest: usize) -> Result<KeysPast, DecodeError> {
        let (fleet, rest) = (self.histogram()?, self.past()?);
        let len = self.items(field, 18)?;
        if len > most {
            return Err(invalid(field, len as u64, "as many as a baseline holds"));
        }
        let mut keys: Vec<(Vec<u8>, Past)> = Vec::new();
        for at in 0..len {
            let id = self.text(field, longest)?;
            if keys.last().is_some_and(|(last, _)| last.as_slice() >= id) {
                return Err(invalid(field, at as u64, "names in rising order"));
            }
            keys.push((id.to_vec(), self.past()?));
        }
        Ok(KeysPast { fleet, rest, keys })
    }
}

impl KeysPast {
    /// In the order of their names, rounded as they travel, the heaviest `most` of them; the others join the rest.
    pub(crate) fn new(fleet: Vec<(u8, f64)>, rest: Past, mut keys: Vec<(Vec<u8>, Past)>, most: usize) -> Self {
        let most = most.min(MAX_TENANTS);
        let weight = |past: &Past| (past.errors[1] + past.latency[1], past.errors[0] + past.latency[0]);
        let mut out = Self { fleet, rest, keys: Vec::new() };
        if keys.len() > most {
            keys.sort_by(|(a, x), (b, y)| {
                weight(y).partial_cmp(&weight(x)).unwrap_or(std::cmp::Ordering::Equal).then_with(|| a.cmp(b))
            });
            for (_, past) in keys.drain(most..) {
                for (sum, part) in [(&mut out.rest.errors, past.errors), (&mut out.rest.latency, past.latency)] {
                    *sum = [sum[0] + part[0], sum[1] + part[1]];
                }
            }
        }
        keys.sort_by(|(a, _), (b, _)| a.cmp(b));
        out.keys = keys;
        let pasts = out.keys.iter_mut().map(|(_, past)| past).chain([&mut out.rest]);
        for past in pasts {
            past.errors.iter_mut().chain(&mut past.latency).for_each(travels);
            past.tail.iter_mut().for_each(|(_, count)| travels(count));
        }
        out.fleet.iter_mut().for_each(|(_, count)| travels(count));
        out
    }
}

/// Rounds a value as it will arrive.
pub(crate) fn travels(value: &mut f64) {
    *value = f64::from(rounded(*value));
}
