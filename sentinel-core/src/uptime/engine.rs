//! All checks together: when each is probed, what follows from a result, and what a new configuration changes.

use super::availability::Availability;
use super::check::{Check, Checks};
use super::history::History;
use super::monitor::{LOST_MS, Monitor, hash};
use super::network::{Network, Verdict, WITNESSES, judge, most_answer};
use super::result::{Cause, CheckResult, Outcome};
use super::standing::{CheckStanding, UptimeReport};
use super::state::{Change, Status, Step, What, millis};
use crate::util::wire::MAX_COUNT;
use std::collections::BTreeMap;

/// A clock that is set back by less is waited for.
const SET_BACK_MS: i64 = 60_000;

/// What follows from a result, or from a new configuration.
///
/// ```
/// assert!(sentinel_core::uptime::After::default().changes.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct After {
    /// What has changed.
    pub changes: Vec<Change>,
    /// The result that was given, as it counts; none if it changes nothing. A log writes it down.
    pub stored: Option<CheckResult>,
    /// Of a new configuration: from when on nothing is known of these checks. A log writes them down as results.
    pub marks: Vec<(String, CheckResult)>,
    /// Failures from this moment on (Unix ms) are this side's own, of all checks: a log writes it down.
    pub disowned_ms: Option<i64>,
    /// Checks whose next probe is earlier now: those asked as witnesses.
    pub sooner: Vec<String>,
}

/// All checks: definition, schedule, state and history. Moved by [`Uptime::configure`], [`Uptime::begin`] and [`Uptime::record`]; asked by the
/// rest. The crate page of `uptime` shows it.
///
/// ```
/// use sentinel_core::uptime::{Check, Checks, Status, Target, Uptime};
///
/// let mut uptime = Uptime::default();
/// uptime.configure(Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?)])?, 0);
/// assert_eq!(uptime.standing("db", 0).unwrap().status, Status::Unknown);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Uptime {
    pub(super) monitors: BTreeMap<String, Monitor>,
    pub(super) network: Network,
    pub(super) now_ms: Option<i64>,
    /// When this side's network came back last, Unix ms.
    pub(super) back_ms: Option<i64>,
}

impl Uptime {
    /// The checks from now on. Those that go on keep what is known; a change of target, method or expectations forgets the state and keeps the
    /// history; those that are gone are forgotten.
    ///
    /// ```
    /// use sentinel_core::uptime::{Checks, Uptime};
    /// assert!(Uptime::default().configure(Checks::default(), 0).changes.is_empty());
    /// ```
    pub fn configure(&mut self, checks: Checks, now_ms: i64) -> After {
        let now_ms = self.moved(now_ms);
        let (mut after, mut before) = (After::default(), std::mem::take(&mut self.monitors));
        for check in checks.into_inner() {
            let monitor = match before.remove(&check.name) {
                None => Monitor::new(check, now_ms),
                Some(mut monitor) => {
                    let old = std::mem::replace(&mut monitor.check, check);
                    let paused = monitor.check.paused && !old.paused;
                    if paused || old.differs(&monitor.check) {
                        let cause = if paused { Cause::Paused } else { Cause::Changed };
                        monitor.forget(now_ms, cause, &mut after);
                    }
                    monitor.host = hash(monitor.check.target.host());
                    let resumed = old.paused && !monitor.check.paused;
                    if resumed || old.interval != monitor.check.interval {
                        monitor.restart(now_ms);
                    }
                    monitor
                }
            };
            self.monitors.insert(monitor.check.name.clone(), monitor);
        }
        // Those who knew of an outage may be others now: if it goes on, it is found again.
        if self.network.down_since_ms.is_some() && !after.marks.is_empty() | !before.is_empty() {
            self.network_is_back(now_ms, &mut after);
        }
        let marks = after.marks.len();
        for mut gone in before.into_values() {
            gone.forget(now_ms, Cause::Changed, &mut after);
        }
        after.marks.truncate(marks); // nothing is kept of those
        after
    }

