//! Replays a file of requests through the very same `Sentinel` that the middleware uses, on the events' own time.
//!
//! ```text
//! cargo run --release --example replay -- requests.jsonl.gz
//! cargo run --release --example replay -- --every 1s requests.jsonl.gz
//! cargo run --release --example replay -- --at 1674984163617 --errors 4xx,5xx --json requests.jsonl.gz
//! ```
//!
//! Each line is one request: `{"tenant_id","endpoint","status_code","latency_ms","timestamp"}`, the timestamp in Unix
//! milliseconds, in the order in which the requests ended. Memory does not grow with the file.

mod lines;
mod output;
mod timeline;

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use sentinel_core::{By, Clock, ConfigError, Dropped, ErrorClasses, Sentinel};
use sentinel_core::{parse_duration, parse_size};

use lines::{Line, Lines};
use output::{Identity, Output};
use timeline::{Plan, Timeline};

/// So many malformed lines are named; the rest is only counted.
const NAMED: u64 = 10;

const RANKINGS: &str = "The ranking: errors, error_rate, latency, load or requests";

const HELP: &str = "\
Examples:
  Who is failing at the end of this file, and who has been in its last 10 minutes:
      replay requests.jsonl.gz
  When did the verdict change, with client errors counted too:
      zcat requests.jsonl.gz | replay --every 1s --errors 4xx,5xx -

A line is {\"tenant_id\":\"acme\",\"endpoint\":\"GET /v1/items/{id}\",\"status_code\":503,\"latency_ms\":12.5,
\"timestamp\":1700000000000}. tenant_id, endpoint and latency_ms may be missing or null.
Exit status: 0, also when some lines are malformed (they are named); 1 when the input cannot be read
to its end or holds no event; 2 for a wrong flag.";

/// Replays recorded requests and says which tenant causes elevated errors or latency.
#[derive(Parser)]
#[command(name = "replay", after_help = HELP)]
struct Args {
    /// Report as of this moment (Unix ms, repeatable): the events up to it, itself included [default: the end]
    #[arg(long, value_name = "MS", conflicts_with = "every", value_parser = clap::value_parser!(i64).range(0..=lines::LATEST_MS))]
    at: Vec<i64>,
    /// Look on this beat and print a line only when a verdict changes
    #[arg(long, value_name = "DURATION", value_parser = beat)]
    every: Option<Duration>,
    /// Length of time that the rankings cover
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    window: Duration,
    /// Length of a slot, the step in which the window moves
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    slot: Duration,
    /// Memory: how much tables, blocks and baselines may take
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    budget: usize,
    /// Which status codes are errors: 5xx or 4xx,5xx
    #[arg(long, value_name = "CLASSES", default_value = "5xx")]
    errors: ErrorClasses,
    #[arg(long, value_name = "RANKING", default_value = "errors", help = RANKINGS)]
    by: By,
    /// Tenants to list, at most
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Print one report a line, as JSON
    #[arg(long)]
    json: bool,
    /// JSON lines, plain or gzip; - is standard input
    file: PathBuf,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|e| e.to_string())
}

fn size(text: &str) -> Result<usize, String> {
    parse_size(text).map_err(|e| e.to_string())
}

