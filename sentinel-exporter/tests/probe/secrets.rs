//! A secret is in no output, whoever puts it there; and the environment says nothing to a probe.

use super::server::Server;
use super::{Trap, check, local, prober};
use sentinel_core::uptime::{Check, Hidden};
use sentinel_exporter::probe::{Allow, ProbeOptions, Prober};

const CANARY: &str = "canary";

fn shows(text: &impl std::fmt::Debug) -> bool {
    format!("{text:?}{text:#?}").to_lowercase().contains(CANARY)
}

fn secret(url: &str) -> Check {
    let headers = [("authorization".to_owned(), Hidden::new("Bearer canary"))].into();
    let expect = serde_json::from_str(r#"{"contains": "canary-not-there"}"#).unwrap();
    Check { headers, expect, ..check(url) }
}

#[test]
fn whatever_it_is_told_a_target_is_not_quoted() {
    let trap = Trap::new();
    for answer in [
        "HTTP/1.1 200 canary\r\ncontent-length: 6\r\nx-canary: canary\r\n\r\ncanary".to_owned(),
        "HTTP/1.1 302 x\r\nlocation: http://canary.invalid/canary\r\n\r\n".into(),
        "HTTP/1.1 302 x\r\nlocation: canary://canary/\r\n\r\n".into(),
        format!("HTTP/1.1 302 x\r\nlocation: http://me:canary@127.0.0.1:{}/canary\r\n\r\n", trap.port()),
        "HTTP/1.1 canary\r\n\r\n".into(),
        "canary".into(),
        "HTTP/1.1 200 x\r\ncanary\r\n\r\n".into(),
    ] {
        let server = Server::saying(&answer);
        let check = secret(&server.url("/canary?canary=canary"));
        let probed = local(&check);
        assert!(probed.result.is_down() && !shows(&probed), "{answer}");
        assert!(!shows(&check), "{check:?}");
        // It was told, so it could have been quoted.
        assert!(
            server.seen()[0].head.contains("/canary?canary=canary") && server.seen()[0].head.contains("Bearer canary")
        );
    }
}

#[test]
fn a_prober_shows_its_ranges_alone() {
    let options = ProbeOptions { allow: Allow::new(["private", "fe80::/10"]).unwrap(), ca_file: None };
    let shown = format!("{:?}", Prober::new(&options).unwrap());
    assert!(shown.contains("fe80::/10") && shown.contains("10.0.0.0/8") && shown.len() < 300, "{shown}");
    for wrong in [r#"{"ca_file": ["canary"]}"#, r#"{"alow": "canary"}"#, r#"{"allow": "loopback"}"#] {
        assert!(serde_json::from_str::<ProbeOptions>(wrong).is_err(), "{wrong}");
    }
}

/// Run again as a child, with proxies in its environment.
#[test]
fn no_proxy_is_taken_from_the_environment() {
    if let Ok(url) = std::env::var("SENTINEL_TEST_PROXIED") {
        assert_eq!(local(&check(&url)).result.cause, None);
        return;
    }
    let proxy = Trap::new();
    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "secrets::no_proxy_is_taken_from_the_environment"])
        .env("SENTINEL_TEST_PROXIED", server.url("/x"));
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, format!("http://127.0.0.1:{}", proxy.port()));
    }
    child.env_remove("no_proxy").env_remove("NO_PROXY");
    assert!(child.output().unwrap().status.success());
    assert_eq!((server.seen().len(), proxy.caught()), (1, 0));
}

#[test]
fn a_check_that_nobody_has_checked_is_survived() {
    let server = Server::saying("HTTP/1.1 302 x\r\nlocation: /\r\ncontent-length: 0\r\n\r\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, value) in [("a b", "x"), ("", "x"), ("x", "a\nb"), ("x", "\u{e9}")] {
        let headers = [(name.to_owned(), Hidden::new(value))].into();
        let wild =
            Check { headers, redirects: 255, timeout: Some(std::time::Duration::MAX), ..check(&server.url("/")) };
        let probed = runtime.block_on(prober(&["loopback"]).probe(&wild, i64::MIN));
        assert!(probed.result.is_down());
    }
}
