//! The replay as a program: what it does with bad input, wrong flags, big input, and at which moments it looks.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Ran, command, run};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::NamedTempFile;

/// A run that takes so long goes through every slot of decades.
const NO_END: Duration = Duration::from_mins(1);
/// 2023-11-14T22:13:20Z.
const START: i64 = 1_700_000_000_000;

fn line(tenant: &str, status: u16, timestamp: i64) -> String {
    format!(
        r#"{{"tenant_id":"{tenant}","endpoint":"GET /v1/items/{{id}}","status_code":{status},"latency_ms":12.5,"timestamp":{timestamp}}}"#
    )
}

/// So many good lines, a tenth of a second apart.
fn good(count: usize) -> Vec<String> {
    (0..count).map(|i| line("acme", 200, START + 100 * i as i64)).collect()
}

fn text(lines: &[String]) -> Vec<u8> {
    let mut text = lines.join("\n").into_bytes();
    text.push(b'\n');
    text
}

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file.flush().unwrap();
    file
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes with nothing to compress, the same ones each time.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

fn requests(report: &Value) -> u64 {
    report["totals"]["requests"].as_u64().unwrap()
}

fn row<'a>(report: &'a Value, tenant: &str) -> Option<&'a Value> {
    report["tenants"].as_array().unwrap().iter().find(|row| row["tenant_id"] == tenant)
}

/// The lines on standard error that name a malformed line, as (line number, reason).
fn named(ran: &Ran, input: &str) -> Vec<(usize, String)> {
    let head = format!("replay: {input}:");
    ran.stderr
        .lines()
        .filter_map(|said| said.strip_prefix(&head)?.split_once(": "))
        .map(|(number, reason)| (number.parse().unwrap(), reason.to_owned()))
        .collect()
}

#[test]
fn plain_and_gzip_from_a_file_and_from_stdin_say_the_same() {
    let plain = text(&good(50));
    let packed = gzip(&plain);
    let (plain_file, packed_file) = (file(&plain), file(&packed));
    let mut two_members = gzip(&plain[..plain.len() / 2]);
    two_members.extend(gzip(&plain[plain.len() / 2..]));
    let want = run(&["--json", name(plain_file.path())], b"");
    assert_eq!(want.code, Some(0), "{want:?}");
    assert_eq!(want.stderr, "");
    assert_eq!(requests(&want.report()), 50);
    for ran in [
        run(&["--json", name(packed_file.path())], b""),
        run(&["--json", "-"], &plain),
        run(&["--json", "-"], &packed),
        run(&["--json", "-"], &two_members),
    ] {
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        assert_eq!(ran.stdout, want.stdout);
    }
}

