//! One request by HTTP/1.1 on a connection of its own, and its answer. Nothing is decompressed, every read has a cap, and no
//! redirect is followed here.

use super::fault::Fault;
use super::paced::Paced;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::Builder;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

/// Most bytes of an answer's head, and most headers in it.
const HEAD: usize = 32 << 10;
const HEADERS: usize = 100;
/// Most bytes of an answer's body.
const BODY: usize = 64 << 10;
/// Most bytes of everything that the server sends: head, body with its framing, and interim answers (1xx), which the library
/// skips.
const MAX_EXCHANGE_BYTES: usize = 1 << 20;

/// Sends a request and passes its answer on once the head is there, which must be before `by`. Dropping the future closes the
/// connection; no task stays behind.
pub(crate) async fn exchange<T, F: Future<Output = Result<T, Fault>>>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
    by: Instant,
    read: impl FnOnce(Response<Incoming>) -> F,
) -> Result<T, Fault> {
    let mut builder = Builder::new();
    builder.max_buf_size(HEAD).max_headers(HEADERS);
    let stream = TokioIo::new(Paced::new(stream, by, MAX_EXCHANGE_BYTES));
    let (mut sender, connection) = builder.handshake(stream).await?;
    let talk = async {
        let response = timeout_at(by, sender.send_request(request)).await.map_err(|_| Fault::TimedOut)??;
        read(response).await
    };
    tokio::pin!(talk);
    tokio::select! {
        biased;
        answer = &mut talk => return answer,
        // The connection may end before all of the answer is taken.
        _ = connection => {}
    }
    talk.await
}

/// Reads a body up to its end, the cap or an error.
///
/// # Errors
/// [`Fault::TooLarge`] when the cap cut it off: `into` is full then.
pub(crate) async fn take(mut body: Incoming, into: &mut Vec<u8>) -> Result<(), Fault> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            let room = BODY - into.len();
            into.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                return Err(Fault::TooLarge);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::paced::flood::{Flood, far, polled};
    use super::*;

    /// The result of a request to a server that says this for ever, and how often the thread was given back before.
    fn asked(text: &'static str) -> (Result<usize, Fault>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        let (mut body, request) = (Vec::new(), Request::new(Full::new(Bytes::new())));
        let talk = exchange(Flood::answering(text), request, far(), async |response| {
            take(response.into_body(), &mut body).await
        });
        let (result, given_back) = polled(talk);
        (result.map(|()| body.len()), given_back)
    }

    #[test]
    fn whoever_floods_is_left_after_a_bounded_number_of_reads() {
        // Neither an answer nor an end of it: only the cap of all ends it.
        let (result, given_back) = asked("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(result, Err(Fault::TooLarge));
        assert!(given_back >= MAX_EXCHANGE_BYTES / (2 << 10), "{given_back}");
        // A head, and a body, without an end.
        assert_eq!(asked("HTTP/1.1 200 OK\r\nx-").0, Err(Fault::BadAnswer));
        assert_eq!(asked("HTTP/1.1 200 OK\r\n\r\n").0, Err(Fault::TooLarge));
    }
}
