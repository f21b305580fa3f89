//! One connection of a probe: the host is resolved, each address judged by the guard, a judged address dialled, TLS
//! spoken; and the time that each step took.

use super::allow::Allow;
use super::resolve::Resolve;
use super::verify::{SeenExpiry, Verify};
use crate::net::dial::{connect, secure};
use crate::net::fault::{Fault, is_ours};
use crate::net::stream::Stream;
use sentinel_core::uptime::{Cause, Target};
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Time of each phase of a probe, in microseconds, summed over all redirects; together no more than the whole. `None` is a
/// phase that the probe did not have, or that was not over when the probe ended.
///
/// ```
/// let phases = sentinel_exporter::probe::Phases::default();
/// assert_eq!((phases.dns_us, phases.total_us), (None, None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Phases {
    /// Looking up names; `None` if the host is an address.
    pub dns_us: Option<u32>,
    /// Connecting, with the attempts at addresses that did not accept.
    pub connect_us: Option<u32>,
    /// The TLS handshake.
    pub tls_us: Option<u32>,
    /// Waiting, from the connection to the first byte of the answer.
    pub first_byte_us: Option<u32>,
    /// The whole probe, whether it succeeded or not.
    pub total_us: Option<u32>,
}

/// A duration in whole microseconds, at most 71 minutes.
pub(super) fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

pub(super) fn add(phase: &mut Option<u32>, began: Instant, ended: Instant) {
    let more = micros(ended.saturating_duration_since(began));
    *phase = Some(phase.unwrap_or(0).saturating_add(more));
}

/// Makes connections: resolver, allow-list and TLS.
pub(super) struct Dialer {
    pub(super) allow: Allow,
    pub(super) verify: Verify,
    pub(super) resolver: Arc<dyn Resolve>,
}

impl Dialer {
    /// Connects to an address that may be probed, and to no other: every address of a name is judged once, and those same
    /// addresses are dialled.
    pub(super) async fn open(
        &self,
        target: &Target,
        strict: bool,
        by: Instant,
        phases: &mut Phases,
        seen: &SeenExpiry,
    ) -> Result<Stream, Cause> {
        let addresses = self.addresses(target.host(), phases).await?;
        // One denied address denies the name: an honest name does not resolve to both kinds.
        if !addresses.iter().all(|address| self.allow.permits(*address)) {
            return Err(Cause::Blocked);
        }
        let addresses: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, target.port())).collect();
        let began = Instant::now();
        let stream = connect(&addresses, by).await.map_err(cause)?;
        let connected = Instant::now();
        add(&mut phases.connect_us, began, connected);
        if !target.is_encrypted() {
            return Ok(Stream::Plain(stream));
        }
        let name = target.host().strip_suffix('.').unwrap_or(target.host());
        let stream = secure(stream, name, &self.verify.config(strict, seen), by).await.map_err(tls_cause)?;
        add(&mut phases.tls_us, connected, Instant::now());
        Ok(stream)
    }

    async fn addresses(&self, host: &str, phases: &mut Phases) -> Result<Vec<IpAddr>, Cause> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let began = Instant::now();
        let found = self.resolver.resolve(host).await;
        add(&mut phases.dns_us, began, Instant::now());
        // Without a free file descriptor the system's resolver finds nothing, and does not say why.
        let nowhere = || if has_room() { Cause::Dns } else { Cause::OwnNetwork };
        found.ok().filter(|addresses| !addresses.is_empty()).ok_or_else(nowhere)
    }
}

/// Whether the process can open another socket.
fn has_room() -> bool {
    !UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).is_err_and(|error| is_ours(&error))
}

pub(super) fn cause(fault: Fault) -> Cause {
    match fault {
        Fault::Dns => Cause::Dns,
        // The failure says nothing of the target: see `Prober::probe`.
        Fault::NoRoom => Cause::OwnNetwork,
        Fault::ConnectRefused | Fault::Unreachable => Cause::Connect,
        Fault::DnsTimeout | Fault::ConnectTimeout | Fault::TimedOut => Cause::Timeout,
        Fault::Expired | Fault::NotYetValid | Fault::OtherName | Fault::Issuer | Fault::Certificate => {
            Cause::Certificate
        }
        Fault::Tls | Fault::NoStartTls => Cause::Tls,
        Fault::Reset | Fault::Closed | Fault::BadAnswer | Fault::TooLarge => Cause::Protocol,
    }
}

/// Cause of a failed handshake: a peer that hangs up during it does not agree on TLS.
fn tls_cause(fault: Fault) -> Cause {
    match cause(fault) {
        Cause::Protocol => Cause::Tls,
        other => other,
    }
}

/// A connection that notes when its first byte came.
pub(super) struct FirstByteStream {
    pub(super) stream: Stream,
    pub(super) first: Arc<OnceLock<Instant>>,
}

impl AsyncRead for FirstByteStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.first.get_or_init(Instant::now);
        }
        polled
    }
}

impl AsyncWrite for FirstByteStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
