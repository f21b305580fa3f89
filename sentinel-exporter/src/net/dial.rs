//! From a host's name to a connection, encrypted or not, by one deadline for all of it.

use super::fault::{Fault, is_ours};
use super::stream::Stream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

/// Most addresses of a name that are tried.
const ADDRESSES: usize = 4;

/// Connects to a host by its name, to any address.
pub(crate) async fn dial(host: &str, port: u16, by: Instant) -> Result<TcpStream, Fault> {
    let found = timeout_at(by, lookup_host((host, port))).await.map_err(|_| Fault::DnsTimeout)?;
    let addresses: Vec<SocketAddr> = found.map_err(|_| Fault::Dns)?.take(ADDRESSES).collect();
    connect(&addresses, by).await
}

/// Connects to the first of these addresses that answers, of the first few. Each address gets its part of the time, so that a
/// silent one leaves some for the next.
pub(crate) async fn connect(addresses: &[SocketAddr], by: Instant) -> Result<TcpStream, Fault> {
    let addresses = &addresses[..addresses.len().min(ADDRESSES)];
    let mut fault = Fault::Dns;
    for (tried, address) in addresses.iter().enumerate() {
        let left = by.saturating_duration_since(Instant::now());
        let part = left / (addresses.len() - tried) as u32;
        fault = match timeout_at(Instant::now() + part, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A message is one write, which must not wait for a second one.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) if is_ours(&error) => return Err(Fault::NoRoom),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Fault::ConnectRefused,
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Fault::ConnectTimeout,
            Ok(Err(_)) => Fault::Unreachable,
            Err(_) => Fault::ConnectTimeout,
        };
    }
    Err(fault)
}

/// Encrypts a connection, and checks that the certificate is that of the host.
pub(crate) async fn secure(
    stream: TcpStream,
    host: &str,
    config: &Arc<ClientConfig>,
    by: Instant,
) -> Result<Stream, Fault> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Fault::OtherName)?;
    let shaken = timeout_at(by, TlsConnector::from(Arc::clone(config)).connect(name, stream)).await;
    match shaken.map_err(|_| Fault::TimedOut)? {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(error) => Err((&error).into()),
    }
}
