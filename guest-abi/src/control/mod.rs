//! How a running Oche is asked what goes on and told what to do, over a serial line that no guest reaches.
//!
//! Lines of text in both directions, because at the other end may sit a program or a person at a terminal:
//!
//! ```text
//! oche 1 7 status                                   a request: version, number, word
//! oche-reply 1 7 {"status":{...}} *5f0c1a2b         what was asked for
//! oche-reply 1 7 "done" *0e1f2a3b                   the end of the answer
//! ```
//!
//! - **Request**: `oche`, [`VERSION`], a number of the asker's choice that every line of the answer repeats, one of the
//!   words of [`Request`] with its argument. A line ends with a carriage return or a line feed.
//! - **Answer**: any number of lines with a [`Reply`] in JSON, then one that [ends](Reply::is_last) it: `"done"`, or
//!   an error with a code for programs and a sentence for people.
//! - **Check**: `*` and the CRC-32 of what stands before the space in front of it (the one of zlib, eight hexadecimal
//!   digits). Replies always have it. Programs send it, too; a person may leave it out.
//!
//! Whatever is no line of this kind is answered with an error or passed over, and the next line end starts anew: half a
//! message that an earlier asker left costs one error line, which bears another number. Lines of replies that come back
//! (a terminal that echoes) are passed over without a word, or two ends would talk for ever.
//!
//! Everything is bounded: a request by [`MAX_REQUEST`], each line of an answer by [`MAX_REPLY`], a piece of log by
//! [`LOG_CHUNK`], the number of lines by the number of guests.
//!
//! A binary framing (COBS and a compact encoding) would save bytes that nobody misses at this rate, and would take away
//! the plain terminal, which on a machine with one serial cable is all there is.

mod line;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use line::{Line, LineBuffer};
pub use reply::{Code, GuestState, Hello, LogChunk, LogText, Refusal, Reply, ReplyLine, State};
pub use reply::{Name, Status, Version, read_reply, write_reply};
pub use request::{Asked, BadRequest, Request, read_request, write_request};

/// The version of the protocol that this crate speaks.
pub const VERSION: u32 = 1;
/// The word that a request starts with.
pub const REQUEST_WORD: &str = "oche";
/// The word that a line of an answer starts with.
pub const REPLY_WORD: &str = "oche-reply";
/// The longest request, in bytes without its end: the longest there is has 68.
pub const MAX_REQUEST: usize = 128;
/// The longest line of an answer, in bytes with its end.
pub const MAX_REPLY: usize = 2048;
/// The most log text in one answer, in bytes.
pub const LOG_CHUNK: usize = 512;
