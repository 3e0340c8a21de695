//! Why something did not work, for people.

use core::fmt::{self, Display, Write};

use arrayvec::ArrayString;

/// One sentence. What is longer is cut.
#[derive(Debug)]
pub(super) struct Sentence(ArrayString<240>);

impl Sentence {
    /// The sentence that `text` formats to.
    pub(super) fn new(text: fmt::Arguments<'_>) -> Self {
        struct Cut<'a>(&'a mut ArrayString<240>);
        impl Write for Cut<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                text.chars()
                    .try_for_each(|c| self.0.try_push(c))
                    .map_err(|_| fmt::Error)
            }
        }
        let mut own = ArrayString::new();
        // An error means that it was cut.
        let _ = Cut(&mut own).write_fmt(text);
        Self(own)
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
