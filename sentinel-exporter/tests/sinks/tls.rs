//! Whose word is taken for who they are.

use super::certificates::{Authority, Identity};
use super::notices::test;
use super::server::{Server, drip};
use super::{TIMEOUT, later, send};
use sentinel_exporter::sink::{Failed, Secret, Webhook, WebhookConfig};
use std::io::Write;
use std::path::PathBuf;

fn to(url: String, ca_file: Option<PathBuf>) -> Result<(), Failed> {
    let config = WebhookConfig { ca_file, ..WebhookConfig::new(Secret::new(url)) };
    send(&Webhook::new(&config).unwrap().within(TIMEOUT), &test())
}

/// Result of a server that presents this certificate, and whether the server saw a request.
fn shown(identity: &Identity, host: &str, ca: &Authority) -> (Result<(), Failed>, usize) {
    let server = identity.server(|_, wire| drop(wire.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")));
    let sent = to(format!("https://{host}:{}/canary", server.address.port()), Some(ca.file()));
    (sent, server.seen().len())
}

#[test]
fn a_certificate_is_looked_at() {
    let (ca, stranger) = (Authority::new(), Authority::new());
    assert_eq!(shown(&ca.issue("localhost", 2020, 2099), "localhost", &ca), (Ok(()), 1));
    assert_eq!(shown(&ca.issue("127.0.0.1", 2020, 2099), "127.0.0.1", &ca), (Ok(()), 1));
    for (identity, host, why) in [
        (ca.issue("localhost", 2020, 2021), "localhost", "the certificate has expired"),
        (ca.issue("localhost", 2098, 2099), "localhost", "the certificate is not valid yet"),
        (ca.issue("shop.example", 2020, 2099), "localhost", "the certificate is for another name"),
        (ca.issue("localhost", 2020, 2099), "127.0.0.1", "the certificate is for another name"),
        (stranger.issue("localhost", 2020, 2099), "localhost", "the certificate's issuer is not trusted"),
        (Identity::of_its_own("localhost"), "localhost", "the certificate's issuer is not trusted"),
    ] {
        assert_eq!(shown(&identity, host, &ca), (later(why), 0));
    }
}

#[test]
fn an_authority_of_a_file_is_asked_for() {
    let ca = Authority::new();
    let server = ca.issue("localhost", 2020, 2099).server(|_, _| ());
    let url = format!("https://localhost:{}/", server.address.port());
    assert_eq!(to(url, None), later("the certificate's issuer is not trusted"));
}

#[test]
fn it_is_no_tls() {
    let plain = Server::saying("HTTP/1.1 400 x\r\ncontent-length: 0\r\n\r\n");
    let talking = Server::raw(|mut stream| drop(stream.write_all(b"HTTP/1.1 400 x\r\n\r\nThis is plain HTTP")));
    assert_eq!(to(format!("https://{}/", talking.address), None), later("TLS failed"));
    assert_eq!(to(format!("https://{}/", plain.address), None), later("no answer in time"));
    let slow = Server::raw(|mut stream| drip(&mut stream, "\x16\x03\x03\x40\x00"));
    assert_eq!(to(format!("https://{}/", slow.address), None), later("no answer in time"));
    let closing = Server::raw(|stream| drop(stream.peek(&mut [0])));
    let Err(Failed::Later { .. }) = to(format!("https://{}/", closing.address), None) else { panic!() };
}

#[test]
fn a_file_of_certificates_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let config = WebhookConfig { ca_file: Some(path), ..WebhookConfig::new(Secret::new("https://shop.example/")) };
        Webhook::new(&config).unwrap_err()
    };
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (name, text, why) in [
        ("empty", "", "(holds none)"),
        ("text", "hello", "(holds none)"),
        ("broken", broken, "(holds one that cannot be used)"),
        ("long", &"x".repeat((1 << 20) + 1), "(is longer than 1 MiB)"),
    ] {
        let error = of(name, text);
        assert_eq!(error.field, "ca_file");
        assert!(error.value.ends_with(why), "{error}");
    }
    let config = WebhookConfig { ca_file: Some("/dev/zero".into()), ..WebhookConfig::new(Secret::new("https://x/")) };
    assert!(Webhook::new(&config).unwrap_err().value.contains("not a file"));
}
