//! Words on the PL011.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

use super::mmio::Registers;

/// Where the PL011 is; 0 before anybody knows.
static BASE: AtomicU64 = AtomicU64::new(0);

/// Data and flag registers, and the flag that says that the transmitter is full (PL011 TRM 3.3).
const DATA: u64 = 0x00;
const FLAGS: u64 = 0x18;
const TRANSMIT_FULL: u32 = 1 << 5;

pub(super) fn set_base(base: u64) {
    BASE.store(base, Ordering::Relaxed);
}

struct Port(Registers);

impl Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.put(b'\r');
            }
            self.put(byte);
        }
        Ok(())
    }
}

impl Port {
    fn put(&mut self, byte: u8) {
        while self.0.read32(FLAGS) & TRANSMIT_FULL != 0 {}
        self.0.write32(DATA, u32::from(byte));
    }
}

/// Writes a line. Before the console is known it is lost.
pub(super) fn line(words: fmt::Arguments<'_>) {
    let base = BASE.load(Ordering::Relaxed);
    if base != 0 {
        // SAFETY: `set_base` was given a PL011's address from the device tree.
        let mut port = Port(unsafe { Registers::new(base) });
        // The port never fails.
        let _ = port.write_fmt(words);
        let _ = port.write_str("\n");
    }
}

/// Writes a line.
macro_rules! say {
    ($($words:tt)*) => { $crate::el1::console::line(format_args!($($words)*)) };
}
pub(super) use say;
