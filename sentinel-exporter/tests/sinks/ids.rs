//! Ids that want to be more than ids: in each medium they are read back as what they are, and nothing else is there.

use super::mail::Post;
use super::notices::{accusing, shown};
use super::server::Server;
use super::{TIMEOUT, send, slack, webhook};
use proptest::prelude::*;
use sentinel_core::alert::Notice;
use sentinel_exporter::sink::{Email, Encryption};
use serde_json::{Value, json};

fn hostile() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "<!channel>",
        "<!here|x> <@U024BE7LH>",
        "@here @channel @everyone #general",
        "<https://evil.example|click>",
        "https://evil.example",
        "&lt;!channel&gt; &amp;",
        "acme\r\nBcc: x@y.example",
        "acme\nBcc: x@y.example\n\n<b>hello</b>",
        "</b><script>alert(1)</script>",
        "\u{202e}emca\u{200f}\u{2028}\u{2029}\u{85}",
        "=cmd|' /C calc'!A0",
        "`code` ```more``` *bold* _it_ ~no~ :siren:",
        "=?utf-8?Q?Bcc:_x@y?= =?utf-8?B?aGVsbG8=?=",
        "\"quoted\" \\u{a} {\"json\":1}",
        ".",
        "..\r\n.\r\nQUIT",
        "  two  spaces  ",
        "🚨 日本語 \u{301}",
        "\0\u{1}\u{7f}\u{1b}[31m",
    ]
    .iter()
    .map(|id| id.as_bytes().to_vec())
    .collect();
    all.extend([
        b"\xff\xfe\x80".to_vec(),
        b"x".repeat(2_000),
        b"<>&".repeat(700),
        b"\xff".repeat(2_000),
        b"a b ".repeat(500),
    ]);
    all
}

/// Any text, as Slack would show it.
fn decoded(text: &str) -> String {
    assert!(!text.contains(['<', '>']), "{text}");
    let entities = ["&amp;", "&lt;", "&gt;"].iter().map(|entity| text.matches(entity).count()).sum::<usize>();
    assert_eq!(text.matches('&').count(), entities, "{text}");
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The message in what Slack got, and nothing beside it.
fn in_slack(json: &Value, notice: &Notice) {
    assert_eq!(keys(json), ["blocks", "link_names", "mrkdwn", "parse", "text", "unfurl_links", "unfurl_media"]);
    assert_eq!(json["parse"], "none");
    for key in ["link_names", "mrkdwn", "unfurl_links", "unfurl_media"] {
        assert_eq!(json[key], false, "{key}");
    }
    let message = notice.message();
    let blocks = json["blocks"].as_array().unwrap();
    assert!((2..=50).contains(&blocks.len()), "{}", blocks.len());
    let mut texts = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let (kind, most) = if index == 0 { ("header", 150) } else { ("section", 3_000) };
        assert_eq!((keys(block), &block["type"]), (vec!["text", "type"], &json!(kind)));
        assert_eq!(keys(&block["text"]), ["emoji", "text", "type"]);
        assert_eq!((&block["text"]["type"], &block["text"]["emoji"]), (&json!("plain_text"), &json!(false)));
        let text = block["text"]["text"].as_str().unwrap();
        assert!((1..=most).contains(&text.encode_utf16().count()));
        texts.push(decoded(text));
    }
    let head = texts.remove(0);
    let whole = if head == message.title {
        message.lines.join("\n")
    } else {
        format!("{}{}", message.title, message.lines.join("\n"))
    };
    assert!(head == message.title || message.title.starts_with(head.strip_suffix('…').unwrap()));
    assert_eq!(texts.concat(), whole);
    let text = decoded(json["text"].as_str().unwrap());
    assert!(text == message.text() || message.text().starts_with(text.strip_suffix('…').unwrap()));
    assert!(json["text"].as_str().unwrap().encode_utf16().count() <= 3_000);
    assert!(message.title.contains(&shown(notice)));
}

