//! Targets of the verdicts, the streams on which each target is measured, and the tables of the results.
//!
//! A stream that never showed a right verdict counts as infinitely late. Percentiles are nearest-rank.

use std::fmt::Write as _;

use serde::Serialize;

use crate::score::Score;

/// A stream as it was judged. The error verdict is judged in all of them, except the latency verdict in slow ones.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) scenario: String,
    pub(crate) kind: &'static str,
    pub(crate) rps: u32,
    pub(crate) seed: u64,
    pub(crate) events: u64,
    pub(crate) slow: bool,
    /// None in a calm day.
    pub(crate) score: Option<Score>,
    pub(crate) false_before: u64,
    /// Alarms of the other verdict, which has no reason to say anything all stream long.
    pub(crate) false_other: u64,
}

impl Outcome {
    /// Right kind and tenants. A flood is right when it is quiet from the first second to the last.
    fn right(&self) -> bool {
        self.score
            .as_ref()
            .is_some_and(|s| s.detected && (self.kind != "flood" || s.held >= 1.0 && s.delay_s <= Some(1.0)))
    }

    fn nameable(&self) -> bool {
        self.score.as_ref().is_some_and(|s| s.nameable)
    }
}

/// One tenant that fails wherever it goes: where its targets for delays hold. On one endpoint alone it takes longer.
const ONE: &[&str] = &["one_all"];
/// Nobody, or everybody, is the culprit: accusing one is wrong.
const BLAMELESS: &[&str] = &["outage", "outage_weak", "outage_hi", "early_out", "big60", "endpoint", "flood"];
/// One tenant 8 times slower.
const SLOWER: &[&str] = &["slow", "slow_chr"];

/// Which streams a target is measured on.
#[derive(Clone, Copy)]
enum Of {
    /// Incidents of errors that are nameable: every kind, unless its only culprit never reaches 5 errors.
    Errors,
    /// Streams whose incident calls for a verdict; a flood calls for none.
    Loud,
    /// These kinds, as far as they are nameable.
    Kinds(&'static [&'static str]),
    Calm,
}

/// At how many requests a second.
#[derive(Clone, Copy)]
enum At {
    Any,
    Busy, // >= 200
    Idle, // 5
}

/// Quantity that is measured on the streams.
#[derive(Clone, Copy)]
enum Figure {
    Right,
    RightAtEnd,
    /// Streams with a wrong accusation.
    Accusing,
    FalseErrors, // alarms in calm streams
    FalseLatency,
    /// Percentiles, in seconds.
    Delay(f64),
    DelayAfterFifth(f64),
    Quiet(f64),
    /// Means.
    Changes,
    EndpointShare,
}

/// Target of a figure.
#[derive(Clone, Copy)]
enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    /// Told, not judged.
    Told,
}

use At::{Any, Busy, Idle};
use Figure::{
    Accusing, Changes, Delay, DelayAfterFifth, EndpointShare, FalseErrors, FalseLatency, Quiet, Right, RightAtEnd,
};
use Of::{Calm, Errors, Kinds, Loud};
use Wanted::{AtLeast, AtMost, Told};

