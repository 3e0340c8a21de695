extern crate std;

mod drivers;
mod naive;
mod property;

use std::vec::Vec;

use super::*;

const DR: u64 = 0x00;
const RSR: u64 = 0x04;
const FR: u64 = 0x18;
const IBRD: u64 = 0x24;
const FBRD: u64 = 0x28;
const LCR_H: u64 = 0x2c;
const CR: u64 = 0x30;
const IFLS: u64 = 0x34;
const IMSC: u64 = 0x38;
const RIS: u64 = 0x3c;
const MIS: u64 = 0x40;
const ICR: u64 = 0x44;

const RXIS: u64 = 1 << 4;
const TXIS: u64 = 1 << 5;
const RTIS: u64 = 1 << 6;
const OEIS: u64 = 1 << 10;

impl Pl011 {
    fn get(&mut self, offset: u64) -> u64 {
        let (value, outcome) = self.read(offset, 4);
        assert_eq!(outcome.line, self.line());
        value
    }

    fn set(&mut self, offset: u64, value: u64) -> Outcome {
        self.write(offset, 4, value)
    }

    fn sent(&mut self) -> Vec<u8> {
        core::iter::from_fn(|| self.transmit()).collect()
    }
}

#[test]
fn after_reset_the_registers_are_those_of_the_manual() {
    let mut uart = Pl011::new();
    let expected = [
        (DR, 0),
        (RSR, 0),
        (0x20, 0),
        (IBRD, 0),
        (FBRD, 0),
        (LCR_H, 0),
        (CR, 0x300),
        (IFLS, 0x12),
        (IMSC, 0),
        (RIS, 0),
        (MIS, 0),
        (0x48, 0),
    ];
    for (offset, value) in expected {
        assert_eq!(uart.get(offset), value, "{offset:#x}");
    }
    // The modem's lines are not part of the reset value.
    assert_eq!(uart.get(FR) & 0xf8, 0x90);
    assert!(!uart.line());
}

#[test]
fn it_is_an_r1p5_of_arms() {
    let mut uart = Pl011::new();
    let id = |uart: &mut Pl011, base: u64| {
        (0..4).fold(0, |id, byte| id | uart.get(base + byte * 4) << (byte * 8))
    };
    assert_eq!(id(&mut uart, 0xfe0), 0x0034_1011);
    assert_eq!(id(&mut uart, 0xff0), 0xb105_f00d);
}

#[test]
fn what_is_reserved_reads_as_zero_and_ignores_writes() {
    let mut uart = Pl011::started();
    for offset in [0x08, 0x14, 0x1c, 0x4c, 0x80, 0x8c, 0xfdc, 0x1000, u64::MAX] {
        let _ = uart.set(offset, !0);
        assert_eq!(uart.get(offset), 0);
    }
    for (offset, kept) in [
        (0x20, 0xff),
        (IBRD, 0xffff),
        (FBRD, 0x3f),
        (LCR_H, 0xff),
        (IFLS, 0x3f),
        (IMSC, 0x7ff),
        (0x48, 7),
        (CR, 0xff87),
    ] {
        let _ = uart.set(offset, !0);
        assert_eq!(uart.get(offset), kept, "{offset:#x}");
    }
}

#[test]
fn a_narrow_access_is_one_of_the_registers_first_bytes() {
    let mut uart = Pl011::started();
    assert!(uart.receive(b'a') && uart.receive(b'b'));
    assert_eq!(uart.read(DR + 1, 1).0, 0);
    assert_eq!(uart.read(DR, 8).0, 0);
    assert_eq!(uart.read(DR, 1).0, b'a'.into());
    assert_eq!(uart.read(DR, 2).0, b'b'.into());
    assert!(!uart.write(DR, 8, b'x'.into()).output);
    assert!(!uart.write(DR, 3, b'x'.into()).output);
    assert!(uart.write(DR, 1, 0x1ff).output);
    assert_eq!(uart.sent(), [0xff]);
}