    /// When this check is to be probed next, Unix ms; at or before `now_ms`: at once. `None` while it is paused, or if there is none.
    ///
    /// ```
    /// use sentinel_core::uptime::Uptime;
    /// assert_eq!(Uptime::default().next("nobody", 0), None);
    /// ```
    pub fn next(&self, name: &str, now_ms: i64) -> Option<i64> {
        let monitor = self.monitors.get(name).filter(|monitor| !monitor.check.paused)?;
        if let Some(busy) = monitor.busy_ms.filter(|busy| now_ms < *busy) {
            return Some(busy);
        }
        let due = monitor.due(now_ms).0;
        Some(monitor.state.confirm_ms.map_or(due, |confirm| confirm.min(due)))
    }

    /// Tells it the time: where the clock was set back by more than a minute, every check is due anew. The calls that take `now_ms` and change
    /// something do so too.
    ///
    /// ```
    /// sentinel_core::uptime::Uptime::default().tick(0);
    /// ```
    pub fn tick(&mut self, now_ms: i64) {
        self.moved(now_ms);
    }

    /// A probe begins: false if none is due, or one is on its way.
    ///
    /// ```
    /// use sentinel_core::uptime::{Check, Checks, Target, Uptime};
    ///
    /// let mut uptime = Uptime::default();
    /// uptime.configure(Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?)])?, 0);
    /// let at = uptime.next("db", 0).unwrap();
    /// assert!(!uptime.begin("db", at - 1) && uptime.begin("db", at) && !uptime.begin("db", at));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn begin(&mut self, name: &str, now_ms: i64) -> bool {
        let now_ms = self.moved(now_ms);
        if self.next(name, now_ms).is_none_or(|at| at > now_ms) {
            return false;
        }
        let Some(monitor) = self.monitors.get_mut(name) else { return false };
        let (due, missed) = monitor.due(now_ms);
        if due <= now_ms {
            (monitor.last_ms, monitor.first_ms) = (due, None);
            monitor.missed = monitor.missed.saturating_add(missed);
        }
        monitor.state.confirm_ms = None;
        monitor.busy_ms = Some(now_ms.saturating_add(millis(monitor.check.timeout())).saturating_add(LOST_MS));
        true
    }

    /// Takes what a probe found; `expires_ms` is when the certificate that it saw expires, Unix ms. Late and doubled results count for the
    /// history alone. What comes while a check is paused, or of no check, is ignored.
    ///
    /// ```
    /// use sentinel_core::uptime::{After, CheckResult, Uptime};
    /// assert_eq!(Uptime::default().record("nobody", 0, CheckResult::up(0, 60_000), None), After::default());
    /// ```
    pub fn record(&mut self, name: &str, now_ms: i64, result: CheckResult, expires_ms: Option<i64>) -> After {
        let now_ms = self.moved(now_ms);
        let (mut after, mut result) = (After::default(), result.bounded());
        let Some(monitor) = self.monitors.get_mut(name).filter(|monitor| !monitor.check.paused) else { return after };
        monitor.busy_ms = None;
        let outage = self.network.down_since_ms.filter(|since| result.at_ms >= *since);
        // Who was asked while the network was down is excused, though he is heard when it is back.
        let late = self.back_ms.is_some_and(|back| result.at_ms < back);
        let mut answers = false;
        if (outage.is_some() || late) && result.may_be_ours() {
            (result.outcome, result.cause) = (Outcome::Unknown, Some(Cause::OwnNetwork));
            monitor.disowned = outage.is_some();
        } else if outage.is_some() {
            answers = result.outcome == Outcome::Up || result.cause.is_some_and(Cause::is_answer);
        }
        if monitor.history.record(result, &monitor.check.maintenance) {
            after.stored = Some(result);
        }
        let newest = monitor.state.last.is_none_or(|last| result.at_ms > last.at_ms);
        if !newest {
            return after;
        }
        let (calm, check) = (monitor.check.in_maintenance(now_ms), &monitor.check);
        let step = monitor.state.record(check, now_ms, result, calm, &mut after.changes);
        if let Some(expires_ms) = expires_ms {
            monitor.state.certificate(check, now_ms, expires_ms, &mut after.changes);
        }
        let host = monitor.host;
        if answers {
            let was_lost = std::mem::take(&mut monitor.disowned);
            self.answered(now_ms, was_lost.then_some(host), &mut after);
        }
        if step != Step::Stays {
            self.fails(name, now_ms, step == Step::Nearly, &mut after);
        }
        after
    }

    /// Takes back a result that was [stored](After::stored), or a mark, from a log: in the order of the log, after [`Uptime::restore`]. Nothing is
    /// told. What was confirmed by it comes with [`Uptime::restore_state`]. False if it changes nothing.
    ///
    /// ```
    /// use sentinel_core::uptime::{Check, CheckResult, Checks, Target, Uptime};
    ///
    /// let mut uptime = Uptime::default();
    /// uptime.configure(Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?)])?, 0);
    /// assert!(uptime.replay("db", CheckResult::up(5_000, 60_000)));
    /// assert!(!uptime.replay("db", CheckResult::up(5_000, 60_000)));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn replay(&mut self, name: &str, result: CheckResult) -> bool {
        let Some(monitor) = self.monitors.get_mut(name) else { return false };
        let result = result.bounded();
        if !monitor.check.paused && monitor.state.last.is_none_or(|last| result.at_ms > last.at_ms) {
            let calm = monitor.check.in_maintenance(result.at_ms);
            monitor.state.record(&monitor.check, result.at_ms, result, calm, &mut Vec::new());
        }
        monitor.history.record(result, &monitor.check.maintenance)
    }

    /// A target that has failed as often as it takes, or nearly: then others are asked, if they have to be.
    fn fails(&mut self, name: &str, now_ms: i64, nearly: bool, after: &mut After) {
        if self.network.down_since_ms.is_some() {
            return; // a probe that began before that: the next one says more
        }
        let Some(monitor) = self.monitors.get_mut(name) else { return };
        let (host, since_ms, held) = (monitor.host, monitor.state.streak_ms, monitor.state.held);
        if monitor.state.last.is_some_and(|last| !last.may_be_ours()) {
            // It has answered, or may not be asked: nobody else can say more of that.
            if !nearly {
                monitor.state.turn(&monitor.check, now_ms, Status::Down, &mut after.changes);
            }
            return;
        }
        let others = self.monitors.iter().filter(|(other, _)| other.as_str() != name);
        let verdict = judge(host, since_ms, others.filter_map(|(_, monitor)| monitor.witness(now_ms)));
        match verdict {
            Verdict::Ask if nearly => self.ask(host, now_ms, since_ms, after),
            _ if nearly => {}
            Verdict::Own { since_ms } => {
                self.network = Network { down_since_ms: Some(since_ms), ..Network::default() };
                self.disown(since_ms);
                after.disowned_ms = Some(since_ms);
                after.changes.push(network(now_ms, since_ms, What::NetworkDown));
            }
            Verdict::Ask if !held => {
                if let Some(monitor) = self.monitors.get_mut(name) {
                    monitor.state.held = true;
                    monitor.state.confirm_soon(&monitor.check, now_ms);
                }
                self.ask(host, now_ms, since_ms, after);
            }
            Verdict::Ask | Verdict::Alone | Verdict::Theirs => {
                if let Some(monitor) = self.monitors.get_mut(name) {
                    monitor.state.turn(&monitor.check, now_ms, Status::Down, &mut after.changes);
                }
            }
        }
    }

    /// Asks others before a target is called down: those whose last answer is the oldest, of as many hosts as can be.
    fn ask(&mut self, host: u64, now_ms: i64, since_ms: i64, after: &mut After) {
        let others = self.monitors.values_mut().filter(|monitor| monitor.host != host);
        let others = others.filter_map(|monitor| Some((monitor.witness(now_ms)?, monitor)));
        let mut others: Vec<_> = others.filter(|(other, _)| other.at_ms.is_none_or(|at| at < since_ms)).collect();
        others.sort_by_key(|(other, _)| other.at_ms);
        let mut seen = std::collections::BTreeSet::new();
        let (first, again): (Vec<_>, Vec<_>) = others.into_iter().partition(|(other, _)| seen.insert(other.host));
        for (_, monitor) in first.into_iter().chain(again).take(WITNESSES) {
            monitor.state.confirm_ms = Some(now_ms);
            after.sooner.push(monitor.check.name.clone());
        }
    }

    /// While this side's network is down, a target answers.
    fn answered(&mut self, now_ms: i64, was_lost: Option<u64>, after: &mut After) {
        let Some(since_ms) = self.network.down_since_ms else { return };
        let back = was_lost.is_some_and(|host| self.network.is_back(host));
        if back || most_answer(since_ms, self.monitors.values().filter_map(|monitor| monitor.witness(now_ms))) {
            self.network_is_back(now_ms, after);
        }
    }

    fn network_is_back(&mut self, now_ms: i64, after: &mut After) {
        (self.network, self.back_ms) = (Network::default(), Some(now_ms));
        self.monitors.values_mut().for_each(|monitor| monitor.disowned = false);
        after.changes.push(network(now_ms, now_ms, What::NetworkUp));
    }

    /// Failures of all checks from this moment on (Unix ms) are this side's own: what [`After::disowned_ms`] said, read back from a log.
    ///
    /// ```
    /// sentinel_core::uptime::Uptime::default().disown(0);
    /// ```
    pub fn disown(&mut self, since_ms: i64) {
        self.monitors.values_mut().for_each(|monitor| monitor.disown(since_ms));
    }

    /// The same of one check, for a log that keeps them apart.
    ///
    /// ```
    /// use sentinel_core::uptime::{Cause, Check, CheckResult, Checks, Outcome, Target, Uptime};
    ///
    /// let mut uptime = Uptime::default();
    /// uptime.configure(Checks::new(vec![Check::new("db", Target::new("tcp://db:5432")?)])?, 0);
    /// uptime.replay("db", CheckResult::down(5_000, 60_000, Cause::Connect));
    /// uptime.disown_of("db", 5_000);
    /// assert_eq!(uptime.history("db").unwrap().results().next().unwrap().outcome, Outcome::Unknown);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn disown_of(&mut self, name: &str, since_ms: i64) {
        if let Some(monitor) = self.monitors.get_mut(name) {
            monitor.disown(since_ms);
        }
    }

    /// This side's own network.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Uptime::default().network().down_since_ms(), None);
    /// ```
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The names of all checks, in order.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Uptime::default().names().count(), 0);
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.monitors.keys().map(String::as_str)
    }

    /// A check as it is configured.
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Uptime::default().check("nobody").is_none());
    /// ```
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.monitors.get(name).map(|monitor| &monitor.check)
    }

    /// Its history.
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Uptime::default().history("nobody").is_none());
    /// ```
    pub fn history(&self, name: &str) -> Option<&History> {
        self.monitors.get(name).map(|monitor| &monitor.history)
    }

    /// Its availability in `[from_ms, to_ms)`; see [`History::availability`].
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Uptime::default().availability("nobody", 0, 1).is_none());
    /// ```
    pub fn availability(&self, name: &str, from_ms: i64, to_ms: i64) -> Option<Availability> {
        let monitor = self.monitors.get(name)?;
        Some(monitor.history.availability(from_ms, to_ms, &monitor.check.maintenance))
    }

    /// Where a check stands at `now_ms`.
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Uptime::default().standing("nobody", 0).is_none());
    /// ```
    pub fn standing(&self, name: &str, now_ms: i64) -> Option<CheckStanding> {
        self.monitors.get(name).map(|monitor| CheckStanding::of(monitor, now_ms))
    }

    /// Where all checks stand at `now_ms`. Of which service that is, and who probes, is for the caller to fill in.
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Uptime::default().report(0).checks.is_empty());
    /// ```
    pub fn report(&self, now_ms: i64) -> UptimeReport {
        let checks = self.monitors.values().map(|monitor| CheckStanding::of(monitor, now_ms)).collect();
        UptimeReport::new(now_ms, self.network.down_since_ms, checks)
    }

    /// The time, bounded; where the clock was set back, after what follows from that.
    fn moved(&mut self, now_ms: i64) -> i64 {
        let limit = MAX_COUNT as i64;
        let now_ms = now_ms.clamp(-limit, limit);
        let latest = self.now_ms.unwrap_or(now_ms);
        if latest - now_ms > SET_BACK_MS {
            for monitor in self.monitors.values_mut() {
                monitor.history.set_back(now_ms);
                monitor.state.set_back(now_ms);
                monitor.restart(now_ms);
            }
            self.network.down_since_ms = self.network.down_since_ms.map(|since| since.min(now_ms));
            self.back_ms = self.back_ms.map(|back| back.min(now_ms));
            self.now_ms = Some(now_ms);
        } else {
            self.now_ms = Some(latest.max(now_ms));
        }
        now_ms
    }
}

fn network(at_ms: i64, since_ms: i64, what: What) -> Change {
    Change { check: None, at_ms, since_ms, what, cause: None, tells: true }
}
