//! What drivers do, in their order.

extern crate std;

use super::*;

/// Linux, `drivers/tty/serial/amba-pl011.c`: `pl011_hwinit`, `pl011_startup`, `pl011_set_termios`.
fn linux_opens(uart: &mut Pl011) {
    let _ = uart.set(ICR, OEIS | 0x380 | RTIS | RXIS);
    let _ = uart.get(IMSC);
    let _ = uart.set(IMSC, RTIS | RXIS);
    let _ = uart.set(IMSC, 0);
    let _ = uart.set(IFLS, 0x12);
    let _ = uart.set(CR, 0xb01);
    let _ = uart.get(FR);
    let _ = uart.set(ICR, RTIS | RXIS);
    for _ in 0..64 {
        if uart.get(FR) & 0x10 != 0 {
            break;
        }
        let _ = uart.get(DR);
    }
    let _ = uart.set(IMSC, RTIS | RXIS);
    let control = uart.get(CR);
    let _ = uart.set(CR, 0);
    let _ = uart.set(FBRD, 1);
    let _ = uart.set(IBRD, 13);
    let _ = uart.set(LCR_H, 0x70);
    let _ = uart.set(CR, control);
}

/// `pl011_int`, `pl011_fifo_to_tty` and `pl011_tx_chars`: what was read.
fn linux_handles(uart: &mut Pl011, mask: &mut u64, out: &mut Vec<u8>) -> Vec<u8> {
    let mut read = Vec::new();
    loop {
        let status = uart.get(RIS) & *mask;
        if status == 0 {
            return read;
        }
        let _ = uart.set(ICR, status & !(TXIS | RTIS | RXIS));
        if status & (RTIS | RXIS) != 0 {
            while uart.get(FR) & 0x10 == 0 {
                let word = uart.get(DR);
                assert_eq!(word & 0xf00, 0);
                read.push(word.to_le_bytes()[0]);
            }
        }
        if status & TXIS != 0 {
            // Half a FIFO without looking.
            for _ in 0..16 {
                if out.is_empty() {
                    *mask &= !TXIS;
                    let _ = uart.set(IMSC, *mask);
                    break;
                }
                let _ = uart.set(DR, out.remove(0).into());
            }
        }
    }
}

#[test]
fn linux_opens_the_port_reads_a_paste_and_writes_under_back_pressure() {
    let mut uart = Pl011::started();
    assert!(uart.receive(b'e') && uart.receive(b'y'));
    linux_opens(&mut uart);
    assert!(!uart.line());
    let mut mask = RTIS | RXIS;
    for typed in [&b"l"[..], b"ong line that is pasted", b"\r"] {
        for byte in typed {
            assert!(uart.receive(*byte));
        }
        assert!(uart.line());
        assert_eq!(linux_handles(&mut uart, &mut mask, &mut Vec::new()), typed);
        assert!(!uart.line());
    }

    // `pl011_start_tx`: as many as fit, then the interrupt.
    let text: Vec<u8> = (0..200).collect();
    let mut out = text.clone();
    while uart.get(FR) & 0x20 == 0 && !out.is_empty() {
        let _ = uart.set(DR, out.remove(0).into());
    }
    mask |= TXIS;
    let _ = uart.set(IMSC, mask);
    let mut arrived = Vec::new();
    while arrived.len() < text.len() {
        if uart.line() {
            linux_handles(&mut uart, &mut mask, &mut out);
        }
        arrived.extend(uart.transmit());
    }
    assert_eq!(arrived, text);
    assert_eq!(uart.transmit(), None);
}

/// `pl011_console_write`: interrupts masked or not, without FIFO room it waits.
#[test]
fn linux_writes_to_the_console() {
    let mut uart = Pl011::started();
    linux_opens(&mut uart);
    let mut arrived = Vec::new();
    let old = uart.get(CR);
    let _ = uart.set(CR, old & !0x8000 | 0x101);
    for byte in (0..100_u8).cycle().take(300) {
        while uart.get(FR) & 0x20 != 0 {
            arrived.extend(uart.transmit());
        }
        let _ = uart.set(DR, byte.into());
    }
    while uart.get(FR) & 0x08 != 0 {
        arrived.extend(uart.transmit());
    }
    let _ = uart.set(CR, old);
    assert!(arrived.iter().copied().eq((0..100).cycle().take(300)));
}

/// Linux before 3.16 in `pl011_startup`: one looped-back character provokes the first transmit interrupt.
#[test]
fn old_linux_provokes_the_first_transmit_interrupt() {
    let mut uart = Pl011::started();
    let _ = uart.set(CR, 0x181);
    let _ = uart.set(FBRD, 0);
    let _ = uart.set(IBRD, 1);
    let _ = uart.set(IFLS, 0);
    let _ = uart.set(LCR_H, 0x10);
    let _ = uart.set(DR, 0);
    assert_eq!(uart.get(FR) & 8, 0);
    let _ = uart.set(CR, 0x301);
    assert_eq!(uart.get(RIS) & TXIS, TXIS);
    assert!(uart.sent().is_empty());
}

/// U-Boot, `drivers/serial/serial_pl01x.c`: `pl01x_generic_serial_init`, `pl011_set_line_control`, `putc`, `getc`.
#[test]
fn u_boot_starts_the_port_and_talks() {
    let mut uart = Pl011::started();
    let _ = uart.set(CR, 0);
    let _ = uart.set(IBRD, 13);
    let _ = uart.set(FBRD, 1);
    let _ = uart.set(LCR_H, 0x70);
    let _ = uart.set(CR, 0xb01);
    for byte in *b"=> " {
        assert_eq!(uart.get(FR) & 0x20, 0);
        let _ = uart.set(DR, byte.into());
    }
    assert_eq!(uart.sent(), b"=> ");
    assert_eq!(uart.get(FR) & 0x10, 0x10);
    for byte in 0..33 {
        uart.receive(byte);
    }
    // An overrun is cleared, and the character given up.
    let data = uart.get(DR);
    assert_ne!(data & 0xffff_ff00, 0);
    let _ = uart.set(RSR, 0xffff_ffff);
    assert_eq!(uart.get(FR) & 0x10, 0);
}

/// FreeBSD, `sys/dev/uart/uart_dev_pl011.c`: a FIFO's worth, then the interrupt says that it went.
#[test]
fn freebsd_waits_for_the_transmit_interrupt() {
    let mut uart = Pl011::started();
    let _ = uart.set(ICR, 0x7ff);
    for byte in 0..32 {
        let _ = uart.set(DR, byte);
    }
    assert!(!uart.set(IMSC, TXIS | RXIS | RTIS).line);
    assert_eq!(uart.sent().len(), 32);
    assert!(uart.line());
    assert!(!uart.set(IMSC, RXIS | RTIS).line);
}
