//! From what was measured to the line of a case, with what it had to reach.

use crate::plan::Case;
use crate::timing::median;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Output of the processes of a case, by the name of the measurement.
pub(crate) type Results = BTreeMap<String, Vec<Value>>;

/// The crates that count by labels; the fastest of them is what a ratio is taken to.
pub(crate) const PEERS: [&str; 4] = ["prometheus", "prometheus-client", "metrics", "opentelemetry"];

/// The line of a case; its fields keep their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Vec<(&'static str, Value)>);

impl Line {
    fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push((name, value.into()));
    }

    fn add_number(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.add(name, rounded(value));
        }
    }
}

impl Line {
    /// Without what it had to reach.
    pub(crate) fn unjudged(mut self) -> Self {
        self.0.retain(|(name, _)| *name != "gates");
        self
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

/// Target of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

use Wanted::{AtLeast, AtMost};

/// As it stands in the line; what was not measured is not met.
fn gate(what: impl Into<String>, measured: Option<f64>, wanted: Wanted) -> Value {
    let met = measured.is_some_and(|measured| match wanted {
        AtLeast(limit) => measured >= limit,
        AtMost(limit) => measured <= limit,
    });
    let wanted = match wanted {
        AtLeast(limit) => format!("≥ {limit}"),
        AtMost(limit) => format!("≤ {limit}"),
    };
    json!({ "what": what.into(), "measured": measured.map(rounded), "wanted": wanted, "met": met })
}

/// The line of a case, and instructions a request where they were counted.
pub(crate) fn line(case: Case, results: &Results, instructions: Option<f64>) -> Line {
    let mut line = Line::default();
    line.add("bench", case.bench());
    line.add("case", case.name());
    let gates = match case {
        Case::Query => query(&mut line, results),
        Case::Rotate => rotate(&mut line, results),
        Case::Merge => whole(&mut line, results),
        Case::Memory => memory(&mut line, results),
        Case::Layer => layer(&mut line, results),
        Case::View => view(&mut line, results),
        Case::Share => share(&mut line, results),
        Case::Uptime => uptime(&mut line, results),
        _ => record(&mut line, case, results),
    };
    line.add_number("instructions", instructions);
    line.add("gates", gates);
    line
}

/// The median of a figure over the rounds of a measurement.
fn middle(results: &Results, name: &str, figure: &str) -> Option<f64> {
    let values: Vec<f64> = results.get(name)?.iter().filter_map(|result| result[figure].as_f64()).collect();
    median(&values)
}

fn record(line: &mut Line, case: Case, results: &Results) -> Vec<Value> {
    let ns = |name| middle(results, name, "ns");
    let own = ns("sentinel");
    line.add("sentinel_ns", own.map(rounded));
    let peers: Vec<(&str, f64)> = PEERS.into_iter().filter_map(|peer| Some((peer, ns(peer)?))).collect();
    let rounded_peers = peers.iter().map(|(peer, ns)| ((*peer).to_owned(), rounded(*ns))).collect();
    line.add("peers", Value::Object(rounded_peers));
    let over = |one: Option<f64>, other: Option<f64>| one.zip(other).map(|(one, other)| one / other);
    let fastest = peers.iter().map(|(_, ns)| *ns).min_by(f64::total_cmp);
    let ratio = over(fastest, own);
    let of_base = over(own, ns("base"));
    let (what, figure, wanted) = match case {
        Case::Zipf1k => ("ratio to the fastest peer", ratio, Some(AtLeast(4.0))),
        Case::Zipf100k | Case::Hot2t => ("ratio to the fastest peer", ratio, Some(AtLeast(9.0))),
        Case::Zipf1m => ("ratio to the fastest peer", ratio, Some(AtLeast(20.0))),
        Case::Distinct => ("time of zipf-1k", of_base, Some(AtMost(2.0))),
        Case::Threads16 => ("time of one thread", of_base, Some(AtMost(1.3))),
        _ => ("", ratio, None),
    };
    line.add("ratio", figure.map(rounded));
    line.add_number("base_ns", ns("base"));
    line.add_number("afternoon_ns", ns("afternoon"));
    line.add_number("afternoon_ratio", over(ns("afternoon"), own));
    line.add_number("ticked_ns", ns("ticked"));
    let clock = ns("system").zip(ns("still")).map(|(system, still)| system - still);
    line.add_number("clock_ns", clock);
    line.add_number("wall_ns", middle(results, "sentinel", "wall_ns"));
    line.add_number("base_wall_ns", middle(results, "base", "wall_ns"));
    line.add("rounds", rounds(results));
    let mut gates: Vec<Value> = wanted.map(|wanted| gate(what, figure, wanted)).into_iter().collect();
    if case == Case::Zipf1k {
        gates.push(gate("ns that a clock read adds", clock, AtMost(8.0)));
    }
    gates
}

/// Rounds of each measurement, or the reason why it was not measured.
fn rounds(results: &Results) -> Value {
    let of = |rounds: &Vec<Value>| match rounds.iter().find_map(|round| round["failed"].as_str()) {
        Some(failed) => failed.into(),
        None => rounds.len().into(),
    };
    Value::Object(results.iter().map(|(name, rounds)| (name.clone(), of(rounds))).collect())
}

fn query(line: &mut Line, results: &Results) -> Vec<Value> {
    let limits = [("1k", 0.5, 10.0), ("10k", 3.0, 30.0), ("430k", 20.0, 110.0)];
    let mut gates = Vec::new();
    for (size, warm, after) in limits.into_iter().filter(|(size, ..)| results.contains_key(*size)) {
        line.add(size, first(results, size));
        gates.push(gate(format!("{size}: warm, ms"), middle(results, size, "warm_ms"), AtMost(warm)));
        let found = middle(results, size, "after_rotation_ms");
        gates.push(gate(format!("{size}: after a rotation, ms"), found, AtMost(after)));
    }
    gates
}

fn rotate(line: &mut Line, results: &Results) -> Vec<Value> {
    whole(line, results);
    let found = |figure| middle(results, "rotate", figure);
    vec![
        gate("rotations", found("rotations"), AtLeast(1_000.0)),
        gate("p99.9 of a call, ns", found("p999_ns"), AtMost(1_000.0)),
        gate("longest call above the empty loop's, µs", found("longest_above_empty_us"), AtMost(100.0)),
    ]
}

/// Costs of each layer above a layer that does nothing.
fn layer(line: &mut Line, results: &Results) -> Vec<Value> {
    let above = |who, figure| Some(middle(results, who, figure)? - middle(results, "nothing", figure)?);
    let (own, peer) = (above("sentinel", "ns"), above("axum-prometheus", "ns"));
    let allocations = above("sentinel", "allocations");
    let ratio = own.zip(peer).map(|(own, peer)| peer / own);
    line.add_number("nothing_ns", middle(results, "nothing", "ns"));
    line.add_number("sentinel_ns", own);
    line.add("peers", json!({ "axum-prometheus": peer.map(rounded) }));
    line.add_number("ratio", ratio);
    line.add_number("sentinel_allocations", allocations);
    line.add_number("axum_prometheus_allocations", above("axum-prometheus", "allocations"));
    line.add("rounds", rounds(results));
    vec![
        gate("ns above a layer that does nothing", own, AtMost(400.0)),
        gate("allocations above it", allocations, AtMost(1.0)),
        gate("times less than axum-prometheus", ratio, AtLeast(4.0)),
    ]
}

fn view(line: &mut Line, results: &Results) -> Vec<Value> {
    whole(line, results);
    let found = |figure| middle(results, "view", figure);
    vec![
        gate("/report of 10k tenants, warm, ms", found("report_ms"), AtMost(3.0)),
        gate("50 pollers slow record by, %", found("pollers_percent"), AtMost(3.0)),
    ]
}

fn share(line: &mut Line, results: &Results) -> Vec<Value> {
    whole(line, results);
    let found = |figure| middle(results, "share", figure);
    vec![
        gate("publishing 512 tenants, ms", found("publish_ms"), AtMost(1.0)),
        gate("answer for 16 workers of 512 tenants, ms", found("answer_ms"), AtMost(10.0)),
        gate("a busy exporter slows record by, %", found("exporter_percent"), AtMost(3.0)),
    ]
}

fn uptime(line: &mut Line, results: &Results) -> Vec<Value> {
    whole(line, results);
    let found = |figure| middle(results, "uptime", figure);
    vec![
        gate("HTTP checks a second on one core", found("checks_per_second"), AtLeast(1_500.0)),
        gate("10,000 checks, 1,000 hang, sinks dead: lag p99, ms", found("lag_p99_ms"), AtMost(1_000.0)),
        gate("their resident memory, 1,000 with 90 days, MB", found("rss_mb"), AtMost(150.0)),
    ]
}

/// All that the one process said.
fn whole(line: &mut Line, results: &Results) -> Vec<Value> {
    for name in results.keys() {
        line.add("result", first(results, name));
    }
    Vec::new()
}

fn memory(line: &mut Line, results: &Results) -> Vec<Value> {
    let mut gates = Vec::new();
    for (size, limit) in [("1k", 8.0), ("10k", 24.0), ("100k", 50.0)] {
        if results.contains_key(size) {
            line.add(size, first(results, size));
            gates.push(gate(format!("{size} tenants: peak, MB"), middle(results, size, "peak_mb"), AtMost(limit)));
        }
    }
    for name in ["idle", "known", "flood"] {
        line.add(name, first(results, name));
    }
    let found = |name, figure| middle(results, name, figure);
    gates.push(gate("idle, MB", found("idle", "built_mb"), AtMost(1.0)));
    gates.push(gate("allocations of records, known tenants", found("known", "allocations"), AtMost(0.0)));
    gates.push(gate("flood: peak by the budget", found("flood", "peak_of_budget"), AtMost(1.0)));
    gates.push(gate("flood: planted tenants named, of 50", found("flood", "named"), AtLeast(50.0)));
    gates
}

/// Result of the first round, its numbers rounded.
fn first(results: &Results, name: &str) -> Value {
    results.get(name).and_then(|rounds| rounds.first()).map_or(Value::Null, |value| tidy(value.clone()))
}

fn tidy(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => rounded(number.as_f64().unwrap_or_default()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(name, value)| (name, tidy(value))).collect()),
        other => other,
    }
}

