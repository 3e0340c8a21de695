//! Log lines on the machine's PL011. Every line starts with `oche: `, because guests write to the same one.

use core::fmt::{self, Write};
use core::ptr::NonNull;

use arm_pl011_uart::{PL011Registers, Uart, UniqueMmioPointer};
use guest_abi::summary::{Summary, write_line};
use hv_core::Pa;
use log::{LevelFilter, Log, Metadata, Record};
use spin::Mutex;

struct Console(Mutex<Option<Port>>);

static CONSOLE: Console = Console(Mutex::new(None));

/// A PL011 that turns `\n` into `\r\n`.
pub(super) struct Port(Uart<'static>);

impl Port {
    /// The PL011 at `registers`.
    ///
    /// # Safety
    /// A PL011's registers are there, accessible as device memory (or with the MMU off), and no other `Port` is used
    /// at the same time.
    pub(super) unsafe fn new(registers: Pa) -> Option<Self> {
        let pointer = NonNull::new(registers.get() as *mut PL011Registers)?;
        // SAFETY: the caller's promise. A guest may write to the device too; a UART's registers are not memory, and
        // what is lost is at worst a character.
        Some(Self(Uart::new(unsafe { UniqueMmioPointer::new(pointer) })))
    }
}

/// Spins per character before it is given up: a guest can switch the transmitter off, and Oche does not wait for it.
const PATIENCE: u32 = 100_000;

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
        let mut patience = PATIENCE;
        while self.0.is_tx_fifo_full() && patience > 0 {
            patience -= 1;
        }
        self.0.write_word(byte);
    }
}

impl Log for Console {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(port) = self.0.lock().as_mut() {
            let level = match record.level() {
                log::Level::Error => "error: ",
                log::Level::Warn => "warning: ",
                _ => "",
            };
            // Writing to a Port cannot fail.
            let _ = writeln!(port, "oche: {level}{}", record.args());
        }
    }

    fn flush(&self) {}
}

/// From here on `log` has somewhere to go.
pub(super) fn start(port: Port) {
    *CONSOLE.0.lock() = Some(port);
    if log::set_logger(&CONSOLE).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Prints a run's summary on a line of its own: a guest may have left the cursor anywhere.
pub(super) fn summary(token: &str, summary: &Summary) {
    if let Some(port) = CONSOLE.0.lock().as_mut() {
        // Writing to a Port cannot fail.
        let _ = port.write_str("\n");
        let _ = write_line(port, token, summary);
        let _ = port.write_str("\n");
    }
}

/// For a report of Oche's own fault: whoever holds the lock will not come back.
pub(super) fn force_unlock() {
    // SAFETY: called only on the way to power-off after a fault of ours; at worst two lines are mixed.
    unsafe { CONSOLE.0.force_unlock() };
}
