//! What an alert says to people, before any sink makes it its own: Slack, mail and webhooks escape by their own rules.

use super::LISTED;
use super::group::{Listed, Notice, Status};
use super::key::{AlertId, Subject};
use super::rule::{Rule, Severity};
use super::state::{Alert, Evidence, Why};
use super::target_text as targets;
use crate::event::tenant::{escaped, shown, visible};
use crate::util::civil::clock;
use crate::util::units::{grouped, percent, span};
use crate::verdict::Kind;
use serde::Serialize;

/// Text for people. Ids are in it as they are shown, which leads back to them and cannot break a line; the ids themselves are in the
/// [`Alert`]s. It is not escaped for any medium: that is a sink's own job.
///
/// ```
/// # use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State};
/// # use sentinel_core::Kind;
/// # let alerts = Alerts::new("shop", Rules::default())?;
/// let acme = Accused {
///     kind: Kind::OneTenant,
///     tenants: vec![b"acme".to_vec()],
///     endpoint: Some("/v1/process".into()),
///     window_ms: 600_000,
///     share: Some(0.64),
///     errors: 192,
///     of: 300,
///     rate_without: Some(0.003),
///     rate_normal: Some(0.002),
///     ..Accused::default()
/// };
/// let (state, _) = alerts.step(State::default(), 0, Some(&Facts::new(0, 600_000).with_verdict(acme)));
/// let message = alerts.step(state, 15_000, None).1.notice.unwrap().message();
/// assert_eq!(message.title, "🚨 Sentinel: Tenant acme responsible for 64% of 5xx in the last 10 minutes (endpoint /v1/process)");
/// assert_eq!(message.lines[0], "192 of 300 5xx; without it the error rate is 0.3% (normal 0.2%)");
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// What it is known by: of the alert, or of the notice.
    pub id: AlertId,
    /// The most urgent thing in it.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// What follows it, line by line.
    pub lines: Vec<String>,
}

impl Message {
    /// What alerts are told of may have been left behind by somebody else, and be anything: here at the latest it is one line each.
    fn new(id: AlertId, severity: Severity, title: &str, lines: &[String]) -> Self {
        Self { id, severity, title: visible(title), lines: lines.iter().map(|line| visible(line)).collect() }
    }

    /// All of it, title first.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State};
    /// # use sentinel_core::Kind;
    /// # let facts = Facts::new(7, 600_000).with_verdict(Accused { kind: Kind::Everyone, ..Accused::default() });
    /// # let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
    /// let message = outcome.transitions[0].alert.as_ref().unwrap().message();
    /// assert!(message.text().starts_with(&message.title));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn text(&self) -> String {
        let mut out = self.title.clone();
        for line in &self.lines {
            out.push('\n');
            out.push_str(line);
        }
        out
    }
}

impl Alert {
    /// What it says by itself: that it fires or, once it is over, that it is over.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State};
    /// # use sentinel_core::Kind;
    /// # let everyone = Accused { kind: Kind::Everyone, window_ms: 60_000, rate_without: Some(0.25), rate_normal: Some(0.01), of: 50, ..Accused::default() };
    /// # let facts = Facts::new(7, 600_000).with_verdict(everyone);
    /// # let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
    /// let message = outcome.transitions[0].alert.as_ref().unwrap().message();
    /// assert_eq!(message.title, "🚨 Sentinel: Everyone is hit: 25% of all requests are 5xx in the last 1 minute");
    /// assert_eq!(message.lines[0], "50 of 200 requests (normal 1%)");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn message(&self) -> Message {
        self.saying(if self.resolved_ms.is_some() { Status::Resolved } else { Status::Firing })
    }

    fn saying(&self, status: Status) -> Message {
        let began = self.evidence.target.as_ref().map_or(self.fired_ms, |target| target.since_ms);
        let since = format!("since {} UTC", clock(began));
        let until = self.resolved_ms.map_or_else(String::new, |ms| format!(" until {} UTC", clock(ms)));
        let mut lines = counts(self);
        lines.push(format!(
            "{}{since}{until}, {}",
            if status == Status::Resolved { "it was so " } else { "" },
            self.severity.name()
        ));
        if let Some(note) = &self.evidence.note {
            lines.push(format!("note: {}", escaped(note.as_bytes())));
        }
        Message::new(self.id, self.severity, &self.title(status), &lines)
    }

    fn title(&self, status: Status) -> String {
        let (headline, lasted) = (headline(self), lasted(self.lasted_ms));
        match (status, self.why) {
            (Status::Firing, _) => format!("🚨 Sentinel: {headline}"),
            (Status::Still, _) => format!("🚨 Sentinel: still so after {lasted}: {headline}"),
            (Status::Resolved, Some(Why::Recovered)) if self.told && self.evidence.target.is_some() => {
                format!("✅ Sentinel: {}", targets::recovered(self, &lasted))
            }
            (Status::Resolved, Some(Why::RuleOff)) => {
                format!("✅ Sentinel: no longer watched after {lasted}: {headline}")
            }
            (Status::Resolved, _) if !self.told => {
                format!("✅ Sentinel: fired and resolved within {lasted}: {headline}")
            }
            (Status::Resolved, _) => format!("✅ Sentinel: resolved after {lasted}: {headline}"),
        }
    }
}

