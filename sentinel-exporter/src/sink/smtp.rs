//! The conversation with a mail server. Answers are codes here: the server's words may repeat anything, a password included.

use super::Failed;
use super::email_config::Encryption;
use crate::net::dial::{dial, secure};
use crate::net::fault::{self, Fault};
use crate::net::paced::Paced;
use crate::net::stream::Stream;
use crate::net::trust::Trust;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Most bytes that a server may send in one conversation.
const MAX_CONVERSATION_BYTES: usize = 128 << 10;
/// Most bytes of one reply, and of the part before encryption. The library parses a reply of many lines again from its beginning
/// with each line: a long reply would take seconds.
const MAX_REPLY_BYTES: usize = 16 << 10;
/// Longest wait for the server's goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// The server that takes mail in.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) encryption: Encryption,
    /// Their `Debug` output shows nothing of them.
    pub(crate) credentials: Option<Credentials>,
    pub(crate) trust: Trust,
    pub(crate) timeout: Duration,
}

/// The command that the server refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Greeting,
    Credentials,
    Sender,
    Recipient,
    Message,
}

impl Asked {
    fn failed(self, error: &Error) -> Failed {
        let Some(code) = error.status().map(u16::from) else {
            let fault = fault::source(error).map_or(Fault::BadAnswer, Fault::from);
            return fault.into();
        };
        let asked = match self {
            Self::Greeting => "the greeting",
            Self::Credentials => "the credentials",
            Self::Sender => "the sender",
            Self::Recipient => "a recipient",
            Self::Message => "the message",
        };
        let why = format!("{code} for {asked}");
        // A refusal of this message, or of a full mailbox, says nothing of the next message.
        let lasts = !matches!(self, Self::Greeting | Self::Message) && code != 552;
        if error.is_permanent() && lasts { Failed::Refused { why } } else { Failed::Later { why, after: None } }
    }
}

impl Server {
    /// Sends one message.
    pub(crate) async fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<(), Failed> {
        let by = Instant::now() + self.timeout;
        timeout_at(by, self.talk(envelope, message, by)).await.unwrap_or(Err(Fault::TimedOut.into()))
    }

    async fn talk(&self, envelope: &Envelope, message: &[u8], by: Instant) -> Result<(), Failed> {
        let mut stream = dial(&self.host, self.port, by).await?;
        let (stream, greeting) = match self.encryption {
            Encryption::None => (Stream::Plain(stream), &b""[..]),
            Encryption::Tls => (secure(stream, &self.host, self.trust.config(), by).await?, &b""[..]),
            Encryption::Starttls => {
                ask_for_tls(&mut stream).await?;
                // The library begins with a greeting; this server has greeted already.
                (secure(stream, &self.host, self.trust.config(), by).await?, &b"220 now encrypted\r\n"[..])
            }
        };
        let stream = Box::new(Bounded {
            stream: Paced::new(stream, by, MAX_CONVERSATION_BYTES),
            greeting,
            left: MAX_REPLY_BYTES,
        });
        let us = ClientId::default();
        let greeted = AsyncSmtpConnection::connect_with_transport(stream, &us).await;
        let mut connection = greeted.map_err(|error| Asked::Greeting.failed(&error))?;
        if let Some(credentials) = &self.credentials {
            let known = [Mechanism::Plain, Mechanism::Login];
            if connection.server_info().get_auth_mechanism(&known).is_none() {
                let why = "the server offers no PLAIN or LOGIN to sign in".into();
                return Err(Failed::Later { why, after: None });
            }
            connection.auth(&known, credentials).await.map_err(|error| Asked::Credentials.failed(&error))?;
        }
        let sender = Mail::new(envelope.from().cloned(), Vec::new());
        connection.command(sender).await.map_err(|error| Asked::Sender.failed(&error))?;
        // An address that no longer exists does not keep the others from getting the message: the attempt fails when none is taken.
        let (mut taken, mut refused) = (false, None);
        for recipient in envelope.to() {
            match connection.command(Rcpt::new(recipient.clone(), Vec::new())).await {
                Ok(_) => taken = true,
                Err(error) if error.status().is_some() => refused = refused.or(Some(Asked::Recipient.failed(&error))),
                Err(error) => return Err(Asked::Recipient.failed(&error)),
            }
        }
        if let Some(refused) = refused.filter(|_| !taken) {
            return Err(refused);
        }
        connection.command(Data).await.map_err(|error| Asked::Message.failed(&error))?;
        connection.message(message).await.map_err(|error| Asked::Message.failed(&error))?;
        // The server has taken the message: nothing that follows makes it a failure.
        let _ = timeout(GOODBYE.min(by.saturating_duration_since(Instant::now())), connection.quit()).await;
        Ok(())
    }
}