/// Lines that are none, and what is said of them.
fn malformed() -> Vec<(Vec<u8>, &'static str)> {
    let stamp = START;
    [
        ("nonsense".to_owned(), "not a JSON object"),
        (r#"["acme","/",200,1.0,1700000000000]"#.to_owned(), "not a JSON object"),
        ("null".to_owned(), "not a JSON object"),
        (r#"{"tenant_id":"acme","#.to_owned(), "EOF"),
        (format!("{} extra", line("acme", 200, stamp)), "trailing"),
        (line("acme", 200, stamp).replace("200", "\"200\""), "status_code is not a whole number"),
        (line("acme", 200, stamp).replace("200", "200.5"), "status_code is not a whole number"),
        (line("acme", 200, stamp).replace("200", "null"), "status_code is missing"),
        (line("acme", 200, stamp).replace("\"status_code\":200,", ""), "status_code is missing"),
        (line("acme", 200, stamp).replace("200", "[200]"), "invalid type: sequence"),
        (line("acme", 200, stamp).replace("12.5", "\"12.5\""), "latency_ms is not a number"),
        (line("acme", 200, stamp).replace("12.5", "NaN"), "expected value"),
        (line("acme", 200, stamp).replace("\"acme\"", "true"), "invalid type: boolean"),
        (line("acme", 200, stamp).replace("\"acme\"", "1.5"), "tenant_id is neither"),
        (line("acme", 200, stamp).replace("\"GET /v1/items/{id}\"", "7"), "endpoint is not a text"),
        (line("acme", 200, stamp).replace(",\"timestamp\":1700000000000", ""), "timestamp is missing"),
        (line("acme", 200, stamp).replace("1700000000000", "1700000000000.5"), "timestamp is not a whole number"),
        (line("acme", 200, stamp).replace("1700000000000", "\"2023-11-14\""), "timestamp is not a whole number"),
        (
            line("acme", 200, stamp).replace("1700000000000", "1700000000000000000"),
            "timestamp is not in Unix milliseconds",
        ),
        (line("acme", 200, stamp).replace("1700000000000", "-1"), "timestamp is not in Unix milliseconds"),
        ("x".repeat(65 * 1024), "longer than 64 KiB"),
        (line("acme", 200, stamp).replace("acme", &"x".repeat(64 * 1024)), "longer than 64 KiB"),
        ("{\0\"tenant_id\"}".to_owned(), "key must be a string"),
    ]
    .into_iter()
    .map(|(bad, reason)| (bad.into_bytes(), reason))
    .chain([
        (b"{\"tenant_id\":\"\xff\xfe\"}".to_vec(), "not UTF-8 at byte 15"),
        (noise(300).iter().map(|b| b | 0x80).collect(), "not UTF-8"),
    ])
    .collect()
}

#[test]
fn a_malformed_line_is_named_and_its_neighbours_are_kept() {
    let neighbours = good(20);
    for (bad, reason) in malformed() {
        let mut bytes = text(&neighbours[..7]);
        bytes.extend_from_slice(&bad);
        bytes.push(b'\n');
        bytes.extend(text(&neighbours[7..]));
        let input = file(&bytes);
        let ran = run(&["--json", name(input.path())], b"");
        let about = format!("{} gave {ran:?}", String::from_utf8_lossy(&bad));
        assert_eq!(ran.code, Some(0), "{about}");
        let report = ran.report();
        assert_eq!(requests(&report), 20, "{about}");
        assert_eq!(report["stats"]["offered"], 20, "{about}");
        let named = named(&ran, name(input.path()));
        assert_eq!(named.len(), 1, "{about}");
        assert_eq!(named[0].0, 8, "{about}");
        assert!(named[0].1.contains(reason), "{reason}: {about}");
        assert!(named[0].1.len() < 300, "{about}");
        let summary = format!("replay: 1 of 21 lines malformed, first at line 8: {}", named[0].1);
        assert_eq!(ran.stderr.lines().last(), Some(&*summary), "{about}");
    }
}

#[test]
fn what_looks_odd_but_is_meant_is_taken() {
    let odd = [
        line("acme", 200, START).replace("\"acme\"", "null"),
        line("", 200, START),
        line("acme", 200, START).replace("\"tenant_id\":\"acme\",", ""),
        line("acme", 200, START).replace("\"acme\"", "42"),
        line("acme", 200, START).replace("\"acme\"", "18446744073709551615"),
        line("acme", 200, START).replace("12.5", "null"),
        line("acme", 200, START).replace("\"latency_ms\":12.5,", ""),
        line("acme", 200, START).replace("12.5", "-3"),
        line("acme", 200, START).replace("\"endpoint\"", "\"more\":{\"deep\":[1,2]},\"endpoint\""),
        line("acme", 200, START).replace("1700000000000", "1.7e12"),
        line("acme", 200, START).replace("200", "200.0"),
        line("acme", 200, START).replace("acme", "\\u0061c\\u006de"),
        line("acme", 200, START).replace("200", "70000"),
        line("acme", 200, START).replace("200", "-1"),
        line("acme", 200, START).replace("200", "99999999999999999999999"),
        format!("  {}\t ", line("acme", 200, START)),
    ];
    let ran = run(&["--json", "-"], &text(&odd));
    let not_counted = "replay: 3 of 16 events not counted: a status outside 100 to 599\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), not_counted));
    let report = ran.report();
    assert_eq!(report["stats"]["offered"], 16);
    assert_eq!(report["stats"]["dropped"]["status"], 3);
    assert_eq!(report["stats"]["adjusted"]["latency"], 1);
    assert_eq!(requests(&report), 13);
    for (tenant, count) in [("unattributed", 3), ("42", 1), ("18446744073709551615", 1), ("acme", 8)] {
        let row = row(&report, tenant).unwrap_or_else(|| panic!("no {tenant} in {report}"));
        assert_eq!(row["requests"], count, "{tenant}");
    }
}

#[test]
fn what_is_not_counted_is_said() {
    // Newest first: what is more than a window older is late. Two have no status that HTTP knows.
    let hour = 3_600_000;
    let mut lines = vec![line("acme", 200, START + hour)];
    lines.extend((0..5).map(|i| line("acme", 200, START - i * 1_000)));
    lines.extend([line("acme", 42, START + hour), line("acme", 777, START + hour)]);
    let ran = run(&["--json", "-"], &text(&lines));
    assert_eq!((ran.code, requests(&ran.report())), (Some(0), 1));
    let said = "replay: 5 of 8 events not counted: older than the window when they came\n\
        replay: 2 of 8 events not counted: a status outside 100 to 599\n";
    assert_eq!(ran.stderr, said);
}

#[test]
fn ten_malformed_lines_are_named_and_the_rest_is_counted() {
    let mut lines = good(1);
    lines.extend((0..1_234).map(|i| format!("bad {i}")));
    lines.extend(good(1));
    let ran = run(&["--json", "-"], &text(&lines));
    assert_eq!(ran.code, Some(0));
    assert_eq!(requests(&ran.report()), 2);
    let numbers: Vec<usize> = named(&ran, "stdin").into_iter().map(|(n, _)| n).collect();
    assert_eq!(numbers, (2..12).collect::<Vec<_>>());
    assert_eq!(
        ran.stderr.lines().last(),
        Some("replay: 1,234 of 1,236 lines malformed, first at line 2: not a JSON object")
    );
    assert_eq!(ran.stderr.lines().count(), 11);
}

#[test]
fn line_ends_marks_and_blank_lines_do_not_matter() {
    let windows = good(9).join("\r\n");
    let marked = [b"\xef\xbb\xbf".to_vec(), text(&good(9))].concat();
    let blank = good(9).join("\n\n  \n\r\n");
    for input in [windows.as_bytes(), &marked, blank.as_bytes()] {
        let ran = run(&["--json", "-"], input);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        assert_eq!(requests(&ran.report()), 9);
    }
    // The numbers that are named count the blank lines: an editor does so too.
    let ran = run(&["--json", "-"], [blank.as_bytes(), b"\nbad\n"].concat().as_slice());
    assert_eq!(named(&ran, "stdin")[0].0, 34);
    // A mark is one only at the beginning.
    let ran = run(&["--json", "-"], &[text(&good(3)), marked].concat());
    assert_eq!(requests(&ran.report()), 11);
    assert_eq!(named(&ran, "stdin")[0].0, 4);
}

#[test]
fn a_last_line_without_line_feed_counts_when_it_is_whole() {
    let whole = good(5).join("\n").into_bytes();
    let ran = run(&["--json", "-"], &whole);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(requests(&ran.report()), 5);
    let ran = run(&["--json", "-"], &whole[..whole.len() - 20]);
    assert_eq!(ran.code, Some(0));
    assert_eq!(requests(&ran.report()), 4);
    assert_eq!(named(&ran, "stdin")[0].0, 5);
}

#[test]
fn input_without_an_event_is_an_error() {
    let empty = file(b"");
    let path = name(empty.path());
    let ran = run(&[path], b"");
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stdout, "");
    assert_eq!(ran.stderr, format!("replay: no events in {path}\n"));

    for nothing in [&b""[..], b"\n\n", &gzip(b"")] {
        let ran = run(&["-"], nothing);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
        assert_eq!(ran.stderr, "replay: no events in stdin\n");
    }

    let garbage: Vec<u8> = noise(200_000);
    let ran = run(&["--json", "-"], &garbage);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("replay: stdin:1: "), "{ran:?}");
    assert!(ran.stderr.contains("lines malformed, first at line 1"));
    assert!(ran.stderr.ends_with("replay: no events in stdin\n"));
}

