//! One request by HTTP/1.1 on a connection of its own, and its answer. Nothing is decompressed, what is read has caps, no redirect is followed here.

use super::fault::Fault;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::Builder;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

/// Bytes of an answer's head, and headers in it.
const HEAD: usize = 32 << 10;
const HEADERS: usize = 100;
/// Bytes of an answer's body.
const BODY: usize = 64 << 10;

/// Sends a request and hands its answer over when its head is there, which must be by then. Whoever drops this closes the connection: no task stays behind.
pub(crate) async fn exchange<T, F: Future<Output = Result<T, Fault>>>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
    by: Instant,
    read: impl FnOnce(Response<Incoming>) -> F,
) -> Result<T, Fault> {
    let mut builder = Builder::new();
    builder.max_buf_size(HEAD).max_headers(HEADERS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let talk = async {
        let response = timeout_at(by, sender.send_request(request)).await.map_err(|_| Fault::TimedOut)??;
        read(response).await
    };
    tokio::pin!(talk);
    tokio::select! {
        biased;
        answer = &mut talk => return answer,
        // It may end before all that it has read is taken.
        _ = connection => {}
    }
    talk.await
}

/// Reads a body up to its end, the cap or what breaks it.
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
