//! The command queue: a ring in memory that the ITS reads (IHI 0069, 5.3.1).

use core::fmt;

use super::spec::{COMMAND_WORDS, Command, STALLED, offset};
use super::{Io, POLLS};
use crate::addr::{FRAME_SIZE, FRAME_WORDS, Frame};

/// The ITS does not answer: it stopped at a command, or does not move. What was asked for may or may not have happened,
/// so nothing may be released. It is not used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hung;

impl fmt::Display for Hung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ITS does not answer")
    }
}

/// log2 of the queue's frames. The ITS wants 64 KiB alignment (`GITS_CBASER`).
pub(super) const ORDER: u32 = 2;
pub(super) const BYTES: u64 = FRAME_SIZE << ORDER;
const COMMAND_BYTES: u64 = 8 * COMMAND_WORDS as u64;

/// The queue, driven to completion at each call.
pub(super) struct CommandQueue {
    first: Frame,
    /// The ITS reads past the cores' caches.
    coherent: bool,
    /// Byte offset of the next command, as `GITS_CWRITER` has it.
    writer: u64,
    /// Of the first command that was not handed over yet.
    handed: u64,
    hung: bool,
}

/// The part of `GITS_CWRITER` and `GITS_CREADR` that is an offset into this queue.
const fn position(register: u64) -> u64 {
    register & (BYTES - 1) & !(COMMAND_BYTES - 1)
}

impl CommandQueue {
    pub(super) fn new(first: Frame, coherent: bool) -> Self {
        Self {
            first,
            coherent,
            writer: 0,
            handed: 0,
            hung: false,
        }
    }

    /// Runs commands and waits until the ITS has consumed them. A `SYNC` is consumed only when all before it has
    /// reached its redistributor.
    pub(super) fn run(
        &mut self,
        io: &Io<'_>,
        commands: impl IntoIterator<Item = Command>,
    ) -> Result<(), Hung> {
        for command in commands {
            self.push(io, command)?;
        }
        self.submit(io)
    }

    fn push(&mut self, io: &Io<'_>, command: Command) -> Result<(), Hung> {
        if self.hung {
            return Err(Hung);
        }
        let next = position(self.writer.wrapping_add(COMMAND_BYTES));
        // A queue in which they are equal is empty, so one place stays free.
        if next == position(io.registers.read64(offset::CREADR)) {
            self.submit(io)?;
        }
        let frame = Frame::from_number(self.first.number() + self.writer / FRAME_SIZE);
        let index = (self.writer % FRAME_SIZE / 8) as usize % FRAME_WORDS;
        for (nth, word) in command.words().into_iter().enumerate() {
            io.frames.store(frame, index + nth, word);
        }
        self.writer = next;
        Ok(())
    }

    /// Hands over what was pushed and waits until it is consumed.
    fn submit(&mut self, io: &Io<'_>) -> Result<(), Hung> {
        if self.hung {
            return Err(Hung);
        }
        // Commands, and the tables that they are about, before the register.
        if !self.coherent {
            self.clean(io);
        }
        self.handed = self.writer;
        io.clean.stores();
        io.registers.write64(offset::CWRITER, self.writer);
        for _ in 0..POLLS {
            let reader = io.registers.read64(offset::CREADR);
            if reader & STALLED != 0 {
                break;
            }
            if position(reader) == self.writer {
                return Ok(());
            }
            core::hint::spin_loop();
        }
        self.hung = true;
        Err(Hung)
    }

    fn clean(&self, io: &Io<'_>) {
        let base = self.first.base();
        let part = |from: u64, past: u64| {
            if let (Some(at), Some(bytes)) = (base.checked_add(from), past.checked_sub(from)) {
                io.clean.clean(at, bytes);
            }
        };
        if self.handed <= self.writer {
            part(self.handed, self.writer);
        } else {
            part(self.handed, BYTES);
            part(0, self.writer);
        }
    }
}
