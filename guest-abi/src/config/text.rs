//! Lines into entries, words into values.

use super::{ConfigError, Problem, VERSION};

/// One `key = value` line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) line: usize,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

impl<'a> Entry<'a> {
    pub(super) fn error(&self, problem: Problem<'a>) -> ConfigError<'a> {
        ConfigError {
            line: self.line,
            problem,
        }
    }

    /// Stores `value` in `slot`, or says that the key was there before.
    pub(super) fn set<T>(&self, slot: &mut Option<T>, value: T) -> Result<(), ConfigError<'a>> {
        if slot.is_some() {
            return Err(self.error(Problem::Repeated(self.key)));
        }
        *slot = Some(value);
        Ok(())
    }

    /// The value as `read` understands it, or what the key wants instead.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        wanted: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, ConfigError<'a>> {
        read(self.value).ok_or_else(|| {
            self.error(Problem::BadValue {
                key,
                value: self.value,
                wanted,
            })
        })
    }
}

/// The entries of a text in order, after its `version`, which is checked here.
pub(super) fn entries<'a>(
    text: &'a str,
) -> Result<impl Iterator<Item = Result<Entry<'a>, ConfigError<'a>>>, ConfigError<'a>> {
    let mut entries = text.lines().enumerate().filter_map(|(index, line)| {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            return None;
        }
        // A text is far shorter than the address space: the line number cannot overflow.
        let line = index.saturating_add(1);
        Some(match trimmed.split_once('=') {
            Some((key, value)) => Ok(Entry {
                line,
                key: key.trim(),
                value: value.trim(),
            }),
            None => Err(ConfigError {
                line,
                problem: Problem::NotAnEntry,
            }),
        })
    });
    let version = match entries.next() {
        Some(first) => first?,
        None => return Err(missing(text, "version")),
    };
    if version.key != "version" {
        return Err(version.error(Problem::VersionNotFirst));
    }
    version.read("version", "1 (a later Oche wrote this text?)", |value| {
        (number(value)? == VERSION).then_some(())
    })?;
    Ok(entries)
}

/// The error for a key that never came.
pub(super) fn missing<'a>(text: &str, key: &'static str) -> ConfigError<'a> {
    ConfigError {
        line: text.lines().count(),
        problem: Problem::Missing(key),
    }
}

/// A number: decimal, or hexadecimal after `0x`. No sign, no separators.
pub(super) fn number(word: &str) -> Option<u64> {
    let (digits, radix) = match word.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None => (word, 10),
    };
    // `from_str_radix` would take a leading `+`.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// `on` or `off`.
pub(super) fn switch(word: &str) -> Option<bool> {
    match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// How a switch is written.
pub(super) fn switch_word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// Whether `word` is a name: lower-case letters, digits and hyphens.
pub(super) fn is_name(word: &str, longest: usize) -> bool {
    !word.is_empty()
        && word.len() <= longest
        && word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
