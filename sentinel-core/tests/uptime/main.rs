//! Uptime on a virtual clock: exact oracles that look at each millisecond, whole days of probing, a dead network, a flapping target.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::float_cmp, reason = "nothing is computed between what is compared")]

mod codec;
mod config;
mod engine;
mod history;
mod network;
mod report;
mod schedule;
mod state;
mod windows;

use sentinel_core::uptime::{
    After, Availability, Cause, Change, Check, CheckResult, Checks, Maintenance, Outcome, Target, Uptime,
};

const START: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn check(name: &str) -> Check {
    Check::new(name, Target::new(&format!("https://{name}.example/")).unwrap())
}

fn checks(checks: impl IntoIterator<Item = Check>) -> Checks {
    Checks::new(checks.into_iter().collect()).unwrap()
}

fn result(at_ms: i64, interval_ms: u32, outcome: Outcome) -> CheckResult {
    match outcome {
        Outcome::Up => CheckResult::up(at_ms, interval_ms),
        Outcome::Unknown => CheckResult::unknown(at_ms, interval_ms, Cause::Paused),
        Outcome::Down => CheckResult::down(at_ms, interval_ms, Cause::Timeout),
    }
}

/// The changes that people are told: the check, and the kind.
fn told(changes: &[Change]) -> Vec<(String, &'static str)> {
    let tells = changes.iter().filter(|change| change.tells);
    tells.map(|change| (change.check.clone().unwrap_or_default(), change.what.name())).collect()
}

/// The formula of the design, a second time and as slow as can be: each millisecond on its own.
fn oracle(results: &[CheckResult], maintenance: &[(i64, i64)], since: i64, from: i64, to: i64) -> Availability {
    let mut out = Availability { from_ms: from, to_ms: to, ..Availability::default() };
    for ms in from..to {
        let part = if ms >= since && maintenance.iter().any(|(begins, ends)| (*begins..*ends).contains(&ms)) {
            &mut out.maintenance_ms
        } else {
            // The latest one that has begun; of one moment the worst: their order is that.
            let latest = results.iter().filter(|result| result.at_ms <= ms).max();
            match latest
                .filter(|result| ms < result.at_ms + 2 * i64::from(result.interval_ms))
                .map(|result| result.outcome)
            {
                Some(Outcome::Up) => &mut out.up_ms,
                Some(Outcome::Down) => &mut out.down_ms,
                _ => &mut out.unknown_ms,
            }
        };
        *part += 1;
    }
    out
}

fn once(windows: &[(i64, i64)]) -> Vec<Maintenance> {
    windows.iter().map(|(from, to)| Maintenance::once(*from, *to)).collect()
}

/// The parts are the window.
fn adds_up(window: &Availability) -> bool {
    window.up_ms + window.down_ms + window.maintenance_ms + window.unknown_ms == window.window_ms()
        && window.window_ms() as i64 == window.to_ms - window.from_ms
        && (window.down_ms == 0 || window.uptime().unwrap() < 1.0 && window.uptime_text() != "100%")
        && (window.up_ms == 0 || window.uptime().unwrap() > 0.0 && window.uptime_text() != "0%")
        && (window.up_ms + window.down_ms > 0) == window.uptime().is_some()
}

/// Checks that are probed by a world that says what each finds: what a prober does, on a virtual clock.
struct World {
    uptime: Uptime,
    now: i64,
    probes: Vec<(String, CheckResult)>,
    changes: Vec<Change>,
    disowned: Vec<i64>,
    log: Vec<Line>,
}

/// The contents of a log.
enum Line {
    Stored(String, CheckResult),
    Disowned(i64),
}

impl World {
    fn new(all: Checks) -> Self {
        let mut uptime = Uptime::default();
        uptime.configure(all, START);
        Self { uptime, now: START, probes: Vec::new(), changes: Vec::new(), disowned: Vec::new(), log: Vec::new() }
    }

    fn take(&mut self, name: &str, after: After) {
        self.log.extend(after.stored.map(|found| Line::Stored(name.into(), found)));
        self.log.extend(after.disowned_ms.map(Line::Disowned));
        self.changes.extend(after.changes);
        self.disowned.extend(after.disowned_ms);
    }

    /// Probes whatever is due, every 100 ms until `until` ms after `START`; a probe takes `took` ms.
    fn run(&mut self, until: i64, took: i64, mut finds: impl FnMut(&str, i64) -> Outcome) {
        let mut on_their_way: Vec<(i64, String, CheckResult)> = Vec::new();
        while self.now < START + until || !on_their_way.is_empty() {
            let names: Vec<String> = self.uptime.names().map(String::from).collect();
            for name in names.iter().filter(|_| self.now < START + until) {
                if self.uptime.next(name, self.now).is_some_and(|at| at <= self.now)
                    && self.uptime.begin(name, self.now)
                {
                    let interval = self.uptime.check(name).unwrap().interval_ms();
                    let found = result(self.now, interval, finds(name, self.now - START));
                    self.probes.push((name.clone(), found));
                    on_their_way.push((self.now + took, name.clone(), found));
                }
            }
            let now = self.now;
            let (done, rest) = std::mem::take(&mut on_their_way).into_iter().partition(|(at, ..)| *at <= now);
            on_their_way = rest;
            for (_, name, found) in done {
                let after = self.uptime.record(&name, self.now, found, None);
                self.take(&name, after);
            }
            self.now += 100;
        }
    }

    fn told(&self) -> Vec<(String, &'static str)> {
        told(&self.changes)
    }
}
