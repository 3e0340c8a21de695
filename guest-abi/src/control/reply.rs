//! What Oche answers.

use core::fmt::{self, Write};

use arrayvec::{ArrayString, ArrayVec};
use serde::{Deserialize, Serialize};

use super::line::{Text, seal, unseal};
use super::request::decimal;
use super::{LOG_CHUNK, MAX_REPLY, REPLY_WORD, VERSION};
use crate::config::MAX_NAME;
use crate::summary::{Exits, Reason};

/// A guest's name.
pub type Name = ArrayString<MAX_NAME>;
/// Oche's version, cut to what fits.
pub type Version = ArrayString<32>;
/// A piece of log: whole characters, lines ended by line feeds.
pub type LogText = ArrayString<LOG_CHUNK>;

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::large_enum_variant,
    reason = "there is no heap to put it on, and never more than one of them"
)]
pub enum Reply {
    /// To `hello`.
    Hello(Hello),
    /// To `status`.
    Status(Status),
    /// To `guests`, one for each.
    Guest(GuestState),
    /// To `log`.
    Log(LogChunk),
    /// The end of an answer: it is done, or will be as soon as this line has left.
    Done,
    /// The end of an answer: it cannot be done.
    Error(Refusal),
}

impl Reply {
    /// Whether no line follows.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Reply::Done | Reply::Error(_))
    }
}

/// Who answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Oche's version.
    pub oche: Version,
    /// The version of this protocol that it speaks.
    pub protocol: u32,
}

/// How Oche and its machine are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Oche's version.
    pub oche: Version,
    /// Microseconds since Oche started.
    pub uptime_us: u64,
    /// Cores of the machine.
    pub cores: u64,
    /// Guests, those that are off among them.
    pub guests: u64,
    /// Page frames (of 16 KiB) that Oche has for itself.
    pub frames_total: u64,
    /// Of these, free now.
    pub frames_free: u64,
    /// Interrupts that Oche has taken while guests ran.
    pub interrupts: u64,
    /// Where the log ends: the position after its last byte.
    pub log_end: u64,
}

/// What a guest is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It runs.
    Running,
    /// It is being stopped.
    Stopping,
    /// It does not run, and has nothing.
    #[default]
    Off,
}

/// How a guest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuestState {
    /// Its name.
    pub name: Name,
    /// What it is doing.
    pub state: State,
    /// Its virtual CPUs.
    pub vcpus: u64,
    /// Of these, switched on.
    pub vcpus_on: u64,
    /// Its memory in bytes.
    pub memory: u64,
    /// How often it was started again.
    pub restarts: u64,
    /// Microseconds since it was started last.
    pub run_us: u64,
    /// How often it came out to Oche, by cause.
    pub exits: Exits,
    /// Pages that its devices can reach now.
    pub pages_pinned: u64,
    /// Faults of its devices.
    pub faults: u64,
}

/// A piece of Oche's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogChunk {
    /// The position of its first byte. Less than what was asked for: the log began anew.
    pub from: u64,
    /// Bytes between the position that was asked for and this one, which were overwritten before anybody asked.
    pub lost: u64,
    /// The position to ask for next. The same as `from`: there is no more, for now.
    pub next: u64,
    /// The piece.
    pub text: LogText,
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub sentence: Reason,
}

/// Kinds of [`Refusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The line was no request.
    BadRequest,
    /// The request is of another version of the protocol.
    BadVersion,
    /// The line's check is not that of its text.
    Damaged,
    /// There is no guest of that name.
    UnknownGuest,
    /// It cannot be done now, but perhaps later.
    NotNow,
    /// It cannot be done by this Oche, or on this machine.
    Unable,
    /// The answer did not fit its line: a mistake of Oche's.
    TooLarge,
}

/// A line of an answer, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyLine<'a> {
    /// The number of the request.
    pub id: u32,
    /// The version of the protocol.
    pub version: u64,
    /// A [`Reply`].
    pub json: &'a str,
}

/// Puts a line of an answer, with check and end, into `line`, instead of what was there.
///
/// # Errors
/// When it would be longer than [`MAX_REPLY`]; what is in `line` then is nothing to send.
pub fn write_reply(line: &mut ArrayVec<u8, MAX_REPLY>, id: u32, reply: &Reply) -> fmt::Result {
    line.clear();
    write!(Text(line), "{REPLY_WORD} {VERSION} {id} ")?;
    let mut json = [0; MAX_REPLY];
    let length = serde_json_core::to_slice(reply, &mut json).map_err(|_| fmt::Error)?;
    let json = json.get(..length).ok_or(fmt::Error)?;
    line.try_extend_from_slice(json).map_err(|_| fmt::Error)?;
    seal(line)
}

/// Takes a line of an answer apart. `None` for anything else: a line that is damaged or has no check, a request that
/// comes back.
#[must_use]
pub fn read_reply(line: &[u8]) -> Option<ReplyLine<'_>> {
    let (text, true) = unseal(core::str::from_utf8(line).ok()?).ok()? else {
        return None;
    };
    let rest = text.strip_prefix(REPLY_WORD)?.strip_prefix(' ')?;
    let (version, rest) = rest.split_once(' ')?;
    let (id, json) = rest.split_once(' ')?;
    Some(ReplyLine {
        id: u32::try_from(decimal(id)?).ok()?,
        version: decimal(version)?,
        json,
    })
}
