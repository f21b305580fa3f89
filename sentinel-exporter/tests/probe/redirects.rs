//! Redirects: the next target of a probe, and the headers that go there.

use super::certificates::Authority;
use super::server::{Request, Server, Wire};
use super::{Trap, cause, check, local, probe, prober};
use sentinel_core::uptime::{Cause, Check, Hidden, Method};
use sentinel_exporter::probe::{Allow, ProbeOptions, Prober};
use std::collections::BTreeMap;

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn moved(status: u16, to: &str) -> String {
    format!("HTTP/1.1 {status} x\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

/// `/` leads there, anything else is fine.
fn leading(status: u16, to: &str) -> Server {
    let head = moved(status, to);
    Server::new(move |request, wire| drop(wire.write_all(if path(request) == "/" { head.as_bytes() } else { FINE })))
}

fn path(request: &Request) -> &str {
    request.head.split(' ').nth(1).unwrap()
}

#[test]
fn it_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        for (to, asked) in [
            ("/y?q=1", "/y?q=1"),
            ("y", "/y"),
            ("?z", "/?z"),
            ("/a/../b#c", "/b"),
            ("//{}/y", "/y"),
            ("http://{}/y", "/y"),
            ("HTTP://{}/y", "/y"),
        ] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let head = moved(status, &to.replace("{}", &listener.local_addr().unwrap().to_string()));
            let answer = move |request: &Request, wire: &mut dyn Wire| {
                drop(wire.write_all(if path(request) == "/" { head.as_bytes() } else { FINE }));
            };
            let server = Server::at(listener, |stream, play| play(&mut { stream }), answer);
            let probed = local(&check(&server.url("")));
            assert_eq!((probed.result.cause, probed.result.status), (None, Some(200)), "{to}");
            let seen: Vec<String> = server.seen().iter().map(|request| path(request).to_owned()).collect();
            assert_eq!(seen, ["/", asked]);
        }
    }
}

#[test]
fn it_does_not_lead_inside() {
    let trap = Trap::new();
    let outside = std::net::Ipv4Addr::new(127, 0, 0, 2);
    for status in [301, 302, 303, 307, 308] {
        for host in [
            "127.0.0.1",
            "localhost",
            "127.1",
            "2130706433",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "169.254.169.254",
            "0.0.0.0",
            "10.0.0.1",
            "[64:ff9b::7f00:1]",
        ] {
            let listener = std::net::TcpListener::bind((outside, 0)).unwrap();
            let head = moved(status, &format!("http://{host}:{}/", trap.port()));
            let server = Server::at(
                listener,
                |stream, play| play(&mut { stream }),
                move |_, wire| drop(wire.write_all(head.as_bytes())),
            );
            let probed = probe(&prober(&["127.0.0.2"]), &check(&server.url("/")));
            assert_eq!(
                (probed.result.cause, trap.caught(), server.seen().len()),
                (Some(Cause::Blocked), 0, 1),
                "{status} {host}"
            );
        }
    }
}

#[test]
fn it_leads_nowhere() {
    let trap = Trap::new();
    let port = trap.port();
    for to in [
        &format!("tcp://127.0.0.1:{port}"),
        &format!("tls://127.0.0.1:{port}"),
        &format!("ftp://127.0.0.1:{port}/"),
        &format!("gopher://127.0.0.1:{port}/"),
        "file:///etc/passwd",
        &format!("http://me:canary@127.0.0.1:{port}/"),
        "javascript:alert(1)",
        "http://",
        "http://:80/",
        "//",
        "http://127.0.0.1:99999/",
        "http://[::1",
        "http:///x",
        "\u{1}",
        &"x".repeat(3_000),
    ] {
        let server = leading(302, to);
        let probed = local(&check(&server.url("/")));
        assert!([Some(Cause::Redirects), Some(Cause::Protocol)].contains(&probed.result.cause), "{to}: {probed:?}");
        // A control character is not even a header.
        assert_eq!(probed.result.cause == Some(Cause::Protocol), to == "\u{1}", "{to}");
        assert_eq!((server.seen().len(), trap.caught()), (1, 0), "{to}");
    }
}

#[test]
fn ten_and_not_eleven() {
    // `/7` leads to `/6` and so on.
    let server = Server::new(|request, wire| {
        let left: u32 = path(request)[1..].parse().unwrap();
        let head =
            if left == 0 { String::from_utf8(FINE.to_vec()).unwrap() } else { moved(302, &format!("/{}", left - 1)) };
        let _ = wire.write_all(head.as_bytes());
    });
    let mut before = 0;
    for (redirects, far, wanted) in
        [(10, 10, None), (10, 11, Some(Cause::Redirects)), (1, 1, None), (1, 2, Some(Cause::Redirects)), (10, 0, None)]
    {
        let check = Check { redirects, ..check(&server.url(&format!("/{far}"))) };
        let probed = local(&check);
        assert_eq!(probed.result.cause, wanted, "{redirects} {far}");
        assert_eq!(probed.result.status, Some(if wanted.is_some() { 302 } else { 200 }));
        let seen = server.seen().len();
        assert_eq!(seen - before, usize::from(redirects.min(far)) + 1);
        before = seen;
    }
    let looping = Server::saying(&moved(308, "/"));
    assert_eq!(cause(&looping.url("/")), Some(Cause::Redirects));
    assert_eq!(looping.seen().len(), 11);
}

