//! The handle that a host holds: an exporter for a sentinel. It starts the thread when the thread is needed.

#[cfg(unix)]
use super::leader_duties::LeaderDuties;
use super::mailbox::{Mailbox, TestRequest};
#[cfg(unix)]
use super::view::View;
use super::work::Work;
#[cfg(unix)]
use crate::alerting::AlertPlan;
use crate::config::{Config, ReadError, Watch};
#[cfg(unix)]
use crate::host_dir::Place;
#[cfg(unix)]
use crate::rollup::Directory;
use crate::sink::{Sink, Tried};
use arc_swap::ArcSwap;
use sentinel_core::alert::AlertsReport;
use sentinel_core::uptime::UptimeReport;
use sentinel_core::{Answer, ConfigError, Scope, Sentinel, Sharing, Unavailable, Wider, fork};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Time that a question waits for the view of the host.
const ANSWER_WITHIN: Duration = Duration::from_millis(250);
/// Longest wait for the results of a test alert.
const MAX_TEST_WAIT: Duration = Duration::from_mins(10);
/// Time that a dropped exporter has to publish what is left.
const DROP_WITHIN: Duration = Duration::from_millis(500);

/// Shares what a sentinel counts with the other processes of its service on this host, so that any of them answers for all; ticks it,
/// and flushes its slots.
///
/// The exporter starts nothing until it is needed: by [`Exporter::start`], the first record, or the first question, in this process
/// or, with a thread of its own, in each forked child. Dropped, it publishes what is left, within half a second.
///
/// ```
/// use sentinel_core::{Event, Query, Scope, Sentinel};
/// use sentinel_exporter::{Config, Exporter};
///
/// # let dir = tempfile::tempdir()?;
/// # std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
/// # let dir = dir.path().to_path_buf();
/// // Two workers of one service.
/// let config = Config { service: Some("checkout".into()), dir: Some(dir), ..Config::default() };
/// let (one, other) = (Sentinel::builder().build()?, Sentinel::builder().build()?);
/// let (_a, shares) = (Exporter::new(&one, config.clone())?, Exporter::new(&other, config)?);
///
/// other.record(Event { tenant: b"acme", status: 503, ..Event::default() });
/// shares.close(std::time::Duration::from_secs(5)); // publishes at once; otherwise every two seconds
///
/// let report = one.report(Query::default());
/// assert_eq!((report.scope, report.totals.errors), (Scope::Host, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Exporter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sentinel: Sentinel,
    config: Config,
    file: Option<PathBuf>,
    #[cfg(unix)]
    place: Option<Place>,
    #[cfg(unix)]
    state: Option<Place>,
    sinks: Vec<Arc<dyn Sink>>,
    /// The mailbox of this process; the mailbox of a parent process is left alone.
    mailbox: ArcSwap<Mailbox>,
}

