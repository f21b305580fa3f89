//! The input of the rules: the verdicts and rows of a look, and how far each can be trusted.

use super::rule::Rule;
use crate::event::tenant::{UNATTRIBUTED, bounded, id_shown_as};
use crate::report::scope::Scope;
use crate::report::{BaselineKind, Report, TenantReport, TenantRow};
use crate::uptime::CheckStatus;
use crate::util::wilson::wilson_lower;
use crate::verdict::{COLD_OUTAGE_RATE, Kind, Verdict};
use std::collections::BTreeMap;

/// Largest number of rows; further tenants count as not listed.
const MAX_ROWS: usize = 4_096;

/// The findings of one look, made from reports of the widest scope; see [`Facts::of`].
///
/// Facts also say how far they can be trusted:
/// - **cold** (less than a minute is known of the time before the window, as after a restart without a process to inherit from): no
///   alert that compares with the normal state begins, and no alert ends, because the window may be empty for lack of data;
/// - **partial** (a wider scope is configured and does not answer): only a tenant's number of errors can begin an alert, because it is
///   a lower bound whatever is missing; no alert ends;
/// - a tenant that is **not listed** while the list is incomplete: no alert about it begins or ends.
///
/// ```
/// use sentinel_core::alert::Facts;
/// use sentinel_core::{Clock, Event, Query, Sentinel};
///
/// let sentinel = Sentinel::builder().clock(Clock::manual(1_700_000_000_000)).build()?;
/// sentinel.record(Event { tenant: b"acme", status: 500, ..Event::default() });
/// let facts = Facts::of(&sentinel.report(Query { limit: 1_000, ..Query::default() }));
/// assert_eq!(facts.find(b"acme").unwrap().errors, 1);
/// assert!(facts.cold && facts.complete && !facts.partial);
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Facts {
    /// The moment of the look, Unix ms.
    pub as_of_ms: i64,
    /// The window of the rows, in milliseconds.
    pub window_ms: u64,
    /// The name of what counts as an error: `5xx`.
    pub errors_name: String,
    /// Errors of all tenants in the window.
    pub errors: u64,
    /// Less than a minute is known of the time before the window.
    pub cold: bool,
    /// A wider scope is configured and did not answer.
    pub partial: bool,
    /// Every tenant has a row here: a tenant without one has no requests, except for `unlisted_errors`.
    pub complete: bool,
    /// Largest number of errors that a tenant without a row may have; above 0 only where memory was short.
    pub unlisted_errors: u64,
    /// A sentence for people about data that the look is missing.
    pub note: Option<String>,
    /// Scope of the first report; `None` without a report.
    scope: Option<Scope>,
    errors_verdict: Accused,
    latency_verdict: Accused,
    rows: BTreeMap<Vec<u8>, Row>,
    targets: Option<TargetFacts>,
}

/// The part of the facts about uptime checks.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct TargetFacts {
    statuses: BTreeMap<String, CheckStatus>,
    /// Start of an outage of this side's own network, Unix ms; `None` while it is up.
    pub(super) network_down_since_ms: Option<i64>,
}

impl TargetFacts {
    pub(super) fn find(&self, name: &str) -> Option<&CheckStatus> {
        self.statuses.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CheckStatus> {
        self.statuses.values()
    }
}

/// One tenant's figures in a look.
///
/// ```
/// use sentinel_core::alert::Row;
///
/// let row = Row { requests: 1_000, errors: 64, ..Row::default() };
/// assert!(row.share_at_least(100) > 0.5 && row.share_at_least(100) < 0.64);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// Requests in the window.
    pub requests: u64,
    /// Errors among them.
    pub errors: u64,
    /// Errors that it may have beyond `errors`; above 0 only where memory was short.
    pub errors_bound: u64,
    /// Requests that have begun and not ended yet.
    pub in_flight: u64,
    /// p95 of its latencies in milliseconds; `None` without any.
    pub p95_ms: Option<f64>,
    /// `p95_ms` divided by the tenant's normal p95.
    pub deviation: Option<f64>,
    /// The endpoint with most of its errors, and the number of errors there.
    pub top_endpoint: Option<(String, u64)>,
    /// The tenant always fails at this rate.
    pub chronic: bool,
}

