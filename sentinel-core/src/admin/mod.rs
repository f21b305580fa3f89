//! The admin view: one handler that every adapter, binding and server mounts. The handler knows no framework: a method, a path, a
//! query and an `Authorization` header come in, a status, headers and a body go out.
//!
//! | route | answer | token |
//! |---|---|---|
//! | `/` | the page: static, without data; it asks for the token and keeps it in the tab | no |
//! | `/report?by=&limit=&window=&series=&scope=` | a [`Report`](crate::Report) | yes |
//! | `/tenants/{id}?window=` | a [`TenantReport`](crate::TenantReport), the id as reports show it | yes |
//! | `/stats` | the ledger and the memory | yes |
//! | `/alerts` | an [`AlertsReport`](crate::alert::AlertsReport); `null` when no alerts are configured | yes |
//! | `/uptime?series=&limit=` | an [`UptimeReport`], with days for `series=1`; `null` when no checks are configured | yes |
//! | `/metrics` | fleet totals for Prometheus, no series per tenant | yes |
//! | `/openapi.json` | this table, as an `OpenAPI` 3.1 document | no |
//!
//! Errors are `application/problem+json` (RFC 9457).
//!
//! | file | content |
//! |---|---|
//! | `answer_cache` | reports that were just made, for many callers with the same query |
//! | `params` | parameters of a URL and their errors |
//! | `metrics` | the text of `/metrics` |
//! | `page.html`, `openapi.json` | the page with its script and style; the `OpenAPI` document |

mod answer_cache;
mod metrics;
mod params;

use crate::sentinel::Sentinel;
use crate::sentinel::wider::Sharing;
use crate::slot::stats::{Memory, Stats};
use crate::uptime::{MAX_CHECKS, UptimeReport};
use crate::util::error::ConfigError;
use answer_cache::AnswerCache;
use params::{Params, decoded, quoted};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;

const PAGE: &str = include_str!("page.html");
const OPENAPI: &str = include_str!("openapi.json");
/// Content security policy of the page: its own script and style by their hashes, requests to its own origin, and nothing else. The
/// test `admin` fails with the new hashes when the page changes.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'sha256-PdI3Bynyk6K8LHNBfmFvRmLkIAq6RBgEFTo2ZGxeDL0='; style-src 'sha256-IMgYD7+IbOAx9pNeWueUheo2MdyWJFL8Bx4ApdpBwLA='; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Content security policy of all other answers.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// The parts of a request that the admin view reads.
///
/// ```
/// use sentinel_core::admin::Request;
///
/// let request = Request { method: "GET", path: "/report", query: "by=load", authorization: Some(b"Bearer 3fQ8-secret") };
/// assert_eq!(request, Request { authorization: Some(b"Bearer 3fQ8-secret"), ..Request::get("/report", "by=load") });
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Method; only `GET` and `HEAD` are answered.
    pub method: &'a str,
    /// Path below the mount of the view, still percent-encoded; empty is the same as `/`.
    pub path: &'a str,
    /// Query, without the `?`, still percent-encoded.
    pub query: &'a str,
    /// The `Authorization` header.
    pub authorization: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// A `GET` request without a token.
    pub fn get(path: &'a str, query: &'a str) -> Self {
        Self { method: "GET", path, query, authorization: None }
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the token.
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

/// An answer of the admin view.
///
/// ```
/// use sentinel_core::{Sentinel, admin::Request};
///
/// let response = Sentinel::builder().build()?.admin().respond(&Request::get("/", ""));
/// assert_eq!(response.status, 200);
/// assert!(response.headers.contains(&("content-type", "text/html; charset=utf-8")));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, each once, and values. The caller adds the length of the body.
    pub headers: Vec<(&'static str, &'static str)>,
    /// Body; empty for `HEAD`.
    pub body: Cow<'static, [u8]>,
}

/// Callers that may see tenants.
#[derive(Clone)]
enum Access {
    /// No caller, since no token is configured.
    Nobody,
    /// Callers with the token whose SHA-256 this is.
    Token([u8; 32]),
    /// Every caller.
    Everybody,
}

/// The admin view of a [`Sentinel`]. Cheap to clone; clones share everything.
///
/// ```
/// use sentinel_core::{Event, Sentinel, admin::Request};
///
/// let sentinel = Sentinel::builder().build()?;
/// sentinel.record(Event { tenant: b"acme", status: 500, ..Event::default() });
/// let admin = sentinel.admin().token("correct-horse-battery")?;
/// let ask = |authorization| admin.respond(&Request { authorization, ..Request::get("/report", "by=errors&limit=1") });
/// assert_eq!(ask(None).status, 401);
/// assert_eq!(ask(Some(b"Bearer wrong")).status, 401);
/// let answer = ask(Some(b"Bearer correct-horse-battery"));
/// assert_eq!(answer.status, 200);
/// assert!(String::from_utf8_lossy(&answer.body).contains(r#""tenant_id":"acme""#));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Admin {
    sentinel: Sentinel,
    access: Access,
    answers: Arc<AnswerCache>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::Nobody => "nobody",
            Access::Token(_) => "token",
            Access::Everybody => "public",
        };
        f.debug_struct("Admin").field("access", &access).finish_non_exhaustive()
    }
}

