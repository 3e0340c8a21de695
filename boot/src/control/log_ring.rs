//! Oche's own log, as much of it as fits.

use core::fmt::{self, Write};

use guest_abi::control::{LOG_CHUNK, LogChunk, LogText};

/// The longest line that is kept whole, in bytes without its end; longer ones are cut.
pub const MAX_LOG_LINE: usize = 400;

/// The last `N` bytes of log, in whole lines.
///
/// A byte's position is the number of bytes that were logged before it, so that a reader who asks from a position on
/// learns exactly how much it has missed.
#[derive(Debug)]
pub struct LogRing<const N: usize> {
    bytes: [u8; N],
    /// The position of the oldest byte that is kept: the start of a line.
    start: u64,
    /// The position after the newest.
    end: u64,
}

impl<const N: usize> Default for LogRing<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> LogRing<N> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N > MAX_LOG_LINE) };
        Self {
            bytes: [0; N],
            start: 0,
            end: 0,
        }
    }

    /// The position after the newest byte.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Adds a line, in place of the oldest ones if need be. Control characters in it become spaces.
    pub fn push(&mut self, line: fmt::Arguments<'_>) {
        let mut writer = LineWriter {
            ring: self,
            room: MAX_LOG_LINE,
        };
        // It is full when the line is too long: what does not fit is left out.
        let _ = writer.write_fmt(line);
        self.put(b'\n');
    }

    /// The log from a position on, at most [`LOG_CHUNK`] bytes of it. A position that is not reached yet is one of an
    /// earlier life of the machine: it gets the oldest there is.
    #[must_use]
    pub fn read(&self, from: u64) -> LogChunk {
        let anew = from > self.end;
        let mut at = if anew {
            self.start
        } else {
            from.max(self.start)
        };
        // A position inside a character is nobody's who read to the end of a piece.
        while at < self.end && self.byte(at) & 0xc0 == 0x80 {
            at = at.saturating_add(1);
        }
        let mut piece = [0; LOG_CHUNK];
        let mut length = 0;
        for (slot, position) in piece.iter_mut().zip(at..self.end) {
            *slot = self.byte(position);
            length += 1;
        }
        let piece = piece.get(..length).unwrap_or_default();
        let whole = match core::str::from_utf8(piece) {
            Ok(text) => text,
            // A character that the piece's end cuts goes with the next one.
            Err(error) => piece
                .get(..error.valid_up_to())
                .and_then(|piece| core::str::from_utf8(piece).ok())
                .unwrap_or_default(),
        };
        LogChunk {
            from: at,
            lost: if anew { 0 } else { at.saturating_sub(from) },
            next: at.saturating_add(whole.len() as u64),
            text: LogText::from(whole).unwrap_or_default(),
        }
    }

    fn slot(position: u64) -> usize {
        // Below N, which is a `usize`.
        usize::try_from(position % N as u64).unwrap_or(0)
    }

    fn byte(&self, position: u64) -> u8 {
        self.bytes
            .get(Self::slot(position))
            .copied()
            .unwrap_or(b'\n')
    }

    fn put(&mut self, byte: u8) {
        if self.end.saturating_sub(self.start) >= N as u64 {
            self.drop_line();
        }
        if let Some(slot) = self.bytes.get_mut(Self::slot(self.end)) {
            *slot = byte;
        }
        // 2^64 bytes are not logged in any machine's life.
        self.end = self.end.saturating_add(1);
    }

    fn drop_line(&mut self) {
        while self.start < self.end {
            let dropped = self.byte(self.start);
            self.start = self.start.saturating_add(1);
            if dropped == b'\n' {
                break;
            }
        }
    }
}

/// One line on its way into the ring.
struct LineWriter<'a, const N: usize> {
    ring: &'a mut LogRing<N>,
    room: usize,
}

impl<const N: usize> Write for LineWriter<'_, N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            let plain = if letter.is_control() { ' ' } else { letter };
            let mut bytes = [0; 4];
            let bytes = plain.encode_utf8(&mut bytes).as_bytes();
            self.room = self.room.checked_sub(bytes.len()).ok_or(fmt::Error)?;
            bytes.iter().for_each(|byte| self.ring.put(*byte));
        }
        Ok(())
    }
}
