//! Measures what Sentinel costs, side by side with what people use today.
//!
//! Without arguments it measures everything; the subcommands are what it starts itself, one process for each measurement.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program: its tables are its output")]

mod alloc;
mod callgrind;
mod contenders;
mod memory;
mod merge;
mod query;
mod record;
mod rotate;
mod service;
mod stream;
mod timing;

use clap::{Parser, Subcommand};
use std::error::Error;
use std::process::ExitCode;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
#[command(name = "bench")]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One contender counts one stream, in this process
    Record {
        /// The stream
        case: record::Stream,
        /// Who counts
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
    let Options { what } = Options::parse();
    let result = match what {
        What::Record { case, who, events, check } => record::run(case, who, events, check),
        What::Query { tenants, warm, rotations } => query::run(tenants, warm, rotations),
        What::Rotate { calls } => rotate::run(calls),
        What::Merge { rounds } => merge::run(rounds),
        What::Memory { of: Memory::Traffic { tenants } } => memory::traffic(tenants),
        What::Memory { of: Memory::Idle } => memory::idle(),
        What::Memory { of: Memory::Known } => memory::known(),
        What::Memory { of: Memory::Flood { events } } => memory::flood(events),
        What::Callgrind => callgrind::run(),
    };
    match result {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::from(2)
        }
    }
}
