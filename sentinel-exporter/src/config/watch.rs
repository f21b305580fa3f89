//! A configuration file that changes while it is used: [`Watch::poll`] looks at it, and keeps the last configuration that could
//! be used.

use super::options::Config;
use super::parse::ReadError;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A file that changed less than this ago is read again: two changes within one tick of the file system's clock look alike,
/// and some file systems tick in seconds.
const REREAD_WITHIN: Duration = Duration::from_secs(2);

/// Result of a look at the file.
///
/// ```
/// # use sentinel_exporter::{Reload, Watch};
/// let mut watch = Watch::new("/nowhere/sentinel.toml".as_ref());
/// assert!(matches!(watch.poll(), Reload::Invalid(_)));
/// assert_eq!(watch.poll(), Reload::Unchanged);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Reload {
    /// The same configuration; also if the file is still invalid, or says the same in other words.
    Unchanged,
    /// The configuration that holds from now on.
    Changed(Box<Config>),
    /// The file cannot be used, for the first time in this look; the last good configuration holds on.
    Invalid(ReadError),
}

/// A configuration file that may change; variables of the environment override it at each look.
///
/// ```
/// use sentinel_exporter::{Reload, Watch};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("sentinel.toml");
/// std::fs::write(&path, "[exporter]\ntenants = 64")?;
/// let mut watch = Watch::new(&path);
/// assert!(matches!(watch.poll(), Reload::Changed(config) if config.tenants == 64));
///
/// std::fs::write(&path, "[exporter]\ntenants = 'many'")?;
/// assert!(matches!(watch.poll(), Reload::Invalid(_)));
/// assert_eq!(watch.config().tenants, 64);
/// assert!(watch.error().is_some_and(|error| error.to_string().starts_with("exporter.tenants: ")));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Watch {
    path: PathBuf,
    /// The file at the last look; `None` if there was none.
    seen: Option<ConfigStamp>,
    looked: bool,
    config: Config,
    error: Option<ReadError>,
}

/// Metadata that changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ConfigStamp {
    modified: Option<SystemTime>,
    size: u64,
    inode: u64,
}

impl From<Metadata> for ConfigStamp {
    fn from(metadata: Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { modified: metadata.modified().ok(), size: metadata.len(), inode }
    }
}

impl ConfigStamp {
    /// Whether any change from now on gives another stamp.
    fn is_settled(&self) -> bool {
        let age = self.modified.and_then(|modified| modified.elapsed().ok());
        age.is_some_and(|age| age > REREAD_WITHIN)
    }
}

impl Watch {
    /// Watches a file. The defaults hold until the first [`poll`](Self::poll).
    ///
    /// ```
    /// # use sentinel_exporter::{Config, Watch};
    /// assert_eq!(Watch::new("sentinel.toml".as_ref()).config(), &Config::default());
    /// ```
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.into(), seen: None, looked: false, config: Config::default(), error: None }
    }

    /// Compares the file's time, size and inode with those of the last look, and reads the file if they differ.
    ///
    /// ```
    /// # use sentinel_exporter::{Reload, Watch};
    /// # let mut watch = Watch::new("/nowhere/sentinel.toml".as_ref());
    /// match watch.poll() {
    ///     Reload::Unchanged => {}
    ///     Reload::Changed(config) => println!("from now on: {config:?}"),
    ///     Reload::Invalid(error) => println!("{error}; what ran before runs on"),
    /// }
    /// ```
    pub fn poll(&mut self) -> Reload {
        self.poll_with(Config::env)
    }

    fn poll_with(&mut self, env: impl Fn(Config) -> Result<Config, sentinel_core::ConfigError>) -> Reload {
        let stamp = std::fs::metadata(&self.path).ok().map(ConfigStamp::from);
        let settled = stamp.is_none_or(|stamp| stamp.is_settled());
        let first = !std::mem::replace(&mut self.looked, true);
        if !first && self.seen == stamp && settled {
            return Reload::Unchanged;
        }
        self.seen = stamp;
        match Config::from_file(&self.path).and_then(|config| Ok(env(config)?)) {
            Ok(config) => {
                self.error = None;
                if config == self.config && !first {
                    return Reload::Unchanged;
                }
                self.config = config.clone();
                Reload::Changed(Box::new(config))
            }
            Err(error) if self.error.as_ref() == Some(&error) => Reload::Unchanged,
            Err(error) => {
                self.error = Some(error.clone());
                Reload::Invalid(error)
            }
        }
    }

    /// The configuration that holds: the last content of the file that could be used.
    ///
    /// ```
    /// # use sentinel_exporter::Watch;
    /// assert_eq!(Watch::new("sentinel.toml".as_ref()).config().tenants, 512);
    /// ```
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Reason why the file as it is now cannot be used; `None` if it can.
    ///
    /// ```
    /// # use sentinel_exporter::Watch;
    /// assert!(Watch::new("sentinel.toml".as_ref()).error().is_none());
    /// ```
    pub fn error(&self) -> Option<&ReadError> {
        self.error.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_runs_runs_on_until_there_is_better() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sentinel.toml");
        let mut watch = Watch::new(&path);
        let mut poll = |text: Option<&str>| {
            match text {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let reload = watch.poll_with(Ok);
            let again = watch.poll_with(Ok);
            assert_eq!(again, Reload::Unchanged, "{text:?}");
            (reload, watch.config().tenants, watch.error().is_some())
        };
        let tenants = |tenants| Reload::Changed(Box::new(Config { tenants, ..Config::default() }));
        assert_eq!(poll(Some("[exporter]\ntenants = 64")), (tenants(64), 64, false));
        // The same size and time, with another number in it.
        assert_eq!(poll(Some("[exporter]\ntenants = 65")), (tenants(65), 65, false));
        assert!(matches!(poll(Some("[exporter]\ntenants = 1")), (Reload::Invalid(_), 65, true)));
        assert!(matches!(poll(Some("[exporter]\ntenants = 2")), (Reload::Invalid(_), 65, true)));
        assert_eq!(poll(Some("# in other words\n[exporter]\ntenants = 65")), (Reload::Unchanged, 65, false));
        assert!(matches!(poll(None), (Reload::Invalid(_), 65, true)));
        assert_eq!(poll(Some("")), (tenants(512), 512, false));
    }

    #[test]
    fn a_settled_file_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sentinel.toml");
        let old = SystemTime::now() - Duration::from_mins(1);
        let write = |text: &str| {
            fs::write(&path, text).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        };
        let mut watch = Watch::new(&path);
        write("[exporter]\ntenants = 64");
        assert!(matches!(watch.poll_with(Ok), Reload::Changed(_)));
        write("[exporter]\ntenants = 65");
        assert_eq!(watch.poll_with(|_| unreachable!("not read")), Reload::Unchanged);
    }

    #[test]
    fn the_environment_has_the_last_word() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sentinel.toml");
        fs::write(&path, "[exporter]\ntenants = 64").unwrap();
        let mut watch = Watch::new(&path);
        watch.poll_with(|config| config.variables(|name| (name == "SENTINEL_EXPORTER_TENANTS").then(|| "99".into())));
        assert_eq!(watch.config().tenants, 99);
    }
}
