//! Serves the admin view in every state that it can be in, for those who look at it: the browser tests (`tests/browser`) and
//! people who change the page.
//!
//! ```text
//! cargo run --example admin_states [-- 127.0.0.1:8080]      prints where; the token is correct-horse-battery
//! ```
//!
//! | mounted at | what it shows |
//! |---|---|
//! | `/one` | one tenant fails and is slow, beside tenants who always fail and ids that are hostile; alerts, and sinks in every state; checks in every state |
//! | `/hostile` | one tenant fails, whose id is markup; this side's own network is down |
//! | `/slow` | one tenant is slow, and nobody fails more than before |
//! | `/everyone` | the fleet fails; 10,000 checks, of which nothing new is known |
//! | `/quiet` | nothing; alerts are configured, nobody is told; uptime is, without a check |
//! | `/crowded` | more tenants than places: lower bounds |
//! | `/open` | `/one` again, for everybody |
//! | `/closed` | no token is configured; no request yet |
//!
//! The traffic is made, the same each time, and ends now; from then on it goes on as long as the program runs, so that what
//! fails goes on failing.
#![allow(clippy::print_stdout, reason = "a program: where it serves is its output")]

mod checks;

use axum::Router;
use sentinel_core::admin::Admin;
use sentinel_core::alert::{Accused, Alert, Alerts, AlertsReport, Facts, Over, Rules, SinkReport, SinkState, State};
use sentinel_core::uptime::UptimeReport;
use sentinel_core::{Answer, Clock, Event, Kind, Latency, Query, Scope, Sentinel, Sharing, Unavailable, Wider};
use sentinel_tower::AdminService;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

const TOKEN: &str = "correct-horse-battery";
/// Seconds of normal traffic before the trouble.
const CALM_S: i64 = 840;
/// Seconds since the trouble began.
const TROUBLE_S: i64 = 150;
const ROUTES: [&str; 5] = ["/v1/process", "/v1/users/{id}", "/v1/export", "/healthz", "/v2/search"];
/// Ids as somebody sends them who hopes that a page shows them as something else than text.
const HOSTILE: [&str; 6] = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "\u{202e}gnp.eca\u{202c}\u{0}\u{1b}[31m\n",
    "team/a%2Fb?window=1#x",
    "..",
    "a-very-long-identifier-that-has-no-place-to-break-0123456789abcdef0123456789abcdef0123456789abcdef",
];
const CHRONIC: [&str; 2] = ["legacy-batch", "abandoned-webhook"];

/// Kind of the trouble.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    /// This tenant fails and is slow.
    One(&'static str),
    /// This tenant is slow.
    Slow(&'static str),
    Everyone,
}

/// Alerts of a fleet by the real rules, sinks that nobody sends anything to, and checks as they were when the program began.
#[derive(Debug)]
struct Told {
    alerts: Alerts,
    /// The state, and what is said of it.
    known: Mutex<(State, AlertsReport)>,
    has_alerts: bool,
    uptime: Option<UptimeReport>,
}

impl Told {
    fn new(path: &str) -> Result<Arc<Self>, Box<dyn Error>> {
        let has_sinks = path != "/quiet";
        let alerts = Alerts::new("shop", Rules::default())?;
        let mut report = AlertsReport::new("shop", &State::default());
        if has_sinks {
            // One that was over before all this: everyone was hit, a while ago.
            let at = now_ms() - 3_600_000;
            let hit =
                Accused { kind: Kind::Everyone, window_ms: 60_000, rate_without: Some(0.2), ..Accused::default() };
            let (_, outcome) = alerts.step(State::default(), at, Some(&Facts::new(at, 600_000).with_verdict(hit)));
            let fired = outcome.transitions.into_iter().filter_map(|transition| transition.alert);
            report.recent = fired.map(|alert| Over::from(over(alert, at + 240_000))).collect();
            let sink = |kind: &str, name: &str, state, error: Option<&str>| {
                let mut sink = SinkReport::new(name, kind);
                (sink.state, sink.last_error) = (state, error.map(Into::into));
                (sink.offered, sink.delivered) = (3, if error.is_none() { 3 } else { 1 });
                sink.pending = sink.offered - sink.delivered;
                sink
            };
            report.sinks = vec![
                sink("slack", "slack", SinkState::Ok, None),
                sink("webhook", "pager", SinkState::Retrying, Some("503")),
                sink("email", "<b>ops</b>", SinkState::Disabled, Some("550")),
            ];
        }
        let known = Mutex::new((State::default(), report));
        Ok(Arc::new(Self { alerts, known, has_alerts: path != "/everyone", uptime: checks::report(path, now_ms())? }))
    }

    fn look(&self, sentinel: &Sentinel, now: i64) {
        let query = Query { limit: 1_000, scope: Some(Scope::Process), ..Query::default() };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, _) = self.alerts.step(std::mem::take(&mut known.0), now, Some(&Facts::of(&sentinel.report(query))));
        let fresh = AlertsReport::new("shop", &state);
        (known.1.alerts, known.1.as_of, known.1.leader) = (fresh.alerts, fresh.as_of, true);
        known.0 = state;
    }
}

fn over(alert: Alert, at: i64) -> Alert {
    let mut alert = alert;
    (alert.resolved_ms, alert.told, alert.lasted_ms) = (Some(at), true, (at - alert.fired_ms) as u64);
    alert
}

impl Wider for Told {
    fn begin(&self) {}