impl Row {
    /// Lower bound of its share of `all` errors, 0 to 1 (Wilson, z 1.96); 0 without errors.
    ///
    /// ```
    /// use sentinel_core::alert::Row;
    ///
    /// let row = Row { errors: 50, ..Row::default() };
    /// assert!((row.share_at_least(50) - 0.9286).abs() < 1e-4);
    /// assert_eq!(Row::default().share_at_least(0), 0.0);
    /// ```
    pub fn share_at_least(&self, all: u64) -> f64 {
        certain_share(self.errors, all)
    }

    fn of(row: &TenantRow) -> Self {
        Self {
            requests: row.requests,
            errors: row.errors,
            errors_bound: row.bound.errors,
            in_flight: row.in_flight,
            p95_ms: row.p95_ms,
            deviation: row.latency_deviation,
            top_endpoint: row.top_endpoint.as_ref().map(|top| (top.endpoint.clone(), top.errors)),
            chronic: row.chronic,
        }
    }
}

/// The share of `all` that `part` certainly is, 0 to 1: the lower end of the Wilson interval; 0 when `all` is 0.
pub(super) fn certain_share(part: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    wilson_lower(part.min(all) as f64 / all as f64, all as f64).max(0.0)
}

/// A verdict in the form that rules read: its kind, the accused and the figures behind it.
///
/// ```
/// use sentinel_core::Kind;
/// use sentinel_core::alert::Accused;
///
/// let accused = Accused { kind: Kind::OneTenant, tenants: vec![b"acme".to_vec()], ..Accused::default() };
/// assert!(!accused.cold);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Accused {
    /// Kind of the verdict; `Unclear` and `Quiet` accuse nobody.
    pub kind: Kind,
    /// Ids of the accused tenants: the raw bytes, not the displayed form.
    pub tenants: Vec<Vec<u8>>,
    /// The accused endpoint, or the one where the accused tenant fails.
    pub endpoint: Option<String>,
    /// Length of the window that the verdict judged, in milliseconds.
    pub window_ms: u64,
    /// Share of all errors (or slow requests) that the accused have, 0 to 1.
    pub share: Option<f64>,
    /// Share of the errors beyond the normal ones that the accused have, 0 to 1.
    pub excess_share: Option<f64>,
    /// Errors (or slow requests) of the accused.
    pub errors: u64,
    /// Errors (or slow requests) of all tenants.
    pub of: u64,
    /// Rate without the accused, 0 to 1; the rate of all when everyone is accused.
    pub rate_without: Option<f64>,
    /// Rate that is normal there, 0 to 1.
    pub rate_normal: Option<f64>,
    /// Less than a minute is known of the time before this window.
    pub cold: bool,
}

impl Default for Accused {
    fn default() -> Self {
        Self {
            kind: Kind::Quiet,
            tenants: Vec::new(),
            endpoint: None,
            window_ms: 0,
            share: None,
            excess_share: None,
            errors: 0,
            of: 0,
            rate_without: None,
            rate_normal: None,
            cold: false,
        }
    }
}

impl Accused {
    fn of(verdict: &Verdict) -> Self {
        Self {
            kind: verdict.kind,
            tenants: verdict.tenants.iter().map(|shown| id_of(shown)).collect(),
            endpoint: verdict.endpoint.clone(),
            window_ms: verdict.window_ms.unwrap_or(0),
            share: verdict.share,
            excess_share: verdict.excess_share,
            errors: verdict.errors.unwrap_or(0),
            of: verdict.of.unwrap_or(0),
            rate_without: verdict.rate_without,
            rate_normal: verdict.rate_normal,
            cold: verdict.cold,
        }
    }

    /// The same verdict with every id cut to the length that events allow.
    fn bounded(mut self) -> Self {
        self.tenants.iter_mut().for_each(|id| *id = bounded(id).0.into_owned());
        self
    }

