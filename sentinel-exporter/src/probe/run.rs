//! One probe from its first connection to the last answer, over redirects. The caller holds the progress, so that it
//! survives the deadline.

use super::hop::{Dialer, FirstByteStream, Phases, add, cause};
use super::redirect::{NextRequest, follow, is_redirect};
use super::request::request;
use super::verify::SeenExpiry;
use crate::net::exchange::{exchange, take};
use crate::net::fault::Fault;
use crate::net::stream::Stream;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::LOCATION;
use sentinel_core::uptime::{Answer, Cause, Check, Kind, Target};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// Results of a probe so far.
#[derive(Debug, Default)]
pub(super) struct ProbeProgress {
    pub(super) phases: Phases,
    /// Status of the last answer.
    pub(super) status: Option<u16>,
    /// Time until the answer was complete.
    pub(super) latency: Option<Duration>,
    pub(super) seen: SeenExpiry,
}

/// Meaning of an answer.
enum AnswerStep {
    /// Ask there: the value of `Location`.
    Redirect(Vec<u8>),
    /// Judge this body.
    Judge(Vec<u8>),
}

/// One probe under way.
pub(super) struct ProbeRun<'a> {
    pub(super) dialer: &'a Dialer,
    pub(super) check: &'a Check,
    pub(super) began: Instant,
    /// Deadline of the whole probe.
    pub(super) by: Instant,
    pub(super) progress: &'a mut ProbeProgress,
}

impl ProbeRun<'_> {
    /// Asks, follows redirects, and judges the last answer.
    pub(super) async fn run(mut self) -> Result<(), Cause> {
        let check = self.check;
        if check.target.kind() != Kind::Http {
            let stream = self.open(&check.target).await?;
            let latency = self.began.elapsed();
            drop(stream);
            self.progress.latency = Some(latency);
            return check.expect.in_time(latency);
        }
        let mut next = NextRequest { target: check.target.clone(), method: check.method, elsewhere: false };
        // After a redirect from another host, the check's headers are sent nowhere, not even to the first host again.
        let mut own_headers = true;
        for followed in 0..=check.redirects {
            let location = match self.ask(&next, own_headers).await? {
                AnswerStep::Judge(body) => {
                    let latency = self.began.elapsed();
                    self.progress.latency = Some(latency);
                    let status = self.progress.status.unwrap_or(0);
                    return check.expect.judge(&Answer { status, body: &body, latency });
                }
                AnswerStep::Redirect(location) => location,
            };
            if followed == check.redirects {
                break;
            }
            let status = self.progress.status.unwrap_or(0);
            next = follow(&next.target, next.method, status, &location).ok_or(Cause::Redirects)?;
            own_headers &= !next.elsewhere;
            self.progress.status = None;
        }
        Err(Cause::Redirects)
    }

    async fn open(&mut self, target: &Target) -> Result<Stream, Cause> {
        let ProbeProgress { phases, seen, .. } = &mut *self.progress;
        self.dialer.open(target, self.check.verify_tls, self.by, phases, seen).await
    }

    /// One request, and as much of its answer as is needed. `own_headers` says whether the check's headers are meant for that place.
    async fn ask(&mut self, next: &NextRequest, own_headers: bool) -> Result<AnswerStep, Cause> {
        let check = self.check;
        let request = request(check, &next.target, next.method, own_headers).ok_or(Cause::Protocol)?;
        let stream = self.open(&next.target).await?;
        let (asked, first) = (Instant::now(), Arc::new(OnceLock::new()));
        let stream = FirstByteStream { stream, first: Arc::clone(&first) };
        let progress = &mut *self.progress;
        let read = |response: Response<Incoming>| async move {
            add(&mut progress.phases.first_byte_us, asked, *first.get_or_init(Instant::now));
            let status = response.status().as_u16();
            progress.status = Some(status);
            if is_redirect(status)
                && check.redirects > 0
                && let Some(location) = response.headers().get(LOCATION)
            {
                return Ok(AnswerStep::Redirect(location.as_bytes().to_vec()));
            }
            let mut body = Vec::new();
            // The status is judged first: if the status is wrong, the body changes nothing.
            if check.expect.needs_body() && check.expect.status.contains(status) {
                match take(response.into_body(), &mut body).await {
                    // The conditions judge the body without the part that the cap cut off.
                    Ok(()) | Err(Fault::TooLarge) => {}
                    Err(fault) => return Err(fault),
                }
            }
            Ok(AnswerStep::Judge(body))
        };
        exchange(stream, request, self.by, read).await.map_err(cause)
    }
}