/// The part of the conversation that anybody on the way can read and change: it does nothing but ask for encryption.
async fn ask_for_tls(stream: &mut TcpStream) -> Result<(), Failed> {
    let mut left = MAX_REPLY_BYTES;
    let (code, _) = reply(stream, &mut left).await?;
    if code != 220 {
        return Err(Failed::Later { why: format!("{code} for the greeting"), after: None });
    }
    say(stream, format!("EHLO {}\r\n", ClientId::default()).as_bytes()).await?;
    let (code, text) = reply(stream, &mut left).await?;
    let offered = |line: &[u8]| line.get(4..).is_some_and(|word| word.trim_ascii().eq_ignore_ascii_case(b"STARTTLS"));
    if code != 250 || !text.split(|byte| *byte == b'\n').any(offered) {
        return Err(Fault::NoStartTls.into());
    }
    say(stream, b"STARTTLS\r\n").await?;
    match reply(stream, &mut left).await? {
        (220, _) => Ok(()),
        (code, _) => Err(Failed::Later { why: format!("{code} for STARTTLS"), after: None }),
    }
}

async fn say(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), Fault> {
    stream.write_all(bytes).await.map_err(|error| Fault::from(&error))
}

/// A reply of one or more lines. A byte after it is an error: it would be taken for a part of the encrypted conversation.
async fn reply(stream: &mut TcpStream, left: &mut usize) -> Result<(u16, Vec<u8>), Fault> {
    let mut chunk = [0; 1_024];
    let mut text = Vec::new();
    loop {
        let length = stream.read(&mut chunk).await.map_err(|error| Fault::from(&error))?;
        if length == 0 {
            return Err(Fault::Closed);
        }
        *left = left.checked_sub(length).ok_or(Fault::TooLarge)?;
        text.extend_from_slice(&chunk[..length]);
        let mut end = 0;
        let last = text.split_inclusive(|byte| *byte == b'\n').find(|line| {
            end += line.len();
            line.ends_with(b"\n") && line.get(3) != Some(&b'-')
        });
        let Some(last) = last else { continue };
        let code = last.get(..3).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        let code = code.ok_or(Fault::BadAnswer)?;
        return if end == text.len() { Ok((code, text)) } else { Err(Fault::BadAnswer) };
    }
}

/// A connection that caps each reply; the library itself reads a line of any length.
#[derive(Debug)]
struct Bounded<S> {
    stream: Paced<S>,
    /// Bytes that are read before those of the stream.
    greeting: &'static [u8],
    /// Bytes of this reply that may still be read.
    left: usize,
}

impl AsyncTokioStream for Bounded<Stream> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().tcp().peer_addr()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let (now, later) = self.greeting.split_at(self.greeting.len().min(buf.remaining()));
            buf.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let length = buf.filled().len() - before;
        self.left = self.left.checked_sub(length).ok_or_else(|| io::Error::other(Fault::TooLarge))?;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // A new command begins a new reply.
        self.left = MAX_REPLY_BYTES;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::paced::flood::{Flood, far, polled};

    impl AsyncTokioStream for Bounded<Flood> {
        fn peer_addr(&self) -> io::Result<SocketAddr> {
            Ok(SocketAddr::from(([127, 0, 0, 1], 25)))
        }
    }

    fn greeted(text: &'static str, by: Instant) -> (Fault, usize) {
        let bounded = Bounded {
            stream: Paced::new(Flood::new(text), by, MAX_CONVERSATION_BYTES),
            greeting: b"",
            left: MAX_REPLY_BYTES,
        };
        let us = ClientId::default();
        let (greeted, given_back) = polled(AsyncSmtpConnection::connect_with_transport(Box::new(bounded), &us));
        let Err(error) = greeted else { panic!("greeted by {text:?}") };
        (fault::source(&error).map_or(Fault::BadAnswer, Fault::from), given_back)
    }

    /// A reply that does not end, of lines as short as they can be and of one long line: the thread is given back with every 2 KiB,
    /// and the reply is left at its cap.
    #[test]
    fn a_server_that_floods_neither_keeps_the_thread_nor_is_read_to_the_end() {
        for text in ["220-\r\n", "x"] {
            assert_eq!(greeted(text, far()), (Fault::TooLarge, MAX_REPLY_BYTES >> 11), "{text:?}");
            assert_eq!(greeted(text, Instant::now()), (Fault::TimedOut, 0), "{text:?}");
        }
    }
}
