//! Values as they stand in a configuration, whichever table they are in.

mod secret;
mod text_or_number;

pub(crate) use secret::HIDDEN;
pub use secret::Secret;
pub(crate) use text_or_number::Given;
