//! Where shared interrupts go (IHI 0069, `GICD_IROUTER<n>`).

use super::stage::{Check, FREE, Stage, check, edge, handle, handle_one, is_quiet, quiet, take};
use crate::el1::bench::{Failure, must};
use crate::el1::gic::line::line;
use crate::el1::gic::{self, PRIORITY, icc, in_time};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("an SPI goes to the core that its route names", to_each),
    ("an SPI that pends follows its route", follows),
    ("an SPI that is active stays where it is", active_stays),
    ("an SPI routed to a core that is not there waits", to_nobody),
    ("a core makes pend what goes to another", from_each),
];

/// It comes to that core, once, and to no other.
fn only_at(stage: &Stage, intid: u32, core: usize) -> Result<(), Failure> {
    if core == 0 {
        handle(intid)?;
    } else {
        let came = stage.on(core, handle_one, 0)?;
        check!(
            came == u64::from(intid),
            "an SPI does not come to the core of its route",
            "core {core} got {came}, not {intid}"
        )?;
    }
    nowhere(stage)
}

fn nowhere(stage: &Stage) -> Result<(), Failure> {
    for other in 1..stage.cores {
        must(
            stage.on(other, is_quiet, 0)? == 1,
            "an SPI comes to another core, or twice",
        )?;
    }
    quiet()
}

fn to_each(stage: &Stage) -> Result<(), Failure> {
    let line = edge(0, PRIORITY);
    for core in (0..stage.cores).chain([0]) {
        line.send_to(core);
        line.pend();
        only_at(stage, line.intid(), core)?;
    }
    Ok(())
}

fn follows(stage: &Stage) -> Result<(), Failure> {
    let line = edge(0, PRIORITY);
    let last = stage.cores - 1;
    for core in [last, 0, last] {
        line.send_to(last - core);
        line.pend();
        line.send_to(core);
        only_at(stage, line.intid(), core)?;
        must(
            line.is_pending() == Some(false),
            "an SPI that followed its route still pends",
        )?;
    }
    Ok(())
}

fn active_stays(stage: &Stage) -> Result<(), Failure> {
    let line = edge(0, PRIORITY);
    let last = stage.cores - 1;
    line.pend();
    take(line.intid())?;
    line.send_to(last);
    // It pends while it is active here: nobody gets it.
    line.pend();
    for other in 1..stage.cores {
        must(
            stage.on(other, is_quiet, 0)? == 1,
            "an SPI that is active on one core comes to another",
        )?;
    }
    icc::end(line.intid());
    only_at(stage, line.intid(), last)?;
    must(
        in_time(|| line.is_active() == Some(false)),
        "an SPI stays active after its end",
    )
}

fn to_nobody(stage: &Stage) -> Result<(), Failure> {
    let line = edge(0, PRIORITY);
    line.set_route(gic::affinity(0) ^ 0x55_00);
    line.pend();
    nowhere(stage)?;
    must(
        line.is_pending() == Some(true),
        "an SPI without a target does not pend",
    )?;
    line.send_to(0);
    only_at(stage, line.intid(), 0)
}

/// A job.
fn pend_here(intid: u64) -> u64 {
    line((intid & 0xfff) as u32).pend();
    0
}

fn from_each(stage: &Stage) -> Result<(), Failure> {
    let line = edge(0, PRIORITY);
    for target in 0..stage.cores {
        line.send_to(target);
        for sender in 1..stage.cores {
            stage.on(sender, pend_here, FREE.into())?;
            only_at(stage, FREE, target)?;
        }
    }
    Ok(())
}
