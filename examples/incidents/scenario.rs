//! The scenarios: which incident in which fleet, what is drawn anew with each seed, and what a right verdict is.
//!
//! A scenario is a kind and a fleet, written `KIND@TENANTSxRPS`: `one_all@20x5` is one failing tenant among 20 that
//! together send 5 requests a second. [`Scenario::plan`] turns it and a seed into a [`Plan`], all that the generator
//! needs; the generator answers with a [`Truth`], all that the judgement needs.

use std::{collections::BTreeSet, fmt};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom, seq::index};
use sentinel_core::Kind;
use serde::Serialize;

use crate::stream::{ROUTES, tenant_name};

/// Start of every stream, Unix ms: a boundary of 10 s slots.
pub(crate) const START_MS: i64 = 1_700_000_000_000;
/// Length of a stream after its incident, in seconds.
const AFTER: f64 = 700.0;
const DAY: f64 = 86_400.0;
const ORDERS: usize = 2; // POST /v1/orders

/// Kind of an incident. The names are the same as in the judgement script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Base {
    /// One tenant fails, on all endpoints or on one.
    One,
    /// Some tenants fail.
    Few,
    /// Everyone fails alike.
    Outage,
    /// One endpoint fails for everyone.
    Endpoint,
    /// Each request comes from a new tenant id; no extra errors.
    Flood,
    /// A small tenant sends more and all of it fails, while a large one makes more errors.
    Hidden,
    /// One tenant is slow.
    Slow,
    /// Everyone is slow.
    Slowall,
    /// One endpoint is slow for everyone.
    Slowep,
}

impl Base {
    /// Judged by the latency verdict.
    pub(crate) fn is_slow(self) -> bool {
        matches!(self, Self::Slow | Self::Slowall | Self::Slowep)
    }
}

/// Every kind and what happens in it; nothing does in a calm day.
const KINDS: [(&str, Option<Base>); 24] = [
    ("one_ep", Some(Base::One)),
    ("one_all", Some(Base::One)),
    ("one_weak", Some(Base::One)), // 8 % of its requests fail
    ("outage", Some(Base::Outage)),
    ("outage_weak", Some(Base::Outage)), // 3 %
    ("endpoint", Some(Base::Endpoint)),
    ("few2", Some(Base::Few)),
    ("few4", Some(Base::Few)),
    ("big60", Some(Base::Outage)), // an outage where one tenant has 60 % of the traffic
    ("big60one", Some(Base::One)), // that tenant fails alone
    ("chronic", Some(Base::One)),  // beside a tenant that always fails
    ("hidden", Some(Base::Hidden)),
    ("one_hi", Some(Base::One)), // 2 % of all requests always fail
    ("outage_hi", Some(Base::Outage)),
    ("early", Some(Base::One)), // 100 s after the start
    ("early_out", Some(Base::Outage)),
    ("flood", Some(Base::Flood)),
    ("long", Some(Base::One)),      // 90 minutes
    ("slow", Some(Base::Slow)),     // 8 times slower
    ("slow3", Some(Base::Slow)),    // 3 times
    ("slow_chr", Some(Base::Slow)), // beside a tenant that is always slow
    ("slowall", Some(Base::Slowall)),
    ("slowep", Some(Base::Slowep)),
    ("calm", None), // a day of traffic that swings by 40 %
];

/// Tenants and requests a second.
const FLEETS: [(usize, u32); 5] = [(20, 5), (3, 5), (1000, 5), (20, 200), (1000, 200)];
const LARGE: [(usize, u32); 2] = [(50_000, 200), (1000, 2000)];
const LARGE_KINDS: [&str; 7] = ["one_all", "one_ep", "outage", "endpoint", "hidden", "few2", "big60"];
const CALM_FLEETS: [(usize, u32); 3] = [(20, 5), (1000, 5), (1000, 200)];

/// The small fixed set: most kinds, and some stream for each target.
const CI: &str = "one_ep@20x5 one_ep@1000x200 one_all@3x5 one_all@20x200 one_weak@20x200 outage@20x5 outage@1000x200 \
    outage_weak@1000x200 endpoint@1000x5 endpoint@20x200 few2@20x200 few4@1000x200 big60@20x5 \
    big60@1000x200 big60one@1000x5 big60one@20x200 chronic@20x5 chronic@1000x200 hidden@20x200 \
    one_hi@1000x200 outage_hi@20x200 early@20x200 early_out@20x200 flood@1000x200 slow@20x5 \
    slow@1000x200 calm@20x5";

/// A kind and a fleet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) kind: &'static str,
    pub(crate) base: Option<Base>,
    pub(crate) tenants: usize,
    pub(crate) rps: u32,
}

