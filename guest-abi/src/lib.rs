//! What passes between Oche, the program that starts it, and its guests.
//!
//! - [`bundle`]: the archive that Oche is given as its initial ramdisk;
//! - [`config`]: the texts in it, with their parser and their writer side by side;
//! - [`summary`]: what Oche reports when a run is over;
//! - [`control`]: what a running Oche is asked and told over a serial line.
//!
//! Nothing here allocates, and nothing here touches hardware.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod bundle;
pub mod config;
pub mod control;
pub mod summary;
