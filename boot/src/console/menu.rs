//! What is typed: for the guest, or after the escape key for Oche.

/// The key that opens the menu: Ctrl and `]`, as in telnet. Twice, it goes to the guest once.
pub const ESCAPE: u8 = 0x1d;

/// What the user wants of Oche.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The escape key was pressed: tell what can be pressed now.
    Prompt,
    /// Explain the keys.
    Help,
    /// Show what the run and its virtual CPUs are doing.
    State,
    /// List the guests.
    Guests,
    /// Input goes to the next guest from now on.
    Next,
    /// Ask whether the guest that has the input is to be killed.
    AskKill,
    /// Kill it.
    Kill,
    /// The menu is over, and nothing happened.
    Back,
}

impl Command {
    /// What is shown at once, line by line without the prefix of Oche's lines.
    #[must_use]
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Prompt => &["menu: h help, s state, g guests, n next guest, k kill"],
            Self::Help => &[
                "menu: h or ? this help",
                "menu: s what the guest and its virtual CPUs are doing",
                "menu: g all guests, and which one has the keyboard",
                "menu: n the keyboard goes to the next guest",
                "menu: k kills the guest that has the keyboard, after asking",
                "menu: Ctrl-] sends Ctrl-] to the guest",
                "menu: any other key goes back to the guest",
            ],
            Self::AskKill => &["menu: kill the guest? y or n"],
            Self::Back => &["menu: back to the guest"],
            Self::State | Self::Guests | Self::Next | Self::Kill => &[],
        }
    }
}

/// What a byte that was typed means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The guest's.
    Guest(u8),
    /// Oche's.
    Oche(Command),
}

/// Where in the menu the user is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Menu {
    /// Not in it: what is typed is the guest's.
    #[default]
    Closed,
    /// After the escape key.
    Open,
    /// Asked whether to kill.
    Asked,
}

impl Menu {
    /// Takes the next byte.
    pub fn take(&mut self, byte: u8) -> Input {
        let (next, input) = match (*self, byte) {
            (Self::Closed, ESCAPE) => (Self::Open, Input::Oche(Command::Prompt)),
            (Self::Closed, _) | (Self::Open, ESCAPE) => (Self::Closed, Input::Guest(byte)),
            // Whoever reads the help has not chosen yet.
            (Self::Open, b'h' | b'?') => (Self::Open, Input::Oche(Command::Help)),
            (Self::Open, b's') => (Self::Closed, Input::Oche(Command::State)),
            (Self::Open, b'g') => (Self::Closed, Input::Oche(Command::Guests)),
            (Self::Open, b'n') => (Self::Closed, Input::Oche(Command::Next)),
            (Self::Open, b'k') => (Self::Asked, Input::Oche(Command::AskKill)),
            (Self::Asked, b'y') => (Self::Closed, Input::Oche(Command::Kill)),
            (Self::Open | Self::Asked, _) => (Self::Closed, Input::Oche(Command::Back)),
        };
        *self = next;
        input
    }
}
