//! A connection whose peer cannot keep the thread of the exporter busy, however fast it sends.
//!
//! A deadline by `timeout_at` alone holds only where the future within gives the thread back. A parser that always finds another
//! byte ready does not do so, and each byte may cost it more than the last one: a mail library reads a reply of many lines again
//! from its beginning with each line. So the deadline is looked at before each read, a read takes little, the thread is given back
//! between two reads, and all reads together have a cap.

use super::fault::Fault;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Bytes of one read.
const CHUNK: usize = 2 << 10;

/// A connection that is read in small parts until its deadline, and up to a limit.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    stream: S,
    by: Instant,
    /// Bytes that may still be read.
    left: usize,
    /// The last read found bytes, and the thread was not given back since.
    busy: bool,
}

impl<S> Paced<S> {
    /// Reads at most `most` bytes, until `by`. A read beyond either is an error with [`Fault::TooLarge`] or [`Fault::TimedOut`].
    pub(crate) fn new(stream: S, by: Instant, most: usize) -> Self {
        Self { stream, by, left: most, busy: false }
    }

    pub(crate) fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.busy) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if Instant::now() >= self.by {
            return Poll::Ready(Err(io::Error::other(Fault::TimedOut)));
        }
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other(Fault::TooLarge)));
        }
        let length = CHUNK.min(self.left).min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(length));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let length = part.filled().len();
        buf.advance(length);
        self.left -= length;
        self.busy = length > 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A peer that always has more to say. It needs no clock: a read is counted, and a read beyond any reasonable number panics.
#[cfg(test)]
pub(crate) mod flood {
    use super::*;
    use std::task::Waker;
    use std::time::Duration;

    /// Says the same text for ever, and takes whatever it is told.
    #[derive(Debug)]
    pub(crate) struct Flood {
        text: &'static [u8],
        at: usize,
        /// Nothing is said before something was asked.
        silent: bool,
    }

    impl Flood {
        pub(crate) fn new(text: &'static str) -> Self {
            Self { text: text.as_bytes(), at: 0, silent: false }
        }

        pub(crate) fn answering(text: &'static str) -> Self {
            Self { silent: true, ..Self::new(text) }
        }

        pub(crate) fn said(&self) -> usize {
            self.at
        }
    }

    impl AsyncRead for Flood {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            assert!(self.at < 64 << 20, "it is read for ever");
            if self.silent {
                return Poll::Pending;
            }
            for byte in buf.initialize_unfilled() {
                *byte = self.text[self.at % self.text.len()];
                self.at += 1;
            }
            buf.set_filled(buf.capacity());
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Flood {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.silent = false;
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// The result of a conversation, and how often it gave the thread back before.
    pub(crate) fn polled<T>(conversation: impl Future<Output = T>) -> (T, usize) {
        let mut conversation = std::pin::pin!(conversation);
        let mut cx = Context::from_waker(Waker::noop());
        let mut given_back = 0;
        loop {
            match conversation.as_mut().poll(&mut cx) {
                Poll::Ready(result) => return (result, given_back),
                Poll::Pending => given_back += 1,
            }
        }
    }

    /// A deadline that no test reaches.
    pub(crate) fn far() -> Instant {
        Instant::now() + Duration::from_hours(1)
    }
}

#[cfg(test)]
mod tests {
    use super::flood::{Flood, far, polled};
    use super::*;
    use tokio::io::AsyncReadExt;

    fn fault(read: io::Result<usize>) -> Fault {
        Fault::from(&read.unwrap_err())
    }

    #[test]
    fn the_thread_is_given_back_between_two_reads_and_all_have_a_cap() {
        let mut paced = Paced::new(Flood::new("x"), far(), 10 * CHUNK + 1);
        let (mut taken, mut room) = (Vec::new(), vec![0; 10 * CHUNK]);
        let ((), given_back) = polled(async {
            while let Ok(length) = paced.read(&mut room).await {
                taken.push(length);
            }
        });
        assert_eq!((&taken[..10], &taken[10..], given_back), (&[CHUNK; 10][..], &[1][..], 11));
        assert_eq!(paced.get_ref().said(), 10 * CHUNK + 1);
        // Nor is more read by somebody who tries again.
        assert_eq!(fault(polled(paced.read(&mut [0])).0), Fault::TooLarge);
    }

    #[test]
    fn nothing_is_read_after_the_deadline_although_it_is_ready() {
        let mut paced = Paced::new(Flood::new("x"), Instant::now(), usize::MAX);
        assert_eq!(fault(polled(paced.read(&mut [0])).0), Fault::TimedOut);
        assert_eq!(paced.get_ref().said(), 0);
    }

    #[test]
    fn an_end_is_an_end() {
        let mut taken = Vec::new();
        let (read, _) = polled(Paced::new(&b"all of it"[..], far(), 10).read_to_end(&mut taken));
        assert_eq!((read.unwrap(), &taken[..]), (9, &b"all of it"[..]));
    }
}
