//! Writes the first seeds of each target's corpus: `cargo run --example seeds` in `fuzz/`.

use sentinel_core::alert::{Accused, Alerts, Facts, Grouping, Notice, Row, Rules, State, TenantErrors};
use sentinel_core::uptime::{Cause, Check, CheckResult, Checks, Target, Uptime};
use sentinel_core::{Block, Clock, Event, Kind as Verdict, Latency, Sentinel};
use sentinel_exporter::rollup::{Kind, Name, frame};
use sentinel_fuzz::{SLOT_MS, START};
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// Blocks of a small fleet: tenants, endpoints, errors, latencies of many sizes, a tail.
fn blocks(places: usize, tenants: usize) -> Vec<Block> {
    let sentinel = Sentinel::builder().stripes(1).places(places).clock(Clock::manual(START)).build().expect("valid");
    for slot in 0..2 {
        for i in 0..3 * tenants {
            let tenant = format!("tenant-{}", i % tenants).repeat(1 + i % 7);
            let endpoint = format!("/v{}/process", i % 4);
            let latency = if i % 5 == 0 { Latency::UNKNOWN } else { Latency::from_millis((1 << (i % 20)) as f64) };
            let status = [200, 200, 500, 499, 404][i % 5];
            sentinel.record(Event { tenant: tenant.as_bytes(), endpoint: &endpoint, status, latency, at: None });
        }
        sentinel.tick(START + (slot + 1) * SLOT_MS);
    }
    sentinel.blocks()
}

const LINES: [&str; 6] = [
    r#"{"tenant_id":"acme","endpoint":"/v1/process","status_code":503,"latency_ms":41.7,"timestamp":1700000000000}"#,
    r#"{"tenant_id":42,"endpoint":null,"status_code":2e2,"latency_ms":7,"timestamp":1700000000000.0,"more":[1,{"a":null}]}"#,
    r#"{"tenant_id":"café \u0041\n","endpoint":"/\u00e9","status_code":99999,"latency_ms":-1,"timestamp":0}"#,
    "[\"acme\",\"/\",200,1.0,1700000000000]\r\n\r\n \t\n{\"timestamp\":253402300799999,\"status_code\":200}\n{",
    "\u{feff}{\"status_code\":200,\"timestamp\":1e400}\nnot json\n{\"tenant_id\":\"a\",\"tenant_id\":\"b\"}",
    "{\"tenant_id\":\"\x01\x01\x01\"}\n\x01\x01x\n\x01\x01\n{}",
];

/// A life in bytes: requests, ticks, a report, the other's blocks, an invented and an extreme one.
const LIVES: [&[u8]; 4] = [
    &[0, 0, 0, 7, 0, 9, 0, 64, 12, 0, 0, 6, 0, 0, 9, 0, 4, 41, 6, 1, 30, 7, 1, 30, 0, 0],
    &[1, 2, 1, 7, 0, 255, 2, 65, 30, 9, 80, 9, 0, 0, 6, 0, 0, 9, 0, 4, 255, 255, 7, 4, 0, 2, 1],
    &[2, 10, 33, 40, 0, 1, 1, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 1, 1, b'a', 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 9],
    &[3, 11, 1, 9, 1, 2, 3, 53, 52, 51, 9, 9, 9, 4, b'a', b'c', b'm', b'e', 53, 52, 51, 1, 1, 1, 9, 9, 6, 2, 0, 5, 0],
];

/// Requests in bytes: a method, then a beginning and a text of the path and of the query, then the authorization.
const REQUESTS: [&[u8]; 12] = [
    b"\0\0\0\0\0\0",
    b"\0\0\x02\0\x05\0correct-horse-battery",
    b"\0\0\x02\0\x03\x0260Bearer correct-horse-battery",
    b"\0\0\x02\0\x02\x0f1&by=error_rate&correct-horse-batterx",
    b"\0\x01\x03\0\0\0",
    b"\0\0\x04\0\0\0x",
    b"\0\0\x06\x09%00%2f%zz\0\0",
    b"\0\0\x07\0\x03\x022m",
    b"\0\0\x09\x03%5C\x06\x03%ff",
    b"\0\0\x0a\0\0\0correct-horse-battery",
    b"\0\0\x0b\0\x04\x091&limit=3correct-horse-battery",
    b"\xff\x03\x03PUT\x01\x03etc\x07\x04a=%0",
];

