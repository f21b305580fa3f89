//! The generator: a stream of requests with an incident in it, second by second, from a plan and a seed.
//!
//! Poisson arrivals, Zipf tenants, eight routes, lognormal latencies; one second of them is in memory at a time. What
//! really happened is counted on the way and told at the end.

use std::{borrow::Cow, error::Error, f64::consts::TAU};

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use rand_distr::{Distribution, LogNormal, Poisson, weighted::WeightedAliasIndex};

use crate::scenario::{Happened, Plan, START_MS, Truth, rng_of};

/// Endpoint, weight, how many times slower than a tenant's median it is.
pub(crate) const ROUTES: [(&str, f64, f64); 8] = [
    ("GET /v1/items", 30.0, 0.6),
    ("GET /v1/items/{id}", 25.0, 0.4),
    ("POST /v1/orders", 12.0, 1.5),
    ("GET /v1/orders/{id}", 12.0, 0.7),
    ("GET /v1/search", 9.0, 2.0),
    ("POST /v1/login", 6.0, 1.2),
    ("PUT /v1/profile", 4.0, 0.9),
    ("POST /v1/upload", 2.0, 4.0),
];
const ZIPF: f64 = 1.1;
const SWING: f64 = 0.4;
const CHRONICALLY_SLOWER: f64 = 6.0;
/// Median of the tenants' median latencies in ms, and their spread; of one tenant's requests; both of the logarithm.
const MEDIAN_MS: f64 = 40.0;
const SPREAD_OF_TENANTS: f64 = 0.6;
const SPREAD_OF_REQUESTS: f64 = 0.5;

/// A request, its tenant and endpoint by number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) ms: i64,
    pub(crate) tenant: usize,
    pub(crate) endpoint: usize,
    pub(crate) status: u16,
    pub(crate) latency_ms: f64,
}

/// A stream being made.
pub(crate) struct Stream {
    plan: Plan,
    rng: StdRng,
    tenant: WeightedAliasIndex<f64>,
    route: WeightedAliasIndex<f64>,
    latency: LogNormal<f64>,
    names: Vec<String>,
    medians: Vec<f64>,
    second: f64,
    /// Tenant ids so far, those of a flood included.
    ids: usize,
    /// Times and tenants of the second at hand; none is a new id.
    arrivals: Vec<(f64, Option<usize>)>,
    /// Counted as the requests go by.
    truth: Truth,
}

