//! The sink for mail, which hands messages in to a server by SMTP.

use super::email_config::EmailConfig;
use super::smtp::Server;
use super::{Failed, SEND_TIMEOUT, Sending, Sink};
use crate::net::trust::Trust;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Mailbox, Mailboxes};
use lettre::transport::smtp::authentication::Credentials;
use sentinel_core::ConfigError;
use sentinel_core::alert::Notice;
use std::time::Duration;

/// Characters of a subject; the text has the whole title.
const MAX_SUBJECT_CHARS: usize = 250;

/// A sink that sends mail.
///
/// ```
/// use sentinel_exporter::sink::{Email, EmailConfig, Sink};
///
/// let email = Email::new(&EmailConfig::new("mail.example", "sentinel@shop.example", ["ops@shop.example"]))?;
/// assert_eq!((email.name(), email.kind()), ("email", "email"));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Email {
    name: String,
    from: Mailbox,
    to: Mailboxes,
    server: Server,
}

impl Email {
    /// Makes the sink. No connection is opened yet.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{Email, EmailConfig};
    /// let config = EmailConfig::new("mail.example", "sentinel@shop.example", ["ops@shop.example", "ops"]);
    /// assert_eq!(Email::new(&config).unwrap_err().field, "to[1]");
    /// ```
    pub fn new(config: &EmailConfig) -> Result<Self, ConfigError> {
        let config = config.clone().validated()?;
        let credentials = config.username.zip(config.password);
        Ok(Self {
            name: config.name.unwrap_or_else(|| "email".into()),
            from: mailbox("from", &config.from)?,
            to: mailboxes(&config.to)?,
            server: Server {
                host: config.host,
                port: config.port.unwrap_or_else(|| config.encryption.port()),
                encryption: config.encryption,
                credentials: credentials.map(|(user, password)| Credentials::new(user, password.reveal().into())),
                trust: Trust::new(config.ca_file.as_deref())?,
                timeout: SEND_TIMEOUT,
            },
        })
    }

    /// The sink with another timeout than 9.5 s.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{Email, EmailConfig};
    /// # let email = Email::new(&EmailConfig::new("mail.example", "sentinel@shop.example", ["ops@shop.example"]))?;
    /// let email = email.within(std::time::Duration::from_secs(3));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.server.timeout = timeout;
        self
    }

    fn message(&self, notice: &Notice) -> Option<Message> {
        let message = notice.message();
        // The id is the same at each attempt, so that a reader sees mail that came twice as one. A sink's name has harmless
        // characters only.
        let id = format!("<{}.{}@{}>", notice.id, self.name, self.from.email.domain());
        let mut builder = Message::builder().from(self.from.clone()).raw_header(subject(&message.title));
        for to in self.to.iter() {
            builder = builder.to(to.clone());
        }
        builder
            .date_now()
            .message_id(Some(id))
            // The header keeps absence notices from answering.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into()))
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(message.text() + "\n")
            .ok()
    }
}

impl Sink for Email {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "email"
    }

    fn send<'a>(&'a self, notice: &'a Notice) -> Sending<'a> {
        Box::pin(async move {
            let Some(message) = self.message(notice) else {
                return Err(Failed::Later { why: "the notice cannot be written as mail".into(), after: None });
            };
            self.server.send(message.envelope(), &message.formatted()).await
        })
    }
}

/// Encodes the whole subject. The library encodes only what is not ASCII: an id that looks like an encoded word would then be
/// shown decoded.
fn subject(title: &str) -> HeaderValue {
    let line = one_line(title);
    // A line of a header has 78 characters, of which a word with its frame has 72.
    let mut words: Vec<String> = vec![String::new()];
    for c in line.chars() {
        if words.last().is_some_and(|word| word.len() + c.len_utf8() > 45) {
            words.push(String::new());
        }
        words.last_mut().into_iter().for_each(|word| word.push(c));
    }
    let words: Vec<String> = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str("Subject"), line, words.join("\r\n "))
}

/// Text without control characters: a header is one line, whatever data is in it.
fn one_line(title: &str) -> String {
    let plain = |c: char| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c };
    if title.chars().count() <= MAX_SUBJECT_CHARS {
        return title.chars().map(plain).collect();
    }
    title.chars().map(plain).take(MAX_SUBJECT_CHARS - 1).chain(['…']).collect()
}

/// An address, with a name or without.
pub(crate) fn mailbox(field: &str, text: &str) -> Result<Mailbox, ConfigError> {
    // A server need not take an address that is not ASCII; and text that looks like one address should be one.
    let plain = |mailbox: &Mailbox| mailbox.email.to_string().is_ascii() && !text.contains(char::is_control);
    let allowed = "an address, as ops@shop.example or Ops <ops@shop.example>";
    let parsed = text.parse().ok().filter(plain);
    parsed.ok_or_else(|| ConfigError::new(field, format!("{text:?}"), allowed))
}

fn mailboxes(to: &[String]) -> Result<Mailboxes, ConfigError> {
    let mut all = Mailboxes::new();
    for (index, text) in to.iter().enumerate() {
        all.push(mailbox(&format!("to[{index}]"), text)?);
    }
    Ok(all)
}
