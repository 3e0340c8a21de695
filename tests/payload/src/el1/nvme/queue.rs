//! A submission queue and its completion queue, one command at a time.

use super::{DmaPage, PATIENCE_MS, Trouble};
use crate::el1::cpu::{Deadline, barrier};
use crate::el1::mmio::Registers;

/// Entries in each queue.
pub(super) const ENTRIES: u32 = 16;
/// Where the doorbells begin (NVMe base 1.4, 3.1.24).
const DOORBELLS: u64 = 0x1000;

/// The words of a command that are not zero (NVMe base 1.4, figure 105).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Command {
    pub(super) opcode: u32,
    pub(super) namespace: u32,
    /// The two words that name the data.
    pub(super) data: [u64; 2],
    /// Words 10 to 12.
    pub(super) words: [u32; 3],
}

/// The two queues.
pub(super) struct Pair {
    registers: Registers,
    /// Offsets of the tail's and the head's doorbell.
    doorbells: [u64; 2],
    submission: DmaPage,
    completion: DmaPage,
    tail: u32,
    head: u32,
    /// What the phase bit of a new completion is: it turns round with the queue.
    phase: u64,
    /// Names each command, so that a late completion is not taken for another's.
    next: u16,
}

impl Pair {
    pub(super) fn new(registers: Registers, number: u64, stride: u64, pages: [DmaPage; 2]) -> Self {
        let [submission, completion] = pages;
        let doorbells = [2 * number, 2 * number + 1].map(|index| DOORBELLS + index * stride);
        Self {
            registers,
            doorbells,
            submission,
            completion,
            tail: 0,
            head: 0,
            phase: 1,
            next: 1,
        }
    }

    /// Gives the drive a command and waits until it says that it is done.
    pub(super) fn run(&mut self, command: &Command) -> Result<u16, Trouble> {
        let name = self.next;
        self.next = self.next.wrapping_add(1);
        self.submit(command, name);
        let deadline = Deadline::after_ms(PATIENCE_MS);
        loop {
            if let Some((of, status)) = self.completion() {
                if of == name {
                    return Ok(status);
                }
            } else if deadline.passed() {
                return Err(Trouble::Silent);
            }
        }
    }

    fn submit(&mut self, command: &Command, name: u16) {
        let page = self.submission.page;
        // An entry is 64 bytes: eight words.
        let first = self.tail as usize * 8;
        let [w10, w11, w12] = command.words.map(u64::from);
        let words = [
            u64::from(command.namespace) << 32 | u64::from(name) << 16 | u64::from(command.opcode),
            0,
            0,
            command.data[0],
            command.data[1],
            w11 << 32 | w10,
            w12,
            0,
        ];
        // The first word's halves: opcode and name, then the namespace.
        for (index, word) in words.into_iter().enumerate() {
            page.write(first + index, word);
        }
        self.tail = (self.tail + 1) % ENTRIES;
        barrier();
        self.registers.write32(self.doorbells[0], self.tail);
    }

    /// The next completion: whose it is, and its status.
    fn completion(&mut self) -> Option<(u16, u16)> {
        // An entry is 16 bytes: two words. The second has name, phase and status in its upper half.
        let word = self.completion.page.read(self.head as usize * 2 + 1);
        if word >> 48 & 1 != self.phase {
            return None;
        }
        barrier();
        self.head = (self.head + 1) % ENTRIES;
        if self.head == 0 {
            self.phase ^= 1;
        }
        self.registers.write32(self.doorbells[1], self.head);
        Some(((word >> 32 & 0xffff) as u16, (word >> 49) as u16))
    }
}
