//! Groups, and what turns them off (IHI 0069, 4.6).

use super::stage::{Check, Stage, arrives, edge, goes, handle, quiet, take};
use crate::el1::bench::{Failure, must};
use crate::el1::console::say;
use crate::el1::gic::line::line;
use crate::el1::gic::{self, CTLR_ARE, CTLR_GROUP1, GICD_CTLR, PRIORITY, icc};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("the distributor's Group 1 off holds all back", distributor),
    ("the distributor holds what it was told", control),
    ("the interface's Group 1 off holds all back", interface),
    ("what is active ends with Group 1 off", end_while_off),
    ("what is in Group 0 is not delivered as Group 1", group0),
];

fn switch(on: bool) {
    let value = CTLR_ARE | if on { CTLR_GROUP1 } else { 0 };
    gic::distributor().write32(GICD_CTLR, value);
    gic::settle();
}

fn distributor(_: &Stage) -> Result<(), Failure> {
    let (shared, sgi) = (edge(0, PRIORITY), line(6));
    sgi.enable();
    for line in [shared, sgi] {
        line.pend();
        arrives()?;
        switch(false);
        goes()?;
        must(
            line.is_pending() == Some(true),
            "what pends is lost when Group 1 goes off",
        )?;
        switch(true);
        handle(line.intid())?;
        switch(false);
        line.pend();
        quiet()?;
        switch(true);
        handle(line.intid())?;
        quiet()?;
    }
    Ok(())
}

fn control(_: &Stage) -> Result<(), Failure> {
    let read = || gic::distributor().read32(GICD_CTLR);
    switch(false);
    must(
        read() & CTLR_GROUP1 == 0,
        "GICD_CTLR.EnableGrp1 does not become 0",
    )?;
    switch(true);
    must(
        read() & CTLR_GROUP1 != 0,
        "GICD_CTLR.EnableGrp1 does not become 1",
    )?;
    must(
        read() & gic::CTLR_RWP == 0,
        "GICD_CTLR.RWP is set after all has settled",
    )
}

fn interface(_: &Stage) -> Result<(), Failure> {
    let line = edge(0, PRIORITY);
    line.pend();
    arrives()?;
    icc::set_group1(false);
    goes()?;
    icc::set_group1(true);
    handle(line.intid())?;
    icc::set_group1(false);
    line.pend();
    quiet()?;
    icc::set_group1(true);
    handle(line.intid())?;
    quiet()
}

fn end_while_off(_: &Stage) -> Result<(), Failure> {
    let line = edge(0, PRIORITY);
    line.pend();
    take(line.intid())?;
    switch(false);
    icc::end(line.intid());
    must(
        line.is_active() == Some(false) && icc::running_priority() == icc::IDLE,
        "an end does not count with Group 1 off",
    )?;
    switch(true);
    quiet()
}

fn group0(_: &Stage) -> Result<(), Failure> {
    for line in [edge(0, PRIORITY), line(6)] {
        line.disable();
        line.set_group1(false);
        if line.is_group1() {
            // Group 1 only is allowed: the bit is RES1 where Group 0 is another state's.
            say!(
                "oche-payload: gic: fact: INTID {} is of Group 1 for good",
                line.intid()
            );
            continue;
        }
        line.enable();
        line.pend();
        quiet()?;
        must(
            line.is_pending() == Some(true),
            "an interrupt of Group 0 does not pend",
        )?;
        line.disable();
        line.set_group1(true);
        line.enable();
        handle(line.intid())?;
        quiet()?;
        // An SGI to Group 1 does not reach a core that has it in Group 0 (IHI 0069, ICC_SGI1R_EL1).
        if line.intid() < 16 {
            line.disable();
            line.set_group1(false);
            icc::send(line.intid(), 0);
            line.enable();
            quiet()?;
            must(
                line.is_pending() == Some(false),
                "an SGI of Group 1 comes to one of Group 0",
            )?;
        }
    }
    Ok(())
}
