//! The measurements that `bench` without a subcommand starts: for each case its processes and their rounds.

use crate::layer::Layer;
use crate::record::{Stream, Who};
use crate::stream::EVENTS;
use clap::ValueEnum;

/// Rounds of those that are never the fastest peer, or are not one.
const FEW: usize = 3;

/// The cases, in the order they are run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    #[value(name = "zipf-1k")]
    Zipf1k,
    /// For the afternoon design, which has to stop here
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
    Query,
    Rotate,
    Merge,
    Memory,
    Layer,
    View,
    Share,
    Uptime,
}

impl Case {
    pub(crate) fn name(self) -> String {
        value_name(&self)
    }

    /// The first word of its line.
    pub(crate) fn bench(self) -> String {
        match self {
            Self::Query
            | Self::Rotate
            | Self::Merge
            | Self::Memory
            | Self::Layer
            | Self::View
            | Self::Share
            | Self::Uptime => self.name(),
            _ => "record".into(),
        }
    }
}

/// A measurement: a process that prints a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Name of the results within the case.
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) rounds: usize,
    /// Told `--check` the first time.
    pub(crate) checks: bool,
}

impl Job {
    fn new(name: &str, rounds: usize, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self { name: name.into(), arguments, rounds, checks: false }
    }

    fn record(name: &str, stream: Stream, who: Who, size: Size, rounds: usize) -> Self {
        let (stream, who, events) = (value_name(&stream), value_name(&who), size.events().to_string());
        Self { checks: true, ..Self::new(name, rounds, &["record", &stream, &who, "--events", &events]) }
    }
}

/// Sizes and rounds of all measurements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) rounds: usize,
    /// A look whether everything works, in seconds.
    pub(crate) quick: bool,
    /// Only the first million requests of a stream: for `metrics`, whose upkeep looks at every series there is and takes
    /// minutes when they are hundreds of thousands. It favours that peer.
    pub(crate) million: bool,
}

impl Size {
    fn events(self) -> usize {
        match self {
            Self { quick: true, .. } => EVENTS / 20,
            Self { million: true, .. } => 1_000_000,
            _ => EVENTS,
        }
    }

    fn few(self) -> usize {
        self.rounds.min(FEW)
    }
}

/// The measurements of a case.
pub(crate) fn jobs(case: Case, size: Size) -> Vec<Job> {
    match case {
        Case::Zipf1k => {
            let mut jobs = beside(Stream::Zipf1k, size);
            jobs.extend([
                Job::record("afternoon", Stream::Zipf1k, Who::Afternoon, size, size.few()),
                Job::record("ticked", Stream::Zipf1k, Who::SentinelTicked, size, size.few()),
                Job::record("still", Stream::Zipf1k, Who::SentinelStill, size, size.few()),
                Job::record("system", Stream::Zipf1k, Who::SentinelSystem, size, size.few()),
            ]);
            jobs
        }
        Case::Zipf10k => [Who::Sentinel, Who::Prometheus, Who::Afternoon]
            .map(|who| Job::record(&value_name(&who), Stream::Zipf10k, who, size, size.few()))
            .into(),
        Case::Zipf100k => with_ticked(Stream::Zipf100k, size),
        Case::Zipf1m => with_ticked(Stream::Zipf1m, size),
        Case::Hot2t => beside(Stream::Hot2t, size),
        // Eight million label sets would take the peers more than ten gigabytes.
        Case::Distinct => vec![
            Job::record("sentinel", Stream::Distinct, Who::Sentinel, size, size.rounds),
            Job::record("base", Stream::Zipf1k, Who::Sentinel, size, size.rounds),
        ],
        Case::Threads16 => vec![
            Job::record("sentinel", Stream::Threads16, Who::Sentinel, size, size.rounds),
            Job::record("base", Stream::Zipf100k, Who::Sentinel, size, size.rounds),
            Job::record("prometheus", Stream::Threads16, Who::Prometheus, size, 1),
        ],
        Case::Query if size.quick => vec![Job::new("1k", 1, &["query", "1000", "--warm", "3", "--rotations", "1"])],
        Case::Query => vec![
            Job::new("1k", 1, &["query", "1000"]),
            Job::new("10k", 1, &["query", "10000"]),
            // Of a million tenants so many come in ten minutes at 5,000 requests a second.
            Job::new("430k", 1, &["query", "1000000", "--warm", "15", "--rotations", "5"]),
        ],
        Case::Rotate if size.quick => vec![Job::new("rotate", 1, &["rotate", "--calls", "500000"])],
        Case::Rotate => vec![Job::new("rotate", 1, &["rotate"])],
        Case::Merge if size.quick => vec![Job::new("merge", 1, &["merge", "--rounds", "1"])],
        Case::Merge => vec![Job::new("merge", 1, &["merge"])],
        Case::Memory => memory(size),
        Case::Layer => {
            let requests = if size.quick { "20000" } else { "400000" };
            let job = |layer: &Layer| {
                let name = value_name(layer);
                Job::new(&name, size.rounds, &["layer", &name, "--requests", requests])
            };
            Layer::value_variants().iter().map(job).collect()
        }
        Case::View if size.quick => vec![Job::new("view", 1, &["view", "--warm", "3", "--seconds", "1"])],
        Case::View => vec![Job::new("view", 1, &["view"])],
        Case::Share if size.quick => vec![Job::new("share", 1, &["share", "--rounds", "3", "--seconds", "1"])],
        Case::Share => vec![Job::new("share", 1, &["share"])],
        Case::Uptime if size.quick => vec![Job::new("uptime", 1, &["uptime", "--seconds", "2", "--minutes", "1"])],
        Case::Uptime => vec![Job::new("uptime", 1, &["uptime"])],
    }
}