#[test]
fn with_none_it_is_the_answer() {
    let server = leading(302, "/y");
    let none = Check { redirects: 0, ..check(&server.url("/")) };
    let probed = local(&none);
    assert_eq!((probed.result.cause, probed.result.status), (Some(Cause::Status), Some(302)));
    let mut wanted = none;
    wanted.expect.status = serde_json::from_str("302").unwrap();
    assert_eq!(local(&wanted).result.cause, None);
    assert_eq!(server.seen().len(), 2);
    // Without a place to go it is one too, and these never lead anywhere.
    for head in [
        "HTTP/1.1 302 x\r\ncontent-length: 0\r\n\r\n".to_owned(),
        moved(300, "/y"),
        moved(304, "/y"),
        moved(305, "/y"),
        moved(201, "/y"),
    ] {
        let server = Server::saying(&head);
        let wanted = if head.contains(" 201 ") { None } else { Some(Cause::Status) };
        assert_eq!(cause(&server.url("/")), wanted, "{head}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn the_method_goes_as_browsers_do() {
    for (method, status, then) in [
        (Method::Post, 301, "GET"),
        (Method::Post, 302, "GET"),
        (Method::Post, 303, "GET"),
        (Method::Post, 307, "POST"),
        (Method::Post, 308, "POST"),
        (Method::Head, 303, "HEAD"),
        (Method::Options, 303, "GET"),
        (Method::Options, 302, "OPTIONS"),
        (Method::Get, 307, "GET"),
    ] {
        let server = leading(status, "/y");
        let check = Check { method, ..check(&server.url("/")) };
        assert_eq!(local(&check).result.cause, None);
        let methods: Vec<String> =
            server.seen().iter().map(|request| request.head.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(methods, [method.name(), then], "{status}");
    }
}

fn secret() -> BTreeMap<String, Hidden> {
    ["Authorization", "cookie", "x-api-key", "User-Agent", "host"]
        .map(|name| (name.to_owned(), Hidden::new("canary")))
        .into()
}

#[test]
fn headers_stay_with_the_target() {
    let told = |request: &Request| request.head.contains("canary");
    // Here they go along.
    let server = leading(302, "/y");
    let check_of = |url: &str| Check { headers: secret(), ..check(url) };
    assert_eq!(local(&check_of(&server.url("/"))).result.cause, None);
    assert!(server.seen().len() == 2 && server.seen().iter().all(told));
    assert_eq!(server.seen()[1].header("user-agent"), Some("canary"));
    // To another port, name or scheme they do not, and not back from there either.
    for status in [301, 302, 303, 307, 308] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let home = listener.local_addr().unwrap();
        // It asks for another request of its own first.
        let (again, back) = (moved(status, "/again"), moved(status, &format!("http://{home}/back")));
        let stranger = Server::new(move |request, wire| {
            let head = if path(request) == "/x" { &again } else { &back };
            let _ = wire.write_all(head.as_bytes());
        });
        let to = [
            stranger.url("/x"),
            format!("http://localhost:{}/x", stranger.address.port()),
            format!("http://localhost:{}/x", home.port()),
        ];
        let by = to.clone();
        let answer = move |request: &Request, wire: &mut dyn Wire| {
            let step = path(request).strip_prefix("/from").and_then(|step| step.parse::<usize>().ok());
            let head = step.map_or_else(|| String::from_utf8(FINE.to_vec()).unwrap(), |step| moved(status, &by[step]));
            let _ = wire.write_all(head.as_bytes());
        };
        let server = Server::at(listener, |stream, play| play(&mut { stream }), answer);
        for step in 0..to.len() {
            let before = server.seen().len();
            assert_eq!(local(&check_of(&server.url(&format!("/from{step}")))).result.cause, None);
            let seen = server.seen()[before..].to_vec();
            assert_eq!(seen.len(), 2, "{step}");
            assert!(told(&seen[0]) && !told(&seen[1]), "{step}");
        }
        assert_eq!(stranger.seen().len(), 4);
        assert!(!stranger.seen().iter().any(told));
        assert!(stranger.seen()[0].header("host").unwrap().contains("127.0.0.1"));
    }
}

#[test]
fn nor_do_they_go_on_in_the_clear() {
    let ca = Authority::new();
    let plain = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let head = moved(307, &plain.url("/x"));
    let server = ca.issue("127.0.0.1", 2020, 2099).server(move |_, wire| drop(wire.write_all(head.as_bytes())));
    let options = ProbeOptions { allow: Allow::new(["loopback"]).unwrap(), ca_file: Some(ca.file()) };
    let prober = Prober::new(&options).unwrap();
    let probed = probe(&prober, &Check { headers: secret(), ..check(&format!("https://{}/", server.address)) });
    assert_eq!(probed.result.cause, None);
    assert!(probed.expires_ms.is_some() && probed.phases.tls_us.is_some());
    assert!(server.seen()[0].head.contains("canary") && !plain.seen()[0].head.contains("canary"));
}
