//! Messages of the drive: MSI-X (PCI 6.8.2), through the DART, to the frame.
//!
//! The drive's completion of an admin command is its vector 0 (NVMe base 1.4, 5.3).

use super::frame::{BASE, COUNT, FIRST, SETSPI, ready};
use crate::el1::bench::{Bench, Failure, Rig, fact, must};
use crate::el1::console::say;
use crate::el1::cpu::{Deadline, barrier};
use crate::el1::dart::{VALID, WHOLE_PAGE};
use crate::el1::gic::{icc, in_time};
use crate::el1::memory::PAGE_SIZE;
use crate::el1::mmio::Registers;
use crate::el1::pci::Drive;
use crate::el1::tests::gic::stage::{check, handle, quiet, take};

/// The capability, and its fields.
const MSIX: u8 = 0x11;
const CONTROL: u64 = 2;
const TABLE: u64 = 4;
const CONTROL_ENABLE: u16 = 1 << 15;
const CONTROL_MASKED: u16 = 1 << 14;

/// Where the drive finds the frame, and where it finds nothing.
const IOVA: u64 = 0x3_0000_0000;
const NOWHERE: u64 = 0x3_4000_0000;

/// The drive's first vector.
struct Vector {
    control: Registers,
    entry: Registers,
}

impl Vector {
    fn find(drive: &Drive) -> Result<Self, Failure> {
        let control = drive
            .capability(MSIX)
            .ok_or(Failure::Wrong("the drive has no MSI-X"))?;
        let table = control.read32(TABLE);
        must(table & 7 == 0, "the drive's MSI-X table is not in BAR 0")?;
        Ok(Self {
            control,
            entry: drive.registers.at(u64::from(table & !7)),
        })
    }

    /// A message of this value to this address from now on.
    fn aim(&self, address: u64, value: u32) {
        self.mask(true);
        self.entry.write32(0, half(address));
        self.entry.write32(4, half(address >> 32));
        self.entry.write32(8, value);
        self.mask(false);
    }

    fn mask(&self, on: bool) {
        self.entry.write32(12, on.into());
        // Read back, so that it has arrived.
        let _ = self.entry.read32(12);
        barrier();
    }

    fn switch(&self, on: bool) {
        let rest = self.control.read16(CONTROL) & !(CONTROL_ENABLE | CONTROL_MASKED);
        self.control
            .write16(CONTROL, rest | if on { CONTROL_ENABLE } else { 0 });
        let _ = self.control.read16(CONTROL);
        barrier();
    }
}

/// The low half.
#[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
const fn half(address: u64) -> u32 {
    address as u32
}

/// All of it.
pub(super) fn messages(bench: &mut Bench) -> Result<(), Failure> {
    let (drive, _) = bench.find()?;
    let vector = Vector::find(&drive)?;
    // A drive takes its vectors into use when it is started.
    vector.switch(true);
    let rig = bench.rig_anew()?;
    rig.dart()?
        .set_leaf(IOVA, BASE & !(PAGE_SIZE - 1) | VALID | WHOLE_PAGE)?;
    rig.dart()?.invalidate();
    rig.forget_faults()?;
    let found = by_number(rig, &vector)
        .and_then(|()| masked(rig, &vector))
        .and_then(|()| of_no_event(rig, &vector))
        .and_then(|()| to_nowhere(rig, &vector))
        .and_then(|()| after_unmapping(rig, &vector));
    vector.mask(true);
    vector.switch(false);
    found?;
    fact!(bench, "the drive's messages come through the DART");
    Ok(())
}

const DOORBELL: u64 = IOVA + BASE % PAGE_SIZE + SETSPI;

/// Each message comes as the SPI that it names, once for each completion.
fn by_number(rig: &mut Rig, vector: &Vector) -> Result<(), Failure> {
    for intid in [FIRST, FIRST + 1, FIRST + 77, FIRST + COUNT - 1] {
        let line = ready(intid);
        vector.aim(DOORBELL, intid);
        for _ in 0..20 {
            rig.nvme.identify_namespace()?;
            handle(intid)?;
            quiet()?;
        }
        // While it is active it pends, and comes after.
        rig.nvme.identify_namespace()?;
        take(intid)?;
        rig.nvme.identify_namespace()?;
        must(
            in_time(|| line.is_pending() == Some(true)),
            "a message while the last one is active does not pend",
        )?;
        icc::end(intid);
        handle(intid)?;
        quiet()?;
        line.disable();
    }
    must(
        rig.dart()?.take_fault().is_none(),
        "a message is reported as a fault",
    )
}

/// A masked entry keeps its message until it is unmasked.
fn masked(rig: &mut Rig, vector: &Vector) -> Result<(), Failure> {
    ready(FIRST);
    vector.aim(DOORBELL, FIRST);
    vector.mask(true);
    rig.nvme.identify_namespace()?;
    quiet()?;
    vector.mask(false);
    handle(FIRST)?;
    quiet()
}

/// A value that is no SPI of the frame's delivers nothing.
fn of_no_event(rig: &mut Rig, vector: &Vector) -> Result<(), Failure> {
    let lines = [FIRST - 1, FIRST, FIRST + COUNT].map(ready);
    for value in [
        0,
        27,
        FIRST - 1,
        FIRST + COUNT,
        1023,
        5000,
        0x1_0040,
        u32::MAX,
    ] {
        vector.aim(DOORBELL, value);
        rig.nvme.identify_namespace()?;
        quiet_for_a_while()?;
    }
    for line in lines {
        must(
            line.is_pending() == Some(false),
            "a message of no event makes an SPI pend",
        )?;
        line.disable();
    }
    Ok(())
}

/// An address that is not mapped is a fault of the DART's, and no interrupt.
fn to_nowhere(rig: &mut Rig, vector: &Vector) -> Result<(), Failure> {
    ready(FIRST);
    rig.forget_faults()?;
    vector.aim(NOWHERE + SETSPI, FIRST);
    rig.nvme.identify_namespace()?;
    quiet_for_a_while()?;
    fault_at(rig, NOWHERE)
}

/// So is the frame itself once it is no longer mapped.
fn after_unmapping(rig: &mut Rig, vector: &Vector) -> Result<(), Failure> {
    rig.dart()?.unmap(IOVA)?;
    rig.dart()?.invalidate();
    rig.forget_faults()?;
    vector.aim(DOORBELL, FIRST);
    rig.nvme.identify_namespace()?;
    quiet_for_a_while()?;
    fault_at(rig, IOVA)
}

fn fault_at(rig: &mut Rig, iova: u64) -> Result<(), Failure> {
    let mut fault = None;
    let dart = rig.dart()?;
    let came = in_time(|| {
        fault = fault.or(dart.take_fault());
        fault.is_some()
    });
    must(
        came,
        "a message to an address that is not mapped is no fault",
    )?;
    let address = fault.map_or(0, |fault| fault.address);
    check!(
        address & !(PAGE_SIZE - 1) == iova,
        "the fault of a message names another address",
        "{address:#x}"
    )
}

/// A message has a way to go.
fn quiet_for_a_while() -> Result<(), Failure> {
    let deadline = Deadline::after_ms(20);
    while !deadline.passed() {
        quiet()?;
    }
    Ok(())
}
