//! `rotate`: how long a single `record` takes, over a thousand slots that nobody ticks away.
//!
//! Each call is timed by the processor's counter; an empty loop that is timed the same way runs in turns with it, for as
//! long, because on a shared machine the longest times are the machine's.

use crate::Failure;
use crate::contenders::Contender;
use crate::contenders::sentinel::{Own, Pace};
use crate::stream::{EVENTS, EVENTS_PER_SLOT, Maker, SLOT_MS, START_MS, Tenants};
use hdrhistogram::Histogram;
use quanta::Clock;
use serde_json::{Value, json};
use std::hint::black_box;

const TENANTS: u64 = 10_000;
/// Calls in a turn, after which the clock is moved: a tenth of a second of the stream.
const TURN: usize = EVENTS_PER_SLOT / 100;
const LONG_NS: u64 = 100_000;

/// Times so many calls.
pub(crate) fn run(calls: usize) -> Result<Value, Failure> {
    let samples = Maker::stream(Tenants::Zipf(TENANTS), EVENTS.min(calls).next_multiple_of(TURN))?;
    let own = Own::new(Pace::Unticked)?;
    let clock = Clock::new();
    let (mut recorded, mut empty) = (Times::new()?, Times::new()?);
    let turns = calls.div_ceil(TURN);
    for (turn, part) in samples.chunks(TURN).cycle().take(turns).enumerate() {
        let at = START_MS + ((turn * TURN) as i64 * SLOT_MS) / EVENTS_PER_SLOT as i64;
        own.advance(at);
        let began = clock.raw();
        for sample in part {
            let start = clock.raw();
            own.sentinel.record(sample.event(Some(at)));
            recorded.add(clock.raw() - start);
        }
        let (between, mut took) = (clock.raw(), 0);
        while took < between - began {
            for sample in part {
                let start = clock.raw();
                black_box(sample.event(Some(at)));
                empty.add(clock.raw() - start);
            }
            took = clock.raw() - between;
        }
    }
    own.check((turns * TURN) as u64)?;
    let [recorded, empty] = [recorded, empty].map(|times| times.summary(&clock));
    let longest = |times: &Value| times["longest_ns"].as_f64().unwrap_or(f64::INFINITY) / 1e3;
    Ok(json!({
        "calls": turns * TURN,
        "rotations": (turns * TURN).div_ceil(EVENTS_PER_SLOT) - 1,
        "p999_ns": recorded["p999_ns"],
        "longest_above_empty_us": longest(&recorded) - longest(&empty),
        "record": recorded,
        "empty": empty,
    }))
}

/// Times in the counter's own unit.
struct Times(Histogram<u64>);

impl Times {
    fn new() -> Result<Self, Failure> {
        Ok(Self(Histogram::new_with_bounds(1, 1 << 40, 3)?))
    }

    fn add(&mut self, ticks: u64) {
        self.0.saturating_record(ticks);
    }

    fn summary(&self, clock: &Clock) -> Value {
        let ns = |ticks: u64| clock.delta_as_nanos(0, ticks);
        let at = |quantile: f64| ns(self.0.value_at_quantile(quantile));
        let long = self.0.iter_recorded().filter(|v| ns(v.value_iterated_to()) > LONG_NS);
        json!({
            "p50_ns": at(0.5),
            "p99_ns": at(0.99),
            "p999_ns": at(0.999),
            "p9999_ns": at(0.9999),
            "longest_ns": ns(self.0.max()),
            "above_100us": long.map(|v| v.count_at_value()).sum::<u64>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_rotations() {
        let result = run(250_000).unwrap();
        assert_eq!((&result["calls"], &result["rotations"]), (&json!(250_000), &json!(2)));
        assert!(result["record"]["p50_ns"].as_u64() > Some(0));
    }
}
