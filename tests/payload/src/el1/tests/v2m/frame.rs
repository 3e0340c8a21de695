//! What the processor can do with the frame.

use crate::el1::bench::{Failure, must};
use crate::el1::cores;
use crate::el1::cpu::barrier;
use crate::el1::exceptions::expecting;
use crate::el1::gic::line::{Line, line};
use crate::el1::gic::{Fault, PRIORITY, SPURIOUS, icc};
use crate::el1::mmio::Registers;
use crate::el1::tests::gic::stage::{Check, Stage, check, handle, handle_one, quiet, take};

/// Where the frame is, and its registers.
pub(super) const BASE: u64 = 0x2002_0000;
const TYPER: u64 = 0x008;
/// `MSI_SETSPI_NS`.
pub(super) const SETSPI: u64 = 0x040;
const IIDR: u64 = 0xfcc;
/// The SPIs that messages can be: the first, and how many.
pub(super) const FIRST: u32 = 64;
pub(super) const COUNT: u32 = 128;

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("its registers say which SPIs it has", registers),
    ("a store makes its SPI pend, once", each),
    ("a number out of range does nothing", out_of_range),
    (
        "a message while the last one is active comes again",
        while_active,
    ),
    ("a message to a disabled SPI waits", disabled),
    (
        "messages go where their SPIs are routed, from every core",
        routed,
    ),
    ("many messages at once come once each", many),
];

fn frame() -> Registers {
    // SAFETY: Oche's map of a guest's addresses has the frame there, or nothing.
    unsafe { Registers::new(BASE) }
}

/// Is the frame there? Without it the load faults, or reads as what is behind it.
pub(super) fn is_there() -> bool {
    let (typer, fault) = expecting(|| frame().read32(TYPER));
    fault.is_none() && typer >> 16 & 0x3ff == FIRST && typer & 0x3ff == COUNT
}

/// A message as a device would send it.
fn send(value: u32) {
    barrier();
    if !Fault::NoMessage.is_in() {
        frame().write32(SETSPI, value);
    }
    barrier();
}

/// An SPI of the frame, enabled, an edge as messages are.
pub(super) fn ready(intid: u32) -> Line {
    let line = line(intid);
    line.set_edge(true);
    line.set_priority(PRIORITY);
    line.enable();
    line
}

fn registers(_: &Stage) -> Result<(), Failure> {
    let (values, fault) = expecting(|| {
        let offsets = (0..0x80).step_by(4).chain([IIDR]);
        offsets.fold(0, |sum: u32, offset| sum ^ frame().read32(offset))
    });
    core::hint::black_box(values);
    must(fault.is_none(), "reading the frame faults")?;
    // MSI_SETSPI_NS cannot be read, MSI_TYPER not be written.
    must(
        frame().read32(SETSPI) == 0,
        "MSI_SETSPI_NS does not read as 0",
    )?;
    let before = frame().read32(TYPER);
    frame().write32(TYPER, !before);
    must(frame().read32(TYPER) == before, "MSI_TYPER was written")
}

fn each(_: &Stage) -> Result<(), Failure> {
    for intid in FIRST..FIRST + COUNT {
        let line = ready(intid);
        send(intid);
        handle(intid)?;
        quiet()?;
        must(
            line.is_pending() == Some(false) && line.is_active() == Some(false),
            "an SPI is not idle after its message was handled",
        )?;
        line.disable();
    }
    Ok(())
}

fn out_of_range(_: &Stage) -> Result<(), Failure> {
    let mut lines = [FIRST - 1, FIRST + COUNT].map(ready);
    for value in [
        0,
        1,
        27,
        32,
        33,
        FIRST - 1,
        FIRST + COUNT,
        287,
        1019,
        1023,
        1024,
        0x1_0040,
        8192,
        u32::MAX,
    ] {
        send(value);
    }
    quiet()?;
    for line in &mut lines {
        must(
            line.is_pending() == Some(false),
            "a message out of range makes an SPI pend",
        )?;
    }
    // Halfwords and the neighbours of the register are none.
    ready(FIRST);
    frame().write32(SETSPI + 4, FIRST);
    frame().write32(SETSPI - 4, FIRST);
    quiet()
}

fn while_active(_: &Stage) -> Result<(), Failure> {
    ready(FIRST);
    send(FIRST);
    take(FIRST)?;
    send(FIRST);
    send(FIRST);
    quiet()?;
    icc::end(FIRST);
    handle(FIRST)?;
    quiet()
}

fn disabled(_: &Stage) -> Result<(), Failure> {
    let line = ready(FIRST + 1);
    line.disable();
    send(line.intid());
    quiet()?;
    line.enable();
    handle(line.intid())?;
    quiet()
}

/// A job.
fn send_here(value: u64) -> u64 {
    send((value & 0xffff) as u32);
    0
}

fn routed(stage: &Stage) -> Result<(), Failure> {
    let line = ready(FIRST + 5);
    for target in 0..stage.cores {
        line.send_to(target);
        for sender in 0..stage.cores {
            if sender == 0 {
                send(line.intid());
            } else {
                stage.on(sender, send_here, line.intid().into())?;
            }
            if target == 0 {
                handle(line.intid())?;
            } else {
                let came = cores::run(target, handle_one, 0).map_err(Failure::Wrong)?;
                check!(
                    came == u64::from(line.intid()),
                    "a message does not come to the core of its route",
                    "core {target} got {came}"
                )?;
            }
            quiet()?;
        }
    }
    Ok(())
}

fn many(_: &Stage) -> Result<(), Failure> {
    icc::set_mask(0);
    for intid in FIRST..FIRST + COUNT {
        ready(intid);
        send(intid);
    }
    icc::open_mask();
    let mut seen = 0_u128;
    for _ in 0..COUNT {
        must(
            crate::el1::gic::in_time(icc::is_signalled),
            "of many messages one does not come",
        )?;
        let intid = icc::acknowledge();
        let bit = intid.checked_sub(FIRST).filter(|n| *n < COUNT);
        let bit = 1_u128 << bit.ok_or(Failure::Wrong("an interrupt comes that is no message"))?;
        check!(
            intid != SPURIOUS && seen & bit == 0,
            "of many messages one comes twice",
            "INTID {intid}"
        )?;
        seen |= bit;
        icc::end(intid);
    }
    quiet()
}
