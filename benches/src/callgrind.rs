//! `callgrind`: a loop to run under valgrind, which counts its instructions.

use crate::Failure;
use crate::contenders::Contender;
use crate::contenders::sentinel::{Own, Pace};
use crate::stream::{EVENTS_PER_SLOT, Maker, Sample, Tenants};
use serde_json::{Value, json};
use std::process::Command;

/// Requests that are counted.
pub(crate) const EVENTS: usize = 1_000_000;
/// Requests before them, which are not.
const WARM: usize = EVENTS_PER_SLOT / 2;

/// Records: the first half slot to warm up, then a million, ten rotations among them.
pub(crate) fn run() -> Result<Value, Failure> {
    let samples = Maker::stream(Tenants::Zipf(1_000), WARM + EVENTS)?;
    let own = Own::new(Pace::Unticked)?;
    let (warm, measured) = samples.split_at(WARM);
    steps(&own, warm);
    sentinel_bench_measured(&own, measured);
    own.check(samples.len() as u64)?;
    Ok(json!({ "events": EVENTS }))
}

/// Has a name of its own for `--toggle-collect`.
#[inline(never)]
fn sentinel_bench_measured(own: &Own, samples: &[Sample]) {
    steps(own, samples);
    // Not a jump: callgrind must see this function return.
    std::hint::black_box(own);
}

fn steps(own: &Own, samples: &[Sample]) {
    for step in samples.chunks(1_000) {
        if let Some(last) = step.last() {
            own.advance(last.at + 1);
        }
        step.iter().for_each(|sample| own.record(sample));
    }
}

/// Runs this program under valgrind; `None` where there is none.
pub(crate) fn measure() -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    let arguments =
        ["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*sentinel_bench_measured*"];
    let output = Command::new("valgrind").args(arguments).arg(program).arg("callgrind").output().ok()?;
    counted(&String::from_utf8_lossy(&output.stderr)).map(|instructions| instructions as f64 / EVENTS as f64)
}

/// `==123== Collected : 456`.
fn counted(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_valgrind_says() {
        assert_eq!(counted("==1== Events    : Ir\n==1== Collected : 1234567\n==1== \n"), Some(1_234_567));
        assert_eq!(counted("==1== no such line"), None);
    }
}
