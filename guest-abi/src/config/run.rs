//! `oche/config`: settings of the whole run.

use core::fmt;

use super::text::{entries, is_name, missing, switch, switch_word};
use super::{ConfigError, Problem};

/// The longest token, in hexadecimal digits.
pub const MAX_TOKEN: usize = 64;

const TOKEN: &str = "a secret of 1 to 64 hexadecimal digits";
const SWITCH: &str = "`on` or `off`";
const DELIVERY: &str = "`hardware`, `software` or `trapped`";
const CONSOLE: &str = "`tagged` or `raw`";
const GUARDS: &str = "a list of names with commas between them";

/// How interrupts reach a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// By list registers; the machine's interrupts are linked to the guest's, whose end ends both.
    Hardware,
    /// By list registers; the machine's interrupts are masked until the guest's have ended (Apple's
    /// cores have no link).
    Software,
    /// Without list registers: the guest's accesses to its CPU interface trap.
    Trapped,
}

impl Delivery {
    const ALL: [(&'static str, Self); 3] = [
        ("hardware", Self::Hardware),
        ("software", Self::Software),
        ("trapped", Self::Trapped),
    ];

    fn parse(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == word);
        found.map(|(_, delivery)| *delivery)
    }

    /// Its name in the text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Software => "software",
            Self::Trapped => "trapped",
        }
    }
}

/// How guests are shown on the machine's serial line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsoleStyle {
    /// Each line with the guest's name in front, and nothing that could be taken for Oche's.
    #[default]
    Tagged,
    /// Byte by byte as it is written: the line is the guest's.
    Raw,
}

impl ConsoleStyle {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "tagged" => Some(Self::Tagged),
            "raw" => Some(Self::Raw),
            _ => None,
        }
    }
}

/// Settings of the whole run (`oche/config`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunConfig<'a> {
    /// The secret that marks the machine-readable lines of this run. Guests never see it, so a
    /// guest that shares the serial line cannot forge such a line.
    pub token: &'a str,
    /// Whether the guest's tables are shadowed. Off is the negative control: every stream stays
    /// on an empty root, and no DMA can work.
    pub shadow: bool,
    /// Whether the guest is told addresses to attack. An aid for tests.
    pub reveal: bool,
    /// How interrupts reach guests; without it as the platform likes it best.
    pub interrupts: Option<Delivery>,
    /// How guests are shown on the serial line; tagged without it.
    pub console: ConsoleStyle,
    /// Whether a guest that resets itself starts anew; off ends the run then.
    pub reboot: bool,
    /// The guards to take out, with commas between their names; usually empty. Only the test
    /// image understands it, the shipped image refuses any.
    pub guards_out: &'a str,
}

impl<'a> RunConfig<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn parse(text: &'a str) -> Result<Self, ConfigError<'a>> {
        let (mut token, mut shadow, mut reveal, mut guards_out) = (None, None, None, None);
        let (mut interrupts, mut console, mut reboot) = (None, None, None);
        for entry in entries(text)? {
            let entry = entry?;
            match entry.key {
                "token" => {
                    let value = entry.read("token", TOKEN, |v| is_token(v).then_some(v))?;
                    entry.set(&mut token, value)?;
                }
                "shadow" => {
                    let value = entry.read("shadow", SWITCH, switch)?;
                    entry.set(&mut shadow, value)?;
                }
                "reveal" => {
                    let value = entry.read("reveal", SWITCH, switch)?;
                    entry.set(&mut reveal, value)?;
                }
                "interrupts" => {
                    let value = entry.read("interrupts", DELIVERY, Delivery::parse)?;
                    entry.set(&mut interrupts, value)?;
                }
                "console" => {
                    let value = entry.read("console", CONSOLE, ConsoleStyle::parse)?;
                    entry.set(&mut console, value)?;
                }
                "reboot" => {
                    let value = entry.read("reboot", SWITCH, switch)?;
                    entry.set(&mut reboot, value)?;
                }
                "guards-out" => {
                    let value = entry.read("guards-out", GUARDS, |v| is_list(v).then_some(v))?;
                    entry.set(&mut guards_out, value)?;
                }
                "version" => return Err(entry.error(Problem::Repeated(entry.key))),
                key => return Err(entry.error(Problem::UnknownKey(key))),
            }
        }
        Ok(RunConfig {
            token: token.ok_or_else(|| missing(text, "token"))?,
            shadow: shadow.ok_or_else(|| missing(text, "shadow"))?,
            reveal: reveal.ok_or_else(|| missing(text, "reveal"))?,
            interrupts,
            console: console.unwrap_or_default(),
            reboot: reboot.unwrap_or(true),
            guards_out: guards_out.unwrap_or(""),
        })
    }

    /// Whether the value would read back as it is: to be asked before it is written.
    ///
    /// # Errors
    /// The first field that the text could not carry.
    pub fn check(&self) -> Result<(), Problem<'a>> {
        if !is_token(self.token) {
            return Err(Problem::BadValue {
                key: "token",
                value: self.token,
                wanted: TOKEN,
            });
        }
        if !self.guards_out.is_empty() && !is_list(self.guards_out) {
            return Err(Problem::BadValue {
                key: "guards-out",
                value: self.guards_out,
                wanted: GUARDS,
            });
        }
        Ok(())
    }

    /// The names of the guards to take out.
    pub fn guards(&self) -> impl Iterator<Item = &'a str> {
        self.guards_out.split(',').filter(|name| !name.is_empty())
    }
}

impl fmt::Display for RunConfig<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version = {}", super::VERSION)?;
        writeln!(f, "token = {}", self.token)?;
        writeln!(f, "shadow = {}", switch_word(self.shadow))?;
        writeln!(f, "reveal = {}", switch_word(self.reveal))?;
        if let Some(interrupts) = self.interrupts {
            writeln!(f, "interrupts = {}", interrupts.name())?;
        }
        if self.console == ConsoleStyle::Raw {
            writeln!(f, "console = raw")?;
        }
        if !self.reboot {
            writeln!(f, "reboot = off")?;
        }
        if !self.guards_out.is_empty() {
            writeln!(f, "guards-out = {}", self.guards_out)?;
        }
        Ok(())
    }
}

fn is_token(word: &str) -> bool {
    !word.is_empty() && word.len() <= MAX_TOKEN && word.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_list(words: &str) -> bool {
    words.split(',').all(|word| is_name(word, super::MAX_NAME))
}
