//! The tables for people, in Markdown: beside the peers, and every target.

use crate::lines::PEERS;
use serde_json::Value;
use std::fmt::Write as _;

/// Both tables and what they were measured on.
pub(crate) fn render(lines: &[Value]) -> String {
    let mut out = String::new();
    let beside = beside(lines);
    if beside.len() > 1 {
        let _ = writeln!(out, "Nanoseconds of CPU a request, deferred work included, on {}:\n", machine());
        out += &markdown(&beside);
        out += "\n";
    }
    let targets = targets(lines);
    if targets.len() > 1 {
        out += &markdown(&targets);
    }
    out
}

/// Sentinel and the others, a row a case.
fn beside(lines: &[Value]) -> Vec<Vec<String>> {
    let mut head = vec!["case".to_owned(), "Sentinel".into(), "ticked".into()];
    head.extend(PEERS.map(str::to_owned));
    head.extend(["ratio".to_owned(), "afternoon".into(), "ratio".into()]);
    let mut rows = vec![head];
    for line in lines.iter().filter(|line| line["bench"] == "record") {
        let mut row = vec![line["case"].as_str().unwrap_or_default().to_owned()];
        row.extend([&line["sentinel_ns"], &line["ticked_ns"]].map(number));
        row.extend(PEERS.map(|peer| number(&line["peers"][peer])));
        let is_beside = line["peers"].as_object().is_some_and(|peers| !peers.is_empty()) && line["base_ns"].is_null();
        row.push(if is_beside { number(&line["ratio"]) } else { String::new() });
        row.extend([&line["afternoon_ns"], &line["afternoon_ratio"]].map(number));
        rows.push(row);
    }
    rows
}

fn targets(lines: &[Value]) -> Vec<Vec<String>> {
    let mut rows = vec![["case", "what", "measured", "wanted", ""].map(str::to_owned).to_vec()];
    for line in lines {
        let case = line["case"].as_str().unwrap_or_default();
        for gate in line["gates"].as_array().into_iter().flatten() {
            let text = |name: &str| gate[name].as_str().unwrap_or_default().to_owned();
            let met = if gate["met"] == true { "PASS" } else { "MISS" };
            rows.push(vec![case.to_owned(), text("what"), number(&gate["measured"]), text("wanted"), met.into()]);
        }
    }
    rows
}

/// Nothing where there is nothing.
fn number(value: &Value) -> String {
    value.as_f64().map(|value| value.to_string()).unwrap_or_default()
}

/// Columns are padded: the table is read in a terminal as well. The first two columns are text at most.
fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let wide = |row: &[String], column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> = (0..columns).map(|c| rows.iter().map(|row| wide(row, c)).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(out, "| {cell:width$} ");
        }
        out += "|\n";
        if i == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
            let _ = writeln!(out, "|{}|", rules.join("|"));
        }
    }
    out
}

/// The processor and the memory, as Linux tells.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let model = after(&processors, "model name").unwrap_or_else(|| "an unknown processor".into());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kb = after(&memory, "MemTotal").and_then(|kb| kb.trim_end_matches(" kB").parse::<f64>().ok());
    let memory = kb.map(|kb| format!(", {:.0} GiB", kb / 1_048_576.0)).unwrap_or_default();
    format!("{cores} cores of {model}{memory}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_of_two_lines() {
        let lines = [
            json!({
                "bench": "record", "case": "zipf-1k", "sentinel_ns": 38.1, "peers": {"prometheus": 402.0}, "ratio": 10.6,
                "gates": [{"what": "ratio to the fastest peer", "measured": 10.6, "wanted": "≥ 4", "met": true}]
            }),
            json!({
                "bench": "query", "case": "query",
                "gates": [{"what": "1k: warm, ms", "measured": null, "wanted": "≤ 0.5", "met": false}]
            }),
        ];
        let text = render(&lines);
        let cells = |start: &str| -> Vec<String> {
            let line = text.lines().find(|line| line.starts_with(start)).unwrap();
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        assert_eq!(cells("| zipf-1k | 38.1"), ["zipf-1k", "38.1", "", "402", "", "", "", "10.6", "", ""]);
        assert_eq!(cells("| zipf-1k | ratio"), ["zipf-1k", "ratio to the fastest peer", "10.6", "≥ 4", "PASS"]);
        assert_eq!(cells("| query "), ["query", "1k: warm, ms", "", "≤ 0.5", "MISS"]);
    }
}
