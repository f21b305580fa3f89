//! One request by HTTP/1.1, its answer, and the result for the message.
//!
//! No redirect is followed: it could lead a secret, or a request, to any host. No proxy is taken from the environment. Nothing is
//! decompressed. One deadline holds for all of it, and the answer has caps.

use super::address::Address;
use super::{Failed, SEND_TIMEOUT};
use crate::net::dial::{dial, secure};
use crate::net::exchange::{exchange, take};
use crate::net::fault::Fault;
use crate::net::stream::Stream;
use crate::net::trust::Trust;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};

/// Longest wait for a body: it only explains what the head has said already.
const MAX_BODY_WAIT: Duration = Duration::from_secs(2);
/// Longest pause that a receiver may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Whether the body of an answer is read; its head always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadBody {
    Never,
    /// When the status is not a success.
    OnFailure,
}

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: StatusCode,
    /// For so long nothing should be sent.
    pub(crate) after: Option<Duration>,
    /// Body, as far as it was asked for.
    pub(crate) body: Vec<u8>,
}

/// Sends requests, each by a connection of its own: messages are rare.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    trust: Trust,
    timeout: Duration,
}

impl Client {
    pub(crate) fn new(trust: Trust) -> Self {
        Self { trust, timeout: SEND_TIMEOUT }
    }

    pub(crate) fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Posts JSON.
    pub(crate) async fn post(
        &self,
        to: &Address,
        headers: &[(&'static str, String)],
        json: Vec<u8>,
        read: ReadBody,
    ) -> Result<HttpAnswer, Fault> {
        let by = Instant::now() + self.timeout;
        let mut request = Request::new(Full::new(Bytes::from(json)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = to.path.clone();
        let map = request.headers_mut();
        let agent = concat!("tenant-sentinel/", env!("CARGO_PKG_VERSION"));
        let own = [(HOST.as_str(), to.authority.as_str()), (CONTENT_TYPE.as_str(), "application/json")];
        let own = own.into_iter().chain([(USER_AGENT.as_str(), agent), (CONNECTION.as_str(), "close")]);
        for (name, value) in own.chain(headers.iter().map(|(name, value)| (*name, value.as_str()))) {
            let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).map_err(|_| Fault::BadAnswer)?;
            map.insert(name, HeaderValue::from_str(value).map_err(|_| Fault::BadAnswer)?);
        }
        self.exchange(to, request, read, by).await
    }

    async fn exchange(
        &self,
        to: &Address,
        request: Request<Full<Bytes>>,
        read: ReadBody,
        by: Instant,
    ) -> Result<HttpAnswer, Fault> {
        let stream = dial(&to.host, to.port, by).await?;
        let stream =
            if to.tls { secure(stream, &to.host, self.trust.config(), by).await? } else { Stream::Plain(stream) };
        exchange(stream, request, by, |response| async move {
            let status = response.status();
            let after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value, SystemTime::now()));
            let mut body = Vec::new();
            if read == ReadBody::OnFailure && !status.is_success() {
                let by = by.min(Instant::now() + MAX_BODY_WAIT);
                // However it ends: the head has said what counts.
                let _ = timeout_at(by, take(response.into_body(), &mut body)).await;
            }
            Ok(HttpAnswer { status, after, body })
        })
        .await
    }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits are too long.
        text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

impl HttpAnswer {
    /// Result for the message; `word` tells more about a refusal.
    pub(crate) fn judged(&self, word: Option<&str>) -> Result<(), Failed> {
        if self.status.is_success() {
            return Ok(());
        }
        // The reason is by the standard, not the server's.
        let reason = self.status.canonical_reason().map_or_else(String::new, |reason| format!(" {reason}"));
        let code = self.status.as_u16();
        let word = word.map_or_else(String::new, |word| format!(" ({word})"));
        if matches!(code, 408 | 429) || self.status.is_server_error() {
            return Err(Failed::Later { why: format!("{code}{reason}{word}"), after: self.after });
        }
        let word = if self.status.is_redirection() { ": redirects are not followed".into() } else { word };
        Err(Failed::Refused { why: format!("{code}{reason}{word}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date_and_an_hour_at_most() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let of = |text: &'static str| retry_after(&HeaderValue::from_static(text), now).map(|wait| wait.as_secs());
        for (text, wait) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("3600", Some(3_600)),
            ("3601", Some(3_600)),
            ("99999999999999999999999999", Some(3_600)),
            ("Sun, 06 Nov 1994 08:50:00 GMT", Some(23)),
            ("Sunday, 06-Nov-94 08:49:38 GMT", Some(1)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3_600)),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(of(text), wait, "{text:?}");
        }
        assert_eq!(retry_after(&HeaderValue::from_bytes(b"\xff").unwrap(), now), None);
    }

    #[test]
    fn a_status_says_whether_it_is_tried_again() {
        for code in 200..600 {
            let status = StatusCode::from_u16(code).unwrap();
            let judged = HttpAnswer { status, after: None, body: Vec::new() }.judged(None);
            match code {
                200..300 => assert_eq!(judged, Ok(())),
                408 | 429 | 500.. => assert!(matches!(judged, Err(Failed::Later { .. })), "{code}"),
                _ => assert!(matches!(judged, Err(Failed::Refused { .. })), "{code}"),
            }
        }
    }
}