fn beat(text: &str) -> Result<Duration, String> {
    let beat = duration(text)?;
    let seconds = beat.as_secs();
    if beat.subsec_nanos() == 0 && (1..=86_400).contains(&seconds) {
        Ok(beat)
    } else {
        Err("not a whole number of seconds between 1s and 24h".to_owned())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Args {
    fn plan(&self) -> Plan {
        match self.every {
            Some(beat) => Plan::Every(millis(beat)),
            None if self.at.is_empty() => Plan::End,
            None => {
                let mut moments = self.at.clone();
                moments.sort_unstable();
                Plan::At(moments)
            }
        }
    }

    fn sentinel(&self, anchor: i64, clock: Clock) -> Result<Sentinel, ConfigError> {
        Sentinel::builder()
            .window(self.window)
            .slot(self.slot)
            .budget(self.budget)
            .errors(self.errors)
            .anchor_ms(anchor)
            .clock(clock)
            .build()
    }
}

/// Why the replay ends before its time.
enum Failure {
    /// The input could not be read to its end.
    Input(String),
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough, as `head` has.
        Err(Failure::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(e)) => {
            complain(format_args!("cannot write: {e}"));
            ExitCode::FAILURE
        }
        Err(Failure::Input(reason)) => {
            complain(format_args!("{reason}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let plan = args.plan();
    let anchor = timeline::anchor(&plan);
    // Refuses what cannot be before any input is touched; the one that is used starts at the first event.
    let build = |clock| args.sentinel(anchor, clock).unwrap_or_else(|e| refuse(&e));
    drop(build(Clock::manual(anchor)));

    let name = if args.file == Path::new("-") { "stdin".to_owned() } else { args.file.display().to_string() };
    let progress = progress(&args.file);
    let mut out = Output {
        out: BufWriter::new(io::stdout().lock()),
        progress: progress.clone(),
        json: args.json,
        by: args.by,
        limit: args.limit,
        changes: args.every.map(|_| [Identity::QUIET, Identity::QUIET]),
        printed: false,
    };
    let mut timeline = Timeline::new(&plan, millis(args.window), millis(args.slot), build);
    let mut tally = Tally::new(&name, &progress);
    let ended = feed(&args.file, &mut tally, |request| timeline.record(request, &mut out));
    let broken = match ended {
        Err(Failure::Input(reason)) => Some(reason),
        Err(output) => {
            progress.finish_and_clear();
            tally.summary();
            return Err(output);
        }
        Ok(()) => None,
    };
    // What came before the break is worth its report.
    let finished = if tally.events > 0 { timeline.finish(&mut out) } else { Ok(()) };
    progress.finish_and_clear();
    tally.summary();
    tally.not_counted(timeline.dropped());
    finished?;
    match broken {
        Some(reason) => Err(Failure::Input(reason)),
        None if tally.events == 0 => Err(Failure::Input(format!("no events in {name}"))),
        None => Ok(()),
    }
}

/// Hands on the requests of a file, in its order, and tallies the rest.
fn feed(
    path: &Path,
    tally: &mut Tally<'_>,
    mut record: impl FnMut(&lines::Request<'_>) -> io::Result<()>,
) -> Result<(), Failure> {
    let input = lines::open(path, tally.progress).map_err(|e| Failure::Input(format!("{}: {e}", tally.name)))?;
    let mut lines = Lines::new(input);
    loop {
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err(e) => {
                let number = lines.number();
                return Err(Failure::Input(format!("{}:{number}: {e}", tally.name)));
            }
        };
        let parsed = match line {
            Line::Text(text) => lines::parse(text),
            Line::TooLong => Err("longer than 64 KiB, skipped".to_owned()),
        };
        match parsed {
            Ok(Some(request)) => {
                tally.events += 1;
                record(&request)?;
            }
            Ok(None) => {}
            Err(reason) => tally.malformed(lines.number(), reason),
        }
    }
}

/// The books of one input: events, and lines that were none.
struct Tally<'a> {
    name: &'a str,
    progress: &'a ProgressBar,
    events: u64,
    malformed: u64,
    first: Option<(u64, String)>,
}

impl<'a> Tally<'a> {
    fn new(name: &'a str, progress: &'a ProgressBar) -> Self {
        Self { name, progress, events: 0, malformed: 0, first: None }
    }

    fn malformed(&mut self, line: u64, reason: String) {
        self.malformed += 1;
        if self.malformed <= NAMED {
            let name = self.name;
            self.progress.suspend(|| complain(format_args!("{name}:{line}: {reason}")));
        }
        self.first.get_or_insert((line, reason));
    }

    /// A file out of order, or one wild timestamp, must not look like an answer about all of it.
    fn not_counted(&self, dropped: Dropped) {
        for (events, reason) in
            [(dropped.late, "older than the window when they came"), (dropped.status, "a status outside 100 to 599")]
        {
            if events > 0 {
                let (events, all) = (HumanCount(events), HumanCount(self.events));
                complain(format_args!("{events} of {all} events not counted: {reason}"));
            }
        }
    }

    fn summary(&self) {
        if let Some((line, reason)) = &self.first {
            complain(format_args!(
                "{} of {} lines malformed, first at line {line}: {reason}",
                HumanCount(self.malformed),
                HumanCount(self.malformed + self.events),
            ));
        }
    }
}

/// A bar over the bytes of the file, or a spinner; nothing unless a terminal is there to show it.
fn progress(path: &Path) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = |template| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    if path.is_file() {
        ProgressBar::new(0).with_style(style("{wide_bar} {bytes}/{total_bytes} {eta}"))
    } else {
        ProgressBar::new_spinner().with_style(style("{spinner} {bytes} {bytes_per_sec}"))
    }
}

/// A setting that the Sentinel does not take is a wrong flag.
fn refuse(error: &ConfigError) -> ! {
    Args::command().error(ErrorKind::ValueValidation, error).exit()
}

/// To standard error, which may be closed.
fn complain(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "replay: {what}");
}
