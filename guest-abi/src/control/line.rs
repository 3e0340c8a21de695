//! Bytes into lines, and the check at a line's end.

use core::fmt::{self, Write};

use arrayvec::ArrayVec;
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

/// The CRC of zlib, gzip and PNG, so that any scripting language has it. A table would be quicker, and larger than the
/// rest of the protocol.
const CHECK: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
/// Stands between a line's text and its check.
const MARK: &str = " *";
/// Hexadecimal digits of a check.
const DIGITS: usize = 8;

/// What [`LineBuffer::feed`] has found complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line, without its end.
    Whole(&'a [u8]),
    /// The beginning of a line that was longer than the buffer; the rest of it is lost.
    TooLong(&'a [u8]),
}

/// Collects bytes until a line ends, at most `N` of them.
///
/// Empty lines are passed over, so it is all one whether lines end with one character or two. Backspace and delete take
/// the last byte back, for people.
#[derive(Clone, Debug, Default)]
pub struct LineBuffer<const N: usize> {
    bytes: ArrayVec<u8, N>,
    too_long: bool,
    ended: bool,
}

impl<const N: usize> LineBuffer<N> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: ArrayVec::new_const(),
            too_long: false,
            ended: false,
        }
    }

    /// Takes one byte, and returns the line if that was its end.
    pub fn feed(&mut self, byte: u8) -> Option<Line<'_>> {
        if self.ended {
            self.bytes.clear();
            self.too_long = false;
            self.ended = false;
        }
        match byte {
            b'\r' | b'\n' => {
                self.ended = true;
                if self.too_long {
                    return Some(Line::TooLong(&self.bytes));
                }
                return (!self.bytes.is_empty()).then_some(Line::Whole(&self.bytes));
            }
            0x08 | 0x7f => {
                // In a line that is too long it is not the last byte that would go.
                if !self.too_long {
                    let _ = self.bytes.pop();
                }
            }
            _ => self.too_long |= self.bytes.try_push(byte).is_err(),
        }
        None
    }
}

/// A buffer that text is written to, which fails when it is full.
pub(super) struct Text<'a, const N: usize>(pub(super) &'a mut ArrayVec<u8, N>);

impl<const N: usize> Write for Text<'_, N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0
            .try_extend_from_slice(text.as_bytes())
            .map_err(|_| fmt::Error)
    }
}

/// Adds the check and the line's end.
pub(super) fn seal<const N: usize>(line: &mut ArrayVec<u8, N>) -> fmt::Result {
    let check = CHECK.checksum(line);
    writeln!(Text(line), "{MARK}{check:08x}")
}

/// The line's check is not that of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// The text of a line without its check, and whether it had one.
pub(super) fn unseal(line: &str) -> Result<(&str, bool), Damaged> {
    let Some((text, digits)) = line.trim_end().rsplit_once(MARK) else {
        return Ok((line.trim_end(), false));
    };
    let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits.len() != DIGITS || !hexadecimal {
        return Err(Damaged);
    }
    let check = u32::from_str_radix(digits, 16).map_err(|_| Damaged)?;
    if CHECK.checksum(text.as_bytes()) != check {
        return Err(Damaged);
    }
    Ok((text, true))
}
