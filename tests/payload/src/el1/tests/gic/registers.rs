//! Sizes of accesses, bits that are there, and registers that are not (IHI 0069, 12.1.3 and 12.9).

use super::stage::{Check, FREE, Stage, check};
use crate::el1::bench::{Failure, must};
use crate::el1::exceptions::expecting;
use crate::el1::gic::line::{
    CONFIG, GROUP, PRIORITY, ROUTER, SET_ENABLE, SET_PENDING, line, line_of,
};
use crate::el1::gic::{self, line_count};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("priorities are bytes and words", priorities),
    ("a priority has its upper bits", priority_bits),
    ("every SPI has its bits", every_spi),
    ("every private interrupt has its bits", every_private),
    ("private interrupts are not the distributor's", no_private),
    ("what lies beyond the last SPI is not there", beyond),
    ("a trigger is what was written", triggers),
    ("an SGI is an edge for ever", sgis_are_edges),
    ("a route is one word or two halves", routes),
    ("no read of a frame faults", whole_frames),
];

fn priorities(_: &Stage) -> Result<(), Failure> {
    for (frame, first) in [(gic::distributor(), FREE), (gic::private_frame(0), 8)] {
        let at = PRIORITY + u64::from(first);
        frame.write32(at, 0x1020_4080);
        for (offset, priority) in [(0, 0x80), (1, 0x40), (2, 0x20), (3, 0x10)] {
            must(
                frame.read8(at + offset) == priority,
                "a byte of a word of priorities reads as another",
            )?;
        }
        frame.write8(at + 2, 0xc0);
        check!(
            frame.read32(at) == 0x10c0_4080,
            "a byte written to a word of priorities changes another, or nothing",
            "{:#x}",
            frame.read32(at)
        )?;
    }
    Ok(())
}

fn priority_bits(_: &Stage) -> Result<(), Failure> {
    for intid in [0, 27, FREE] {
        let line = line(intid);
        line.set_priority(0xff);
        let bits = line.priority();
        // At least four, from the top (IHI 0069, 4.8).
        let from_the_top = bits.leading_ones() + bits.trailing_zeros() == 8;
        check!(
            from_the_top && bits >= 0xf0,
            "the bits of a priority are not the upper ones",
            "INTID {intid}: {bits:#x}"
        )?;
        line.set_priority(0);
        must(line.priority() == 0, "a priority does not become 0")?;
    }
    Ok(())
}

/// Enabled and back; nothing else is touched, for a device may have the interrupt.
fn every_spi(_: &Stage) -> Result<(), Failure> {
    for intid in 32..line_count().min(288) {
        has_its_bits(intid)?;
    }
    Ok(())
}

fn every_private(stage: &Stage) -> Result<(), Failure> {
    for core in 0..stage.cores {
        for intid in (0..16).chain([27, 30]) {
            let line = line_of(core, intid);
            must(
                line.is_enabled() == Some(false),
                "an interrupt is enabled after reset",
            )?;
            line.enable();
            must(
                line.is_enabled() == Some(true),
                "a private interrupt is not enabled",
            )?;
            line.disable();
            must(
                line.is_enabled() == Some(false),
                "a private interrupt is not disabled",
            )?;
        }
    }
    Ok(())
}

fn has_its_bits(intid: u32) -> Result<(), Failure> {
    let line = line(intid);
    let priority = line.priority();
    line.set_priority(0x40);
    check!(
        line.priority() == 0x40,
        "an SPI has no priority",
        "INTID {intid}"
    )?;
    line.set_priority(priority);
    // A device may ask for its interrupt: the interface is not to see it.
    line.set_group1(true);
    let before = line.is_enabled();
    line.enable();
    let enabled = line.is_enabled();
    line.disable();
    check!(
        before == Some(false) && enabled == Some(true) && line.is_enabled() == Some(false),
        "an SPI is not enabled or not disabled",
        "INTID {intid}"
    )
}

fn no_private(_: &Stage) -> Result<(), Failure> {
    // With affinity routing GICD_I*<0> are RAZ/WI (IHI 0069, GICD_ISENABLER<n>).
    let frame = gic::distributor();
    for base in [SET_ENABLE, SET_PENDING] {
        frame.write32(base, u32::MAX);
        must(
            frame.read32(base) == 0,
            "the distributor has private interrupts",
        )?;
    }
    must(
        gic::private_frame(0).read32(SET_PENDING) & 0xffff == 0,
        "the distributor made SGIs pending",
    )
}

