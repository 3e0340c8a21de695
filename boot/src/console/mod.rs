//! The machine's one serial line, shared by Oche and its guests.
//!
//! [`Screen`] knows where the cursor is, [`Tagger`] writes one guest's bytes on it so that they cannot be taken for
//! Oche's, and [`Menu`] takes what is typed apart into what is meant for a guest and what for Oche.

mod menu;
mod screen;
mod tagger;

pub use menu::{Command, ESCAPE, Input, Menu};
pub use screen::{Screen, Sink, Style};
pub use tagger::{MAX_NAME, Tagger};

#[cfg(test)]
mod tests;