impl Notice {
    /// What it says: of one alert all there is, of several a line each.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Alerts, Facts, Rules, State};
    /// # use sentinel_core::Kind;
    /// # let alerts = Alerts::new("shop", Rules::default())?;
    /// let two = Accused { kind: Kind::FewTenants, tenants: vec![b"acme".to_vec(), b"beta".to_vec()], window_ms: 60_000, share: Some(0.9), ..Accused::default() };
    /// let (state, _) = alerts.step(State::default(), 0, Some(&Facts::new(0, 600_000).with_verdict(two)));
    /// let message = alerts.step(state, 15_000, None).1.notice.unwrap().message();
    /// assert_eq!(message.title, "🚨 Sentinel: 2 alerts of shop: 2 firing");
    /// assert_eq!(message.lines[0], "🚨 Sentinel: Tenant acme, together with beta, responsible for 90% of 5xx in the last 1 minute");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn message(&self) -> Message {
        let mut message = match self.listed.as_slice() {
            _ if self.test => {
                let title = format!("🔔 Sentinel: test alert of {}", escaped(self.service.as_bytes()));
                let lines = ["alerts arrive here; no tenant is concerned".into()];
                Message::new(self.id, Severity::Warning, &title, &lines)
            }
            [one] if self.more == 0 => one.alert.saying(one.status),
            listed => self.several(listed),
        };
        if self.without_place > 0 {
            message
                .lines
                .push(format!("{} further conditions are not followed: too many at once", grouped(self.without_place)));
        }
        message
    }

    fn several(&self, listed: &[Listed]) -> Message {
        let all = listed.len() + self.more;
        let parts = [(self.firing, "firing"), (self.still, "still firing"), (self.resolved, "resolved")];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, name)| format!("{} {name}", grouped(*count as u64))).collect();
        let mark = if self.firing + self.still > 0 { "🚨" } else { "✅" };
        let title = format!(
            "{mark} Sentinel: {} alerts of {}: {}",
            grouped(all as u64),
            escaped(self.service.as_bytes()),
            parts.join(", ")
        );
        let mut lines: Vec<String> =
            listed.iter().take(LISTED).map(|listed| listed.alert.title(listed.status)).collect();
        if self.more > 0 {
            lines.push(format!("and {} more", grouped(self.more as u64)));
        }
        let severity = listed.iter().map(|listed| listed.alert.severity).max().unwrap_or(Severity::Warning);
        Message::new(self.id, severity, &title, &lines)
    }
}

