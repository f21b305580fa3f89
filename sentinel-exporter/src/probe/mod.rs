//! One probe of one check: the answer of a target, as seen from this host, within one deadline. The SSRF guard is in `guard`.
//!
//! ```text
//! Check ─► resolve ─► guard ─► connect ─► TLS ─► request ─► answer ─► Expect::judge ─► Probed
//!             ▲                 hop       verify  request      │
//!             └──────────────── redirect ◄──────────────────────┘
//! ```
//!
//! Neither a target nor its answer is trusted. Every address is judged before it is dialled, at each redirect anew ([`Allow`]); no
//! proxy is taken from the environment; nothing is decompressed; heads and bodies have caps, and the
//! [deadline](sentinel_core::uptime::Check::timeout) is over all of it. A check's headers go to the scheme, host and port of its
//! target alone. Nothing is kept from one probe to the next: no connection, no session, no address.
//!
//! - `guard`: the SSRF guard (server-side request forgery): the addresses that a probe may go to
//! - `allow`: the allow-list of addresses that are not public
//! - `resolve`: addresses of a name
//! - `hop`: one connection: resolve, judge, dial, encrypt
//! - `verify`: whether a certificate is believed
//! - `expiry`: the date when a certificate expires
//! - `request`: the request of a check
//! - `redirect`: the target of a redirect
//! - `run`: all of it in order, over redirects

mod allow;
mod expiry;
mod guard;
mod hop;
mod redirect;
mod request;
mod resolve;
mod run;
mod verify;

pub use allow::Allow;
pub use hop::Phases;
pub use resolve::{Resolve, Resolving};

use hop::{Dialer, micros};
use resolve::SystemResolver;
use run::{ProbeProgress, ProbeRun};
use sentinel_core::ConfigError;
use sentinel_core::uptime::{Cause, Check, CheckResult};
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use verify::Verify;

/// The longest timeout that a check can have.
const MAX_TIMEOUT: Duration = Duration::from_mins(1);

/// Options that all probes share.
///
/// ```
/// use sentinel_exporter::probe::ProbeOptions;
///
/// let options: ProbeOptions = serde_json::from_str(r#"{"allow": ["loopback", "10.0.0.0/8"]}"#)?;
/// assert_ne!(options, ProbeOptions::default());
/// assert!(serde_json::from_str::<ProbeOptions>(r#"{"alow": []}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeOptions {
    /// Addresses that probes may go to besides public ones. Default none.
    pub allow: Allow,
    /// A PEM file of at most 1 MiB with issuers to believe besides Mozilla's list.
    pub ca_file: Option<PathBuf>,
}

/// Outcome of a probe.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// use sentinel_core::uptime::{Cause, Check, Target};
/// use sentinel_exporter::probe::{ProbeOptions, Prober};
///
/// let prober = Prober::new(&ProbeOptions::default())?;
/// let probed = prober.probe(&Check::new("metadata", Target::new("http://169.254.169.254/")?), 0).await;
/// assert_eq!((probed.result.cause, probed.expires_ms), (Some(Cause::Blocked), None));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed {
    /// Result for [`Uptime::record`](sentinel_core::uptime::Uptime::record). The latency is set if there was an answer: the
    /// time from the beginning of the probe to the end of the body if a condition looks at the body, else to the end of the
    /// head; of `tcp://` to the connection, of `tls://` to the end of the handshake. The status is that of the last answer.
    pub result: CheckResult,
    /// Unix ms when the certificate expires, believed or not; the earliest of all redirects.
    pub expires_ms: Option<i64>,
    /// Time of each phase.
    pub phases: Phases,
}

/// Probes checks, any number at a time, on a runtime of `tokio` with time and I/O. Cheap to clone.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// use sentinel_core::uptime::{Check, Target};
/// use sentinel_exporter::probe::{Allow, ProbeOptions, Prober};
///
/// let prober = Prober::new(&ProbeOptions { allow: Allow::new(["loopback"])?, ..ProbeOptions::default() })?;
/// let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let check = Check::new("db", Target::new(&format!("tcp://{}", listener.local_addr().unwrap()))?);
/// let probed = prober.probe(&check, 1_700_000_000_000).await;
/// assert!(!probed.result.is_down() && probed.phases.connect_us.is_some());
/// # Ok::<(), sentinel_core::ConfigError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Prober(Arc<Dialer>);

