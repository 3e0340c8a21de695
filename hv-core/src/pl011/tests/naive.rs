//! A second PL011, written as sentences about what has happened since the FIFOs were last empty: slow, and with no
//! code in common with the first.

extern crate std;

use std::collections::VecDeque;
use std::vec::Vec;

#[derive(Clone, Debug)]
pub(super) struct Naive {
    pub(super) registers: [u64; 0x13],
    inbox: VecDeque<u8>,
    outbox: VecDeque<u8>,
    lost: bool,
    error: bool,
    causes: [bool; 11],
}

const EIGHTHS: [usize; 8] = [1, 2, 4, 6, 7, 7, 7, 7];

impl Naive {
    pub(super) fn new() -> Self {
        let mut registers = [0; 0x13];
        registers[0x30 / 4] = 0x300;
        registers[0x34 / 4] = 0x12;
        Naive {
            registers,
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            lost: false,
            error: false,
            causes: [false; 11],
        }
    }

    fn control(&self, bit: u32) -> bool {
        self.registers[0x30 / 4] >> bit & 1 == 1
    }

    fn fifos(&self) -> bool {
        self.registers[0x2c / 4] & 0x10 != 0
    }

    fn room(&self) -> usize {
        if self.fifos() { 32 } else { 1 }
    }

    fn word(&self, byte: u8) -> u8 {
        let bits = 5 + (self.registers[0x2c / 4] >> 5 & 3);
        (u64::from(byte) % (1 << bits)).to_le_bytes()[0]
    }

    /// CTS, DSR, DCD, RI.
    fn modem(&self) -> [bool; 4] {
        if self.control(7) {
            [11, 10, 12, 13].map(|bit| self.control(bit))
        } else {
            [true, true, true, false]
        }
    }

    fn raw(&self) -> u64 {
        self.causes
            .iter()
            .enumerate()
            .map(|(bit, set)| u64::from(*set) << bit)
            .sum()
    }

    pub(super) fn line(&self) -> bool {
        self.raw() & self.registers[0x38 / 4] != 0
    }

    fn arrive(&mut self, byte: u8) -> bool {
        if self.inbox.len() == self.room() {
            self.lost = true;
            self.error = true;
            self.causes[10] = true;
            return false;
        }
        let at = match self.fifos() {
            true => EIGHTHS[(self.registers[0x34 / 4] >> 3 & 7) as usize] * 4,
            false => 1,
        };
        let below = self.inbox.len() < at;
        self.inbox.push_back(self.word(byte));
        self.lost = false;
        self.causes[4] |= below && self.inbox.len() >= at;
        self.causes[6] = true;
        true
    }

    pub(super) fn receive(&mut self, byte: u8) -> bool {
        let listens = self.control(0) && self.control(9) && !self.control(7);
        listens && self.arrive(byte)
    }

    fn depart(&mut self) -> Option<u8> {
        let held = self.control(15) && !self.modem()[0];
        if !self.control(0) || !self.control(8) || held {
            return None;
        }
        let byte = self.outbox.pop_front()?;
        let at = match self.fifos() {
            true => EIGHTHS[(self.registers[0x34 / 4] & 7) as usize] * 4,
            false => 0,
        };
        self.causes[5] |= self.outbox.len() <= at;
        Some(self.word(byte))
    }

    pub(super) fn transmit(&mut self) -> Option<u8> {
        if self.control(7) { None } else { self.depart() }
    }

    pub(super) fn silence(&mut self) {
        self.causes[6] |= !self.inbox.is_empty();
    }

    pub(super) fn load(&mut self, offset: u64) -> u64 {
        match offset {
            0 => {
                let flag = if self.lost { 0x800 } else { 0 };
                let Some(byte) = self.inbox.pop_front() else {
                    return flag;
                };
                let at = match self.fifos() {
                    true => EIGHTHS[(self.registers[0x34 / 4] >> 3 & 7) as usize] * 4,
                    false => 1,
                };
                self.causes[4] &= self.inbox.len() >= at;
                self.causes[6] &= !self.inbox.is_empty();
                u64::from(byte) | flag
            }
            4 => u64::from(self.error) << 3,
            0x18 => {
                let [cts, dsr, dcd, ri] = self.modem();
                let (inbox, outbox) = (self.inbox.len(), self.outbox.len());
                let bits: Vec<bool> = [
                    cts,
                    dsr,
                    dcd,
                    outbox != 0,
                    inbox == 0,
                    outbox == self.room(),
                    inbox == self.room(),
                    outbox == 0,
                    ri,
                ]
                .into();
                bits.iter()
                    .enumerate()
                    .map(|(bit, set)| u64::from(*set) << bit)
                    .sum()
            }
            0x3c => self.raw(),
            0x40 => self.raw() & self.registers[0x38 / 4],
            0x20 | 0x24 | 0x28 | 0x2c | 0x30 | 0x34 | 0x38 | 0x48 => {
                self.registers[(offset / 4) as usize]
            }
            _ if (0xfe0..0x1000).contains(&offset) && offset.is_multiple_of(4) => {
                0xb105_f00d_0034_1011_u64.to_le_bytes()[((offset - 0xfe0) / 4) as usize].into()
            }
            _ => 0,
        }
    }

    pub(super) fn store(&mut self, offset: u64, value: u64) {
        let kept = match offset {
            0x20 => 0xff,
            0x24 => 0xffff,
            0x28 => 0x3f,
            0x2c => 0xff,
            0x30 => 0xff87,
            0x34 => 0x3f,
            0x38 => 0x7ff,
            0x48 => 7,
            _ => 0,
        };
        match offset {
            0 if self.outbox.len() < self.room() => {
                self.outbox.push_back(value.to_le_bytes()[0]);
                let at = match self.fifos() {
                    true => EIGHTHS[(self.registers[0x34 / 4] & 7) as usize] * 4,
                    false => 0,
                };
                self.causes[5] &= self.outbox.len() <= at;
            }
            4 => self.error = false,
            0x44 => {
                for (bit, cause) in self.causes.iter_mut().enumerate() {
                    *cause &= value >> bit & 1 == 0;
                }
            }
            _ if kept != 0 => {
                let (fifos, modem) = (self.fifos(), self.modem());
                self.registers[(offset / 4) as usize] = value & kept;
                if fifos != self.fifos() {
                    self.inbox.clear();
                    self.outbox.clear();
                    self.lost = false;
                    self.causes[4] = false;
                    self.causes[6] = false;
                }
                // CTS, DSR, DCD, RI raise bits 1, 3, 2, 0.
                for (number, bit) in [1, 3, 2, 0].into_iter().enumerate() {
                    self.causes[bit] |= modem[number] != self.modem()[number];
                }
            }
            _ => {}
        }
        while self.control(7) {
            let Some(byte) = self.depart() else { break };
            if self.control(0) && self.control(9) {
                self.arrive(byte);
            }
        }
    }
}
