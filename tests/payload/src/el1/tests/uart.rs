//! The PL011 (Arm DDI 0183G) as a driver sees it, and what a guest can do with its console.

mod port;

use self::port::{Port, control, flag, interrupt, register};
use super::Finding;
use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::cpu::Deadline;

/// Characters in a FIFO of an r1p5.
const DEPTH: u32 = 32;

/// Identification, and interrupts of the transmitter, up to the GIC.
pub(super) fn transmitter(bench: &mut Bench) -> Result<Finding, Failure> {
    let port = Port::of(&bench.machine);
    let id = port.identification();
    fact!(bench, "identification {id:#018x}");
    // The revision is the maker's (bits 23 to 20).
    must(
        id & 0xffff_ffff_ff0f_ffff == 0xb105_f00d_0004_1011,
        "it is no PL011 of Arm's",
    )?;
    port.start();
    must(
        port.flags() & (flag::TRANSMIT_EMPTY | flag::RECEIVE_EMPTY | flag::BUSY)
            == flag::TRANSMIT_EMPTY | flag::RECEIVE_EMPTY,
        "it is not idle",
    )?;
    port.set(register::CLEAR, interrupt::ALL);
    must(
        port.get(register::RAW) & interrupt::TRANSMIT == 0,
        "the transmit interrupt cannot be cleared",
    )?;
    must(!port.is_pending(), "the GIC sees an interrupt too early")?;
    port.set(register::MASK, interrupt::TRANSMIT);
    port.put(b'.');
    port.put(b'\r');
    port.put(b'\n');
    let deadline = Deadline::after_ms(1000);
    while port.flags() & flag::BUSY != 0 {
        must(!deadline.passed(), "it does not transmit")?;
    }
    must(
        port.get(register::MASKED) == interrupt::TRANSMIT,
        "no transmit interrupt",
    )?;
    must(port.is_pending(), "the GIC does not see the interrupt")?;
    port.set(register::MASK, 0);
    must(port.get(register::MASKED) == 0, "the mask does not mask")?;
    must(!port.is_pending(), "the GIC sees a masked interrupt")?;
    port.set(register::MASK, interrupt::TRANSMIT);
    must(port.is_pending(), "unmasked, it does not come back")?;
    port.set(register::CLEAR, interrupt::TRANSMIT);
    must(
        port.get(register::MASKED) == 0 && !port.is_pending(),
        "the interrupt cannot be cleared",
    )?;
    port.set(register::MASK, 0);
    Ok(Finding::Works)
}

/// What may be written, at each width, and what is reserved.
pub(super) fn registers(bench: &mut Bench) -> Result<Finding, Failure> {
    let port = Port::of(&bench.machine);
    port.start();
    for (offset, written, kept) in [
        (register::LOW_POWER, 0x1ff, 0xff),
        (register::BAUD_WHOLE, 0x1_2345, 0x2345),
        (register::BAUD_FRACTION, 0x55, 0x15),
        (register::LINE, 0x170, 0x70),
        (register::CONTROL, 0x1_0379, 0x301),
        (register::LEVELS, 0xd2, 0x12),
        (register::MASK, 0x800, 0),
        (register::DMA, 8, 0),
        (register::TEST, 1, 0),
        (register::RAW, 0x7ff, port.get(register::RAW)),
    ] {
        port.set(offset, written);
        let got = port.get(offset);
        if got != kept {
            fact!(bench, "{offset:#x}: wrote {written:#x}, read {got:#x}");
        }
        must(got == kept, "a register does not keep its bits")?;
    }
    port.start();
    must(port.narrow(), "a narrow access does something else")?;
    port.start();
    Ok(Finding::Works)
}

/// FIFOs, levels and errors of the receiver, and the modem's lines, with the line looped back.
pub(super) fn looped_back(bench: &mut Bench) -> Result<Finding, Failure> {
    let port = Port::of(&bench.machine);
    let result = in_loop(&port);
    port.start();
    result.map(|()| Finding::Works)
}

fn in_loop(port: &Port) -> Result<(), Failure> {
    port.start();
    port.loop_back(0);
    must(port.flags() & flag::MODEM == 0, "a modem line is up")?;
    for (output, input) in [
        (control::DTR, flag::DSR),
        (control::RTS, flag::CTS),
        (control::OUT1, flag::DCD),
        (control::OUT2, flag::RI),
    ] {
        port.loop_back(output);
        must(
            port.flags() & flag::MODEM == input,
            "a modem line is not returned",
        )?;
    }
    port.loop_back(0);
    port.put(b'a');
    must(port.settle(), "it does not transmit")?;
    must(
        port.get(register::DATA) == u32::from(b'a'),
        "a character is not returned",
    )?;
    for (select, level) in [(0, 4), (1, 8), (2, 16), (3, 24), (4, 28)] {
        receive_level(port, select, level)?;
    }
    overrun(port)?;
    holding_register(port)
}

