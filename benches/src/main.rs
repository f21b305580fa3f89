//! Measures what Sentinel costs, side by side with what people use today.
//!
//! Without arguments it measures everything; the subcommands are what it starts itself, one process for each measurement.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program: its tables are its output")]

mod all;
mod alloc;
mod callgrind;
mod contenders;
mod layer;
mod lines;
mod memory;
mod merge;
mod plan;
mod query;
mod record;
mod rotate;
mod service;
mod share;
mod stream;
mod table;
mod timing;
mod uptime;
mod view;

use clap::{Parser, Subcommand};
use serde_json::Value;
use std::error::Error;
use std::process::ExitCode;

type Failure = Box<dyn Error + Send + Sync>;

/// Measures what Sentinel costs, side by side with what people use today.
///
/// Prints tables, every target with what was measured, and one JSON line a case. Each measurement runs in a process of its
/// own: the subcommands.
#[derive(Parser)]
#[command(
    name = "bench",
    args_conflicts_with_subcommands = true,
    after_help = "Exit code: 0 all targets met, 1 a target missed, 2 bad usage or no measurement.\n\n\
    Examples:\n  bench --quick\n  bench --only zipf-100k --rounds 3\n  bench --table target/bench.jsonl"
)]
struct Options {
    #[command(flatten)]
    all: all::All,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// One contender counts one stream, in this process
    Record {
        /// The stream
        case: record::Stream,
        /// Contender that counts
        who: record::Who,
        /// Requests
        #[arg(long, default_value_t = stream::EVENTS)]
        events: usize,
        /// Let the contender show at the end that it has counted everything
        #[arg(long)]
        check: bool,
    },
    /// Times of reports
    Query {
        /// Tenants by Zipf
        tenants: u64,
        /// Warm reports of each ranking
        #[arg(long, default_value_t = 31)]
        warm: usize,
        /// Ends of a slot for each ranking
        #[arg(long, default_value_t = 7)]
        rotations: usize,
    },
    /// Times of single calls
    Rotate {
        /// Calls
        #[arg(long, default_value_t = 100_100_000)]
        calls: usize,
    },
    /// Times of taking in other processes' blocks
    Merge {
        /// Repetitions
        #[arg(long, default_value_t = 9)]
        rounds: usize,
    },
    /// An axum service answers requests through a layer
    Layer {
        /// The layer
        who: layer::Layer,
        /// Requests
        #[arg(long, default_value_t = 400_000)]
        requests: usize,
    },
    /// Times of the admin view's answers, and what those who poll it cost
    View {
        /// Answers
        #[arg(long, default_value_t = 31)]
        warm: usize,
        /// Seconds with pollers, and as many without
        #[arg(long, default_value_t = 20)]
        seconds: usize,
    },
    /// Times of publishing and of answers for a host of sixteen workers, and what a busy exporter costs the requests
    Share {
        /// Answers
        #[arg(long, default_value_t = 31)]
        rounds: usize,
        /// Seconds with a busy exporter, and as many without
        #[arg(long, default_value_t = 10)]
        seconds: usize,
    },
    /// Probes a second, and how late ten thousand checks are
    Uptime {
        /// Seconds of probing as fast as can be
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Minutes of ten thousand checks, after the first
        #[arg(long, default_value_t = 3)]
        minutes: u64,
    },
    /// Bytes
    Memory {
        #[command(subcommand)]
        of: Memory,
    },
    /// Instructions, when it runs under valgrind
    Callgrind,
}

#[derive(Subcommand)]
enum Memory {
    /// With so many tenants
    Traffic {
        /// Tenants by Zipf
        tenants: u64,
    },
    /// With nothing to do
    Idle,
    /// Allocations of records for tenants that are known
    Known,
    /// In a flood of ids
    Flood {
        /// Ids
        #[arg(long, default_value_t = 100_000_000)]
        events: usize,
    },
}

fn main() -> ExitCode {
    let Options { all, what } = Options::parse();
    let result = match what {
        Some(what) => one(&what).map(|line| {
            println!("{line}");
            true
        }),
        None => all::run(&all),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::from(2)
        }
    }
}

/// One measurement, in this process.
fn one(what: &What) -> Result<Value, Failure> {
    match *what {
        What::Record { case, who, events, check } => record::run(case, who, events, check),
        What::Query { tenants, warm, rotations } => query::run(tenants, warm, rotations),
        What::Rotate { calls } => rotate::run(calls),
        What::Merge { rounds } => merge::run(rounds),
        What::Layer { who, requests } => layer::run(who, requests),
        What::View { warm, seconds } => view::run(warm, seconds),
        What::Share { rounds, seconds } => share::run(rounds, seconds),
        What::Uptime { seconds, minutes } => uptime::run(seconds, minutes),
        What::Memory { of: Memory::Traffic { tenants } } => memory::traffic(tenants),
        What::Memory { of: Memory::Idle } => memory::idle(),
        What::Memory { of: Memory::Known } => memory::known(),
        What::Memory { of: Memory::Flood { events } } => memory::flood(events),
        What::Callgrind => callgrind::run(),
    }
}
