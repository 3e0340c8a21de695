//! Self-hosted debug: a breakpoint of the guest's own, and the registers that Oche answers.

use core::arch::asm;

use super::registers::Registers;
use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::cpu::read_register;
use crate::el1::exceptions::expecting;

/// A breakpoint stops at its instruction, and no more after it is taken away; the locks are open and stay so.
pub(super) fn breakpoint(bench: &mut Bench, registers: &Registers) -> Result<(), Failure> {
    let (version, breakpoints) = (registers.field(5, 0, 0), registers.field(5, 0, 12) + 1);
    fact!(bench, "debug version {version}, {breakpoints} breakpoints");
    must(version >= 6, "there is no debug, which Armv8 requires")?;
    let (armed, met) = expecting(|| run_into_breakpoint(1));
    let (unarmed, missed) = expecting(|| run_into_breakpoint(0));
    must(
        met.is_some_and(|it| it.is_breakpoint()) && armed == 1,
        "a breakpoint does not stop its instruction",
    )?;
    must(
        missed.is_none() && unarmed == 2,
        "a breakpoint stops that is not there",
    )?;
    for lock in [1_u64, 0] {
        let ((), syndrome) = expecting(|| {
            // SAFETY: the OS Lock and the double lock; nothing else here debugs.
            unsafe {
                asm!("msr oslar_el1, {0}", "msr osdlr_el1, {0}", "isb", in(reg) lock, options(nostack))
            };
        });
        must(syndrome.is_none(), "a lock cannot be written")?;
        must(
            read_register!("oslsr_el1") == 1 << 3,
            "the OS Lock is not open",
        )?;
    }
    // QEMU has no DBGPRCR_EL1, and its being undefined says no less than a zero.
    let (power, _) = expecting(|| read_register!("dbgprcr_el1"));
    must(
        power | read_register!("osdlr_el1") | read_register!("mdrar_el1") == 0,
        "a double lock, a power request or a debug ROM is there",
    )
}

/// Counts to two, with breakpoint 0 on the second step if `armed` is 1.
fn run_into_breakpoint(armed: u64) -> u64 {
    let count: u64;
    // DBGBCR: EL1 (PMC 0b01), all four bytes, and the enable bit (Arm ARM D24.3). MDSCR: KDE and MDE.
    let (control, monitor) = ((0xf << 5 | 0b01 << 1) | armed, 1_u64 << 13 | 1 << 15);
    // SAFETY: breakpoint and debug mask are put back; an exception is expected by the caller.
    unsafe {
        asm!(
            "adr {scratch}, 2f",
            "msr dbgbvr0_el1, {scratch}",
            "msr dbgbcr0_el1, {control}",
            "msr mdscr_el1, {monitor}",
            "isb",
            "msr daifclr, #8",
            "mov {count}, #1",
            "2:",
            "add {count}, {count}, #1",
            "msr daifset, #8",
            "msr mdscr_el1, xzr",
            "msr dbgbcr0_el1, xzr",
            "isb",
            scratch = out(reg) _,
            control = in(reg) control,
            monitor = in(reg) monitor,
            count = out(reg) count,
            options(nostack)
        );
    }
    count
}
