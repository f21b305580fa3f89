//! Every way for a server to answer, or not to, and what is made of it.

use super::notices::test;
use super::server::{Server, drip, flood, wait};
use super::{NO_END, later, refused, send, slack, webhook};
use sentinel_exporter::sink::{Failed, Secret, Sink, SlackConfig};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn said(answer: &str) -> Result<(), Failed> {
    let server = Server::saying(answer);
    let sent = send(&webhook(&server.url("/x")), &test());
    assert_eq!(server.seen().len(), 1);
    sent
}

#[test]
fn it_is_taken() {
    for head in ["200 OK", "204 No Content", "202 Fine"] {
        assert_eq!(said(&format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n")), Ok(()));
    }
    // What the head has said is not taken back by a body that breaks, or does not end.
    assert_eq!(said("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\nhalf"), Ok(()));
    let server = Server::new(|_, wire| {
        let _ = wire.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        drip(wire, "1\r\nx\r\n");
    });
    assert_eq!(send(&slack(&server.url("/x")), &test()), Ok(()));
}

#[test]
fn it_is_tried_later() {
    let with = |status: &str, headers: &str| said(&format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\n\r\n"));
    let after = |why: &str, seconds| Err(Failed::Later { why: why.into(), after: Some(Duration::from_secs(seconds)) });
    assert_eq!(with("429 Slow", ""), later("429 Too Many Requests"));
    assert_eq!(with("429 Slow", "Retry-After: 30\r\n"), after("429 Too Many Requests", 30));
    assert_eq!(with("429 Slow", "retry-after: 86400\r\n"), after("429 Too Many Requests", 3_600));
    assert_eq!(
        with("503 x", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n"),
        after("503 Service Unavailable", 3_600)
    );
    assert_eq!(with("503 x", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), after("503 Service Unavailable", 0));
    assert_eq!(with("503 x", "Retry-After: later\r\n"), later("503 Service Unavailable"));
    assert_eq!(with("408 x", ""), later("408 Request Timeout"));
    assert_eq!(with("500 x", ""), later("500 Internal Server Error"));
    assert_eq!(with("599 x", ""), later("599"));
}

#[test]
fn it_is_refused() {
    let with = |status: &str| said(&format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
    assert_eq!(with("400 x"), refused("400 Bad Request"));
    assert_eq!(with("404 x"), refused("404 Not Found"));
    assert_eq!(with("410 x"), refused("410 Gone"));
    assert_eq!(with("499 canary"), refused("499"));
}

#[test]
fn a_redirect_leads_nowhere() {
    let other = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    for status in [301, 302, 303, 307, 308] {
        let url = other.url("/stolen");
        let server = Server::saying(&format!("HTTP/1.1 {status} x\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n"));
        let Err(Failed::Refused { why }) = send(&slack(&server.url("/x")), &test()) else { panic!("{status}") };
        assert!(why.starts_with(&status.to_string()) && why.ends_with(": redirects are not followed"), "{why}");
        assert_eq!(server.seen().len(), 1);
    }
    assert!(other.seen().is_empty());
}

#[test]
fn there_is_nobody() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(send(&webhook(&format!("http://{closed}/x")), &test()), later("the connection was refused"));
    let Err(Failed::Later { why, .. }) = send(&webhook("http://nobody.invalid/x"), &test()) else { panic!() };
    // The second where a resolver does not answer.
    let known = ["the host name is not known", "the host name was not found in time"];
    assert!(known.contains(&why.as_str()), "{why}");
}

/// A queue for connections that is full: the next one gets no answer at all.
#[test]
#[cfg(target_os = "linux")]
fn nobody_picks_up() {
    let socket = rustix_listener();
    let address = socket.local_addr().unwrap();
    let held: Vec<_> = (0..16)
        .map_while(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok())
        .collect();
    assert!(held.len() < 16);
    assert_eq!(send(&webhook(&format!("http://{address}/x")), &test()), later("no connection in time"));
}

#[cfg(target_os = "linux")]
fn rustix_listener() -> TcpListener {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(1).unwrap().into_std().unwrap()
}

#[test]
fn the_connection_breaks() {
    // Closed with a request in it that nobody has read: a reset.
    let server = Server::raw(|stream| {
        let _ = stream.peek(&mut [0]);
    });
    assert_eq!(send(&webhook(&server.url("/x")), &test()), later("the connection was reset"));
    let server = Server::new(|_, _| ());
    let closed = later("the connection was closed before the answer was complete");
    assert_eq!(send(&webhook(&server.url("/x")), &test()), closed);
    assert_eq!(said("HTTP/1.1 200 O"), closed);
    assert_eq!(said("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"), closed);
}

#[test]
fn nothing_takes_longer_than_it_may() {
    let late = later("no answer in time");
    for server in [
        Server::new(|_, wire| wait(wire)),
        Server::new(|_, wire| drip(wire, "HTTP/1.1 200 OK\r\nx-and-so-on: ")),
        Server::new(|_, wire| drip(wire, "HTTP/1.1 100 Continue\r\n\r\n")),
    ] {
        assert_eq!(send(&webhook(&server.url("/x")), &test()), late);
    }
    // A body that explains a refusal is not waited for; the refusal stands.
    let server = Server::new(|_, wire| {
        let _ = wire.write_all(b"HTTP/1.1 404 x\r\ntransfer-encoding: chunked\r\n\r\n");
        drip(wire, "1\r\nx\r\n");
    });
    let patient = slack(&server.url("/x")).within(NO_END * 2);
    assert_eq!(send(&patient, &test()), refused("404 Not Found"));
}

#[test]
fn it_is_no_http() {
    for answer in
        ["220 mail ESMTP\r\n", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "HTTP/1.1 2OO OK\r\n\r\n", "HTTP/3.0 200 OK\r\n\r\n"]
    {
        assert_eq!(said(answer), later("the answer cannot be understood"), "{answer:?}");
    }
}

#[test]
fn nobody_is_flooded() {
    // What the system keeps in its own buffers, both sides, and no more.
    let most = 16 << 20;
    for text in ["x-more: and more\r\n", "x"] {
        let server = Server::new(move |_, wire| {
            let _ = wire.write_all(b"HTTP/1.1 200 OK\r\n");
            flood(wire, text);
        });
        assert_eq!(send(&webhook(&server.url("/x")), &test()), later("the answer is too large"), "{text}");
        assert!(server.written() < most, "{}", server.written());
    }
    // A body without an end, packed or not, said to be short or not.
    for headers in ["content-encoding: gzip\r\n", "content-length: 99999999999\r\n", "transfer-encoding: chunked\r\n"] {
        let server = Server::new(move |_, wire| {
            let _ = write!(wire, "HTTP/1.1 400 x\r\n{headers}\r\n");
            flood(wire, "400\r\n");
        });
        assert_eq!(send(&slack(&server.url("/x")), &test()), refused("400 Bad Request"));
        assert!(server.written() < most, "{}", server.written());
    }
}

#[test]
fn a_request_is_a_plain_one() {
    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    send(&webhook(&server.url("/a/b?c=d%20e#f")), &test()).unwrap();
    let [request] = &server.seen()[..] else { panic!() };
    assert!(request.head.starts_with("POST /a/b?c=d%20e HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("host"), Some(server.address.to_string().as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("accept-encoding"), None);
    assert_eq!(request.header("webhook-signature"), None);
}

/// A machine's proxy is for others: it would learn addresses that are passwords.
#[test]
fn no_proxy_is_taken_from_the_environment() {
    if std::env::var_os("SENTINEL_TEST_PROXIED").is_some() {
        let url = std::env::var("SENTINEL_TEST_PROXIED").unwrap();
        assert_eq!(send(&webhook(&url), &test()), Ok(()));
        return;
    }
    let proxy = Server::saying("HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n");
    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "answers::no_proxy_is_taken_from_the_environment"])
        .env("SENTINEL_TEST_PROXIED", server.url("/x"));
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, proxy.url(""));
    }
    child.env_remove("no_proxy").env_remove("NO_PROXY");
    assert!(child.output().unwrap().status.success());
    assert_eq!((server.seen().len(), proxy.seen().len()), (1, 0));
}

#[test]
fn an_attempt_is_one_and_leaves_nothing_behind() {
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    let server = Server::new(move |_, wire| {
        count.fetch_add(1, Ordering::SeqCst);
        let _ = wire.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        wait(wire);
        count.fetch_sub(1, Ordering::SeqCst);
    });
    let sink = slack(&server.url("/x"));
    for _ in 0..20 {
        send(&sink, &test()).unwrap();
    }
    assert_eq!(server.seen().len(), 20);
    let began = std::time::Instant::now();
    while open.load(Ordering::SeqCst) > 0 {
        assert!(began.elapsed() < NO_END);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((sink.kind(), sink.pace()), ("slack", Duration::from_secs(1)));
    assert_eq!(SlackConfig::new(Secret::new("https://x")).name, None);
}
