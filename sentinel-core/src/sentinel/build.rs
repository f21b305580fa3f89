//! Building a sentinel from its options, once they are checked.

use super::Sentinel;
use crate::config::Builder;
use crate::util::error::ConfigError;

impl Builder {
    /// Validates all options and builds the sentinel. Starts no thread and opens no file or socket.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the field, its value and the allowed range.
    ///
    /// ```
    /// # use sentinel_core::Sentinel;
    /// # use std::time::Duration;
    /// let error = Sentinel::builder().slot(Duration::ZERO).build().unwrap_err();
    /// assert_eq!((error.field.as_str(), error.value.as_str()), ("slot", "0 s"));
    /// ```
    pub fn build(self) -> Result<Sentinel, ConfigError> {
        self.validated().map(Sentinel::with)
    }
}
