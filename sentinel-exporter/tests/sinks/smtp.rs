//! Mail servers that behave badly.

use super::notices::test;
use super::server::{Server, drip, flood, wait};
use super::{TIMEOUT, later, refused, send};
use sentinel_exporter::sink::{Email, EmailConfig, Encryption, Failed, Secret};
use std::io::{BufRead, BufReader, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const PASSWORD: &str = "canary-password";

pub(crate) fn sink(server: &Server, encryption: Encryption) -> Email {
    let config = EmailConfig::new("127.0.0.1", "sentinel@shop.example", ["ops@shop.example"]);
    let (username, password) = (Some("sentinel".into()), Some(Secret::new(PASSWORD)));
    let port = Some(server.address.port());
    Email::new(&EmailConfig { port, encryption, username, password, ..config }).unwrap().within(TIMEOUT)
}

/// Answers each line as it is told: the first is none, the mail is a dot. What was said to it is written down.
pub(crate) fn scripted(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (Server, Arc<Mutex<String>>) {
    let said = Arc::new(Mutex::new(String::new()));
    let record = Arc::clone(&said);
    let server = Server::raw(move |mut stream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        let mut mail = false;
        loop {
            if !mail || line.trim_end() == "." {
                let reply = answer(line.trim_end());
                mail = reply.starts_with("354");
                if reply.is_empty() || stream.write_all(reply.as_bytes()).is_err() {
                    return;
                }
            }
            line.clear();
            if !lines.read_line(&mut line).is_ok_and(|length| length > 0) {
                return;
            }
            record.lock().unwrap().push_str(&line);
        }
    });
    (server, said)
}

/// A good server, but for the answer to one thing.
pub(crate) fn but(to: &str, bad: &str) -> impl Fn(&str) -> String + Send + Sync + 'static {
    let (to, bad) = (to.to_owned(), bad.to_owned());
    move |line| {
        let word = line.split([' ', ':']).next().unwrap();
        if word == to {
            return bad.clone();
        }
        let good = match word {
            "" => "220 hello\r\n",
            "EHLO" => "250-hello\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n",
            "AUTH" => "235 welcome\r\n",
            "DATA" => "354 go on\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "250 fine\r\n",
        };
        good.into()
    }
}

fn plain(to: &str, bad: &str) -> Result<(), Failed> {
    let (server, _) = scripted(but(to, bad));
    send(&sink(&server, Encryption::None), &test())
}

#[test]
fn codes_say_whether_it_is_tried_again() {
    assert_eq!(plain("nothing", ""), Ok(()));
    for (to, what) in [("AUTH", "the credentials"), ("MAIL", "the sender"), ("RCPT", "a recipient")] {
        assert_eq!(plain(to, "451 4.3.0 canary\r\n"), later(&format!("451 for {what}")));
        assert_eq!(plain(to, "550-5.1.1 canary\r\n550 canary\r\n"), refused(&format!("550 for {what}")));
    }
    // What may be of this message, or of this moment.
    for (to, what) in [("", "the greeting"), ("EHLO", "the greeting"), ("DATA", "the message"), (".", "the message")] {
        assert_eq!(plain(to, "421 canary\r\n"), later(&format!("421 for {what}")));
        assert_eq!(plain(to, "554 canary\r\n"), later(&format!("554 for {what}")));
    }
    assert_eq!(plain("RCPT", "552 mailbox full\r\n"), later("552 for a recipient"));
    assert_eq!(plain("EHLO", "250 hello\r\n"), later("the server offers no PLAIN or LOGIN to sign in"));
    // It was taken, whatever follows.
    assert_eq!(plain("QUIT", ""), Ok(()));
    assert_eq!(plain("QUIT", "554 canary\r\n"), Ok(()));
}