/// Shortest token, in characters. A caller who tries one token with each request must not find it.
const MIN_TOKEN: usize = 8;
/// Longest token, in characters: servers limit a header line to a few kilobytes.
const MAX_TOKEN: usize = 1_024;

impl Admin {
    pub(crate) fn new(sentinel: &Sentinel) -> Self {
        Self { sentinel: sentinel.clone(), access: Access::Nobody, answers: Arc::default() }
    }

    /// Shows data to callers that send `Authorization: Bearer` and this token. Without a token, and without [`Admin::public`], the
    /// view shows data to nobody.
    ///
    /// # Errors
    /// A [`ConfigError`] when the token is not 8 to 1,024 visible ASCII characters. The error does not contain the token.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// let error = Sentinel::builder().build()?.admin().token("short").unwrap_err();
    /// assert_eq!(error.to_string(), "admin_token: 5 characters is not allowed; allowed: 8 to 1024 visible ASCII characters");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn token(self, token: &str) -> Result<Self, ConfigError> {
        let count = token.chars().count();
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || !(MIN_TOKEN..=MAX_TOKEN).contains(&count) {
            let value = if visible { format!("{count} characters") } else { "a token with other characters".into() };
            let allowed = format!("{MIN_TOKEN} to {MAX_TOKEN} visible ASCII characters");
            return Err(ConfigError::new("admin_token", value, allowed));
        }
        Ok(Self { access: Access::Token(Sha256::digest(token).into()), ..self })
    }

    /// Shows data to every caller that reaches the view. For a view behind a proxy that authenticates its callers.
    ///
    /// ```
    /// # use sentinel_core::{Sentinel, admin::Request};
    /// let admin = Sentinel::builder().build()?.admin().public();
    /// assert_eq!(admin.respond(&Request::get("/report", "")).status, 200);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn public(self) -> Self {
        Self { access: Access::Everybody, ..self }
    }

    /// Answers a request. Never panics. Takes about as long as a report.
    ///
    /// ```
    /// # use sentinel_core::{Sentinel, admin::Request};
    /// let admin = Sentinel::builder().build()?.admin();
    /// assert_eq!(admin.respond(&Request::get("/report", "")).status, 403); // no token was configured
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn respond(&self, request: &Request<'_>) -> Response {
        let mut response = self.answer(request).unwrap_or_else(Problem::response);
        if request.method == "HEAD" {
            response.body = Cow::Borrowed(&[]);
        }
        response
    }

    fn answer(&self, request: &Request<'_>) -> Result<Response, Problem> {
        let route = Route::of(request.path)?;
        if !matches!(request.method, "GET" | "HEAD") {
            return Err(Problem::new(405, "only GET and HEAD are answered here"));
        }
        if !route.is_static() {
            self.authorize(request.authorization)?;
        }
        let whole = self.sentinel.window();
        match route {
            Route::Page => {
                Params::read(request.query, &[])?;
                Ok(Response::new(200, "text/html; charset=utf-8", PAGE.as_bytes())
                    .with("content-security-policy", PAGE_POLICY))
            }
            Route::OpenApi => {
                Params::read(request.query, &[])?;
                Ok(Response::new(200, JSON, OPENAPI.as_bytes()))
            }
            Route::Report => {
                let query = Params::read(request.query, &["by", "limit", "window", "series", "scope"])?.query(whole)?;
                let body = self.answers.get(query, || body_of(&self.sentinel.report(query)))?;
                Ok(Response::new(200, JSON, body))
            }
            Route::Tenant(id) => {
                let params = Params::read(request.query, &["window", "scope"])?;
                let found = self.sentinel.tenant_as_shown(params.scope()?, &id, params.window(whole)?);
                let found = found.ok_or_else(|| {
                    let id = quoted(&String::from_utf8_lossy(&id));
                    Problem::new(404, format!("no tenant {id} in the window"))
                })?;
                Ok(Response::new(200, JSON, body_of(&found)?))
            }
            Route::Stats => {
                Params::read(request.query, &[])?;
                let stats = StatsReport {
                    as_of: self.sentinel.now_ms(),
                    stats: self.sentinel.stats(),
                    memory: self.sentinel.memory(),
                    sharing: self.sentinel.sharing(),
                };
                Ok(Response::new(200, JSON, body_of(&stats)?))
            }
            Route::Alerts => {
                Params::read(request.query, &[])?;
                let alerts = self.sentinel.alerts().map_err(|why| Problem::new(503, why.to_string()))?;
                Ok(Response::new(200, JSON, body_of(&alerts)?))
            }
            Route::Uptime => {
                let params = Params::read(request.query, &["series", "limit"])?;
                let (has_days, limit) = (params.series()?, params.limit(MAX_CHECKS)?);
                let uptime = self.sentinel.uptime().map_err(|why| Problem::new(503, why.to_string()))?;
                let uptime = uptime.map(|report| {
                    let report = limit.into_iter().fold(report, UptimeReport::first);
                    if has_days { report } else { report.without_days() }
                });
                Ok(Response::new(200, JSON, body_of(&uptime)?))
            }
            Route::Metrics => {
                Params::read(request.query, &[])?;
                let text = metrics::text(&self.sentinel).into_bytes();
                Ok(Response::new(200, "text/plain; version=0.0.4; charset=utf-8", text))
            }
        }
    }

    fn authorize(&self, authorization: Option<&[u8]>) -> Result<(), Problem> {
        let expected = match &self.access {
            Access::Everybody => return Ok(()),
            Access::Nobody => {
                return Err(Problem::new(
                    403,
                    "no admin token is configured, so nobody sees tenants; configure one, or say that the view is public",
                ));
            }
            Access::Token(expected) => expected,
        };
        let Some(authorization) = authorization else {
            return Err(Problem::new(401, "this needs the header Authorization: Bearer and the admin token"));
        };
        // Any other scheme is compared like a wrong token. Hashes are compared, so that not even the length of the token can be
        // measured.
        let token = match authorization.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
            _ => b"",
        };
        let given: [u8; 32] = Sha256::digest(token).into();
        if bool::from(given.ct_eq(expected)) { Ok(()) } else { Err(Problem::new(401, "the admin token is wrong")) }
    }
}