#[test]
fn a_guest_that_sends_faster_than_it_is_taken_sees_a_full_fifo() {
    let mut uart = Pl011::started();
    for byte in 0..40 {
        let _ = uart.set(DR, byte);
    }
    assert_eq!(uart.get(FR) & 0xf8, 0x38);
    assert_eq!(uart.get(RIS) & TXIS, 0);
    let first: Vec<u8> = core::iter::from_fn(|| uart.transmit()).take(15).collect();
    assert_eq!(first, (0..15).collect::<Vec<u8>>());
    // 17 are left: one more than a half.
    assert_eq!(uart.get(RIS) & TXIS, 0);
    assert_eq!(uart.transmit(), Some(15));
    assert_eq!(uart.get(RIS) & TXIS, TXIS);
    let _ = uart.set(DR, 99);
    assert_eq!(uart.get(RIS) & TXIS, 0);
    let rest = uart.sent();
    assert_eq!(rest.len(), 17);
    assert_eq!(rest.last(), Some(&99));
    assert_eq!(uart.get(FR) & 0xf8, 0x90);
}

#[test]
fn the_transmit_interrupt_is_not_there_before_the_first_byte() {
    let mut uart = Pl011::started();
    let _ = uart.set(IMSC, TXIS);
    assert!(!uart.line());
    let _ = uart.set(DR, 0);
    assert_eq!(uart.sent(), [0]);
    assert!(uart.line());
    assert!(!uart.set(ICR, TXIS).line);
}

#[test]
fn a_transmitter_that_is_off_keeps_what_it_was_given() {
    let mut uart = Pl011::new();
    let _ = uart.set(LCR_H, 0x70);
    assert!(!uart.set(DR, b'a'.into()).output);
    assert_eq!(uart.transmit(), None);
    assert_eq!(uart.get(FR) & 0x88, 0x08);
    assert!(uart.set(CR, 0x301).output);
    assert_eq!(uart.sent(), b"a");
}

#[test]
fn the_receive_interrupt_comes_at_the_chosen_level() {
    for (select, level) in [(0, 4), (1, 8), (2, 16), (3, 24), (4, 28), (5, 28), (7, 28)] {
        let mut uart = Pl011::started();
        let _ = uart.set(IFLS, select << 3);
        for count in 1..=32 {
            assert!(uart.receive(count));
            assert_eq!(uart.get(RIS) & RXIS != 0, count >= level, "{count}");
        }
        assert_eq!(uart.get(FR) & 0x50, 0x40);
        for left in (0..32).rev() {
            assert_eq!(uart.get(DR), 32 - left);
            assert_eq!(uart.get(RIS) & RXIS != 0, left >= level.into(), "{left}");
        }
    }
}

#[test]
fn a_single_byte_is_announced_by_the_timeout() {
    let mut uart = Pl011::started();
    let _ = uart.set(IMSC, RXIS | RTIS);
    assert!(uart.receive(b'a'));
    assert_eq!(uart.get(MIS), RTIS);
    assert!(uart.line());
    assert_eq!(uart.get(DR), b'a'.into());
    assert!(!uart.line());
}

#[test]
fn a_timeout_that_was_cleared_too_early_comes_again() {
    let mut uart = Pl011::started();
    let _ = uart.set(IMSC, RTIS);
    assert!(uart.receive(b'a') && uart.receive(b'b'));
    assert_eq!(uart.get(DR), b'a'.into());
    assert!(!uart.set(ICR, RTIS).line);
    assert!(uart.fall_silent().line);
    assert_eq!(uart.get(DR), b'b'.into());
    assert!(!uart.fall_silent().line);
}

#[test]
fn a_byte_too_many_is_lost_and_told() {
    let mut uart = Pl011::started();
    for byte in 0..32 {
        assert!(uart.receive(byte));
    }
    assert!(!uart.can_receive());
    assert!(!uart.receive(99));
    assert_eq!(uart.get(RIS) & OEIS, OEIS);
    assert_eq!(uart.get(RSR), 8);
    // Beside the characters until another one is received.
    assert_eq!(uart.get(DR), 1 << 11);
    assert!(uart.receive(32));
    assert_eq!(uart.get(DR), 1);
    assert_eq!(uart.get(RSR), 8);
    let _ = uart.set(RSR, 0);
    assert_eq!(uart.get(RSR), 0);
    let _ = uart.set(ICR, OEIS);
    assert_eq!(uart.get(RIS) & OEIS, 0);
}

