//! Prints what Sentinel says after every second of a stream: one JSON line a second, for the error verdict and the latency
//! verdict.
//!
//! ```text
//! cargo run --release --example follow -- EVENTS.jsonl[.gz]|- [--errors 5xx|4xx,5xx]
//! ```
//!
//! The replay prints a verdict only when its kind, its tenants or its endpoint change. A comparison second by second needs
//! the judged window and the named endpoint in between as well; this is the tool for it, and `tests/reference/compare.py`
//! is its user. Time is the stream's own: a manual clock ticks on whole seconds, from one second after the start of the
//! first event's slot (10 s, aligned to UTC) to the first whole second that is at least one second after the last event.
//! The answer at T has seen the events with a timestamp below T.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use flate2::read::MultiGzDecoder;
use sentinel_core::{Clock, ErrorClasses, Event, Latency, Sentinel, Verdict};
use serde::{Deserialize, Serialize};

/// Length of a slot and of a step of the clock.
const SLOT_MS: i64 = 10_000;
const STEP_MS: i64 = 1_000;
/// Enough that no table has to forget anyone: the rules are compared, not the bounds.
const BUDGET: usize = 256 << 20;

/// Prints the verdicts of Sentinel after every second of a stream, as JSON lines.
#[derive(Parser)]
struct Options {
    /// Events as JSON lines in time order, gzipped when the name ends in .gz; - reads standard input
    events: PathBuf,
    /// Which statuses are errors: 5xx or 4xx,5xx (499 never is)
    #[arg(long, default_value = "5xx", value_name = "CLASSES")]
    errors: ErrorClasses,
}

/// One line of the stream.
#[derive(Deserialize)]
struct Request {
    tenant_id: String,
    endpoint: String,
    status_code: u16,
    latency_ms: Option<f64>,
    timestamp: i64,
}

/// One line of the output.
#[derive(Serialize)]
struct Second<'a> {
    at_ms: i64,
    errors: Shown<'a>,
    latency: Shown<'a>,
}

/// The parts of a verdict that are compared.
#[derive(Serialize)]
struct Shown<'a> {
    kind: String,
    tenants: &'a [String],
    endpoint: Option<&'a str>,
    window_ms: Option<u64>,
    share: Option<f64>,
    excess_share: Option<f64>,
}

impl<'a> Shown<'a> {
    fn of(verdict: &'a Verdict) -> Self {
        Self {
            kind: verdict.kind.to_string(),
            tenants: &verdict.tenants,
            endpoint: verdict.endpoint.as_deref(),
            window_ms: verdict.window_ms,
            share: verdict.share,
            excess_share: verdict.excess_share,
        }
    }
}

/// A Sentinel on the stream's time, and where its answers go.
struct Follower<W> {
    sentinel: Sentinel,
    next_tick: i64,
    out: W,
}

impl<W: Write> Follower<W> {
    /// Starts at the slot of the first event.
    fn start(first_ms: i64, errors: ErrorClasses, out: W) -> Result<Self, Box<dyn Error>> {
        let start = first_ms.div_euclid(SLOT_MS) * SLOT_MS;
        let sentinel = Sentinel::builder().errors(errors).budget(BUDGET).clock(Clock::manual(start)).build()?;
        Ok(Self { sentinel, next_tick: start + STEP_MS, out })
    }

    /// Ticks and prints every second up to and including `until_ms`.
    fn tick_to(&mut self, until_ms: i64) -> Result<(), Box<dyn Error>> {
        while self.next_tick <= until_ms {
            self.sentinel.tick(self.next_tick);
            let (errors, latency) = (self.sentinel.verdict(), self.sentinel.latency_verdict());
            let second = Second { at_ms: self.next_tick, errors: Shown::of(&errors), latency: Shown::of(&latency) };
            serde_json::to_writer(&mut self.out, &second)?;
            self.out.write_all(b"\n")?;
            self.next_tick += STEP_MS;
        }
        Ok(())
    }

    fn record(&self, request: &Request) {
        self.sentinel.record(Event {
            tenant: request.tenant_id.as_bytes(),
            endpoint: &request.endpoint,
            status: request.status_code,
            latency: request.latency_ms.map_or(Latency::UNKNOWN, Latency::from_millis),
            at: Some(request.timestamp),
        });
    }
}

fn open(path: &PathBuf) -> Result<Box<dyn BufRead>, Box<dyn Error>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(if path.extension().is_some_and(|e| e == "gz") {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(BufReader::new(file))
    })
}

fn follow(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut follower = None;
    let mut last_ms = i64::MIN;
    for (index, line) in open(&options.events)?.lines().enumerate() {
        let at_line = |what: String| format!("{}: line {}: {what}", options.events.display(), index + 1);
        let request: Request =
            serde_json::from_str(&line.map_err(|e| at_line(e.to_string()))?).map_err(|e| at_line(e.to_string()))?;
        if request.timestamp < last_ms {
            return Err(at_line(format!("timestamp {} after {last_ms}: not in time order", request.timestamp)).into());
        }
        last_ms = request.timestamp;
        let follower = match &mut follower {
            Some(follower) => follower,
            none => none.insert(Follower::start(last_ms, options.errors, BufWriter::new(io::stdout().lock()))?),
        };
        follower.tick_to(last_ms)?;
        follower.record(&request);
    }
    let Some(mut follower) = follower else {
        return Err(format!("{}: no events", options.events.display()).into());
    };
    follower.tick_to(last_ms + 2 * STEP_MS - 1)?;
    follower.out.flush()?;
    Ok(())
}

fn main() -> ExitCode {
    match follow(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "follow: {error}");
            ExitCode::FAILURE
        }
    }
}