    /// The verdict can be trusted without a baseline. The judges apply the same rule to an outage before a baseline exists.
    pub(super) fn is_certain(&self) -> bool {
        !self.cold || (self.kind == Kind::Everyone && self.rate_without.is_some_and(|rate| rate >= COLD_OUTAGE_RATE))
    }
}

impl Facts {
    /// Facts of a complete look with a baseline and no rows yet, for tests and for sources other than a report.
    ///
    /// ```
    /// use sentinel_core::alert::{Facts, Row};
    ///
    /// let mut facts = Facts::new(1_700_000_000_000, 600_000);
    /// facts.row(b"acme", Row { requests: 10, errors: 7, ..Row::default() });
    /// assert_eq!(facts.errors, 7);
    /// ```
    pub fn new(as_of_ms: i64, window_ms: u64) -> Self {
        Self {
            as_of_ms,
            window_ms,
            errors_name: "5xx".into(),
            errors: 0,
            cold: false,
            partial: false,
            complete: true,
            unlisted_errors: 0,
            note: None,
            scope: None,
            errors_verdict: Accused::default(),
            latency_verdict: Accused::default(),
            rows: BTreeMap::new(),
            targets: None,
        }
    }

    /// Facts of a report. Query the whole window, many rows and the widest scope.
    ///
    /// ```
    /// # use sentinel_core::alert::Facts;
    /// # use sentinel_core::{Query, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// let facts = Facts::of(&sentinel.report(Query { limit: 1_000, ..Query::default() }));
    /// assert_eq!((facts.window_ms, facts.errors_name.as_str()), (600_000, "5xx"));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn of(report: &Report) -> Self {
        let mut facts = Self {
            errors_name: report.errors.clone(),
            errors: report.totals.errors,
            cold: report.baseline == BaselineKind::Cold,
            partial: report.scope == Scope::Process && report.scope_note.is_some(),
            complete: report.tenants.len() as u64 >= report.totals.tenants && report.tenants.len() <= MAX_ROWS,
            unlisted_errors: report.tail.bound.errors,
            note: report.scope_note.clone(),
            scope: Some(report.scope),
            errors_verdict: Accused::of(&report.verdict),
            latency_verdict: Accused::of(&report.latency_verdict),
            ..Self::new(report.as_of, report.window_ms)
        };
        facts.rows(report);
        facts
    }

    /// Adds the rows of a report with another ranking, so that slow tenants are listed as well as failing ones. A report of another
    /// scope makes the look partial.
    ///
    /// ```
    /// # use sentinel_core::alert::Facts;
    /// # use sentinel_core::{By, Event, Query, Sentinel};
    /// # let sentinel = Sentinel::builder().build()?;
    /// # sentinel.record(Event { tenant: b"acme", ..Event::default() });
    /// let mut facts = Facts::of(&sentinel.report(Query { limit: 1, ..Query::default() }));
    /// facts.rows(&sentinel.report(Query { by: By::Latency, limit: 1, ..Query::default() }));
    /// assert!(facts.find(b"acme").is_some());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn rows(&mut self, report: &Report) {
        self.partial |= self.scope.is_some_and(|scope| scope != report.scope);
        for row in &report.tenants {
            self.insert(&id_of(&row.tenant_id), Row::of(row));
        }
    }

    /// Adds the row of a tenant that has an alert ([`State::tenants`](super::State::tenants)) and that no ranking lists; `None`: it has
    /// no requests. Ask the sentinel that gave the report, in the same scope; a tenant of another scope makes the look partial.
    ///
    /// ```
    /// # use sentinel_core::alert::Facts;
    /// # let sentinel = sentinel_core::Sentinel::builder().build()?;
    /// # let mut facts = Facts::of(&sentinel.report(Default::default()));
    /// facts.tenant(b"acme", sentinel.tenant(b"acme", None).as_ref());
    /// assert_eq!(facts.find(b"acme").unwrap().requests, 0);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn tenant(&mut self, id: &[u8], tenant: Option<&TenantReport>) {
        self.partial |= tenant.zip(self.scope).is_some_and(|(tenant, scope)| tenant.scope != scope);
        let absent = || Row { errors_bound: self.unlisted_errors, ..Row::default() };
        let row = tenant.map_or_else(absent, |tenant| Row::of(&tenant.row));
        self.insert(id, row);
    }

    /// Adds a row, and its errors to the errors of all tenants.
    ///
    /// ```
    /// # use sentinel_core::alert::{Facts, Row};
    /// let mut facts = Facts::new(0, 600_000);
    /// facts.row(b"acme", Row::default());
    /// assert_eq!(facts.find(b"acme"), Some(&Row::default()));
    /// ```
    pub fn row(&mut self, id: &[u8], row: Row) {
        self.errors = self.errors.saturating_add(row.errors);
        self.insert(id, row);
    }

    /// The row of a tenant; `None` when it is not listed.
    ///
    /// ```
    /// # use sentinel_core::alert::Facts;
    /// assert_eq!(Facts::new(0, 600_000).find(b"acme"), None);
    /// ```
    pub fn find(&self, id: &[u8]) -> Option<&Row> {
        self.rows.get(&*bounded(id).0)
    }

    /// Sets the verdict on errors.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Facts};
    /// # use sentinel_core::Kind;
    /// let everyone = Accused { kind: Kind::Everyone, ..Accused::default() };
    /// let facts = Facts::new(0, 600_000).with_verdict(everyone);
    /// ```
    #[must_use]
    pub fn with_verdict(self, accused: Accused) -> Self {
        Self { errors_verdict: accused.bounded(), ..self }
    }

    /// Sets the verdict on latency.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Facts};
    /// # use sentinel_core::Kind;
    /// let everyone = Accused { kind: Kind::Everyone, ..Accused::default() };
    /// let facts = Facts::new(0, 600_000).with_latency_verdict(everyone);
    /// ```
    #[must_use]
    pub fn with_latency_verdict(self, accused: Accused) -> Self {
        Self { latency_verdict: accused.bounded(), ..self }
    }

    /// Sets the uptime checks that are [troubled](crate::uptime::Uptime::troubled) or have an alert
    /// ([`State::targets`](super::State::targets)), and the start of an outage of this side's own network, Unix ms. Without this call no
    /// alert about a target begins or ends.
    ///
    /// ```
    /// use sentinel_core::alert::{Alerts, Facts, Rule, Rules, State};
    /// use sentinel_core::uptime::Uptime;
    ///
    /// let uptime = Uptime::default();
    /// let facts = Facts::new(7, 600_000).with_targets(uptime.troubled(&[].into()), Some(3));
    /// let (_, outcome) = Alerts::new("shop", Rules::default())?.step(State::default(), 7, Some(&facts));
    /// assert_eq!(outcome.transitions[0].key.rule, Rule::OwnNetwork);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_targets(self, statuses: Vec<CheckStatus>, network_down_since_ms: Option<i64>) -> Self {
        let statuses = statuses.into_iter().map(|status| (status.name.clone(), status)).collect();
        Self { targets: Some(TargetFacts { statuses, network_down_since_ms }), ..self }
    }

    pub(super) fn targets(&self) -> Option<&TargetFacts> {
        self.targets.as_ref()
    }

    /// The verdict that a rule reads: that on latency for [`Rule::VerdictLatency`], that on errors for every other rule.
    pub(super) fn verdict(&self, rule: Rule) -> &Accused {
        if rule == Rule::VerdictLatency { &self.latency_verdict } else { &self.errors_verdict }
    }

    /// The rows of tenants that a rule may accuse: all but `unattributed`.
    pub(super) fn listed(&self) -> impl Iterator<Item = (&[u8], &Row)> {
        self.rows.iter().map(|(id, row)| (id.as_slice(), row)).filter(|(id, _)| *id != UNATTRIBUTED)
    }

    fn insert(&mut self, id: &[u8], row: Row) {
        let id = bounded(id).0;
        if self.rows.len() < MAX_ROWS || self.rows.contains_key(&*id) {
            self.rows.insert(id.into_owned(), row);
        } else {
            self.complete = false;
        }
    }
}

/// The id behind the form that a report displays.
fn id_of(shown: &str) -> Vec<u8> {
    id_shown_as(shown.as_bytes()).unwrap_or_else(|| shown.into())
}