const TARGETS: &[(&str, Of, At, Figure, Wanted)] = &[
    ("right kind and tenants, nameable incidents", Errors, Any, Right, AtLeast(0.99)),
    ("the same, still right at the end", Errors, Any, RightAtEnd, AtLeast(0.97)),
    ("outage, endpoint or flood that accuses a tenant (of >= 500)", Kinds(BLAMELESS), Any, Accusing, AtMost(0.0)),
    ("false verdicts in calm days, errors", Calm, Any, FalseErrors, AtMost(0.0)),
    ("false verdicts in calm days, latency", Calm, Any, FalseLatency, AtMost(0.0)),
    ("one tenant, after its 5th error, p50, >= 200 rps", Kinds(ONE), Busy, DelayAfterFifth(0.5), AtMost(2.0)),
    ("one tenant, after its 5th error, p90, >= 200 rps", Kinds(ONE), Busy, DelayAfterFifth(0.9), AtMost(5.0)),
    ("one tenant, after its 5th error, p90, 5 rps", Kinds(ONE), Idle, DelayAfterFifth(0.9), AtMost(12.0)),
    ("the same on one endpoint only, p90, >= 200 rps", Kinds(&["one_ep"]), Busy, DelayAfterFifth(0.9), Told),
    ("outage, p90, >= 200 rps", Kinds(&["outage"]), Busy, Delay(0.9), AtMost(2.0)),
    ("outage, p90, 5 rps", Kinds(&["outage"]), Idle, Delay(0.9), AtMost(12.0)),
    ("one tenant x8 slower, p50, >= 200 rps", Kinds(SLOWER), Busy, Delay(0.5), AtMost(10.0)),
    ("one tenant x8 slower, right, >= 200 rps", Kinds(SLOWER), Busy, Right, AtLeast(1.0)),
    ("one tenant x8 slower, right, 5 rps", Kinds(SLOWER), Idle, Right, AtLeast(0.9)),
    ("quiet after the end, p90, >= 200 rps", Loud, Busy, Quiet(0.9), AtMost(20.0)),
    ("quiet after the end, p90, 5 rps", Loud, Idle, Quiet(0.9), AtMost(120.0)),
    ("verdict changes an incident, mean", Loud, Any, Changes, AtMost(2.5)),
    ("chronic failer beside a new culprit, right", Kinds(&["chronic"]), Any, Right, AtLeast(1.0)),
    ("60 % of the traffic failing alone, right", Kinds(&["big60one"]), Any, Right, AtLeast(1.0)),
    ("the same tenant in an outage: everyone", Kinds(&["big60"]), Any, Right, AtLeast(1.0)),
    ("one endpoint of one tenant: seconds that name it", Kinds(&["one_ep"]), Any, EndpointShare, Told),
];

impl Of {
    fn holds(self, o: &Outcome) -> bool {
        let errors = o.nameable() && !o.slow;
        match self {
            Self::Errors => errors,
            Self::Loud => errors && o.kind != "flood",
            Self::Kinds(kinds) => o.nameable() && kinds.contains(&o.kind),
            Self::Calm => o.score.is_none(),
        }
    }
}

impl At {
    fn holds(self, rps: u32) -> bool {
        match self {
            Self::Any => true,
            Self::Busy => rps >= 200,
            Self::Idle => rps < 200,
        }
    }
}

impl Figure {
    fn measure(self, of: &[&Outcome]) -> f64 {
        let scores = || of.iter().filter_map(|o| o.score.as_ref());
        match self {
            Right => mean(of.iter().map(|o| f64::from(o.right()))),
            RightAtEnd => mean(scores().map(|s| f64::from(s.right_at_end))),
            Accusing => scores().filter(|s| s.wrong_accusations > 0).count() as f64,
            FalseErrors => of.iter().map(|o| o.false_before).sum::<u64>() as f64,
            FalseLatency => of.iter().map(|o| o.false_other).sum::<u64>() as f64,
            Delay(p) => percentile(scores().map(|s| s.delay_s.unwrap_or(f64::INFINITY)), p),
            DelayAfterFifth(p) => percentile(scores().map(|s| s.delay_after_5th_error_s.unwrap_or(f64::INFINITY)), p),
            Quiet(p) => percentile(scores().filter_map(|s| s.quiet_after_end_s), p),
            Changes => mean(scores().map(|s| s.changes as f64)),
            EndpointShare => mean(scores().filter_map(|s| s.endpoint_share)),
        }
    }

    fn show(self, x: f64) -> String {
        match self {
            _ if x.is_nan() => "-".to_owned(),
            Right | RightAtEnd | EndpointShare => format!("{:.1} %", 100.0 * x).replace(".0 %", " %"),
            Delay(_) | DelayAfterFifth(_) | Quiet(_) if x.is_infinite() => "never".to_owned(),
            Delay(_) | DelayAfterFifth(_) | Quiet(_) => format!("{x:.1} s"),
            Accusing | FalseErrors | FalseLatency => format!("{x}"),
            Changes => format!("{x:.2}"),
        }
    }
}

/// Streams from which on a figure is judged that allows for some to fail.
const FEWEST: usize = 20;

/// A target and how it went; `met` is none when it was not measured or is only told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    target: &'static str,
    wanted: String,
    measured: f64, // in JSON null for "never" and for nothing
    shown: String,
    streams: usize,
    pub(crate) met: Option<bool>,
}

