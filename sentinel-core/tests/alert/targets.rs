//! Alerts about uptime checks: from results on a virtual clock to what people read.

use crate::{Bench, START, seconds};
use proptest::collection::vec;
use proptest::prelude::*;
use sentinel_core::alert::{Facts, Grouping, Phase, Rule, Rules, State, Subject, Targets, Why};
use sentinel_core::uptime::{Cause, Check, CheckResult, Checks, Target, Uptime};
use std::collections::BTreeSet;

const DAY: i64 = 86_400_000;

fn check(name: &str) -> Check {
    Check::new(name, Target::new(&format!("https://{name}.example/health?key=hunter2")).unwrap())
}

fn uptime(checks: Vec<Check>) -> Uptime {
    let mut uptime = Uptime::default();
    uptime.configure(Checks::new(checks).unwrap(), START);
    uptime
}

/// Told as soon as it is known.
fn at_once(targets: Targets) -> Rules {
    let grouping = Grouping { first: seconds(0), then: seconds(0), ..Grouping::default() };
    Rules { targets, grouping, ..Rules::default() }
}

/// Checks and the alerts about them, by one clock.
struct Watch {
    bench: Bench,
    uptime: Uptime,
}

impl Watch {
    fn new(rules: Rules, checks: Vec<Check>) -> Self {
        Self { bench: Bench::new(rules), uptime: uptime(checks) }
    }

    fn result(&mut self, name: &str, at_ms: i64, cause: Option<Cause>) {
        self.expiring(name, at_ms, cause, None);
    }

    /// Records the result of a probe at this many ms after `START`, and takes the look that follows.
    fn expiring(&mut self, name: &str, at_ms: i64, cause: Option<Cause>, expires_ms: Option<i64>) {
        let now = START + at_ms;
        let result = match cause {
            None => CheckResult::up(now, 60_000),
            Some(cause) => CheckResult { status: Some(503), ..CheckResult::down(now, 60_000, cause) },
        };
        self.uptime.record(name, now, result, expires_ms.map(|ms| START + ms));
        self.look(at_ms);
    }

    fn look(&mut self, at_ms: i64) {
        let facts = facts(&self.uptime, &self.bench.state, START + at_ms);
        self.bench.step(at_ms, Some(&facts));
    }

    fn titles(&self) -> Vec<String> {
        self.bench.titles().into_iter().map(|title| title.replace("Sentinel: ", "")).collect()
    }
}

fn facts(uptime: &Uptime, state: &State, now_ms: i64) -> Facts {
    let followed: BTreeSet<&str> = state.targets().collect();
    Facts::new(now_ms, 600_000).with_targets(uptime.troubled(&followed), uptime.network().down_since_ms())
}

#[test]
fn down_and_up_again() {
    let mut watch = Watch::new(at_once(Targets::default()), vec![check("shop")]);
    watch.result("shop", 0, None);
    for at in [60_000, 70_000] {
        watch.result("shop", at, Some(Cause::Status));
        assert_eq!(watch.bench.phase(), Phase::Ok, "not confirmed at {at}");
    }
    watch.result("shop", 80_000, Some(Cause::Status));
    let fired = watch.bench.fired()[0].message();
    assert_eq!(fired.title, "🚨 Sentinel: Target shop is down: status 503");
    assert_eq!(fired.lines, ["https://shop.example/…", "since 22:14:20 UTC, critical"]);
    assert!(!format!("{:?}", watch.bench.notices).contains("hunter2"));
    watch.result("shop", 90_000, None);
    assert_eq!(watch.bench.phase(), Phase::Firing, "one success is not enough");
    watch.result("shop", 200_000, None);
    watch.result("shop", 210_000, None);
    assert_eq!(watch.titles(), ["🚨 Target shop is down: status 503", "✅ Target shop is up again after 2 minutes"]);
    assert_eq!(watch.bench.resolved()[0].why, Some(Why::Recovered));
}

/// One word for each cause; none of them is a text of the other side's.
#[test]
fn every_cause_is_said() {
    let mut said = BTreeSet::new();
    for cause in [
        Cause::Dns,
        Cause::Blocked,
        Cause::Connect,
        Cause::Tls,
        Cause::Certificate,
        Cause::Timeout,
        Cause::Protocol,
        Cause::Redirects,
        Cause::Status,
        Cause::Body,
        Cause::Latency,
    ] {
        let mut watch = Watch::new(at_once(Targets::default()), vec![check("shop")]);
        [0, 10_000, 20_000].into_iter().for_each(|at| watch.result("shop", at, Some(cause)));
        let title = watch.titles().remove(0);
        assert!(title.starts_with("🚨 Target shop is down: ") && !title.ends_with("it fails"), "{title}");
        said.insert(title);
    }
    assert_eq!(said.len(), 11);
}