fn in_webhook(json: &Value, notice: &Notice) {
    assert_eq!(keys(json), ["data", "timestamp", "type"]);
    assert_eq!(json["type"], "sentinel.alert");
    assert_eq!(json["timestamp"], "2023-11-14T22:13:20.000Z");
    let (data, message) = (&json["data"], notice.message());
    assert_eq!(data["listed"][0]["subject"], json!({ "tenant_id": shown(notice) }));
    assert_eq!((&data["title"], &data["text"]), (&json!(message.title), &json!(message.text())));
    let mut notice = serde_json::to_value(notice).unwrap();
    notice["title"] = json!(message.title);
    notice["text"] = json!(message.text());
    assert_eq!(data, &notice);
}

/// A filter on the way looks at bytes.
fn is_no_markup(body: &[u8]) {
    assert!(!body.iter().any(|byte| b"<>&".contains(byte)), "{}", String::from_utf8_lossy(body));
}

fn in_mail(mail: &Value, notice: &Notice) {
    let message = notice.message();
    let headers = mail["headers"].as_array().unwrap();
    let mut names: Vec<&str> = headers.iter().map(|header| header[0].as_str().unwrap()).collect();
    names.sort_unstable();
    let known = [
        "Auto-Submitted",
        "Content-Transfer-Encoding",
        "Content-Type",
        "Date",
        "From",
        "MIME-Version",
        "Message-ID",
        "Subject",
        "To",
    ];
    assert_eq!(names, known);
    assert_eq!(mail["to"], json!(["ops@shop.example", "two@shop.example"]));
    let subject = headers.iter().find(|header| header[0] == "Subject").unwrap()[1].as_str().unwrap();
    let line: String = message.title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= 250 {
        assert_eq!(subject, line);
    } else {
        assert!(line.starts_with(subject.strip_suffix('…').unwrap()), "{subject}");
    }
    assert_eq!((&mail["multipart"], &mail["type"]), (&json!(false), &json!("text/plain")));
    assert_eq!(mail["defects"], json!([]));
    assert_eq!(mail["ascii"], true);
    assert!(mail["longest"].as_u64().unwrap() <= 998);
    let body = mail["body"].as_str().unwrap();
    assert_eq!(body, message.text().replace("\r\n", "\n"));
    assert!(body.contains(&shown(notice)));
}

fn ok() -> Server {
    Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
}

#[test]
fn ids_are_ids_by_http() {
    let (one, other) = (ok(), ok());
    let (slack, webhook) = (slack(&one.url("/x")), webhook(&other.url("/x")));
    for id in hostile() {
        let notice = accusing(&id, "/v1/<process>&\r\n@here");
        send(&slack, &notice).unwrap();
        send(&webhook, &notice).unwrap();
        in_slack(&one.seen().last().unwrap().json(), &notice);
        let request = other.seen().pop().unwrap();
        in_webhook(&request.json(), &notice);
        is_no_markup(&request.body);
        assert_eq!(request.header("webhook-id"), Some(notice.id.to_string().as_str()));
    }
    proptest!(ProptestConfig::with_cases(128), |(id in any_id())| {
        let notice = accusing(&id, "/v1/process");
        send(&slack, &notice).unwrap();
        send(&webhook, &notice).unwrap();
        in_slack(&one.seen().last().unwrap().json(), &notice);
        in_webhook(&other.seen().last().unwrap().json(), &notice);
        is_no_markup(&other.seen().last().unwrap().body);
    });
}

#[test]
fn ids_are_ids_by_mail() {
    let Some(post) = Post::new("starttls", None) else { return };
    let sink = Email::new(&post.config(Encryption::Starttls)).unwrap().within(TIMEOUT * 4);
    let post = std::cell::RefCell::new(post);
    for id in hostile() {
        let notice = accusing(&id, "/v1/process\r\nBcc: x@y.example");
        send(&sink, &notice).unwrap();
        in_mail(&post.borrow_mut().next(), &notice);
    }
    proptest!(ProptestConfig::with_cases(64), |(id in any_id())| {
        let notice = accusing(&id, "/v1/process");
        send(&sink, &notice).unwrap();
        in_mail(&post.borrow_mut().next(), &notice);
    });
}

/// Bytes of all kinds, and text of what means something somewhere.
fn any_id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..300),
        "[<>&@!|#*_~`=?:;,.\\\\\"'(){}\\[\\] \\r\\n\\t-Za-f]{1,120}".prop_map(String::into_bytes),
        "\\PC{1,100}".prop_map(String::into_bytes),
    ]
}
