//! Slack's errors, lengths of messages, and the signature that a webhook's receiver checks.

use super::notices::{of, test};
use super::server::Server;
use super::{TIMEOUT, later};
use super::{refused, send, slack};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sentinel_core::Kind;
use sentinel_core::alert::Accused;
use sentinel_exporter::sink::{Secret, Webhook, WebhookConfig};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn slack_says_why_in_words_that_are_known() {
    let said = |status: &str, body: &str| {
        let server = Server::saying(&format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        send(&slack(&server.url("/x")), &test())
    };
    assert_eq!(said("400", "invalid_payload"), refused("400 Bad Request (invalid_payload)"));
    assert_eq!(said("404", "no_service\n"), refused("404 Not Found (no_service)"));
    assert_eq!(said("410", "channel_is_archived"), refused("410 Gone (channel_is_archived)"));
    assert_eq!(said("500", "rollup_error"), later("500 Internal Server Error (rollup_error)"));
    for other in ["canary", "no_service canary", "no_service\0", "NO_SERVICE", ""] {
        assert_eq!(said("403", other), refused("403 Forbidden"), "{other:?}");
    }
}

#[test]
fn a_long_message_ends_where_slack_does() {
    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let tenants = (0..2_000).map(|i| format!("<tenant-{i}>").repeat(8).into_bytes()).collect();
    let notice =
        of(Accused { kind: Kind::FewTenants, tenants, window_ms: 60_000, share: Some(0.9), ..Accused::default() });
    send(&slack(&server.url("/x")), &notice).unwrap();
    let [request] = &server.seen()[..] else { panic!() };
    let json = request.json();
    let blocks = json["blocks"].as_array().unwrap();
    let short = |block: &serde_json::Value| block["text"]["text"].as_str().unwrap().encode_utf16().count() <= 3_000;
    assert!(blocks.len() <= 50 && blocks.iter().all(short), "{}", blocks.len());
    assert!(request.body.len() < 256 << 10);
}

#[test]
fn a_receiver_can_tell_who_has_sent_it_and_that_it_comes_again() {
    let server = Server::saying("HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n");
    let key = [7; 32];
    let secret = Some(Secret::new(format!("whsec_{}", STANDARD.encode(key))));
    let config = WebhookConfig { secret, ..WebhookConfig::new(Secret::new(server.url("/x"))) };
    let sink = Webhook::new(&config).unwrap().within(TIMEOUT);
    let notice = test();
    for _ in 0..2 {
        assert_eq!(send(&sink, &notice), later("503 Service Unavailable"));
    }
    let [one, other] = &server.seen()[..] else { panic!() };
    let id = notice.id.to_string();
    assert_eq!((one.header("webhook-id"), other.header("webhook-id")), (Some(id.as_str()), Some(id.as_str())));
    assert_eq!(one.body, other.body);
    for request in [one, other] {
        let timestamp = request.header("webhook-timestamp").unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(now - timestamp.parse::<u64>().unwrap() < 60);
        let mut hmac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        hmac.update(format!("{id}.{timestamp}.").as_bytes());
        hmac.update(&request.body);
        let signature = request.header("webhook-signature").unwrap().strip_prefix("v1,").unwrap();
        hmac.verify_slice(&STANDARD.decode(signature).unwrap()).unwrap();
        assert_eq!(request.json()["type"], "sentinel.test");
    }
}
