//! The name of a service, which is that of its directory.

use sentinel_core::ConfigError;

/// Longest name of a service, in bytes.
const MAX_SERVICE_BYTES: usize = 64;

/// Checks that a name is 1 to 64 of `A-Z a-z 0-9 . _ -`, not beginning with a dot: always one plain, visible directory.
pub(crate) fn check_service(service: &str) -> Result<(), ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=MAX_SERVICE_BYTES).contains(&service.len()) && !service.starts_with('.') && service.bytes().all(plain) {
        return Ok(());
    }
    // The name in the error is cut: it may be of any length.
    let shown: String = service.chars().take(MAX_SERVICE_BYTES + 1).collect();
    let allowed = format!("1 to {MAX_SERVICE_BYTES} of A-Z a-z 0-9 . _ -, not beginning with a dot");
    Err(ConfigError::new("service", format!("{shown:?}"), allowed))
}
