//! Levels that a device drives: a timer's, which is private, and the console's, which is shared.

use super::stage::{Check, Stage, check, goes, goes_or_comes_once, handle, quiet, take};
use crate::el1::bench::{Failure, must};
use crate::el1::gic::line::line;
use crate::el1::gic::{icc, in_time};
use crate::el1::mmio::Registers;
use crate::el1::timers::{DUE, ENABLE, MASKED, Timer};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("a timer that is not stopped comes again", timer_again),
    ("a timer that is masked is withdrawn", timer_masked),
    ("a timer's line shows though it is disabled", timer_disabled),
    ("a timer held active does not come", timer_split),
    ("clearing a level that is up does nothing", timer_cleared),
    (
        "the console's interrupt comes again until it is cleared",
        console_again,
    ),
    (
        "the console's interrupt that is masked there is withdrawn",
        console_masked,
    ),
];

/// A timer that is due, its interrupt enabled.
fn due() -> Timer {
    let timer = Timer::Virtual;
    line(timer.intid()).enable();
    timer.start(timer.now());
    timer
}

fn timer_again(_: &Stage) -> Result<(), Failure> {
    let timer = due();
    for _ in 0..5 {
        handle(timer.intid())?;
    }
    take(timer.intid())?;
    timer.stop();
    icc::end(timer.intid());
    quiet()?;
    must(
        line(timer.intid()).is_pending() == Some(false),
        "a timer that is off pends",
    )
}

fn timer_masked(_: &Stage) -> Result<(), Failure> {
    let timer = due();
    for _ in 0..3 {
        must(
            in_time(icc::is_signalled),
            "a timer that is due is not signalled",
        )?;
        timer.set_control(ENABLE | MASKED);
        goes_or_comes_once(timer.intid())?;
        check!(
            timer.control() == ENABLE | MASKED | DUE,
            "CNTV_CTL_EL0 does not say that the timer is due and masked",
            "{:#x}",
            timer.control()
        )?;
        timer.set_control(ENABLE);
    }
    take(timer.intid())?;
    timer.stop();
    icc::end(timer.intid());
    quiet()
}

fn timer_disabled(_: &Stage) -> Result<(), Failure> {
    let timer = Timer::Virtual;
    let line = line(timer.intid());
    timer.start(timer.now());
    must(
        in_time(|| line.is_pending() == Some(true)),
        "a timer that is due and disabled does not pend",
    )?;
    quiet()?;
    timer.stop();
    must(
        in_time(|| line.is_pending() == Some(false)),
        "a timer that is off pends",
    )?;
    line.enable();
    quiet()?;
    line.disable();
    timer.start(timer.now());
    line.enable();
    take(timer.intid())?;
    // Disabled with the line still up, and enabled again.
    line.disable();
    icc::end(timer.intid());
    quiet()?;
    line.enable();
    take(timer.intid())?;
    timer.stop();
    icc::end(timer.intid());
    quiet()
}

fn timer_split(_: &Stage) -> Result<(), Failure> {
    icc::set_split(true);
    let timer = due();
    for _ in 0..3 {
        take(timer.intid())?;
        icc::end(timer.intid());
        quiet()?;
        icc::deactivate(timer.intid());
    }
    take(timer.intid())?;
    timer.stop();
    icc::end(timer.intid());
    icc::deactivate(timer.intid());
    quiet()
}

fn timer_cleared(_: &Stage) -> Result<(), Failure> {
    let timer = due();
    line(timer.intid()).unpend();
    take(timer.intid())?;
    timer.stop();
    icc::end(timer.intid());
    quiet()
}

/// PL011 registers (PL011 TRM 3.3): data, mask, raw status, clear; the transmitter's bit.
const DATA: u64 = 0x00;
const MASK: u64 = 0x38;
const RAW: u64 = 0x3c;
const CLEAR: u64 = 0x44;
const TRANSMIT: u32 = 1 << 5;

struct Console {
    registers: Registers,
    intid: u32,
}

impl Drop for Console {
    fn drop(&mut self) {
        self.registers.write32(MASK, 0);
    }
}

/// The console with its transmitter's interrupt up and enabled.
fn console(stage: &Stage) -> Result<Console, Failure> {
    let (base, intid) = stage.console;
    // SAFETY: the device tree says that it is there.
    let registers = unsafe { Registers::new(base) };
    let console = Console { registers, intid };
    raise(&console)?;
    registers.write32(MASK, TRANSMIT);
    line(intid).enable();
    Ok(console)
}

/// A character raises it, once it has left.
fn raise(console: &Console) -> Result<(), Failure> {
    if console.registers.read32(RAW) & TRANSMIT == 0 {
        console.registers.write32(DATA, u32::from(b'\n'));
    }
    must(
        in_time(|| console.registers.read32(RAW) & TRANSMIT != 0),
        "the console does not say that it has transmitted",
    )
}

fn console_again(stage: &Stage) -> Result<(), Failure> {
    let console = console(stage)?;
    for _ in 0..3 {
        for _ in 0..3 {
            handle(console.intid)?;
        }
        take(console.intid)?;
        console.registers.write32(CLEAR, TRANSMIT);
        icc::end(console.intid);
        quiet()?;
        must(
            line(console.intid).is_pending() == Some(false),
            "the console's interrupt pends after it was cleared",
        )?;
        raise(&console)?;
    }
    Ok(())
}

fn console_masked(stage: &Stage) -> Result<(), Failure> {
    let console = console(stage)?;
    for _ in 0..3 {
        must(
            in_time(icc::is_signalled),
            "the console's interrupt is not signalled",
        )?;
        console.registers.write32(MASK, 0);
        goes()?;
        console.registers.write32(MASK, TRANSMIT);
    }
    handle(console.intid)?;
    must(
        in_time(icc::is_signalled),
        "the console's interrupt is not signalled again",
    )
}
