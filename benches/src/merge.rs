//! `merge`: taking in the blocks of sixteen other processes.

use crate::Failure;
use crate::service::{RATE, Service};
use crate::stream::START_MS;
use crate::timing::median;
use sentinel_core::{Block, Clock, Query, Sentinel};
use serde_json::{Value, json};
use std::hint::black_box;
use std::time::Instant;

const SOURCES: usize = 16;
const SLOTS: usize = 6;
const TENANTS: u64 = 1_000;

/// Decodes and merges so many times.
pub(crate) fn run(rounds: usize) -> Result<Value, Failure> {
    let (mut wires, mut rows) = (Vec::new(), 0);
    for _ in 0..SOURCES {
        let mut service = Service::new(TENANTS)?;
        service.seconds(SLOTS * 10);
        wires.extend(service.sentinel.blocks().iter().map(Block::encode));
        rows += service.rows;
    }
    let now_ms = START_MS + SLOTS as i64 * 10_000;
    let (mut decoding, mut merging, mut reporting) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        let blocks = wires.iter().map(|wire| Block::decode(wire)).collect::<Result<Vec<_>, _>>()?;
        decoding.push(start.elapsed().as_secs_f64());
        let sentinel = Sentinel::builder().clock(Clock::manual(now_ms)).build()?;
        let start = Instant::now();
        for block in blocks {
            sentinel.merge(block)?;
        }
        merging.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let report = black_box(sentinel.report(Query::default()));
        reporting.push(start.elapsed().as_secs_f64());
        let wanted = (SOURCES * SLOTS * 10 * RATE) as u64;
        if report.totals.requests != wanted {
            return Err(format!("{wanted} requests were merged, {} are reported", report.totals.requests).into());
        }
    }
    let [decode, merge, report] = [decoding, merging, reporting].map(|times| median(&times).unwrap_or_default());
    let bytes: usize = wires.iter().map(Vec::len).sum();
    Ok(json!({
        "sources": SOURCES,
        "blocks": wires.len(),
        "rows": rows,
        "bytes_a_row": bytes as f64 / rows as f64,
        "decode_ns_a_row": decode * 1e9 / rows as f64,
        "merge_ns_a_row": merge * 1e9 / rows as f64,
        "decode_ms": decode * 1e3,
        "merge_ms": merge * 1e3,
        "first_report_ms": report * 1e3,
    }))
}
