//! What rules are judged on: the verdicts and rows of a look, and how far they can be trusted.

use crate::event::tenant::{UNATTRIBUTED, bounded, id_shown_as};
use crate::report::scope::Scope;
use crate::report::{BaselineKind, Report, TenantReport, TenantRow};
use crate::uptime::CheckStatus;
use crate::verdict::{COLD_RATE, Kind, Verdict};
use std::collections::BTreeMap;

/// Rows that facts hold; what is beyond is as if it had not been listed.
const MAX_ROWS: usize = 4_096;
/// z of the Wilson bound.
const Z: f64 = 1.96;

/// What a look found. Made from reports of the widest scope; see [`Facts::of`].
///
/// How far it can be trusted is a fact as well:
/// - **cold** (less than a minute is known of the time before the window, as after a restart without anybody to inherit from): nothing
///   begins that rests on what is normal, and nothing ends, because the window may be empty for want of data;
/// - **partial** (a wider scope is configured and does not answer): only a tenant's number of errors can begin an alert, since that is a
///   lower bound whatever is missing; nothing ends;
/// - a tenant that is **not listed** where not all are: nothing begins or ends about it.
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
    /// What counts as an error: `5xx`.
    pub errors_name: String,
    /// Errors of everybody.
    pub errors: u64,
    /// Less than a minute is known of the time before the window.
    pub cold: bool,
    /// A wider scope was to answer and did not.
    pub partial: bool,
    /// Every tenant has its row here: who has none has no requests, except for `unlisted_errors`.
    pub complete: bool,
    /// Errors that a tenant without a row may have, where memory was short.
    pub unlisted_errors: u64,
    /// What the look leaves out, for people.
    pub note: Option<String>,
    /// Whose events the first report was about.
    scope: Option<Scope>,
    /// Of errors, of latency.
    verdicts: [Accused; 2],
    rows: BTreeMap<Vec<u8>, Row>,
    targets: Option<Targets>,
}

/// What is known of uptime checks.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Targets {
    statuses: BTreeMap<String, CheckStatus>,
    /// Since when this side's own network is down, Unix ms.
    pub(super) network_down_since_ms: Option<i64>,
}

impl Targets {
    pub(super) fn find(&self, name: &str) -> Option<&CheckStatus> {
        self.statuses.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CheckStatus> {
        self.statuses.values()
    }
}

/// A tenant in a look.
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
    /// How many more errors it may have, where memory was short.
    pub errors_bound: u64,
    /// Requests that have begun and not ended.
    pub in_flight: u64,
    /// 95 % of its requests were faster.
    pub p95_ms: Option<f64>,
    /// That, in units of its own normal p95.
    pub deviation: Option<f64>,
    /// Where most of its errors are, and how many.
    pub top_endpoint: Option<(String, u64)>,
    /// It always fails like this.
    pub chronic: bool,
}

