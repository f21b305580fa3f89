//! All checks together: the next probe of each, the effects of a result, and the effects of a new configuration.

use super::availability::Availability;
use super::check::{Check, Checks};
use super::history::History;
use super::monitor::{Monitor, PROBE_GRACE_MS, hash};
use super::network::{MIN_WITNESSES, Network, NetworkVerdict, judge, most_answer};
use super::result::{Cause, CheckResult, Outcome};
use super::standing::{CheckStanding, UptimeReport};
use super::state::{Change, FailureRow, StateStep, What, millis};
use crate::util::clock::SET_BACK_MS;
use crate::util::wire::MAX_COUNT;
use std::collections::BTreeMap;

/// The effects of a result, or of a new configuration.
///
/// ```
/// assert!(sentinel_core::uptime::After::default().changes.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct After {
    /// Changes of checks and of this side's own network.
    pub changes: Vec<Change>,
    /// The result in the form that counts, for a log; `None` if it changed nothing.
    pub stored: Option<CheckResult>,
    /// After a new configuration: names of checks and an unknown result each, from which on the history is unknown. A log writes these
    /// as results.
    pub marks: Vec<(String, CheckResult)>,
    /// Failures of all checks from this moment on (Unix ms) are due to this side's own network. A log writes it down.
    pub disowned_ms: Option<i64>,
    /// Names of checks whose next probe is due at once, because they are asked as witnesses.
    pub sooner: Vec<String>,
}

/// All checks with their configuration, schedule, state and history. [`Uptime::configure`], [`Uptime::begin`] and [`Uptime::record`]
/// change them; other methods read. The page of the [module](crate::uptime) has an example.
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
    /// Moment when this side's network came back last, Unix ms.
    pub(super) back_ms: Option<i64>,
}