impl Prober {
    /// A prober with the system's resolver.
    ///
    /// # Errors
    /// A [`ConfigError`] of `ca_file`.
    ///
    /// ```
    /// use sentinel_exporter::probe::{ProbeOptions, Prober};
    ///
    /// let wrong = ProbeOptions { ca_file: Some("/none.pem".into()), ..ProbeOptions::default() };
    /// assert_eq!(Prober::new(&wrong).unwrap_err().field, "ca_file");
    /// ```
    pub fn new(options: &ProbeOptions) -> Result<Self, ConfigError> {
        Self::resolving(options, Arc::new(SystemResolver::default()))
    }

    /// A prober with another resolver.
    ///
    /// # Errors
    /// As [`Prober::new`].
    ///
    /// ```
    /// use sentinel_exporter::probe::{ProbeOptions, Prober, Resolve, Resolving};
    ///
    /// struct Nothing;
    ///
    /// impl Resolve for Nothing {
    ///     fn resolve<'a>(&'a self, _host: &'a str) -> Resolving<'a> {
    ///         Box::pin(async { Ok(Vec::new()) })
    ///     }
    /// }
    /// assert!(Prober::resolving(&ProbeOptions::default(), std::sync::Arc::new(Nothing)).is_ok());
    /// ```
    pub fn resolving(options: &ProbeOptions, resolver: Arc<dyn Resolve>) -> Result<Self, ConfigError> {
        let verify = Verify::new(options.ca_file.as_deref())?;
        Ok(Self(Arc::new(Dialer { allow: options.allow.clone(), verify, resolver })))
    }

    /// Probes a check once; `at_ms` is the time of the probe, Unix ms. The future takes no longer than the check's timeout;
    /// dropping the future ends the probe.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// use sentinel_core::uptime::{Cause, Check, Target};
    /// use sentinel_exporter::probe::{Allow, ProbeOptions, Prober};
    ///
    /// let prober = Prober::new(&ProbeOptions { allow: Allow::new(["loopback"])?, ..ProbeOptions::default() })?;
    /// // It listens, and says nothing.
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    /// let target = Target::new(&format!("http://{}", listener.local_addr().unwrap()))?;
    /// let check = Check { timeout: Some(std::time::Duration::from_millis(50)), ..Check::new("shop", target) };
    /// assert_eq!(prober.probe(&check, 0).await.result.cause, Some(Cause::Timeout));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// # }).unwrap();
    /// ```
    pub async fn probe(&self, check: &Check, at_ms: i64) -> Probed {
        let began = Instant::now();
        let by = began + check.timeout().min(MAX_TIMEOUT);
        let mut progress = ProbeProgress::default();
        let run = ProbeRun { dialer: &self.0, check, began, by, progress: &mut progress };
        let judged = timeout_at(by, run.run()).await;
        progress.phases.total_us = Some(micros(began.elapsed()));
        let interval_ms = check.interval_ms();
        let result = match judged.unwrap_or(Err(Cause::Timeout)) {
            Ok(()) => CheckResult::up(at_ms, interval_ms),
            // This process has no file descriptors, ports or memory left: the target is not to blame.
            Err(Cause::OwnNetwork) => CheckResult::unknown(at_ms, interval_ms, Cause::OwnNetwork),
            Err(cause) => CheckResult::down(at_ms, interval_ms, cause),
        };
        let result = CheckResult { latency_us: progress.latency.map(micros), status: progress.status, ..result };
        Probed { result, expires_ms: progress.seen.expires_ms(), phases: progress.phases }
    }
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober").field("allow", &self.0.allow).finish_non_exhaustive()
    }
}
