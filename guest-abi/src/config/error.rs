//! What can be wrong with a configuration text.

use core::fmt;

/// A configuration text that was refused: where, and why. Shown as one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError<'a> {
    /// The line, counted from 1; for a missing key, the last line of the text.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem<'a>,
}

/// What is wrong with one line, or with one value of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem<'a> {
    /// The line has no `=`.
    NotAnEntry,
    /// The first entry is not `version`.
    VersionNotFirst,
    /// A key that this version does not know.
    UnknownKey(&'a str),
    /// A key that was given already.
    Repeated(&'a str),
    /// A key that has to be there is not.
    Missing(&'static str),
    /// A value that its key does not allow, and what the key wants instead.
    BadValue {
        /// The key.
        key: &'static str,
        /// What it was given.
        value: &'a str,
        /// What it wants, as the end of a sentence.
        wanted: &'static str,
    },
    /// More entries of a repeatable key than are supported.
    TooMany {
        /// The key.
        key: &'static str,
        /// How many there may be.
        limit: usize,
    },
}

impl fmt::Display for ConfigError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Problem::NotAnEntry => f.write_str("this is not of the form `key = value`"),
            Problem::VersionNotFirst => f.write_str("the first key has to be `version`"),
            Problem::UnknownKey(key) => write!(f, "unknown key `{}`", key.escape_debug()),
            Problem::Repeated(key) => write!(f, "`{}` was given already", key.escape_debug()),
            Problem::Missing(key) => write!(f, "the text ends without the key `{key}`"),
            Problem::BadValue { key, value, wanted } => {
                write!(f, "`{key}` is {wanted}, not `{}`", value.escape_debug())
            }
            Problem::TooMany { key, limit } => {
                write!(f, "more than {limit} entries of `{key}`")
            }
        }
    }
}

impl core::error::Error for ConfigError<'_> {}
impl core::error::Error for Problem<'_> {}
