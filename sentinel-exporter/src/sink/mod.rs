//! Messages to people and programs: a sink makes a [`Notice`] its own medium's message, and sends it once. A Slack message
//! is made in `slack`.
//!
//! The queue of each sink, in `alerting/queue.rs`, does order, pace, retries and counting; a sink tries once, and returns the
//! result.
//!
//! - `slack`: the sink for Slack, and the message of blocks
//! - `webhook`: the sink for any program, signed by Standard Webhooks
//! - `email`: the sink for mail
//! - `log`: the sink for a file of JSON lines or the standard error
//! - `http`: one HTTP request and its answer, for Slack and webhooks
//! - `address`: a URL that may be a password, for the same
//! - `smtp`: one conversation with a mail server
//! - `event`: a notice as JSON, for webhooks and logs
//! - `options`: the table of a sink, as it is written
//! - `config`, `email_config`: the options of each type, in range
//! - `flush`: the target of closed slots
//! - `flusher`: closed slots as JSON lines, written without waiting

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

/// Timeout of one message: less than the 10 s after which the queue gives a sink up, so that the sink can name the step that
/// it waited for.
const SEND_TIMEOUT: Duration = Duration::from_millis(9_500);

/// A message being sent.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), Failed>> + Send + 'a>>;

/// Reason why a message was not taken. People see the text: it has no address, no secret, and no words of the other side,
/// only codes.
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
    /// The other side may take the message later: the queue tries again.
    #[error("{why}")]
    Later {
        /// The reason.
        why: String,
        /// Time to wait before the next attempt, if the other side asked for it.
        after: Option<Duration>,
    },
    /// The other side will never take the message: nothing more is sent there until the configuration changes.
    #[error("{why}")]
    Refused {
        /// The reason.
        why: String,
    },
}

impl From<Fault> for Failed {
    /// Any fault may pass: names come back, certificates are renewed.
    fn from(fault: Fault) -> Self {
        Self::Later { why: fault.to_string(), after: None }
    }
}

/// Result of a test alert at one sink.
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
    /// Name of the sink.
    pub name: String,
    /// Kind of the sink, as `slack`.
    pub kind: String,
    /// Reason why the test alert was not taken; `None` if it was.
    pub error: Option<String>,
}

/// A way to tell people, which any program may implement. The exporter calls it on its own runtime, one message at a time.
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
    /// Name of the sink: unique among the sinks of a service, and the same after a restart.
    fn name(&self) -> &str;

    /// Kind of the sink, as `slack`.
    fn kind(&self) -> &'static str;

    /// Tries to send a notice, once. The exporter drops the future after 10 s, wherever it is then; the future must not block
    /// the thread.
    fn send<'a>(&'a self, notice: &'a Notice) -> Sending<'a>;

    /// The least time between two messages.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }
}
