//! A PL011 (Arm DDI 0183G, r1p5) without a clock: plain logic between a guest's accesses and a stream of bytes.
//!
//! What a device without a baud rate means for a driver:
//! - A byte leaves the transmit FIFO when the world takes it ([`Pl011::transmit`]); until then the guest sees it there,
//!   and a FIFO that is full.
//! - The line falls silent after each byte, so that the receive timeout comes at once.
//!
//! `docs/machine.md` has a table of the registers.

mod registers;

use arrayvec::ArrayVec;

use self::registers::{
    DATA_OVERRUN, FIFOS, LEVELS_RESET, Register, STATUS_OVERRUN, WORD_LENGTH_SHIFT, control, flag,
    interrupt,
};

/// Characters that each FIFO holds (r1p5: 32).
pub const FIFO_DEPTH: usize = 32;

type Fifo = ArrayVec<u8, FIFO_DEPTH>;

/// What the world has to do after an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the interrupt line may have changed, and bytes may wait to be transmitted"]
pub struct Outcome {
    /// The level of the interrupt line (`UARTINTR`).
    pub line: bool,
    /// [`Pl011::transmit`] has a byte.
    pub output: bool,
}

/// One PL011.
#[derive(Clone, Debug)]
pub struct Pl011 {
    /// Received and not read yet.
    received: Fifo,
    /// Written and not transmitted yet.
    waiting: Fifo,
    /// UARTRSR: only the overrun error ever occurs.
    status: u32,
    /// A character was lost, and none was received since.
    overrun: bool,
    low_power: u32,
    baud_whole: u32,
    baud_fraction: u32,
    line_control: u32,
    control: u32,
    levels: u32,
    mask: u32,
    raw: u32,
    dma: u32,
}

impl Default for Pl011 {
    fn default() -> Self {
        Self::new()
    }
}