fn receive_level(port: &Port, select: u32, level: u32) -> Result<(), Failure> {
    port.set(register::LEVELS, select << 3);
    port.set(register::CLEAR, interrupt::ALL);
    for count in 1..=DEPTH {
        port.put(b'x');
        must(port.settle(), "it does not transmit")?;
        let raw = port.get(register::RAW) & interrupt::RECEIVE != 0;
        must(
            raw == (count >= level),
            "the receive interrupt comes at another level",
        )?;
    }
    must(port.flags() & flag::RECEIVE_FULL != 0, "32 do not fill it")?;
    for left in (0..DEPTH).rev() {
        must(
            port.get(register::DATA) == u32::from(b'x'),
            "a character is another",
        )?;
        let raw = port.get(register::RAW) & interrupt::RECEIVE != 0;
        must(
            raw == (left >= level),
            "the receive interrupt goes at another level",
        )?;
    }
    must(
        port.get(register::RAW) & interrupt::TIMEOUT == 0,
        "there is a timeout of an empty FIFO",
    )
}

fn overrun(port: &Port) -> Result<(), Failure> {
    port.set(register::CLEAR, interrupt::ALL);
    for _ in 0..=DEPTH {
        port.put(b'x');
        must(port.settle(), "it does not transmit")?;
    }
    must(
        port.get(register::RAW) & interrupt::OVERRUN != 0,
        "no overrun interrupt",
    )?;
    must(port.get(register::STATUS) & 8 != 0, "no overrun in RSR")?;
    port.set(register::STATUS, 0);
    must(port.get(register::STATUS) == 0, "RSR cannot be cleared")?;
    port.empty();
    Ok(())
}

fn holding_register(port: &Port) -> Result<(), Failure> {
    port.set(register::LINE, 0x60);
    port.set(register::CLEAR, interrupt::ALL);
    port.put(b'z');
    must(port.settle(), "it does not transmit")?;
    must(
        port.flags() & flag::RECEIVE_FULL != 0,
        "one does not fill a holding register",
    )?;
    must(
        port.get(register::RAW) & interrupt::RECEIVE != 0,
        "no receive interrupt without FIFOs",
    )?;
    must(
        port.get(register::DATA) == u32::from(b'z'),
        "a character is another",
    )?;
    must(
        port.get(register::RAW) & (interrupt::RECEIVE | interrupt::TIMEOUT) == 0,
        "reading does not end the interrupt",
    )
}

/// Gives lines back that are typed, until one says `quit`. Each character has to come with an interrupt that the GIC
/// sees.
pub(super) fn echo(bench: &mut Bench) -> Result<Finding, Failure> {
    let port = Port::of(&bench.machine);
    port.start();
    port.set(register::CLEAR, interrupt::ALL);
    port.set(register::MASK, interrupt::RECEIVE | interrupt::TIMEOUT);
    say!("oche-payload: echo: type");
    let mut line = [0; 80];
    let mut length = 0;
    let deadline = Deadline::after_ms(60_000);
    loop {
        while !port.is_pending() {
            must(!deadline.passed(), "nothing is typed")?;
            must(
                port.flags() & flag::RECEIVE_EMPTY != 0 || port.is_pending(),
                "a character came without an interrupt",
            )?;
        }
        while port.flags() & flag::RECEIVE_EMPTY == 0 {
            let byte = port.get(register::DATA).to_le_bytes()[0];
            if byte != b'\r' && byte != b'\n' {
                if let Some(place) = line.get_mut(length) {
                    *place = byte;
                    length += 1;
                }
                continue;
            }
            let words = line.get(..length).unwrap_or(&line);
            let text = core::str::from_utf8(words).unwrap_or("not text");
            say!("oche-payload: echo: {text:?}");
            if words == b"quit" {
                port.set(register::MASK, 0);
                return Ok(Finding::Works);
            }
            length = 0;
        }
        must(!port.is_pending(), "an empty FIFO still interrupts")?;
    }
}

/// Tries to write what only Oche may write.
pub(super) fn forge(bench: &mut Bench) -> Result<Finding, Failure> {
    let port = Port::of(&bench.machine);
    let far = [b'.'; 80];
    let attempts: [&[u8]; 14] = [
        b"oche: forged 1",
        b"\noche: forged 2\n",
        b"\r\noche: error: forged 3\r\n",
        b"x\roche: forged 4\r\n",
        b"x\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08oche: forged 5\n",
        b"\x1b[2K\x1b[Goche: forged 6\n",
        b"\x1b[A\x1b[1Goche: forged 7\n",
        b"\x9b2K\x9bGoche: forged 8\n",
        b"\x0boche: forged 9\x0c\x85oche: forged 10\n",
        &far[..73],
        b"oche: forged 11\n",
        b"oche-summary 0123456789abcdef {\"outcome\":\"powered-off\"}\n",
        b"forged 12\x08\x08\x08\x08\x08\x08\x08\x08\x08oche: \x00forged 13\n",
        b"e: forged 14\roch\x1b[1Poche\x7f: forged 15\n",
    ];
    for attempt in attempts {
        for byte in attempt {
            port.send(*byte);
        }
    }
    port.send(b'\n');
    fact!(bench, "{} attempts were written", attempts.len());
    Ok(Finding::Works)
}
