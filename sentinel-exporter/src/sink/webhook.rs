//! The sink for any program that takes JSON by HTTP, by [Standard Webhooks](https://www.standardwebhooks.com): the receiver
//! can tell who sent a message, when, and whether it has seen the message before.

use super::address::Address;
use super::config::WebhookConfig;
use super::http::{Client, ReadBody};
use super::{Failed, Sending, Sink, event};
use crate::net::trust::Trust;
use crate::values::Secret;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, Mac};
use sentinel_core::ConfigError;
use sentinel_core::alert::Notice;
use sha2::Sha256;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Base64 that writes padding and reads text with and without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A sink that posts notices as JSON to a URL, signed if there is a secret.
///
/// ```
/// use sentinel_exporter::sink::{Secret, Sink, Webhook, WebhookConfig};
///
/// let webhook = Webhook::new(&WebhookConfig::new(Secret::new("https://shop.example/alerts?key=x")))?;
/// assert_eq!(webhook.name(), "webhook");
/// assert!(!format!("{webhook:?}").contains("key=x"));
/// # Ok::<(), sentinel_core::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Webhook {
    name: String,
    address: Address,
    key: Option<Key>,
    client: Client,
}

impl Webhook {
    /// Makes the sink. No connection is opened yet.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the option.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{Secret, Webhook, WebhookConfig};
    /// let mut config = WebhookConfig::new(Secret::new("https://shop.example/alerts"));
    /// config.secret = Some(Secret::new("whsec_short"));
    /// assert_eq!(Webhook::new(&config).unwrap_err().field, "secret");
    /// ```
    pub fn new(config: &WebhookConfig) -> Result<Self, ConfigError> {
        let config = config.clone().validated()?;
        Ok(Self {
            name: config.name.unwrap_or_else(|| "webhook".into()),
            address: Address::parse("url", &config.url, true)?,
            key: config.secret.as_ref().map(Key::parse).transpose()?,
            client: Client::new(Trust::new(config.ca_file.as_deref())?),
        })
    }

    /// The sink with another timeout than 9.5 s.
    ///
    /// ```
    /// # use sentinel_exporter::sink::{Secret, Webhook, WebhookConfig};
    /// # let webhook = Webhook::new(&WebhookConfig::new(Secret::new("https://shop.example/alerts")))?;
    /// let webhook = webhook.within(std::time::Duration::from_secs(3));
    /// # Ok::<(), sentinel_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { client: self.client.within(timeout), ..self }
    }
}

impl Sink for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn send<'a>(&'a self, notice: &'a Notice) -> Sending<'a> {
        Box::pin(async move {
            let json = event::json(notice)?;
            // A clock before 1970 is a defect; the receiver refuses the timestamp.
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let (id, now) = (notice.id.to_string(), now.to_string());
            let signature = self.key.as_ref().map(|key| key.sign(&id, &now, &json));
            let mut headers = vec![("webhook-id", id), ("webhook-timestamp", now)];
            headers.extend(signature.map(|signature| ("webhook-signature", signature)));
            self.client.post(&self.address, &headers, json, ReadBody::Never).await.map_err(Failed::from)?.judged(None)
        })
    }
}

/// The key that signs messages.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    pub(crate) fn parse(secret: &Secret) -> Result<Self, ConfigError> {
        let bytes = secret.reveal().strip_prefix("whsec_").and_then(|text| BASE64.decode(text).ok());
        bytes
            .filter(|bytes| (24..=64).contains(&bytes.len()))
            .and_then(|bytes| Hmac::new_from_slice(&bytes).ok())
            .map(Self)
            .ok_or_else(|| ConfigError::hidden("secret", "whsec_ and 24 to 64 bytes in base64"))
    }

    fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mut hmac = self.0.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            hmac.update(part);
        }
        format!("v1,{}", BASE64.encode(hmac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the tests of the specification's own libraries.
    #[test]
    fn it_signs_as_others_do() {
        let key = Key::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_24_to_64_bytes() {
        let of = |bytes: usize| Key::parse(&Secret::new(format!("whsec_{}", BASE64.encode(vec![7; bytes]))));
        for bytes in [24, 25, 26, 64] {
            assert!(of(bytes).is_ok());
            let bare = BASE64.encode(vec![7; bytes]);
            assert!(Key::parse(&Secret::new(format!("whsec_{}", bare.trim_end_matches('=')))).is_ok());
        }
        for bytes in [0, 23, 65] {
            assert_eq!(of(bytes).unwrap_err().field, "secret");
        }
        for text in ["", "canary", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_canary canary canary canary canary"] {
            assert!(!Key::parse(&Secret::new(text)).unwrap_err().to_string().contains("canary"));
        }
    }
}
