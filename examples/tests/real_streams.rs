//! Real request streams against their exact answers, through the replay. Both lie beside the project in `shared/data`
//! and are not part of it: where they are absent these tests say so and pass.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;

use common::run;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;

/// The flag, its key in the expected answers, and the lowest status that is an error.
const CLASSES: [(&str, &str, u16); 2] = [("5xx", "5xx", 500), ("4xx,5xx", "4xx_5xx", 400)];
const NAMED_WINDOWS: [&str; 4] = ["last", "busiest", "worst_5xx", "worst_4xx_5xx"];

#[derive(Deserialize)]
struct Event {
    tenant_id: String,
    endpoint: String,
    status_code: u16,
    timestamp: i64,
}

struct Stream {
    path: PathBuf,
    events: Vec<Event>,
    expected: Value,
}

impl Stream {
    fn open(name: &str) -> Option<Self> {
        let data = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
        let path = data.join(format!("{name}.jsonl.gz"));
        let answers = data.join(format!("expected/{name}.json.gz"));
        if !path.exists() || !answers.exists() {
            // Past the capture of the test harness, which shows nothing of a test that passes.
            let skipped = format!("SKIPPED: {} is not there: the replay is NOT checked against it\n", path.display());
            io::stderr().write_all(skipped.as_bytes()).unwrap();
            return None;
        }
        let unpack = |path: &PathBuf| BufReader::new(GzDecoder::new(File::open(path).unwrap()));
        Some(Self {
            events: unpack(&path).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect(),
            expected: serde_json::from_reader(unpack(&answers)).unwrap(),
            path,
        })
    }

    fn replay(&self, at: i64, flags: &[&str]) -> Value {
        let at = at.to_string();
        let mut args = vec!["--json", "--limit", "1000", "--at", &at];
        args.extend(flags);
        args.push(self.path.to_str().unwrap());
        let ran = run(&args, b"");
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{args:?}");
        ran.report()
    }

    /// One window of the expected answers, with both classes of errors.
    fn check(&self, what: &str, window: &Value, flags: &[&str]) {
        for (errors, key, lowest) in CLASSES {
            let to = window["to"].as_i64().unwrap();
            let report = self.replay(to, &[&["--errors", errors], flags].concat());
            let about = format!("{what} to {to}, {errors}");
            assert_eq!(report["as_of"], to, "{about}");
            assert_eq!(report["mode"], "exact", "{about}");
            let covered = report["to_ms"].as_i64().unwrap() - report["from_ms"].as_i64().unwrap();
            assert_eq!(report["window_ms"], covered, "{about}");
            self.compare(&about, window, &window[key], lowest, &report);
        }
    }

    fn compare(&self, about: &str, window: &Value, want: &Value, lowest: u16, report: &Value) {
        let totals = &report["totals"];
        assert_eq!(totals["requests"], window["requests"], "{about}");
        assert_eq!(totals["tenants"], window["tenants"], "{about}");
        assert_eq!(totals["errors"], want["errors"], "{about}");
        assert_close(&totals["error_rate"], &want["error_rate"], &format!("{about}: error_rate"));
        percentiles(totals, window, about);

        let failures = self.failures(window, lowest);
        let wanted = want["tenants"].as_array().unwrap();
        let rows = report["tenants"].as_array().unwrap();
        assert_eq!(rows.len(), wanted.len(), "{about}");
        for want in wanted {
            let tenant = want["tenant_id"].as_str().unwrap();
            let about = format!("{about}: {tenant}");
            let row = rows.iter().find(|row| row["tenant_id"] == tenant);
            let row = row.unwrap_or_else(|| panic!("{about} has no row"));
            assert_eq!(row["requests"], want["requests"], "{about}");
            assert_eq!(row["errors"], want["errors"], "{about}");
            assert_close(&row["error_rate"], &want["error_rate"], &format!("{about}: error_rate"));
            if totals["errors"] != 0 {
                assert_close(&row["error_share"], &want["error_share"], &format!("{about}: error_share"));
            }
            percentiles(row, want, &about);
            top_endpoint(row, want, tenant, &failures, &about);
        }
    }

    /// Errors in a window by tenant and endpoint: the expected answers name only one of several that tie.
    fn failures(&self, window: &Value, lowest: u16) -> HashMap<(&str, &str), u64> {
        let (from, to) = (window["from"].as_i64().unwrap(), window["to"].as_i64().unwrap());
        let mut failures = HashMap::new();
        for event in &self.events {
            if from < event.timestamp && event.timestamp <= to && event.status_code >= lowest {
                *failures.entry((event.tenant_id.as_str(), event.endpoint.as_str())).or_default() += 1;
            }
        }
        failures
    }
}