impl Row {
    /// Its share of `all` errors is at least this (Wilson lower bound, z 1.96); 0 without errors.
    ///
    /// ```
    /// use sentinel_core::alert::Row;
    ///
    /// let row = Row { errors: 50, ..Row::default() };
    /// assert!((row.share_at_least(50) - 0.9286).abs() < 1e-4);
    /// assert_eq!(Row::default().share_at_least(0), 0.0);
    /// ```
    pub fn share_at_least(&self, all: u64) -> f64 {
        wilson(self.errors, all)
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

/// The lower end of the Wilson interval of `part` in `all`.
pub(super) fn wilson(part: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    let (n, p) = (all as f64, part.min(all) as f64 / all as f64);
    let z2 = Z * Z;
    let spread = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((p + z2 / (2.0 * n) - spread) / (1.0 + z2 / n)).max(0.0)
}

/// What a verdict says, and of whom.
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
    /// One tenant, a few, an endpoint, everyone; unclear and quiet accuse nobody.
    pub kind: Kind,
    /// The tenants, by the ids that they have, not as they are shown.
    pub tenants: Vec<Vec<u8>>,
    /// The endpoint: of `one_endpoint`, or where the one tenant fails.
    pub endpoint: Option<String>,
    /// The window that was judged, in milliseconds.
    pub window_ms: u64,
    /// Their share of all errors (or slow requests), and of those beyond the normal ones; 0 to 1.
    pub share: Option<f64>,
    /// Of the errors beyond the normal ones, 0 to 1.
    pub excess_share: Option<f64>,
    /// Their errors (or slow requests).
    pub errors: u64,
    /// Those of everybody.
    pub of: u64,
    /// The rate of the others; of all, when it is everyone.
    pub rate_without: Option<f64>,
    /// The rate that was expected of them.
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

    /// It can be believed without knowing what is normal: the judges' own rule for an outage in the time before they know.
    pub(super) fn is_certain(&self) -> bool {
        !self.cold || (self.kind == Kind::Everyone && self.rate_without.is_some_and(|rate| rate >= COLD_RATE))
    }
}

impl Facts {
    /// Of a look that is whole, knows what is normal and lists everybody: nobody, so far. For tests and other sources.
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
            verdicts: [Accused::default(), Accused::default()],
            rows: BTreeMap::new(),
            targets: None,
        }
    }

    /// What a report says; ask it for the whole window, for many rows, and for the widest scope.
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
            verdicts: [Accused::of(&report.verdict), Accused::of(&report.latency_verdict)],
            ..Self::new(report.as_of, report.window_ms)
        };
        facts.rows(report);
        facts
    }

    /// Adds the rows of a report by another ranking, so that the slow are listed as well as the failing. One of another scope makes
    /// the look partial.
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

    /// Adds what is known of a tenant that alerts are followed about ([`State::tenants`](super::State::tenants)) and no ranking lists;
    /// `None`: it has no requests. Ask the sentinel that gave the report, in the same scope; one of another scope makes the look partial.
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

    /// Adds a row, and its errors to those of everybody.
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

    /// The row of a tenant.
    ///
    /// ```
    /// # use sentinel_core::alert::Facts;
    /// assert_eq!(Facts::new(0, 600_000).find(b"acme"), None);
    /// ```
    pub fn find(&self, id: &[u8]) -> Option<&Row> {
        self.rows.get(&*bounded(id).0)
    }

    /// Says what the verdict on errors is.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Facts};
    /// # use sentinel_core::Kind;
    /// let everyone = Accused { kind: Kind::Everyone, ..Accused::default() };
    /// let facts = Facts::new(0, 600_000).with_verdict(everyone);
    /// ```
    #[must_use]
    pub fn with_verdict(self, accused: Accused) -> Self {
        self.with(false, accused)
    }

    /// Says what the verdict on latency is.
    ///
    /// ```
    /// # use sentinel_core::alert::{Accused, Facts};
    /// # use sentinel_core::Kind;
    /// let everyone = Accused { kind: Kind::Everyone, ..Accused::default() };
    /// let facts = Facts::new(0, 600_000).with_latency_verdict(everyone);
    /// ```
    #[must_use]
    pub fn with_latency_verdict(self, accused: Accused) -> Self {
        self.with(true, accused)
    }

    /// With uptime checks: those that are [troubled](crate::uptime::Uptime::troubled) and those that there is an alert about
    /// ([`State::targets`](super::State::targets)); and since when this side's own network is down, Unix ms. Without this nothing begins
    /// or ends about targets.
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
        Self { targets: Some(Targets { statuses, network_down_since_ms }), ..self }
    }

    pub(super) fn targets(&self) -> Option<&Targets> {
        self.targets.as_ref()
    }

    fn with(mut self, latency: bool, mut accused: Accused) -> Self {
        accused.tenants.iter_mut().for_each(|id| *id = bounded(id).0.into_owned());
        self.verdicts[usize::from(latency)] = accused;
        self
    }

    pub(super) fn verdict(&self, latency: bool) -> &Accused {
        &self.verdicts[usize::from(latency)]
    }

    /// Everybody who may be accused: the rows without `unattributed`.
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

/// The id behind what a report shows.
fn id_of(shown: &str) -> Vec<u8> {
    id_shown_as(shown.as_bytes()).unwrap_or_else(|| shown.into())
}