#[test]
fn without_fifos_there_is_room_for_one() {
    let mut uart = Pl011::started();
    let _ = uart.set(LCR_H, 0x60);
    assert!(uart.receive(b'a'));
    assert_eq!(uart.get(RIS), RXIS | RTIS);
    assert_eq!(uart.get(FR) & 0x50, 0x40);
    assert!(!uart.receive(b'b'));
    assert_eq!(uart.get(DR) & 0xff, b'a'.into());
    assert_eq!(uart.get(RIS) & (RXIS | RTIS), 0);
    let _ = uart.set(DR, b'x'.into());
    assert_eq!(uart.get(FR) & 0xa0, 0x20);
    let _ = uart.set(DR, b'y'.into());
    assert_eq!(uart.sent(), b"x");
    assert_eq!(uart.get(RIS) & TXIS, TXIS);
}

#[test]
fn switching_fifos_empties_them() {
    let mut uart = Pl011::started();
    assert!(uart.receive(b'a'));
    let _ = uart.set(DR, b'x'.into());
    assert!(!uart.set(LCR_H, 0x60).output);
    assert_eq!(uart.get(FR) & 0xf8, 0x90);
    assert_eq!(uart.get(RIS) & (RXIS | RTIS), 0);
}

#[test]
fn a_receiver_that_is_off_hears_nothing() {
    let mut uart = Pl011::started();
    for off in [0, 0x101, 0x300] {
        let _ = uart.set(CR, off);
        assert!(!uart.can_receive());
        assert!(!uart.receive(b'a'));
        assert_eq!(uart.get(FR) & 0x10, 0x10);
    }
    assert_eq!(uart.get(RIS) & OEIS, 0);
}

#[test]
fn loop_back_returns_what_is_sent_and_cuts_the_line() {
    let mut uart = Pl011::started();
    let _ = uart.set(CR, 0x381);
    assert!(!uart.set(DR, b'a'.into()).output);
    assert_eq!(uart.transmit(), None);
    assert!(!uart.receive(b'x'));
    assert_eq!(uart.get(DR), b'a'.into());
    assert_eq!(uart.get(RIS) & TXIS, TXIS);
    for byte in 0..33 {
        let _ = uart.set(DR, byte);
    }
    assert_eq!(uart.get(RIS) & OEIS, OEIS);
}

#[test]
fn loop_back_returns_the_modems_lines() {
    let mut uart = Pl011::started();
    assert_eq!(uart.get(FR) & 0x107, 7);
    let _ = uart.set(CR, 0x381);
    assert_eq!(uart.get(FR) & 0x107, 0);
    assert_eq!(uart.get(RIS), 0b1110);
    let _ = uart.set(ICR, 0xf);
    for (output, input, raised) in [
        (1 << 10, 1 << 1, 1 << 3),
        (1 << 11, 1 << 0, 1 << 1),
        (1 << 12, 1 << 2, 1 << 2),
        (1 << 13, 1 << 8, 1 << 0),
    ] {
        let _ = uart.set(CR, 0x381 | output);
        assert_eq!(uart.get(FR) & 0x107, input);
        assert_eq!(uart.get(RIS), raised);
        let _ = uart.set(CR, 0x381);
        let _ = uart.set(ICR, 0xf);
    }
}

#[test]
fn a_transmitter_with_flow_control_waits_for_cts() {
    let mut uart = Pl011::started();
    let _ = uart.set(CR, 0x8381);
    let _ = uart.set(DR, b'a'.into());
    assert_eq!(uart.get(FR) & 0x18, 0x18);
    let _ = uart.set(CR, 0x8b81);
    assert_eq!(uart.get(DR), b'a'.into());
}

#[test]
fn short_words_have_fewer_bits() {
    let mut uart = Pl011::started();
    for (select, bits) in [(0, 0x1f), (1, 0x3f), (2, 0x7f), (3, 0xff)] {
        let _ = uart.set(LCR_H, select << 5 | 0x10);
        let _ = uart.set(DR, 0xff);
        assert_eq!(uart.sent(), [bits]);
        assert!(uart.receive(0xff));
        assert_eq!(uart.get(DR), bits.into());
    }
}
