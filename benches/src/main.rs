//! Measures what Sentinel costs, side by side with what people use today.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program: its tables are its output")]

mod contenders;
mod record;
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
    },
}

fn main() -> ExitCode {
    let Options { what } = Options::parse();
    let result = match what {
        What::Record { case, who, events } => record::run(case, who, events),
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
