//! What ends a command early: a sentence for a person, and an exit status for a program.

use std::fmt::Display;

/// The exit statuses of `oche`. `docs/running.md` has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// All went well.
    Good = 0,
    /// It could not be done, and a sentence says why; or a test failed.
    Refused = 1,
    /// The guest said that its own check failed, or its checksum is not the host's.
    GuestFailed = 3,
    /// The guest ended otherwise than by powering off.
    GuestReset = 4,
    /// The host IOMMU reported a fault.
    Faulted = 5,
    /// The time was up.
    TimedOut = 6,
    /// Oche ended the run, or never began it.
    OcheStopped = 7,
    /// QEMU failed.
    QemuFailed = 8,
    /// Pages stayed pinned or frames stayed in use after the guest had gone.
    Unbalanced = 9,
    /// Oche itself failed: a panic, an exception of its own, or it was gone without a word.
    OcheFailed = 10,
    /// Interrupted (128 and the number of the signal, as shells have it).
    Interrupted = 130,
}

/// A command that could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) sentence: String,
}

impl Failure {
    /// A refusal: bad input, or something that is missing on this machine.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Failure {
            status: Status::Refused,
            sentence: sentence.into(),
        }
    }
}

/// What most functions here return.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Turns an error into a sentence.
pub(crate) trait OrSay<T> {
    /// `what` could not be done; the error follows it after a colon.
    fn or_say(self, what: impl Display) -> Outcome<T>;
}

impl<T, E: Display> OrSay<T> for Result<T, E> {
    fn or_say(self, what: impl Display) -> Outcome<T> {
        self.map_err(|error| Failure::new(format!("{what}: {error}")))
    }
}