#[test]
fn it_must_last_where_that_is_asked_for() {
    let rule = Targets { r#for: seconds(30), keep_firing_for: seconds(60), ..Targets::default() };
    let mut watch = Watch::new(at_once(rule), vec![check("shop")]);
    [0, 10_000, 20_000].into_iter().for_each(|at| watch.result("shop", at, Some(Cause::Timeout)));
    let mut phases = vec![watch.bench.phase()];
    for (at, cause) in [(30_000, None), (31_000, None), (60_000, None)] {
        watch.result("shop", at, cause);
        phases.push(watch.bench.phase());
    }
    assert_eq!(phases, [Phase::Pending, Phase::Pending, Phase::Ok, Phase::Ok]);
    [70_000, 80_000, 90_000].into_iter().for_each(|at| watch.result("shop", at, Some(Cause::Timeout)));
    [119_000, 120_000].into_iter().for_each(|at| watch.look(at));
    assert_eq!(watch.bench.phase(), Phase::Firing);
    [130_000, 140_000].into_iter().for_each(|at| watch.result("shop", at, None));
    assert_eq!(watch.bench.phase(), Phase::Recovering);
    watch.look(199_999);
    assert_eq!(watch.bench.phase(), Phase::Recovering);
    watch.look(200_000);
    assert_eq!((watch.bench.phase(), watch.bench.fired().len()), (Phase::Ok, 1));
}

/// A day of going up and down every five minutes: a handful of messages, and one that says so.
#[test]
fn a_flapping_target_tells_a_few_times() {
    let mut watch = Watch::new(at_once(Targets::default()), vec![check("shop")]);
    let mut at = 0;
    while at < DAY {
        let cause = (at / 300_000 % 2 == 1).then_some(Cause::Connect);
        watch.result("shop", at, cause);
        at += 10_000;
    }
    let (down, up) = ("🚨 Target shop is down: it accepts no connection", "✅ Target shop is up again after 4 minutes");
    let flaps = "🚨 Target shop goes up and down";
    assert_eq!(watch.titles()[..6], [down, up, down, up, down, flaps]);
    // Then it is told again while it lasts: every four hours.
    assert!(
        watch.titles()[6..].iter().all(|title| title.starts_with("🚨 still firing after ")),
        "{:?}",
        watch.titles()
    );
    assert_eq!(watch.titles().len(), 6 + 5);
    assert_eq!(watch.bench.fired().len(), 3);
    // Half an hour of peace, and it is over.
    let settled = at + 2_400_000;
    while at < settled {
        watch.result("shop", at, None);
        at += 60_000;
    }
    assert_eq!(watch.bench.phase(), Phase::Ok);
    assert_eq!(watch.titles().last().unwrap(), "✅ Target shop is up, and has been for a while");
}

#[test]
fn a_certificate_is_for_the_day() {
    let mut watch = Watch::new(at_once(Targets::default()), vec![check("shop")]);
    let expires = 20 * DAY;
    for hour in 0..24 * 9 {
        watch.expiring("shop", hour * 3_600_000, None, Some(expires));
    }
    let titles = watch.titles();
    // From the 14th day before on, once a day; not every four hours.
    assert_eq!(titles[0], "🚨 The certificate of target shop expires in 14 days");
    assert_eq!(
        (titles.len(), &titles[2][..]),
        (3, "🚨 still firing after 2 days: The certificate of target shop expires in 14 days")
    );
    let lines = watch.bench.fired()[0].message().lines;
    assert_eq!(lines[..2], ["https://shop.example/…", "expires on 2023-12-04 UTC"]);
    watch.expiring("shop", 9 * DAY, None, Some(90 * DAY));
    assert_eq!(watch.titles().last().unwrap(), "✅ The certificate of target shop does not expire soon any more");
    let mut watch = Watch::new(at_once(Targets::default()), vec![check("shop")]);
    watch.expiring("shop", 0, Some(Cause::Certificate), Some(-3 * DAY));
    assert_eq!(watch.titles(), ["🚨 The certificate of target shop expired 3 days ago"]);
}

/// 200 targets, a network that dies: one message, and none of them is said to be down.
#[test]
fn a_dead_network_is_one_message() {
    let names: Vec<String> = (0..200).map(|i| format!("shop-{i}")).collect();
    let mut watch = Watch::new(Rules::default(), names.iter().map(|name| check(name)).collect());
    let all = |watch: &mut Watch, at: i64, cause: Option<Cause>| {
        names.iter().enumerate().for_each(|(i, name)| watch.result(name, at + i as i64, cause));
    };
    all(&mut watch, 0, None);
    for round in 1..=60 {
        all(&mut watch, round * 60_000, Some(Cause::Timeout));
    }
    let fired: Vec<_> = watch.bench.fired().iter().map(|alert| alert.key.rule).collect();
    assert_eq!(fired, [Rule::OwnNetwork]);
    let down = "🚨 Most targets fail at once: the network of this host is down, not the targets";
    assert_eq!(watch.titles(), [down]);
    assert!(
        watch.uptime.report(START + 3_600_000).checks.iter().all(|check| check.windows[0].availability.down_ms == 0)
    );
    all(&mut watch, 3_660_000, None);
    all(&mut watch, 3_720_000, None);
    watch.look(4_200_000);
    let back = watch.titles().pop().unwrap();
    assert!(back.starts_with("✅ The network of this host is back after "), "{back}");
    assert_eq!((watch.titles().len(), watch.bench.phase()), (2, Phase::Ok));
}

#[test]
fn what_is_no_longer_watched_is_over() {
    for paused in [true, false] {
        let mut watch = Watch::new(at_once(Targets::default()), vec![check("shop"), check("other")]);
        [0, 10_000, 20_000].into_iter().for_each(|at| watch.result("shop", at, Some(Cause::Dns)));
        watch.expiring("shop", 30_000, Some(Cause::Dns), Some(0));
        assert_eq!(watch.bench.state.entries().count(), 2);
        let rest = if paused { vec![Check { paused, ..check("shop") }] } else { vec![] };
        watch.uptime.configure(Checks::new([rest, vec![check("other")]].concat()).unwrap(), START + 40_000);
        watch.look(40_000);
        assert!(watch.bench.resolved().iter().all(|alert| alert.why == Some(Why::RuleOff)), "paused: {paused}");
        assert_eq!((watch.bench.resolved().len(), watch.bench.state.entries().count()), (2, 0));
        let title = watch.titles().pop().unwrap();
        assert!(title.contains("2 alerts of shop: 2 resolved"), "{title}");
    }
}

/// A leader without facts about checks leaves alerts about them as they are; a rule that is off ends them.
#[test]
fn without_checks_nothing_begins_or_ends() {
    let mut watch = Watch::new(at_once(Targets::default()), vec![check("shop")]);
    [0, 10_000, 20_000].into_iter().for_each(|at| watch.result("shop", at, Some(Cause::Dns)));
    watch.bench.look(30, |facts| facts);
    assert_eq!(watch.bench.phase(), Phase::Firing);
    watch.bench.alerts =
        sentinel_core::alert::Alerts::new("shop", at_once(Targets { down: false, ..Targets::default() })).unwrap();
    watch.look(40_000);
    assert_eq!(watch.bench.resolved()[0].why, Some(Why::RuleOff));
    watch.look(50_000);
    assert_eq!(watch.bench.phase(), Phase::Ok);
}

/// A name with everything in it stays one line, and is what it was.
#[test]
fn a_name_is_a_name() {
    let name = "a\u{202e}b <!channel> & *x* \"q\"";
    let mut checks = vec![check("shop")];
    checks[0].name = name.into();
    let mut watch = Watch::new(at_once(Targets::default()), checks);
    [0, 10_000, 20_000].into_iter().for_each(|at| watch.result(name, at, Some(Cause::Dns)));
    let alert = watch.bench.fired()[0];
    assert_eq!(alert.key.subject, Subject::Target(name.into()));
    assert_eq!(
        alert.message().title,
        r#"🚨 Sentinel: Target a\u{202e}b <!channel> & *x* "q" is down: its name is not found"#
    );
}

#[test]
fn every_value_of_the_table_has_its_edges() {
    let rules = |targets: Targets| Rules { targets, ..Rules::default() }.validated();
    assert!(rules(Targets { r#for: seconds(86_400), ..Targets::default() }).is_ok());
    let error = rules(Targets { keep_firing_for: seconds(86_401), ..Targets::default() }).unwrap_err();
    assert_eq!(error.to_string(), "targets.keep_firing_for: 86401s is not allowed; allowed: 0s to 24h");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever probes find, and wherever the leader is replaced: the same alerts as without that, and none of two at a time for one check.
    #[test]
    fn whoever_resumes_says_the_same(
        results in vec((0_usize..3, 1_i64..200_000, 0_u8..4, prop::option::of(-40_i64..40)), 1..150),
        stops in vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let names = ["a", "b", "c"];
        let rules = at_once(Targets { keep_firing_for: seconds(20), ..Targets::default() });
        let stops: BTreeSet<usize> = stops.iter().map(|stop| stop.index(results.len())).collect();
        let (mut one, mut other) =
            (Watch::new(rules.clone(), names.map(check).to_vec()), Watch::new(rules, names.map(check).to_vec()));
        let mut at = 0;
        for (step, (which, moves, outcome, expires)) in results.iter().enumerate() {
            at += moves;
            let cause = [None, Some(Cause::Timeout), Some(Cause::Status), Some(Cause::Certificate)][usize::from(*outcome)];
            if stops.contains(&step) {
                let read = State::decode(&other.bench.state.encode());
                prop_assert_eq!(read.as_ref(), Ok(&other.bench.state));
                other.bench.state = read.unwrap();
            }
            for watch in [&mut one, &mut other] {
                watch.expiring(names[*which], at, cause, expires.map(|days| at + days * DAY));
            }
            let firing: Vec<_> = one.bench.state.entries().map(|(key, _)| key.clone()).collect();
            prop_assert!(firing.len() <= 7);
        }
        prop_assert_eq!(&one.bench.transitions, &other.bench.transitions);
        prop_assert_eq!(one.bench.notices.len(), other.bench.notices.len());
        let telling = one.bench.notices.iter().map(|notice| notice.message().text());
        prop_assert!(telling.into_iter().all(|text| !text.contains("hunter2")));
    }
}