/// What is the matter, in one line.
fn headline(alert: &Alert) -> String {
    let Evidence { what, window_ms, .. } = &alert.evidence;
    let (evidence, window) = (&alert.evidence, format!("in the last {}", span(*window_ms)));
    let place = evidence.endpoint.as_ref().map_or_else(String::new, |endpoint| format!(" (endpoint {endpoint})"));
    let subject = alert.key.subject.shown();
    if let Some(target) = &evidence.target {
        return targets::headline(alert, target);
    }
    match (alert.key.rule, &alert.key.subject) {
        (Rule::TenantErrors, _) => format!("Tenant {subject} has {} {what} {window}{place}", grouped(evidence.errors)),
        (Rule::TenantLatency, _) => {
            let times = evidence.p95_ms.zip(evidence.normal_p95_ms).map(|(p95, normal)| p95 / normal);
            let times = times.map_or_else(String::new, |times| format!("{times:.1} × "));
            format!("Tenant {subject} is {times}slower than normal {window}")
        }
        (_, Subject::Everyone) => {
            let rate = evidence.rate_without.map_or_else(|| "many".into(), percent);
            format!("Everyone is hit: {rate} of all requests are {what} {window}")
        }
        (_, Subject::Endpoint(_)) => {
            format!("Endpoint {subject} responsible for {} {window}, for several tenants", part(evidence))
        }
        (_, Subject::Tenant(_)) if evidence.kind == Some(Kind::FewTenants) && !evidence.with.is_empty() => {
            let others: Vec<String> = evidence.with.iter().map(|id| shown(id)).collect();
            format!(
                "Tenant {subject}, together with {}, responsible for {} {window}{place}",
                others.join(", "),
                part(evidence)
            )
        }
        (_, Subject::Tenant(_)) => format!("Tenant {subject} responsible for {} {window}{place}", part(evidence)),
        // Those have a target behind them, which was said.
        (_, Subject::Target(_) | Subject::OwnNetwork) => subject,
    }
}

/// `64% of 5xx`; where it is less than half of all, the share of what is new.
fn part(evidence: &Evidence) -> String {
    let share = evidence.share.unwrap_or(0.0);
    match evidence.excess_share {
        Some(excess) if share < 0.5 => {
            format!("{} of the new {} ({} of all)", percent(excess), evidence.what, percent(share))
        }
        _ => format!("{} of {}", percent(share), evidence.what),
    }
}

/// The counts behind it.
fn counts(alert: &Alert) -> Vec<String> {
    let evidence = &alert.evidence;
    if let Some(target) = &evidence.target {
        return targets::counts(alert, target);
    }
    let of = format!("{} of {} {}", grouped(evidence.errors), grouped(evidence.of), evidence.what);
    let rates =
        evidence.rate_without.zip(evidence.rate_normal).map(|(rate, normal)| (rate, percent(rate), percent(normal)));
    let mut out = match (alert.key.rule, &alert.key.subject, rates) {
        (Rule::TenantLatency, ..) => {
            let ms = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{value:.0} ms"));
            let (p95, normal) = (ms(evidence.p95_ms), ms(evidence.normal_p95_ms));
            vec![format!("p95 {p95} of {} requests, normally {normal}", grouped(evidence.requests))]
        }
        (Rule::TenantErrors | Rule::TenantShare, ..) => vec![format!("{of}, {} requests", grouped(evidence.requests))],
        (_, Subject::Everyone, Some((rate, _, normal))) if rate > 0.0 => {
            let requests = (evidence.of as f64 / rate).round() as u64;
            vec![format!("{} of {} requests (normal {normal})", grouped(evidence.of), grouped(requests))]
        }
        (_, Subject::Everyone, _) => vec![format!("{} {}", grouped(evidence.of), evidence.what)],
        (rule, _, Some((_, rate, normal))) => {
            let what = if rule == Rule::VerdictLatency { "share of slow requests" } else { "error rate" };
            let them = if evidence.with.is_empty() { "it" } else { "them" };
            vec![format!("{of}; without {them} the {what} is {rate} (normal {normal})")]
        }
        _ => vec![of],
    };
    if evidence.chronic {
        out.push("it always fails like this".into());
    }
    out
}

/// `12 seconds`, `90 minutes`, `3 days`: the largest unit of which there are two.
pub(super) fn lasted(ms: u64) -> String {
    let units = [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second")];
    let (unit, name) = units.into_iter().find(|(unit, _)| ms >= 2 * unit).unwrap_or((1_000, "second"));
    let count = ms / unit;
    format!("{} {name}{}", grouped(count), if count == 1 { "" } else { "s" })
}