    fn answer(&self) -> Result<Option<Answer>, Unavailable> {
        Ok(None)
    }

    fn sharing(&self) -> Option<Sharing> {
        None
    }

    fn alerts(&self) -> Result<Option<AlertsReport>, Unavailable> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.has_alerts.then(|| known.1.clone()))
    }

    fn uptime(&self) -> Result<Option<UptimeReport>, Unavailable> {
        Ok(self.uptime.clone())
    }
}

/// Made traffic of one fleet.
struct Traffic {
    sentinel: Sentinel,
    told: Option<Arc<Told>>,
    trouble: Trouble,
    /// Ordinary tenants, and requests a second.
    fleet: u64,
    rate: u64,
    /// Requests so far, each of which decides by its number.
    made: u64,
}

impl Traffic {
    fn new(trouble: Trouble, fleet: u64, places: usize, start: i64) -> Result<Self, Box<dyn Error>> {
        let sentinel = Sentinel::builder().clock(Clock::manual(start)).places(places).stripes(1).build()?;
        Ok(Self { sentinel, told: None, trouble, fleet, rate: 60, made: 0 })
    }

    /// The requests of the second that ends at `now`, and what is thought of them.
    fn second(&mut self, now: i64, failing: bool) {
        for i in 0..self.rate {
            self.made += 1;
            self.request(now - 1_000 + (i * 1_000 / self.rate) as i64, failing);
        }
        self.sentinel.tick(now);
        if let Some(told) = self.told.as_ref().filter(|_| failing) {
            told.look(&self.sentinel, now);
        }
    }

    /// With alerts and checks.
    fn telling(mut self, path: &str) -> Result<Self, Box<dyn Error>> {
        let told = Told::new(path)?;
        let wider: Weak<Told> = Arc::downgrade(&told);
        self.sentinel.widen(wider);
        self.told = Some(told);
        Ok(self)
    }

    fn request(&self, at: i64, failing: bool) {
        let dice = mixed(self.made);
        let who = dice % 100;
        let name;
        let (tenant, usual) = match (who, self.trouble) {
            (0..8, Trouble::One(culprit) | Trouble::Slow(culprit)) => (culprit, 2),
            (8..20, Trouble::One(_)) => (HOSTILE[who as usize % HOSTILE.len()], 60),
            (20..25, _) => (CHRONIC[who as usize % CHRONIC.len()], 300),
            // As in any fleet, some have much more than others.
            _ => {
                let (a, b) = (mixed(dice) % self.fleet, mixed(dice + 1) % self.fleet);
                name = format!("tenant-{:03}", a * b / self.fleet);
                (name.as_str(), 2)
            }
        };
        let hit =
            failing && matches!(self.trouble, Trouble::One(culprit) | Trouble::Slow(culprit) if culprit == tenant);
        let chance = match self.trouble {
            Trouble::One(_) if hit => 650,
            Trouble::Everyone if failing => 350 + usual,
            _ => usual,
        };
        let fails = (dice >> 20) % 1_000 < chance;
        let millis = (8.0 + ((dice >> 40) % 1_000) as f64 / 12.0) * if hit { 9.0 } else { 1.0 };
        let endpoint = ROUTES[if fails && hit { 0 } else { (dice >> 32) as usize % ROUTES.len() }];
        let status = if fails { 503 } else { 200 };
        self.sentinel.record(Event {
            tenant: tenant.as_bytes(),
            endpoint,
            status,
            latency: Latency::from_millis(millis),
            at: Some(at),
        });
    }
}

/// A number that looks like chance and is the same each time (`SplitMix64`).
fn mixed(n: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.as_millis() as i64)
}

fn mounted(path: &str, admin: Admin) -> Router {
    Router::new().nest_service(path, AdminService::new(admin))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let start = now_ms() / 1_000 * 1_000 - (CALM_S + TROUBLE_S) * 1_000;
    let states = [
        ("/one", Trouble::One("tenant_acme"), 40, 2_048),
        ("/hostile", Trouble::One(HOSTILE[0]), 40, 2_048),
        ("/slow", Trouble::Slow("tenant_acme"), 40, 2_048),
        ("/everyone", Trouble::Everyone, 40, 2_048),
        ("/quiet", Trouble::None, 40, 2_048),
        ("/crowded", Trouble::None, 4_000, 8),
    ];
    let mut router = mounted("/closed", Sentinel::builder().build()?.admin());
    let mut fleets = Vec::new();
    for (path, trouble, fleet, places) in states {
        let mut traffic = Traffic::new(trouble, fleet, places, start)?;
        if matches!(path, "/one" | "/hostile" | "/quiet" | "/everyone") {
            traffic = traffic.telling(path)?;
        }
        router = router.merge(mounted(path, traffic.sentinel.admin().token(TOKEN)?));
        if path == "/one" {
            router = router.merge(mounted("/open", traffic.sentinel.admin().public()));
        }
        fleets.push(traffic);
    }
    for second in 1..=CALM_S + TROUBLE_S {
        fleets.iter_mut().for_each(|traffic| traffic.second(start + second * 1_000, second > CALM_S));
    }
    let mut at = start + (CALM_S + TROUBLE_S) * 1_000;
    tokio::spawn(async move {
        loop {
            while at + 1_000 <= now_ms() {
                at += 1_000;
                fleets.iter_mut().for_each(|traffic| traffic.second(at, true));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}
