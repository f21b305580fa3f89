//! The sink for Slack, by an incoming webhook: a message of blocks, and text for clients that show no blocks.
//!
//! Ids are chosen by users of the host. Every block is `plain_text`, in which nothing is a mention or a link; `& < >` are escaped
//! everywhere, since Slack decodes them everywhere and begins all its markup with `<`.

use super::address::Address;
use super::config::SlackConfig;
use super::http::{Client, ReadBody};
use super::{Sending, Sink};
use crate::net::trust::Trust;
use sentinel_core::ConfigError;
use sentinel_core::alert::Notice;
use serde_json::{Value, json};
use std::time::Duration;

/// Limits of Slack: UTF-16 units of a header, of a section and of the text; blocks.
const MAX_HEADER_UNITS: usize = 150;
const MAX_SECTION_UNITS: usize = 3_000;
const MAX_TEXT_UNITS: usize = 3_000;
const MAX_BLOCKS: usize = 50;

/// Words in which Slack refuses a message. Any other text of an answer is not shown.
const WORDS: [&str; 18] = [
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_payload",
    "invalid_token",
    "missing_text_or_fallback_or_attachments",
    "no_active_hooks",
    "no_service",
    "no_service_id",
    "no_team",
    "no_text",
    "posting_to_general_channel_denied",
    "rollup_error",
    "team_disabled",
    "too_many_attachments",
    "user_not_found",
];

/// A sink that posts to a Slack channel. The webhook's URL is a password.
///
/// ```
/// use sentinel_exporter::sink::{Secret, Sink, Slack, SlackConfig};
///
/// let slack = Slack::new(&SlackConfig::new(Secret::new("https://hooks.slack.com/services/T0/B0/x")))?;
/// assert_eq!((slack.name(), slack.pace()), ("slack", std::time::Duration::from_secs(1)));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Slack {
    name: String,
    address: Address,
    client: Client,
}

impl Slack {
    /// Makes the sink. No connection is opened yet.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{Secret, Slack, SlackConfig};
    /// let error = Slack::new(&SlackConfig::new(Secret::new("hooks.slack.com"))).unwrap_err();
    /// assert_eq!(error.field, "url");
    /// ```
    pub fn new(config: &SlackConfig) -> Result<Self, ConfigError> {
        let config = config.clone().validated()?;
        Ok(Self {
            name: config.name.unwrap_or_else(|| "slack".into()),
            address: Address::parse("url", &config.url, false)?,
            client: Client::new(Trust::new(config.ca_file.as_deref())?),
        })
    }

    /// The sink with another timeout than 9.5 s.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{Secret, Slack, SlackConfig};
    /// # let slack = Slack::new(&SlackConfig::new(Secret::new("https://hooks.slack.com/x")))?;
    /// let slack = slack.within(std::time::Duration::from_secs(3));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { client: self.client.within(timeout), ..self }
    }
}

impl Sink for Slack {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "slack"
    }

    fn send<'a>(&'a self, notice: &'a Notice) -> Sending<'a> {
        Box::pin(async move {
            let json = message(notice).to_string().into_bytes();
            let answer = self.client.post(&self.address, &[], json, ReadBody::OnFailure).await?;
            let said = answer.body.trim_ascii();
            answer.judged(WORDS.into_iter().find(|word| word.as_bytes() == said))
        })
    }

    /// One message a second, as Slack asks for.
    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }
}

fn message(notice: &Notice) -> Value {
    let message = notice.message();
    let plain = |text: &str| json!({ "type": "plain_text", "text": text, "emoji": false });
    let section = |text: &String| json!({ "type": "section", "text": plain(text) });
    let head = cut(&message.title, MAX_HEADER_UNITS);
    let mut sections = Vec::new();
    if units(&escaped(&message.title)) > MAX_HEADER_UNITS {
        sections = pieces(&message.title, MAX_SECTION_UNITS);
    }
    sections.extend(pieces(&message.lines.join("\n"), MAX_SECTION_UNITS));
    if sections.len() >= MAX_BLOCKS {
        sections.truncate(MAX_BLOCKS - 2);
        sections.push("… and more, which does not fit here".into());
    }
    let mut blocks = vec![json!({ "type": "header", "text": plain(&head) })];
    blocks.extend(sections.iter().map(section));
    json!({
        "text": cut(&message.text(), MAX_TEXT_UNITS),
        "blocks": blocks,
        "parse": "none",
        "link_names": false,
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

fn escape(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }
}

fn escaped(text: &str) -> String {
    pieces(text, usize::MAX).concat()
}

/// Length in UTF-16 units. Slack does not say whether it counts characters or these; these are never fewer.
fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The escaped text in pieces of at most so many units. No piece is empty, and none begins within a character or its escape.
fn pieces(text: &str, most: usize) -> Vec<String> {
    let (mut out, mut piece, mut length) = (Vec::new(), String::new(), 0);
    for c in text.chars() {
        let escape = escape(c);
        let units = escape.map_or(c.len_utf16(), str::len);
        if length + units > most {
            out.push(std::mem::take(&mut piece));
            length = 0;
        }
        match escape {
            Some(escape) => piece.push_str(escape),
            None => piece.push(c),
        }
        length += units;
    }
    if !piece.is_empty() {
        out.push(piece);
    }
    out
}

/// The escaped text, cut to at most so many units.
fn cut(text: &str, most: usize) -> String {
    let whole = escaped(text);
    if units(&whole) <= most {
        return whole;
    }
    let mut first = pieces(text, most - 1).swap_remove(0);
    first.push('…');
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_short_enough_and_lose_nothing(text: String, most in 5_usize..40) {
            let pieces = pieces(&text, most);
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty() && units(piece) <= most && !piece.contains(['<', '>'])));
            let back = |piece: &String| piece.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            prop_assert_eq!(pieces.iter().map(back).collect::<String>(), text.clone());
            let cut = cut(&text, most);
            prop_assert!(units(&cut) <= most);
            prop_assert_eq!(cut == escaped(&text), units(&escaped(&text)) <= most);
        }
    }
}
