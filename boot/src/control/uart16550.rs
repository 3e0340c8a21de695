//! A 16550 UART, polled: no interrupts, nothing waits. Registers and bits as in the PC16550D's data sheet, 8.0.
//!
//! `uart_16550` has more than is needed (loopback tests, terminals), wants a later Rust, and reads by plain volatile
//! accesses; here the accesses are those of `hv_core`'s device windows.

use super::Port;

/// Eight byte-wide registers, by their numbers 0 to 7. How far they lie apart is the implementor's business.
pub trait Registers {
    /// Reads one.
    fn read(&self, register: u8) -> u8;
    /// Writes one.
    fn write(&self, register: u8, value: u8);
}

/// Receiver buffer when read, transmitter holding register when written; divisor low with `DIVISOR` set.
const DATA: u8 = 0;
/// Interrupt enable; divisor high with `DIVISOR` set.
const INTERRUPTS: u8 = 1;
/// FIFO control, write only.
const FIFO: u8 = 2;
const LINE_CONTROL: u8 = 3;
const MODEM_CONTROL: u8 = 4;
const LINE_STATUS: u8 = 5;
/// Plain storage.
const SCRATCH: u8 = 7;

/// Of the FIFO control register: on, both FIFOs emptied, the receiver's trigger at 14 bytes. Without interrupts the
/// trigger says nothing, but QEMU takes from the other end no more at a time than is missing to it.
const FIFO_ON_AND_EMPTY: u8 = 0b1100_0111;
/// Of the line control register: eight bits, no parity, one stop bit.
const EIGHT_BITS: u8 = 0b11;
/// Of the line control register: the divisor is seen in the first two registers.
const DIVISOR: u8 = 1 << 7;
/// Of the modem control register: DTR and RTS, so that whoever is there may send.
const READY: u8 = 0b11;
/// Of the line status register.
const RECEIVED: u8 = 1 << 0;
const HOLDING_EMPTY: u8 = 1 << 5;
const TRANSMITTER_EMPTY: u8 = 1 << 6;

/// Bytes that the transmitter takes when it says that it is empty.
const DEPTH: u8 = 16;

/// The UART.
#[derive(Debug)]
pub struct Uart16550<R> {
    registers: R,
    /// Bytes that can be handed over before the line status is looked at again.
    room: u8,
}

impl<R: Registers> Uart16550<R> {
    /// Sets the UART up: 115200 baud at the usual clock of 1.8432 MHz (an emulated one does not care), eight bits, no
    /// parity, FIFOs on, interrupts off. `None`: no such UART answers there.
    pub fn new(registers: R) -> Option<Self> {
        for pattern in [0x5a, 0xa5] {
            registers.write(SCRATCH, pattern);
            if registers.read(SCRATCH) != pattern {
                return None;
            }
        }
        registers.write(LINE_CONTROL, DIVISOR | EIGHT_BITS);
        registers.write(DATA, 1);
        registers.write(INTERRUPTS, 0);
        registers.write(LINE_CONTROL, EIGHT_BITS);
        registers.write(INTERRUPTS, 0);
        registers.write(FIFO, FIFO_ON_AND_EMPTY);
        registers.write(MODEM_CONTROL, READY);
        Some(Self { registers, room: 0 })
    }
}

impl<R: Registers> Port for Uart16550<R> {
    fn receive(&mut self) -> Option<u8> {
        let some = self.registers.read(LINE_STATUS) & RECEIVED != 0;
        some.then(|| self.registers.read(DATA))
    }

    fn send(&mut self, byte: u8) -> bool {
        if self.room == 0 && self.registers.read(LINE_STATUS) & HOLDING_EMPTY != 0 {
            self.room = DEPTH;
        }
        let Some(room) = self.room.checked_sub(1) else {
            return false;
        };
        self.room = room;
        self.registers.write(DATA, byte);
        true
    }

    fn is_idle(&mut self) -> bool {
        self.registers.read(LINE_STATUS) & TRANSMITTER_EMPTY != 0
    }
}
