//! Why something did not work, for people.

use core::fmt::{self, Display};

use alloc::borrow::Cow;
use alloc::string::ToString;

extern crate alloc;

/// One sentence.
#[derive(Debug)]
pub(super) struct Sentence(Cow<'static, str>);

impl Sentence {
    /// The sentence that `text` formats to. One without arguments needs no heap.
    pub(super) fn new(text: fmt::Arguments<'_>) -> Self {
        Self(match text.as_str() {
            Some(fixed) => Cow::Borrowed(fixed),
            None => Cow::Owned(text.to_string()),
        })
    }
}

impl Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `sentence!("...", ...)`.
macro_rules! sentence {
    ($($text:tt)*) => { $crate::el2::sentence::Sentence::new(format_args!($($text)*)) };
}
pub(super) use sentence;
