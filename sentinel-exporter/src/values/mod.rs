//! Values as a configuration has them, whichever table they are in.
//!
//! - `raw`: any value of TOML or JSON, as it is written;
//! - `read`: from a raw value to a struct of options, with a `ConfigError` for a wrong type or an unknown key;
//! - `secret`: text that nothing shows, itself or by the place where it stands;
//! - `text_or_number`: a value that may be either.

mod raw;
mod read;
mod secret;
mod text_or_number;

pub(crate) use raw::Raw;
pub(crate) use read::{deserialize, or_named, read};
pub use secret::Secret;
pub(crate) use secret::SecretOption;
pub(crate) use text_or_number::TextOrNumber;
