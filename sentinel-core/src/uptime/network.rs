//! Is it the target, or is it this side's own network? Asked once, when a target would be down.

use serde::Serialize;
use std::collections::BTreeSet;

/// So many checks of other hosts say something of the network, if they are of so many hosts.
pub(super) const MIN_WITNESSES: usize = 4;
pub(super) const MIN_HOSTS: usize = 2;
/// It is this side's network when at least this share of them fail (of a hundred), and not any more when less than that do.
const OUTAGE_PERCENT: usize = 80;
const RECOVERED_PERCENT: usize = 50;

/// This side's own network, by what all checks say of it.
///
/// ```
/// assert!(sentinel_core::uptime::Network::default().down_since_ms().is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Network {
    pub(super) down_since_ms: Option<i64>,
    /// Hosts that had failed in this outage and answer again; at most [`MIN_HOSTS`].
    #[serde(skip)]
    pub(super) back: BTreeSet<u64>,
}

impl Network {
    /// Since when it is down, Unix ms: since the first of the failures that show it.
    ///
    /// ```
    /// assert_eq!(sentinel_core::uptime::Network::default().down_since_ms(), None);
    /// ```
    pub fn down_since_ms(&self) -> Option<i64> {
        self.down_since_ms
    }

    /// A host that had failed in this outage answers: are these enough?
    pub(super) fn is_back(&mut self, host: u64) -> bool {
        if self.back.len() < MIN_HOSTS {
            self.back.insert(host);
        }
        self.back.len() == MIN_HOSTS
    }
}

/// A check as a witness: whose target is not known to be down, that is not paused and not in maintenance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Witness {
    /// Its host, hashed.
    pub(super) host: u64,
    /// When its last probe began; none if nothing is known by that.
    pub(super) at_ms: Option<i64>,
    pub(super) fails: bool,
    /// When its failures began.
    pub(super) streak_ms: i64,
}

/// What witnesses say.
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

/// A target of `host` has failed since `since_ms` as often as it takes: what do the others say whose probes began after that?
pub(super) fn judge(host: u64, since_ms: i64, others: impl Iterator<Item = Witness>) -> NetworkVerdict {
    let (mut asked, mut failing, mut all) = (0, 0, 0);
    let (mut asked_hosts, mut hosts, mut answering) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut began = since_ms;
    for other in others.filter(|other| other.host != host) {
        all += 1;
        few(&mut hosts, other.host);
        if other.at_ms.is_some_and(|at| at >= since_ms) {
            asked += 1;
            few(&mut asked_hosts, other.host);
            if other.fails {
                failing += 1;
                began = began.min(other.streak_ms);
            } else {
                few(&mut answering, other.host);
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
        // However few they are: the network is there.
        NetworkVerdict::TargetFails
    } else if all >= MIN_WITNESSES && hosts.len() >= MIN_HOSTS {
        NetworkVerdict::AskOthers
    } else {
        NetworkVerdict::TooFewChecks
    }
}

/// In an outage that began at `since_ms`: do most of those that were asked since then answer?
pub(super) fn most_answer(since_ms: i64, all: impl Iterator<Item = Witness>) -> bool {
    let asked = all.filter(|one| one.at_ms.is_some_and(|at| at >= since_ms));
    let (asked, failing) = asked.fold((0, 0), |(asked, failing), one| (asked + 1, failing + usize::from(one.fails)));
    asked >= MIN_WITNESSES && failing * 100 < asked * RECOVERED_PERCENT
}

/// Not more hosts than have to be told apart.
fn few(hosts: &mut BTreeSet<u64>, host: u64) {
    if hosts.len() < MIN_HOSTS {
        hosts.insert(host);
    }
}