/// Plan of a stream for the generator; tenants and endpoints by number, times in seconds from the start.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    pub(crate) tenants: usize,
    pub(crate) rps: f64,
    pub(crate) seconds: f64,
    /// Share of requests that always fail.
    pub(crate) error_rate: f64,
    /// Share of the traffic that the largest tenant has, when it is not Zipf's.
    pub(crate) largest: Option<f64>,
    /// Tenants whose every request always fails; who are always 6 times slower.
    pub(crate) chronic: Vec<usize>,
    pub(crate) slow: Vec<usize>,
    /// Traffic swings by 40 % over the day.
    pub(crate) diurnal: bool,
    pub(crate) incident: Option<Incident>,
}

/// An incident from `start` to `end`. Without culprits everyone is hit.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Incident {
    pub(crate) base: Base,
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) culprits: Vec<usize>,
    pub(crate) endpoint: Option<usize>,
    /// Share of the culprits' requests (there) that fail.
    pub(crate) rate: Option<f64>,
    /// Factor by which their requests are slower.
    pub(crate) factor: Option<f64>,
    /// Requests a second that the culprit, or the flood, sends beside the fleet's.
    pub(crate) extra_rps: f64,
    /// A tenant beside the culprits, and the share of its requests that fails.
    pub(crate) noisy: Option<(usize, f64)>,
}

/// Condition for a right verdict: one of `kinds` that names all of `must`, and no tenant outside `may`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Expect {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) must: BTreeSet<String>,
    pub(crate) may: BTreeSet<String>,
    pub(crate) endpoint: Option<String>,
}

/// The true incidents of a stream; the judgement script reads them too.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Truth {
    pub(crate) scenario: String,
    pub(crate) events: u64,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) options: Option<Plan>,
    pub(crate) incidents: Vec<Happened>,
}

/// The incident of a stream, counted.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Happened {
    pub(crate) kind: Base,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) expect: Expect,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) tenant_requests: u64,
    pub(crate) tenant_errors: u64,
    /// The time of a single culprit's 5th error.
    pub(crate) fifth_error_ms: Option<i64>,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}x{}", self.kind, self.tenants, self.rps)
    }
}

impl Scenario {
    /// All of them: each kind with the small fleets where it makes sense, some with the large ones, and the calm days.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (kind, base) in KINDS {
            // Three tenants are too few for "some of them" and for a tail of one's own.
            let roomy = matches!(base, Some(Base::Few | Base::Hidden)) || base.is_some_and(Base::is_slow);
            let fits = |fleet: &(usize, u32)| match kind {
                "long" => matches!(fleet, (20, 5) | (1000, 200)),
                _ => fleet.0 > 3 || !roomy,
            };
            let small = if base.is_some() { &FLEETS[..] } else { &CALM_FLEETS[..] };
            let large = if LARGE_KINDS.contains(&kind) { &LARGE[..] } else { &[] };
            let fleets = small.iter().filter(|f| fits(f)).chain(large);
            all.extend(fleets.map(|&(tenants, rps)| Self { kind, base, tenants, rps }));
        }
        all
    }

    /// Scenarios of the small fixed set.
    pub(crate) fn ci() -> Vec<Self> {
        let mut all = Self::all();
        all.retain(|s| CI.split(' ').any(|name| name == s.to_string()));
        all
    }

    /// Number of streams for `seeds`: a quarter of them for the largest calm day, which has 17 million events.
    pub(crate) fn streams(&self, seeds: u64) -> u64 {
        let heavy = self.base.is_none() && self.rps >= 200;
        if heavy { seeds.div_ceil(4) } else { seeds }
    }

    /// Draws what the seed decides: who, when, how bad.
    pub(crate) fn plan(&self, seed: u64) -> Plan {
        let mut rng = rng_of(&self.to_string(), seed, "plan");
        let mut plan = Plan {
            scenario: self.to_string(),
            seed,
            tenants: self.tenants,
            rps: f64::from(self.rps),
            seconds: DAY,
            error_rate: if self.kind.ends_with("_hi") { 0.02 } else { 0.002 },
            largest: self.kind.starts_with("big60").then_some(0.6),
            chronic: Vec::new(),
            slow: Vec::new(),
            diurnal: self.base.is_none(),
            incident: None,
        };
        let Some(base) = self.base else { return plan };
        let who = if self.tenants > 3 { rng.random_range(1..=(self.tenants - 1).min(9)) } else { 1 };
        match self.kind {
            "chronic" => plan.chronic = vec![if self.tenants > 3 { who + 1 } else { 2 }],
            "slow_chr" => plan.slow = vec![who + 1],
            _ => {}
        }
        let incident = self.incident(base, who, &mut rng);
        plan.seconds = incident.end + AFTER;
        plan.incident = Some(incident);
        plan
    }

    fn incident(&self, base: Base, who: usize, rng: &mut StdRng) -> Incident {
        let start = if self.kind.starts_with("early") { 100.0 } else { 900.0 + rng.random_range(0.0..60.0) };
        let drawn = [0.3, 0.6, 1.0].choose(rng).copied().unwrap_or(0.6);
        let mut i = Incident {
            base,
            start,
            end: start + if self.kind == "long" { 5400.0 } else { 300.0 },
            culprits: Vec::new(),
            endpoint: None,
            rate: None,
            factor: None,
            extra_rps: 0.0,
            noisy: None,
        };
        match base {
            Base::One => {
                i.culprits = vec![if self.kind == "big60one" { 0 } else { who }];
                i.endpoint = (self.kind == "one_ep").then_some(ORDERS);
                i.rate = Some(match self.kind {
                    "one_ep" => 0.8,
                    "one_weak" => 0.08,
                    "big60one" => 0.5,
                    "one_hi" | "early" | "long" => 0.6,
                    _ => drawn,
                });
            }
            Base::Few => {
                // Two of the ten largest, or four of the third to fifteenth.
                let (from, to, n) =
                    if self.kind == "few2" { (1, self.tenants.min(10), 2) } else { (2, self.tenants.min(15), 4) };
                i.culprits = index::sample(rng, to - from, n.min(to - from)).iter().map(|k| k + from).collect();
                i.rate = Some(0.6);
            }
            Base::Outage => i.rate = Some(if self.kind == "outage_weak" { 0.03 } else { 0.3 }),
            Base::Endpoint => {
                i.endpoint = [0, 1, ORDERS, 4].choose(rng).copied();
                i.rate = Some(drawn);
            }
            Base::Flood => i.extra_rps = f64::from(self.rps * 3).min(500.0),
            Base::Hidden => {
                i.culprits = vec![(self.tenants * 9 / 10).max(2) - 1];
                (i.rate, i.extra_rps, i.noisy) = (Some(1.0), 0.5, Some((0, 0.05)));
            }
            Base::Slow => (i.culprits, i.factor) = (vec![who], Some(if self.kind == "slow3" { 3.0 } else { 8.0 })),
            Base::Slowall => i.factor = Some(3.0),
            Base::Slowep => (i.endpoint, i.factor) = (Some(ORDERS), Some(6.0)),
        }
        i
    }
}

