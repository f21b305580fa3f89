//! Uptime checks at work: three targets that fail, each in its own way, beside three that do not; then the network of this host dies, and
//! nobody is accused. Real servers on loopback, real probes, and a sink that prints what people would be told.
//!
//! ```text
//! cargo run --release --example uptime                  # 48 s; exits with 0 when all was told, and nothing else
//! cargo run --release --example uptime -- --seconds 90  # the same, slower
//! ```
#![allow(clippy::print_stdout)] // it is a program for people

mod by_hand;
mod judged;
mod script;
mod table;
mod targets;
mod told;

use clap::Parser;
use script::Script;
use sentinel_core::Sentinel;
use sentinel_exporter::{Config, Exporter};
use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use table::Seen;
use targets::Target;
use told::Told;

/// Shows the messages about targets that fail, hang and flap, and about a network that is down.
///
/// Six servers are probed once a second, each on an address of its own (127.0.0.1 to 127.0.0.6, so that they are different hosts):
///
///   shop      answers 503 for a while: one message, and one when it is over
///   search    hangs for a while: the same, after the timeout
///   payments  fails every other moment: after six changes it is told once that it goes up and down, and nothing more
///   login, docs, mail   answer all the time
///
/// Then nobody can be reached. That four and more checks of other hosts fail at once is no target's doing: one message says so, and what was
/// not reached is unknown and not down. At the end: where each stands, and a bar of what was known of it second by second.
///
/// On systems with 127.0.0.1 only (macOS), add the other addresses: `ifconfig lo0 alias 127.0.0.2` and so on.
///
/// Exits with 0 when all of it was told and nothing else, with 1 when not (it says what), with 2 on a wrong flag.
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment)]
struct Options {
    /// Seconds that all of it takes: 30 to 600.
    #[arg(long, value_name = "S", default_value_t = script::SECONDS, value_parser = clap::value_parser!(u64).range(30..=600))]
    seconds: u64,
}

/// The `sentinel.toml` of a service, except for the times: a real one does not probe once a second.
fn configuration(dir: &str, targets: &[Target]) -> String {
    let head = format!(
        r#"
[exporter]
service = "checkout"
dir = "{dir}"
every = "500ms"

[alerts]
grouping = {{ first = 0, then = 0 }}   # each at once, and not what happens together

[uptime]
allow = ["loopback"]                 # only public addresses are probed, unless others are allowed
"#
    );
    let check = |target: &Target| {
        format!(
            r#"
[[uptime.checks]]
name = "{}"
target = "http://{}/health"
interval = "1s"
timeout = "300ms"
confirm = {{ failures = 2, successes = 1, every = "100ms" }}
"#,
            target.name, target.address
        )
    };
    head + &targets.iter().map(check).collect::<String>()
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let script = Script::of(options.seconds);
    let targets = targets::start()?;
    // It is private by itself: the exporter takes no directory that others can write to.
    let dir = tempfile::tempdir()?;
    let toml = configuration(&dir.path().join("sentinel").display().to_string(), &targets);
    println!("The configuration, with the first of its checks:\n{}", without_others(&toml));

    let (start, (send, heard)) = (Instant::now(), mpsc::channel());
    let sentinel = Sentinel::builder().build()?;
    let sink = Arc::new(Told::new(start, send));
    let exporter = Exporter::with_sinks(&sentinel, Config::from_toml(&toml)?, None, vec![sink])?;
    // No request ever comes: it would start by itself at the first one.
    exporter.start();

    let (mut seen, mut was_dead, mut by_hand) = (Seen::new(sentinel.now_ms()), false, None);
    while start.elapsed() < script.end() {
        let elapsed = start.elapsed();
        // Before the network dies: what is known then is what was seen.
        if by_hand.is_none()
            && elapsed + Duration::from_millis(200) >= script.dead().start
            && let Ok(Some(report)) = sentinel.uptime()
        {
            by_hand = Some(by_hand::compared(&targets, &report));
        }
        for target in &targets {
            let behaviour = script.behaviour(target.name, elapsed);
            // That all are gone, and back, is one line.
            if target.begins(behaviour) && elapsed < script.dead().start {
                println!("{:>5.1} s  ({} {})", elapsed.as_secs_f64(), target.name, behaviour.says());
            }
        }
        if let Some(said) = script.news(&mut was_dead, elapsed) {
            println!("{:>5.1} s  ({said})", elapsed.as_secs_f64());
        }
        if elapsed.as_secs() as usize >= seen.seconds() {
            seen.look(elapsed, sentinel.uptime());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    seen.look(start.elapsed(), sentinel.uptime());
    println!("\n{}", seen.table());
    let (lines, unlike) =
        by_hand.unwrap_or_else(|| (String::new(), vec!["nothing was known before the network died".into()]));
    println!("Before the network died, by hand from what the servers saw, beside what is reported:\n{lines}");

    let exporter_ended = exporter.close(Duration::from_secs(5));
    let mut wrong = judged::wrong(&heard.try_iter().collect::<Vec<_>>(), &seen, &script);
    wrong.extend(unlike);
    if !exporter_ended {
        wrong.push("the exporter did not end within 5 s".into());
    }
    if wrong.is_empty() {
        println!("All of it was told, and nothing else.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("It should have been otherwise:");
    wrong.iter().for_each(|what| println!("  - {what}"));
    Ok(ExitCode::FAILURE)
}

/// The others are alike.
fn without_others(toml: &str) -> String {
    const CHECK: &str = "\n[[uptime.checks]]";
    toml.split(CHECK).take(2).collect::<Vec<_>>().join(CHECK)
}
