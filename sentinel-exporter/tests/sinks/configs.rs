//! Configurations of sinks, in TOML and JSON alike, and the errors of wrong ones.

use sentinel_exporter::sink::{
    EmailConfig, Encryption, LogConfig, LogTarget, Secret, SinkConfig, SlackConfig, WebhookConfig,
};
use serde_json::{Value, json};

/// The same by both, or the same mistake.
fn read(value: &Value) -> Result<SinkConfig, String> {
    let by_json = serde_json::from_value::<SinkConfig>(value.clone()).map_err(|error| error.to_string());
    let toml = toml::to_string(value).unwrap();
    let by_toml = toml::from_str::<SinkConfig>(&toml).map_err(|error| error.message().to_owned());
    assert_eq!(by_json, by_toml);
    by_json
}

#[test]
fn each_type_is_read() {
    let url = "https://hooks.slack.com/services/T0/B0/x";
    let slack = SlackConfig::new(Secret::new(url));
    assert_eq!(read(&json!({ "type": "slack", "url": url })), Ok(SinkConfig::Slack(slack)));

    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("url");
    std::fs::write(&file, "http://shop.internal:8080/alerts\n").unwrap();
    let webhook = WebhookConfig {
        name: Some("shop".into()),
        secret: Some(Secret::new(key)),
        ca_file: Some("/etc/ca.pem".into()),
        ..WebhookConfig::new(Secret::new("http://shop.internal:8080/alerts"))
    };
    let given =
        json!({ "type": "webhook", "name": "shop", "url": { "file": file }, "secret": key, "ca_file": "/etc/ca.pem" });
    assert_eq!(read(&given), Ok(SinkConfig::Webhook(webhook)));

    let email = EmailConfig::new("mail.example", "a@b.example", ["c@d.example"]);
    let given = json!({ "type": "email", "host": "mail.example", "from": "a@b.example", "to": "c@d.example" });
    assert_eq!(read(&given), Ok(SinkConfig::Email(email.clone())));
    let email = EmailConfig {
        port: Some(2_525),
        encryption: Encryption::Tls,
        username: Some("u".into()),
        password: Some(Secret::new(env!("CARGO_PKG_NAME"))),
        to: vec!["c@d.example".into(), "E <e@f.example>".into()],
        ..email
    };
    let given = json!({
        "type": "email", "host": "mail.example", "from": "a@b.example", "to": ["c@d.example", "E <e@f.example>"],
        "port": 2525, "encryption": "tls", "username": "u", "password": { "env": "CARGO_PKG_NAME" },
    });
    assert_eq!(read(&given), Ok(SinkConfig::Email(email)));

    assert_eq!(read(&json!({ "type": "log" })), Ok(SinkConfig::Log(LogConfig::default())));
    let log = LogConfig { to: LogTarget::File("/var/log/a.jsonl".into()), max_size: 1 << 20, keep: 9, name: None };
    let given = json!({ "type": "log", "to": "/var/log/a.jsonl", "max_size": "1MiB", "keep": 9 });
    assert_eq!(read(&given), Ok(SinkConfig::Log(log)));
    assert!(read(&json!({ "type": "log", "max_size": 1_048_576, "to": "stderr" })).is_ok());
}

#[test]
fn what_is_wrong_is_named() {
    let url = "https://shop.example/";
    let long = "x".repeat(65);
    let email = |more: Value| {
        let mut all = json!({ "type": "email", "host": "mail.example", "from": "a@b.example", "to": ["c@d.example"] });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    for (given, error) in [
        (json!({}), "type: none is not allowed; allowed: slack, webhook, email or log"),
        (json!({ "type": "pager" }), "type: \"pager\" is not allowed; allowed: slack, webhook, email or log"),
        (json!({ "type": "slack" }), "url: none is not allowed; allowed: one"),
        (
            json!({ "type": "slack", "url": "ftp://x" }),
            "url: a value that is not shown is not allowed; allowed: a URL that begins with https:// ",
        ),
        (
            json!({ "type": "slack", "url": url, "name": "on call" }),
            "name: \"on call\" is not allowed; allowed: 1 to 64 of ",
        ),
        (json!({ "type": "slack", "url": url, "name": "" }), "name: \"\" is not allowed"),
        (json!({ "type": "slack", "url": url, "name": long }), "name: a value that is not shown is not allowed"),
        (
            json!({ "type": "slack", "url": url, "ca_file": "ca.pem" }),
            "ca_file: \"ca.pem\" is not allowed; allowed: an absolute path",
        ),
        (
            json!({ "type": "slack", "url": url, "keep": 3 }),
            "keep: unknown field `keep` is not allowed; allowed: type, name, url, ca_file for slack",
        ),
        (
            json!({ "type": "webhook", "url": url, "secret": "x" }),
            "secret: a value that is not shown is not allowed; allowed: whsec_ and 24 to 64 bytes",
        ),
        (email(json!({ "host": "mail example" })), "host: \"mail example\" is not allowed"),
        (email(json!({ "host": "" })), "host: \"\" is not allowed"),
        (email(json!({ "port": 0 })), "port: 0 is not allowed; allowed: 1 to 65535"),
        (email(json!({ "from": "a" })), "from: \"a\" is not allowed; allowed: an address, as "),
        (
            email(json!({ "from": "a@b.example\r\nBcc: x@y.example" })),
            "from: \"a@b.example\\r\\nBcc: x@y.example\" is not allowed",
        ),
        (email(json!({ "to": ["c@d.example", "c@dé.example"] })), "to[1]: \"c@dé.example\" is not allowed"),
        (email(json!({ "to": ["c@d.example, e@f.example"] })), "to[0]: "),
        (email(json!({ "to": [] })), "to: 0 addresses is not allowed; allowed: 1 to 50"),
        (email(json!({ "to": vec!["c@d.example"; 51] })), "to: 51 addresses is not allowed"),
        (email(json!({ "username": "u" })), "password: none is not allowed"),
        (email(json!({ "password": "p" })), "username: none is not allowed"),
        (
            email(json!({ "username": "u", "password": "p", "encryption": "none" })),
            "encryption: \"none\" is not allowed; allowed: starttls or tls",
        ),
        (
            json!({ "type": "log", "to": "a.jsonl" }),
            "to: \"a.jsonl\" is not allowed; allowed: stderr, or an absolute path",
        ),
        (json!({ "type": "log", "to": ["/a"] }), "to: a list is not allowed; allowed: stderr, or an absolute path"),
        (json!({ "type": "log", "keep": 0 }), "keep: 0 is not allowed; allowed: 1 to 100"),
        (json!({ "type": "log", "keep": 101 }), "keep: 101 is not allowed; allowed: 1 to 100"),
        (
            json!({ "type": "log", "max_size": 65_535 }),
            "max_size: 65535 is not allowed; allowed: 65536 to 1099511627776 bytes",
        ),
        (
            json!({ "type": "log", "max_size": "big" }),
            "max_size: \"big\" is not allowed; allowed: bytes, or a number with ",
        ),
    ] {
        let found = read(&given).unwrap_err();
        assert!(found.starts_with(error), "{given}: {found}");
    }
}

#[test]
fn a_password_in_the_clear_stays_on_this_host() {
    for host in ["localhost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
        let config = EmailConfig::new(host, "a@b.example", ["c@d.example"]);
        let config = EmailConfig {
            encryption: Encryption::None,
            username: Some("u".into()),
            password: Some(Secret::new("p")),
            ..config
        };
        assert!(config.validated().is_ok(), "{host}");
    }
}
