//! Mail through a real server, and read by a parser that knows nothing of who wrote it.
//!
//! `make test` installs the server, and has it there; without it these tests say loudly that they are skipped.

use super::certificates::{Authority, Identity};
use super::notices::{accusing, test};
use super::{TIMEOUT, later, refused, send};
use sentinel_exporter::sink::{Email, EmailConfig, Encryption, Secret};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The server, which ends with the test.
pub(crate) struct Post {
    child: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
    ca: Authority,
}

/// The Python of `make test`.
fn python() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/python");
    let given = std::env::var_os("SENTINEL_TEST_PYTHON").map(PathBuf::from);
    let has = |python: &PathBuf| {
        Command::new(python)
            .args(["-c", "import aiosmtpd"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let found = given.into_iter().chain([venv, "python3".into()]).find(has);
    if found.is_none() {
        assert!(std::env::var_os("SENTINEL_TEST_ALL").is_none(), "aiosmtpd is not installed");
        // Not by the macro, whose text tests keep to themselves.
        let _ = writeln!(
            std::io::stderr(),
            "\n\nSKIPPED: mail through a real server; `make test` installs it (aiosmtpd)\n"
        );
    }
    found
}

impl Post {
    pub(crate) fn new(encryption: &str, password: Option<&str>) -> Option<Self> {
        let ca = Authority::new();
        let identity = ca.issue("localhost", 2020, 2099);
        Self::with(encryption, password, ca, &identity)
    }

    fn with(encryption: &str, password: Option<&str>, ca: Authority, identity: &Identity) -> Option<Self> {
        let (certificate, key) = ca.files(identity);
        let asked = json!({ "encryption": encryption, "password": password, "certificate": certificate, "key": key });
        let mut child = Command::new(python()?)
            .args([Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sinks/mail.py"), asked.to_string().into()])
            // It warns of a password in the clear, which is what is tried here.
            .env("PYTHONWARNINGS", "ignore")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        Some(Self { child, lines, port: port.trim().parse().unwrap(), ca })
    }

    pub(crate) fn config(&self, encryption: Encryption) -> EmailConfig {
        let config = EmailConfig::new(
            "localhost",
            "Sentinel <sentinel@shop.example>",
            ["ops@shop.example", "Two <two@shop.example>"],
        );
        EmailConfig { port: Some(self.port), encryption, ca_file: Some(self.ca.file()), ..config }
    }

    pub(crate) fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn email(config: &EmailConfig) -> Email {
    Email::new(config).unwrap().within(TIMEOUT * 4)
}

fn signed_in(config: EmailConfig, password: &str) -> EmailConfig {
    EmailConfig { username: Some("sentinel".into()), password: Some(Secret::new(password)), ..config }
}

#[test]
fn mail_arrives_by_every_way_and_as_it_was_meant() {
    for (name, encryption) in [("starttls", Encryption::Starttls), ("tls", Encryption::Tls), ("none", Encryption::None)]
    {
        let Some(mut post) = Post::new(name, Some("hunter2")) else { return };
        let sink = email(&signed_in(post.config(encryption), "hunter2"));
        let notice = accusing("acme".as_bytes(), "/v1/process");
        assert_eq!(send(&sink, &notice), Ok(()), "{name}");
        let mail = post.next();
        assert_eq!(mail["from"], "sentinel@shop.example");
        assert_eq!(mail["to"], json!(["ops@shop.example", "two@shop.example"]));
        assert_eq!(mail["tls"], encryption != Encryption::None, "{name}");
        assert_eq!(mail["authenticated"], true);
        let message = notice.message();
        assert_eq!(mail["body"], message.text());
        let header = |name: &str| {
            let mut all = mail["headers"].as_array().unwrap().iter().filter(|header| header[0] == name);
            let found = all.next().unwrap()[1].as_str().unwrap().to_owned();
            assert!(all.next().is_none());
            found
        };
        assert_eq!(
            header("Subject"),
            "🚨 Sentinel: Tenant acme responsible for 64% of 5xx in the last 10 minutes (endpoint /v1/process)"
        );
        assert_eq!(header("Message-ID"), format!("<{}.email@shop.example>", notice.id));
        assert_eq!(header("Auto-Submitted"), "auto-generated");
        assert_eq!(header("From"), "Sentinel <sentinel@shop.example>");
        assert_eq!(header("To"), "ops@shop.example, Two <two@shop.example>");
        assert!(header("Date").ends_with("+0000"));
        assert_eq!(mail["defects"], json!([]));
        assert_eq!((&mail["type"], &mail["charset"]), (&json!("text/plain"), &json!("utf-8")));
    }
}

#[test]
fn a_wrong_password_is_refused() {
    let Some(post) = Post::new("starttls", Some("hunter2")) else { return };
    let sink = email(&signed_in(post.config(Encryption::Starttls), "hunter3"));
    assert_eq!(send(&sink, &test()), refused("535 for the credentials"));
    // None at all.
    assert_eq!(send(&email(&post.config(Encryption::Starttls)), &test()), refused("530 for the sender"));
}

#[test]
fn a_server_with_a_bad_certificate_gets_no_mail() {
    for (name, encryption) in [("starttls", Encryption::Starttls), ("tls", Encryption::Tls)] {
        for (host, until, why) in [
            ("localhost", 2021, "the certificate has expired"),
            ("shop.example", 2099, "the certificate is for another name"),
        ] {
            let ca = Authority::new();
            let identity = ca.issue(host, 2020, until);
            let Some(post) = Post::with(name, Some("hunter2"), ca, &identity) else { return };
            let sink = email(&signed_in(post.config(encryption), "hunter2"));
            assert_eq!(send(&sink, &test()), later(why), "{name}");
        }
    }
}

#[test]
fn a_server_without_starttls_gets_no_mail() {
    let Some(post) = Post::new("none", None) else { return };
    assert_eq!(send(&email(&post.config(Encryption::Starttls)), &test()), later("STARTTLS is not offered"));
}