/// The answer that a path asks for.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Page,
    OpenApi,
    Report,
    Tenant(Vec<u8>),
    Stats,
    Alerts,
    Uptime,
    Metrics,
}

impl Route {
    fn of(path: &str) -> Result<Self, Problem> {
        if let Some(id) = path.strip_prefix("/tenants/").filter(|id| !id.is_empty()) {
            let id = decoded(id, false).ok_or_else(|| {
                ConfigError::new("id", quoted(id), "percent-encoded bytes: % and two hexadecimal digits each")
            })?;
            // Browsers and proxies remove . and .. from a path, however they are encoded. A backslash keeps them in.
            let id = match &*id {
                br"\." => b".".to_vec(),
                br"\.." => b"..".to_vec(),
                _ => id.into_owned(),
            };
            return Ok(Self::Tenant(id));
        }
        match path {
            "" | "/" => Ok(Self::Page),
            "/openapi.json" => Ok(Self::OpenApi),
            "/report" => Ok(Self::Report),
            "/stats" => Ok(Self::Stats),
            "/alerts" => Ok(Self::Alerts),
            "/uptime" => Ok(Self::Uptime),
            "/metrics" => Ok(Self::Metrics),
            _ => Err(Problem::new(
                404,
                format!(
                    "nothing at {}; there are /, /report, /tenants/{{id}}, /stats, /alerts, /uptime, /metrics and /openapi.json",
                    quoted(path)
                ),
            )),
        }
    }

    /// Whether the answer holds no data, so that it needs no token.
    fn is_static(&self) -> bool {
        matches!(self, Self::Page | Self::OpenApi)
    }
}

/// Answer of `/stats`.
#[derive(Debug, Serialize)]
struct StatsReport {
    as_of: i64,
    #[serde(flatten)]
    stats: Stats,
    memory: Memory,
    sharing: Option<Sharing>,
}

fn body_of(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|_| Problem::new(500, "the answer could not be written"))
}

impl Response {
    fn new(status: u16, content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        let headers = vec![
            ("content-type", content_type),
            ("cache-control", "no-store"),
            ("content-security-policy", DATA_POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ];
        Self { status, headers, body: body.into() }
    }

    /// Sets a header, in place of an earlier value.
    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value));
        self
    }
}

/// An error in or about a request.
#[derive(Debug)]
struct Problem {
    status: u16,
    detail: String,
    /// The parameter with its value and the allowed values, when one is to blame.
    field: Option<ConfigError>,
}

impl Problem {
    fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), field: None }
    }

    fn response(self) -> Response {
        let title = match self.status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        };
        let mut body = json!({ "type": "about:blank", "title": title, "status": self.status, "detail": self.detail });
        if let Some(ConfigError { field, value, allowed, .. }) = self.field {
            (body["field"], body["value"], body["allowed"]) = (field.into(), value.into(), allowed.into());
        }
        let response = Response::new(self.status, PROBLEM, body.to_string().into_bytes());
        match self.status {
            401 => response.with("www-authenticate", "Bearer realm=\"sentinel\""),
            405 => response.with("allow", "GET, HEAD"),
            _ => response,
        }
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        Self { status: 400, detail: error.to_string(), field: Some(error) }
    }
}

impl Sentinel {
    /// The admin view of this sentinel, to be mounted in a web service. The view shows no tenants until it has a token.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// let admin = Sentinel::builder().build()?.admin().token("correct-horse-battery")?;
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn admin(&self) -> Admin {
        Admin::new(self)
    }
}
