//! LPI tables are memory that an interrupt controller reads and writes past every IOMMU: a guest
//! must find none (IHI 0069, 12.11).

use super::Finding;
use crate::el1::bench::{Bench, Failure, fact};
use crate::el1::console::say;
use crate::el1::mmio::Registers;

const CTLR: u64 = 0x00;
const TYPER: u64 = 0x08;
const PROPBASER: u64 = 0x70;
const PENDBASER: u64 = 0x78;

const ENABLE_LPIS: u32 = 1 << 0;
const TYPER_PLPIS: u64 = 1 << 0;
const TYPER_LAST: u64 = 1 << 4;

/// From one redistributor to the next.
const STRIDE: u64 = 0x2_0000;
/// No machine here has more.
const MAX_REDISTRIBUTORS: u64 = 64;

/// Tries to set up LPIs in each redistributor.
pub(super) fn lpi(bench: &mut Bench) -> Result<Finding, Failure> {
    let mut reached = false;
    for number in 0..MAX_REDISTRIBUTORS {
        // SAFETY: the device tree says that redistributors are there, up to the one that is last.
        let registers = unsafe { Registers::new(bench.machine.redistributors + number * STRIDE) };
        let typer = registers.read64(TYPER);
        // Inner shareable, write-back, of 16 bits of interrupt numbers: what an OS would write.
        let table = bench.page()?.address() & !0xffff;
        registers.write64(PROPBASER, table | 0x78f);
        registers.write64(PENDBASER, table | 0x780);
        let control = registers.read32(CTLR);
        registers.write32(CTLR, control | ENABLE_LPIS);
        let bases = [registers.read64(PROPBASER), registers.read64(PENDBASER)];
        let control = registers.read32(CTLR);
        fact!(
            bench,
            "redistributor {number}: TYPER {typer:#x}, CTLR {control:#x}, bases {bases:x?}"
        );
        reached |= typer & TYPER_PLPIS != 0 || control & ENABLE_LPIS != 0 || bases != [0, 0];
        // Halves are registers too.
        registers.write32(PROPBASER, u32::MAX);
        registers.write32(PENDBASER + 4, u32::MAX);
        reached |= registers.read64(PROPBASER) != 0 || registers.read64(PENDBASER) != 0;
        if typer & TYPER_LAST != 0 {
            break;
        }
    }
    Ok(if reached {
        Finding::Reached
    } else {
        Finding::Contained
    })
}
