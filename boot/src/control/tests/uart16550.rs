use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::super::{Port, Registers, Uart16550};

/// The registers of a 16550, as far as the driver can tell.
#[derive(Default)]
struct Chip {
    state: RefCell<ChipState>,
}

#[derive(Default)]
struct ChipState {
    stored: [u8; 8],
    divisor: [u8; 2],
    received: VecDeque<u8>,
    fifo: Vec<u8>,
    wire: Vec<u8>,
    lost: usize,
}

impl Registers for &Chip {
    fn read(&self, register: u8) -> u8 {
        let mut chip = self.state.borrow_mut();
        match register {
            0 => chip.received.pop_front().unwrap_or(0),
            5 => {
                let empty = u8::from(chip.fifo.is_empty());
                u8::from(!chip.received.is_empty()) | empty << 5 | empty << 6
            }
            _ => chip.stored[usize::from(register)],
        }
    }

    fn write(&self, register: u8, value: u8) {
        let mut chip = self.state.borrow_mut();
        let divisor = chip.stored[3] & 0x80 != 0;
        match register {
            0 | 1 if divisor => chip.divisor[usize::from(register)] = value,
            0 if chip.fifo.len() == 16 => chip.lost += 1,
            0 => chip.fifo.push(value),
            _ => chip.stored[usize::from(register)] = value,
        }
    }
}

#[test]
fn the_uart_is_set_up_and_never_overrun() {
    let chip = Chip::default();
    let mut uart = Uart16550::new(&chip).unwrap();
    {
        let state = chip.state.borrow();
        assert_eq!(
            (state.divisor, &state.stored[1..5]),
            ([1, 0], &[0, 0xc7, 3, 3][..])
        );
    }
    let sent = (0..100).take_while(|byte| uart.send(*byte)).count();
    assert_eq!((sent, uart.is_idle()), (16, false));
    {
        let mut state = chip.state.borrow_mut();
        let bytes = core::mem::take(&mut state.fifo);
        state.wire.extend(bytes);
        state.received.extend(b"ab");
    }
    assert!(uart.is_idle() && uart.send(16));
    assert_eq!(
        [uart.receive(), uart.receive(), uart.receive()],
        [Some(b'a'), Some(b'b'), None]
    );
    let state = chip.state.borrow();
    assert_eq!((state.lost, state.wire.len()), (0, 16));
}

/// What a bus without a device there answers.
struct Nobody;

impl Registers for Nobody {
    fn read(&self, _: u8) -> u8 {
        0xff
    }

    fn write(&self, _: u8, _: u8) {}
}

#[test]
fn where_no_uart_is_none_is_found() {
    assert!(Uart16550::new(Nobody).is_none());
}
