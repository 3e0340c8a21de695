//! Pending, active, enabled, as software sets and clears them (IHI 0069, 4.1 and 12.9).

use super::stage::{Check, Stage, arrives, edge, goes, handle, quiet, take};
use crate::el1::bench::{Failure, must};
use crate::el1::gic::line::{Line, line};
use crate::el1::gic::{PRIORITY, icc, in_time};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("what pends and is disabled waits", pending_and_disabled),
    ("what is cleared does not come", cleared),
    ("what is signalled and then cleared is withdrawn", withdrawn),
    ("what is active does not come until it is not", made_active),
    (
        "an edge that pends while it is active comes once more",
        edge_again,
    ),
    ("a level that software made pend comes once", level_once),
    (
        "a level that software made pend while active comes once more",
        level_again,
    ),
    (
        "disabled while signalled: withdrawn, and back",
        disabled_while_signalled,
    ),
    (
        "disabled while active: its end still counts",
        disabled_while_active,
    ),
    ("deactivated by its register", deactivated),
    ("private ones too", private),
];

pub(super) fn free() -> Line {
    edge(0, PRIORITY)
}

pub(super) fn pends(line: Line, wanted: bool) -> Result<(), Failure> {
    must(
        in_time(|| line.is_pending() == Some(wanted)),
        if wanted {
            "an interrupt does not pend"
        } else {
            "an interrupt still pends"
        },
    )
}

pub(super) fn is_active(line: Line, wanted: bool) -> Result<(), Failure> {
    must(
        in_time(|| line.is_active() == Some(wanted)),
        if wanted {
            "an interrupt is not active"
        } else {
            "an interrupt is still active"
        },
    )
}

fn pending_and_disabled(_: &Stage) -> Result<(), Failure> {
    let line = free();
    line.disable();
    line.pend();
    pends(line, true)?;
    quiet()?;
    line.enable();
    handle(line.intid())?;
    pends(line, false)?;
    quiet()
}

fn cleared(_: &Stage) -> Result<(), Failure> {
    let line = free();
    line.disable();
    line.pend();
    line.unpend();
    pends(line, false)?;
    line.enable();
    quiet()?;
    icc::set_mask(0);
    line.pend();
    pends(line, true)?;
    line.unpend();
    pends(line, false)?;
    icc::open_mask();
    quiet()
}

fn withdrawn(_: &Stage) -> Result<(), Failure> {
    let line = free();
    for _ in 0..3 {
        line.pend();
        arrives()?;
        line.unpend();
        goes()?;
        pends(line, false)?;
    }
    line.pend();
    handle(line.intid())?;
    quiet()
}

fn made_active(_: &Stage) -> Result<(), Failure> {
    let line = free();
    line.activate();
    is_active(line, true)?;
    line.pend();
    pends(line, true)?;
    quiet()?;
    line.deactivate();
    is_active(line, false)?;
    handle(line.intid())?;
    // And the other way round: signalled, then made active.
    line.pend();
    arrives()?;
    line.activate();
    goes()?;
    line.deactivate();
    handle(line.intid())?;
    quiet()
}

fn edge_again(_: &Stage) -> Result<(), Failure> {
    let line = free();
    line.pend();
    take(line.intid())?;
    // Several are one.
    line.pend();
    line.pend();
    pends(line, true)?;
    is_active(line, true)?;
    quiet()?;
    icc::end(line.intid());
    take(line.intid())?;
    pends(line, false)?;
    icc::end(line.intid());
    quiet()
}

/// A free SPI as a level, whose line nobody drives.
fn level() -> Line {
    let line = free();
    line.disable();
    line.set_edge(false);
    line.enable();
    line
}

fn level_once(_: &Stage) -> Result<(), Failure> {
    let line = level();
    line.pend();
    pends(line, true)?;
    take(line.intid())?;
    pends(line, false)?;
    icc::end(line.intid());
    quiet()?;
    line.pend();
    arrives()?;
    line.unpend();
    goes()
}

fn level_again(_: &Stage) -> Result<(), Failure> {
    let line = level();
    line.pend();
    take(line.intid())?;
    line.pend();
    pends(line, true)?;
    icc::end(line.intid());
    handle(line.intid())?;
    quiet()?;
    // Taken back while it is active.
    line.pend();
    take(line.intid())?;
    line.pend();
    line.unpend();
    pends(line, false)?;
    icc::end(line.intid());
    quiet()
}

fn disabled_while_signalled(_: &Stage) -> Result<(), Failure> {
    let line = free();
    line.pend();
    for _ in 0..3 {
        arrives()?;
        line.disable();
        goes()?;
        pends(line, true)?;
        line.enable();
    }
    handle(line.intid())?;
    quiet()
}

fn disabled_while_active(_: &Stage) -> Result<(), Failure> {
    let line = free();
    line.pend();
    take(line.intid())?;
    line.disable();
    is_active(line, true)?;
    icc::end(line.intid());
    is_active(line, false)?;
    line.pend();
    quiet()?;
    line.enable();
    handle(line.intid())?;
    quiet()
}

fn deactivated(_: &Stage) -> Result<(), Failure> {
    icc::set_split(true);
    let line = free();
    for _ in 0..2 {
        line.pend();
        take(line.intid())?;
        icc::end(line.intid());
        is_active(line, true)?;
        line.deactivate();
        is_active(line, false)?;
    }
    quiet()
}

fn private(_: &Stage) -> Result<(), Failure> {
    // A timer's, which is off.
    let line = line(30);
    line.set_priority(PRIORITY);
    line.pend();
    quiet()?;
    line.enable();
    arrives()?;
    line.disable();
    goes()?;
    line.enable();
    take(30)?;
    is_active(line, true)?;
    line.pend();
    icc::end(30);
    handle(30)?;
    line.activate();
    line.pend();
    quiet()?;
    line.deactivate();
    handle(30)?;
    quiet()
}
