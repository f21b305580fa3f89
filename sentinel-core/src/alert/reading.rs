//! The reading of one look for one alert: its condition is there, gone, between the two, or unknown. One function a rule.
//!
//! ```text
//!                                below ◄─── between ───► above
//! errors of a tenant              ≤ at_least / 2            ≥ at_least
//! share of a tenant               ≤ 0.8 · above             > above, of at least 50 failures
//! p95 of a tenant                 ≤ 1.5 · normal            > factor · normal
//! verdict, target, certificate    not named, up             named, down or flapping, expiring
//! ```
//!
//! The band "between" is the hysteresis of a threshold; verdicts and targets have theirs before they come here.
//!
//! The two ends need different evidence. A count is a lower bound: where memory was short or a process is missing, the true count is
//! larger. So a number of errors is "above" whatever else is missing; a share or a ratio needs a look that is not partial. "Below"
//! adds the error bound and needs a look that is neither partial nor cold. Anything else is `Unknown` and leaves the alert as it is:
//! an empty window after a restart must not resolve an alert.

use super::facts::{Accused, Facts, Row, certain_share};
use super::key::{Key, Subject};
use super::rule::{
    LATENCY_OVER_FACTOR, Rule, Rules, SHARE_MIN_ERRORS, SHARE_OVER_ERRORS, SHARE_OVER_FACTOR, TenantLatency,
};
use super::state::{Evidence, TargetEvidence};
use crate::uptime::{CheckStatus, Status};
use crate::verdict::Kind;
use std::cmp::Reverse;

/// The position of a condition relative to its thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The condition is there.
    Above,
    /// Within the hysteresis: neither begins an alert nor ends one.
    Between,
    /// The condition is over.
    Below,
    /// No data that can be trusted for this rule: the alert stays as it is.
    Unknown,
    /// The subject is no longer watched: the alert ends.
    Gone,
}

/// The reading for `key`; `normal_ms` is the p95 that was normal when its condition was first seen.
pub(super) fn read(rules: &Rules, key: &Key, facts: &Facts, normal_ms: Option<f64>) -> Reading {
    if key.rule.is_of_targets() {
        return target(key, facts);
    }
    let (Rule::TenantErrors | Rule::TenantShare | Rule::TenantLatency, Subject::Tenant(id)) = (key.rule, &key.subject)
    else {
        return verdict(rules, key, facts);
    };
    let absent;
    let row = match facts.find(id) {
        Some(row) => row,
        None if facts.complete => {
            absent = Row { errors_bound: facts.unlisted_errors, ..Row::default() };
            &absent
        }
        None => return Reading::Unknown,
    };
    match (key.rule, &rules.tenant_errors, &rules.tenant_share, &rules.tenant_latency) {
        (Rule::TenantErrors, Some(rule), ..) => errors(rule.at_least, row, facts),
        (Rule::TenantShare, _, Some(rule), _) => share(rule.above, row, facts),
        (Rule::TenantLatency, .., Some(rule)) => latency(rule, row, facts, normal_ms),
        _ => Reading::Unknown,
    }
}

/// Uptime checks confirm a status themselves, and no lack of requests makes it doubtful.
fn target(key: &Key, facts: &Facts) -> Reading {
    let Some(targets) = facts.targets() else { return Reading::Unknown };
    let is = |there: bool| if there { Reading::Above } else { Reading::Below };
    let name = match (key.rule, &key.subject) {
        (Rule::OwnNetwork, _) => return is(targets.network_down_since_ms.is_some()),
        (_, Subject::Target(name)) => name,
        _ => return Reading::Unknown,
    };
    match targets.find(name) {
        Some(status) if key.rule == Rule::CertificateExpiring => match status.expires_ms {
            Some(_) => is(status.expiring),
            // A changed check of the same host that was not probed yet.
            None if status.encrypted => Reading::Unknown,
            None => Reading::Gone,
        },
        // A flapping target has one alert until it has settled.
        Some(status) if status.confirmed != Status::Unknown => is(status.confirmed == Status::Down || status.flapping),
        _ => Reading::Gone,
    }
}

/// Above when the verdict names the subject. The judges have a hysteresis of their own; `keep_firing_for` comes on top.
fn verdict(rules: &Rules, key: &Key, facts: &Facts) -> Reading {
    let accused = facts.verdict(key.rule);
    let named = accuses(rules, accused) && subjects(accused).any(|subject| subject == key.subject);
    match named {
        _ if facts.partial => Reading::Unknown,
        true if accused.is_certain() => Reading::Above,
        false if !facts.cold => Reading::Below,
        _ => Reading::Unknown,
    }
}

fn accuses(rules: &Rules, accused: &Accused) -> bool {
    rules.verdict.kinds.contains(&accused.kind)
}

