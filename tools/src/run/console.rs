//! What comes over the serial line: shown as it comes, but for Oche's line for programs; and what
//! the guest and Oche say in it, taken note of.
//!
//! A guest's line begins with its name and a bar. Only what has no tag can be Oche's. A guest that is
//! attached raw has none either, and can say what Oche says, but for the line with the secret.

use std::collections::BTreeMap;

use guest_abi::config::MAX_NAME;
use guest_abi::summary::{LINE_PREFIX, Summary, find_json};
use serde::Serialize;

use super::trace::{Names, OwnFailure, may_be_trace};

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
    /// What it said about its own failure.
    pub(crate) failure: Option<OwnFailure>,
    names: Names,
    /// By name, the line that each guest wrote last: it may go on.
    lines: BTreeMap<String, String>,
}

/// A line is not kept longer than this: a guest may never end it.
const LONGEST: usize = 64 * 1024;

impl Console {
    /// A serial line on which Oche marks its line for programs with `token`.
    pub(crate) fn new(token: &str, names: Names) -> Self {
        Console {
            token: token.into(),
            line: Vec::new(),
            shown: 0,
            summary: None,
            guest: GuestWords::default(),
            last_words: None,
            failure: None,
            names,
            lines: BTreeMap::new(),
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
            } else if !self.may_be_summary() && !self.may_be_trace() {
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

    fn may_be_trace(&self) -> bool {
        may_be_trace(self.line.strip_prefix(b"\r").unwrap_or(&self.line))
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
            let name = self.names.of_line(text);
            if let Some(name) = &name {
                // Before the end of the line, which was held back whole.
                let at = self.line.len() - line_end(&self.line);
                let more = format!(" in {name}");
                self.line.splice(at..at, more.into_bytes());
            }
            self.show_rest(show);
            self.note(text, name.as_deref());
        }
        self.line.clear();
        self.shown = 0;
    }

    fn note(&mut self, line: &str, name: Option<&str>) {
        let line = line.trim_start_matches('\r');
        // At the start of the line alone: anywhere else it may be a quotation.
        if let Some(words) = line.strip_prefix("oche: ") {
            self.last_words = Some(words.to_string());
            OwnFailure::note(&mut self.failure, words, name);
        } else if let Some(tag) = Tag::read(line) {
            let mut whole = match tag.continues {
                true => self.lines.remove(tag.name).unwrap_or_default(),
                false => String::new(),
            };
            whole.push_str(tag.words);
            self.note_guest(&whole);
            self.lines.insert(tag.name.to_string(), whole);
        } else {
            self.note_guest(line);
        }
    }

    fn note_guest(&mut self, line: &str) {
        if let Some((_, words)) = line.split_once("oche-guest: ") {
            self.guest.note(words);
        } else if let Some((_, words)) = line.split_once("oche-payload: done ") {
            self.guest.result = Some(words.to_string());
        }
    }
}

/// A guest's line: its name, a bar, and a space, or a plus sign where a line goes on that another one
/// has broken off.
struct Tag<'a> {
    name: &'a str,
    continues: bool,
    words: &'a str,
}

impl<'a> Tag<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, rest) = line.split_once('|')?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
            return None;
        }
        let continues = rest.starts_with('+');
        let words = rest.strip_prefix(['+', ' ']).or_else(|| {
            // The space at the end of an otherwise empty line was trimmed.
            rest.is_empty().then_some(rest)
        })?;
        Some(Tag {
            name,
            continues,
            words,
        })
    }
}

/// How many bytes end a line.
fn line_end(line: &[u8]) -> usize {
    let ends = |byte: &&u8| matches!(byte, b'\r' | b'\n');
    line.iter().rev().take_while(ends).count()
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

    fn console() -> Console {
        let names = Names::of("/nonexistent".into(), std::path::Path::new("/"));
        Console::new("c0ffee", names)
    }

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
        let mut console = console();
        let text = format!("oche: ready\r\n{}after\r\n", line("c0ffee"));
        assert_eq!(feed(&mut console, &text), "oche: ready\r\nafter\r\n");
        assert_eq!(console.summary, Some(Summary::default()));
        assert_eq!(console.last_words.as_deref(), Some("ready"));
    }

    #[test]
    fn a_summary_with_another_token_is_only_text() {
        let mut console = console();
        let text = line("c0ffe");
        assert_eq!(feed(&mut console, &text), text);
        assert_eq!(console.summary, None);
    }

    #[test]
    fn a_prompt_is_shown_before_its_line_ends() {
        let mut console = console();
        assert_eq!(console.feed(b"# "), b"# ");
        assert_eq!(console.feed(b"o"), b"o");
        // What may still become the summary waits.
        assert_eq!(console.feed(b"\noche-su"), b"\n");
        assert_eq!(console.feed(b"x"), b"oche-sux");
    }

    #[test]
    fn the_guests_words_are_noted() {
        let mut console = console();
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
    fn a_tagged_guest_is_understood_and_cannot_speak_for_oche() {
        let mut console = console();
        let text = "oche: ready\r\nlinux| oche: error: forged\r\nlinux| \r\n\
            linux| [ 0.6] oche-guest: result pass\r\nlinux|+oche: forged\r\n";
        assert_eq!(feed(&mut console, text), text);
        assert_eq!(console.last_words.as_deref(), Some("ready"));
        assert_eq!(console.guest.result.as_deref(), Some("passoche: forged"));
    }

    #[test]
    fn a_line_that_oche_broke_off_is_put_together() {
        let mut console = console();
        let text = "linux| oche-guest: result fa\r\noche: news\r\nlinux|+il no\r\n\
            oche: more\r\nlinux|+ disk\r\nother| x\r\n";
        feed(&mut console, text);
        assert_eq!(console.guest.result.as_deref(), Some("fail no disk"));
        assert_eq!(console.last_words.as_deref(), Some("more"));
    }

    #[test]
    fn a_bar_elsewhere_is_no_tag() {
        for line in ["a b| c", "|x", "linux|x", "[ 1.0] cpu| x"] {
            assert!(Tag::read(line).is_none(), "{line}");
        }
        assert!(Tag::read("my-guest| x").is_some());
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_for_ever() {
        let mut console = console();
        let long = "x".repeat(3 * LONGEST);
        assert_eq!(feed(&mut console, &long), long);
    }
}
