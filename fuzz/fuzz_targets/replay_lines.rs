//! The replay's reader: any bytes are lines, each line is a request, blank, or malformed, and none is lost.
#![no_main]

// Its `open` is not used here.
#[allow(dead_code)]
#[path = "../../examples/replay/lines.rs"]
mod lines;

use libfuzzer_sys::fuzz_target;
use lines::{LATEST_MS, Line, Lines, parse};
use std::io::BufReader;

/// A byte that no line of JSON needs stands for so many spaces, so that the fuzzer finds the longest line.
const LONG: u8 = 0x01;
const SPACES: usize = 32 * 1024;
const LONGEST_LINE: usize = 64 * 1024;

fn expanded(bytes: &[u8], mut left: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if byte == LONG && left > 0 {
            left -= 1;
            out.resize(out.len() + SPACES, b' ');
        } else {
            out.push(byte);
        }
    }
    out
}

/// Lines and, among them, those that are too long; counted another way.
fn plain_count(text: &[u8]) -> (u64, u64) {
    let whole = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return (0, 0);
    }
    let lines = whole.split(|byte| *byte == b'\n');
    let too_long = lines.clone().filter(|line| line.len() > LONGEST_LINE).count();
    (lines.count() as u64, too_long as u64)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    // Long lines are slow to make: one input of sixteen may have them.
    let (long, capacity) = if first >> 4 == 15 { (4, 1 << (8 + first % 8)) } else { (0, 1 << (first % 16)) };
    let text = expanded(rest, long);
    let input = BufReader::with_capacity(capacity, &text[..]);
    let mut lines = Lines::new(input);
    let (mut events, mut blank, mut malformed, mut too_long) = (0, 0, 0, 0);
    while let Some(line) = lines.next().expect("reading from memory") {
        let parsed = match line {
            Line::Text(text) => {
                assert!(text.len() <= LONGEST_LINE && !text.contains(&b'\n'));
                parse(text)
            }
            Line::TooLong => {
                too_long += 1;
                Err("too long".to_owned())
            }
        };
        match parsed {
            Ok(Some(request)) => {
                events += 1;
                assert!((0..=LATEST_MS).contains(&request.timestamp), "{request:?}");
                let _ = (request.tenant.len(), request.endpoint.len(), request.status, request.latency);
            }
            Ok(None) => blank += 1,
            Err(reason) => {
                malformed += 1;
                // One short line of text, whatever was in the input.
                assert!(!reason.is_empty() && reason.chars().count() <= 200, "{reason}");
            }
        }
    }
    assert_eq!((events + blank + malformed, too_long), plain_count(&text));
    assert_eq!(lines.number(), events + blank + malformed);
});
