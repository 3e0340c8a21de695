//! An identity map of 1 GiB blocks: memory where the device tree says there is some, registers
//! everywhere else.

use core::arch::asm;
use core::cell::UnsafeCell;

use super::machine::Machine;

/// One level-1 table of the 4 KiB granule spans 39 bits (Arm ARM D8.2).
const ENTRIES: usize = 512;
const BLOCK: u64 = 1 << 30;

#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; ENTRIES]>);

// SAFETY: written by `prepare` alone, before any other core runs.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([0; ENTRIES]));

/// A block, accessed, inner shareable (Arm ARM D8.3.1).
const NORMAL: u64 = 1 | 1 << 10 | 0b11 << 8 | 1 << 2;
/// The same as device memory, not executable.
const DEVICE: u64 = 1 | 1 << 10 | 0b11 << 53;
/// Attribute 0 is Device-nGnRE, 1 is write-back memory.
const MAIR: u64 = 0x04 | 0xff << 8;
/// T0SZ 25 (39 bits), walks write-back and inner shareable, no upper half, 40 bits out.
const TCR: u64 = 25 | 0b01 << 8 | 0b01 << 10 | 0b11 << 12 | 1 << 23 | 0b010 << 32;

/// Writes the table.
pub(super) fn prepare(machine: &Machine) {
    let table = TABLE.0.get().cast::<u64>();
    for index in 0..ENTRIES {
        let base = index as u64 * BLOCK;
        let (start, size) = machine.memory;
        let is_memory = base < start + size && start < base + BLOCK;
        let entry = base | if is_memory { NORMAL } else { DEVICE };
        // SAFETY: inside the table, which nobody else uses yet.
        unsafe { table.wrapping_add(index).write_volatile(entry) };
    }
}

/// Turns translation and caches on, on this core.
pub(super) fn enable() {
    // SAFETY: the table maps everything where it is, so that nothing changes but attributes.
    unsafe {
        asm!(
            "msr mair_el1, {mair}",
            "msr tcr_el1, {tcr}",
            "msr ttbr0_el1, {table}",
            "dsb sy",
            "tlbi vmalle1",
            "ic iallu",
            "dsb sy",
            "isb",
            "mrs {scratch}, sctlr_el1",
            // M, C and I on; A (alignment) and WXN off.
            "orr {scratch}, {scratch}, #0x1",
            "orr {scratch}, {scratch}, #0x4",
            "orr {scratch}, {scratch}, #0x1000",
            "bic {scratch}, {scratch}, #0x2",
            "bic {scratch}, {scratch}, #0x80000",
            "msr sctlr_el1, {scratch}",
            "isb",
            mair = in(reg) MAIR,
            tcr = in(reg) TCR,
            table = in(reg) TABLE.0.get(),
            scratch = out(reg) _,
            options(nostack)
        );
    }
}
