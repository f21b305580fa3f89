//! A real axum service with several tenants, and clients inside the same process that ask it over loopback. After a few seconds
//! one tenant's requests begin to fail. Prints the verdict whenever it changes, and where to look at it in a browser.
//!
//! ```text
//! cargo run --release --example axum_incident                  # goes on until Ctrl-C
//! cargo run --release --example axum_incident -- --seconds 20  # what `make demo` does, which builds it with another profile
//! ```
//!
//! Sentinel in a service, line by line: [`service::app`] is all that another service needs.
#![allow(clippy::print_stdout)] // it is a program for people

mod clients;
mod service;

use clap::Parser;
use sentinel_core::{Kind, Query, Sentinel, Verdict};
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Which tenant is it? A live service, an incident, and the answer.
///
/// Exits with 0 when the last answer names the tenant that fails, with 1 when it does not, with 2 on a wrong flag.
#[derive(Debug, Parser)]
struct Options {
    /// Seconds until it ends; without it, it goes on until Ctrl-C.
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Seconds until the tenant begins to fail.
    #[arg(long, value_name = "S", default_value_t = 6)]
    calm: u64,
    /// Address to listen on; port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The token of the admin view.
    #[arg(long, env = "SENTINEL_ADMIN_TOKEN", hide_env_values = true, default_value = "demo-token")]
    token: String,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(&options))
}

async fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let sentinel = Sentinel::from_env()?;
    let incident = service::Incident::default();
    let app = service::app(&sentinel, &incident, &options.token)?;
    let listener = TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    clients::begin(address);

    println!("A service with {} tenants listens on http://{address}", clients::TENANTS.len());
    println!("The admin view: http://{address}/sentinel/   (token: {})\n", options.token);

    let start = Instant::now();
    let end = options.seconds.map(Duration::from_secs);
    let mut said = String::new();
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            _ = &mut interrupted => break,
        }
        let elapsed = start.elapsed();
        if elapsed.as_secs() >= options.calm && incident.begin() {
            println!("{:>5.1} s  (now half of what {} asks begins to fail)", elapsed.as_secs_f64(), service::FAILING);
        }
        sentinel.tick(sentinel.now_ms()); // judge, once a second
        let verdict = sentinel.verdict();
        let line = one_line(&verdict);
        if line != said {
            println!("{:>5.1} s  {}", elapsed.as_secs_f64(), verdict.text);
            said = line;
        }
        if end.is_some_and(|end| elapsed >= end) {
            break;
        }
    }
    let report = sentinel.report(Query { limit: 5, ..Query::default() });
    println!("\n{report}");
    let named = report.verdict.kind == Kind::OneTenant && report.verdict.tenants == [service::FAILING];
    Ok(if named || start.elapsed().as_secs() < options.calm { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The parts of a verdict whose change is news, without the counts of each second.
fn one_line(verdict: &Verdict) -> String {
    format!("{:?} {:?} {}", verdict.kind, verdict.tenants, verdict.active)
}
