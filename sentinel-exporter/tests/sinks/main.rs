//! Sinks against servers that behave badly, and ids that want to be more than ids.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod answers;
#[path = "../common/certificates.rs"]
#[allow(dead_code)] // the probes need more of it
mod certificates;
mod configs;
mod ids;
mod lines;
mod mail;
mod notices;
mod secrets;
#[path = "../common/server.rs"]
#[allow(dead_code)]
mod server;
mod smtp;
mod tls;
mod words;

use sentinel_core::alert::Notice;
use sentinel_exporter::sink::{Failed, Secret, Sink, Slack, SlackConfig, Webhook, WebhookConfig};
use std::time::{Duration, Instant};

/// The deadline of a sink here.
const TIMEOUT: Duration = Duration::from_millis(2_500);
/// An attempt that takes so long has no end: a busy machine adds seconds to a deadline, and not a minute.
const NO_END: Duration = Duration::from_mins(1);

/// As the exporter does it: on a runtime of one thread.
fn send(sink: &dyn Sink, notice: &Notice) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let sent = runtime.block_on(sink.send(notice));
    let took = began.elapsed();
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    assert!(took < NO_END, "{took:?}: {sent:?}");
    sent
}

fn slack(url: &str) -> Slack {
    Slack::new(&SlackConfig::new(Secret::new(url))).unwrap().within(TIMEOUT)
}

fn webhook(url: &str) -> Webhook {
    Webhook::new(&WebhookConfig::new(Secret::new(url))).unwrap().within(TIMEOUT)
}

fn later(why: &str) -> Result<(), Failed> {
    Err(Failed::Later { why: why.into(), after: None })
}

fn refused(why: &str) -> Result<(), Failed> {
    Err(Failed::Refused { why: why.into() })
}