impl Exporter {
    /// Makes an exporter for a sentinel, which asks it for the view of the host from now on. Starts nothing and opens nothing.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// # use sentinel_exporter::{Config, Exporter};
    /// let sentinel = Sentinel::builder().build()?;
    /// let nameless = Config { service: Some(".".into()), ..Config::default() };
    /// assert_eq!(Exporter::new(&sentinel, nameless).unwrap_err().field, "service");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn new(sentinel: &Sentinel, config: Config) -> Result<Self, ConfigError> {
        Self::watching(sentinel, config, None)
    }

    /// Takes the options of a file, and over them those of the environment. The file is watched: `every`, `tenants`, `flush`,
    /// alerts and uptime checks change while the exporter runs. A file that cannot be used changes nothing, and `sharing` reports
    /// its error.
    ///
    /// # Errors
    /// A [`ReadError`] that names the path of the key, or the variable.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// # use sentinel_exporter::Exporter;
    /// # let sentinel = Sentinel::builder().build()?;
    /// assert!(Exporter::from_file(&sentinel, "/nowhere/sentinel.toml".as_ref()).is_err());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn from_file(sentinel: &Sentinel, path: &Path) -> Result<Self, ReadError> {
        let config = Config::from_file(path)?.env().map_err(ReadError::Value)?;
        Self::watching(sentinel, config, Some(path)).map_err(ReadError::Value)
    }

    /// Takes options that were read from `file`, if from one, and changed since. The file is watched as in [`Exporter::from_file`].
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// # use sentinel_exporter::{Config, Exporter};
    /// # let sentinel = Sentinel::builder().build()?;
    /// let config = Config { service: Some("checkout".into()), ..Config::default() };
    /// assert!(Exporter::watching(&sentinel, config, Some("sentinel.toml".as_ref())).is_ok());
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn watching(sentinel: &Sentinel, config: Config, file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::with_sinks(sentinel, config, file, Vec::new())
    }

    /// As [`Exporter::watching`], with sinks of your own beside the configured ones. No two sinks may have the same name.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option.
    ///
    /// ```
    /// # use sentinel_core::{Sentinel, alert::Notice};
    /// # use sentinel_exporter::{Config, Exporter, sink::{Sending, Sink}};
    /// # use std::sync::Arc;
    /// #[derive(Debug)]
    /// struct Siren;
    ///
    /// impl Sink for Siren {
    ///     // …
    /// #   fn name(&self) -> &str { "siren" }
    /// #   fn kind(&self) -> &'static str { "siren" }
    /// #   fn send<'a>(&'a self, _: &'a Notice) -> Sending<'a> { Box::pin(async { Ok(()) }) }
    /// }
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    /// # let dir = dir.path().to_path_buf();
    ///
    /// let sentinel = Sentinel::builder().build()?;
    /// let config = Config { service: Some("checkout".into()), dir: Some(dir), ..Config::default() };
    /// let exporter = Exporter::with_sinks(&sentinel, config, None, vec![Arc::new(Siren)])?;
    /// let tried = exporter.test_alert(Some("siren"), std::time::Duration::from_secs(10))?;
    /// assert_eq!((tried[0].name.as_str(), &tried[0].error), ("siren", &None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_sinks(
        sentinel: &Sentinel,
        config: Config,
        file: Option<&Path>,
        sinks: Vec<Arc<dyn Sink>>,
    ) -> Result<Self, ConfigError> {
        let config = config.validated()?;
        // Options that cannot be used are refused here, and not on the thread.
        sentinel.aggregator(config.budget)?;
        #[cfg(unix)]
        let place = match &config.service {
            Some(service) => Some(Place::new(config.dir.as_deref(), service)?),
            None => None,
        };
        #[cfg(unix)]
        let state = match (&config.service, &config.state_dir) {
            (Some(service), Some(dir)) => Some(Place::new(Some(dir), service)?),
            _ => place.clone(),
        };
        #[cfg(unix)]
        // The plan is checked here and made anew on the thread of each process: a forked child must not have the locks of its parent.
        AlertPlan::of(&config, &sinks)?;
        let inner = Arc::new(Inner {
            sentinel: sentinel.clone(),
            config,
            file: file.map(Into::into),
            #[cfg(unix)]
            place,
            #[cfg(unix)]
            state,
            sinks,
            mailbox: ArcSwap::from_pointee(Mailbox::new(fork::generation())),
        });
        let wider: Weak<Inner> = Arc::downgrade(&inner);
        sentinel.widen(wider);
        Ok(Self { inner })
    }

    /// Starts the thread of this process, if it is not running: for a service that should be seen before its first request.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// # use sentinel_exporter::{Config, Exporter};
    /// let sentinel = Sentinel::builder().build()?;
    /// let exporter = Exporter::new(&sentinel, Config::default())?;
    /// assert!(!sentinel.sharing().unwrap().running);
    /// exporter.start();
    /// assert!(sentinel.sharing().unwrap().running);
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn start(&self) {
        self.inner.start();
    }

    /// Publishes what was recorded so far, without waiting for the next time. Returns whether that was done within a quarter of a
    /// second. Does nothing where no thread runs.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// # use sentinel_exporter::{Config, Exporter};
    /// # let sentinel = Sentinel::builder().build()?;
    /// assert!(!Exporter::new(&sentinel, Config::default())?.publish()); // nobody to publish for
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn publish(&self) -> bool {
        self.inner.mailbox().ask(ANSWER_WITHIN).is_ok()
    }

    /// Sends a test alert to every sink, or to the one of this name, and waits for the results, at most `within`; 10 s are enough
    /// for any sink. Any process can do that, whether it leads or not.
    ///
    /// # Errors
    /// [`TestError`]: there is no such sink, or no thread that could send.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// # use sentinel_exporter::{Config, Exporter};
    /// let sentinel = Sentinel::builder().build()?;
    /// let error = Exporter::new(&sentinel, Config::default())?.test_alert(None, std::time::Duration::ZERO).unwrap_err();
    /// assert_eq!(error.to_string(), "sink: none is not allowed; allowed: one that is configured, and there is none");
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn test_alert(&self, sink: Option<&str>, within: Duration) -> Result<Vec<Tried>, TestError> {
        let none = |known: &[String]| {
            let value = sink.map_or_else(|| "none".into(), |name| format!("{name:?}"));
            let known =
                if known.is_empty() { "one that is configured, and there is none".into() } else { known.join(", ") };
            ConfigError::new("sink", value, known)
        };
        let inner = &self.inner;
        if !inner.may_alert() {
            return Err(none(&[]).into());
        }
        inner.start();
        let (answers, heard) = mpsc::channel();
        let within = within.min(MAX_TEST_WAIT);
        let end = Instant::now() + within;
        inner.mailbox().test(TestRequest { sink: sink.map(Into::into), answers }).map_err(Unavailable)?;
        let mut tried = BTreeMap::new();
        // The channel closes when the last sink has answered.
        while let Ok(one) = heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
            tried.insert(one.name.clone(), one);
        }
        if tried.is_empty() {
            let known = inner.mailbox().ask_alerts(ANSWER_WITHIN).map_err(Unavailable)?;
            let known: Vec<String> =
                known.iter().flat_map(|alerts| &alerts.sinks).map(|sink| sink.name.clone()).collect();
            if known.iter().any(|name| sink.is_none_or(|sink| sink == name)) {
                return Err(
                    Unavailable(format!("the exporter has not answered within {} ms", within.as_millis())).into()
                );
            }
            return Err(none(&known).into());
        }
        Ok(tried.into_values().collect())
    }

    /// Publishes what is left and ends the thread, and waits for that, at most `within`. Returns whether the thread has ended.
    /// Published blocks stay until they leave the window.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// # use sentinel_exporter::{Config, Exporter};
    /// # let sentinel = Sentinel::builder().build()?;
    /// let exporter = Exporter::new(&sentinel, Config::default())?;
    /// exporter.start();
    /// assert!(exporter.close(std::time::Duration::from_secs(5)));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    pub fn close(&self, within: Duration) -> bool {
        self.inner.close(within)
    }
}

