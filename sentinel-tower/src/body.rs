//! The body of an answer, watched until its last byte.

use crate::grpc;
use crate::watch::{ABORTED, FAILED, Watch};
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A body that records its request when it ends. Made by [`SentinelService`](crate::SentinelService); passes everything on.
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
    status: u16,
    /// Bytes to come, where the head of the answer told: a server asks for no more then, not even for the end.
    left: Option<u64>,
    /// What its trailers say counts.
    grpc: bool,
}

impl<B> fmt::Debug for SentinelBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelBody").field("watched", &self.watched.is_some()).finish_non_exhaustive()
    }
}

impl<B> SentinelBody<B> {
    pub(crate) fn new(body: B, mut watch: Watch, status: u16, left: Option<u64>, grpc: bool) -> Self {
        // Until it is asked for, somebody outside may put another in its place, such as an error page: the status stands.
        watch.unfinished = status;
        Self { body, watched: Some(Watched { watch, status, left, grpc }) }
    }

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
        // From here on it is the client who goes away; what has failed has failed.
        watched.watch.unfinished = if watched.status < FAILED { ABORTED } else { watched.status };
        let frame = ready!(watched.watch.within(|| this.body.as_mut().poll_frame(cx)));
        let ended = match &frame {
            // Fewer bytes than the head promised: a broken answer.
            None if watched.left.is_some_and(|left| left > 0) => Some(FAILED),
            None => Some(watched.status),
            Some(Err(_)) => Some(FAILED),
            Some(Ok(frame)) => {
                watched.sent(frame.data_ref().map_or(0, Buf::remaining));
                let trailers = frame.trailers_ref();
                if let Some(status) = trailers.filter(|_| watched.grpc).and_then(grpc::status) {
                    watched.status = status;
                }
                // Nothing follows trailers, and a server does not ask.
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