/// The sentinel and all peers.
fn beside(stream: Stream, size: Size) -> Vec<Job> {
    let rounds = |who| match who {
        Who::Sentinel | Who::Prometheus | Who::PrometheusClient => size.rounds,
        _ if stream == Stream::Zipf1m => 1,
        _ => size.few(),
    };
    [Who::Sentinel, Who::Prometheus, Who::PrometheusClient, Who::Metrics, Who::Opentelemetry]
        .map(|who| {
            let shorter = who == Who::Metrics && matches!(stream, Stream::Zipf100k | Stream::Zipf1m);
            let size = Size { million: shorter, ..size };
            Job::record(&value_name(&who), stream, who, size, rounds(who))
        })
        .into()
}

fn with_ticked(stream: Stream, size: Size) -> Vec<Job> {
    let mut jobs = beside(stream, size);
    jobs.push(Job::record("ticked", stream, Who::SentinelTicked, size, size.few()));
    jobs
}

fn memory(size: Size) -> Vec<Job> {
    let mut jobs = vec![
        Job::new("idle", 1, &["memory", "idle"]),
        Job::new("known", 1, &["memory", "known"]),
        Job::new("1k", 1, &["memory", "traffic", "1000"]),
    ];
    if size.quick {
        jobs.push(Job::new("flood", 1, &["memory", "flood", "--events", "1000000"]));
    } else {
        jobs.push(Job::new("10k", 1, &["memory", "traffic", "10000"]));
        jobs.push(Job::new("100k", 1, &["memory", "traffic", "100000"]));
        jobs.push(Job::new("flood", 1, &["memory", "flood"]));
    }
    jobs
}

fn value_name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_lines() {
        let names: Vec<String> = Case::value_variants().iter().map(|case| case.name()).collect();
        let wanted = "zipf-1k zipf-10k zipf-100k zipf-1m distinct hot-2t threads-16 query rotate merge memory layer view share uptime";
        assert_eq!(names.join(" "), wanted);
        assert_eq!((Case::Distinct.bench(), Case::Memory.bench()), ("record".into(), "memory".into()));
    }

    #[test]
    fn the_fastest_have_all_rounds_and_others_few() {
        let size = Size { rounds: 9, quick: false, million: false };
        let rounds = |case, name: &str| jobs(case, size).iter().find(|job| job.name == name).map(|job| job.rounds);
        assert_eq!(rounds(Case::Zipf100k, "sentinel"), Some(9));
        assert_eq!(rounds(Case::Zipf100k, "prometheus"), Some(9));
        assert_eq!(rounds(Case::Zipf100k, "prometheus-client"), Some(9));
        assert_eq!(rounds(Case::Zipf100k, "opentelemetry"), Some(3));
        assert_eq!(rounds(Case::Zipf1m, "opentelemetry"), Some(1));
        let shorter = jobs(Case::Zipf1m, size).iter().filter(|job| job.arguments.contains(&"1000000".into())).count();
        assert_eq!(shorter, 1);
        assert_eq!(rounds(Case::Zipf100k, "afternoon"), None);
        assert_eq!(rounds(Case::Distinct, "prometheus"), None);
    }
}