/// One digit behind the point, three below ten.
fn rounded(value: f64) -> Value {
    let scale = if value.abs() < 10.0 { 1_000.0 } else { 10.0 };
    ((value * scale).round() / scale).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(of: &[(&str, &[f64])]) -> Results {
        of.iter().map(|(name, ns)| ((*name).into(), ns.iter().map(|ns| json!({ "ns": ns })).collect())).collect()
    }

    fn made(case: Case, results: &Results) -> Value {
        serde_json::to_value(line(case, results, None)).unwrap()
    }

    #[test]
    fn a_line_of_record_is_as_it_was_asked_for() {
        let results = results(&[("sentinel", &[40.0, 38.1, 20.0]), ("prometheus", &[402.0]), ("metrics", &[900.0])]);
        let text = serde_json::to_string(&line(Case::Zipf100k, &results, None)).unwrap();
        let start = r#"{"bench":"record","case":"zipf-100k","sentinel_ns":38.1,"peers":{"metrics":900.0,"prometheus":402.0},"ratio":10.6"#;
        assert!(text.starts_with(start), "{text}");
        let made = made(Case::Zipf100k, &results);
        assert_eq!(made["gates"][0]["met"], true);
        assert_eq!(made["rounds"]["sentinel"], 3);
    }

    #[test]
    fn the_fastest_peer_counts_and_the_afternoon_stands_beside() {
        let fast = results(&[("sentinel", &[100.0]), ("prometheus", &[500.0]), ("opentelemetry", &[399.0])]);
        let made = made(Case::Zipf1k, &fast);
        assert_eq!((made["ratio"].as_f64(), &made["gates"][0]["met"]), (Some(3.99), &json!(false)));
        let with = results(&[("sentinel", &[100.0]), ("prometheus", &[500.0]), ("afternoon", &[150.0])]);
        let line = serde_json::to_value(line(Case::Zipf1k, &with, Some(321.0))).unwrap();
        assert_eq!((line["ratio"].as_f64(), line["afternoon_ratio"].as_f64()), (Some(5.0), Some(1.5)));
        assert_eq!(line["instructions"], 321.0);
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let line = made(Case::Distinct, &results(&[("base", &[10.0])]));
        assert_eq!((&line["ratio"], &line["gates"][0]["met"]), (&Value::Null, &json!(false)));
        let at_the_limit = made(Case::Distinct, &results(&[("sentinel", &[20.0]), ("base", &[10.0])]));
        assert_eq!(at_the_limit["gates"][0]["met"], true);
        let above = made(Case::Threads16, &results(&[("sentinel", &[14.0]), ("base", &[10.0])]));
        assert_eq!(above["gates"][0]["met"], false);
    }

    #[test]
    fn a_clock_read_is_the_difference() {
        let line = made(Case::Zipf1k, &results(&[("still", &[30.0]), ("system", &[37.5])]));
        assert_eq!((line["clock_ns"].as_f64(), &line["gates"][1]["met"]), (Some(7.5), &json!(true)));
    }

    #[test]
    fn who_failed_says_why() {
        let mut results = results(&[("sentinel", &[1.0])]);
        results.insert("metrics".into(), vec![json!({ "failed": "out of memory" })]);
        assert_eq!(made(Case::Zipf1m, &results)["rounds"]["metrics"], "out of memory");
    }
}
