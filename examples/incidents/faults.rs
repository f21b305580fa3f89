//! Faults that were really injected: the labelled ones of the trainticket stream in `../shared/data`, where that is there.
//!
//! A fault counts when its tenant has at least five errors (4xx or 5xx) in the three minutes after it; it is found when a
//! verdict names that tenant within them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;
use sentinel_core::{Clock, ErrorClasses, Event, Latency, Sentinel};
use serde::Deserialize;

use crate::Failure;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
const STREAM: &str = "trainticket_0129.jsonl.gz";
const ANSWERS: &str = "expected/trainticket_0129.json.gz";
const WITHIN_MS: i64 = 180_000;
const FEWEST_ERRORS: usize = 5;

#[derive(Deserialize)]
struct Request {
    tenant_id: String,
    endpoint: String,
    status_code: u16,
    latency_ms: f64,
    timestamp: i64,
}

#[derive(Deserialize)]
struct Answers {
    injected_faults: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    at: i64,
    tenant_id: String,
}

/// Seconds from each fault that counts to its first right verdict; `None` = not found in time. Nothing without the data.
pub(crate) fn delays() -> Result<Option<Vec<Option<f64>>>, Failure> {
    let data = Path::new(DATA);
    if !data.join(STREAM).is_file() {
        return Ok(None);
    }
    let answers: Answers = serde_json::from_reader(GzDecoder::new(File::open(data.join(ANSWERS))?))?;
    let lines = BufReader::new(GzDecoder::new(File::open(data.join(STREAM))?)).lines();
    let requests = lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Result<Vec<Request>, Failure>>()?;
    let named = named(&requests)?;
    let errors = |fault: &Fault| {
        let after = requests.iter().filter(|r| fault.at < r.timestamp && r.timestamp <= fault.at + WITHIN_MS);
        after.filter(|r| r.tenant_id == fault.tenant_id && r.status_code >= 400).count()
    };
    let counting = answers.injected_faults.iter().filter(|fault| errors(fault) >= FEWEST_ERRORS);
    let delay = |fault: &Fault| {
        let mut after = named.iter().filter(|(at, _)| fault.at < *at && *at <= fault.at + WITHIN_MS);
        let (at, _) = after.find(|(_, tenants)| tenants.contains(&fault.tenant_id))?;
        Some((at - fault.at) as f64 / 1_000.0)
    };
    Ok(Some(counting.map(delay).collect()))
}

/// Tenants that the verdict names after each second of the stream.
fn named(requests: &[Request]) -> Result<Vec<(i64, Vec<String>)>, Failure> {
    let Some(first) = requests.first() else {
        return Ok(Vec::new());
    };
    let mut now_ms = first.timestamp.div_euclid(10_000) * 10_000;
    let (errors, clock) = (ErrorClasses::CLIENT | ErrorClasses::SERVER, Clock::manual(now_ms));
    let sentinel = Sentinel::builder().window(Duration::from_mins(10)).errors(errors).clock(clock).build()?;
    let mut out = Vec::new();
    for r in requests {
        while r.timestamp >= now_ms + 1_000 {
            now_ms += 1_000;
            sentinel.tick(now_ms);
            out.push((now_ms, sentinel.verdict().tenants));
        }
        sentinel.record(Event {
            tenant: r.tenant_id.as_bytes(),
            endpoint: &r.endpoint,
            status: r.status_code,
            latency: Latency::from_millis(r.latency_ms),
            at: Some(r.timestamp),
        });
    }
    Ok(out)
}