/// Every target, measured.
pub(crate) fn targets(outcomes: &[Outcome]) -> Vec<Row> {
    let row = |&(target, of, at, figure, wanted): &(&'static str, Of, At, Figure, Wanted)| {
        let of: Vec<&Outcome> = outcomes.iter().filter(|o| of.holds(o) && at.holds(o.rps)).collect();
        let measured = if of.is_empty() { f64::NAN } else { figure.measure(&of) };
        let wanted_is = wanted;
        let (wanted, met) = match wanted {
            AtLeast(x) if x < 1.0 => (format!(">= {}", figure.show(x)), Some(measured >= x)),
            AtLeast(x) => (figure.show(x), Some(measured >= x)),
            AtMost(x) if x > 0.0 => (format!("<= {}", figure.show(x)), Some(measured <= x)),
            AtMost(x) => (figure.show(x), Some(measured <= x)),
            Told => ("-".to_owned(), None),
        };
        // Of a few streams a percentile, a mean or a share says little: it is told, and judged only where none may fail.
        let strict = matches!(wanted_is, AtLeast(1.0) | AtMost(0.0));
        let met = met.filter(|_| !measured.is_nan() && (strict || of.len() >= FEWEST));
        Row { target, wanted, measured, shown: figure.show(measured), streams: of.len(), met }
    };
    TARGETS.iter().map(row).collect()
}

/// Labelled faults of a real stream that are to be found, as a share of those that count: 12 of 15.
const FOUND: f64 = 0.8;

/// The target of the real stream: how many of its labelled faults were named, and how soon.
pub(crate) fn faults(delays: &[Option<f64>]) -> Row {
    let found: Vec<f64> = delays.iter().copied().flatten().collect();
    let (all, median) = (delays.len(), percentile(found.iter().copied(), 0.5));
    Row {
        target: "trainticket: labelled faults named within 3 min",
        wanted: format!(">= {:.0} of {all}", (FOUND * all as f64).ceil()),
        measured: found.len() as f64,
        shown: format!("{}, median {median:.0} s", found.len()),
        streams: 1,
        met: Some(found.len() as f64 >= FOUND * all as f64),
    }
}

/// The table of the targets, the table of the kinds, and the streams that went wrong.
pub(crate) fn print(outcomes: &[Outcome], rows: &[Row]) -> String {
    let met = |r: &Row| match r.met {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
    };
    let line = |r: &Row| vec![r.target.into(), r.wanted.clone(), r.shown.clone(), r.streams.to_string(), met(r).into()];
    let mut out = markdown(&["target", "wanted", "measured", "streams", "met"], rows.iter().map(line).collect());
    out.push('\n');
    out += &by_kind(outcomes);
    let named = |wrong: &dyn Fn(&Outcome) -> bool| -> Vec<String> {
        outcomes.iter().filter(|o| wrong(o)).map(|o| format!("{} seed {}", o.scenario, o.seed)).collect()
    };
    let accusing = |o: &Outcome| o.score.as_ref().is_some_and(|s| s.wrong_accusations > 0);
    let missed = |o: &Outcome| o.nameable() && !o.right();
    for (what, streams) in [("never right", named(&missed)), ("a wrong accusation", named(&accusing))] {
        let (all, first) = (streams.len(), streams.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", "));
        if all > 0 {
            let more = if all > 20 { ", ..." } else { "" };
            let _ = writeln!(out, "\n{what} in {all}: {first}{more}"); // writing to a string cannot fail
        }
    }
    out
}

/// A line for each kind, over all its fleets; right and at the end of the nameable streams.
fn by_kind(outcomes: &[Outcome]) -> String {
    let mut kinds: Vec<&str> = outcomes.iter().map(|o| o.kind).collect();
    kinds.dedup();
    let line = |kind: &str| {
        let all: Vec<&Outcome> = outcomes.iter().filter(|o| o.kind == kind).collect();
        let nameable: Vec<&Outcome> = all.iter().copied().filter(|o| o.nameable()).collect();
        let (incident, loud) = (all[0].score.is_some(), kind != "flood");
        let figure = |f: Figure, on: bool| if on { f.show(f.measure(&nameable)) } else { "-".to_owned() };
        let fifth = nameable.iter().any(|o| o.score.as_ref().is_some_and(|s| s.delay_after_5th_error_s.is_some()));
        let wrong: u64 = all.iter().filter_map(|o| o.score.as_ref()).map(|s| s.wrong_accusations).sum();
        vec![
            kind.to_owned(),
            all.len().to_string(),
            if incident { nameable.len().to_string() } else { "-".to_owned() },
            figure(Right, incident),
            figure(RightAtEnd, incident),
            format!("{} / {}", figure(Delay(0.5), incident && loud), figure(Delay(0.9), incident && loud)),
            format!("{} / {}", figure(DelayAfterFifth(0.5), fifth), figure(DelayAfterFifth(0.9), fifth)),
            if incident { wrong.to_string() } else { "-".to_owned() },
            figure(Changes, incident),
            figure(Quiet(0.9), incident),
            FalseErrors.measure(&all).to_string(),
            FalseLatency.measure(&all).to_string(),
        ]
    };
    let heads = "kind,streams,nameable,right,at end,delay p50 / p90,after 5th error p50 / p90,\
        wrong accusations,changes,quiet p90,false before,false other";
    markdown(&heads.split(',').collect::<Vec<_>>(), kinds.into_iter().map(line).collect())
}

