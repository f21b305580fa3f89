//! The sink for a log: notices as JSON lines, to the standard error or to a file that this sink rotates.
//!
//! A line is one write, and nothing waits, as for closed slots ([`Flusher`]).

use super::config::{LogConfig, LogTarget};
use super::flusher::{FlushError, Flusher};
use super::{Failed, Sending, Sink, event};
use sentinel_core::ConfigError;
use sentinel_core::alert::Notice;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// A sink that writes each notice as a line of JSON.
///
/// ```
/// use sentinel_core::alert::Notice;
/// use sentinel_exporter::sink::{Log, LogConfig, LogTarget, Sink};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("alerts.jsonl");
/// let log = Log::new(&LogConfig { to: LogTarget::File(path.clone()), ..LogConfig::default() })?;
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// log.send(&Notice::test("shop", 1_700_000_000_000)).await?;
/// # Ok::<(), sentinel_exporter::sink::Failed>(())
/// # })?;
/// let line = std::fs::read_to_string(&path)?;
/// assert!(line.starts_with(r#"{"type":"sentinel.test","timestamp":"2023-11-14T22:13:20.000Z","data":{"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Log {
    name: String,
    /// `None` if lines go to the standard error.
    rotation: Option<Rotation>,
    flusher: Mutex<Flusher>,
}

impl Log {
    /// Makes the sink. Nothing is opened yet.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{Log, LogConfig};
    /// assert_eq!(Log::new(&LogConfig { keep: 0, ..LogConfig::default() }).unwrap_err().field, "keep");
    /// ```
    pub fn new(config: &LogConfig) -> Result<Self, ConfigError> {
        let config = config.clone().validated()?;
        let (flusher, rotation) = match config.to {
            LogTarget::Stderr => (Flusher::stderr(), None),
            LogTarget::File(path) => (
                Flusher::file(path.clone()),
                Some(Rotation { path, max_bytes: config.max_size as u64, keep: config.keep }),
            ),
        };
        Ok(Self { name: config.name.unwrap_or_else(|| "log".into()), rotation, flusher: Mutex::new(flusher) })
    }

    fn write(&self, notice: &Notice) -> Result<(), Failed> {
        let json = event::json(notice)?;
        let later = |why: String| Failed::Later { why, after: None };
        let line = std::str::from_utf8(&json).map_err(|_| later("the line is not text".into()))?;
        let mut flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rotation) = &self.rotation {
            rotation.make_room(line.len() as u64 + 1);
        }
        flusher.write(line).map_err(|error| {
            later(match error {
                FlushError::Open { kind, .. } => format!("the file cannot be opened: {kind}"),
                FlushError::Write { written, bytes, kind, .. } => {
                    format!("{written} of {bytes} bytes were written: {kind}")
                }
                FlushError::NotALine { .. } => "the line is more than one".into(),
            })
        })
    }
}

impl Sink for Log {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "log"
    }

    fn send<'a>(&'a self, notice: &'a Notice) -> Sending<'a> {
        Box::pin(async move { self.write(notice) })
    }
}

/// A log file that is kept below a size.
#[derive(Debug)]
struct Rotation {
    path: PathBuf,
    /// Bytes of the file.
    max_bytes: u64,
    /// Number of old files.
    keep: usize,
}

impl Rotation {
    /// Makes room for more bytes: `path` becomes `path.1`, `path.1` becomes `path.2`, and the last file is removed. A file that
    /// cannot be renamed stays and grows, so that no line is lost.
    fn make_room(&self, more: u64) {
        let full = |found: fs::Metadata| found.is_file() && found.len() > 0 && found.len() + more > self.max_bytes;
        if !fs::metadata(&self.path).is_ok_and(full) {
            return;
        }
        let numbered = |number: usize| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.keep).rev() {
            let _ = fs::rename(numbered(number), numbered(number + 1));
        }
        let _ = fs::rename(&self.path, numbered(1));
    }
}
