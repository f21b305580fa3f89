//! Alerts that arrive: a tenant begins to fail, and Slack, a webhook and a mailbox are told; others fail as well, so that it is not
//! the tenant any more, and they are told that it is over. A local server plays Slack and the webhook, another one the mail server.
//!
//! ```text
//! cargo run --release --example alerts     # half a minute; exits with 0 when all three were told both
//! ```
#![allow(clippy::print_stdout)] // it is a program for people

mod servers;

use sentinel_core::{Clock, Event, Query, Sentinel};
use sentinel_exporter::{Config, Exporter};
use servers::Arrived;
use std::collections::BTreeSet;
use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime};

/// The `sentinel.toml` of a service, except for the times: an example should not take ten minutes.
fn configuration(dir: &str, http: u16, smtp: u16) -> String {
    format!(
        r#"
[exporter]
service = "checkout"
dir = "{dir}"
every = "500ms"

[alerts]
tenant_share = {{ above = 0.5, for = "10s", keep_firing_for = "10s" }}   # more than half of all failures are one tenant's
verdict = {{ errors = false, latency = false }}
grouping = {{ first = "5s", then = "5s" }}

[[alerts.sinks]]
type = "slack"
url = "http://127.0.0.1:{http}/slack"

[[alerts.sinks]]
type = "webhook"
url = "http://127.0.0.1:{http}/hook"
secret = "whsec_c2VudGluZWwtZXhhbXBsZS1zaWduaW5nLWtleQ=="

[[alerts.sinks]]
type = "email"
host = "127.0.0.1"
port = {smtp}
encryption = "none"
from = "sentinel@example.com"
to = "oncall@example.com"
"#
    )
}

const SINKS: [&str; 3] = ["slack", "webhook", "email"];
/// An example that does not end is broken.
const PATIENCE: Duration = Duration::from_secs(90);

/// A service whose time goes by as fast as it is told.
struct Service {
    sentinel: Sentinel,
    now_ms: i64,
}

impl Service {
    /// So many requests of a tenant, of which so many fail.
    fn serve(&self, tenant: &str, requests: usize, errors: usize) {
        for number in 0..requests {
            let status = if number < errors { 503 } else { 200 };
            self.sentinel.record(Event {
                tenant: tenant.as_bytes(),
                endpoint: "/v1/process",
                status,
                ..Event::default()
            });
        }
    }

    fn pass(&mut self, seconds: i64) {
        self.now_ms += seconds * 1_000;
        self.sentinel.tick(self.now_ms);
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (send, arrivals) = mpsc::channel();
    let (http, smtp) = (servers::http(send.clone())?, servers::smtp(send)?);
    let dir = tempfile::tempdir()?;
    let toml = configuration(&dir.path().join("sentinel").display().to_string(), http, smtp);
    println!("The configuration:\n{toml}");

    let now_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64 - 900_000;
    let sentinel = Sentinel::builder().clock(Clock::manual(now_ms)).build()?;
    let exporter = Exporter::new(&sentinel, Config::from_toml(&toml)?)?;
    let mut service = Service { sentinel, now_ms };

    println!("Does anything arrive? A test alert:");
    for tried in exporter.test_alert(None, Duration::from_secs(10))? {
        println!("  {:<8} {}", tried.name, tried.error.as_deref().unwrap_or("ok"));
    }
    let mut told = BTreeSet::new();
    hear(&arrivals, &mut told, "🔔");

    println!("\nA quarter of an hour passes in a second; nobody fails.");
    for _ in 0..90 {
        ["acme", "beta", "gamma", "delta"].iter().for_each(|tenant| service.serve(tenant, 50, 0));
        service.pass(10);
        // Whoever asks has everything published and collected.
        let _ = service.sentinel.report(Query::default());
    }

    println!("Now 64 requests of acme fail, and 36 of the others.\n");
    service.serve("acme", 100, 64);
    ["beta", "gamma", "delta"].iter().for_each(|tenant| service.serve(tenant, 100, 12));
    if !until(&mut service, &arrivals, &mut told, "🚨") {
        return Ok(ExitCode::FAILURE);
    }
    println!("\nThe others fail as well: it is not acme's doing any more.\n");
    ["beta", "gamma", "delta"].iter().for_each(|tenant| service.serve(tenant, 100, 60));
    if !until(&mut service, &arrivals, &mut told, "✅") {
        return Ok(ExitCode::FAILURE);
    }

    println!("\nWhat the ledger says of it:");
    for sink in service.sentinel.alerts()?.map(|alerts| alerts.sinks).unwrap_or_default() {
        println!(
            "  {:<8} {} offered = {} delivered + {} pending",
            sink.name, sink.offered, sink.delivered, sink.pending
        );
    }
    exporter.close(Duration::from_secs(1));
    Ok(ExitCode::SUCCESS)
}

/// Lets time pass, ten times as fast as it does, until every sink was told.
fn until(
    service: &mut Service,
    arrivals: &Receiver<Arrived>,
    told: &mut BTreeSet<(String, String)>,
    mark: &str,
) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
        service.pass(1);
        hear(arrivals, told, mark);
        if SINKS.iter().all(|sink| told.contains(&((*sink).to_string(), mark.to_string()))) {
            return true;
        }
    }
    println!("Not everybody was told: {told:?}");
    false
}

/// Prints what has arrived.
fn hear(arrivals: &Receiver<Arrived>, told: &mut BTreeSet<(String, String)>, mark: &str) {
    for Arrived { sink, text, id } in arrivals.try_iter() {
        let mut lines = text.lines();
        println!("  {sink:<8} {}", lines.next().unwrap_or_default());
        for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
            println!("           {line}");
        }
        if !id.is_empty() {
            println!("           ({id})");
        }
        if text.starts_with(mark) {
            told.insert((sink.into(), mark.into()));
        }
    }
}
