//! A secret is in no output, whoever puts it there.

use super::notices::test;
use super::server::Server;
use super::smtp::{self, PASSWORD, but, scripted};
use super::{TIMEOUT, send};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sentinel_exporter::sink::{
    Email, EmailConfig, Encryption, Secret, Sink, SinkConfig, Slack, SlackConfig, Webhook, WebhookConfig,
};

const CANARY: &str = "canary";

/// Answer of a server: a status, and everything that the server was told.
type Answer = fn(&str, &str) -> String;

fn shows(text: &impl std::fmt::Debug) -> bool {
    let text = format!("{text:?}").to_lowercase();
    [CANARY.to_owned(), STANDARD.encode(CANARY), STANDARD.encode(format!("\0sentinel\0{PASSWORD}"))]
        .iter()
        .any(|secret| text.contains(&secret.to_lowercase()))
}

fn key() -> Secret {
    Secret::new(format!("whsec_{}", STANDARD.encode("canary canary canary canary")))
}

#[test]
fn a_server_that_repeats_what_it_was_told_is_not_quoted() {
    let answers: [(&str, Answer); 6] = [
        ("body", |status, all| format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{all}", all.len())),
        ("reason", |status, _| format!("HTTP/1.1 {status} canary\r\ncontent-length: 0\r\n\r\n")),
        ("header", |status, _| {
            format!(
                "HTTP/1.1 {status} x\r\nlocation: https://canary/\r\nretry-after: canary\r\ncontent-length: 0\r\n\r\n"
            )
        }),
        ("none", |_, all| all.into()),
        ("status", |_, _| "HTTP/1.1 canary\r\n\r\n".into()),
        ("broken", |status, _| format!("HTTP/1.1 {status} x\r\ncanary\r\n\r\n")),
    ];
    for (name, answer) in answers {
        for status in ["302", "400", "404", "429", "500"] {
            let server = Server::new(move |request, wire| {
                let all = format!("{}{}", request.head, String::from_utf8_lossy(&request.body));
                let _ = wire.write_all(answer(status, &all).as_bytes());
            });
            let url = || Secret::new(server.url("/canary?canary=canary"));
            let slack = Slack::new(&SlackConfig::new(url())).unwrap().within(TIMEOUT);
            let config = WebhookConfig { secret: Some(key()), ..WebhookConfig::new(url()) };
            let webhook = Webhook::new(&config).unwrap().within(TIMEOUT);
            for sink in [&slack as &dyn Sink, &webhook] {
                let failed = send(sink, &test()).unwrap_err();
                assert!(!shows(&failed) && !failed.to_string().contains(CANARY), "{name} {status}: {failed:?}");
                assert!(!shows(&sink));
            }
            assert!(!shows(&config));
        }
    }
}

#[test]
fn a_mail_server_that_repeats_what_it_was_told_is_not_quoted() {
    let told = STANDARD.encode(format!("\0sentinel\0{PASSWORD}"));
    for to in ["", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "."] {
        for code in ["421", "550", "535", "999", "2", ""] {
            let reply = format!("{code} {told} {PASSWORD}\r\n");
            let (server, said) = scripted(but(to, &reply));
            let sink = smtp::sink(&server, Encryption::None);
            assert!(!shows(&sink));
            let failed = send(&sink, &test()).unwrap_err();
            assert!(!shows(&failed) && !failed.to_string().contains(CANARY), "{failed:?}");
            // It was told, so it could have repeated it.
            assert!(["", "EHLO"].contains(&to) || said.lock().unwrap().contains(&told));
        }
    }
}

#[test]
fn no_mistake_in_a_configuration_shows_one() {
    let with = |url: &str| format!(r#"{{"type":"slack","url":{url}}}"#);
    for json in [
        with("\"canary\""),
        with("\"http://canary.example/canary\""),
        with("\"https://canary:canary@host/\""),
        with("[\"canary\"]"),
        with("{\"env\":\"NOT_SET\",\"file\":\"x\"}"),
        "\"https://hooks.slack.com/canary\"".into(),
        r#"["https://hooks.slack.com/canary"]"#.into(),
        r#"{"type":"slack","url":"https://hooks.slack.com/canary","name":"https://canary/"}"#.into(),
        r#"{"type":"log","url":"https://hooks.slack.com/canary"}"#.into(),
        r#"{"type":"webhook","url":"https://x/canary","secret":"canary"}"#.into(),
        r#"{"type":"webhook","url":"https://x/canary","secret":"whsec_canary"}"#.into(),
        r#"{"type":"webhook","url":"https://x/canary","secret":"canary","keep":3}"#.into(),
        r#"{"type":"email","host":"h","from":"a@b.example","to":"c@d.example","username":"u","password":"canary","encryption":"none"}"#.into(),
        r#"{"type":"email","host":"h","from":"a@b.example","to":"c@d.example","password":"canary"}"#.into(),
    ] {
        let error = serde_json::from_str::<SinkConfig>(&json).unwrap_err();
        assert!(!shows(&error) && !error.to_string().contains(CANARY), "{json}: {error}");
    }
    for number in
        ["password = 112233", "password = 112233.5", "password = 1122-03-03", "password = true", "password = [112233]"]
    {
        let toml =
            format!("type = 'email'\nhost = 'h'\nfrom = 'a@b.example'\nto = 'c@d.example'\nusername = 'u'\n{number}");
        let error = toml::from_str::<SinkConfig>(&toml).unwrap_err();
        // What `toml` shows of the text itself is left out by whoever reads files here.
        assert!(!error.message().contains("1122"), "{}", error.message());
    }
}

#[test]
fn debug_shows_none() {
    let config = EmailConfig::new("127.0.0.1", "a@b.example", ["c@d.example"]);
    let config = EmailConfig { username: Some("u".into()), password: Some(Secret::new(CANARY)), ..config };
    assert!(!shows(&config) && !shows(&Email::new(&config).unwrap()));
    assert!(!shows(&SinkConfig::Email(config).build().unwrap()));
    let url = || Secret::new("https://canary.example/canary");
    for config in [
        SinkConfig::Slack(SlackConfig::new(url())),
        SinkConfig::Webhook(WebhookConfig { secret: Some(key()), ..WebhookConfig::new(url()) }),
    ] {
        assert!(!shows(&config) && !shows(&config.build().unwrap()));
        assert_eq!(config, config.clone());
    }
}
