//! The priority mask and the order of what pends (IHI 0069, 4.8).

use super::stage::{Check, Stage, arrives, check, edge, goes, handle, quiet, take};
use crate::el1::bench::{Failure, must};
use crate::el1::gic::line::line;
use crate::el1::gic::{PRIORITY, SPURIOUS, icc};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("the mask has the bits that priorities have", mask_bits),
    ("the mask lets through what is more urgent than it", mask),
    (
        "a mask that rises over what is signalled takes it back",
        mask_rises,
    ),
    ("several come in the order of their priorities", order),
    ("a new priority counts", new_priority),
    ("equals come once each", equals),
    (
        "the most urgent is named, and again when a more urgent one comes",
        most_urgent,
    ),
    (
        "private and shared ones are of one order",
        private_and_shared,
    ),
];

fn mask_bits(_: &Stage) -> Result<(), Failure> {
    icc::set_mask(0xff);
    let bits = icc::mask();
    must(
        bits >= 0xf0 && bits.leading_ones() + bits.trailing_zeros() == 8,
        "the bits of ICC_PMR_EL1 are not the upper ones",
    )?;
    icc::set_mask(0x50);
    must(
        icc::mask() == 0x50,
        "ICC_PMR_EL1 does not hold what was written",
    )?;
    icc::set_mask(0);
    must(icc::mask() == 0, "ICC_PMR_EL1 does not become 0")
}

fn mask(_: &Stage) -> Result<(), Failure> {
    let line = edge(0, PRIORITY);
    // A smaller number is more urgent, and equal is masked.
    for (mask, passes) in [
        (0x00, false),
        (0x10, false),
        (PRIORITY - 0x10, false),
        (PRIORITY, false),
        (PRIORITY + 0x10, true),
        (0xf0, true),
    ] {
        icc::set_mask(mask);
        line.pend();
        if passes {
            handle(line.intid())?;
        } else {
            quiet()?;
            must(
                line.is_pending() == Some(true),
                "what the mask holds back does not pend",
            )?;
        }
    }
    quiet()?;
    must(
        line.is_pending() == Some(false),
        "what was held back several times pends after it came",
    )
}

fn mask_rises(_: &Stage) -> Result<(), Failure> {
    let line = edge(0, PRIORITY);
    for _ in 0..3 {
        line.pend();
        arrives()?;
        icc::set_mask(PRIORITY);
        goes()?;
        icc::set_mask(0xf0);
        arrives()?;
    }
    handle(line.intid())?;
    quiet()
}

fn order(_: &Stage) -> Result<(), Failure> {
    const PRIORITIES: [u8; 8] = [0x90, 0x20, 0xe0, 0x50, 0x10, 0xb0, 0x70, 0x30];
    icc::set_mask(0);
    for (number, priority) in (0..).zip(PRIORITIES) {
        edge(number, priority).pend();
    }
    icc::open_mask();
    let mut before = 0;
    for _ in PRIORITIES {
        arrives()?;
        let intid = icc::acknowledge();
        check!(
            icc::running_priority() > before,
            "interrupts do not come in the order of their priorities",
            "INTID {intid} of {:#x} after one of {before:#x}",
            icc::running_priority()
        )?;
        before = icc::running_priority();
        icc::end(intid);
    }
    quiet()
}

fn new_priority(_: &Stage) -> Result<(), Failure> {
    let (first, second) = (edge(0, 0x40), edge(1, 0x80));
    icc::set_mask(0);
    first.pend();
    second.pend();
    // Disabled meanwhile: whether a priority counts for what pends already is open.
    first.disable();
    first.set_priority(0xc0);
    first.enable();
    icc::open_mask();
    handle(second.intid())?;
    take(first.intid())?;
    must(
        icc::running_priority() == 0xc0,
        "an interrupt runs at a priority that it no longer has",
    )?;
    icc::end(first.intid());
    quiet()
}

fn equals(_: &Stage) -> Result<(), Failure> {
    icc::set_mask(0);
    let mut left = 0_u32;
    for number in 0..8 {
        edge(number, PRIORITY).pend();
        left |= 1 << number;
    }
    icc::open_mask();
    while left != 0 {
        arrives()?;
        let intid = icc::acknowledge();
        let bit = intid.checked_sub(super::stage::FREE).filter(|n| *n < 8);
        let bit = 1 << bit.ok_or(Failure::Wrong("another interrupt comes"))?;
        must(left & bit != 0, "one of several equals comes twice")?;
        left &= !bit;
        icc::end(intid);
    }
    quiet()
}

/// `ICC_HPPIR1_EL1` names it.
fn is_named(intid: u32) -> Result<(), Failure> {
    check!(
        crate::el1::gic::in_time(|| icc::most_urgent() == intid),
        "ICC_HPPIR1_EL1 does not name the most urgent interrupt",
        "it is {}, not {intid}",
        icc::most_urgent()
    )
}

fn most_urgent(_: &Stage) -> Result<(), Failure> {
    let lines = [0xc0, 0x80, 0x40];
    let lines = [0, 1, 2].map(|number| edge(number, lines[number as usize]));
    for line in lines {
        line.pend();
        is_named(line.intid())?;
    }
    // Reading it changes nothing.
    is_named(lines[2].intid())?;
    for line in lines.into_iter().rev() {
        is_named(line.intid())?;
        handle(line.intid())?;
    }
    is_named(SPURIOUS)
}

fn private_and_shared(_: &Stage) -> Result<(), Failure> {
    icc::set_mask(0);
    let (shared, ppi, sgi) = (edge(0, 0x60), line(30), line(8));
    ppi.set_priority(0x30);
    ppi.enable();
    sgi.set_priority(0x90);
    sgi.enable();
    shared.pend();
    ppi.pend();
    icc::send(8, 0);
    icc::open_mask();
    handle(ppi.intid())?;
    handle(shared.intid())?;
    handle(sgi.intid())?;
    quiet()
}
