//! A guest's bytes as lines that cannot be taken for Oche's.
//!
//! What a reader believes is Oche's begins with `oche: `, or with `oche-summary` and a secret. A terminal wraps long
//! lines at a width that nobody here knows, so a tag at the beginning of each line alone would not do: text at the
//! right distance would stand at the beginning of a row. Therefore these words are never written for a guest, wherever
//! they are: a bar is put into them. For this to hold, what is seen has to be what was written, one character after
//! the other, so everything that moves the cursor is shown as text: but for the line's end, and for a backspace in a
//! line that still fits into one row, which rubs out.

use arrayvec::{ArrayString, ArrayVec};

use super::{Screen, Sink, Style};

/// The longest name that a tag can have; longer ones are cut.
pub const MAX_NAME: usize = 32;

/// The words that lines of Oche's begin with.
const RESERVED: [&[u8]; 2] = [b"oche: ", b"oche-summary"];
/// What is put before the last character of such a word, where a guest writes it.
const BAR: u8 = b'|';
/// Behind the name: a line begins here.
const BEGINS: u8 = b' ';
/// Behind the name: the line goes on that somebody else's line has broken off.
const CONTINUES: u8 = b'+';

/// The narrowest terminal. A line that has filled so many columns is not rubbed out any more, because terminals do not
/// agree where the cursor is behind the last column. On a narrower one a guest could rub out its own tag.
const NARROWEST: usize = 80;
/// A tab goes to the next multiple of this, counted behind the tag.
const TAB: usize = 8;

/// Writes one guest's bytes.
#[derive(Clone, Debug)]
pub struct Tagger {
    guest: u8,
    name: ArrayString<MAX_NAME>,
    /// The end of the line so far, as it is seen.
    seen: ArrayVec<u8, NARROWEST>,
    /// The line has filled a row of the narrowest terminal.
    long: bool,
    /// The guest is in a line, whether or not the cursor still is.
    in_line: bool,
    /// A carriage return came: a line feed, or the same line anew.
    returned: bool,
}

impl Tagger {
    /// For the guest with this number and name.
    #[must_use]
    pub fn new(guest: u8, name: &str) -> Self {
        let mut short = ArrayString::new();
        for letter in name.chars().filter(char::is_ascii_graphic) {
            if short.try_push(letter).is_err() {
                break;
            }
        }
        Self {
            guest,
            name: short,
            seen: ArrayVec::new(),
            long: false,
            in_line: false,
            returned: false,
        }
    }

    /// The guest's name as its tag has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The guest starts anew, as after a reset: what it had begun is over.
    pub fn reset(&mut self) {
        self.in_line = false;
        self.returned = false;
        self.forget();
    }

    /// Writes one byte of the guest's: at once, so that a prompt is seen.
    pub fn write(&mut self, screen: &mut Screen, out: &mut impl Sink, byte: u8) {
        if screen.style() == Style::Raw {
            screen.passed(self.guest, byte);
            return out.put(byte);
        }
        match byte {
            b'\r' => self.returned = true,
            b'\n' => self.end_line(screen, out),
            0 => {}
            0x08 => self.rub_out(screen, out),
            b'\t' => {
                for _ in self.seen.len() % TAB..TAB {
                    self.show(screen, out, b' ');
                }
            }
            b' '..=b'~' => self.show(screen, out, byte),
            0x01..=0x1f | 0x7f => {
                self.show(screen, out, b'^');
                self.show(screen, out, byte ^ 0x40);
            }
            0x80.. => {
                let digit = |value: u8| {
                    if value < 10 {
                        b'0' | value
                    } else {
                        b'W' + value
                    }
                };
                for character in [b'\\', b'x', digit(byte >> 4), digit(byte & 0xf)] {
                    self.show(screen, out, character);
                }
            }
        }
    }

    fn end_line(&mut self, screen: &mut Screen, out: &mut impl Sink) {
        // Of a line that was broken off nothing is left to end.
        if screen.is_in(self.guest) || !self.in_line {
            self.come(screen, out);
            screen.end_line(out);
        }
        self.reset();
    }

    /// Sees to it that the cursor is in a line of this guest.
    fn come(&mut self, screen: &mut Screen, out: &mut impl Sink) {
        if screen.is_in(self.guest) {
            return;
        }
        screen.begin(out);
        out.put_all(self.name.as_bytes());
        out.put(b'|');
        out.put(if self.in_line { CONTINUES } else { BEGINS });
        screen.enter(self.guest);
        self.forget();
        self.in_line = true;
    }

    /// A character that is seen.
    fn show(&mut self, screen: &mut Screen, out: &mut impl Sink, character: u8) {
        if self.returned && self.in_line {
            // The line anew, below: on it, what is left of the old one would be seen as part of it.
            if screen.is_in(self.guest) {
                screen.end_line(out);
            }
            self.in_line = false;
        }
        self.returned = false;
        self.come(screen, out);
        if self.completes_reserved(character) {
            self.remember(BAR);
            out.put(BAR);
        }
        self.remember(character);
        out.put(character);
    }

    fn completes_reserved(&self, character: u8) -> bool {
        RESERVED.iter().any(|word| {
            word.split_last()
                .is_some_and(|(last, before)| *last == character && self.seen.ends_with(before))
        })
    }

    fn rub_out(&mut self, screen: &mut Screen, out: &mut impl Sink) {
        let may = screen.is_in(self.guest) && !self.returned && !self.long;
        if may && self.seen.pop().is_some() {
            out.put_all(b"\x08 \x08");
        }
    }

    fn remember(&mut self, character: u8) {
        if self.seen.is_full() {
            self.seen.pop_at(0);
        }
        self.seen.push(character);
        let tag = self.name.len().saturating_add(2);
        self.long |= tag.saturating_add(self.seen.len()) >= NARROWEST;
    }

    fn forget(&mut self) {
        self.seen.clear();
        self.long = false;
    }
}
