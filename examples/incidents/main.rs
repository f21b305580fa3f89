//! Measures how well Sentinel answers: makes request streams with a known incident in them, feeds each straight
//! through a `Sentinel`, judges its verdicts second by second, and prints the targets beside what was measured.
//!
//! ```text
//! cargo run --release --example incidents                              everything, 20 seeds each
//! cargo run --release --example incidents -- --slice ci                a fixed small set, under a minute
//! cargo run --release --example incidents -- --only outage@ --seeds 5  some scenarios
//! ```
//!
//! `scenario` says what there is, `stream` makes it, `score` judges it, `faults` asks a real stream, `table` adds it up.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program: its tables are its output")]

mod faults;
mod scenario;
mod score;
mod stream;
mod table;

use std::{
    error::Error,
    fs,
    io::{self, BufWriter, ErrorKind, Write},
    panic::catch_unwind,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use sentinel_core::{Clock, Event, Latency, Sentinel};

use crate::{
    scenario::{START_MS, Scenario},
    score::{judge, note},
    stream::{ROUTES, Stream},
    table::Outcome,
};

/// Enough that no table has to forget anyone: the rules are measured, not the bounds.
const BUDGET: usize = 256 << 20;
const DEFAULT_SEEDS: u64 = 20;

/// Measures verdicts on made incidents, against the targets.
///
/// Most streams hold one incident: 15 minutes of normal traffic, 5 minutes of trouble, 700 seconds to recover; some are
/// a calm day. Each goes through a Sentinel second by second, and every change of the verdict is judged against what
/// was really made to happen. Prints the targets, what was measured and on how many streams, then a line for each kind.
#[derive(Parser)]
#[command(
    name = "incidents",
    after_help = "Exit code: 0 all measured targets met, 1 a target missed, 2 bad usage or no measurement.\n\n\
    Examples:\n  incidents --slice ci\n  incidents --only one_all@1000x200 --only outage@ --seeds 5 --json out.json\n  \
    incidents --emit one_ep@20x5 --seed 7 --truth truth.json > events.jsonl"
)]
struct Options {
    /// Streams of each scenario, seeds 1 to N [default: 20; 1 in a slice]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Only scenarios whose name contains this; a whole name, KIND@TENANTSxRPS, is only that one. Repeatable
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// A fixed small set instead of all scenarios
    #[arg(long)]
    slice: Option<Slice>,
    /// Streams at once
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Write the tables and the judgement of every stream to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List the scenarios and leave
    #[arg(long)]
    list: bool,
    /// Write one stream as JSON lines to standard output instead of measuring
    #[arg(long, value_name = "SCENARIO", conflicts_with_all = ["seeds", "only", "slice", "json", "list"])]
    emit: Option<String>,
    /// The seed of that stream
    #[arg(long, value_name = "N", default_value_t = 1, requires = "emit")]
    seed: u64,
    /// Write what really happened in that stream to this file
    #[arg(long, value_name = "FILE", requires = "emit")]
    truth: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Slice {
    /// About 25 streams, under a minute
    Ci,
}

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) if e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("incidents: {e}");
            ExitCode::from(2)
        }
    }
}