/// Files of a rollup directory: the length of a name, the name, what is in it.
fn files() -> Vec<Vec<u8>> {
    let file = |name: Name, bytes: &[u8]| {
        let name = name.to_string();
        [&[name.len() as u8], name.as_bytes(), bytes].concat()
    };
    let block = blocks(8, 5).remove(0);
    let (source, from_ms, to_ms) = (block.source(), block.from_ms(), block.to_ms());
    let bytes = block.encode();
    vec![
        file(Name::Block { source, from_ms, to_ms }, &bytes),
        file(Name::Block { source, from_ms, to_ms }, &bytes[..bytes.len() / 2]),
        file(Name::Block { source: 1, from_ms: -1, to_ms: 1 }, &bytes),
        file(Name::Live { source }, &frame(Kind::Live, b"in flight")),
        file(Name::Baseline, &frame(Kind::Baseline, b"")),
        file(Name::Temporary { source, number: 1 }, b""),
        file(Name::Lock { source }, b""),
    ]
}

/// Bytes that alerts write: states, notices and alerts of a tenant that fails, of everyone, and of what is over.
fn alerts() -> Vec<Vec<u8>> {
    let grouping = Grouping { first: Duration::ZERO, then: Duration::ZERO, ..Grouping::default() };
    let rules = Rules { grouping, tenant_errors: Some(TenantErrors::default()), ..Rules::default() };
    let alerts = Alerts::new("shop", rules).expect("valid");
    let (mut state, mut out) = (State::default(), vec![State::default().encode(), Notice::test("shop", START).encode()]);
    for second in 0..300 {
        let now = START + second * 1_000;
        let mut facts = Facts::new(now, 600_000);
        if second < 60 {
            facts.row(b"ac\nme", Row { requests: 900, errors: 300, ..Row::default() });
            let kind = if second < 30 { Verdict::OneTenant } else { Verdict::Everyone };
            facts = facts.with_verdict(Accused { kind, tenants: vec![b"acme".to_vec()], ..Accused::default() });
        }
        let (next, outcome) = alerts.step(state, now, Some(&facts));
        if let Some(notice) = outcome.notice {
            out.extend([next.encode(), notice.encode()]);
        }
        out.extend(outcome.transitions.iter().filter_map(|transition| Some(transition.alert.as_ref()?.encode())));
        state = next;
    }
    out
}

/// Bytes that uptime checks write, without the heads that the target puts before it: a check with a past, one that flaps, an outage.
fn uptime() -> Vec<Vec<u8>> {
    let check = |name: &str| Check::new(name, Target::new(&format!("https://{name}.example/")).expect("a URL"));
    let mut uptime = Uptime::default();
    let _ = uptime.configure(Checks::new(vec![check("a"), check("b"), check("c")]).expect("three checks"), START);
    let mut out = vec![CheckResult::down(START, 60_000, Cause::Status).to_bytes().to_vec()];
    for minute in 0..3_000 {
        let now = START + minute * 60_000;
        for (name, fails) in [("a", minute % 7 == 0), ("b", minute / 5 % 2 == 0), ("c", minute > 2_900)] {
            let down = fails || minute > 2_950;
            let result = if down { CheckResult::down(now, 60_000, Cause::Timeout) } else { CheckResult::up(now, 60_000) };
            let _ = uptime.record(name, now + 90, CheckResult { latency_us: Some(7_000), ..result }, Some(now + 1_000_000));
        }
        if [3, 2_000, 2_999].contains(&minute) {
            out.extend(["a", "b", "c"].iter().filter_map(|name| uptime.encode(name)));
            out.push(uptime.encode_shared());
        }
    }
    // The head is five bytes, the checksum four.
    out.iter().enumerate().map(|(i, bytes)| if i == 0 { bytes.clone() } else { bytes[5..bytes.len() - 4].to_vec() }).collect()
}

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let write = |target: &str, name: String, bytes: &[u8]| {
        fs::create_dir_all(corpus.join(target))?;
        fs::write(corpus.join(target).join(name), bytes)
    };
    for (i, (places, tenants)) in [(8, 1), (8, 5), (40, 30), (8, 400)].into_iter().enumerate() {
        for (slot, block) in blocks(places, tenants).iter().enumerate() {
            write("codec", format!("seed-{i}-{slot}"), &block.encode())?;
        }
    }
    write("codec", "seed-empty".into(), &[])?;
    for (i, bytes) in uptime().iter().enumerate() {
        write("uptime", format!("seed-{i}"), bytes)?;
    }
    for (i, bytes) in alerts().iter().enumerate() {
        write("alerts", format!("seed-{i}"), bytes)?;
    }
    for (i, file) in files().iter().enumerate() {
        write("rollup_file", format!("seed-{i}"), file)?;
    }
    for (i, request) in REQUESTS.into_iter().enumerate() {
        write("admin", format!("seed-{i}"), request)?;
    }
    for (i, life) in LIVES.into_iter().enumerate() {
        write("merge", format!("seed-{i}"), life)?;
    }
    for (i, line) in LINES.into_iter().enumerate() {
        let first = if line.contains('\x01') { 0xff } else { b'l' };
        write("replay_lines", format!("seed-{i}"), &[&[first], line.as_bytes()].concat())?;
    }
    Ok(())
}
