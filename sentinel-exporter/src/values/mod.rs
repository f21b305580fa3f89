//! Values of a configuration that are read in the same way in every table.
//!
//! - `secret`: text that is in no log, no error and no debug output, and the text that is shown in its place
//! - `text_or_number`: a value that is text or a number

mod secret;
mod text_or_number;

pub(crate) use secret::HIDDEN;
pub use secret::Secret;
pub(crate) use text_or_number::Given;
