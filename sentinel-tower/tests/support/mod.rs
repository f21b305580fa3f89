//! A real server on a loopback socket, and a client that sends and reads bytes.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use axum::Router;
use sentinel_core::{Query, Sentinel, TenantReport};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn sentinel() -> Sentinel {
    Sentinel::builder().build().unwrap()
}

/// Serves until the test's runtime ends.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Sends one request on a connection of its own and reads until the server closes it: the status (0 = no answer) and all bytes.
pub(crate) async fn ask(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &[u8])]) -> (u16, Vec<u8>) {
    let mut stream = connect(address).await;
    send(&mut stream, method, target, headers).await;
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    (status_of(&answer), answer)
}

pub(crate) async fn visit(address: SocketAddr, target: &str, tenant: &str) -> u16 {
    ask(address, "GET", target, &[("x-tenant-id", tenant.as_bytes())]).await.0
}

pub(crate) async fn send(stream: &mut TcpStream, method: &str, target: &str, headers: &[(&str, &[u8])]) {
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        request.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    request.extend_from_slice(b"\r\n");
    // The server may answer, and close, before it has read everything.
    let _ = stream.write_all(&request).await;
}

pub(crate) fn status_of(answer: &[u8]) -> u16 {
    let status =
        answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok());
    status.unwrap_or(0)
}

/// Waits until that many requests were recorded, and sees that it stays so.
pub(crate) async fn recorded(sentinel: &Sentinel, count: u64) {
    let start = Instant::now();
    while sentinel.stats().accepted < count {
        assert!(start.elapsed() < PATIENCE, "{:?}", sentinel.stats());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let stats = sentinel.stats();
    assert_eq!((stats.offered, stats.accepted), (count, count));
    let in_flight: u64 =
        sentinel.report(Query { limit: 100, ..Query::default() }).tenants.iter().map(|row| row.in_flight).sum();
    assert_eq!(in_flight, 0);
}

pub(crate) fn tenant(sentinel: &Sentinel, id: &str) -> TenantReport {
    sentinel.tenant(id.as_bytes(), None).unwrap_or_else(|| panic!("{id} is not in the window"))
}

/// Endpoint, requests, errors; and requests that were aborted.
pub(crate) fn only_endpoint(sentinel: &Sentinel, id: &str) -> (String, u64, u64) {
    let found = tenant(sentinel, id);
    assert_eq!(found.endpoints.len(), 1, "{:?}", found.endpoints);
    let endpoint = &found.endpoints[0];
    (endpoint.endpoint.clone(), endpoint.requests, endpoint.errors)
}