fn markdown(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let heads: Vec<String> = heads.iter().map(|&h| h.to_owned()).collect();
    let width = |c: usize| rows.iter().chain([&heads]).map(|r| r[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let rule = widths.iter().map(|&w| "-".repeat(w)).collect();
    let mut out = String::new();
    for row in [heads, rule].into_iter().chain(rows) {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(out, "| {cell:width$} "); // writing to a string cannot fail
        }
        out += "|\n";
    }
    out
}

/// NaN of nothing.
fn mean(of: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = of.fold((0.0, 0), |(sum, n), x| (sum + x, n + 1));
    sum / f64::from(n)
}

/// Nearest rank; NaN of nothing.
fn percentile(of: impl Iterator<Item = f64>, p: f64) -> f64 {
    let mut all: Vec<f64> = of.collect();
    all.sort_by(f64::total_cmp);
    let rank = (p * all.len() as f64).ceil() as usize;
    all.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Base;

    /// A busy outage that was seen after `delay_s`, or never.
    fn outage(seed: u64, delay_s: Option<f64>, wrong_accusations: u64) -> Outcome {
        let score = Score {
            kind: Base::Outage,
            nameable: true,
            detected: delay_s.is_some(),
            delay_s,
            delay_after_5th_error_s: None,
            right_at_end: delay_s.is_some(),
            held: 1.0,
            endpoint_share: None,
            wrong_accusations,
            wrong_accusations_s: wrong_accusations,
            changes: 2,
            quiet_after_end_s: Some(10.0),
        };
        let (scenario, score) = ("outage@20x200".to_owned(), Some(score));
        Outcome {
            scenario,
            kind: "outage",
            rps: 200,
            seed,
            events: 1,
            slow: false,
            score,
            false_before: 0,
            false_other: 0,
        }
    }

    fn shown(rows: &[Row], target: &str) -> (String, Option<bool>) {
        rows.iter().find(|r| r.target.starts_with(target)).map(|r| (r.shown.clone(), r.met)).unwrap_or_default()
    }

    #[test]
    fn percentiles_are_nearest_rank_and_never_comes_last() {
        let of = |p| percentile([3.0, f64::INFINITY, 1.0, 2.0].into_iter(), p);
        assert_eq!([of(0.5), of(0.75), of(0.9)].map(|x| x.to_string()), ["2", "3", "inf"]);
        assert!(percentile([].into_iter(), 0.5).is_nan());
    }

    #[test]
    fn each_target_is_measured_on_its_own_streams() {
        let mut streams: Vec<Outcome> = (1..=19).map(|seed| outage(seed, Some(1.5), 0)).collect();
        assert_eq!(shown(&targets(&streams), "outage, p90, >= 200"), ("1.5 s".to_owned(), None)); // too few to judge
        streams.push(outage(20, Some(1.5), 0));
        assert_eq!(shown(&targets(&streams), "outage, p90, >= 200"), ("1.5 s".to_owned(), Some(true)));
        assert_eq!(shown(&targets(&streams), "outage, p90, 5"), ("-".to_owned(), None));
        streams.extend([outage(21, None, 0), outage(22, None, 1), outage(23, None, 0), outage(24, None, 0)]);
        let rows = targets(&streams);
        assert_eq!(shown(&rows, "outage, p90, >= 200"), ("never".to_owned(), Some(false)));
        assert_eq!(shown(&rows, "right kind"), ("83.3 %".to_owned(), Some(false)));
        assert_eq!(shown(&rows, "outage, endpoint or flood"), ("1".to_owned(), Some(false)));
        assert_eq!(shown(&rows, "verdict changes"), ("2.00".to_owned(), Some(true)));
        assert!(print(&streams, &rows).contains("a wrong accusation in 1: outage@20x200 seed 22"));
    }
}