impl Pl011 {
    /// A PL011 after reset: switched off, without FIFOs (table 3-1).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            received: ArrayVec::new_const(),
            waiting: ArrayVec::new_const(),
            status: 0,
            overrun: false,
            low_power: 0,
            baud_whole: 0,
            baud_fraction: 0,
            line_control: 0,
            control: control::RESET,
            levels: LEVELS_RESET,
            mask: 0,
            raw: 0,
            dma: 0,
        }
    }

    /// A PL011 as firmware leaves it to an operating system: switched on, 8 bits a character, with FIFOs. Programs that
    /// only write characters (an early console) rely on it.
    #[must_use]
    pub const fn started() -> Self {
        let mut uart = Self::new();
        uart.line_control = 3 << WORD_LENGTH_SHIFT | FIFOS;
        uart.control = control::RESET | control::ENABLE;
        uart
    }

    /// A guest's load of `bytes` bytes at `offset`. What is no register of 1, 2 or 4 bytes reads as zero.
    pub fn read(&mut self, offset: u64, bytes: u8) -> (u64, Outcome) {
        let kept = match bytes {
            1 => 0xff,
            2 => 0xffff,
            4 => 0xffff_ffff,
            _ => 0,
        };
        let register = Register::at(offset).filter(|_| kept != 0);
        let value = register.map_or(0, |register| self.load(register));
        (u64::from(value) & kept, self.outcome())
    }

    /// A guest's store of `bytes` bytes at `offset`. A narrow one writes zeroes above; what is no register of 1, 2 or
    /// 4 bytes ignores it.
    pub fn write(&mut self, offset: u64, bytes: u8, value: u64) -> Outcome {
        let value = match bytes {
            1 => value & 0xff,
            2 => value & 0xffff,
            4 => value & 0xffff_ffff,
            _ => return self.outcome(),
        };
        if let (Some(register), Ok(value)) = (Register::at(offset), u32::try_from(value)) {
            self.store(register, value);
            self.loop_back();
        }
        self.outcome()
    }

    /// A byte arrives on the line. `false`: it is lost, because the receiver is off or the line is looped back, or
    /// because the FIFO is full, which the guest is told.
    pub fn receive(&mut self, byte: u8) -> bool {
        self.receiver_on() && !self.is_looped_back() && self.accept(byte)
    }

    /// Whether a byte that arrives now is kept.
    #[must_use]
    pub fn can_receive(&self) -> bool {
        self.receiver_on() && !self.is_looped_back() && self.received.len() < self.depth()
    }

    /// The line has been silent for 32 bit periods: a receive timeout, if something waits to be read (2.8.3). For
    /// drivers that clear the interrupt and leave characters in the FIFO.
    pub fn fall_silent(&mut self) -> Outcome {
        if !self.received.is_empty() {
            self.raw |= interrupt::TIMEOUT;
        }
        self.outcome()
    }

    /// Takes the next byte that leaves on the line.
    pub fn transmit(&mut self) -> Option<u8> {
        if self.is_looped_back() {
            return None;
        }
        self.send()
    }

    /// The level of the interrupt line (`UARTINTR`).
    #[must_use]
    pub const fn line(&self) -> bool {
        self.raw & self.mask != 0
    }

    /// Whether [`Pl011::transmit`] has a byte.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.can_send() && !self.is_looped_back()
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            line: self.line(),
            output: self.has_output(),
        }
    }

    fn load(&mut self, register: Register) -> u32 {
        match register {
            Register::Data => self.take_received(),
            Register::ReceiveStatus => self.status,
            Register::Flags => self.flags(),
            Register::LowPower => self.low_power,
            Register::BaudWhole => self.baud_whole,
            Register::BaudFraction => self.baud_fraction,
            Register::LineControl => self.line_control,
            Register::Control => self.control,
            Register::Levels => self.levels,
            Register::Mask => self.mask,
            Register::RawInterrupts => self.raw,
            Register::MaskedInterrupts => self.raw & self.mask,
            Register::Clear => 0,
            Register::DmaControl => self.dma,
            Register::Identification(byte) => byte.into(),
        }
    }

    fn store(&mut self, register: Register, value: u32) {
        match register {
            Register::Data => self.put(value.to_le_bytes()[0]),
            Register::ReceiveStatus => self.status = 0,
            Register::LowPower => self.low_power = value & 0xff,
            Register::BaudWhole => self.baud_whole = value & 0xffff,
            Register::BaudFraction => self.baud_fraction = value & 0x3f,
            Register::LineControl => {
                if (self.line_control ^ value) & FIFOS != 0 {
                    self.flush();
                }
                self.line_control = value & 0xff;
            }
            Register::Control => self.change_control(value & control::WRITABLE),
            Register::Levels => self.levels = value & 0x3f,
            Register::Mask => self.mask = value & interrupt::ALL,
            Register::Clear => self.raw &= !value,
            Register::DmaControl => self.dma = value & 7,
            Register::Flags
            | Register::RawInterrupts
            | Register::MaskedInterrupts
            | Register::Identification(_) => {}
        }
    }

    fn flags(&self) -> u32 {
        let depth = self.depth();
        let when = |holds: bool, flag: u32| if holds { flag } else { 0 };
        self.modem()
            | when(self.received.is_empty(), flag::RECEIVE_EMPTY)
            | when(self.received.len() >= depth, flag::RECEIVE_FULL)
            | when(self.waiting.is_empty(), flag::TRANSMIT_EMPTY)
            | when(self.waiting.len() >= depth, flag::TRANSMIT_FULL)
            | when(!self.waiting.is_empty(), flag::BUSY)
    }

    /// The modem's lines as flags. Whoever is at the other end is always there and ready; looped back, each input is
    /// an output (UARTCR.LBE).
    fn modem(&self) -> u32 {
        if !self.is_looped_back() {
            return flag::CTS | flag::DSR | flag::DCD;
        }
        [
            (control::RTS, flag::CTS),
            (control::DTR, flag::DSR),
            (control::OUT1, flag::DCD),
            (control::OUT2, flag::RI),
        ]
        .iter()
        .filter(|(output, _)| self.control & output != 0)
        .fold(0, |flags, (_, input)| flags | input)
    }

    fn change_control(&mut self, value: u32) {
        let before = self.modem();
        self.control = value;
        let changed = before ^ self.modem();
        for (input, raised) in [
            (flag::CTS, interrupt::CTS),
            (flag::DSR, interrupt::DSR),
            (flag::DCD, interrupt::DCD),
            (flag::RI, interrupt::RI),
        ] {
            if changed & input != 0 {
                self.raw |= raised;
            }
        }
    }

    const fn is_looped_back(&self) -> bool {
        self.control & control::LOOP_BACK != 0
    }

    const fn has(&self, bits: u32) -> bool {
        self.control & bits == bits
    }

    fn receiver_on(&self) -> bool {
        self.has(control::ENABLE | control::RECEIVE)
    }

    fn can_send(&self) -> bool {
        let may = !self.has(control::CTS_FLOW) || self.modem() & flag::CTS != 0;
        may && self.has(control::ENABLE | control::TRANSMIT) && !self.waiting.is_empty()
    }

    /// Without FIFOs each is one holding register (3.3.7, FEN).
    const fn depth(&self) -> usize {
        if self.line_control & FIFOS != 0 {
            FIFO_DEPTH
        } else {
            1
        }
    }

    /// Fill level at which the receive interrupt comes (3.3.9, 2.8.1).
    const fn receive_level(&self) -> usize {
        if self.line_control & FIFOS != 0 {
            level(self.levels >> 3)
        } else {
            1
        }
    }

    /// Fill level down to which the transmit interrupt comes (3.3.9, 2.8.2).
    const fn transmit_level(&self) -> usize {
        if self.line_control & FIFOS != 0 {
            level(self.levels)
        } else {
            0
        }
    }

    /// The bits of a character that there are (3.3.7, WLEN).
    const fn word(&self, byte: u8) -> u8 {
        byte & (0xff >> (3 - (self.line_control >> WORD_LENGTH_SHIFT & 3)))
    }

    /// Turning FIFOs on or off empties both: the manual says so of the transmitter's (3.3.8).
    fn flush(&mut self) {
        self.received.clear();
        self.waiting.clear();
        self.overrun = false;
        self.raw &= !(interrupt::RECEIVE | interrupt::TIMEOUT);
    }

    fn put(&mut self, byte: u8) {
        if self.waiting.len() >= self.depth() {
            return; // into a full FIFO: lost
        }
        self.waiting.push(byte);
        if self.waiting.len() > self.transmit_level() {
            self.raw &= !interrupt::TRANSMIT;
        }
    }

    /// A byte leaves. The interrupt comes when one does so at or below the level, and not because the FIFO is empty
    /// (2.8.2): this is what made Linux send one looped-back character to provoke its first.
    fn send(&mut self) -> Option<u8> {
        if !self.can_send() {
            return None;
        }
        let byte = self.waiting.pop_at(0)?;
        if self.waiting.len() <= self.transmit_level() {
            self.raw |= interrupt::TRANSMIT;
        }
        Some(self.word(byte))
    }

    fn loop_back(&mut self) {
        while self.is_looped_back() {
            let Some(byte) = self.send() else {
                return;
            };
            if self.receiver_on() {
                self.accept(byte);
            }
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        if self.received.len() >= self.depth() {
            self.overrun = true;
            self.status |= STATUS_OVERRUN;
            self.raw |= interrupt::OVERRUN;
            return false;
        }
        self.received.push(self.word(byte));
        self.overrun = false;
        // Passing the level raises it, being above does not (2.8.1); Linux drains the FIFO at start because of that.
        if self.received.len() == self.receive_level() {
            self.raw |= interrupt::RECEIVE;
        }
        self.raw |= interrupt::TIMEOUT;
        true
    }

    fn take_received(&mut self) -> u32 {
        let overrun = if self.overrun { DATA_OVERRUN } else { 0 };
        let Some(byte) = self.received.pop_at(0) else {
            return overrun;
        };
        if self.received.len() < self.receive_level() {
            self.raw &= !interrupt::RECEIVE;
        }
        if self.received.is_empty() {
            self.raw &= !interrupt::TIMEOUT;
        }
        u32::from(byte) | overrun
    }
}

/// One eighth, a quarter, a half, three quarters, seven eighths of a FIFO; reserved values count as the last (3.3.9).
const fn level(select: u32) -> usize {
    match select & 7 {
        0 => FIFO_DEPTH / 8,
        1 => FIFO_DEPTH / 4,
        2 => FIFO_DEPTH / 2,
        3 => FIFO_DEPTH / 4 * 3,
        _ => FIFO_DEPTH / 8 * 7,
    }
}

#[cfg(test)]
mod tests;
