//! The other side: an HTTP server that plays Slack and a webhook, and an SMTP server that plays a mail server. On loopback, for one
//! program; they say what arrives.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Sender;
use std::thread;

/// A message that arrived at a sink.
pub(crate) struct Arrived {
    pub(crate) sink: &'static str,
    pub(crate) text: String,
    /// Identity of the message, as its sink gives it: a Message-ID, for example.
    pub(crate) id: String,
}

/// Plays Slack at `/slack` and a webhook everywhere else. Says where it listens.
pub(crate) fn http(arrivals: Sender<Arrived>) -> io::Result<u16> {
    listen(move |stream| {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_string());
        }
        let header = |name: &str| {
            let of = |line: &String| {
                line.split_once(": ")
                    .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.to_string())
            };
            head.iter().find_map(of).unwrap_or_default()
        };
        let length: u64 = header("content-length").parse().unwrap_or(0);
        let mut body = Vec::new();
        reader.by_ref().take(length.min(1 << 20)).read_to_end(&mut body)?;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let is_slack = head.first().is_some_and(|line| line.starts_with("POST /slack"));
        let (sink, text, id) = if is_slack {
            ("slack", &body["text"], String::new())
        } else {
            ("webhook", &body["data"]["text"], format!("webhook-id {}", header("webhook-id")))
        };
        let text = text.as_str().unwrap_or("?").to_string();
        let _ = arrivals.send(Arrived { sink, text, id });
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
    })
}

/// Plays a mail server that takes everything. Says where it listens.
pub(crate) fn smtp(arrivals: Sender<Arrived>) -> io::Result<u16> {
    listen(move |stream| {
        let mut reader = BufReader::new(stream);
        reader.get_mut().write_all(b"220 localhost\r\n")?;
        let (mut mail, mut is_data) = (String::new(), false);
        for _ in 0..10_000 {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                break;
            }
            let answer: &[u8] = match (is_data, line.trim_end()) {
                (true, ".") => {
                    is_data = false;
                    let _ = arrivals.send(read(&std::mem::take(&mut mail)));
                    b"250 taken\r\n"
                }
                (true, _) => {
                    mail.push_str(&line);
                    continue;
                }
                (false, word) => match word.get(..4).unwrap_or(word).to_ascii_uppercase().as_str() {
                    "DATA" => {
                        is_data = true;
                        b"354 go on\r\n"
                    }
                    "QUIT" => b"221 bye\r\n",
                    _ => b"250 localhost\r\n",
                },
            };
            reader.get_mut().write_all(answer)?;
        }
        Ok(())
    })
}

/// Reads the text and the Message-ID of a mail.
fn read(mail: &str) -> Arrived {
    let (head, body) = mail.split_once("\r\n\r\n").unwrap_or((mail, ""));
    let header =
        |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_string();
    let encoding = header("Content-Transfer-Encoding:");
    let text = match encoding.as_str() {
        "base64" => from_base64(body),
        "quoted-printable" => from_quoted(body),
        _ => body.into(),
    };
    Arrived { sink: "email", text: text.replace("\r\n", "\n"), id: format!("Message-ID {}", header("Message-ID:")) }
}

fn from_quoted(body: &str) -> String {
    let joined = body.replace("=\r\n", "");
    let (mut out, mut bytes) = (Vec::new(), joined.bytes());
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| byte.and_then(|byte| (byte as char).to_digit(16)).unwrap_or(0) as u8;
        out.push(if byte == b'=' { hex(bytes.next()) << 4 | hex(bytes.next()) } else { byte });
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn from_base64(body: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in body.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte)) {
        (bits, held) = (bits << 6 | digit as u32, held + 6);
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A thread a connection; the port it listens on.
fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let serve = std::sync::Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = std::sync::Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    Ok(port)
}
