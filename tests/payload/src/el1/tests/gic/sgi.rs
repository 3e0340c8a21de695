//! Interrupts that cores send each other (IHI 0069, `ICC_SGI1R_EL1`).

use super::stage::{Check, Stage, check, handle, handle_one, is_quiet, quiet, take};
use crate::el1::bench::{Failure, must};
use crate::el1::gic::line::{line, line_of};
use crate::el1::gic::{self, icc, in_time};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("a core sends itself each SGI", to_itself),
    (
        "all sixteen pend together and come by priority",
        all_together,
    ),
    ("an SGI that pends already comes once", twice_is_once),
    ("an SGI sent while it is active comes again", while_active),
    ("a disabled SGI waits until it is enabled", disabled),
    (
        "an SGI can be set and cleared by its registers",
        by_registers,
    ),
    ("an SGI goes to the core it names, and no other", to_another),
    ("a list names several cores", to_a_list),
    (
        "a broadcast goes to all others, not to the sender",
        to_others,
    ),
    ("an SGI to a core that is not there is lost", to_nobody),
    (
        "a core sets another's SGI by its redistributor",
        in_another_frame,
    ),
];

fn to_itself(_: &Stage) -> Result<(), Failure> {
    for intid in 0..16 {
        line(intid).enable();
        icc::send(intid, 0);
        handle(intid)?;
        quiet()?;
        must(
            line(intid).is_active() == Some(false) && line(intid).is_pending() == Some(false),
            "an SGI is not idle after its end",
        )?;
    }
    Ok(())
}

fn all_together(_: &Stage) -> Result<(), Failure> {
    // The higher the INTID the more urgent, so that the order is not that of the numbers.
    for intid in 0..16_u8 {
        line(intid.into()).set_priority(0xf0 - 0x10 * intid);
        line(intid.into()).enable();
    }
    icc::set_mask(0);
    for intid in 0..16 {
        icc::send(intid, 0);
    }
    quiet()?;
    icc::open_mask();
    for intid in (1..16).rev() {
        handle(intid)?;
    }
    handle(0)?;
    quiet()
}

fn twice_is_once(_: &Stage) -> Result<(), Failure> {
    line(3).enable();
    icc::send(3, 0);
    icc::send(3, 0);
    handle(3)?;
    quiet()
}

fn while_active(_: &Stage) -> Result<(), Failure> {
    line(3).enable();
    icc::send(3, 0);
    take(3)?;
    icc::send(3, 0);
    must(
        in_time(|| line(3).is_pending() == Some(true)),
        "an SGI does not pend while it is active",
    )?;
    quiet()?;
    icc::end(3);
    handle(3)?;
    quiet()
}

fn disabled(_: &Stage) -> Result<(), Failure> {
    icc::send(3, 0);
    quiet()?;
    must(
        in_time(|| line(3).is_pending() == Some(true)),
        "a disabled SGI does not pend",
    )?;
    line(3).enable();
    handle(3)?;
    quiet()
}

fn by_registers(_: &Stage) -> Result<(), Failure> {
    line(9).enable();
    line(9).pend();
    handle(9)?;
    quiet()?;
    icc::set_mask(0);
    icc::send(9, 0);
    must(
        in_time(|| line(9).is_pending() == Some(true)),
        "an SGI that was sent does not pend",
    )?;
    line(9).unpend();
    must(line(9).is_pending() == Some(false), "an SGI is not cleared")?;
    icc::open_mask();
    quiet()
}

fn enable_here(intid: u64) -> u64 {
    // SGIs are below 16.
    line((intid & 0xf) as u32).enable();
    0
}

fn enable_everywhere(stage: &Stage, intid: u32) -> Result<(), Failure> {
    line(intid).enable();
    for core in 1..stage.cores {
        stage.on(core, enable_here, intid.into())?;
    }
    Ok(())
}

/// The cores of the mask must get the SGI once, all others must not.
fn only_at(stage: &Stage, intid: u32, mask: u32) -> Result<(), Failure> {
    for core in 1..stage.cores {
        if mask >> core & 1 != 0 {
            let came = stage.on(core, handle_one, 0)?;
            check!(
                came == u64::from(intid),
                "an SGI does not come to a core that it names",
                "core {core} got {came}, not {intid}"
            )?;
        }
    }
    if mask & 1 != 0 {
        handle(intid)?;
    }
    for core in 1..stage.cores {
        must(
            stage.on(core, is_quiet, 0)? == 1,
            "an SGI comes to a core that it does not name, or twice",
        )?;
    }
    quiet()
}

fn to_another(stage: &Stage) -> Result<(), Failure> {
    enable_everywhere(stage, 7)?;
    for core in 0..stage.cores {
        icc::send(7, core);
        only_at(stage, 7, 1 << core)?;
    }
    Ok(())
}

/// The cores of the first one's cluster, as their bits in a list.
fn neighbours(stage: &Stage) -> impl Iterator<Item = (usize, u16)> {
    let cluster = |core| gic::affinity(core) & !0xf;
    (0..stage.cores)
        .filter(move |core| cluster(*core) == cluster(0))
        .map(|core| (core, 1 << (gic::affinity(core) & 0xf)))
}

fn to_a_list(stage: &Stage) -> Result<(), Failure> {
    enable_everywhere(stage, 2)?;
    for wanted in 0..1_u32 << stage.cores {
        let (mut mask, mut list) = (0, 0);
        for (core, bit) in neighbours(stage).filter(|(core, _)| wanted >> core & 1 != 0) {
            mask |= 1 << core;
            list |= bit;
        }
        icc::send_to_list(2, gic::affinity(0), list);
        only_at(stage, 2, mask)?;
    }
    Ok(())
}

fn to_others(stage: &Stage) -> Result<(), Failure> {
    enable_everywhere(stage, 4)?;
    icc::send_to_others(4);
    only_at(stage, 4, !1 & ((1 << stage.cores) - 1))
}

fn to_nobody(stage: &Stage) -> Result<(), Failure> {
    enable_everywhere(stage, 4)?;
    let all = neighbours(stage).fold(0, |list, (_, bit)| list | bit);
    icc::send_to_list(4, gic::affinity(0), !all);
    // Another cluster; another range of 16, where there are such.
    icc::send_to_list(4, gic::affinity(0) ^ 0x5500, u16::MAX);
    if icc::has_ranges() {
        icc::send_to_list(4, gic::affinity(0) ^ 0x50, u16::MAX);
    }
    icc::send_to_list(4, gic::affinity(0) ^ 0x55_0000_0000, u16::MAX);
    only_at(stage, 4, 0)
}

fn in_another_frame(stage: &Stage) -> Result<(), Failure> {
    for core in 0..stage.cores {
        line_of(core, 11).enable();
        line_of(core, 11).pend();
        only_at(stage, 11, 1 << core)?;
    }
    Ok(())
}
