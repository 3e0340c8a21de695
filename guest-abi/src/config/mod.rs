//! The configuration texts of a bundle: lines of `key = value`.
//!
//! Empty lines and lines that start with `#` say nothing. The first key is `version`, so that a
//! text of a later version is refused by its version and not by the first key that is new in it.
//! Writing is [`Display`](core::fmt::Display); what was written parses back to the same value.

mod error;
mod guest;
mod run;
mod text;

pub use error::{ConfigError, Problem};
pub use guest::{DartModel, DeviceRoute, Granule, GuestConfig, PciFunction};
pub use guest::{MAX_ARGUMENTS, MAX_DEVICES, MAX_NAME, MAX_VCPUS, MEMORY_UNIT, STREAMS};
pub use run::{ConsoleStyle, Delivery, MAX_TOKEN, RunConfig};

/// The version of both texts that this crate reads and writes.
pub const VERSION: u64 = 1;

#[cfg(test)]
mod tests;
