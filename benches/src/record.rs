//! `record`: one contender counts one stream in this process; the CPU time of it, deferred work included.

use crate::Failure;
use crate::contenders::Contender;
use crate::contenders::afternoon::Afternoon;
use crate::contenders::client::Client;
use crate::contenders::facade::Facade;
use crate::contenders::otel::Otel;
use crate::contenders::prometheus::Prometheus;
use crate::contenders::sentinel::{Own, Pace};
use crate::stream::{EVENTS_PER_SLOT, Maker, SLOT_MS, START_MS, Sample, Tenants};
use crate::timing::{cpu_time, limit_memory};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Requests between two moves of the clock: a tenth of a second of the stream.
const STEP: usize = EVENTS_PER_SLOT / 100;
/// A peer that wants more is stopped: the machine may be shared.
const MOST_MEMORY: u64 = 16 << 30;

/// A stream and the threads that share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Stream {
    #[value(name = "zipf-1k")]
    Zipf1k,
    #[value(name = "zipf-10k")]
    Zipf10k,
    #[value(name = "zipf-100k")]
    Zipf100k,
    #[value(name = "zipf-1m")]
    Zipf1m,
    Distinct,
    #[value(name = "hot-2t")]
    Hot2t,
    #[value(name = "threads-16")]
    Threads16,
}

impl Stream {
    fn tenants(self) -> Tenants {
        match self {
            Self::Zipf1k => Tenants::Zipf(1_000),
            Self::Zipf10k => Tenants::Zipf(10_000),
            Self::Zipf100k | Self::Threads16 => Tenants::Zipf(100_000),
            Self::Zipf1m => Tenants::Zipf(1_000_000),
            Self::Distinct => Tenants::Distinct,
            Self::Hot2t => Tenants::Hot,
        }
    }

    fn threads(self) -> usize {
        match self {
            Self::Hot2t => 2,
            Self::Threads16 => 16,
            _ => 1,
        }
    }

    /// Label sets that there can be at most.
    fn series(self, events: usize) -> usize {
        match self.tenants() {
            Tenants::Zipf(tenants) => (tenants as usize * 8).min(events),
            Tenants::Hot => 8_008,
            Tenants::Distinct => events,
        }
    }
}

/// Contender that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Who {
    Sentinel,
    /// Ticked once a second.
    SentinelTicked,
    /// The clock stands still, requests carry their time.
    SentinelStill,
    /// The machine's clock, requests carry no time.
    SentinelSystem,
    Prometheus,
    PrometheusClient,
    Metrics,
    Opentelemetry,
    Afternoon,
}

/// Measures, lets it show that it has counted everything if wanted, and says nanoseconds of CPU a request.
pub(crate) fn run(stream: Stream, who: Who, events: usize, check: bool) -> Result<Value, Failure> {
    limit_memory(MOST_MEMORY)?;
    match who {
        Who::Sentinel => measure(&Own::new(Pace::Unticked)?, stream, events, check),
        Who::SentinelTicked => measure(&Own::new(Pace::Ticked)?, stream, events, check),
        Who::SentinelStill => measure(&Own::new(Pace::Still)?, stream, events, check),
        Who::SentinelSystem => measure(&Own::new(Pace::System)?, stream, events, check),
        Who::Prometheus => measure(&Prometheus::new()?, stream, events, check),
        Who::PrometheusClient => measure(&Client::new(), stream, events, check),
        Who::Metrics => measure(&Facade::new()?, stream, events, check),
        Who::Opentelemetry => measure(&Otel::new(stream.series(events)), stream, events, check),
        Who::Afternoon => measure(&Afternoon::default(), stream, events, check),
    }
}

fn measure<C: Contender>(contender: &C, stream: Stream, events: usize, check: bool) -> Result<Value, Failure> {
    let samples = Maker::stream(stream.tenants(), events)?;
    let (wall, cpu) = (Instant::now(), cpu_time());
    if stream.threads() == 1 {
        alone(contender, &samples);
    } else {
        together(contender, &samples, stream.threads());
    }
    contender.finish(samples.last().map_or(START_MS, |last| last.at + 1));
    let (cpu, wall) = (cpu_time().saturating_sub(cpu), wall.elapsed());
    if check {
        contender.check(events as u64)?;
    }
    let each = |time: Duration| time.as_secs_f64() * 1e9 / events as f64;
    Ok(json!({ "ns": each(cpu), "wall_ns": each(wall) }))
}

fn alone<C: Contender>(contender: &C, samples: &[Sample]) {
    for (slot, of_slot) in samples.chunks(EVENTS_PER_SLOT).enumerate() {
        if slot > 0 {
            contender.upkeep();
        }
        for step in of_slot.chunks(STEP) {
            if let Some(last) = step.last() {
                contender.advance(last.at + 1);
            }
            step.iter().for_each(|sample| contender.record(sample));
        }
    }
}

/// Each thread takes its part of every slot; they wait for each other in between, as time would make them.
fn together<C: Contender>(contender: &C, samples: &[Sample], threads: usize) {
    let barrier = Barrier::new(threads);
    let work = |thread: usize| {
        for (slot, of_slot) in samples.chunks(EVENTS_PER_SLOT).enumerate() {
            if barrier.wait().is_leader() && slot > 0 {
                contender.upkeep();
            }
            contender.advance(START_MS + (slot as i64 + 1) * SLOT_MS - 1);
            let part = of_slot.len().div_ceil(threads);
            let own = of_slot.chunks(part).nth(thread).unwrap_or_default();
            own.iter().for_each(|sample| contender.record(sample));
        }
    };
    std::thread::scope(|scope| {
        let work = &work;
        (0..threads).for_each(|thread| drop(scope.spawn(move || work(thread))));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contenders check what they counted.
    #[test]
    fn every_contender_counts_every_request() {
        for stream in [Stream::Zipf1k, Stream::Hot2t] {
            for who in Who::value_variants() {
                // One process has one recorder of `metrics`.
                if *who != Who::Metrics || stream == Stream::Hot2t {
                    let result = run(stream, *who, 210_000, true).unwrap();
                    assert!(result["ns"].as_f64().unwrap() > 0.0, "{who:?}: {result}");
                }
            }
        }
    }
}