/// Were all targets met?
fn run(options: &Options) -> Result<bool, Failure> {
    if let Some(name) = &options.emit {
        emit(name, options.seed, options.truth.as_deref())?;
        return Ok(true);
    }
    let scenarios = chosen(options)?;
    if options.list {
        let mut out = io::stdout().lock();
        for s in &scenarios {
            writeln!(out, "{s}")?;
        }
        return Ok(true);
    }
    let seeds = options.seeds.unwrap_or(if options.slice.is_some() { 1 } else { DEFAULT_SEEDS });
    let outcomes = measure_all(&scenarios, seeds, options.jobs.into())?;
    let mut rows = table::targets(&outcomes);
    if options.only.is_empty() {
        match faults::delays()? {
            Some(delays) => rows.push(table::faults(&delays)),
            None => eprintln!("SKIPPED  the labelled faults of a real stream: no ../shared/data beside the project"),
        }
    }
    io::stdout().write_all(table::print(&outcomes, &rows).as_bytes())?;
    if let Some(path) = &options.json {
        let all = serde_json::json!({ "seeds": seeds, "targets": rows, "streams": outcomes });
        fs::write(path, serde_json::to_vec_pretty(&all)?).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(rows.iter().all(|r| r.met != Some(false)))
}

fn chosen(options: &Options) -> Result<Vec<Scenario>, Failure> {
    let mut scenarios = if options.slice.is_some() { Scenario::ci() } else { Scenario::all() };
    let names: Vec<String> = scenarios.iter().map(Scenario::to_string).collect();
    for text in &options.only {
        if !names.iter().any(|name| name.contains(text)) {
            return Err(format!("no scenario is named like {text:?}; --list shows them").into());
        }
    }
    let wanted = |name: &str| {
        options.only.iter().any(|text| if names.contains(text) { name == text } else { name.contains(text) })
    };
    scenarios.retain(|s| options.only.is_empty() || wanted(&s.to_string()));
    Ok(scenarios)
}

/// Measures all streams, `jobs` at once, the largest first so that none is left over at the end.
fn measure_all(scenarios: &[Scenario], seeds: u64, jobs: usize) -> Result<Vec<Outcome>, Failure> {
    let mut work: Vec<(u64, usize, u64)> = Vec::new(); // requests, place in the list, seed
    for (place, s) in scenarios.iter().enumerate() {
        work.extend((1..=s.streams(seeds)).map(|seed| ((f64::from(s.rps) * s.plan(seed).seconds) as u64, place, seed)));
    }
    work.sort_by(|a, b| b.cmp(a));
    let bar = ProgressBar::new(work.iter().map(|w| w.0).sum()); // only drawn on a terminal
    let style = "{wide_bar} {human_pos}/{human_len} requests, {per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.enable_steady_tick(Duration::from_millis(500));
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let worker = || -> Result<(), Failure> {
        while let Some(&(expected, place, seed)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            let measured = catch_unwind(|| measure(scenarios[place], seed)).unwrap_or_else(|_| Err("panicked".into()));
            let outcome = measured.map_err(|e| {
                next.store(work.len(), Ordering::Relaxed); // the others need not go on
                format!("{} seed {seed}: {e}", scenarios[place])
            })?;
            bar.inc(expected);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((place, seed, outcome));
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|w| w.join().unwrap_or_else(|_| Err("a worker panicked".into())))
    })?;
    bar.finish_and_clear();
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|d| (d.0, d.1));
    Ok(done.into_iter().map(|d| d.2).collect())
}

/// Makes a stream, feeds it to a `Sentinel` second by second, and judges what that showed after each.
fn measure(scenario: Scenario, seed: u64) -> Result<Outcome, Failure> {
    let sentinel = Sentinel::builder()
        .window(Duration::from_mins(10))
        .slot(Duration::from_secs(10))
        .budget(BUDGET)
        .clock(Clock::manual(START_MS))
        .build()
        .map_err(|e| e.to_string())?;
    let mut stream = Stream::new(scenario.plan(seed))?;
    let (mut errors, mut latency) = (Vec::new(), Vec::new());
    let (mut now_ms, mut requests) = (START_MS, Vec::new());
    while stream.next_second(&mut requests) {
        for r in &requests {
            sentinel.record(Event {
                tenant: stream.tenant(r.tenant).as_bytes(),
                endpoint: ROUTES[r.endpoint].0,
                status: r.status,
                latency: Latency::from_millis(r.latency_ms),
                at: Some(r.ms),
            });
        }
        now_ms += 1000;
        sentinel.tick(now_ms);
        note(&mut errors, now_ms, sentinel.verdict());
        note(&mut latency, now_ms, sentinel.latency_verdict());
    }
    let slow = scenario.base.is_some_and(scenario::Base::is_slow);
    let (judged, other) = if slow { (latency, errors) } else { (errors, latency) };
    let truth = stream.truth();
    let judgement = judge(truth, &judged);
    let calm = scenario::Truth { incidents: Vec::new(), ..truth.clone() };
    Ok(Outcome {
        scenario: scenario.to_string(),
        kind: scenario.kind,
        rps: scenario.rps,
        seed,
        events: truth.events,
        slow,
        score: judgement.incidents.into_iter().next(),
        false_before: judgement.false_before,
        false_other: judge(&calm, &other).false_before,
    })
}

/// Writes a stream to standard output and its truth to a file, for other programs to read.
fn emit(name: &str, seed: u64, truth: Option<&Path>) -> Result<(), Failure> {
    let scenario = Scenario::all().into_iter().find(|s| s.to_string() == *name);
    let scenario = scenario.ok_or_else(|| format!("no scenario is named {name:?}; --list shows them"))?;
    let mut stream = Stream::new(scenario.plan(seed))?;
    let (mut out, mut requests) = (BufWriter::new(io::stdout().lock()), Vec::new());
    while stream.next_second(&mut requests) {
        for r in &requests {
            writeln!(out, "{}", stream.line(r))?;
        }
    }
    out.flush()?;
    if let Some(path) = truth {
        fs::write(path, serde_json::to_vec_pretty(stream.truth())?).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}
