//! The judgement: how good a sequence of verdict changes is, against what really happened.
//!
//! Between two changes the verdict stays; before the first one it is quiet. Everything is judged once a second of
//! stream time. Right means one of the expected kinds with every culprit and nobody beside those who have a part in it;
//! an endpoint verdict must name the endpoint, a tenant verdict need not.

use std::collections::BTreeSet;

use sentinel_core::{Kind, Verdict};
use serde::Serialize;

use crate::scenario::{Base, Expect, Happened, Truth};

/// Seconds after the end that belong to the incident when its changes are counted; within which it must go quiet.
const CHANGES_AFTER_MS: i64 = 600_000;
const QUIET_WITHIN_MS: i64 = 1_200_000;

/// A verdict and when it was first shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Shown {
    pub(crate) at_ms: i64,
    pub(crate) kind: Kind,
    pub(crate) tenants: BTreeSet<String>,
    pub(crate) endpoint: Option<String>,
}

/// Score of one incident, with the fields of the judgement script.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Score {
    pub(crate) kind: Base,
    /// The culprit reached 5 errors; an incident without a single culprit always counts.
    pub(crate) nameable: bool,
    /// A right verdict during the incident, and the seconds until the first one.
    pub(crate) detected: bool,
    pub(crate) delay_s: Option<f64>,
    pub(crate) delay_after_5th_error_s: Option<f64>,
    /// Right in the last second; share of the seconds right from the first one to the end.
    pub(crate) right_at_end: bool,
    pub(crate) held: f64,
    /// One failing endpoint of one tenant: share of the right seconds that name it.
    pub(crate) endpoint_share: Option<f64>,
    /// Verdicts, and seconds, that accuse a tenant who has no part in it.
    pub(crate) wrong_accusations: u64,
    pub(crate) wrong_accusations_s: u64,
    /// Changes of kind or tenants from the start to 10 minutes after the end.
    pub(crate) changes: u64,
    /// Seconds after the end until it is quiet for good; none when the stream ends with the incident.
    pub(crate) quiet_after_end_s: Option<f64>,
}

/// Scores of a whole stream.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Judgement {
    pub(crate) incidents: Vec<Score>,
    /// Verdicts other than quiet before the first incident; in a calm stream, in all of it.
    pub(crate) false_before: u64,
}

/// Notes a verdict where it differs from the last one.
pub(crate) fn note(changes: &mut Vec<Shown>, at_ms: i64, verdict: Verdict) {
    let Verdict { kind, tenants, endpoint, .. } = verdict;
    let tenants: BTreeSet<String> = tenants.into_iter().collect();
    let same = match changes.last() {
        Some(last) => last.kind == kind && last.tenants == tenants && last.endpoint == endpoint,
        None => kind == Kind::Quiet,
    };
    if !same {
        changes.push(Shown { at_ms, kind, tenants, endpoint });
    }
}

/// Judges the verdict changes of a stream.
pub(crate) fn judge(truth: &Truth, changes: &[Shown]) -> Judgement {
    let quiet = Shown { at_ms: i64::MIN, kind: Kind::Quiet, tenants: BTreeSet::new(), endpoint: None };
    let mut rest = changes.iter().peekable();
    let mut now = &quiet;
    let first = truth.from_ms.div_euclid(1000) * 1000 + 1000;
    let seconds: Vec<Second<'_>> = (first..truth.to_ms + 1000)
        .step_by(1000)
        .map(|at| {
            while let Some(next) = rest.next_if(|s| s.at_ms <= at) {
                now = next;
            }
            (at, now)
        })
        .collect();
    let begin = truth.incidents.iter().map(|i| i.from_ms).min().unwrap_or(truth.to_ms);
    Judgement {
        incidents: truth.incidents.iter().map(|i| score(i, &seconds)).collect(),
        false_before: alarms(between(&seconds, i64::MIN, begin)),
    }
}

/// An evaluated moment in ms and the verdict shown then.
type Second<'a> = (i64, &'a Shown);

/// The seconds after `from` up to `to`.
fn between<'s, 'a>(seconds: &'s [Second<'a>], from: i64, to: i64) -> &'s [Second<'a>] {
    let part = |ms| seconds.partition_point(|s| s.0 <= ms);
    &seconds[part(from)..part(to)]
}

