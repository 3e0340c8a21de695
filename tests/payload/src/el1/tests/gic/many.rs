//! More interrupts at once than a core has list registers for.

use super::stage::{Check, FREE, Stage, arrives, check, edge, quiet};
use crate::el1::bench::{Failure, must};
use crate::el1::cores;
use crate::el1::gic::line::line;
use crate::el1::gic::{SPURIOUS, icc, in_time, vector};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("five", |_| polled(5)),
    ("seventeen", |_| polled(17)),
    ("twenty", |_| polled(20)),
    ("thirty-two", |_| polled(32)),
    ("twenty by the vector", by_vector),
    ("all SGIs and all free SPIs", with_sgis),
    ("twenty active, none running", all_active),
    ("twenty on each core", on_each_core),
    ("a less urgent crowd, then one more urgent", urgent_last),
];

/// Priorities in no order, some of them equal.
fn priority(number: u32) -> u8 {
    let step = u8::try_from(number * 7 % 12).unwrap_or(0);
    0x20 + 0x10 * step
}

/// Makes so many pend, while nothing is let through.
fn pend(count: u32) {
    icc::set_mask(0);
    for number in 0..count {
        edge(number, priority(number)).pend();
    }
}

/// Who has not come yet, and how urgent the last one was.
struct Left {
    numbers: u32,
    before: u8,
}

impl Left {
    fn of(count: u32) -> Self {
        Self {
            numbers: u32::MAX >> (32 - count),
            before: 0,
        }
    }

    /// Each once, in the order of their priorities.
    fn came(&mut self, intid: u32) -> Result<(), Failure> {
        let number = intid.wrapping_sub(FREE);
        check!(
            number < 32 && self.numbers >> number & 1 != 0,
            "of many interrupts one comes twice, or one that was not meant",
            "INTID {intid}; {:#x} are left",
            self.numbers
        )?;
        self.numbers &= !(1 << number);
        let priority = priority(number);
        check!(
            priority >= self.before,
            "of many interrupts a more urgent one comes later",
            "INTID {intid} of {priority:#x} after one of {:#x}",
            self.before
        )?;
        self.before = priority;
        Ok(())
    }
}

fn polled(count: u32) -> Result<(), Failure> {
    pend(count);
    quiet()?;
    icc::open_mask();
    let mut left = Left::of(count);
    while left.numbers != 0 {
        arrives()?;
        let intid = icc::acknowledge();
        left.came(intid)?;
        icc::end(intid);
    }
    quiet()
}

fn by_vector(_: &Stage) -> Result<(), Failure> {
    let record = vector::record(0);
    record.arm(vector::ignore);
    pend(20);
    icc::open_mask();
    icc::with_interrupts(|| in_time(|| record.taken() >= 20));
    let mut left = Left::of(20);
    for index in 0..record.taken() {
        left.came(record.order(index))?;
    }
    check!(
        left.numbers == 0,
        "of many interrupts one does not come",
        "{:#x} are left",
        left.numbers
    )?;
    quiet()
}

fn with_sgis(_: &Stage) -> Result<(), Failure> {
    pend(32);
    for intid in 0..16 {
        line(intid).set_priority(0x10);
        line(intid).enable();
        icc::send(intid, 0);
    }
    icc::open_mask();
    let mut sgis = 0_u32;
    for _ in 0..16 {
        arrives()?;
        let intid = icc::acknowledge();
        check!(
            intid < 16 && sgis >> intid & 1 == 0,
            "of all SGIs one comes twice, or after what is less urgent",
            "INTID {intid}; {sgis:#x} came"
        )?;
        sgis |= 1 << intid;
        icc::end(intid);
    }
    let mut left = Left::of(32);
    while left.numbers != 0 {
        arrives()?;
        let intid = icc::acknowledge();
        left.came(intid)?;
        icc::end(intid);
    }
    quiet()
}