/// A mailbox that is no more, or is full, keeps the others from nothing.
#[test]
fn one_recipient_does_not_stop_the_mail_to_the_others() {
    for refusal in ["550 no such user\r\n", "451 later\r\n"] {
        let good = but("nothing", "");
        let (server, said) = scripted(move |line| if line.contains("gone@") { refusal.into() } else { good(line) });
        let of = |to: &[&str]| {
            let config = EmailConfig::new("127.0.0.1", "sentinel@shop.example", to.iter().copied());
            let port = Some(server.address.port());
            Email::new(&EmailConfig { port, encryption: Encryption::None, ..config }).unwrap().within(TIMEOUT)
        };
        assert_eq!(send(&of(&["gone@shop.example", "ops@shop.example"]), &test()), Ok(()));
        assert!(said.lock().unwrap().contains("RCPT TO:<ops@shop.example>"));
        assert!(send(&of(&["gone@shop.example"]), &test()).is_err());
    }
}

#[test]
fn answers_that_are_none() {
    for to in ["", "EHLO", "AUTH", "RCPT", "DATA", "."] {
        for bad in ["canary\r\n", "999 canary\r\n", "2\r\n", "\r\n", "2\u{ff}0 x\r\n"] {
            assert_eq!(plain(to, bad), later("the answer cannot be understood"), "{to} {bad:?}");
        }
        let Err(Failed::Later { .. }) = plain(to, "") else { panic!("{to}") };
    }
}

#[test]
fn nothing_is_said_before_it_is_encrypted() {
    let hello = "250-hello\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n";
    let go_on = |reply: &str| {
        let reply = reply.to_owned();
        move |line: &str| match line.split(' ').next().unwrap() {
            "" => "220 hello\r\n".into(),
            "EHLO" => hello.into(),
            "STARTTLS" => reply.clone(),
            _ => "250 fine\r\n".to_owned(),
        }
    };
    for ((server, said), why) in [
        (scripted(but("nothing", "")), "STARTTLS is not offered"),
        (scripted(but("EHLO", "502 canary\r\n")), "STARTTLS is not offered"),
        (scripted(but("", "554 canary\r\n")), "554 for the greeting"),
        (scripted(go_on("454 canary\r\n")), "454 for STARTTLS"),
        (scripted(go_on("502 canary\r\n")), "502 for STARTTLS"),
        // Said to be encrypted by somebody on the way.
        (scripted(go_on("220 go on\r\n250 canary\r\n")), "the answer cannot be understood"),
        (scripted(go_on("220 go on\r\n")), "the connection was closed before the answer was complete"),
        (scripted(go_on("canary\r\n")), "the answer cannot be understood"),
        (scripted(go_on("")), "the connection was closed before the answer was complete"),
    ] {
        assert_eq!(send(&sink(&server, Encryption::Starttls), &test()), later(why));
        let said = said.lock().unwrap();
        for word in ["AUTH", "MAIL", "RCPT", "DATA", "Sentinel"] {
            assert!(!said.contains(word), "{said}");
        }
    }
}

#[test]
fn nobody_is_waited_for_or_flooded() {
    for encryption in [Encryption::None, Encryption::Starttls] {
        for server in
            [Server::raw(|mut stream| wait(&mut stream)), Server::raw(|mut stream| drip(&mut stream, "220-and so on "))]
        {
            assert_eq!(send(&sink(&server, encryption), &test()), later("no answer in time"));
        }
        for text in ["x", "220-and so on\r\n"] {
            let (done, flooded) = std::sync::mpsc::channel();
            let server = Server::raw(move |mut stream| done.send(flood(&mut stream, text)).unwrap());
            let sent = send(&sink(&server, encryption), &test());
            let taken = flooded.recv_timeout(Duration::from_mins(1)).unwrap();
            // What the system keeps in its own buffers, both sides, and no more.
            assert!(taken < 16 << 20, "{taken}");
            let known = [later("the answer is too large"), later("the answer cannot be understood")];
            assert!(known.contains(&sent), "{sent:?}");
        }
        let server = Server::raw(|stream| drop(stream.peek(&mut [0])));
        let Err(Failed::Later { .. }) = send(&sink(&server, encryption), &test()) else { panic!() };
    }
    let (server, _) = scripted(but("QUIT", "2"));
    assert_eq!(send(&sink(&server, Encryption::None), &test()), Ok(()));
}