impl Uptime {
    /// Sets the checks. A check that stays keeps its state and history; a change of its target, method or expectations resets the state
    /// and keeps the history. A check that is no longer there is dropped. `now_ms` is Unix ms.
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
        // The checks that found an outage may be different ones now. If the outage goes on, it is found again.
        if self.network.down_since_ms.is_some() && !after.marks.is_empty() | !before.is_empty() {
            self.network_is_back(now_ms, &mut after);
        }
        let marks = after.marks.len();
        for mut gone in before.into_values() {
            gone.forget(now_ms, Cause::Changed, &mut after);
        }
        after.marks.truncate(marks); // no history is kept of dropped checks
        after
    }

    /// The moment of the next probe of a check, Unix ms; at or before `now_ms`: at once. `None` while it is paused, or if no check has this
    /// name.
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
        let due = monitor.due(now_ms).at_ms;
        Some(monitor.state.confirm_ms.map_or(due, |confirm| confirm.min(due)))
    }

    /// Takes note of the time, Unix ms. When the clock was set back by more than a minute, every check is scheduled anew. Other calls that
    /// change something and take `now_ms` do the same.
    ///
    /// ```
    /// sentinel_core::uptime::Uptime::default().tick(0);
    /// ```
    pub fn tick(&mut self, now_ms: i64) {
        self.moved(now_ms);
    }

    /// Notes that a probe begins. Returns false if none is due or another one is running: then do not probe.
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
        let due = monitor.due(now_ms);
        if due.at_ms <= now_ms {
            (monitor.last_ms, monitor.first_ms) = (due.at_ms, None);
            monitor.missed = monitor.missed.saturating_add(due.missed);
        }
        monitor.state.confirm_ms = None;
        monitor.busy_ms = Some(now_ms.saturating_add(millis(monitor.check.timeout())).saturating_add(PROBE_GRACE_MS));
        true
    }

    /// Takes the result of a probe; `expires_ms` is the expiry of the certificate that the probe saw, Unix ms. A late or repeated result
    /// counts for the history only. A result of a paused or unknown check is ignored.
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
        // A probe that began while the network was down does not count, although its result arrives later.
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
        let calm = monitor.check.in_maintenance(now_ms);
        let mut at = StateStep { check: &monitor.check, now_ms, changes: &mut after.changes };
        let row = monitor.state.record(&mut at, result, calm);
        if let Some(expires_ms) = expires_ms {
            monitor.state.certificate(&mut at, expires_ms);
        }
        let host = monitor.host;
        if answers {
            let was_lost = std::mem::take(&mut monitor.disowned);
            self.answered(now_ms, was_lost.then_some(host), &mut after);
        }
        if row != FailureRow::Incomplete {
            self.fails(name, now_ms, row == FailureRow::NearlyComplete, &mut after);
        }
        after
    }

    /// Replays a [stored](After::stored) result, or a [mark](After::marks), from a log: in the order of the log, after [`Uptime::restore`].
    /// No change is reported; a status that the result confirmed comes back with [`Uptime::restore_state`]. Returns false if it changes
    /// nothing.
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
            let mut at = StateStep { check: &monitor.check, now_ms: result.at_ms, changes: &mut Vec::new() };
            monitor.state.record(&mut at, result, calm);
        }
        monitor.history.record(result, &monitor.check.maintenance)
    }

    /// Handles a target that has failed as often as `confirm.failures` says, or once less (`nearly`): other checks are asked if needed.
    fn fails(&mut self, name: &str, now_ms: i64, nearly: bool, after: &mut After) {
        if self.network.down_since_ms.is_some() {
            return; // the probe began before the outage: the next one decides
        }
        let Some(monitor) = self.monitors.get_mut(name) else { return };
        let (host, since_ms, held) = (monitor.host, monitor.state.streak_ms, monitor.state.held);
        if monitor.state.last.is_some_and(|last| !last.may_be_ours()) {
            // The target answered, or its address is blocked: other checks cannot tell more about that.
            if !nearly {
                monitor.turns_down(now_ms, after);
            }
            return;
        }
        let others = self.monitors.iter().filter(|(other, _)| other.as_str() != name);
        let verdict = judge(host, since_ms, others.filter_map(|(_, monitor)| monitor.witness(now_ms)));
        match verdict {
            NetworkVerdict::AskOthers if nearly => self.ask(host, now_ms, since_ms, after),
            _ if nearly => {}
            NetworkVerdict::OwnNetwork { since_ms } => {
                self.network = Network { down_since_ms: Some(since_ms), ..Network::default() };
                self.disown(since_ms);
                after.disowned_ms = Some(since_ms);
                after.changes.push(network_change(now_ms, since_ms, What::NetworkDown));
            }
            NetworkVerdict::AskOthers if !held => {
                if let Some(monitor) = self.monitors.get_mut(name) {
                    monitor.state.held = true;
                    monitor.state.confirm_soon(&monitor.check, now_ms);
                }
                self.ask(host, now_ms, since_ms, after);
            }
            NetworkVerdict::AskOthers | NetworkVerdict::TooFewChecks | NetworkVerdict::TargetFails => {
                if let Some(monitor) = self.monitors.get_mut(name) {
                    monitor.turns_down(now_ms, after);
                }
            }
        }
    }

    /// Makes probes of other checks due before a target is called down: of those with the oldest results, on as many hosts as possible.
    fn ask(&mut self, host: u64, now_ms: i64, since_ms: i64, after: &mut After) {
        let others = self.monitors.values_mut().filter(|monitor| monitor.host != host);
        let others = others.filter_map(|monitor| Some((monitor.witness(now_ms)?, monitor)));
        let mut others: Vec<_> = others.filter(|(other, _)| other.at_ms.is_none_or(|at| at < since_ms)).collect();
        others.sort_by_key(|(other, _)| other.at_ms);
        let mut seen = std::collections::BTreeSet::new();
        let (first, again): (Vec<_>, Vec<_>) = others.into_iter().partition(|(other, _)| seen.insert(other.host));
        for (_, monitor) in first.into_iter().chain(again).take(MIN_WITNESSES) {
            monitor.state.confirm_ms = Some(now_ms);
            after.sooner.push(monitor.check.name.clone());
        }
    }

    /// Handles a target that answers while this side's network counts as down.
    fn answered(&mut self, now_ms: i64, was_lost: Option<u64>, after: &mut After) {
        let Some(since_ms) = self.network.down_since_ms else { return };
        let back = was_lost.is_some_and(|host| self.network.is_back(host));
        if back || most_answer(since_ms, self.monitors.values().filter_map(|monitor| monitor.witness(now_ms))) {
            self.network_is_back(now_ms, after);
        }
    }

    /// Ends the outage of this side's network.
    fn network_is_back(&mut self, now_ms: i64, after: &mut After) {
        (self.network, self.back_ms) = (Network::default(), Some(now_ms));
        self.monitors.values_mut().for_each(|monitor| monitor.disowned = false);
        after.changes.push(network_change(now_ms, now_ms, What::NetworkUp));
    }

    /// Makes the failures of all checks from this moment on (Unix ms) unknown, as [`After::disowned_ms`] said: for replaying a log.
    ///
    /// ```
    /// sentinel_core::uptime::Uptime::default().disown(0);
    /// ```
    pub fn disown(&mut self, since_ms: i64) {
        self.monitors.values_mut().for_each(|monitor| monitor.disown(since_ms));
    }

    /// Does the same as [`Uptime::disown`] for one check, for a log that keeps checks apart.
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

    /// The state of this side's own network.
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

    /// The configuration of a check; `None` if no check has this name.
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Uptime::default().check("nobody").is_none());
    /// ```
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.monitors.get(name).map(|monitor| &monitor.check)
    }

    /// The history of a check; `None` if no check has this name.
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Uptime::default().history("nobody").is_none());
    /// ```
    pub fn history(&self, name: &str) -> Option<&History> {
        self.monitors.get(name).map(|monitor| &monitor.history)
    }

    /// The availability of a check in `[from_ms, to_ms)`, Unix ms; see [`History::availability`]. `None` if no check has this name.
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Uptime::default().availability("nobody", 0, 1).is_none());
    /// ```
    pub fn availability(&self, name: &str, from_ms: i64, to_ms: i64) -> Option<Availability> {
        let monitor = self.monitors.get(name)?;
        Some(monitor.history.availability(from_ms, to_ms, &monitor.check.maintenance))
    }

    /// The standing of a check at `now_ms` (Unix ms); `None` if no check has this name.
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Uptime::default().standing("nobody", 0).is_none());
    /// ```
    pub fn standing(&self, name: &str, now_ms: i64) -> Option<CheckStanding> {
        self.monitors.get(name).map(|monitor| CheckStanding::of(monitor, now_ms))
    }

    /// The report on all checks at `now_ms` (Unix ms). The caller fills in the service, and whether this process probes.
    ///
    /// ```
    /// assert!(sentinel_core::uptime::Uptime::default().report(0).checks.is_empty());
    /// ```
    pub fn report(&self, now_ms: i64) -> UptimeReport {
        let checks = self.monitors.values().map(|monitor| CheckStanding::of(monitor, now_ms)).collect();
        UptimeReport::new(now_ms, self.network.down_since_ms, checks)
    }

    /// Takes note of the time and returns it, clamped to ±2^53. A clock that was set back resets schedules and drops future results.
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

fn network_change(at_ms: i64, since_ms: i64, what: What) -> Change {
    Change { check: None, at_ms, since_ms, what, cause: None, tells: true }
}