/// The subjects of a verdict. Each of a few tenants is its own subject, so its alert stays the same while others join and leave.
fn subjects(accused: &Accused) -> impl Iterator<Item = Subject> + '_ {
    let tenants = match accused.kind {
        Kind::OneTenant | Kind::FewTenants => accused.tenants.as_slice(),
        _ => &[],
    };
    let other = match accused.kind {
        Kind::OneEndpoint => {
            accused.endpoint.as_deref().map(|endpoint| Subject::Endpoint(cut(endpoint, MAX_ENDPOINT_BYTES)))
        }
        Kind::Everyone => Some(Subject::Everyone),
        _ => None,
    };
    tenants.iter().filter(|id| !id.is_empty()).cloned().map(Subject::Tenant).chain(other)
}

/// The counted errors are a lower bound, so they suffice for "above"; "below" must hold for the upper bound too.
fn errors(at_least: u64, row: &Row, facts: &Facts) -> Reading {
    if row.errors >= at_least {
        Reading::Above
    } else if facts.partial || facts.cold {
        Reading::Unknown
    } else if row.errors.saturating_add(row.errors_bound) <= at_least / 2 {
        Reading::Below
    } else {
        Reading::Between
    }
}

fn share(above: f64, row: &Row, facts: &Facts) -> Reading {
    if facts.partial {
        return Reading::Unknown;
    }
    let upper = certain_share(row.errors.saturating_add(row.errors_bound), facts.errors);
    if facts.errors >= SHARE_MIN_ERRORS && row.share_at_least(facts.errors) > above {
        Reading::Above
    } else if facts.cold {
        Reading::Unknown
    } else if facts.errors <= SHARE_OVER_ERRORS || upper <= SHARE_OVER_FACTOR * above {
        Reading::Below
    } else {
        Reading::Between
    }
}

/// Compares with the p95 that was normal when the condition began: the baseline may have learned the incident since.
fn latency(rule: &TenantLatency, row: &Row, facts: &Facts, normal_ms: Option<f64>) -> Reading {
    if facts.partial || facts.cold {
        return Reading::Unknown;
    }
    // Requests that hang have no latency yet; a tenant with such requests has not gone away.
    if row.requests.saturating_add(row.in_flight) <= rule.min_requests / 2 {
        return Reading::Below;
    }
    let ratio = match normal_ms {
        Some(normal) => row.p95_ms.map(|p95| p95 / normal),
        None => row.deviation,
    };
    match ratio {
        Some(ratio) if ratio > rule.factor && row.requests >= rule.min_requests => Reading::Above,
        Some(ratio) if ratio <= LATENCY_OVER_FACTOR => Reading::Below,
        Some(ratio) if ratio.is_finite() => Reading::Between,
        _ => Reading::Unknown,
    }
}

/// A condition that a look finds, and how much it weighs against others when places are short.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) key: Key,
    /// The bad requests behind it; 0 for targets.
    pub(super) weight: u64,
}

impl Candidate {
    /// The sort key that puts the most important first: by rule, then by falling weight, then by subject.
    pub(super) fn importance(&self) -> (Rule, Reverse<u64>, &Subject) {
        (self.key.rule, Reverse(self.weight), &self.key.subject)
    }
}

/// Every condition of an enabled rule that the look finds above its threshold.
pub(super) fn found(rules: &Rules, facts: &Facts) -> Vec<Candidate> {
    let mut out = Vec::new();
    let mut add = |rule: Rule, subject: Subject, weight: u64| {
        let key = Key { rule, subject };
        if read(rules, &key, facts, None) == Reading::Above {
            out.push(Candidate { key, weight });
        }
    };
    let on = |rule: &Rule| rules.hold_times(*rule).is_some();
    for rule in [Rule::VerdictErrors, Rule::VerdictLatency].into_iter().filter(on) {
        let accused = facts.verdict(rule);
        for subject in subjects(accused) {
            // Each of a few tenants weighs by its own errors, where they are known.
            let own = match (&subject, accused.kind) {
                (Subject::Tenant(id), Kind::FewTenants) => facts.find(id).map_or(0, |row| row.errors),
                _ => accused.errors,
            };
            add(rule, subject, own);
        }
    }
    if let Some(targets) = facts.targets() {
        if on(&Rule::OwnNetwork) {
            add(Rule::OwnNetwork, Subject::OwnNetwork, 0);
        }
        for rule in [Rule::TargetDown, Rule::CertificateExpiring].into_iter().filter(on) {
            targets.iter().for_each(|status| add(rule, Subject::Target(status.name.clone()), 0));
        }
    }
    for rule in [Rule::TenantErrors, Rule::TenantShare, Rule::TenantLatency].into_iter().filter(on) {
        for (id, row) in facts.listed() {
            let weight = if rule == Rule::TenantLatency { row.requests } else { row.errors };
            add(rule, Subject::Tenant(id.to_vec()), weight);
        }
    }
    out
}

