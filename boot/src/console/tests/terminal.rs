//! A terminal as far as it matters here: columns, and what moves between them.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

pub(super) struct Terminal {
    width: usize,
    /// Behind the last column the cursor waits for the next character before it wraps, as a VT100's does.
    late: bool,
    rows: Vec<String>,
    column: usize,
}

impl Terminal {
    pub(super) fn new(width: usize, late: bool) -> Self {
        Terminal {
            width,
            late,
            rows: vec![String::new()],
            column: 0,
        }
    }

    pub(super) fn rows(&self) -> &[String] {
        &self.rows
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\r' => self.column = 0,
                b'\n' => self.new_row(),
                // From behind the last column to the one before it.
                0x08 => self.column = self.column.min(self.width - 1).saturating_sub(1),
                b'\t' => self.column = (self.column / 8 * 8 + 8).min(self.width - 1),
                b' '..=b'~' => self.print(char::from(*byte)),
                _ => panic!("{byte:#x} does what it wants with this terminal"),
            }
        }
    }

    fn new_row(&mut self) {
        self.rows.push(String::new());
    }

    fn print(&mut self, character: char) {
        if self.column == self.width {
            self.column = 0;
            self.new_row();
        }
        let row = self.rows.last_mut().unwrap();
        while row.len() <= self.column {
            row.push(' ');
        }
        row.replace_range(
            self.column..=self.column,
            character.encode_utf8(&mut [0; 4]),
        );
        self.column += 1;
        if self.column == self.width && !self.late {
            self.column = 0;
            self.new_row();
        }
    }
}
