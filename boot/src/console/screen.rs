//! Whose line the cursor is on.

/// Where the bytes of the serial line go.
pub trait Sink {
    /// Transmits one byte.
    fn put(&mut self, byte: u8);

    /// Transmits several.
    fn put_all(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.put(*byte);
        }
    }
}

/// How guests' bytes are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// In lines that begin with the guest's name, harmless.
    #[default]
    Tagged,
    /// As they are: the terminal is the guest's, and it can write what Oche writes.
    Raw,
}

/// The state of the line that the cursor is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor {
    /// At the beginning of an empty line.
    Start,
    /// In a line that this guest has begun.
    In(u8),
    /// Nobody knows: whoever writes begins a line.
    Unknown,
}

/// The serial line's state, shared by everybody who writes to it.
#[derive(Clone, Debug)]
pub struct Screen {
    style: Style,
    cursor: Cursor,
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

impl Screen {
    /// A line of which nothing is known. Guests are tagged.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            style: Style::Tagged,
            cursor: Cursor::Unknown,
        }
    }

    /// Shows guests this way from now on.
    pub fn set_style(&mut self, style: Style) {
        self.style = style;
    }

    /// How guests are shown.
    #[must_use]
    pub const fn style(&self) -> Style {
        self.style
    }

    /// Writes `text` for Oche, from the beginning of a line. A guest's line that is in the way is broken off. Each
    /// `\n` ends a line; the last has to.
    pub fn oche(&mut self, out: &mut impl Sink, text: &str) {
        self.begin(out);
        self.more(out, text);
    }

    /// Goes to the beginning of an empty line. [`Screen::more`] continues there.
    pub fn begin(&mut self, out: &mut impl Sink) {
        if self.cursor != Cursor::Start {
            out.put_all(b"\r\n");
        }
        self.cursor = Cursor::Start;
    }

    /// Continues what [`Screen::begin`] began, in one or more pieces of which the last ends in `\n`.
    pub fn more(&mut self, out: &mut impl Sink, text: &str) {
        for byte in text.bytes() {
            if byte == b'\n' {
                out.put(b'\r');
            }
            out.put(byte);
        }
    }

    /// Is the cursor in a line of this guest?
    pub(super) fn is_in(&self, guest: u8) -> bool {
        self.cursor == Cursor::In(guest)
    }

    /// The cursor is in a line of this guest now.
    pub(super) fn enter(&mut self, guest: u8) {
        self.cursor = Cursor::In(guest);
    }

    /// The guest's line is over.
    pub(super) fn end_line(&mut self, out: &mut impl Sink) {
        out.put_all(b"\r\n");
        self.cursor = Cursor::Start;
    }

    /// The guest wrote this byte as it is.
    pub(super) fn passed(&mut self, guest: u8, byte: u8) {
        self.cursor = match (byte, self.cursor) {
            (b'\n', _) => Cursor::Start,
            (b'\r', Cursor::Start) => Cursor::Start,
            _ => Cursor::In(guest),
        };
    }
}