fn beyond(_: &Stage) -> Result<(), Failure> {
    let frame = gic::distributor();
    // QEMU before 8.0 has 32 SPIs more than GICD_TYPER says.
    let words = line_count() / 32 + 1;
    for word in u64::from(words)..32 {
        for base in [GROUP, SET_ENABLE, SET_PENDING] {
            frame.write32(base + 4 * word, u32::MAX);
            must(
                frame.read32(base + 4 * word) == 0,
                "an SPI beyond the last has a bit",
            )?;
        }
        frame.write32(PRIORITY + 32 * word, u32::MAX);
        frame.write8(PRIORITY + 32 * word + 5, u8::MAX);
        must(
            frame.read32(PRIORITY + 32 * word) == 0 && frame.read8(PRIORITY + 32 * word + 5) == 0,
            "an SPI beyond the last has a priority",
        )?;
        frame.write32(CONFIG + 8 * word, u32::MAX);
        must(
            frame.read32(CONFIG + 8 * word) == 0,
            "an SPI beyond the last has a trigger",
        )?;
    }
    Ok(())
}

fn triggers(_: &Stage) -> Result<(), Failure> {
    for intid in FREE..FREE + 32 {
        line(intid).set_edge(intid % 3 == 0);
    }
    for intid in FREE..FREE + 32 {
        check!(
            line(intid).is_edge() == (intid % 3 == 0),
            "GICD_ICFGR does not hold what was written",
            "INTID {intid}"
        )?;
    }
    Ok(())
}

fn sgis_are_edges(stage: &Stage) -> Result<(), Failure> {
    for core in 0..stage.cores {
        let frame = gic::private_frame(core);
        for value in [0, u32::MAX] {
            frame.write32(CONFIG, value);
            let config = frame.read32(CONFIG);
            check!(
                config & 0xaaaa_aaaa == 0xaaaa_aaaa,
                "GICR_ICFGR0 says that an SGI is a level",
                "{config:#x}"
            )?;
        }
    }
    Ok(())
}

fn routes(stage: &Stage) -> Result<(), Failure> {
    let frame = gic::distributor();
    let at = ROUTER + 8 * u64::from(FREE);
    for core in 0..stage.cores {
        let affinity = gic::affinity(core);
        frame.write64(at, affinity);
        check!(
            frame.read64(at) == affinity,
            "GICD_IROUTER does not hold a core's affinity",
            "{:#x}, not {affinity:#x}",
            frame.read64(at)
        )?;
        let halves = u64::from(frame.read32(at + 4)) << 32 | u64::from(frame.read32(at));
        must(
            halves == affinity,
            "the halves of GICD_IROUTER are not the whole",
        )?;
    }
    frame.write64(at, 0);
    frame.write32(at + 4, 0x12);
    frame.write32(at, 0x34_5678);
    check!(
        frame.read64(at) == 0x12_0034_5678,
        "GICD_IROUTER is not written by halves",
        "{:#x}",
        frame.read64(at)
    )?;
    // 1-of-N: where GICD_TYPER.No1N says that there is none, the bit may be RES0. QEMU keeps what is written.
    frame.write64(at, 1 << 31);
    let kept = frame.read64(at) >> 31 & 1;
    say_kept(kept);
    frame.write64(at, gic::affinity(0));
    Ok(())
}

fn say_kept(kept: u64) {
    use crate::el1::console::say;
    let typer = gic::distributor().read32(gic::GICD_TYPER);
    say!(
        "oche-payload: gic: fact: GICD_TYPER.No1N is {}, GICD_IROUTER.IRM reads as {kept} after 1",
        typer >> 25 & 1
    );
}

/// Every word of the first 32 KiB of each frame, and of the last 256 bytes: reserved ones read as zero, none faults.
fn whole_frames(stage: &Stage) -> Result<(), Failure> {
    let last = stage.cores - 1;
    let frames = [
        gic::distributor(),
        gic::redistributor(0),
        gic::private_frame(0),
        gic::redistributor(last),
        gic::private_frame(last),
    ];
    for frame in frames {
        let (sum, fault) = expecting(|| {
            let offsets = (0..0x1000).chain(0x6000..0x6200).chain(0xff00..0x1_0000);
            offsets
                .step_by(4)
                .fold(0, |sum: u32, offset| sum ^ frame.read32(offset))
        });
        // The sum only keeps the reads.
        core::hint::black_box(sum);
        must(
            fault.is_none(),
            "reading a register of the controller faults",
        )?;
    }
    // Reserved ones ignore what is written.
    for offset in [0x020, 0x030, 0x0e00, 0x5ffc, 0xbffc] {
        let ((), fault) = expecting(|| gic::distributor().write32(offset, u32::MAX));
        must(fault.is_none(), "writing to a reserved register faults")?;
    }
    Ok(())
}
