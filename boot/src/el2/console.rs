//! The machine's PL011, which is Oche's alone: Oche's log, what guests write, and what is typed.
//!
//! Every line of Oche's starts with `oche: `. Guests write through a [`Tagger`], which lets none of theirs look so.

use core::fmt::{self, Write};
use core::ptr::NonNull;

use arm_pl011_uart::{
    DataBits, FifoLevel, Interrupts, LineConfig, PL011Registers, Parity, StopBits, Uart,
    UniqueMmioPointer,
};
use arrayvec::ArrayVec;
use boot::console::{Command, Input, Menu, Screen, Sink, Style, Tagger};
use guest_abi::summary::{Summary, write_line};
use hv_core::Pa;
use log::{LevelFilter, Log, Metadata, Record, info};
use spin::Mutex;

use super::{control, menu};

struct Console(Mutex<Option<Wire>>);

static CONSOLE: Console = Console(Mutex::new(None));

/// The serial line and its state.
struct Wire {
    port: Port,
    screen: Screen,
    menu: Menu,
}

/// A PL011.
pub(super) struct Port(Uart<'static>);

impl Port {
    /// The PL011 at `registers`.
    ///
    /// # Safety
    /// A PL011's registers are there, accessible as device memory (or with the MMU off), and nobody else uses them at
    /// the same time.
    pub(super) unsafe fn new(registers: Pa) -> Option<Self> {
        let pointer = NonNull::new(registers.get() as *mut PL011Registers)?;
        // SAFETY: the caller's promise.
        Some(Self(Uart::new(unsafe { UniqueMmioPointer::new(pointer) })))
    }

    fn has_room(&self) -> bool {
        !self.0.is_tx_fifo_full()
    }
}

/// Spins per character before it is given up: a machine whose transmitter hangs must not hang Oche.
const PATIENCE: u32 = 100_000;

impl Sink for Port {
    fn put(&mut self, byte: u8) {
        let mut patience = PATIENCE;
        while !self.has_room() && patience > 0 {
            patience -= 1;
        }
        self.0.write_word(byte);
    }
}

/// For the first sentences, before there is a console.
impl Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        Screen::new().more(self, text);
        Ok(())
    }
}

/// A line of Oche's, in pieces.
struct Ours<'a>(&'a mut Wire);

impl Write for Ours<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.screen.more(&mut self.0.port, text);
        Ok(())
    }
}

impl Wire {
    fn begin(&mut self) -> Ours<'_> {
        self.screen.begin(&mut self.port);
        Ours(self)
    }
}

impl Log for Console {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(wire) = self.0.lock().as_mut() {
            let level = match record.level() {
                log::Level::Error => "error: ",
                log::Level::Warn => "warning: ",
                _ => "",
            };
            // The wire never fails.
            let _ = writeln!(wire.begin(), "oche: {level}{}", record.args());
            control::record(format_args!("{level}{}", record.args()));
        }
    }

    fn flush(&self) {}
}

/// From here on `log` has somewhere to go.
pub(super) fn start(port: Port) {
    *CONSOLE.0.lock() = Some(Wire {
        port,
        screen: Screen::new(),
        menu: Menu::Closed,
    });
    if log::set_logger(&CONSOLE).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// How guests are shown from now on.
pub(super) fn set_style(style: Style) {
    if let Some(wire) = CONSOLE.0.lock().as_mut() {
        wire.screen.set_style(style);
    }
}

/// QEMU's `virt` has this clock at its PL011, and no firmware that would have set it up.
const CLOCK: u32 = 24_000_000;
const BAUD: u32 = 115_200;

/// Switches the receiver on; [`receive`] has to be called when the UART's interrupt comes, and now and then.
pub(super) fn enable_receive() {
    if let Some(wire) = CONSOLE.0.lock().as_mut() {
        let uart = &mut wire.port.0;
        let line = LineConfig {
            data_bits: DataBits::Bits8,
            parity: Parity::None,
            stop_bits: StopBits::One,
        };
        // Both numbers are constants that have a divisor.
        let _ = uart.enable(line, BAUD, CLOCK);
        uart.set_interrupt_fifo_levels(FifoLevel::Bytes4, FifoLevel::Bytes4);
        uart.clear_interrupts(Interrupts::all());
        uart.set_interrupt_masks(Interrupts::RXI | Interrupts::RTI);
    }
}

/// Bytes taken from the UART in one go; more of them make another interrupt.
const RECEIVED_AT_ONCE: usize = 64;

/// Takes what was typed: for the guest that has the keyboard, or for Oche. May end the run.
pub(super) fn receive() {
    let mut typed: ArrayVec<Input, RECEIVED_AT_ONCE> = ArrayVec::new();
    if let Some(wire) = CONSOLE.0.lock().as_mut() {
        while !typed.is_full() && !wire.port.0.is_rx_fifo_empty() {
            // A byte that came damaged is left out.
            if let Ok(Some(byte)) = wire.port.0.read_word() {
                typed.push(wire.menu.take(byte));
            }
        }
        wire.port.0.clear_interrupts(Interrupts::all());
    }
    // In place: most often there is nothing, and a list that moves is copied whole.
    for input in typed.drain(..) {
        match input {
            Input::Guest(byte) => menu::type_to_guest(byte),
            Input::Oche(command) => answer(command),
        }
    }
}

fn answer(command: Command) {
    for words in command.words() {
        info!("{words}");
    }
    menu::carry_out(command);
}

/// Writes a guest's bytes, as long as there are some and the transmitter has room. What is left stays in the guest's
/// FIFO, which is full then: a guest that writes faster than the line waits as on hardware.
pub(super) fn guest_output(tagger: &mut Tagger, mut next: impl FnMut() -> Option<u8>) {
    if let Some(Wire { port, screen, .. }) = CONSOLE.0.lock().as_mut() {
        while port.has_room() {
            let Some(byte) = next() else {
                return;
            };
            tagger.write(screen, port, byte);
        }
    }
}

/// Prints a run's summary on a line of its own: a guest may have left the cursor anywhere.
pub(super) fn summary(token: &str, summary: &Summary) {
    if let Some(wire) = CONSOLE.0.lock().as_mut() {
        let mut line = wire.begin();
        // The wire never fails.
        let _ = write_line(&mut line, token, summary);
        let _ = line.write_str("\n");
    }
}

/// For a report of Oche's own fault: whoever holds the lock will not come back.
pub(super) fn force_unlock() {
    // SAFETY: called only on the way to power-off after a fault of ours; at worst two lines are mixed.
    unsafe { CONSOLE.0.force_unlock() };
}
