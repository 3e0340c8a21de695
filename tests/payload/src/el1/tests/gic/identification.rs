//! What the controller says about itself.

use super::stage::{Check, Stage, check, handle, quiet};
use crate::el1::bench::{Failure, must};
use crate::el1::console::say;
use crate::el1::gic::{
    self, CHILDREN_ASLEEP, GICD_TYPER, GICR_TYPER, GICR_WAKER, PROCESSOR_SLEEP, TYPER_LAST, icc,
    in_time, line::line,
};

/// Offsets of registers that every frame has (IHI 0069, 12.9 and 12.11).
const PIDR2: u64 = 0xffe8;
const GICD_IIDR: u64 = 0x0008;
const GICD_TYPER2: u64 = 0x000c;
const GICR_IIDR: u64 = 0x0004;

pub(super) const CHECKS: &[(&str, Check)] = &[
    (
        "the distributor names its architecture and size",
        distributor,
    ),
    (
        "every core has a redistributor, the last is the last",
        redistributors,
    ),
    ("every core runs where its redistributor says", homes),
    ("a redistributor sleeps and wakes", sleeps),
    (
        "the interface has system registers for good",
        system_registers,
    ),
    ("the interface has enough priorities and INTIDs", interface),
];

/// `PIDR2.ArchRev`: 3 is GICv3, 4 is GICv4.
fn is_v3(value: u32) -> bool {
    matches!(value >> 4 & 0xf, 3 | 4)
}

fn distributor(_: &Stage) -> Result<(), Failure> {
    let frame = gic::distributor();
    let typer = frame.read32(GICD_TYPER);
    say!(
        "oche-payload: gic: fact: GICD_TYPER {typer:#x}, GICD_TYPER2 {:#x}, GICD_IIDR {:#x}, GICD_PIDR2 {:#x}",
        frame.read32(GICD_TYPER2),
        frame.read32(GICD_IIDR),
        frame.read32(PIDR2)
    );
    must(is_v3(frame.read32(PIDR2)), "GICD_PIDR2 is not a GICv3's")?;
    must(
        gic::line_count() >= 256,
        "there are fewer than 224 shared interrupts",
    )?;
    // IDbits: one less than the number of bits; 1020 INTIDs take ten.
    must(typer >> 19 & 0x1f >= 9, "an INTID has fewer than ten bits")?;
    // CPUNumber counts targets without affinity routing, which is always on here.
    must(
        frame.read32(gic::GICD_CTLR) & gic::CTLR_ARE != 0,
        "affinity routing is off",
    )
}

fn redistributors(stage: &Stage) -> Result<(), Failure> {
    for core in 0..stage.cores {
        let frame = gic::redistributor(core);
        let typer = frame.read64(GICR_TYPER);
        must(
            typer >> 32 == gic::packed(gic::affinity(core)),
            "a redistributor has another affinity than its core",
        )?;
        let halves =
            u64::from(frame.read32(GICR_TYPER + 4)) << 32 | u64::from(frame.read32(GICR_TYPER));
        check!(
            halves == typer,
            "the halves of GICR_TYPER are not the whole",
            "{halves:#x}, not {typer:#x}"
        )?;
        // The device tree names the cores in the order of their redistributors, and no others exist.
        let is_last = typer & TYPER_LAST != 0;
        check!(
            is_last == (core + 1 == stage.cores),
            "GICR_TYPER.Last is not with the last",
            "redistributor {core}: GICR_TYPER {typer:#x}"
        )?;
        must(is_v3(frame.read32(PIDR2)), "GICR_PIDR2 is not a GICv3's")?;
        let others = (0..core).map(|other| gic::redistributor(other).read64(GICR_TYPER));
        for other in others {
            must(
                other >> 8 & 0xffff != typer >> 8 & 0xffff,
                "two redistributors have the same GICR_TYPER.Processor_Number",
            )?;
        }
        let same = frame.read32(GICR_IIDR) == frame.read32(GICR_IIDR);
        must(same, "GICR_IIDR changes")?;
    }
    Ok(())
}

fn homes(stage: &Stage) -> Result<(), Failure> {
    must(gic::is_at_home(), "the first core has another affinity")?;
    for core in 1..stage.cores {
        let home = stage.on(core, |_| gic::is_at_home().into(), 0)?;
        must(
            home != 0,
            "a core has another affinity than the device tree says",
        )?;
    }
    Ok(())
}

fn sleeps(_: &Stage) -> Result<(), Failure> {
    let frame = gic::redistributor(0);
    let waker = || frame.read32(GICR_WAKER);
    line(5).enable();
    for _ in 0..2 {
        // A core that goes to sleep takes no more interrupts (IHI 0069, 11.1).
        icc::set_group1(false);
        frame.write32(GICR_WAKER, waker() | PROCESSOR_SLEEP);
        let asleep = in_time(|| waker() & CHILDREN_ASLEEP != 0);
        must(asleep, "GICR_WAKER.ChildrenAsleep does not follow to 1")?;
        must(
            waker() & PROCESSOR_SLEEP != 0,
            "GICR_WAKER.ProcessorSleep does not stay 1",
        )?;
        icc::send(5, 0);
        frame.write32(GICR_WAKER, waker() & !PROCESSOR_SLEEP);
        let awake = in_time(|| waker() & CHILDREN_ASLEEP == 0);
        must(awake, "GICR_WAKER.ChildrenAsleep does not follow to 0")?;
        quiet()?;
        icc::set_group1(true);
        handle(5)?;
        quiet()?;
    }
    Ok(())
}

fn system_registers(_: &Stage) -> Result<(), Failure> {
    must(icc::system_registers() & 1 != 0, "ICC_SRE_EL1.SRE is 0")?;
    icc::set_system_registers(icc::system_registers());
    must(icc::system_registers() & 1 != 0, "ICC_SRE_EL1.SRE became 0")
}

fn interface(_: &Stage) -> Result<(), Failure> {
    let control = icc::control();
    say!("oche-payload: gic: fact: ICC_CTLR_EL1 {control:#x}");
    // PRIbits, one less than the number: 16 levels are the least with one security state (IHI 0069, 4.8).
    must(control >> 8 & 7 >= 3, "there are fewer than 16 priorities")?;
    must(control >> 11 & 7 <= 1, "ICC_CTLR_EL1.IDbits is reserved")?;
    icc::set_split(true);
    must(icc::is_split(), "ICC_CTLR_EL1.EOImode does not become 1")?;
    icc::set_split(false);
    must(!icc::is_split(), "ICC_CTLR_EL1.EOImode does not become 0")?;
    icc::set_group1(false);
    must(!icc::has_group1(), "ICC_IGRPEN1_EL1 does not become 0")?;
    icc::set_group1(true);
    must(icc::has_group1(), "ICC_IGRPEN1_EL1 does not become 1")?;
    must(
        icc::active_priorities() == 0,
        "ICC_AP1R0_EL1 is not 0 when nothing is active",
    )
}
