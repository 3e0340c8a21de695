//! System registers and registers of devices, accessed as no driver does.

use super::Finding;
use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::cpu::{self, read_register, ticks};
use crate::el1::exceptions::expecting;
use crate::el1::mmio::Registers;

/// A register that is not for EL1, and how it would be read.
type Hidden = (&'static str, fn() -> u64);

/// What is there answers, what is not is undefined, and the payload learns of no EL2.
pub(super) fn system_registers(bench: &mut Bench) -> Result<Finding, Failure> {
    must(read_register!("currentel") == 1 << 2, "this is not EL1")?;
    let mpidr = read_register!("mpidr_el1");
    must(
        Some(mpidr & cpu::AFFINITY) == bench.machine.cores[0],
        "the first core has another affinity than the device tree says",
    )?;
    let frequency = read_register!("cntfrq_el0");
    let before = ticks();
    must(
        frequency != 0 && ticks() >= before,
        "the counter does not count",
    )?;
    let (pfr0, mmfr0) = (
        read_register!("id_aa64pfr0_el1"),
        read_register!("id_aa64mmfr0_el1"),
    );
    fact!(
        bench,
        "PFR0 {pfr0:#x}, MMFR0 {mmfr0:#x}, MPIDR {mpidr:#x}, {frequency} Hz"
    );
    let hidden: [Hidden; 4] = [
        ("HCR_EL2", || read_register!("hcr_el2")),
        ("VTTBR_EL2", || read_register!("vttbr_el2")),
        ("ICH_HCR_EL2", || read_register!("ich_hcr_el2")),
        ("its own maker's", || read_register!("s3_1_c15_c0_7")),
    ];
    for (name, read) in hidden {
        let (value, syndrome) = expecting(read);
        fact!(bench, "{name}: {value:#x}, {syndrome:?}");
        must(
            syndrome.is_some_and(|it| it.is_undefined()),
            "a register of EL2 answers",
        )?;
    }
    Ok(Finding::Works)
}

/// The DART's window with widths that it does not have, and addresses where nothing is.
///
/// What Oche answers is its own choice; that it goes on is not.
pub(super) fn odd_accesses(bench: &mut Bench) -> Result<Finding, Failure> {
    if let Some(base) = bench.machine.dart {
        // SAFETY: the device tree says that the DART is there.
        let dart = unsafe { Registers::new(base) };
        let answers = [
            expecting(|| dart.read64(0x40)).1,
            expecting(|| dart.write64(0x20, u64::MAX)).1,
            expecting(|| u64::from(dart.read16(0x100))).1,
            expecting(|| dart.write16(0x102, 0x80)).1,
            expecting(|| u64::from(dart.read32(0x3ffc))).1,
            expecting(|| dart.write32(0x3ffc, u32::MAX)).1,
        ];
        fact!(
            bench,
            "the DART by other widths, and at its end: {answers:x?}"
        );
    }
    for address in [0x0, 0x1800_0000, 0x6fff_fff8, 0x7f_ffff_fff8] {
        // SAFETY: nothing is there, least of all memory of the payload.
        let nothing = unsafe { Registers::new(address) };
        let (_, read) = expecting(|| nothing.read32(0));
        let ((), written) = expecting(|| nothing.write32(0, 1));
        fact!(bench, "{address:#x}: {read:x?}, {written:x?}");
        let aborted = |it: Option<crate::el1::exceptions::Syndrome>| {
            it.is_some_and(|syndrome| syndrome.is_external_abort())
        };
        must(
            aborted(read) && aborted(written),
            "something answers where nothing is",
        )?;
    }
    Ok(Finding::Works)
}

/// Configuration space: a BAR does not move, a capability does not appear, what is absent stays so.
pub(super) fn config_space(bench: &mut Bench) -> Result<Finding, Failure> {
    let (drive, _) = bench.find()?;
    // SAFETY: the device tree says that configuration space is there.
    let config = unsafe { Registers::new(bench.machine.ecam) }.at(u64::from(drive.rid) << 12);
    let bar = config.read32(0x10);
    config.write32(0x10, u32::MAX);
    let size = config.read32(0x10);
    config.write32(0x10, 0x0900_0000);
    let moved = config.read32(0x10);
    config.write32(0x10, bar);
    fact!(
        bench,
        "BAR 0 is {bar:#x}, sized {size:#x}, after an attempt to move it {moved:#x}"
    );
    must(moved == bar && config.read32(0x10) == bar, "a BAR moved")?;
    must(
        size & 0xf == bar & 0xf && size & !0xf != 0,
        "a BAR has no size",
    )?;
    // MSI, PCI Express, MSI-X, and no other capability; the list ends.
    let mut next = match config.read16(6) & 1 << 4 {
        0 => 0,
        _ => config.read32(0x34) & 0xfc,
    };
    let mut found = 0;
    while next != 0 {
        let word = config.read32(next.into());
        must(
            matches!(word & 0xff, 0x05 | 0x10 | 0x11),
            "there is a capability that is for no guest",
        )?;
        found += 1;
        must(found <= 3, "the list of capabilities does not end")?;
        next = word >> 8 & 0xfc;
    }
    fact!(bench, "{found} capabilities are shown");
    config.write16(4, 0xffff);
    let command = config.read16(4);
    must(
        command == 0x406,
        "the command register has other bits than it should",
    )?;
    must(
        config.read32(0xffc) == 0,
        "there is extended configuration space",
    )?;
    // SAFETY: as above.
    let absent = unsafe { Registers::new(bench.machine.ecam) }.at(31 << 15);
    absent.write32(0x10, 0);
    must(
        absent.read32(0) == u32::MAX,
        "something is there that was not given",
    )?;
    Ok(Finding::Works)
}
