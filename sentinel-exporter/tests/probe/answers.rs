//! Every way for a target to answer, and what is made of it.

use super::server::{Server, Wire, flood};
use super::{Trap, cause, check, local};
use sentinel_core::uptime::{Cause, Check, Expect, Method};
use sentinel_exporter::probe::Probed;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

fn expect(json: &str) -> Expect {
    serde_json::from_str(json).unwrap()
}

fn with(url: &str, json: &str) -> Check {
    Check { expect: expect(json), ..check(url) }
}

/// Result of this answer under these conditions.
fn judged(answer: &str, json: &str) -> Option<Cause> {
    local(&with(&Server::saying(answer).url("/x?q=1"), json)).result.cause
}

fn body(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())
}

#[test]
fn it_is_up() {
    let server = Server::saying(&body("fine"));
    let probed = local(&check(&server.url("/x?q=1")));
    assert_eq!((probed.result.cause, probed.result.status, probed.expires_ms), (None, Some(200), None));
    let phases = probed.phases;
    assert!(
        phases.dns_us.is_none()
            && phases.connect_us.is_some()
            && phases.tls_us.is_none()
            && phases.first_byte_us.is_some()
    );
    let request = &server.seen()[0];
    assert!(request.head.starts_with("GET /x?q=1 HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("host"), Some(server.address.to_string().as_str()));
    let names: Vec<&str> = request.head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert_eq!(names, ["host", "user-agent", "accept", "connection"]);
}

#[test]
fn conditions_hold_or_not() {
    for (answer, json, wanted) in [
        (body(""), "{}", None),
        ("HTTP/1.1 204 x\r\n\r\n".into(), "{}", None),
        ("HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n".into(), "{}", Some(Cause::Status)),
        ("HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n".into(), r#"{"status": [200, "400-404"]}"#, None),
        ("HTTP/1.1 999 x\r\ncontent-length: 0\r\n\r\n".into(), "{}", Some(Cause::Status)),
        ("HTTP/1.1 101 x\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".into(), "{}", Some(Cause::Status)),
        (body("all is well"), r#"{"contains": "is w"}"#, None),
        (body("all is well"), r#"{"contains": "IS W"}"#, Some(Cause::Body)),
        (body("all is well"), r#"{"lacks": "error"}"#, None),
        (body("an error"), r#"{"lacks": "error"}"#, Some(Cause::Body)),
        (body(r#"{"db": {"ready": true}}"#), r#"{"json": {"/db/ready": true}}"#, None),
        (body(r#"{"db": {"ready": false}}"#), r#"{"json": {"/db/ready": true}}"#, Some(Cause::Json)),
        (body("<html>"), r#"{"json": {"/db/ready": true}}"#, Some(Cause::Json)),
        // Without a length it ends where the connection does; chunks are put together.
        ("HTTP/1.1 200 OK\r\n\r\nall is well".into(), r#"{"contains": "well"}"#, None),
        ("HTTP/1.0 200 OK\r\n\r\nall is well".into(), r#"{"contains": "well"}"#, None),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nwe\r\n2\r\nll\r\n0\r\n\r\n".into(),
            r#"{"contains": "well"}"#,
            None,
        ),
        // The status is judged first.
        ("HTTP/1.1 500 x\r\ncontent-length: 4\r\n\r\nfine".into(), r#"{"contains": "well"}"#, Some(Cause::Status)),
        ("HTTP/1.1 103 x\r\nlink: x\r\n\r\nHTTP/1.1 200 x\r\ncontent-length: 0\r\n\r\n".into(), "{}", None),
    ] {
        assert_eq!(judged(&answer, json), wanted, "{answer:?} {json}");
    }
}

#[test]
fn it_answers_too_late() {
    let server = Server::new(|_, wire| {
        std::thread::sleep(Duration::from_millis(120));
        let _ = wire.write_all(body("x").as_bytes());
    });
    let probed = local(&with(&server.url("/"), r#"{"max_latency": "100ms"}"#));
    assert_eq!(probed.result.cause, Some(Cause::Latency));
    assert!(probed.result.latency_us.unwrap() >= 120_000 && probed.phases.first_byte_us.unwrap() >= 119_000);
    assert_eq!(local(&with(&server.url("/"), r#"{"max_latency": "1s"}"#)).result.cause, None);
    // A body that is looked at counts until its end; the first byte was before that.
    let slow = Server::new(|_, wire| {
        let _ = wire.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwe");
        let _ = wire.flush();
        std::thread::sleep(Duration::from_millis(300));
        let _ = wire.write_all(b"ll");
    });
    let probed = local(&with(&slow.url("/"), r#"{"contains": "well", "max_latency": "250ms"}"#));
    assert_eq!(probed.result.cause, Some(Cause::Latency));
    assert!(probed.phases.first_byte_us.unwrap() + 250_000 < probed.result.latency_us.unwrap());
    let probed = local(&with(&slow.url("/"), r#"{"max_latency": "250ms"}"#));
    assert_eq!(probed.result.cause, None);
}

#[test]
fn methods_are_asked_by() {
    for method in [Method::Get, Method::Head, Method::Options, Method::Post] {
        // To `HEAD` no body comes, whatever the length says.
        let head = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
        assert_eq!(local(&Check { method, ..check(&head.url("/")) }).result.cause, None);
        let request = head.seen().remove(0);
        assert!(request.head.starts_with(&format!("{} / HTTP/1.1\r\n", method.name())));
        assert_eq!(request.header("content-length"), (method == Method::Post).then_some("0"));
        assert_eq!((request.header("transfer-encoding"), request.body.len()), (None, 0));
    }
}

/// 1.4 MB of "healthy", again and again, as gzip: what is decompressed grows 500-fold.
fn bomb() -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all("healthy".repeat(200_000).as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[test]
fn nothing_is_decompressed() {
    let bytes = bomb();
    assert!((1_000..10_000).contains(&bytes.len()), "{}", bytes.len());
    let server = Server::new(move |_, wire| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bytes.len());
        let _ = wire.write_all(head.as_bytes());
        let _ = wire.write_all(&bytes);
    });
    assert_eq!(local(&with(&server.url("/"), r#"{"contains": "healthyhealthy"}"#)).result.cause, Some(Cause::Body));
    assert_eq!(local(&with(&server.url("/"), r#"{"lacks": "healthyhealthy"}"#)).result.cause, None);
    assert_eq!(cause(&server.url("/")), None);
    assert!(server.seen().iter().all(|request| request.header("accept-encoding").is_none()));
}

#[test]
fn a_body_is_read_up_to_64_kib() {
    const CAP: usize = 65_536;
    for (before, found) in [(0, true), (CAP - 4, true), (CAP - 3, false), (CAP, false)] {
        for framed in [true, false] {
            let text = format!("{}well{}", "x".repeat(before), "y".repeat(2 * CAP));
            let answer = if framed { body(&text) } else { format!("HTTP/1.1 200 OK\r\n\r\n{text}") };
            let wanted = if found { None } else { Some(Cause::Body) };
            assert_eq!(judged(&answer, r#"{"contains": "well"}"#), wanted, "{before}");
            assert_eq!(
                judged(&answer, r#"{"lacks": "well"}"#),
                if found { Some(Cause::Body) } else { None },
                "{before}"
            );
        }
    }
    // JSON that is cut off is none.
    let json = |length: usize| body(&format!(r#"{{"a": 1, "b": "{}"}}"#, "x".repeat(length - 17)));
    assert_eq!(judged(&json(CAP), r#"{"json": {"/a": 1}}"#), None);
    assert_eq!(judged(&json(CAP + 1), r#"{"json": {"/a": 1}}"#), Some(Cause::Json));
}

/// Result of a flood of this after that, and how many bytes were read.
fn flooded(head: &'static str, text: &'static str, json: &str) -> (Probed, usize) {
    let server = Server::new(move |_, wire: &mut dyn Wire| {
        let _ = wire.write_all(head.as_bytes());
        flood(wire, text);
    });
    let probed = local(&with(&server.url("/"), json));
    (probed, server.written())
}

#[test]
fn nobody_is_flooded() {
    // What the system buffers for a connection on this host, at most.
    const BUFFERS: usize = 16 << 20;
    let start = "HTTP/1.1 200 OK\r\n";
    for (head, text, json, wanted) in [
        (start, "x-canary: canary\r\n", "{}", Some(Cause::Protocol)),
        (start, "x", "{}", Some(Cause::Protocol)),
        ("", "x", "{}", Some(Cause::Protocol)),
        ("", "\r\n", "{}", Some(Cause::Protocol)),
        ("HTTP/1.1 200 OK\r\n\r\n", "x", "{}", None),
        ("HTTP/1.1 200 OK\r\n\r\n", "x", r#"{"lacks": "y"}"#, None),
        ("HTTP/1.1 200 OK\r\n\r\n", "x", r#"{"contains": "y"}"#, Some(Cause::Body)),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n",
            "x",
            r#"{"contains": "y"}"#,
            Some(Cause::Body),
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "1\r\nx\r\n",
            r#"{"contains": "y"}"#,
            Some(Cause::Body),
        ),
    ] {
        let (probed, written) = flooded(head, text, json);
        assert_eq!(probed.result.cause, wanted, "{head:?} {text:?} {json}");
        assert!(written < BUFFERS, "{written} of {head:?} {text:?}");
    }
}

#[test]
fn heads_have_caps() {
    let lines = |count: usize, value: usize| {
        let line = format!("x: {}\r\n", "y".repeat(value));
        format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", line.repeat(count))
    };
    assert_eq!(judged(&lines(99, 10), "{}"), None);
    assert_eq!(judged(&lines(100, 10), "{}"), Some(Cause::Protocol));
    assert_eq!(judged(&lines(10, 3_000), "{}"), None);
    // What was read with the last bit of room is taken too.
    assert_eq!(judged(&lines(20, 4_000), "{}"), Some(Cause::Protocol));
}

#[test]
fn it_is_not_http() {
    for said in [
        "",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "220 mail.example ESMTP\r\n",
        "\0\0\0\0",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 1234 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "<html>hello</html>",
    ] {
        let server = Server::raw(move |mut stream| {
            let _ = stream.write_all(said.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        assert_eq!(cause(&server.url("/")), Some(Cause::Protocol), "{said:?}");
    }
}

#[test]
fn it_breaks() {
    // Half a body is none, where it is looked at.
    for half in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nwell",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwell\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nwell\r\n",
    ] {
        assert_eq!(judged(half, r#"{"contains": "well"}"#), Some(Cause::Protocol), "{half:?}");
        assert_eq!(judged(half, "{}"), None, "{half:?}");
    }
    // Nor is it asked for where the status has said enough.
    let half = "HTTP/1.1 500 x\r\ncontent-length: 9\r\n\r\nwell";
    assert_eq!(judged(half, r#"{"contains": "well"}"#), Some(Cause::Status));
    // A reset: what was sent is not read.
    let rude = Server::raw(|stream| {
        let _ = stream.peek(&mut [0]);
        drop(stream);
    });
    assert_eq!(cause(&rude.url("/")), Some(Cause::Protocol));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for scheme in ["http", "https", "tcp", "tls"] {
        assert_eq!(cause(&format!("{scheme}://{closed}")), Some(Cause::Connect), "{scheme}");
    }
}

#[test]
fn tcp_is_a_connection_and_nothing_else() {
    let trap = Trap::new();
    let probed = local(&check(&format!("tcp://127.0.0.1:{}", trap.port())));
    assert_eq!((probed.result.cause, probed.result.status, probed.expires_ms), (None, None, None));
    assert!(probed.phases.connect_us.is_some() && probed.phases.first_byte_us.is_none());
    let (mut stream, _) = trap.0.accept().unwrap();
    stream.set_nonblocking(false).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "nothing was sent");
    // It can be too slow as well, though not here.
    let mut check = check(&format!("tcp://127.0.0.1:{}", trap.port()));
    check.expect.max_latency = Some(Duration::from_secs(1));
    assert_eq!(local(&check).result.cause, None);
}