/// The normal p95 in milliseconds that a row's deviation is relative to; `None` for other rules.
pub(super) fn normal_ms(key: &Key, facts: &Facts) -> Option<f64> {
    let Subject::Tenant(id) = &key.subject else { return None };
    let row = facts.find(id).filter(|_| key.rule == Rule::TenantLatency)?;
    finite(row.p95_ms.zip(row.deviation).map(|(p95, deviation)| p95 / deviation)).filter(|normal| *normal > 0.0)
}

/// Longest texts that an alert keeps, in bytes: an endpoint or a URL, a note, the name of what counts as an error.
pub(super) const MAX_ENDPOINT_BYTES: usize = 2_048;
pub(super) const MAX_NOTE_BYTES: usize = 256;
pub(super) const MAX_ERRORS_NAME_BYTES: usize = 32;
/// Largest number of other tenants that an alert names.
pub(super) const MAX_ACCUSED_TOGETHER: usize = 8;

/// The first `most` bytes of a text, or fewer, so that no character is cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].into()
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// The figures of this look behind an alert.
pub(super) fn evidence(key: &Key, facts: &Facts, normal_ms: Option<f64>) -> Evidence {
    let row = match &key.subject {
        Subject::Tenant(id) => facts.find(id),
        _ => None,
    };
    // The endpoint is named only when at least half of the errors are there.
    let top = row.and_then(|row| {
        let (endpoint, errors) = row.top_endpoint.as_ref()?;
        (errors.saturating_mul(2) >= row.errors).then(|| endpoint.clone())
    });
    let empty = Evidence {
        at_ms: facts.as_of_ms,
        window_ms: facts.window_ms,
        kind: None,
        what: cut(&facts.errors_name, MAX_ERRORS_NAME_BYTES),
        errors: 0,
        of: 0,
        requests: row.map_or(0, |row| row.requests),
        share: None,
        excess_share: None,
        rate_without: None,
        rate_normal: None,
        p95_ms: None,
        normal_p95_ms: None,
        endpoint: None,
        with: Vec::new(),
        chronic: row.is_some_and(|row| row.chronic),
        target: None,
        note: facts.note.as_deref().map(|note| cut(note, MAX_NOTE_BYTES)),
    };
    match key.rule {
        Rule::OwnNetwork | Rule::TargetDown | Rule::CertificateExpiring => {
            // A note about missing requests does not concern targets.
            Evidence { what: String::new(), target: Some(target_evidence(key, facts)), note: None, ..empty }
        }
        Rule::VerdictErrors | Rule::VerdictLatency => {
            let latency = key.rule == Rule::VerdictLatency;
            let accused = facts.verdict(key.rule);
            let others = subjects(accused).filter(|subject| *subject != key.subject);
            let endpoint = accused.endpoint.clone().or(top.filter(|_| !latency && accused.kind == Kind::OneTenant));
            Evidence {
                window_ms: accused.window_ms,
                kind: Some(accused.kind),
                what: if latency { "slow requests".into() } else { empty.what },
                errors: accused.errors,
                of: accused.of,
                share: finite(accused.share),
                excess_share: finite(accused.excess_share),
                rate_without: finite(accused.rate_without),
                rate_normal: finite(accused.rate_normal),
                endpoint: endpoint.map(|endpoint| cut(&endpoint, MAX_ENDPOINT_BYTES)),
                with: others.filter_map(Subject::into_tenant).take(MAX_ACCUSED_TOGETHER).collect(),
                ..empty
            }
        }
        Rule::TenantErrors | Rule::TenantShare => {
            let errors = row.map_or(0, |row| row.errors);
            Evidence {
                errors,
                of: facts.errors,
                share: (facts.errors > 0).then(|| errors as f64 / facts.errors as f64),
                endpoint: top.map(|endpoint| cut(&endpoint, MAX_ENDPOINT_BYTES)),
                ..empty
            }
        }
        Rule::TenantLatency => {
            Evidence { p95_ms: finite(row.and_then(|row| row.p95_ms)), normal_p95_ms: finite(normal_ms), ..empty }
        }
    }
}

fn target_evidence(key: &Key, facts: &Facts) -> TargetEvidence {
    let targets = facts.targets();
    let found = match &key.subject {
        Subject::Target(name) => targets.and_then(|targets| targets.find(name)),
        _ => None,
    };
    let Some(CheckStatus { target, since_ms, cause, http_status, flapping, expires_ms, expiring, .. }) = found else {
        let since_ms = targets.and_then(|targets| targets.network_down_since_ms).unwrap_or(facts.as_of_ms);
        return TargetEvidence { since_ms, ..TargetEvidence::default() };
    };
    let url = cut(target, MAX_ENDPOINT_BYTES);
    if key.rule == Rule::CertificateExpiring {
        let expires_ms = expires_ms.filter(|_| *expiring);
        return TargetEvidence { url, since_ms: facts.as_of_ms, expires_ms, ..TargetEvidence::default() };
    }
    let (since_ms, cause, http_status, flapping) = (*since_ms, *cause, *http_status, *flapping);
    TargetEvidence { url, since_ms, cause, http_status, flapping, expires_ms: None }
}
