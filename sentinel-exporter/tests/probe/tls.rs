//! Whose word is taken for who they are, and when it ends.

use super::certificates::{Authority, Identity};
use super::server::{Server, wait};
use super::{TIMEOUT, check, probe};
use rcgen::date_time_ymd;
use sentinel_core::uptime::{Cause, Check};
use sentinel_exporter::probe::{Allow, ProbeOptions, Probed, Prober};
use std::io::Write;
use std::time::Duration;

fn trusting(ca: Option<&Authority>) -> Prober {
    let ca_file = ca.map(Authority::file);
    Prober::new(&ProbeOptions { allow: Allow::new(["loopback"]).unwrap(), ca_file }).unwrap()
}

fn serve(identity: &Identity) -> Server {
    identity.server(|_, wire| drop(wire.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")))
}

/// Result of a target that presents this certificate, and the requests that the target got.
fn shown(identity: &Identity, host: &str, ca: &Authority, verify_tls: bool) -> (Probed, usize) {
    let server = serve(identity);
    let check = Check { verify_tls, ..check(&format!("https://{host}:{}/canary", server.address.port())) };
    (probe(&trusting(Some(ca)), &check), server.seen().len())
}

fn unix_ms(year: i32) -> i64 {
    date_time_ymd(year, 1, 1).unix_timestamp() * 1_000
}

#[test]
fn a_certificate_is_looked_at() {
    let (ca, stranger) = (Authority::new(), Authority::new());
    for (identity, host, until, wanted) in [
        (ca.issue("localhost", 2020, 2099), "localhost", 2099, None),
        (ca.issue("127.0.0.1", 2020, 2099), "127.0.0.1", 2099, None),
        (ca.issue("localhost", 2020, 2021), "localhost", 2021, Some(Cause::Certificate)),
        (ca.issue("localhost", 2098, 2099), "localhost", 2099, Some(Cause::Certificate)),
        (ca.issue("shop.example", 2020, 2049), "localhost", 2049, Some(Cause::Certificate)),
        (ca.issue("localhost", 2020, 2050), "127.0.0.1", 2050, Some(Cause::Certificate)),
        (stranger.issue("localhost", 2020, 2051), "localhost", 2051, Some(Cause::Certificate)),
        (Identity::of_its_own("localhost"), "localhost", 2099, Some(Cause::Certificate)),
    ] {
        let (probed, requests) = shown(&identity, host, &ca, true);
        assert_eq!((probed.result.cause, requests), (wanted, usize::from(wanted.is_none())), "{host} {until}");
        // Its end is known, believed or not.
        assert_eq!(probed.expires_ms, Some(unix_ms(until)));
        // Any of them is taken by who does not ask whose it is.
        let (probed, requests) = shown(&identity, host, &ca, false);
        assert_eq!((probed.result.cause, probed.result.status, requests), (None, Some(200), 1), "{host} {until}");
        assert_eq!(probed.expires_ms, Some(unix_ms(until)));
        // `tls://` sees the same, without a request.
        let server = serve(&identity);
        let check = check(&format!("tls://{host}:{}", server.address.port()));
        let probed = probe(&trusting(Some(&ca)), &check);
        assert_eq!(
            (probed.result.cause, probed.result.status, probed.expires_ms),
            (wanted, None, Some(unix_ms(until)))
        );
        assert_eq!(server.seen().len(), 0);
    }
}

#[test]
fn its_end_is_known_to_the_second() {
    let ca = Authority::new();
    for seconds in [0, 1, 59, 3_599, 86_399, 5_097_599] {
        let until = date_time_ymd(2031, 12, 31) + Duration::from_secs(seconds);
        let identity = ca.issue_with("localhost", |params| params.not_after = until);
        let (probed, _) = shown(&identity, "localhost", &ca, true);
        assert_eq!((probed.result.cause, probed.expires_ms), (None, Some(until.unix_timestamp() * 1_000)));
    }
}

#[test]
fn without_a_file_only_the_public_ones_are_believed() {
    let ca = Authority::new();
    let server = serve(&ca.issue("localhost", 2020, 2099));
    let check = check(&format!("https://localhost:{}/", server.address.port()));
    let probed = probe(&trusting(None), &check);
    assert_eq!((probed.result.cause, probed.expires_ms), (Some(Cause::Certificate), Some(unix_ms(2099))));
}

#[test]
fn each_probe_sees_the_certificate_anew() {
    // A resumed session would show none.
    let ca = Authority::new();
    let server = serve(&ca.issue("localhost", 2020, 2099));
    let (prober, check) = (trusting(Some(&ca)), check(&format!("https://localhost:{}/", server.address.port())));
    for _ in 0..3 {
        let probed = probe(&prober, &check);
        assert_eq!((probed.result.cause, probed.expires_ms), (None, Some(unix_ms(2099))));
    }
}

#[test]
fn over_redirects_the_first_end_counts() {
    let ca = Authority::new();
    let there = serve(&ca.issue("localhost", 2020, 2031));
    let head =
        format!("HTTP/1.1 302 x\r\nlocation: https://localhost:{}/\r\ncontent-length: 0\r\n\r\n", there.address.port());
    for until in [2030, 2032] {
        let head = head.clone();
        let server = ca.issue("localhost", 2020, until).server(move |_, wire| drop(wire.write_all(head.as_bytes())));
        let probed = probe(&trusting(Some(&ca)), &check(&format!("https://localhost:{}/", server.address.port())));
        assert_eq!((probed.result.cause, probed.expires_ms), (None, Some(unix_ms(until.min(2031)))));
    }
}

#[test]
fn a_redirect_is_verified_as_well() {
    let ca = Authority::new();
    let there = serve(&Identity::of_its_own("localhost"));
    let head =
        format!("HTTP/1.1 302 x\r\nlocation: https://localhost:{}/\r\ncontent-length: 0\r\n\r\n", there.address.port());
    let server = ca.issue("localhost", 2020, 2099).server(move |_, wire| drop(wire.write_all(head.as_bytes())));
    let probed = probe(&trusting(Some(&ca)), &check(&format!("https://localhost:{}/", server.address.port())));
    assert_eq!((probed.result.cause, there.seen().len()), (Some(Cause::Certificate), 0));
}

#[test]
fn it_is_no_tls() {
    let talking = Server::raw(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 x\r\n\r\nThis is plain HTTP");
        wait(&mut stream);
    });
    let closing = Server::raw(|stream| drop(stream.peek(&mut [0])));
    for server in [&talking, &closing] {
        for scheme in ["https", "tls"] {
            for verify_tls in [true, false] {
                let check = Check { verify_tls, ..check(&format!("{scheme}://{}", server.address)) };
                assert_eq!(probe(&trusting(None), &check).result.cause, Some(Cause::Tls), "{scheme}");
            }
        }
    }
    // And it is no HTTP: who speaks TLS is asked in the clear.
    let ca = Authority::new();
    let server = serve(&ca.issue("localhost", 2020, 2099));
    let probed = probe(&trusting(Some(&ca)), &check(&server.url("/")));
    assert_eq!(probed.result.cause, Some(Cause::Protocol));
    assert!(u64::from(probed.phases.total_us.unwrap()) < TIMEOUT.as_micros() as u64);
}

#[test]
fn a_connection_that_is_cut_off_is_no_end() {
    // Without the close of TLS nobody knows that this was all.
    let ca = Authority::new();
    let config = ca.issue("localhost", 2020, 2099).config();
    let server = Server::wrapped(
        move |stream, play| {
            let connection = rustls::ServerConnection::new(std::sync::Arc::clone(&config)).unwrap();
            play(&mut rustls::StreamOwned::new(connection, stream));
        },
        |_, wire| drop(wire.write_all(b"HTTP/1.1 200 OK\r\n\r\nall is well")),
    );
    let mut check = check(&format!("https://localhost:{}/", server.address.port()));
    check.expect = serde_json::from_str(r#"{"contains": "well"}"#).unwrap();
    assert_eq!(probe(&trusting(Some(&ca)), &check).result.cause, Some(Cause::Protocol));
}