/// Number of changes from quiet to another verdict.
fn alarms(seconds: &[Second<'_>]) -> u64 {
    let loud = |s: &Second<'_>| s.1.kind != Kind::Quiet;
    u64::from(seconds.first().is_some_and(loud)) + count(seconds.windows(2).map(|s| !loud(&s[0]) && loud(&s[1])))
}

fn score(i: &Happened, seconds: &[Second<'_>]) -> Score {
    let (expect, begin, end) = (&i.expect, i.from_ms, i.to_ms);
    let during = between(seconds, begin, end);
    let right: Vec<Second<'_>> = during.iter().copied().filter(|s| is_right(s.1, expect)).collect();
    let since_right = right.first().map_or(0, |r| during.iter().filter(|s| s.0 >= r.0).count());
    let delay = |from: i64| right.first().map(|r| part(r.0 - from));
    let by_errors = expect.must.len() == 1 && !i.kind.is_slow();
    let names_it = |s: &Second<'_>| s.1.endpoint == expect.endpoint;
    let should_name = expect.kinds == [Kind::OneTenant] && expect.endpoint.is_some() && !right.is_empty();
    let after = between(seconds, end, end + QUIET_WITHIN_MS);
    let restless = after.iter().rfind(|s| s.1.kind != Kind::Quiet);
    let wrong = |s: &Second<'_>| accuses(s.1) && !s.1.tenants.is_subset(&expect.may);
    let new_wrong = |k: usize| wrong(&during[k]) && (k == 0 || differ(during[k - 1].1, during[k].1));
    Score {
        kind: i.kind,
        nameable: !by_errors || i.fifth_error_ms.is_some(),
        detected: !right.is_empty(),
        delay_s: delay(begin),
        delay_after_5th_error_s: i.fifth_error_ms.filter(|_| by_errors).and_then(delay),
        right_at_end: during.last().is_some_and(|s| is_right(s.1, expect)),
        held: rounded(share(right.len(), since_right)),
        endpoint_share: should_name.then(|| rounded(share(right.iter().filter(|s| names_it(s)).count(), right.len()))),
        wrong_accusations: count((0..during.len()).map(new_wrong)),
        wrong_accusations_s: count(during.iter().map(wrong)),
        changes: count(between(seconds, begin, end + CHANGES_AFTER_MS).windows(2).map(|s| differ(s[0].1, s[1].1))),
        quiet_after_end_s: (!after.is_empty()).then(|| restless.map_or(0.0, |s| part(s.0 - end))),
    }
}

fn is_right(v: &Shown, expect: &Expect) -> bool {
    expect.kinds.contains(&v.kind)
        && if accuses(v) {
            expect.must.is_subset(&v.tenants) && v.tenants.is_subset(&expect.may)
        } else {
            v.kind != Kind::OneEndpoint || v.endpoint == expect.endpoint
        }
}

fn accuses(v: &Shown) -> bool {
    matches!(v.kind, Kind::OneTenant | Kind::FewTenants)
}

fn differ(a: &Shown, b: &Shown) -> bool {
    a.kind != b.kind || a.tenants != b.tenants
}

fn count(of: impl Iterator<Item = bool>) -> u64 {
    of.map(u64::from).sum()
}

fn part(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn share(part: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

fn rounded(share: f64) -> f64 {
    (share * 1e4).round() / 1e4
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::print_stderr)] // a test may stop, and says what it skips
mod tests {
    use std::{fs, path::Path, process::Command};

    use serde_json::{Value, json};

    use super::*;

    fn names(of: &[&str]) -> BTreeSet<String> {
        of.iter().map(|&n| n.to_owned()).collect()
    }

    fn shown(at_s: f64, kind: Kind, tenants: &[&str], endpoint: Option<&str>) -> Shown {
        Shown { at_ms: (at_s * 1000.0) as i64, kind, tenants: names(tenants), endpoint: endpoint.map(str::to_owned) }
    }

    /// A stream of 2,000.4 s that starts at 0 with an incident from 900.25 s to 1,200.25 s.
    fn truth(
        base: Base,
        kinds: &[Kind],
        must: &[&str],
        beside: &[&str],
        endpoint: Option<&str>,
        fifth: Option<i64>,
    ) -> Truth {
        let may = names(&[must, beside].concat());
        let expect = Expect { kinds: kinds.to_vec(), must: names(must), may, endpoint: endpoint.map(str::to_owned) };
        let (from_ms, to_ms) = (900_250, 1_200_250);
        let happened = Happened {
            kind: base,
            from_ms,
            to_ms,
            expect,
            requests: 0,
            errors: 0,
            tenant_requests: 0,
            tenant_errors: 0,
            fifth_error_ms: fifth,
        };
        Truth {
            scenario: "made".to_owned(),
            events: 0,
            from_ms: 0,
            to_ms: 2_000_400,
            options: None,
            incidents: vec![happened],
        }
    }

    fn one(fifth: Option<i64>) -> Truth {
        truth(Base::One, &[Kind::OneTenant], &["a"], &[], Some("E"), fifth)
    }

    /// A detour over everything: false alarms, wrong ones, the right one with and without endpoint, after-effects.
    fn restless() -> Vec<Shown> {
        vec![
            shown(200.0, Kind::Unclear, &[], None),
            shown(210.0, Kind::Quiet, &[], None),
            shown(890.0, Kind::Everyone, &[], None),
            shown(905.0, Kind::OneTenant, &["b"], None),
            shown(907.0, Kind::FewTenants, &["a", "b"], None),
            shown(910.0, Kind::OneTenant, &["a"], None),
            shown(920.0, Kind::OneTenant, &["a"], Some("E")),
            shown(1000.0, Kind::Unclear, &[], None),
            shown(1100.0, Kind::OneTenant, &["a"], Some("E")),
            shown(1230.0, Kind::Quiet, &[], None),
            shown(1300.5, Kind::OneTenant, &["c"], None),
            shown(1310.0, Kind::Quiet, &[], None),
            shown(1900.0, Kind::Unclear, &[], None),
            shown(1905.0, Kind::Quiet, &[], None),
        ]
    }

    #[test]
    fn a_restless_verdict_is_scored_in_full() {
        let j = judge(&one(Some(903_500)), &restless());
        let s = &j.incidents[0];
        assert_eq!((s.nameable, s.detected, s.right_at_end), (true, true, true));
        assert_eq!((s.delay_s, s.delay_after_5th_error_s), (Some(9.75), Some(6.5)));
        // Right 910..1000 and 1100..=1200, of 910..=1200.
        assert_eq!((s.held, s.endpoint_share), (0.6564, Some(0.9476))); // 191 of 291; 181 of 191
        // b alone for 2 s; a and b for 3 s.
        assert_eq!((s.wrong_accusations, s.wrong_accusations_s), (2, 5));
        // Kind or tenants change at 905, 907, 910, 1000, 1100, 1230, 1301 and 1310 s; 1900 s is too late.
        assert_eq!(s.changes, 8);
        assert_eq!(s.quiet_after_end_s, Some(703.75)); // 1904 is the last restless second
        assert_eq!(j.false_before, 2);
    }

    #[test]
    fn silence_is_wrong_in_an_incident_and_right_in_a_flood() {
        let s = judge(&one(None), &[]).incidents.remove(0);
        assert_eq!((s.nameable, s.detected, s.delay_s, s.held), (false, false, None, 0.0));
        assert_eq!((s.endpoint_share, s.changes, s.quiet_after_end_s), (None, 0, Some(0.0)));
        let flood = truth(Base::Flood, &[Kind::Quiet], &[], &[], None, None);
        let s = judge(&flood, &[]).incidents.remove(0);
        assert_eq!((s.nameable, s.detected, s.held, s.right_at_end, s.delay_s), (true, true, 1.0, true, Some(0.75)));
    }

    #[test]
    fn an_endpoint_must_be_the_right_one() {
        let t = truth(Base::Endpoint, &[Kind::OneEndpoint], &[], &[], Some("E"), None);
        let s = judge(
            &t,
            &[shown(910.0, Kind::OneEndpoint, &[], Some("F")), shown(1000.0, Kind::OneEndpoint, &[], Some("E"))],
        );
        assert_eq!((s.incidents[0].delay_s, s.incidents[0].changes), (Some(99.75), 1));
        assert_eq!(s.incidents[0].endpoint_share, None);
    }

    #[test]
    fn who_has_a_part_in_it_is_not_wrongly_accused_but_must_not_stand_alone() {
        let mut t = truth(Base::Hidden, &[Kind::OneTenant, Kind::FewTenants], &["a"], &["n"], None, Some(901_000));
        (t.incidents[0].from_ms, t.incidents[0].to_ms) = (900_000, 1_200_000); // 900 s is before it, 1,200 s in it
        let few = |at, who| shown(at, Kind::FewTenants, who, None);
        let v = [shown(900.0, Kind::OneTenant, &["n"], None), few(930.0, &["a", "n", "z"]), few(1200.0, &["a", "n"])];
        let s = judge(&t, &v).incidents.remove(0);
        assert_eq!((s.delay_s, s.delay_after_5th_error_s, s.right_at_end), (Some(300.0), Some(299.0), true));
        assert_eq!((s.wrong_accusations, s.wrong_accusations_s, s.changes, s.held), (1, 270, 2, 1.0));
    }

    #[test]
    fn a_calm_stream_counts_each_alarm() {
        let calm = Truth { incidents: Vec::new(), ..one(None) };
        assert_eq!((judge(&calm, &restless()).false_before, judge(&calm, &[]).false_before), (4, 0));
    }

    /// The reference judgement must say the same of the same made-up truths and verdicts.
    #[test]
    fn the_reference_script_agrees() {
        let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/tools/score.py"));
        if !script.exists() {
            eprintln!("SKIPPED: no reference judgement at {}", script.display());
            return;
        }
        let truths = [
            one(Some(903_500)),
            one(None),
            truth(Base::Flood, &[Kind::Quiet], &[], &[], None, None),
            truth(Base::Few, &[Kind::FewTenants], &["a", "b"], &[], None, None),
            truth(Base::Outage, &[Kind::Everyone], &[], &[], None, None),
            truth(Base::Slow, &[Kind::OneTenant], &["a"], &[], None, Some(950_000)),
            truth(Base::Hidden, &[Kind::OneTenant, Kind::FewTenants], &["a"], &["b"], None, Some(901_000)),
            truth(Base::Endpoint, &[Kind::OneEndpoint], &[], &[], Some("E"), None),
        ];
        // The script takes several incidents at once; a stream without one is calm.
        let calm = Truth { incidents: Vec::new(), ..one(None) };
        let all = Truth { incidents: truths.into_iter().flat_map(|t| t.incidents).collect(), ..calm.clone() };
        let sequences = [
            Vec::new(),
            restless(),
            vec![shown(905.0, Kind::OneEndpoint, &[], Some("E"))],
            vec![shown(1.0, Kind::Unclear, &[], None), shown(1000.0, Kind::FewTenants, &["a", "b", "c"], None)],
        ];
        let dir = tempfile::tempdir().unwrap();
        let (at, of) = (dir.path().join("truth.json"), dir.path().join("verdicts.jsonl"));
        for (t, v) in [&calm, &all].into_iter().flat_map(|t| sequences.iter().map(move |v| (t, v))) {
            fs::write(&at, serde_json::to_string(t).unwrap()).unwrap();
            fs::write(&of, v.iter().map(|s| serde_json::to_string(s).unwrap() + "\n").collect::<String>()).unwrap();
            let out = Command::new("python3").arg(script).args([&at, &of]).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            let lines = String::from_utf8(out.stdout).unwrap();
            let theirs: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
            let judged = judge(t, v);
            let mut ours: Vec<Value> = judged.incidents.iter().map(|s| serde_json::to_value(s).unwrap()).collect();
            if ours.is_empty() {
                ours.push(json!({ "kind": "calm", "seconds": 2000 }));
            }
            for line in &mut ours {
                line["false_before"] = judged.false_before.into();
            }
            assert_eq!(ours, theirs, "{v:?}");
        }
    }
}
