//! From a host's name to a connection, encrypted or not, by one deadline for all of it.

use super::fault::Fault;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sentinel_core::ConfigError;
use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// So many addresses of a name are tried.
const ADDRESSES: usize = 4;
/// Bytes of a file with certificates.
const MOST: u64 = 1 << 20;

/// Whose certificates are believed: those of Mozilla's list, and those of a file.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The provider is named here: a process may have another default, or none.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = ca_file {
            let wrong = |why| {
                let allowed = "a PEM file of at most 1 MiB with certificates of issuers";
                ConfigError::new("ca_file", format!("{} ({why})", path.display()), allowed)
            };
            for certificate in certificates(path).map_err(wrong)? {
                roots.add(certificate).map_err(|_| wrong("holds one that cannot be used"))?;
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| ConfigError::new("ca_file", "TLS", "TLS 1.2 and 1.3"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    // Not to wait for a pipe's writer.
    if !std::fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return Err("is not a file that can be read");
    }
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(|_| "cannot be read")?;
    let length = file.take(MOST + 1).read_to_end(&mut pem).map_err(|_| "cannot be read")?;
    if length as u64 > MOST {
        return Err("is longer than 1 MiB");
    }
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| "is not PEM")?;
    if found.is_empty() { Err("holds none") } else { Ok(found) }
}

/// Connects to the first address of a host that takes it. Each gets its part of the time, so that one that is silent leaves some
/// for the next.
pub(crate) async fn dial(host: &str, port: u16, by: Instant) -> Result<TcpStream, Fault> {
    let found = timeout_at(by, lookup_host((host, port))).await.map_err(|_| Fault::DnsTimeout)?;
    let addresses: Vec<SocketAddr> = found.map_err(|_| Fault::Dns)?.take(ADDRESSES).collect();
    let mut fault = Fault::Dns;
    for (tried, address) in addresses.iter().enumerate() {
        let left = by.saturating_duration_since(Instant::now());
        let part = left / (addresses.len() - tried) as u32;
        fault = match timeout_at(Instant::now() + part, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A message is one write; it should not wait for a second one.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Fault::ConnectRefused,
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Fault::ConnectTimeout,
            Ok(Err(_)) => Fault::Unreachable,
            Err(_) => Fault::ConnectTimeout,
        };
    }
    Err(fault)
}

/// Encrypts a connection, to nobody but the host of that name.
pub(crate) async fn secure(stream: TcpStream, host: &str, trust: &Trust, by: Instant) -> Result<Stream, Fault> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Fault::OtherName)?;
    let shaken = timeout_at(by, TlsConnector::from(Arc::clone(&trust.0)).connect(name, stream)).await;
    match shaken.map_err(|_| Fault::TimedOut)? {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(error) => Err((&error).into()),
    }
}

/// A connection, encrypted or not.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Stream {
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

macro_rules! either {
    ($self:ident, $stream:ident => $what:expr) => {
        match $self.get_mut() {
            Stream::Plain($stream) => {
                let $stream = Pin::new($stream);
                $what
            }
            Stream::Tls($stream) => {
                let $stream = Pin::new($stream);
                $what
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }
}
