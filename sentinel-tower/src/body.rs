//! The body of an answer, watched until its last byte: its request is recorded then.
//!
//! ```text
//!  poll_frame ─┬─ data ─────────── `left` falls; at 0 (not gRPC) or at the end of the stream: record `status`
//!              ├─ trailers ─────── record their `grpc-status`, or `status`
//!              ├─ end ──────────── record `status`, or 500 when bytes of the promised length are missing
//!              └─ error ────────── record 500
//!  drop ────────────────────────── record 499 (the client went away), or `status` when that is 500 or more, or when
//!                                  the body was never polled
//! ```

use crate::grpc;
use crate::watch::{ABORTED, FAILED, Watch};
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A body that records its request when it ends, and passes all frames on. Made by [`SentinelService`](crate::SentinelService).
    ///
    /// ```
    /// use http_body::Body;
    /// use sentinel_tower::SentinelBody;
    ///
    /// fn length<B: Body>(body: &SentinelBody<B>) -> Option<u64> {
    ///     body.size_hint().exact()
    /// }
    /// ```
    pub struct SentinelBody<B> {
        #[pin]
        body: B,
        watched: Option<Watched>,
    }
}

struct Watched {
    watch: Watch,
    /// Status of the request, once the body is complete.
    status: u16,
    /// Bytes still to come; `None` when the head of the answer did not give the length. A server asks for no further frame after
    /// the last of these bytes, not even for the end.
    left: Option<u64>,
    /// The answer is one of gRPC, whose status is in the trailers.
    grpc: bool,
}

impl<B> fmt::Debug for SentinelBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelBody").field("watched", &self.watched.is_some()).finish_non_exhaustive()
    }
}

impl<B> SentinelBody<B> {
    /// Watches a body. `left`: length of the body in bytes, when it is known.
    pub(crate) fn new(body: B, mut watch: Watch, status: u16, left: Option<u64>, grpc: bool) -> Self {
        // Before the first poll, a layer outside may replace the body, with an error page for example. Then the status stands.
        watch.unfinished = status;
        Self { body, watched: Some(Watched { watch, status, left, grpc }) }
    }

    /// Passes a body on whose request is recorded already, or does not count.
    pub(crate) fn unwatched(body: B) -> Self {
        Self { body, watched: None }
    }
}

impl<B: Body> Body for SentinelBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(watched) = this.watched else {
            return this.body.poll_frame(cx);
        };
        // From now on a drop means that the client went away, unless the request has failed already.
        watched.watch.unfinished = if watched.status < FAILED { ABORTED } else { watched.status };
        let frame = ready!(watched.watch.within(|| this.body.as_mut().poll_frame(cx)));
        let ended = match &frame {
            // Fewer bytes than the head promised: the answer is broken.
            None if watched.left.is_some_and(|left| left > 0) => Some(FAILED),
            None => Some(watched.status),
            Some(Err(_)) => Some(FAILED),
            Some(Ok(frame)) => {
                watched.sent(frame.data_ref().map_or(0, Buf::remaining));
                let trailers = frame.trailers_ref();
                if let Some(status) = trailers.filter(|_| watched.grpc).and_then(grpc::status) {
                    watched.status = status;
                }
                // No frame follows trailers, and a server does not ask for one.
                let ends = watched.left == Some(0) && !watched.grpc || trailers.is_some() || this.body.is_end_stream();
                ends.then_some(watched.status)
            }
        };
        if let Some(status) = ended {
            watched.watch.finish(status);
            *this.watched = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Watched {
    fn sent(&mut self, bytes: usize) {
        self.left = self.left.map(|left| left.saturating_sub(bytes as u64));
    }
}
