//! Everything, in turns: each measurement is a process of its own, so that memory is fresh and no order is preferred.

use crate::lines::{self, Results};
use crate::plan::{Case, Job, Size, jobs};
use crate::{Failure, callgrind, table};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

#[derive(Args)]
pub(crate) struct All {
    /// Rounds of the sentinel, prometheus and prometheus-client; the median counts. The others have three at most
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
    /// Only this case. Repeatable
    #[arg(long, value_name = "CASE")]
    only: Vec<Case>,
    /// A look whether everything works, in seconds: small streams, one round, no target judged
    #[arg(long)]
    quick: bool,
    /// Write the JSON lines to this file as well, unless it is a quick look; a case that was not measured keeps its line
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Measure nothing: print the tables of the JSON lines in this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rounds", "only", "quick", "out"])]
    table: Option<PathBuf>,
}

/// Were all targets met?
pub(crate) fn run(options: &All) -> Result<bool, Failure> {
    if let Some(path) = &options.table {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        print!("{}", table::render(&parsed(&text)?));
        return Ok(true);
    }
    let rounds = if options.quick { 1 } else { options.rounds.into() };
    let size = Size { rounds, quick: options.quick, million: false };
    let wanted = |case: &Case| options.only.is_empty() || options.only.contains(case);
    let cases: Vec<Case> = Case::value_variants().iter().copied().filter(wanted).collect();
    let planned = cases.iter().flat_map(|case| jobs(*case, size)).map(|job| job.rounds as u64).sum();
    let bar = ProgressBar::new(planned); // only drawn on a terminal
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}, {elapsed}")?);
    bar.enable_steady_tick(Duration::from_millis(500));
    let mut found = Vec::new();
    for case in cases {
        let results = measure(case, size, &bar)?;
        let instructions = if case == Case::Zipf1k && !options.quick { callgrind::measure() } else { None };
        let line = lines::line(case, &results, instructions);
        found.push(serde_json::to_string(&if options.quick { line.unjudged() } else { line })?);
        if let Some(path) = options.out.as_ref().filter(|_| !options.quick) {
            save(path, &found)?;
        }
    }
    bar.finish_and_clear();
    let values = parsed(&found.join("\n"))?;
    println!("{}\n{}", table::render(&values), found.join("\n"));
    let met = |line: &Value| line["gates"].as_array().is_none_or(|gates| gates.iter().all(|gate| gate["met"] == true));
    Ok(options.quick || values.iter().all(met))
}

/// All rounds of a case; the measurements of a round follow each other.
fn measure(case: Case, size: Size, bar: &ProgressBar) -> Result<Results, Failure> {
    let (jobs, mut results) = (jobs(case, size), Results::new());
    for round in 0..size.rounds {
        for job in jobs.iter().filter(|job| round < job.rounds) {
            bar.set_message(format!("{} {}", case.name(), job.name));
            let result = start(job, round == 0)?;
            if let Some(failed) = result["failed"].as_str() {
                bar.suspend(|| eprintln!("bench: {} {}: {failed}", case.name(), job.name));
            }
            results.entry(job.name.clone()).or_default().push(result);
            bar.inc(1);
        }
    }
    Ok(results)
}

/// A measurement in a process of its own. One that fails is told in the line of its case; the others go on.
fn start(job: &Job, first: bool) -> Result<Value, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(&job.arguments).args((first && job.checks).then_some("--check")).stdin(Stdio::null());
    let output = command.output()?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Ok(json!({ "failed": format!("{}: {}", output.status, told.lines().next().unwrap_or_default()) }));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn parsed(text: &str) -> Result<Vec<Value>, Failure> {
    text.lines().filter(|line| !line.is_empty()).map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Writes the lines; those of other cases that are there already stay.
fn save(path: &PathBuf, found: &[String]) -> Result<(), Failure> {
    let before = fs::read_to_string(path).unwrap_or_default();
    fs::write(path, updated(&before, found)?).map_err(|e| format!("{}: {e}", path.display()).into())
}

/// In the order of the cases.
fn updated(before: &str, found: &[String]) -> Result<String, Failure> {
    let case = |line: &str| -> Result<String, Failure> {
        let line: Value = serde_json::from_str(line)?;
        Ok(line["case"].as_str().unwrap_or_default().to_owned())
    };
    let mut known = Vec::new();
    for line in before.lines().chain(found.iter().map(String::as_str)).filter(|line| !line.is_empty()) {
        let name = case(line)?;
        known.retain(|(other, _)| *other != name);
        known.push((name, line));
    }
    let order: Vec<String> = Case::value_variants().iter().map(|case| case.name()).collect();
    known.sort_by_key(|(name, _)| order.iter().position(|case| case == name));
    Ok(known.into_iter().fold(String::new(), |text, (_, line)| text + line + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_keeps_its_line_until_it_is_measured_again() {
        let before = "{\"case\":\"zipf-1k\",\"ns\":1}\n{\"case\":\"query\",\"ns\":2}\n";
        let found = ["{\"case\":\"distinct\",\"ns\":4}".to_owned(), "{\"case\":\"zipf-1k\",\"ns\":3}".to_owned()];
        let wanted =
            "{\"case\":\"zipf-1k\",\"ns\":3}\n{\"case\":\"distinct\",\"ns\":4}\n{\"case\":\"query\",\"ns\":2}\n";
        assert_eq!(updated(before, &found).unwrap(), wanted);
    }
}
