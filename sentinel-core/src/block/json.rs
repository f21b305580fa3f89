//! A block as JSON, for other systems: a log pipeline, a warehouse. Processes exchange its bytes (`codec`).

use crate::block::{Block, Row};
use crate::event::tenant::shown;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// Ids are as reports show them; latencies are milliseconds.
///
/// ```
/// use sentinel_core::{Clock, Event, Latency, Sentinel};
///
/// let sentinel = Sentinel::builder().clock(Clock::manual(0)).build()?;
/// let latency = Latency::from_millis(20.0);
/// sentinel.record(Event { tenant: b"acme", endpoint: "/v1", status: 500, latency, ..Event::default() });
/// let line = serde_json::to_value(&sentinel.blocks()[0])?;
/// assert_eq!((&line["from_ms"], &line["requests"], &line["errors"]), (&0.into(), &1.into(), &1.into()));
/// assert_eq!(line["tenants"][0]["tenant_id"], "acme");
/// assert_eq!(line["tenants"][0]["endpoints"][0]["endpoint"], "/v1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = &self.head;
        let mut out = serializer.serialize_struct("Block", 10)?;
        // Beyond 2^53 JSON's readers round.
        out.serialize_field("source", &format!("{:016x}", head.source))?;
        out.serialize_field("from_ms", &head.from_ms)?;
        out.serialize_field("to_ms", &head.to_ms)?;
        out.serialize_field("requests", &head.totals[0])?;
        out.serialize_field("errors", &head.totals[1])?;
        out.serialize_field("slow", &head.totals[2])?;
        out.serialize_field("aborted", &head.aborted)?;
        out.serialize_field("latency_sum_ms", &ms(head.latency_sum_us))?;
        let tenants: Vec<Tenant<'_>> = self.rows.iter().map(|row| Tenant { block: self, row }).collect();
        out.serialize_field("tenants", &tenants)?;
        out.serialize_field("tail", &Tail { requests: head.tail[0], errors: head.tail[1], slow: head.tail[2] })?;
        out.end()
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// Tenants without a row.
#[derive(Serialize)]
struct Tail {
    requests: u64,
    errors: u64,
    slow: u64,
}

struct Tenant<'a> {
    block: &'a Block,
    row: &'a Row,
}

impl Serialize for Tenant<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sums = &self.row.sums;
        let mut out = serializer.serialize_struct("Tenant", 7)?;
        out.serialize_field("tenant_id", &shown(self.row.id.as_bytes()))?;
        out.serialize_field("requests", &sums.counts[0])?;
        out.serialize_field("errors", &sums.counts[1])?;
        out.serialize_field("slow", &sums.counts[2])?;
        out.serialize_field("latency_sum_ms", &ms(sums.latency_sum_us))?;
        out.serialize_field("latency_max_ms", &ms(u64::from(sums.latency_max_us)))?;
        let endpoints = self.block.endpoints_of(self.row).iter().map(|cell| AtEndpoint {
            endpoint: shown(self.block.head.endpoints[usize::from(cell.endpoint)].name.as_bytes()),
            requests: cell.requests,
            errors: cell.errors,
        });
        out.serialize_field("endpoints", &endpoints.collect::<Vec<_>>())?;
        out.end()
    }
}

#[derive(Serialize)]
struct AtEndpoint {
    endpoint: String,
    requests: u32,
    errors: u32,
}