impl Stream {
    pub(crate) fn new(plan: Plan) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut rng = rng_of(&plan.scenario, plan.seed, "stream");
        let mut weights: Vec<f64> = (1..=plan.tenants).map(|rank| (rank as f64).powf(-ZIPF)).collect();
        if let Some(share) = plan.largest {
            weights[0] = weights[1..].iter().sum::<f64>() * share / (1.0 - share);
        }
        let median = LogNormal::new(MEDIAN_MS.ln(), SPREAD_OF_TENANTS)?;
        let mut medians: Vec<f64> = (0..plan.tenants).map(|_| median.sample(&mut rng)).collect();
        for &k in &plan.slow {
            medians[k] *= CHRONICALLY_SLOWER;
        }
        Ok(Self {
            tenant: WeightedAliasIndex::new(weights)?,
            route: WeightedAliasIndex::new(ROUTES.iter().map(|r| r.1).collect())?,
            latency: LogNormal::new(0.0, SPREAD_OF_REQUESTS)?,
            names: (0..plan.tenants).map(tenant_name).collect(),
            medians,
            second: 0.0,
            ids: plan.tenants,
            arrivals: Vec::new(),
            truth: nothing_yet(&plan),
            plan,
            rng,
        })
    }

    /// Puts the requests of the next second into `into`, in time order; false after the last second.
    pub(crate) fn next_second(&mut self, into: &mut Vec<Request>) -> bool {
        into.clear();
        let from = self.second;
        let to = (from + 1.0).min(self.plan.seconds);
        if from >= to {
            return false;
        }
        self.second += 1.0;
        self.arrive(from, to);
        let arrivals = std::mem::take(&mut self.arrivals);
        for &(t, tenant) in &arrivals {
            let tenant = tenant.unwrap_or_else(|| {
                self.ids += 1;
                self.ids - 1
            });
            let request = self.request(t, tenant);
            self.count(&request);
            into.push(request);
        }
        self.arrivals = arrivals; // its memory serves the next second
        true
    }

    /// The arrivals from `from` to `to`: the fleet's, and what the incident sends beside them.
    fn arrive(&mut self, from: f64, to: f64) {
        self.arrivals.clear();
        let day = (START_MS as f64 / 1000.0 + from) / 86_400.0;
        let swing = if self.plan.diurnal { 1.0 + SWING * (day.fract() * TAU).sin() } else { 1.0 };
        for _ in 0..poisson(self.plan.rps * swing * (to - from), &mut self.rng) {
            let t = self.rng.random_range(from..to);
            self.arrivals.push((t, Some(self.tenant.sample(&mut self.rng))));
        }
        if let Some(i) = &self.plan.incident {
            let (from, to) = (from.max(i.start), to.min(i.end));
            for _ in 0..poisson(i.extra_rps * (to - from).max(0.0), &mut self.rng) {
                self.arrivals.push((self.rng.random_range(from..to), i.culprits.first().copied()));
            }
        }
        self.arrivals.sort_by(|a, b| a.0.total_cmp(&b.0));
    }

    fn request(&mut self, t: f64, tenant: usize) -> Request {
        let endpoint = self.route.sample(&mut self.rng);
        let median = self.medians.get(tenant).copied().unwrap_or(MEDIAN_MS);
        let mut latency_ms = median * ROUTES[endpoint].2 * self.latency.sample(&mut self.rng);
        let mut failing = if self.plan.chronic.contains(&tenant) { 1.0 } else { self.plan.error_rate };
        if let Some(i) = self.plan.incident.as_ref().filter(|i| (i.start..i.end).contains(&t)) {
            let own = i.culprits.is_empty() || i.culprits.contains(&tenant);
            if own && i.endpoint.is_none_or(|e| e == endpoint) {
                latency_ms *= i.factor.unwrap_or(1.0);
                failing = i.rate.unwrap_or(0.0).max(failing);
            }
            if let Some((_, rate)) = i.noisy.filter(|n| n.0 == tenant) {
                failing = rate.max(failing);
            }
        }
        let status = if self.rng.random::<f64>() < failing {
            [500, 502, 503, 504].choose(&mut self.rng).copied().unwrap_or(500)
        } else {
            200
        };
        let latency_ms = (latency_ms * 1000.0).round() / 1000.0; // as it is written: whole microseconds
        Request { ms: at_ms(t), tenant, endpoint, status, latency_ms }
    }

    fn count(&mut self, r: &Request) {
        self.truth.events += 1;
        let Some((i, t)) = self.plan.incident.as_ref().zip(self.truth.incidents.first_mut()) else { return };
        if (t.from_ms..t.to_ms).contains(&r.ms) {
            let (error, own) = (r.status >= 500, i.culprits.contains(&r.tenant));
            t.requests += 1;
            t.errors += u64::from(error);
            t.tenant_requests += u64::from(own);
            t.tenant_errors += u64::from(own && error);
            if own && error && t.tenant_errors == 5 && i.culprits.len() == 1 {
                t.fifth_error_ms = Some(r.ms);
            }
        }
    }

    /// The name of a tenant; those of a flood look random.
    pub(crate) fn tenant(&self, k: usize) -> Cow<'_, str> {
        match self.names.get(k) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("x{:016x}", (k as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))),
        }
    }

    /// A request as a line of JSON; none of the names needs an escape.
    pub(crate) fn line(&self, r: &Request) -> String {
        let (tenant, endpoint) = (self.tenant(r.tenant), ROUTES[r.endpoint].0);
        format!(
            r#"{{"tenant_id":"{tenant}","endpoint":"{endpoint}","status_code":{},"latency_ms":{:.3},"timestamp":{}}}"#,
            r.status, r.latency_ms, r.ms
        )
    }

    /// True incidents up to this point of the stream.
    pub(crate) fn truth(&self) -> &Truth {
        &self.truth
    }
}

