//! The guest's PL011, between its traps and the machine's serial line.

use arrayvec::{ArrayString, ArrayVec};
use boot::console::{MAX_NAME, Tagger};
use hv_core::layout::UART_INTID;
use hv_core::pl011::Pl011;
use spin::Mutex;

use super::super::console;
use super::Guest;

/// Bytes typed ahead of what the guest has read; what comes then is lost, and the guest is told of an overrun.
const TYPED_AHEAD: usize = 256;

/// A guest's serial port.
pub(in crate::el2) struct GuestUart {
    name: ArrayString<MAX_NAME>,
    state: Mutex<State>,
}

struct State {
    pl011: Pl011,
    tagger: Tagger,
    /// What was typed and did not fit into the FIFO yet, or came while the receiver was off.
    typed: ArrayVec<u8, TYPED_AHEAD>,
    /// The level that the guest's GIC was told last.
    level: bool,
}

impl GuestUart {
    /// The port of the guest with this number and name, as firmware would leave it.
    pub(in crate::el2) fn new(number: u8, name: &str) -> Self {
        let tagger = Tagger::new(number, name);
        Self {
            name: ArrayString::from(tagger.name()).unwrap_or_default(),
            state: Mutex::new(State {
                pl011: Pl011::started(),
                tagger,
                typed: ArrayVec::new(),
                level: false,
            }),
        }
    }

    /// The guest's name as its lines have it.
    pub(in crate::el2) fn name(&self) -> &str {
        &self.name
    }

    /// Does something with the port, passes on what follows from it, and tells `raise` the level of the interrupt line
    /// if that has changed. The port stays locked meanwhile: two levels must not overtake each other. So the GIC's lock
    /// and the console's are taken under this one, and never the other way round.
    fn with<R>(&self, raise: impl FnOnce(bool), work: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = work(&mut state);
        state.pass_on();
        let level = state.pl011.line();
        if state.level != level {
            state.level = level;
            raise(level);
        }
        result
    }
}

impl State {
    /// Bytes out of the transmitter, and bytes that wait into the receiver.
    fn pass_on(&mut self) {
        let Self {
            pl011,
            tagger,
            typed,
            ..
        } = self;
        if pl011.has_output() {
            console::guest_output(tagger, || pl011.transmit());
        }
        while pl011.can_receive() {
            let Some(byte) = typed.pop_at(0) else {
                return;
            };
            pl011.receive(byte);
        }
    }
}

impl Guest {
    /// A trapped load from the PL011.
    pub(in crate::el2) fn uart_load(&self, offset: u64, bytes: u8) -> u64 {
        self.uart.with(
            |level| self.uart_line(level),
            |state| state.pl011.read(offset, bytes).0,
        )
    }

    /// A trapped store to it.
    pub(in crate::el2) fn uart_store(&self, offset: u64, bytes: u8, value: u64) {
        self.uart.with(
            |level| self.uart_line(level),
            |state| {
                // What follows from it is passed on in any case.
                let _ = state.pl011.write(offset, bytes, value);
            },
        );
    }

    /// A byte was typed for this guest.
    pub(in crate::el2) fn typed(&self, byte: u8) {
        self.uart.with(
            |level| self.uart_line(level),
            |state| {
                if state.typed.try_push(byte).is_err() {
                    state.pl011.receive(byte); // no room: an overrun
                }
            },
        );
    }

    /// Now and then: what the machine's line had no room for goes on, and what the guest left in its FIFO is announced
    /// again.
    pub(in crate::el2) fn uart_attend(&self) {
        self.uart.with(
            |level| self.uart_line(level),
            |state| {
                let _ = state.pl011.fall_silent();
            },
        );
    }

    /// The guest starts anew.
    pub(in crate::el2) fn uart_reset(&self) {
        self.uart.with(
            |level| self.uart_line(level),
            |state| {
                state.pl011 = Pl011::started();
                state.tagger.reset();
                state.typed.clear();
            },
        );
    }

    fn uart_line(&self, level: bool) {
        self.source(|vgic, vcpu| vgic.raise(vcpu, UART_INTID, level));
    }
}