fn assert_close(got: &Value, want: &Value, about: &str) {
    let (got, want) = (got.as_f64(), want.as_f64().unwrap());
    // The expected ones are rounded to six digits.
    assert!(got.is_some_and(|got| (got - want).abs() < 1e-6), "{about}: {got:?}, not {want}");
}

/// Within 3.2 %, and a microsecond, which is as fine as it gets.
fn percentiles(got: &Value, want: &Value, about: &str) {
    for p in ["p50", "p95", "p99"] {
        let want = want[p].as_f64();
        let got = got[format!("{p}_ms")].as_f64();
        let near = match (got, want) {
            (Some(got), Some(want)) => (got - want).abs() <= 0.032 * want + 0.001,
            (None, None) => true,
            _ => false,
        };
        assert!(near, "{about}: {p} is {got:?}, not {want:?}");
    }
}

fn top_endpoint(row: &Value, want: &Value, tenant: &str, failures: &HashMap<(&str, &str), u64>, about: &str) {
    let most = want["top_error_endpoint_errors"].as_u64().unwrap();
    let top = &row["top_endpoint"];
    if most == 0 {
        assert!(top.is_null() || top["errors"] == 0, "{about}: {top}");
        return;
    }
    let endpoint = top["endpoint"].as_str().unwrap_or_else(|| panic!("{about}: {top}"));
    let errors = top["errors"].as_u64().unwrap();
    let there = failures.get(&(tenant, endpoint)).copied().unwrap_or(0);
    let several = failures.keys().filter(|(who, _)| *who == tenant).count();
    if top["exact"] == true {
        assert_eq!((errors, there), (most, most), "{about}: {top}, not {want}");
        let tied = failures.iter().filter(|(key, n)| key.0 == tenant && **n == most);
        assert!(tied.count() > 1 || endpoint == want["top_error_endpoint"], "{about}: {top}");
    } else {
        assert!(several > 3, "{about}: {several} failing endpoints can be counted exactly");
        assert!(errors <= there, "{about}: {top}, truly {there}");
    }
}

fn named_windows(name: &str) {
    let Some(stream) = Stream::open(name) else {
        return;
    };
    let mut checked = 0;
    for what in NAMED_WINDOWS {
        if let Some(window) = stream.expected.get(what) {
            stream.check(&format!("{name} {what}"), window, &[]);
            checked += 1;
        }
    }
    assert!(checked >= 3, "{name} has {checked} windows");
}

/// The whole stream in one window that is longer.
fn full_window(name: &str, flags: &[&str]) {
    if let Some(stream) = Stream::open(name) {
        stream.check(&format!("{name} full"), &stream.expected["full"], flags);
    }
}

#[test]
fn trainticket_windows() {
    named_windows("trainticket_0129");
}

#[test]
fn trainticket_slice_windows() {
    named_windows("trainticket_0129_slice");
}

#[test]
fn openstack_windows() {
    named_windows("openstack_2k");
}

#[test]
fn cloudtrail_windows() {
    named_windows("cloudtrail_attack");
}

#[test]
fn full_streams() {
    full_window("trainticket_0129_slice", &["--window", "30m"]);
    full_window("openstack_2k", &["--window", "30m"]);
    full_window("cloudtrail_attack", &["--window", "60m"]);
}

#[test]
fn trainticket_in_one_window_of_eight_hours() {
    full_window("trainticket_0129", &["--window", "8h", "--slot", "60s"]);
}

#[test]
fn three_minutes_after_each_injected_fault() {
    let Some(stream) = Stream::open("trainticket_0129") else {
        return;
    };
    let faults = stream.expected["injected_faults"].as_array().unwrap();
    assert_eq!(faults.len(), 28);
    for fault in faults {
        stream.check(&format!("fault at {}", fault["at"]), &fault["after_3m"], &["--window", "3m"]);
    }
}

/// (errors, requests) of a tenant.
fn counts(report: &Value, tenant: &str) -> (u64, u64) {
    let row = row(report, tenant);
    (row["errors"].as_u64().unwrap(), row["requests"].as_u64().unwrap())
}