impl Inner {
    /// The mailbox of this process; a forked child gets one of its own.
    fn mailbox(&self) -> Arc<Mailbox> {
        let now = fork::generation();
        let known = self.mailbox.load_full();
        if known.generation == now {
            return known;
        }
        let born = Arc::new(Mailbox::new(now));
        // Another thread of the child may be first.
        let before = self.mailbox.rcu(|known| if known.generation == now { known.clone() } else { born.clone() });
        if before.generation != now {
            // A thread of the parent may have held the lock of this mailbox at the fork, so it is never dropped.
            std::mem::forget(before);
        }
        self.mailbox.load_full()
    }

    fn start(&self) {
        let mailbox = self.mailbox();
        if !mailbox.begin() {
            return;
        }
        let work = Work::new(self.sentinel.clone(), Arc::clone(&mailbox), self.config.clone());
        let parts = ThreadParts {
            file: self.file.clone(),
            #[cfg(unix)]
            place: self.place.clone(),
            #[cfg(unix)]
            state: self.state.clone(),
            #[cfg(unix)]
            sinks: self.sinks.clone(),
        };
        let body = move || parts.add_to(work).run();
        // Where no thread can be started, reports are of this process alone; the host goes on.
        if let Err(error) = std::thread::Builder::new().name("sentinel-exporter".into()).spawn(body) {
            mailbox.not_begun(format!("the exporter's thread cannot be started: {error}"));
        }
    }

