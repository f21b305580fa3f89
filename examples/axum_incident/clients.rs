//! The tenants' clients: each keeps a connection to the service and asks at its own pace. Loopback, a few hundred requests a
//! second in all.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Tenants, and the requests that each sends a second.
pub(crate) const TENANTS: [(&str, u64); 8] = [
    ("tenant_acme", 40),
    ("tenant_beta", 90),
    ("tenant_gamma", 60),
    ("tenant_delta", 30),
    ("tenant_epsilon", 20),
    ("tenant_zeta", 20),
    ("tenant_eta", 10),
    ("tenant_theta", 5),
];

/// Starts the clients, which send requests until the program ends.
pub(crate) fn begin(address: SocketAddr) {
    for (tenant, rate) in TENANTS {
        tokio::spawn(async move {
            // A service that goes away ends its clients.
            let _ = client(address, tenant, rate).await;
        });
    }
}

async fn client(address: SocketAddr, tenant: &str, rate: u64) -> io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let mut beat = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    loop {
        beat.tick().await;
        let line = if rand::random_bool(0.7) {
            "POST /v1/process".to_owned()
        } else {
            format!("GET /v1/documents/{}", rand::random_range(1..1_000))
        };
        let request = format!("{line} HTTP/1.1\r\nhost: demo\r\nx-tenant-id: {tenant}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        answer(&mut stream).await?;
    }
}

/// Reads one answer to its end.
async fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(())
}
