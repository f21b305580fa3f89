//! The text of alerts about uptime checks.

use super::key::Subject;
use super::message::lasted;
use super::rule::Rule;
use super::state::{Alert, TargetEvidence};
use crate::uptime::Cause;
use crate::util::civil::date;

/// The problem in one line.
pub(super) fn headline(alert: &Alert, target: &TargetEvidence) -> String {
    let name = alert.key.subject.shown();
    match (alert.key.rule, &alert.key.subject) {
        (Rule::CertificateExpiring, _) => {
            let Some(expires_ms) = target.expires_ms else {
                return format!("The certificate of target {name} expires");
            };
            let left = expires_ms.saturating_sub(alert.fired_ms);
            let span = lasted(left.unsigned_abs());
            let when = if left < 0 { format!("expired {span} ago") } else { format!("expires in {span}") };
            format!("The certificate of target {name} {when}")
        }
        (_, Subject::Target(_)) if target.flapping => format!("Target {name} goes up and down"),
        (_, Subject::Target(_)) => format!("Target {name} is down: {}", because(target)),
        _ => "Most targets fail at once: the network of this host is down, not the targets".into(),
    }
}

/// The line that says that the problem is over.
pub(super) fn recovered(alert: &Alert, lasted: &str) -> String {
    let name = alert.key.subject.shown();
    let flapping = alert.evidence.target.as_ref().is_some_and(|target| target.flapping);
    match (alert.key.rule, &alert.key.subject) {
        (Rule::CertificateExpiring, _) => format!("The certificate of target {name} does not expire soon any more"),
        (_, Subject::Target(_)) if flapping => format!("Target {name} is up, and has been for a while"),
        (_, Subject::Target(_)) => format!("Target {name} is up again after {lasted}"),
        _ => format!("The network of this host is back after {lasted}: targets answer"),
    }
}

/// The details below the headline, one line each.
pub(super) fn counts(alert: &Alert, target: &TargetEvidence) -> Vec<String> {
    let expires = target
        .expires_ms
        .map(|ms| format!("{} on {} UTC", if ms < alert.fired_ms { "expired" } else { "expires" }, date(ms)));
    let probed = (!target.url.is_empty()).then(|| target.url.clone());
    let over = alert.resolved_ms.is_some();
    let silent = (alert.key.rule == Rule::OwnNetwork && !over)
        .then(|| "unreachable targets count as unknown, and their availability is not affected".into());
    let flaps = (target.flapping && !over).then(|| {
        format!("last failure: {}; it counts as settled after half an hour without a change", because(target))
    });
    [probed, expires, silent, flaps].into_iter().flatten().collect()
}

/// The cause of a failure as a clause.
fn because(target: &TargetEvidence) -> String {
    let status = target.http_status.map_or_else(|| "an unexpected status".into(), |status| format!("status {status}"));
    match target.cause {
        Some(Cause::Dns) => "its name is not found".into(),
        Some(Cause::Blocked) => "its address is not allowed".into(),
        Some(Cause::Connect) => "it accepts no connection".into(),
        Some(Cause::Tls) => "TLS fails".into(),
        Some(Cause::Certificate) => "its certificate is not valid".into(),
        Some(Cause::Timeout) => "no answer in time".into(),
        Some(Cause::Protocol) => "its answer cannot be understood".into(),
        Some(Cause::Redirects) => "too many redirects, or one that no probe may follow".into(),
        Some(Cause::Status) => status,
        Some(Cause::Body | Cause::Json) => "its answer does not have the expected content".into(),
        Some(Cause::Latency) => "its answer is slower than allowed".into(),
        Some(Cause::OwnNetwork | Cause::Paused | Cause::Changed) | None => "it fails".into(),
    }
}
