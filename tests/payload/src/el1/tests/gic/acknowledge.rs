//! Acknowledgement and end, with both modes of `ICC_CTLR_EL1.EOImode` (IHI 0069, 4.4).

use super::stage::{Check, FREE, Stage, arrives, check, edge, handle, quiet, take};
use crate::el1::bench::{Failure, must};
use crate::el1::gic::line::{Line, line};
use crate::el1::gic::{SPURIOUS, icc};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("nothing pends: spurious", spurious),
    ("pending, active, idle", once),
    ("the end of nothing does nothing", end_of_nothing),
    ("Group 0 has nothing to acknowledge", group0),
    (
        "an SGI, a private and a shared one, one inside the other",
        kinds,
    ),
    (
        "split: an end drops the priority, the interrupt stays active",
        split,
    ),
    (
        "split: what is active is not signalled again",
        split_pending,
    ),
    ("split: deactivated in another order", split_order),
    ("split off again: an end deactivates", split_and_back),
];

fn spurious(_: &Stage) -> Result<(), Failure> {
    for _ in 0..3 {
        must(
            icc::acknowledge() == SPURIOUS,
            "something is acknowledged and nothing pends",
        )?;
    }
    must(
        icc::most_urgent() == SPURIOUS,
        "ICC_HPPIR1_EL1 is not 1023 and nothing pends",
    )?;
    must(
        icc::running_priority() == icc::IDLE,
        "ICC_RPR_EL1 is not idle",
    )
}

/// Pending, active, as its registers have it.
fn is(line: Line, pending: bool, active: bool) -> Result<(), Failure> {
    let (has_pending, has_active) = (line.is_pending(), line.is_active());
    check!(
        has_pending == Some(pending) && has_active == Some(active),
        "the registers show another state than the interrupt must have",
        "INTID {}: pending {has_pending:?}, not {pending}; active {has_active:?}, not {active}",
        line.intid()
    )
}

fn once(_: &Stage) -> Result<(), Failure> {
    for priority in [0x10, PRIORITY, 0xe0] {
        let line = edge(0, priority);
        is(line, false, false)?;
        line.pend();
        arrives()?;
        is(line, true, false)?;
        must(
            icc::most_urgent() == line.intid(),
            "ICC_HPPIR1_EL1 does not name what pends",
        )?;
        take(line.intid())?;
        is(line, false, true)?;
        check!(
            icc::running_priority() == priority,
            "ICC_RPR_EL1 is not the priority of what is active",
            "{:#x}, not {priority:#x}",
            icc::running_priority()
        )?;
        must(
            icc::active_priorities() != 0,
            "ICC_AP1R0_EL1 is 0 and something is active",
        )?;
        quiet()?;
        icc::end(line.intid());
        is(line, false, false)?;
        must(
            icc::running_priority() == icc::IDLE && icc::active_priorities() == 0,
            "the interface is not idle after an end",
        )?;
        quiet()?;
    }
    Ok(())
}

const PRIORITY: u8 = crate::el1::gic::PRIORITY;

fn end_of_nothing(_: &Stage) -> Result<(), Failure> {
    icc::end(SPURIOUS);
    let line = edge(0, PRIORITY);
    line.pend();
    take(line.intid())?;
    icc::end(SPURIOUS);
    must(
        icc::running_priority() == PRIORITY,
        "the end of INTID 1023 dropped a priority",
    )?;
    is(line, false, true)?;
    icc::end(line.intid());
    is(line, false, false)?;
    quiet()
}

fn group0(_: &Stage) -> Result<(), Failure> {
    let line = edge(0, PRIORITY);
    line.pend();
    arrives()?;
    check!(
        icc::acknowledge_group0() == SPURIOUS,
        "ICC_IAR0_EL1 acknowledges an interrupt of Group 1",
        "INTID {} is still to come",
        line.intid()
    )?;
    handle(line.intid())?;
    quiet()
}

fn kinds(_: &Stage) -> Result<(), Failure> {
    // 27 is a timer's, which is off: what is written to ISPENDR pends.
    let lines = [edge(0, 0xc0), line(27), line(6)];
    for (line, priority) in lines.into_iter().zip([0xc0, 0x80, 0x40]) {
        line.set_priority(priority);
        line.enable();
        line.pend();
        take(line.intid())?;
        must(
            icc::running_priority() == priority,
            "ICC_RPR_EL1 is not the innermost priority",
        )?;
    }
    for (line, outer) in lines.into_iter().rev().zip([0x80, 0xc0, icc::IDLE]) {
        is(line, false, true)?;
        icc::end(line.intid());
        is(line, false, false)?;
        must(
            icc::running_priority() == outer,
            "ICC_RPR_EL1 is not the outer priority after an end",
        )?;
    }
    quiet()
}

fn split(_: &Stage) -> Result<(), Failure> {
    icc::set_split(true);
    let (first, other) = (edge(0, PRIORITY), edge(1, PRIORITY));
    first.pend();
    take(first.intid())?;
    icc::end(first.intid());
    is(first, false, true)?;
    must(
        icc::running_priority() == icc::IDLE,
        "an end does not drop the priority",
    )?;
    // Another of the same priority comes meanwhile.
    other.pend();
    take(other.intid())?;
    icc::end(other.intid());
    icc::deactivate(other.intid());
    is(other, false, false)?;
    is(first, false, true)?;
    icc::deactivate(first.intid());
    is(first, false, false)?;
    quiet()
}

fn split_pending(_: &Stage) -> Result<(), Failure> {
    icc::set_split(true);
    let line = edge(0, PRIORITY);
    line.pend();
    take(line.intid())?;
    line.pend();
    is(line, true, true)?;
    quiet()?;
    icc::end(line.intid());
    is(line, true, true)?;
    quiet()?;
    icc::deactivate(line.intid());
    take(line.intid())?;
    icc::end(line.intid());
    icc::deactivate(line.intid());
    is(line, false, false)?;
    quiet()
}

fn split_order(_: &Stage) -> Result<(), Failure> {
    icc::set_split(true);
    let lines = [0, 1, 2].map(|number| edge(number, PRIORITY));
    for line in lines {
        line.pend();
        take(line.intid())?;
        icc::end(line.intid());
    }
    for (done, index) in [1, 2, 0].into_iter().enumerate() {
        let left = 3 - done;
        let active = lines
            .iter()
            .filter(|line| line.is_active() == Some(true))
            .count();
        check!(
            active == left,
            "deactivation in another order ends another interrupt",
            "{active} are active, not {left}"
        )?;
        icc::deactivate(lines[index].intid());
        is(lines[index], false, false)?;
    }
    must(
        FREE == lines[0].intid() && icc::running_priority() == icc::IDLE,
        "a priority runs after all have ended",
    )?;
    quiet()
}

fn split_and_back(_: &Stage) -> Result<(), Failure> {
    let line = edge(0, PRIORITY);
    for on in [true, false, true, false] {
        icc::set_split(on);
        line.pend();
        take(line.intid())?;
        icc::end(line.intid());
        is(line, false, on)?;
        if on {
            icc::deactivate(line.intid());
            is(line, false, false)?;
        }
        quiet()?;
    }
    Ok(())
}
