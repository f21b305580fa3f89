//! A failure without an answer: is the target down, or this side's own network?
//!
//! From one target alone nobody can tell. So just before a target would be called down, the results of checks of *other hosts* decide
//! that were probed since it began to fail:
//!
//! ```text
//! asked since then                           failing       verdict
//! at least 4, on at least 2 hosts            80 % or more  own network: one alert, all failures since then become unknown
//! at least 4, on at least 2 hosts            fewer         target fails
//! fewer, but 2 hosts answer                                target fails
//! fewer, and enough other checks exist                     ask others: make probes of them due, wait once
//! fewer, and too few other checks exist                    target fails (a lone check has no witness)
//! ```
//!
//! The outage ends when 2 hosts that failed in it answer, or when fewer than half of at least 4 witnesses asked since its start fail. The
//! gap between 80 % and 50 % keeps a half-broken network from flapping.
//!
//! Invariants:
//! - Only probes that began at or after the target's first failure count: an older success says nothing about the network now.
//! - The witnesses must be checks of at least 2 hosts: ten checks of one host behind a broken switch are no outage of this network.
//!   The percentages count checks.
//! - A check that is confirmed down, paused, blocked or in maintenance is no witness, so known failures do not look like an outage.
//! - A target waits for witnesses once (`held`); then it is called down. Missing witnesses delay an alert, and never suppress it.
//!
//! A probe of a well-known address would be simpler, but needs an outside party, breaks behind an egress filter, and tests another
//! route than the one to the targets.

use serde::Serialize;
use std::collections::BTreeSet;

/// Smallest number of checks of other hosts, and of their hosts, that can tell whether the network is down.
pub(super) const MIN_WITNESSES: usize = 4;
pub(super) const MIN_HOSTS: usize = 2;
/// The network counts as down when at least this percentage of the witnesses fail.
const OUTAGE_PERCENT: usize = 80;
/// The network counts as back when less than this percentage of the witnesses fail.
const RECOVERED_PERCENT: usize = 50;

/// The state of this side's own network, derived from all checks.
///
/// ```
/// assert!(sentinel_core::uptime::Network::default().down_since_ms().is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Network {
    pub(super) down_since_ms: Option<i64>,
    /// Hashes of hosts that failed in this outage and answer again; at most [`MIN_HOSTS`].
    #[serde(skip)]
    pub(super) back: BTreeSet<u64>,
}

impl Network {
    /// Start of the current outage, Unix ms: the first of the failures that show it. `None` while the network is up.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Network::default().down_since_ms(), None);
    /// ```
    pub fn down_since_ms(&self) -> Option<i64> {
        self.down_since_ms
    }

    /// Notes that a host that failed in this outage answers, and returns whether enough hosts do.
    pub(super) fn is_back(&mut self, host: u64) -> bool {
        if self.back.len() < MIN_HOSTS {
            self.back.insert(host);
        }
        self.back.len() == MIN_HOSTS
    }
}

/// A check that can tell something about the network: not paused, not in maintenance, its target not confirmed down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Witness {
    /// Hash of the host.
    pub(super) host: u64,
    /// Start of its last probe, Unix ms; `None` if that result tells nothing.
    pub(super) at_ms: Option<i64>,
    /// The last probe failed without an answer.
    pub(super) fails: bool,
    /// Start of its current failures, Unix ms.
    pub(super) streak_ms: i64,
}

/// The conclusion from all witnesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NetworkVerdict {
    /// This side's network is down, since this moment (Unix ms).
    OwnNetwork { since_ms: i64 },
    /// Other targets answer, so this one is down.
    TargetFails,
    /// Too few others were probed since the target began to fail. Probing them now may settle it.
    AskOthers,
    /// Too few other checks exist to tell, so the target counts as down.
    TooFewChecks,
}

/// Judges a target of `host` that has been failing since `since_ms` (Unix ms) by the probes of other hosts that began after that.
pub(super) fn judge(host: u64, since_ms: i64, others: impl Iterator<Item = Witness>) -> NetworkVerdict {
    let (mut asked, mut failing, mut all) = (0, 0, 0);
    let (mut asked_hosts, mut hosts, mut answering) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut began = since_ms;
    for other in others.filter(|other| other.host != host) {
        all += 1;
        add_host(&mut hosts, other.host);
        if other.at_ms.is_some_and(|at| at >= since_ms) {
            asked += 1;
            add_host(&mut asked_hosts, other.host);
            if other.fails {
                failing += 1;
                began = began.min(other.streak_ms);
            } else {
                add_host(&mut answering, other.host);
            }
        }
    }
    if asked >= MIN_WITNESSES && asked_hosts.len() >= MIN_HOSTS {
        if failing * 100 >= asked * OUTAGE_PERCENT {
            NetworkVerdict::OwnNetwork { since_ms: began }
        } else {
            NetworkVerdict::TargetFails
        }
    } else if answering.len() >= MIN_HOSTS {
        // However few answers these are, they came over this network.
        NetworkVerdict::TargetFails
    } else if all >= MIN_WITNESSES && hosts.len() >= MIN_HOSTS {
        NetworkVerdict::AskOthers
    } else {
        NetworkVerdict::TooFewChecks
    }
}

/// Whether more than half of the witnesses that were probed since an outage began (`since_ms`, Unix ms) answer.
pub(super) fn most_answer(since_ms: i64, all: impl Iterator<Item = Witness>) -> bool {
    let asked = all.filter(|one| one.at_ms.is_some_and(|at| at >= since_ms));
    let (asked, failing) = asked.fold((0, 0), |(asked, failing), one| (asked + 1, failing + usize::from(one.fails)));
    asked >= MIN_WITNESSES && failing * 100 < asked * RECOVERED_PERCENT
}

/// Adds a host unless the set already has [`MIN_HOSTS`], so that it stays small.
fn add_host(hosts: &mut BTreeSet<u64>, host: u64) {
    if hosts.len() < MIN_HOSTS {
        hosts.insert(host);
    }
}