fn all_active(_: &Stage) -> Result<(), Failure> {
    icc::set_split(true);
    pend(20);
    icc::open_mask();
    let mut left = Left::of(20);
    while left.numbers != 0 {
        arrives()?;
        let intid = icc::acknowledge();
        left.came(intid)?;
        icc::end(intid);
    }
    quiet()?;
    // They pend again, and wait.
    for number in 0..20 {
        must(
            line(FREE + number).is_active() == Some(true),
            "one of many active interrupts is not active",
        )?;
        line(FREE + number).pend();
    }
    quiet()?;
    for number in (0..20).rev() {
        let line = line(FREE + number);
        icc::deactivate(line.intid());
        arrives()?;
        let intid = icc::acknowledge();
        check!(
            intid == line.intid(),
            "another interrupt comes than the one that was deactivated",
            "INTID {intid}, not {}",
            line.intid()
        )?;
        icc::end(intid);
        icc::deactivate(intid);
        check!(
            in_time(|| line.is_active() == Some(false)),
            "one of many interrupts stays active",
            "INTID {intid}"
        )?;
        quiet()?;
    }
    Ok(())
}

/// A job: takes what comes until nothing does. Returns a bit for each free SPI that came, and bit 63 if one came twice
/// or another came.
fn collect(count: u64) -> u64 {
    let mut seen = 0_u64;
    for _ in 0..count {
        if !in_time(icc::is_signalled) {
            break;
        }
        let intid = icc::acknowledge();
        let bit = match intid.checked_sub(FREE) {
            Some(number @ 0..32) => 1 << number,
            _ => 1 << 63,
        };
        seen |= bit | if seen & bit != 0 { 1 << 63 } else { 0 };
        if intid != SPURIOUS {
            icc::end(intid);
        }
    }
    let quiet = quiet().is_ok();
    seen | if quiet { 0 } else { 1 << 63 }
}

fn on_each_core(stage: &Stage) -> Result<(), Failure> {
    let shares = stage.cores.min(2);
    let mut masks = [0_u64; 2];
    icc::set_mask(0);
    for core in 1..shares {
        stage.on(core, close, 0)?;
    }
    for number in 0..32 {
        let line = edge(number, priority(number));
        let core = number as usize % shares;
        line.send_to(core);
        masks[core] |= 1 << number;
        line.pend();
    }
    for (core, mask) in masks.iter().enumerate().take(shares).skip(1) {
        cores::give(core, open_and_collect, mask.count_ones().into());
    }
    let here = open_and_collect(masks[0].count_ones().into());
    check!(
        here == masks[0],
        "of many interrupts on two cores one is lost, doubled or astray",
        "core 0 got {here:#x}, not {:#x}",
        masks[0]
    )?;
    for (core, mask) in masks.into_iter().enumerate().take(shares).skip(1) {
        let there = stage.wait(core)?;
        check!(
            there == mask,
            "of many interrupts on two cores one is lost, doubled or astray",
            "core {core} got {there:#x}, not {mask:#x}"
        )?;
    }
    Ok(())
}

fn close(_: u64) -> u64 {
    icc::set_mask(0);
    0
}

fn open_and_collect(count: u64) -> u64 {
    icc::open_mask();
    collect(count)
}

fn urgent_last(_: &Stage) -> Result<(), Failure> {
    for number in 0..24 {
        edge(number, 0xc0).pend();
    }
    arrives()?;
    // The crowd fills every list register there may be; this one has to find a place.
    let urgent = edge(31, 0x20);
    urgent.pend();
    check!(
        in_time(|| icc::most_urgent() == urgent.intid()),
        "a more urgent interrupt finds no place among many",
        "ICC_HPPIR1_EL1 is {}",
        icc::most_urgent()
    )?;
    let intid = icc::acknowledge();
    must(
        intid == urgent.intid(),
        "a less urgent interrupt is acknowledged before a more urgent one",
    )?;
    icc::end(intid);
    let rest = collect(24);
    check!(
        rest == 0xff_ffff,
        "of many interrupts one is lost or doubled",
        "{rest:#x} came"
    )
}
