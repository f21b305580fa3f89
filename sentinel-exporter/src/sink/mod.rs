//! Messages to people and programs: a sink makes a [`Notice`] its own medium's message, and sends it once.
//!
//! Order, pace, retries and counting are done by the queue of each sink, in `alerting/queue.rs`; a sink only tries, and returns the result.
//!
//! - `slack`, `webhook`, `email`, `log`: one sink each
//! - `http`, `address`: one HTTP request and its answer, for Slack and webhooks; `smtp`: one conversation with a mail server
//! - `event`: a notice as JSON, for webhooks and logs
//! - `options`, `config`, `email_config`: the table of a sink, as it is written and checked
//! - `flush`, `flusher`: closed slots as JSON lines for other systems

mod address;
mod config;
mod email;
mod email_config;
mod event;
pub(crate) mod flush;
#[cfg(unix)]
pub(crate) mod flusher;
mod http;
#[cfg(unix)]
mod log;
pub(crate) mod options;
mod slack;
mod smtp;
mod webhook;

pub use config::{LogConfig, LogTarget, SinkConfig, SlackConfig, WebhookConfig};
pub use email::Email;
pub use email_config::{EmailConfig, Encryption};
#[cfg(unix)]
pub use log::Log;
pub use slack::Slack;
pub use webhook::Webhook;

pub use crate::values::Secret;

use crate::net::fault::Fault;
use sentinel_core::alert::Notice;
use serde::Serialize;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;
use thiserror::Error;

/// Less than the 10 s after which a sink is given up, so that it can say what it was waiting for.
const SEND_TIMEOUT: Duration = Duration::from_millis(9_500);

/// A message on its way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), Failed>> + Send + 'a>>;

/// Why a message was not taken. The text is shown to people: it has no address, no secret, and nothing that the other side has said
/// beyond a code.
///
/// ```
/// use sentinel_exporter::sink::Failed;
///
/// let failed = Failed::Later { why: "429".into(), after: Some(std::time::Duration::from_secs(30)) };
/// assert_eq!(failed.to_string(), "429");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failed {
    /// It may be taken later: it is tried again.
    #[error("{why}")]
    Later {
        /// What happened.
        why: String,
        /// Not before this has passed, as the other side has asked for.
        after: Option<Duration>,
    },
    /// It is never taken: nothing more is sent there, until the configuration changes.
    #[error("{why}")]
    Refused {
        /// What happened.
        why: String,
    },
}

impl From<Fault> for Failed {
    /// Any of them may pass: names come back, certificates are renewed.
    fn from(fault: Fault) -> Self {
        Self::Later { why: fault.to_string(), after: None }
    }
}

/// How a test alert went at a sink.
///
/// ```
/// use sentinel_exporter::sink::Tried;
///
/// let tried = Tried { name: "ops".into(), kind: "slack".into(), error: None };
/// assert_eq!(serde_json::to_string(&tried)?, r#"{"name":"ops","kind":"slack","error":null}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// What the sink is called.
    pub name: String,
    /// What kind it is.
    pub kind: String,
    /// Why it was not taken; `None` when it was.
    pub error: Option<String>,
}

/// A way to tell people, which anybody may implement. Called on the exporter's own runtime, one message at a time.
///
/// ```
/// use sentinel_core::alert::Notice;
/// use sentinel_exporter::sink::{Sending, Sink};
///
/// #[derive(Debug)]
/// struct Siren;
///
/// impl Sink for Siren {
///     fn name(&self) -> &str {
///         "siren"
///     }
///     fn kind(&self) -> &'static str {
///         "siren"
///     }
///     fn send<'a>(&'a self, notice: &'a Notice) -> Sending<'a> {
///         Box::pin(async move {
///             let _text = notice.message().text();
///             Ok(())
///         })
///     }
/// }
/// assert_eq!(Siren.pace(), std::time::Duration::ZERO);
/// ```
pub trait Sink: fmt::Debug + Send + Sync {
    /// What it is called: unique among the sinks of a service, and the same after a restart.
    fn name(&self) -> &str;

    /// What kind it is, as `slack`.
    fn kind(&self) -> &'static str;

    /// Tries to send it, once. It is given up after 10 s, wherever it is then. It must not block the thread.
    fn send<'a>(&'a self, notice: &'a Notice) -> Sending<'a>;

    /// The least time between two messages.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }
}
