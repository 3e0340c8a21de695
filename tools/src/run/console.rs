//! What comes over the serial line: shown as it comes, but for Oche's line for programs; and what
//! the guest and Oche say in it, taken note of.

use std::collections::BTreeMap;

use guest_abi::summary::{LINE_PREFIX, Summary, find_json};
use serde::Serialize;

/// What the built-in guests said about themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct GuestWords {
    /// Whether userspace was reached.
    pub(crate) userspace: bool,
    /// The checksum of the disk followed by the nonce.
    pub(crate) md5: Option<String>,
    /// IOMMU groups and their types.
    pub(crate) groups: BTreeMap<String, String>,
    /// The guest's own verdict, `pass`, or `fail` and why.
    pub(crate) result: Option<String>,
}

/// The serial line.
pub(crate) struct Console {
    token: String,
    /// The line so far.
    line: Vec<u8>,
    /// How much of it was shown already.
    shown: usize,
    /// Oche's summary.
    pub(crate) summary: Option<Summary>,
    /// What the guest said.
    pub(crate) guest: GuestWords,
    /// Oche's last words.
    pub(crate) last_words: Option<String>,
}

/// A line is not kept longer than this: a guest may never end it.
const LONGEST: usize = 64 * 1024;

impl Console {
    /// A serial line on which Oche marks its line for programs with `token`.
    pub(crate) fn new(token: &str) -> Self {
        Console {
            token: token.into(),
            line: Vec::new(),
            shown: 0,
            summary: None,
            guest: GuestWords::default(),
            last_words: None,
        }
    }

    /// Takes what came, and returns what is to be shown of it.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut show = Vec::new();
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' {
                self.end_line(&mut show);
            } else if self.line.len() >= LONGEST {
                self.show_rest(&mut show);
                self.line.clear();
                self.shown = 0;
            } else if !self.may_be_summary() {
                self.show_rest(&mut show);
            }
        }
        show
    }

    /// What is left when nothing comes any more.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut show = Vec::new();
        self.end_line(&mut show);
        show
    }

    /// Whether the line so far is the beginning of the line for programs, or that line.
    fn may_be_summary(&self) -> bool {
        let marker = format!("{LINE_PREFIX}{} ", self.token);
        let line = self.line.strip_prefix(b"\r").unwrap_or(&self.line);
        let length = line.len().min(marker.len());
        line[..length] == marker.as_bytes()[..length]
    }

    fn show_rest(&mut self, show: &mut Vec<u8>) {
        show.extend_from_slice(&self.line[self.shown..]);
        self.shown = self.line.len();
    }

    fn end_line(&mut self, show: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(&self.line).into_owned();
        let text = text.trim_end();
        let summary = find_json(text, &self.token).and_then(|json| serde_json::from_str(json).ok());
        if summary.is_some() {
            self.summary = summary;
        } else {
            self.show_rest(show);
            self.note(text);
        }
        self.line.clear();
        self.shown = 0;
    }

    fn note(&mut self, line: &str) {
        // At the start of the line alone: anywhere else it may be a quotation.
        if let Some(words) = line.trim_start_matches('\r').strip_prefix("oche: ") {
            self.last_words = Some(words.to_string());
        } else if let Some((_, words)) = line.split_once("oche-guest: ") {
            self.guest.note(words);
        } else if let Some((_, words)) = line.split_once("oche-payload: done ") {
            self.guest.result = Some(words.to_string());
        }
    }
}

impl GuestWords {
    fn note(&mut self, words: &str) {
        let words: Vec<_> = words.split_whitespace().collect();
        match words[..] {
            ["userspace"] => self.userspace = true,
            ["md5", sum] => self.md5 = Some(sum.to_string()),
            ["iommu-group", number, "type", kind] => {
                self.groups.insert(number.to_string(), kind.to_string());
            }
            ["result", ..] => self.result = Some(words[1..].join(" ")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use guest_abi::summary::write_line;

    use super::*;

    fn feed(console: &mut Console, text: &str) -> String {
        let mut shown = console.feed(text.as_bytes());
        shown.extend(console.finish());
        String::from_utf8(shown).unwrap()
    }

    fn line(token: &str) -> String {
        let mut line = String::new();
        write_line(&mut line, token, &Summary::default()).unwrap();
        line + "\r\n"
    }

    #[test]
    fn the_summary_is_taken_out_of_what_is_shown() {
        let mut console = Console::new("c0ffee");
        let text = format!("oche: ready\r\n{}after\r\n", line("c0ffee"));
        assert_eq!(feed(&mut console, &text), "oche: ready\r\nafter\r\n");
        assert_eq!(console.summary, Some(Summary::default()));
        assert_eq!(console.last_words.as_deref(), Some("ready"));
    }

    #[test]
    fn a_summary_with_another_token_is_only_text() {
        let mut console = Console::new("c0ffee");
        let text = line("c0ffe");
        assert_eq!(feed(&mut console, &text), text);
        assert_eq!(console.summary, None);
    }

    #[test]
    fn a_prompt_is_shown_before_its_line_ends() {
        let mut console = Console::new("c0ffee");
        assert_eq!(console.feed(b"# "), b"# ");
        assert_eq!(console.feed(b"o"), b"o");
        // What may still become the summary waits.
        assert_eq!(console.feed(b"\noche-su"), b"\n");
        assert_eq!(console.feed(b"x"), b"oche-sux");
    }

    #[test]
    fn the_guests_words_are_noted() {
        let mut console = Console::new("c0ffee");
        let text = "[ 0.5] oche-guest: userspace\r\n\
            [ 0.6] oche-guest: iommu-group 0 type DMA\r\n\
            [ 0.9] oche-guest: md5 0123\r\n[ 1.0] oche-guest: result fail no disk\r\n";
        feed(&mut console, text);
        assert_eq!(
            console.guest,
            GuestWords {
                userspace: true,
                md5: Some("0123".into()),
                groups: [("0".to_string(), "DMA".to_string())].into(),
                result: Some("fail no disk".into()),
            }
        );
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_for_ever() {
        let mut console = Console::new("c0ffee");
        let long = "x".repeat(3 * LONGEST);
        assert_eq!(feed(&mut console, &long), long);
    }
}
