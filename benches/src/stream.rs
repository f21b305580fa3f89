//! The stream: 8 million requests, made beforehand from a seed, 64 bytes each, ids inline.

use rand::RngCore;
use rand::distr::Distribution;
use rand_distr::{LogNormal, Zipf};
use sentinel_core::{Event, Latency};
use std::time::Duration;

/// Requests in a stream: 512 MB.
pub(crate) const EVENTS: usize = 8_000_000;
/// Requests in each slot of ten seconds.
pub(crate) const EVENTS_PER_SLOT: usize = 100_000;
/// The default slot.
pub(crate) const SLOT_MS: i64 = 10_000;
/// When streams begin; a multiple of the slot.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

/// Four route templates of 20 bytes.
pub(crate) const ENDPOINTS: [&str; 4] =
    ["/v1/payments/capture", "/v1/accounts/balance", "/v1/messages/publish", "/v1/invoices/reports"];

/// One in so many requests fails.
const ERRORS_ONE_IN: usize = 20;
const MEDIAN_LATENCY_US: f64 = 20_000.0;
/// Spread of the latencies' logarithm.
const SIGMA: f64 = 1.0;
const SEED: u64 = 0x5EED;

/// A request as a host has it in hand when it ends: one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Sample {
    id: [u8; 16],
    /// Unix ms.
    pub(crate) at: i64,
    pub(crate) endpoint: &'static str,
    pub(crate) latency: Latency,
    pub(crate) status: u16,
}

impl Sample {
    /// A request of the tenant with that number.
    pub(crate) fn new(tenant: u64, at: i64, endpoint: usize, latency_us: u32, failed: bool) -> Self {
        let latency = Latency::from(Duration::from_micros(u64::from(latency_us)));
        let status = if failed { 500 } else { 200 };
        Self { id: id_of(tenant), at, endpoint: ENDPOINTS[endpoint % ENDPOINTS.len()], latency, status }
    }

    /// The id as text, as the peers want it; hexadecimal is always text.
    pub(crate) fn tenant(&self) -> &str {
        std::str::from_utf8(&self.id).unwrap_or_default()
    }

    /// The status as a label.
    pub(crate) fn status_label(&self) -> &'static str {
        if self.status == 500 { "500" } else { "200" }
    }

    pub(crate) fn seconds(&self) -> f64 {
        f64::from(self.micros()) / 1e6
    }

    pub(crate) fn micros(&self) -> u32 {
        self.latency.micros().unwrap_or(0)
    }

    /// As the sentinel wants it.
    pub(crate) fn event(&self, at: Option<i64>) -> Event<'_> {
        Event { tenant: &self.id, endpoint: self.endpoint, status: self.status, latency: self.latency, at }
    }
}

/// Which tenants ask, and how often each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tenants {
    /// The k-th of so many asks in proportion to 1/k.
    Zipf(u64),
    /// Each asks once.
    Distinct,
    /// One asks nine times in ten; the others are 1,000 by Zipf.
    Hot,
}

/// The generator `SplitMix64` (Steele et al., 2014): quick, and one to one in its state.
#[derive(Debug, Clone)]
pub(crate) struct Mix(u64);

impl Mix {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mixed(seed))
    }
}

