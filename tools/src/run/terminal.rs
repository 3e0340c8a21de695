//! The keyboard: from this program's input to the machine's serial line.

use std::io::{IsTerminal, Read, Write};
use std::process::ChildStdin;
use std::thread;

use rustix::process::getpgrp;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};

use crate::command::interrupt;

/// How the user's terminal is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// Keys go to the machine one by one; Ctrl-C still interrupts.
    Keys,
    /// Every key goes to the machine, and what comes from it is shown as it is.
    Raw,
}

/// The escape key of Oche's menu, Ctrl-].
const ESCAPE: u8 = 0x1d;
/// What Ctrl-C is where it does not interrupt.
const CTRL_C: u8 = 0x03;

/// The terminal's settings while a machine runs; dropping it puts the old ones back.
pub(crate) struct Terminal {
    before: Option<Termios>,
}

impl Terminal {
    /// Takes the terminal, if there is one and it is ours.
    pub(crate) fn take(attach: Attach) -> Self {
        let stdin = std::io::stdin();
        let before = match is_ours() {
            true => tcgetattr(&stdin).ok(),
            false => None,
        };
        if let Some(before) = &before {
            let mut settings = before.clone();
            match attach {
                Attach::Raw => settings.make_raw(),
                Attach::Keys => {
                    settings.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
                    settings.input_modes -= InputModes::ICRNL | InputModes::IXON;
                }
            }
            // The terminal may be gone.
            let _ = tcsetattr(&stdin, OptionalActions::Now, &settings);
        }
        Terminal { before }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Whether standard input is a terminal that this program may use: one in the background is stopped
/// when it tries.
fn is_ours() -> bool {
    let stdin = std::io::stdin();
    stdin.is_terminal() && tcgetpgrp(&stdin).is_ok_and(|foreground| foreground == getpgrp())
}

/// Passes the input on to the machine, whether keys or a file, in a thread of its own that ends with
/// the program. A terminal is only read if it is ours.
pub(crate) fn pass_input_on(machine: Option<ChildStdin>, attach: Attach) {
    let Some(mut machine) = machine else {
        return;
    };
    if std::io::stdin().is_terminal() && !is_ours() {
        return;
    }
    thread::spawn(move || {
        let mut way_out = WayOut::default();
        let mut buffer = [0; 1024];
        while let Ok(length) = std::io::stdin().read(&mut buffer) {
            let typed = &buffer[..length];
            if attach == Attach::Raw && typed.iter().any(|byte| way_out.is_taken(*byte)) {
                return interrupt();
            }
            let passed = machine.write_all(typed).and_then(|()| machine.flush());
            if length == 0 || passed.is_err() {
                break;
            }
        }
    });
}

/// Ctrl-] and Ctrl-C: the way out of a raw terminal when Oche does not answer any more.
#[derive(Default)]
struct WayOut {
    escaped: bool,
}

impl WayOut {
    fn is_taken(&mut self, byte: u8) -> bool {
        let taken = self.escaped && byte == CTRL_C;
        self.escaped = byte == ESCAPE && !self.escaped;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(typed: &[u8]) -> bool {
        let mut way_out = WayOut::default();
        typed.iter().any(|byte| way_out.is_taken(*byte))
    }

    #[test]
    fn the_way_out_is_the_escape_key_and_ctrl_c() {
        assert!(leaves(b"ls\r\x1d\x03"));
        assert!(!leaves(b"\x03"));
        assert!(!leaves(b"\x1dh\x03"));
        // The escape key twice is one for the guest.
        assert!(!leaves(b"\x1d\x1d\x03"));
        assert!(leaves(b"\x1d\x1d\x1d\x03"));
    }
}