fn row<'a>(report: &'a Value, tenant: &str) -> &'a Value {
    let rows = report["tenants"].as_array().unwrap();
    let row = rows.iter().find(|row| row["tenant_id"] == tenant);
    row.unwrap_or_else(|| panic!("no {tenant} in {report}"))
}

#[test]
fn facts_of_trainticket() {
    const BASIC: &str = "/api/v1/basicservice/basic/travels";
    for name in ["trainticket_0129", "trainticket_0129_slice"] {
        let Some(stream) = Stream::open(name) else {
            return;
        };
        let worst = stream.replay(1_674_984_163_617, &["--errors", "4xx,5xx"]);
        assert_eq!((&worst["totals"]["errors"], &worst["totals"]["requests"]), (&183.into(), &2_380.into()));
        assert_eq!(counts(&worst, "ts-basic-service"), (122, 160));
        let basic = row(&worst, "ts-basic-service");
        assert!((basic["error_share"].as_f64().unwrap() - 0.667).abs() < 0.0005, "{basic}");
        assert_eq!(basic["top_endpoint"]["endpoint"], BASIC);
        assert_eq!(basic["top_endpoint"]["errors"], 122);
        // First by errors and by what is new of them.
        assert_eq!(worst["tenants"][0]["tenant_id"], "ts-basic-service");

        let server = stream.replay(1_674_984_925_435, &[]);
        assert_eq!(server["totals"]["errors"], 104);
        assert_eq!(counts(&server, "ts-basic-service"), (29, 228));
    }
    let Some(stream) = Stream::open("trainticket_0129") else {
        return;
    };
    let after = |at: i64| stream.replay(at + 180_000, &["--window", "3m", "--errors", "4xx,5xx"]);
    assert_eq!(counts(&after(1_674_982_326_000), "ts-contacts-service"), (14, 14));
    assert_eq!(counts(&after(1_674_984_099_000), "ts-basic-service"), (52, 94));
    let tied = after(1_674_986_284_000);
    assert_eq!(counts(&tied, "ts-verification-code-service"), (12, 12));
    assert_eq!(counts(&tied, "ts-execute-service"), (12, 15));
}

#[test]
fn facts_of_openstack() {
    let Some(stream) = Stream::open("openstack_2k") else {
        return;
    };
    let end = stream.expected["full"]["to"].as_i64().unwrap();
    let server = stream.replay(end, &["--window", "30m"]);
    assert_eq!(server["totals"]["errors"], 0);
    assert_eq!(server["verdict"]["kind"], "quiet");
    for (p, want) in [("p50_ms", 259.165), ("p95_ms", 385.252), ("p99_ms", 504.927)] {
        let got = server["totals"][p].as_f64().unwrap();
        assert!((got / want - 1.0).abs() <= 0.032, "{p} {got}");
    }
    let client = stream.replay(end, &["--window", "30m", "--errors", "4xx,5xx"]);
    assert_eq!(client["totals"]["errors"], 41);
    let (errors, requests) = counts(&client, "e9746973ac574c6b8a9e8857f56a7608");
    assert_eq!(errors, 21);
    let all = client["totals"]["requests"].as_f64().unwrap();
    assert!((requests as f64 / all - 0.046).abs() < 0.0005);
}

#[test]
fn facts_of_cloudtrail() {
    const HUMAN: &str = "user/bert-jan";
    const ROLES: [&str; 2] =
        ["assumed-role/stratus-red-team-ec2-get-password-data-role", "assumed-role/stratus-red-team-get-usr-data-role"];
    let Some(stream) = Stream::open("cloudtrail_attack") else {
        return;
    };
    let end = stream.expected["full"]["to"].as_i64().unwrap();
    let flags = ["--window", "60m", "--by", "error_rate", "--errors", "4xx,5xx"];
    let report = stream.replay(end, &flags);
    assert_eq!(report["by"], "error_rate");
    assert_eq!(counts(&report, HUMAN), (239, 2_641));
    assert_eq!(counts(&report, ROLES[0]), (29, 29));
    assert_eq!(counts(&report, ROLES[1]), (15, 15));
    assert!((row(&report, HUMAN)["error_share"].as_f64().unwrap() - 0.797).abs() < 0.0005);
    let rows = report["tenants"].as_array().unwrap();
    let rank = |tenant: &str| rows.iter().position(|row| row["tenant_id"] == tenant).unwrap();
    assert_eq!((rank(ROLES[0]), rank(ROLES[1])), (0, 1));
    assert!(rank(HUMAN) > 1);
}