impl RngCore for Mix {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mixed(self.0)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn mixed(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Sixteen hexadecimal digits that look random; no two tenants have the same.
fn id_of(tenant: u64) -> [u8; 16] {
    let bits = mixed(tenant.wrapping_add(1).wrapping_mul(GOLDEN));
    std::array::from_fn(|i| b"0123456789abcdef"[(bits >> (60 - 4 * i)) as usize & 15])
}

/// Makes requests one after the other.
#[derive(Debug)]
pub(crate) struct Maker {
    rng: Mix,
    tenants: Tenants,
    zipf: Zipf<f64>,
    latency: LogNormal<f64>,
    made: usize,
    /// Which of the twenty that are being made fails.
    failing: usize,
    events_per_slot: usize,
}

impl Maker {
    /// `events_per_slot` says how time passes.
    pub(crate) fn new(tenants: Tenants, events_per_slot: usize) -> Result<Self, crate::Failure> {
        let among = if let Tenants::Zipf(n) = tenants { n } else { 1_000 };
        let zipf = Zipf::new(among as f64, 1.0)?;
        let latency = LogNormal::new(MEDIAN_LATENCY_US.ln(), SIGMA)?;
        Ok(Self { rng: Mix::new(SEED), tenants, zipf, latency, made: 0, failing: 0, events_per_slot })
    }

    /// The next request and its tenant's number; the hot one and the most frequent one are 0.
    pub(crate) fn next(&mut self) -> (u64, Sample) {
        let i = self.made;
        if i.is_multiple_of(ERRORS_ONE_IN) {
            self.failing = self.rng.next_u32() as usize % ERRORS_ONE_IN;
        }
        self.made += 1;
        let bits = self.rng.next_u32();
        let tenant = match self.tenants {
            Tenants::Distinct => i as u64,
            Tenants::Hot if !(bits >> 8).is_multiple_of(10) => 0,
            Tenants::Hot => self.zipf.sample(&mut self.rng) as u64,
            Tenants::Zipf(_) => self.zipf.sample(&mut self.rng) as u64 - 1,
        };
        let at = START_MS + (i as i64 * SLOT_MS) / self.events_per_slot as i64;
        let latency_us = self.latency.sample(&mut self.rng) as u32;
        (tenant, Sample::new(tenant, at, bits as usize, latency_us, i % ERRORS_ONE_IN == self.failing))
    }

    /// A whole stream.
    pub(crate) fn stream(tenants: Tenants, events: usize) -> Result<Vec<Sample>, crate::Failure> {
        let mut maker = Self::new(tenants, EVENTS_PER_SLOT)?;
        Ok((0..events).map(|_| maker.next().1).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_sample_is_one_cache_line_and_endpoints_have_20_bytes() {
        assert_eq!(size_of::<Sample>(), 64);
        assert!(ENDPOINTS.iter().all(|endpoint| endpoint.len() == 20));
        assert_eq!(ENDPOINTS.iter().collect::<HashSet<_>>().len(), 4);
    }

    #[test]
    fn five_percent_fail_exactly() {
        let stream = Maker::stream(Tenants::Zipf(1_000), 40_000).unwrap();
        assert_eq!(stream.iter().filter(|sample| sample.status == 500).count(), 2_000);
        assert!(stream.iter().all(|sample| sample.status == 500 || sample.status == 200));
    }

    #[test]
    fn distinct_ids_are_distinct_hexadecimal_text() {
        let stream = Maker::stream(Tenants::Distinct, 100_000).unwrap();
        let ids: HashSet<&str> = stream.iter().map(Sample::tenant).collect();
        assert_eq!(ids.len(), 100_000);
        assert!(ids.iter().all(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn zipf_falls_with_the_rank() {
        let mut maker = Maker::new(Tenants::Zipf(1_000), EVENTS_PER_SLOT).unwrap();
        let mut counts = vec![0_u32; 1_000];
        (0..400_000).for_each(|_| counts[maker.next().0 as usize] += 1);
        // 1/k: each decade of ranks has about the same share, and the first is twice the second.
        assert!(counts.windows(2).take(8).all(|pair| pair[0] > pair[1]), "{:?}", &counts[..9]);
        let ratio = f64::from(counts[0]) / f64::from(counts[1]);
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
        let expected = 400_000.0 / (1..=1_000).map(|k| 1.0 / f64::from(k)).sum::<f64>();
        assert!((f64::from(counts[0]) / expected - 1.0).abs() < 0.02);
    }

    #[test]
    fn the_hot_tenant_has_nine_in_ten() {
        let mut maker = Maker::new(Tenants::Hot, EVENTS_PER_SLOT).unwrap();
        let hot = (0..100_000).filter(|_| maker.next().0 == 0).count();
        assert!((89_500..90_500).contains(&hot), "{hot}");
    }

    #[test]
    fn time_passes_evenly_and_the_same_seed_makes_the_same_stream() {
        let stream = Maker::stream(Tenants::Zipf(10), 2 * EVENTS_PER_SLOT).unwrap();
        assert_eq!((stream[0].at, stream[EVENTS_PER_SLOT].at), (START_MS, START_MS + SLOT_MS));
        assert!(stream.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let again = Maker::stream(Tenants::Zipf(10), 1_000).unwrap();
        assert!(again.iter().zip(&stream).all(|(a, b)| a.event(Some(a.at)) == b.event(Some(b.at))));
    }

    #[test]
    fn latencies_are_lognormal() {
        let stream = Maker::stream(Tenants::Distinct, 100_000).unwrap();
        let below = |us: u32| stream.iter().filter(|sample| sample.micros() < us).count();
        assert!((49_000..51_000).contains(&below(20_000)));
        assert!((83_100..85_100).contains(&below((20_000.0 * std::f64::consts::E) as u32)));
    }
}