/// The truth before the first request.
fn nothing_yet(plan: &Plan) -> Truth {
    let happened = plan.incident.as_ref().map(|i| Happened {
        kind: i.base,
        from_ms: at_ms(i.start),
        to_ms: at_ms(i.end),
        expect: i.expect(),
        requests: 0,
        errors: 0,
        tenant_requests: 0,
        tenant_errors: 0,
        fifth_error_ms: None,
    });
    Truth {
        scenario: plan.scenario.clone(),
        events: 0,
        from_ms: START_MS,
        to_ms: at_ms(plan.seconds),
        options: Some(plan.clone()),
        incidents: happened.into_iter().collect(),
    }
}

/// Name of the tenant with that number; 0 has the most traffic.
pub(crate) fn tenant_name(k: usize) -> String {
    format!("t{:06}", k + 1)
}

fn at_ms(seconds: f64) -> i64 {
    START_MS + (seconds * 1000.0) as i64
}

fn poisson(mean: f64, rng: &mut StdRng) -> u64 {
    Poisson::new(mean).map_or(0, |p| p.sample(rng) as u64) // a mean of 0 is no distribution
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may stop
mod tests {
    use super::*;
    use crate::scenario::{Base, Scenario};

    fn plan(name: &str, seed: u64) -> Plan {
        Scenario::all().iter().find(|s| s.to_string() == name).unwrap().plan(seed)
    }

    /// All requests of the first `seconds`, and the stream after them.
    fn made(plan: Plan, seconds: usize) -> (Vec<Request>, Stream) {
        let (mut stream, mut all, mut second) = (Stream::new(plan).unwrap(), Vec::new(), Vec::new());
        while stream.second < seconds as f64 && stream.next_second(&mut second) {
            all.append(&mut second);
        }
        (all, stream)
    }

    /// Share of the requests for which `is` holds; it must lie within five standard deviations of `wanted`.
    fn assert_share(of: &[Request], wanted: f64, is: impl Fn(&Request) -> bool) {
        let share = of.iter().filter(|r| is(r)).count() as f64 / of.len() as f64;
        let off = 5.0 * (wanted * (1.0 - wanted) / of.len() as f64).sqrt();
        assert!((share - wanted).abs() <= off, "{share} of {}, wanted {wanted} +- {off}", of.len());
    }

    fn assert_count(count: usize, mean: f64) {
        assert!((count as f64 - mean).abs() <= 5.0 * mean.sqrt(), "{count}, wanted {mean}");
    }

    fn during<'a>(all: &'a [Request], stream: &Stream) -> &'a [Request] {
        let i = &stream.truth().incidents[0];
        &all[all.partition_point(|r| r.ms < i.from_ms)..all.partition_point(|r| r.ms < i.to_ms)]
    }

    #[test]
    fn the_same_seed_makes_the_same_stream_in_time_order() {
        let (a, _) = made(plan("flood@20x200", 3), 1100);
        assert_eq!(a, made(plan("flood@20x200", 3), 1100).0);
        assert_ne!(a[..50], made(plan("flood@20x200", 4), 10).0[..50]);
        assert_ne!(a[..50], made(plan("outage@20x200", 3), 10).0[..50]);
        assert!(a.is_sorted_by_key(|r| r.ms));
        assert!((START_MS..START_MS + 1_100_000).contains(&a[a.len() - 1].ms));
    }

    #[test]
    fn normal_traffic_has_its_rates_and_shares() {
        let (all, _) = made(plan("outage@1000x200", 1), 800);
        assert_count(all.len(), 800.0 * 200.0);
        let zipf: f64 = (1..=1000).map(|k| f64::from(k).powf(-1.1)).sum();
        assert_share(&all, 1.0 / zipf, |r| r.tenant == 0);
        assert_share(&all, 10f64.powf(-1.1) / zipf, |r| r.tenant == 9);
        for (e, route) in ROUTES.iter().enumerate() {
            assert_share(&all, route.1 / 100.0, |r| r.endpoint == e);
        }
        assert_share(&all, 0.002, |r| r.status >= 500);
        assert_share(&made(plan("one_hi@20x200", 1), 800).0, 0.02, |r| r.status >= 500);
        assert_share(&made(plan("big60@20x200", 1), 800).0, 0.6, |r| r.tenant == 0);
        let (all, stream) = made(plan("chronic@20x200", 1), 800);
        let (always, rest): (Vec<Request>, _) = all.iter().partition(|r| stream.plan.chronic.contains(&r.tenant));
        assert!(always.len() > 100 && always.iter().all(|r| r.status >= 500));
        assert_share(&rest, 0.002, |r| r.status >= 500);
    }

    #[test]
    fn latency_is_lognormal_around_the_median_of_tenant_and_route() {
        let (all, stream) = made(plan("slow@20x200", 1), 800);
        let own = |r: &Request| r.latency_ms / stream.medians[r.tenant] / ROUTES[r.endpoint].2;
        assert_share(&all, 0.5, |r| own(r) < 1.0);
        assert_share(&all, 0.841_345, |r| own(r) < 0.5f64.exp());
        let of_tenants = Stream::new(plan("outage@50000x200", 1)).unwrap().medians;
        let below = |ms: f64| of_tenants.iter().filter(|&&m| m < ms).count();
        assert_count(below(40.0), 25_000.0);
        assert_count(below(40.0 * (-0.6f64).exp()), 0.158_655 * 50_000.0);
    }

    #[test]
    fn an_incident_hits_whom_it_should_while_it_lasts() {
        let (all, stream) = made(plan("one_ep@20x200", 2), 2000);
        let culprit = stream.plan.incident.as_ref().unwrap().culprits[0];
        let here = |r: &&Request| r.tenant == culprit && r.endpoint == 2;
        let (own, others): (Vec<Request>, _) = during(&all, &stream).iter().partition(here);
        assert_share(&own, 0.8, |r| r.status >= 500);
        assert_share(&others, 0.002, |r| r.status >= 500);
        let (truth, t) = (stream.truth(), &stream.truth().incidents[0]);
        let failed = during(&all, &stream).iter().filter(|r| r.tenant == culprit && r.status >= 500);
        let errors: Vec<i64> = failed.map(|r| r.ms).collect();
        assert_eq!((t.fifth_error_ms, t.tenant_errors), (Some(errors[4]), errors.len() as u64));
        assert_eq!((truth.events, truth.to_ms - t.to_ms), (all.len() as u64, 700_000));
        assert_share(&all[all.partition_point(|r| r.ms < t.to_ms)..], 0.002, |r| r.status >= 500);
    }

    #[test]
    fn a_flood_sends_new_ids_and_a_hidden_culprit_more_requests() {
        let (all, stream) = made(plan("flood@20x200", 1), 2000);
        let mut fresh: Vec<usize> = all.iter().map(|r| r.tenant).filter(|&k| k >= 20).collect();
        assert_count(fresh.len(), 500.0 * 300.0);
        assert_eq!(stream.tenant(20), "xfa8cfc37711c2db9"); // 21 times the golden ratio, modulo 2^64
        let n = fresh.len();
        fresh.dedup();
        assert_eq!((fresh.len(), fresh[n - 1]), (n, 20 + n - 1));
        let (all, stream) = made(plan("hidden@1000x200", 1), 2000);
        let before = all.iter().filter(|r| r.tenant == 899 && r.ms < START_MS + 900_000).count();
        let own: Vec<&Request> = during(&all, &stream).iter().filter(|r| r.tenant == 899).collect();
        assert_count(own.len(), 150.0 + before as f64 / 3.0); // a third as long, and 0.5 requests a second more
        assert!(before < 60 && own.iter().all(|r| r.status >= 500));
    }

    #[test]
    fn a_slow_tenant_is_eight_times_slower_and_a_calm_day_swings() {
        let p = plan("slow@20x200", 5);
        let i = p.incident.clone().unwrap();
        assert_eq!((i.base, i.factor), (Base::Slow, Some(8.0)));
        let (all, stream) = made(p, 2000);
        let own: Vec<Request> = during(&all, &stream).iter().copied().filter(|r| r.tenant == i.culprits[0]).collect();
        assert_share(&own, 0.5, |r| r.latency_ms < 8.0 * stream.medians[r.tenant] * ROUTES[r.endpoint].2);
        let (all, _) = made(plan("calm@1000x5", 1), 86_400);
        assert_count(all.len(), 5.0 * 86_400.0);
        let hour = |h: i64| all.iter().filter(|r| r.ms.rem_euclid(86_400_000) / 3_600_000 == h).count();
        let top = 0.4 * 0.9886; // of its highest hour the mean of a sine is 0.9886
        assert_count(hour(6), 5.0 * 3600.0 * (1.0 + top));
        assert_count(hour(18), 5.0 * 3600.0 * (1.0 - top));
    }
}
