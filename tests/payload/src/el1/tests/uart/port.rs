//! A PL011's registers (Arm DDI 0183G, chapter 3), and its line at the GIC.

use crate::el1::cpu::{Deadline, barrier};
use crate::el1::machine::Machine;
use crate::el1::mmio::Registers;

pub(super) mod register {
    pub(in super::super) const DATA: u64 = 0x00;
    pub(in super::super) const STATUS: u64 = 0x04;
    pub(in super::super) const FLAGS: u64 = 0x18;
    pub(in super::super) const LOW_POWER: u64 = 0x20;
    pub(in super::super) const BAUD_WHOLE: u64 = 0x24;
    pub(in super::super) const BAUD_FRACTION: u64 = 0x28;
    pub(in super::super) const LINE: u64 = 0x2c;
    pub(in super::super) const CONTROL: u64 = 0x30;
    pub(in super::super) const LEVELS: u64 = 0x34;
    pub(in super::super) const MASK: u64 = 0x38;
    pub(in super::super) const RAW: u64 = 0x3c;
    pub(in super::super) const MASKED: u64 = 0x40;
    pub(in super::super) const CLEAR: u64 = 0x44;
    pub(in super::super) const DMA: u64 = 0x48;
    pub(in super::super) const TEST: u64 = 0x80;
    pub(in super::super) const IDENTIFICATION: u64 = 0xfe0;
}

pub(super) mod flag {
    pub(in super::super) const CTS: u32 = 1 << 0;
    pub(in super::super) const DSR: u32 = 1 << 1;
    pub(in super::super) const DCD: u32 = 1 << 2;
    pub(in super::super) const BUSY: u32 = 1 << 3;
    pub(in super::super) const RECEIVE_EMPTY: u32 = 1 << 4;
    pub(in super::super) const TRANSMIT_FULL: u32 = 1 << 5;
    pub(in super::super) const RECEIVE_FULL: u32 = 1 << 6;
    pub(in super::super) const TRANSMIT_EMPTY: u32 = 1 << 7;
    pub(in super::super) const RI: u32 = 1 << 8;
    pub(in super::super) const MODEM: u32 = CTS | DSR | DCD | RI;
}

pub(super) mod control {
    /// UARTEN, TXE, RXE.
    pub(in super::super) const ON: u32 = 0x301;
    pub(in super::super) const LOOP_BACK: u32 = 1 << 7;
    pub(in super::super) const DTR: u32 = 1 << 10;
    pub(in super::super) const RTS: u32 = 1 << 11;
    pub(in super::super) const OUT1: u32 = 1 << 12;
    pub(in super::super) const OUT2: u32 = 1 << 13;
}

pub(super) mod interrupt {
    pub(in super::super) const RECEIVE: u32 = 1 << 4;
    pub(in super::super) const TRANSMIT: u32 = 1 << 5;
    pub(in super::super) const TIMEOUT: u32 = 1 << 6;
    pub(in super::super) const OVERRUN: u32 = 1 << 10;
    pub(in super::super) const ALL: u32 = 0x7ff;
}

/// GICD_ISPENDR0 (IHI 0069, 12.9): of a level-sensitive interrupt it shows the line.
const PENDING: u64 = 0x200;

pub(super) struct Port {
    registers: Registers,
    distributor: Registers,
    interrupt: u32,
}

impl Port {
    pub(super) fn of(machine: &Machine) -> Self {
        let (base, interrupt) = machine.uart;
        Self {
            // SAFETY: the device tree says that a PL011 is there.
            registers: unsafe { Registers::new(base) },
            // SAFETY: likewise of the distributor.
            distributor: unsafe { Registers::new(machine.distributor) },
            interrupt,
        }
    }

    pub(super) fn get(&self, offset: u64) -> u32 {
        self.registers.read32(offset)
    }

    pub(super) fn set(&self, offset: u64, value: u32) {
        self.registers.write32(offset, value);
    }

    pub(super) fn flags(&self) -> u32 {
        self.get(register::FLAGS)
    }

    /// All eight identification registers, the first lowest.
    pub(super) fn identification(&self) -> u64 {
        (0..8).fold(0, |id, n| {
            id | u64::from(self.get(register::IDENTIFICATION + n * 4) & 0xff) << (n * 8)
        })
    }

    /// As an operating system leaves it: on, 8 bits, FIFOs, levels at a half, nothing unmasked.
    pub(super) fn start(&self) {
        self.set(register::CONTROL, 0);
        self.set(register::LINE, 0x60);
        self.set(register::LINE, 0x70);
        self.set(register::LEVELS, 0x12);
        self.set(register::MASK, 0);
        self.set(register::CONTROL, control::ON);
    }

    /// Whether halfword accesses are those of the word, as far as it fits.
    pub(super) fn narrow(&self) -> bool {
        self.registers.write16(register::BAUD_WHOLE, 0x1234);
        let whole = self.get(register::BAUD_WHOLE) == 0x1234;
        self.set(register::BAUD_WHOLE, 0x5678);
        whole && self.registers.read16(register::BAUD_WHOLE) == 0x5678
    }

    /// On, looped back, with these modem outputs.
    pub(super) fn loop_back(&self, outputs: u32) {
        self.set(
            register::CONTROL,
            control::ON | control::LOOP_BACK | outputs,
        );
    }

    /// Writes a character, whether or not there is room.
    pub(super) fn put(&self, byte: u8) {
        self.set(register::DATA, byte.into());
    }

    /// Writes a character when there is room.
    pub(super) fn send(&self, byte: u8) {
        while self.flags() & flag::TRANSMIT_FULL != 0 {}
        self.put(byte);
    }

    /// Waits until everything is transmitted.
    pub(super) fn settle(&self) -> bool {
        let deadline = Deadline::after_ms(100);
        while self.flags() & flag::BUSY != 0 {
            if deadline.passed() {
                return false;
            }
        }
        true
    }

    /// Reads whatever there is.
    pub(super) fn empty(&self) {
        while self.flags() & flag::RECEIVE_EMPTY == 0 {
            self.get(register::DATA);
        }
    }

    /// Whether the GIC sees the interrupt.
    pub(super) fn is_pending(&self) -> bool {
        barrier();
        let word = self
            .distributor
            .read32(PENDING + u64::from(self.interrupt / 32) * 4);
        word & (1 << (self.interrupt % 32)) != 0
    }
}