impl Incident {
    /// Condition for a right verdict while the incident lasts.
    pub(crate) fn expect(&self) -> Expect {
        let kinds = match self.base {
            Base::One | Base::Slow => vec![Kind::OneTenant],
            Base::Few => vec![Kind::FewTenants],
            Base::Hidden => vec![Kind::OneTenant, Kind::FewTenants],
            Base::Endpoint | Base::Slowep => vec![Kind::OneEndpoint],
            Base::Flood => vec![Kind::Quiet],
            Base::Outage | Base::Slowall => vec![Kind::Everyone],
        };
        let must: BTreeSet<String> = self.culprits.iter().map(|&k| tenant_name(k)).collect();
        let noisy = self.noisy.map(|(k, _)| tenant_name(k));
        Expect {
            kinds,
            may: must.iter().cloned().chain(noisy).collect(),
            must,
            endpoint: self.endpoint.map(|e| ROUTES[e].0.to_owned()),
        }
    }
}

/// A generator of random numbers of its own for each scenario, seed and purpose.
pub(crate) fn rng_of(scenario: &str, seed: u64, purpose: &str) -> StdRng {
    let text = format!("{scenario} {seed} {purpose}");
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    StdRng::seed_from_u64(fnv)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_there_should_be() {
        let all = Scenario::all();
        assert_eq!(all.iter().filter(|s| s.base.is_some()).count(), 118);
        assert_eq!((all.len(), Scenario::ci().len()), (121, CI.split(' ').count()));
    }

    #[test]
    fn plans_name_tenants_that_exist_and_nobody_twice() {
        for (s, seed) in Scenario::all().iter().flat_map(|s| (1..=50).map(move |seed| (s, seed))) {
            let p = s.plan(seed);
            let Some(i) = &p.incident else { continue };
            let distinct: BTreeSet<usize> = i.culprits.iter().chain(&p.chronic).chain(&p.slow).copied().collect();
            assert_eq!(distinct.len(), i.culprits.len() + p.chronic.len() + p.slow.len(), "{s}");
            assert!(distinct.iter().all(|&k| k < s.tenants), "{s}");
            assert!(i.culprits.contains(&0) == (s.kind == "big60one"), "{s}");
        }
    }
}