#[test]
fn what_cannot_be_opened_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.jsonl");
    for path in [directory.path(), &missing] {
        let ran = run(&["--json", name(path)], b"");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
        let head = format!("replay: {}: ", path.display());
        assert!(ran.stderr.starts_with(&head), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    }
    assert!(run(&[name(directory.path())], b"").stderr.contains("is a directory"));
    let file = directory.path().join("not-utf8-inside");
    fs::write(&file, text(&good(1))).unwrap();
    assert_eq!(run(&[name(&file)], b"").code, Some(0));
}

#[test]
fn a_truncated_gzip_reports_what_came_before() {
    let lines: Vec<String> = (0..5_000).map(|i| line(&format!("t{}", i * 7_919 % 997), 200, START + i * 10)).collect();
    let packed = gzip(&text(&lines));
    let broken = file(&packed[..packed.len() * 6 / 10]);
    for args in [&["--json", name(broken.path())][..], &["--json", "--at", "1700000300000", name(broken.path())]] {
        let ran = run(args, b"");
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let report = ran.report();
        let read = requests(&report);
        assert!((1_000..4_999).contains(&read), "{read}");
        assert_eq!(report["stats"]["offered"], read);
        let said = format!("replay: {}:{}: ", broken.path().display(), read + 1);
        assert!(ran.stderr.starts_with(&said), "{said} is not in {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "the half line is no malformed one");
    }
    // Nothing but the header.
    let ran = run(&["--json", "-"], &packed[..10]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.starts_with("replay: stdin:1: "), "{ran:?}");
    // A checksum that does not fit.
    let mut spoiled = packed.clone();
    let at = spoiled.len() - 6;
    spoiled[at] ^= 0x55;
    let ran = run(&["--json", "-"], &spoiled);
    assert_eq!(ran.code, Some(1));
    assert_eq!(requests(&ran.report()), 5_000);
}

#[test]
fn wrong_flags_are_refused_with_their_value() {
    let input = file(&text(&good(3)));
    let path = name(input.path());
    for (args, said) in [
        (&["--every", "1500ms", path][..], "1500ms"),
        (&["--every", "0", path], "'0'"),
        (&["--every", "soon", path], "soon"),
        (&["--at", "noon", path], "noon"),
        (&["--at=-5", path], "-5"),
        (&["--at", "1700000000000000000", path], "1700000000000000000"),
        (&["--at", "1700000000000", "--every", "1s", path], "--every"),
        (&["--errors", "3xx", path], "3xx"),
        (&["--by", "beauty", path], "beauty"),
        (&["--window", "wide", path], "wide"),
        (&["--slot", "0ms", path], "slot"),
        (&["--window", "1000h", path], "window"),
        (&["--budget", "64Parsecs", path], "64Parsecs"),
        (&["--limit", "-1", path], "-1"),
        (&["--frobnicate", path], "--frobnicate"),
        (&[path, "other.jsonl"], "other.jsonl"),
        (&[], "FILE"),
    ] {
        let ran = run(args, b"");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(said), "{args:?}: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    }
    // A wrong flag is found before the input is.
    assert_eq!(run(&["--window", "1000h", "missing.jsonl"], b"").code, Some(2));
    let help = run(&["--help"], b"");
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("replay requests.jsonl.gz"), "{help:?}");
    assert!(help.stdout.contains("replay --every 1s --errors 4xx,5xx -"));
}

#[test]
fn a_report_has_the_agreed_keys() {
    let ran = run(&["--json", "-"], &text(&[line("acme", 500, START)]));
    let report = ran.report();
    for (at, keys) in [
        (
            "",
            "as_of from_ms to_ms window_ms baseline scope sources mode totals verdict latency_verdict by tenants tail stats",
        ),
        ("/totals", "requests errors error_rate aborted tenants p50_ms p95_ms p99_ms"),
        ("/verdict", "kind tenants text"),
        ("/latency_verdict", "kind tenants text"),
        (
            "/tenants/0",
            "tenant_id requests errors error_rate error_share excess_share bound culprit chronic p50_ms p95_ms p99_ms \
             latency_deviation load_share in_flight top_endpoint",
        ),
        ("/tenants/0/top_endpoint", "endpoint errors exact"),
        ("/tail", "requests errors"),
        ("/stats", "offered accepted dropped adjusted"),
        ("/stats/dropped", "status late"),
        ("/stats/adjusted", "latency future tenant_truncated"),
    ] {
        let object = report.pointer(at).and_then(Value::as_object);
        let object = object.unwrap_or_else(|| panic!("{at} is no object in {report}"));
        for key in keys.split_whitespace() {
            assert!(object.contains_key(key), "{at}/{key} is missing in {report}");
        }
    }
    assert_eq!(report["window_ms"], 600_000);
    assert_eq!(report["by"], "errors");
    assert_eq!(report["verdict"]["kind"], "quiet");
    assert_eq!(report["tenants"][0]["top_endpoint"]["endpoint"], "GET /v1/items/{id}");
}

#[test]
fn without_a_moment_the_end_is_reported() {
    let mut events = good(3);
    events.push(line("late", 503, START + 4_321));
    for (args, count) in [(&["--json", "-"][..], 4), (&["--json", "--limit", "1", "-"], 4)] {
        let report = run(args, &text(&events)).report();
        assert_eq!(requests(&report), count);
        // The first whole second that is a second after the last event.
        assert_eq!(report["as_of"], START + 6_000);
        assert_eq!(report["tenants"][0]["tenant_id"], "late");
    }
    let limited = run(&["--json", "--limit", "1", "-"], &text(&events)).report();
    assert_eq!(limited["tenants"].as_array().unwrap().len(), 1);
    // More events than windows: only the last window counts.
    let long: Vec<String> = (0..2_000).map(|i| line("acme", 200, START + i * 1_000)).collect();
    let report = run(&["--json", "--window", "3m", "-"], &text(&long)).report();
    assert_eq!(report["window_ms"], 180_000);
    assert!((180..=190).contains(&requests(&report)), "{report}");
}

#[test]
fn the_window_ends_with_the_moment_asked_for() {
    let at = START + 123;
    let window = 180_000;
    let made = [
        (at - window - 60_000, "too-old", 500),
        (at - window, "just-out", 500),
        (at - window + 1, "just-in", 500),
        (at - 90_000, "middle", 200),
        (at - 90_000, "middle", 503),
        (at - 1, "before", 200),
        (at, "on-time", 500),
        (at, "on-time", 200),
        (at + 1, "just-late", 500),
        (at + 10_000, "next-on-time", 500),
        (at + 10_001, "next-late", 500),
        (at + 400_000, "far", 500),
    ];
    let lines: Vec<String> = made.iter().map(|(ms, who, status)| line(who, *status, *ms)).collect();
    let input = file(&text(&lines));
    let moments = [at, at, at + 1, at + 10_000, at + 10_001].map(|ms| ms.to_string());
    let mut args = vec!["--json", "--window", "3m", "--limit", "100"];
    for moment in moments.iter().rev() {
        args.extend(["--at", moment]); // in whatever order
    }
    args.push(name(input.path()));
    let ran = run(&args, b"");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let reports = ran.reports();
    let as_of: Vec<i64> = reports.iter().map(|r| r["as_of"].as_i64().unwrap()).collect();
    // Later moments move to the next slot boundary.
    assert_eq!(as_of, [at, at, at + 10_000, at + 10_000, at + 20_000]);
    for (report, as_of) in reports.iter().zip(as_of) {
        let inside = |ms: i64| as_of - window < ms && ms <= as_of;
        let want: Vec<_> = made.iter().filter(|event| inside(event.0)).collect();
        assert_eq!(requests(report), want.len() as u64, "{as_of}: {report}");
        let errors = want.iter().filter(|event| event.2 >= 500).count();
        assert_eq!(report["totals"]["errors"], errors, "{as_of}: {report}");
        for (_, who, _) in &made {
            let want = want.iter().filter(|event| event.1 == *who).count();
            let got = row(report, who).map_or(0, |row| row["requests"].as_u64().unwrap());
            assert_eq!(got, want as u64, "{who} as of {as_of}: {report}");
        }
    }
    // The first by hand: just-in, middle twice, before, on-time twice.
    assert_eq!(requests(&reports[0]), 6);
    assert_eq!(reports[0]["totals"]["errors"], 3);

    let ran = run(&["--window", "3m", "--at", &moments[0], "--at", &moments[3], name(input.path())], b"");
    assert_eq!(ran.stdout.matches("Top tenants by").count(), 2, "{ran:?}");
    assert!(ran.stdout.contains("\n\n"), "{ran:?}");
}

#[test]
fn a_moment_outside_the_stream_is_answered_too() {
    let events = text(&good(30));
    let far = (START + 40 * 365 * 86_400_000).to_string();
    let moments = [START - 90_000_000, START - 1, START + 2_900, START + 3_600_000].map(|ms| ms.to_string());
    for (at, count) in [(&moments[0], 0), (&moments[1], 0), (&moments[2], 30), (&moments[3], 0), (&far, 0)] {
        let begun = Instant::now();
        let ran = run(&["--json", "--at", at, "-"], &events);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        let report = ran.report();
        assert_eq!(requests(&report), count, "{report}");
        assert_eq!(report["as_of"].to_string(), *at);
        assert_eq!(report["verdict"]["kind"], "quiet");
        assert!(begun.elapsed() < NO_END, "{at} took {:?}", begun.elapsed());
    }
    // All of them at once, with two long silences to get over.
    let ran = run(&["--json", "--at", &moments[0], "--at", &moments[1], "--at", &far, "-"], &events);
    // The second moves to the next slot boundary, 1 ms after the first event.
    assert_eq!(ran.reports().iter().map(requests).collect::<Vec<_>>(), [0, 1, 0]);
    assert_eq!(ran.reports()[1]["as_of"], START);
    // Events of decades, each after a long silence; the last window holds the last one.
    let sparse: Vec<String> = (0..30).map(|i| line(&format!("year{i}"), 200, START + i * 365 * 86_400_000)).collect();
    let begun = Instant::now();
    let report = run(&["--json", "-"], &text(&sparse)).report();
    assert!(begun.elapsed() < NO_END, "{:?}", begun.elapsed());
    assert_eq!(requests(&report), 1);
    assert!(row(&report, "year29").is_some(), "{report}");
}

#[test]
fn a_late_event_counts_in_its_own_window() {
    let mut events = good(3);
    events.push(line("acme", 200, START + 60_000));
    events.push(line("straggler", 200, START + 20_000));
    events.push(line("acme", 200, START + 61_000));
    let report = run(&["--json", "-"], &text(&events)).report();
    assert_eq!(requests(&report), 6);
    assert!(row(&report, "straggler").is_some());
}

/// Ten calm minutes of ten tenants, a minute in which one of them fails, twenty calm minutes again.
fn incident(start: i64) -> Vec<u8> {
    let mut text = String::new();
    for i in 0..31 * 60 * 20_i64 {
        let at = start + i * 50;
        let tenant = i % 10;
        let failing = tenant == 3 && (600_000..660_000).contains(&(at - start));
        let status = if failing { 503 } else { 200 };
        writeln!(text, "{}", line(&format!("tenant{tenant}"), status, at)).unwrap();
    }
    text.into_bytes()
}

#[test]
fn every_prints_changes_only() {
    // A leap day, and a year's last minutes.
    for (start, hour, last_hour) in [
        (1_709_208_000_000, "2024-02-29T12:1", "2024-02-29T12:"),
        (1_704_066_960_000, "2024-01-01T00:0", "2024-01-01T00:"),
    ] {
        let input = file(&incident(start));
        let path = name(input.path());
        let ran = run(&["--every", "1s", path], b"");
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        let errors: Vec<&str> = ran.stdout.lines().filter(|l| !l.contains("  LATENCY ")).collect();
        assert!(errors.len() >= 2, "{ran:?}");
        assert!(errors[0].starts_with(hour), "{ran:?}");
        assert_eq!(&errors[0][19..33], "Z  ONE TENANT ", "{ran:?}");
        assert!(errors[0].contains("tenant3"), "{ran:?}");
        let end = errors.last().unwrap();
        assert!(end.starts_with(last_hour), "{ran:?}");
        assert_eq!(&end[19..29], "Z  QUIET  ", "{ran:?}");
        assert!(ran.stdout.lines().count() < 12, "{ran:?}");

        let json = run(&["--every", "1s", "--json", path], b"");
        let reports = json.reports();
        let mut before = (Value::from("quiet"), Value::from("quiet"));
        for report in &reports {
            let now = (report["verdict"]["kind"].clone(), report["latency_verdict"]["kind"].clone());
            let tenants = report["verdict"]["tenants"].as_array().unwrap();
            assert!(now != before || tenants.len() > 1, "nothing changed: {report}");
            before = now;
        }
        let first = reports[0]["as_of"].as_i64().unwrap();
        assert!((600_000..630_000).contains(&(first - start)), "{first}");
        assert_eq!(first % 1_000, 0);
        // The same moment in words.
        let (minute, second) = (first / 60_000 % 60, first / 1_000 % 60);
        assert_eq!(errors[0][13..20], format!(":{minute:02}:{second:02}Z"));
        assert_eq!(reports[0]["verdict"]["kind"], "one_tenant");
        assert_eq!(reports[0]["verdict"]["tenants"][0], "tenant3");

        let slower = run(&["--every", "7s", "--json", path], b"").reports();
        assert!(!slower.is_empty());
        for report in &slower {
            assert_eq!(report["as_of"].as_i64().unwrap() % 7_000, 0, "{report}");
        }
    }
}

#[test]
fn the_last_change_is_what_the_report_at_the_end_says() {
    let whole = incident(START);
    let lines: Vec<&[u8]> = whole.split_inclusive(|b| *b == b'\n').collect();
    let mut kinds = Vec::new();
    for seconds in 600..612 {
        let cut = lines[..seconds * 20].concat();
        let shown = run(&["--every", "1s", "--json", "-"], &cut).reports();
        let shown = shown.last().map_or("quiet".into(), |report| report["verdict"]["kind"].clone());
        let end = run(&["--json", "-"], &cut).report();
        assert_eq!(shown, end["verdict"]["kind"], "{seconds} s");
        kinds.push(shown);
    }
    assert_eq!(kinds[0], "quiet");
    assert_eq!(kinds[11], "one_tenant", "the end must fall before and after the change");
}

#[test]
fn every_is_silent_while_nothing_happens() {
    let calm = good(6_000);
    let ran = run(&["--every", "1s", "-"], &text(&calm));
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn a_closed_stdout_is_no_error() {
    let input = file(&text(&good(600)));
    let moments: Vec<String> = (0..4_000).map(|i| (START + i * 10_000).to_string()).collect();
    let mut args = vec!["--json"];
    for moment in &moments {
        args.extend(["--at", moment]);
    }
    args.push(name(input.path()));
    let mut child = command(&args).spawn().unwrap();
    let mut first = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert!(first.starts_with('{'));
}

/// Runs it on what `feed` writes to its standard input; with the most memory it ever had, in KiB.
#[cfg(target_os = "linux")]
fn peak(args: &[&str], feed: impl FnOnce(&mut dyn Write)) -> (Ran, u64) {
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = std::io::BufWriter::with_capacity(1 << 20, child.stdin.take().unwrap());
    feed(&mut pipe);
    pipe.flush().unwrap();
    // It is still there and waits for more; what it has not read yet fits into the pipe.
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse().ok())
        .unwrap_or_else(|| panic!("no VmHWM in {status}"));
    drop(pipe);
    let mut ran = Ran { code: None, stdout: String::new(), stderr: String::new() };
    child.stdout.take().unwrap().read_to_string(&mut ran.stdout).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut ran.stderr).unwrap();
    ran.code = child.wait().unwrap().code();
    (ran, peak)
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_of_a_gigabyte_is_skipped_in_little_memory() {
    let (ran, peak) = peak(&["--json", "-"], |pipe| {
        let events = good(20);
        pipe.write_all(&text(&events[..10])).unwrap();
        pipe.write_all(br#"{"tenant_id":""#).unwrap();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..1_024 {
            pipe.write_all(&piece).unwrap();
        }
        pipe.write_all(b"\"}\n").unwrap();
        pipe.write_all(&text(&events[10..])).unwrap();
    });
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(requests(&ran.report()), 20);
    assert_eq!(named(&ran, "stdin"), [(11, "longer than 64 KiB, skipped".to_owned())]);
    assert!(peak < 64 * 1_024, "{peak} KiB");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_stream() {
    let stream = |events: i64| {
        peak(&["--json", "-"], |pipe| {
            for i in 0..events {
                let status = if i % 97 == 0 { 500 } else { 200 };
                // 500 requests a second: the window is full after 300,000.
                let text = line(&format!("tenant{}", i * 7 % 1_000), status, START + i * 2);
                writeln!(pipe, "{text}").unwrap();
            }
        })
    };
    let (small, small_peak) = stream(400_000);
    let (large, large_peak) = stream(2_000_000);
    assert_eq!((small.code, large.code), (Some(0), Some(0)));
    assert_eq!(large.report()["stats"]["offered"], 2_000_000);
    // Eight bytes an event more would be 12 MiB.
    assert!(large_peak < small_peak + 6 * 1_024, "{small_peak} KiB, then {large_peak} KiB");
}