    /// Whether alerts are configured, or a file may come to configure some.
    fn may_alert(&self) -> bool {
        let Config { service, alerts, .. } = &self.config;
        cfg!(unix) && service.is_some() && (alerts.is_some() || self.file.is_some() || !self.sinks.is_empty())
    }

    /// Whether checks are configured, or a file may come to configure some.
    fn may_check(&self) -> bool {
        let Config { service, uptime, .. } = &self.config;
        cfg!(unix) && service.is_some() && (uptime.is_some() || self.file.is_some())
    }

    fn close(&self, within: Duration) -> bool {
        // A child that has started no thread has nothing to end.
        self.mailbox().close(Instant::now() + within)
    }
}

/// Why no test alert was sent.
///
/// ```
/// use sentinel_core::Unavailable;
/// use sentinel_exporter::TestError;
///
/// assert_eq!(TestError::from(Unavailable("the exporter is closed".into())).to_string(), "the exporter is closed");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// There is no such sink.
    #[error(transparent)]
    Sink(#[from] ConfigError),
    /// No thread could send it.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Parts that are opened on the thread.
struct ThreadParts {
    file: Option<PathBuf>,
    #[cfg(unix)]
    place: Option<Place>,
    #[cfg(unix)]
    state: Option<Place>,
    #[cfg(unix)]
    sinks: Vec<Arc<dyn Sink>>,
}

impl ThreadParts {
    fn add_to(self, mut work: Work) -> Work {
        work.watch(self.file.as_deref().map(Watch::new));
        #[cfg(unix)]
        if let Some(place) = self.place {
            // The budget was checked when the exporter was made.
            if let Ok(merged) = work.sentinel.aggregator(work.config.budget) {
                work.view = Some(View::new(merged, Box::new(Directory::new(place.clone()))));
                work.leader = Some(crate::host_dir::Leader::new(place.clone()));
                work.duties = self.state.map(|state| {
                    let mut duties = LeaderDuties::new(place, state, self.sinks);
                    work.configure_duties(&mut duties);
                    duties
                });
            }
        }
        work
    }
}

// The thread ends with the exporter, not with the last owner of `Inner`: that may be a thread that records or asks, which must not
// wait.
impl Drop for Exporter {
    fn drop(&mut self) {
        if self.inner.mailbox.load().generation == fork::generation() {
            self.inner.close(DROP_WITHIN);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.mailbox.load().generation != fork::generation() {
            // A mailbox that was inherited by a fork is left alone.
            std::mem::forget(self.mailbox.load_full());
        }
    }
}

impl Wider for Inner {
    fn begin(&self) {
        self.start();
    }

    fn answer(&self) -> Result<Option<Answer>, Unavailable> {
        if self.config.service.is_none() {
            return Ok(None);
        }
        if !cfg!(unix) {
            return Err(Unavailable("the host's view needs Linux or macOS".into()));
        }
        self.start();
        let (sentinel, note) = self.mailbox().ask(ANSWER_WITHIN).map_err(Unavailable)?;
        Ok(Some(Answer { scope: Scope::Host, sentinel, note }))
    }

    fn alerts(&self) -> Result<Option<AlertsReport>, Unavailable> {
        if !self.may_alert() {
            return Ok(None);
        }
        self.start();
        self.mailbox().ask_alerts(ANSWER_WITHIN).map_err(Unavailable)
    }

    fn uptime(&self) -> Result<Option<UptimeReport>, Unavailable> {
        if !self.may_check() {
            return Ok(None);
        }
        self.start();
        self.mailbox().ask_uptime(ANSWER_WITHIN).map_err(Unavailable)
    }

    fn sharing(&self) -> Option<Sharing> {
        Some(self.mailbox().sharing())
    }
}
