//! What Oche can be asked.

use core::fmt::{self, Display, Write};

use arrayvec::ArrayVec;

use super::line::{Text, seal, unseal};
use super::{Code, MAX_REQUEST, REQUEST_WORD, VERSION};
use crate::config::MAX_NAME;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// `hello`: which Oche is there.
    Hello,
    /// `status`: how Oche and its machine are.
    Status,
    /// `guests`: how each guest is, one line for each.
    Guests,
    /// `kill NAME`: stop a guest and take everything back.
    Kill {
        /// The guest's name.
        guest: &'a str,
    },
    /// `restart NAME`: stop a guest and start it again as it was given to Oche.
    Restart {
        /// The guest's name.
        guest: &'a str,
    },
    /// `reset`: reset the whole machine; Oche begins anew.
    Reset,
    /// `log POSITION`: Oche's own log from there on, as much as one answer holds.
    Log {
        /// A position from an earlier answer; 0 is where the log begins.
        from: u64,
    },
}

impl<'a> Request<'a> {
    /// From a word and its argument.
    fn from_words(word: &'a str, argument: Option<&'a str>) -> Option<Self> {
        Some(match (word, argument) {
            ("hello", None) => Request::Hello,
            ("status", None) => Request::Status,
            ("guests", None) => Request::Guests,
            ("kill", Some(guest)) if is_name(guest) => Request::Kill { guest },
            ("restart", Some(guest)) if is_name(guest) => Request::Restart { guest },
            ("reset", None) => Request::Reset,
            ("log", Some(from)) => Request::Log {
                from: decimal(from)?,
            },
            _ => return None,
        })
    }
}

impl Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Hello => f.write_str("hello"),
            Request::Status => f.write_str("status"),
            Request::Guests => f.write_str("guests"),
            Request::Kill { guest } => write!(f, "kill {guest}"),
            Request::Restart { guest } => write!(f, "restart {guest}"),
            Request::Reset => f.write_str("reset"),
            Request::Log { from } => write!(f, "log {from}"),
        }
    }
}

/// A request and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The asker's number for it.
    pub id: u32,
    /// What is asked for.
    pub request: Request<'a>,
}

/// A line that is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRequest {
    /// Its number, or 0 if it could not be read.
    pub id: u32,
    /// What is wrong with it: [`Code::BadRequest`], [`Code::BadVersion`] or [`Code::Damaged`].
    pub code: Code,
}

/// Reads a request.
///
/// # Errors
/// What is wrong with it, with its number if that could be read.
pub fn read_request(line: &[u8]) -> Result<Asked<'_>, BadRequest> {
    let bad = |id, code| Err(BadRequest { id, code });
    let plain = |byte: &u8| (b' '..=b'~').contains(byte);
    let text = match core::str::from_utf8(line) {
        Ok(text) if line.iter().all(plain) => text,
        _ => return bad(0, Code::BadRequest),
    };
    let Ok((text, _)) = unseal(text) else {
        return bad(0, Code::Damaged);
    };
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    if words.next() != Some(REQUEST_WORD) {
        return bad(0, Code::BadRequest);
    }
    let version = words.next().and_then(decimal);
    let id = words.next().and_then(decimal);
    let id = id.and_then(|id| u32::try_from(id).ok());
    match version {
        Some(version) if version == u64::from(VERSION) => {}
        Some(_) => return bad(id.unwrap_or(0), Code::BadVersion),
        None => return bad(0, Code::BadRequest),
    }
    let Some(id) = id else {
        return bad(0, Code::BadRequest);
    };
    let Some(word) = words.next() else {
        return bad(id, Code::BadRequest);
    };
    let argument = words.next();
    if words.next().is_some() {
        return bad(id, Code::BadRequest);
    }
    match Request::from_words(word, argument) {
        Some(request) => Ok(Asked { id, request }),
        None => bad(id, Code::BadRequest),
    }
}

/// The line of a request of that version (there is [`VERSION`] alone), with its check and its end. It starts with a line
/// end of its own, which ends whatever was left half-said before.
///
/// # Errors
/// When it would be longer than a request may be.
pub fn write_request(
    version: u32,
    asked: &Asked<'_>,
) -> Result<ArrayVec<u8, MAX_REQUEST>, fmt::Error> {
    let mut line = ArrayVec::<u8, MAX_REQUEST>::new();
    let (id, request) = (asked.id, asked.request);
    write!(Text(&mut line), "{REQUEST_WORD} {version} {id} {request}")?;
    seal(&mut line)?;
    line.try_insert(0, b'\n').map_err(|_| fmt::Error)?;
    Ok(line)
}

/// Whether a guest may have that name (see `config`).
fn is_name(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    word.len() <= MAX_NAME && word.bytes().all(plain)
}

/// A decimal number, without a sign.
pub(super) fn decimal(word: &str) -> Option<u64> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().ok())?
}
