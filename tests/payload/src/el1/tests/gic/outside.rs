//! State of one core's interrupts as another core sees and changes it.

use super::stage::{Check, FREE, Stage, arrives, check, goes, handle, quiet, take};
use super::state::{free, is_active, pends};
use crate::el1::bench::Failure;
use crate::el1::cores;
use crate::el1::gic::icc;
use crate::el1::gic::line::{Line, line, line_of};

pub(super) const CHECKS: &[(&str, Check)] = &[
    (
        "another core sees and changes what pends here",
        pending_from_outside,
    ),
    (
        "another core sees and changes what is active here",
        active_from_outside,
    ),
];

/// Jobs: what another core does with an interrupt of the first, and what it sees.
fn outside_pend(intid: u64) -> u64 {
    of_first(intid).pend();
    u64::from(of_first(intid).is_pending() == Some(true))
}

fn outside_unpend(intid: u64) -> u64 {
    let seen = of_first(intid).is_pending() == Some(true);
    of_first(intid).unpend();
    u64::from(seen && of_first(intid).is_pending() == Some(false))
}

fn outside_disable(intid: u64) -> u64 {
    of_first(intid).disable();
    u64::from(of_first(intid).is_enabled() == Some(false))
}

fn outside_enable(intid: u64) -> u64 {
    of_first(intid).enable();
    u64::from(of_first(intid).is_enabled() == Some(true))
}

fn outside_deactivate(intid: u64) -> u64 {
    let seen = of_first(intid).is_active() == Some(true);
    of_first(intid).deactivate();
    u64::from(seen && of_first(intid).is_active() == Some(false))
}

fn outside_is_active(intid: u64) -> u64 {
    (of_first(intid).is_active() == Some(true)).into()
}

fn of_first(intid: u64) -> Line {
    line_of(0, (intid & 0xfff) as u32)
}

/// Has the second core do something, which must see what is true.
fn outside(stage: &Stage, core: usize, job: cores::Job, intid: u32) -> Result<(), Failure> {
    let right = stage.on(core, job, intid.into())?;
    check!(
        right == 1,
        "another core sees another state than there is",
        "of INTID {intid}"
    )
}

fn pending_from_outside(stage: &Stage) -> Result<(), Failure> {
    let Some(second) = stage.second() else {
        return Ok(());
    };
    line(30).enable();
    line(3).enable();
    free();
    for intid in [FREE, 30, 3] {
        outside(stage, second, outside_pend, intid)?;
        handle(intid)?;
        line(intid).pend();
        arrives()?;
        outside(stage, second, outside_unpend, intid)?;
        goes()?;
        line(intid).pend();
        arrives()?;
        outside(stage, second, outside_disable, intid)?;
        goes()?;
        pends(line(intid), true)?;
        outside(stage, second, outside_enable, intid)?;
        handle(intid)?;
        quiet()?;
    }
    Ok(())
}

fn active_from_outside(stage: &Stage) -> Result<(), Failure> {
    let Some(second) = stage.second() else {
        return Ok(());
    };
    icc::set_split(true);
    line(30).enable();
    line(3).enable();
    free();
    for intid in [FREE, 30, 3] {
        line(intid).pend();
        take(intid)?;
        outside(stage, second, outside_is_active, intid)?;
        icc::end(intid);
        outside(stage, second, outside_deactivate, intid)?;
        is_active(line(intid), false)?;
        // It comes again, and what another core makes pend while it is active waits.
        line(intid).pend();
        take(intid)?;
        outside(stage, second, outside_pend, intid)?;
        quiet()?;
        icc::end(intid);
        quiet()?;
        icc::deactivate(intid);
        take(intid)?;
        icc::end(intid);
        icc::deactivate(intid);
        quiet()?;
    }
    Ok(())
}
