//! One probe from its first connection to the last answer, over redirects; what it found is kept outside, so that a deadline does not take it away.

use super::hop::{Dialer, FirstByteStream, Phases, add, cause};
use super::redirect::{NextRequest, follow, is_redirect};
use super::request::request;
use super::verify::SeenExpiry;
use crate::net::exchange::{exchange, take};
use crate::net::fault::Fault;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::LOCATION;
use sentinel_core::uptime::{Answer, Cause, Check, Kind, Method, Target};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// What a probe found so far.
#[derive(Debug, Default)]
pub(super) struct ProbeProgress {
    pub(super) phases: Phases,
    /// Of the last answer.
    pub(super) status: Option<u16>,
    /// Until the answer was complete.
    pub(super) latency: Option<Duration>,
    pub(super) seen: SeenExpiry,
}

/// What follows from an answer.
enum AnswerStep {
    Redirect(Vec<u8>),
    Judge(Vec<u8>),
}

pub(super) async fn run(
    dialer: &Dialer,
    check: &Check,
    began: Instant,
    by: Instant,
    found: &mut ProbeProgress,
) -> Result<(), Cause> {
    if check.target.kind() != Kind::Http {
        let stream = dialer.open(&check.target, check.verify_tls, by, &mut found.phases, &found.seen).await?;
        let latency = began.elapsed();
        drop(stream);
        found.latency = Some(latency);
        return check.expect.in_time(latency);
    }
    let mut next = NextRequest { target: check.target.clone(), method: check.method, elsewhere: false };
    // Once somebody else has said where to go, the check's headers are not meant for any place, not even for the first one.
    let mut own = true;
    for followed in 0..=check.redirects {
        let then = ask(dialer, check, &next.target, next.method, own, by, found).await?;
        let location = match then {
            AnswerStep::Judge(body) => {
                let latency = began.elapsed();
                found.latency = Some(latency);
                return check.expect.judge(&Answer { status: found.status.unwrap_or(0), body: &body, latency });
            }
            AnswerStep::Redirect(location) => location,
        };
        if followed == check.redirects {
            break;
        }
        next = follow(&next.target, next.method, found.status.unwrap_or(0), &location).ok_or(Cause::Redirects)?;
        own &= !next.elsewhere;
        found.status = None;
    }
    Err(Cause::Redirects)
}

/// One request, and as much of its answer as is needed.
async fn ask(
    dialer: &Dialer,
    check: &Check,
    target: &Target,
    method: Method,
    own: bool,
    by: Instant,
    found: &mut ProbeProgress,
) -> Result<AnswerStep, Cause> {
    let request = request(check, target, method, own).ok_or(Cause::Protocol)?;
    let stream = dialer.open(target, check.verify_tls, by, &mut found.phases, &found.seen).await?;
    let (asked, first) = (Instant::now(), Arc::new(OnceLock::new()));
    let stream = FirstByteStream { stream, first: Arc::clone(&first) };
    let read = |response: Response<Incoming>| async move {
        add(&mut found.phases.first_byte_us, asked, *first.get_or_init(Instant::now));
        let status = response.status().as_u16();
        found.status = Some(status);
        if is_redirect(status)
            && check.redirects > 0
            && let Some(location) = response.headers().get(LOCATION)
        {
            return Ok(AnswerStep::Redirect(location.as_bytes().to_vec()));
        }
        let mut body = Vec::new();
        // The status is judged first: where it is wrong, what is said to it changes nothing.
        if check.expect.needs_body() && check.expect.status.contains(status) {
            match take(response.into_body(), &mut body).await {
                // What the cap cut off is not there; the conditions say whether that matters.
                Ok(()) | Err(Fault::TooLarge) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(AnswerStep::Judge(body))
    };
    exchange(stream, request, by, read).await.map_err(cause)
}
