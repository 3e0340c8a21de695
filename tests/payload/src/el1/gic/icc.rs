//! The CPU interface's system registers (IHI 0069, 12.2), of the core that calls.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use super::Fault;
use crate::el1::cpu::{barrier, read_register};

/// `ICC_RPR_EL1` when nothing is active.
pub(in crate::el1) const IDLE: u8 = 0xff;
const CTLR_EOIMODE: u64 = 1 << 1;

macro_rules! write_register {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: a register of the CPU interface, which touches no memory.
        unsafe { asm!(concat!("msr ", $name, ", {0}"), "isb", in(reg) value, options(nostack)) };
    }};
}

/// The low word.
#[expect(clippy::cast_possible_truncation, reason = "the low word is wanted")]
const fn low(value: u64) -> u32 {
    value as u32
}

/// The low byte.
#[expect(clippy::cast_possible_truncation, reason = "the low byte is wanted")]
const fn byte(value: u64) -> u8 {
    value as u8
}

/// `ICC_IAR1_EL1`.
pub(in crate::el1) fn acknowledge() -> u32 {
    let intid = read_register!("S3_0_C12_C12_0");
    // What follows sees what the device did before (IHI 0069, 4.1.1).
    barrier();
    low(intid) & 0xff_ffff
}

/// `ICC_IAR0_EL1`.
pub(in crate::el1) fn acknowledge_group0() -> u32 {
    low(read_register!("S3_0_C12_C8_0")) & 0xff_ffff
}

/// `ICC_EOIR1_EL1`.
pub(in crate::el1) fn end(intid: u32) {
    barrier();
    if !Fault::NoEnd.is_in() {
        write_register!("S3_0_C12_C12_1", u64::from(intid));
    }
}

/// `ICC_DIR_EL1`.
pub(in crate::el1) fn deactivate(intid: u32) {
    barrier();
    write_register!("S3_0_C12_C11_1", u64::from(intid));
}

/// `ICC_HPPIR1_EL1`.
pub(in crate::el1) fn most_urgent() -> u32 {
    low(read_register!("S3_0_C12_C12_2")) & 0xff_ffff
}

/// `ICC_RPR_EL1`.
pub(in crate::el1) fn running_priority() -> u8 {
    byte(read_register!("S3_0_C12_C11_3"))
}

/// `ICC_PMR_EL1`.
pub(in crate::el1) fn set_mask(priority: u8) {
    let priority = if Fault::NoMask.is_in() {
        0xff
    } else {
        priority
    };
    write_register!("S3_0_C4_C6_0", u64::from(priority));
    barrier();
}

/// Lets all priorities but the lowest through.
pub(in crate::el1) fn open_mask() {
    set_mask(0xff);
}

/// `ICC_PMR_EL1`, read.
pub(in crate::el1) fn mask() -> u8 {
    byte(read_register!("S3_0_C4_C6_0"))
}

/// `ICC_BPR1_EL1`.
pub(in crate::el1) fn set_binary_point(point: u8) {
    write_register!("S3_0_C12_C12_3", u64::from(point));
}

/// `ICC_BPR1_EL1`, read.
pub(in crate::el1) fn binary_point() -> u8 {
    byte(read_register!("S3_0_C12_C12_3")) & 7
}

/// `ICC_CTLR_EL1`.
pub(in crate::el1) fn control() -> u64 {
    read_register!("S3_0_C12_C12_4")
}

/// `ICC_CTLR_EL1.RSS`: SGIs reach cores whose Aff0 is above 15.
pub(in crate::el1) fn has_ranges() -> bool {
    control() & 1 << 18 != 0
}

/// `ICC_CTLR_EL1.EOImode`: an end drops the priority and [`deactivate`] deactivates.
pub(in crate::el1) fn set_split(on: bool) {
    let rest = control() & !CTLR_EOIMODE;
    write_register!("S3_0_C12_C12_4", rest | if on { CTLR_EOIMODE } else { 0 });
}

/// `ICC_CTLR_EL1.EOImode`, read.
pub(in crate::el1) fn is_split() -> bool {
    control() & CTLR_EOIMODE != 0
}

/// `ICC_SRE_EL1`.
pub(in crate::el1) fn system_registers() -> u64 {
    read_register!("S3_0_C12_C12_5")
}

/// `ICC_SRE_EL1`, written.
pub(in crate::el1) fn set_system_registers(value: u64) {
    write_register!("S3_0_C12_C12_5", value);
}

/// `ICC_SRE_EL1.SRE`.
pub(in crate::el1) fn enable_system_registers() {
    set_system_registers(system_registers() | 1);
}

/// `ICC_IGRPEN1_EL1`.
pub(in crate::el1) fn set_group1(on: bool) {
    write_register!("S3_0_C12_C12_7", u64::from(on));
    barrier();
}

/// `ICC_IGRPEN1_EL1`, read.
pub(in crate::el1) fn has_group1() -> bool {
    read_register!("S3_0_C12_C12_7") & 1 != 0
}

/// `ICC_AP1R0_EL1`: not zero while something is active.
pub(in crate::el1) fn active_priorities() -> u64 {
    read_register!("S3_0_C12_C9_0")
}

/// `ICC_AP1R0_EL1` back to the value of a reset.
pub(in crate::el1) fn clear_active_priorities() {
    write_register!("S3_0_C12_C9_0", 0);
}

/// Is an IRQ signalled to this core, whatever `PSTATE.I` says (Arm ARM D24.2, `ISR_EL1`)?
pub(in crate::el1) fn is_signalled() -> bool {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
    read_register!("isr_el1") & 1 << 7 != 0
}

/// How many SGIs were sent, for a driver that loses some.
static SENT: AtomicU32 = AtomicU32::new(0);

/// `ICC_SGI1R_EL1`, as it is.
pub(in crate::el1) fn send_raw(value: u64) {
    barrier();
    if Fault::LostSgi.is_in() && SENT.fetch_add(1, Ordering::Relaxed) % 100 == 99 {
        return;
    }
    write_register!("S3_0_C12_C11_5", value);
}

/// Sends an SGI to the cores of one cluster of 16 (the affinity without `targets`' four bits).
pub(in crate::el1) fn send_to_list(intid: u32, affinity: u64, targets: u16) {
    let cluster = (affinity >> 32 & 0xff) << 48
        | (affinity >> 16 & 0xff) << 32
        | (affinity >> 8 & 0xff) << 16
        | (affinity >> 4 & 0xf) << 44;
    send_raw(cluster | u64::from(intid) << 24 | u64::from(targets));
}

/// Sends an SGI to a core.
pub(in crate::el1) fn send(intid: u32, core: usize) {
    let affinity = super::affinity(core);
    send_to_list(intid, affinity, 1 << (affinity & 0xf));
}

/// Sends an SGI to all other cores (`IRM`).
pub(in crate::el1) fn send_to_others(intid: u32) {
    send_raw(1 << 40 | u64::from(intid) << 24);
}

/// Lets IRQs through while something is done.
pub(in crate::el1) fn with_interrupts<T>(action: impl FnOnce() -> T) -> T {
    // SAFETY: the vectors save what their handler changes; they are armed, or an IRQ is reported and final.
    unsafe { asm!("isb", "msr daifclr, #2", "isb", options(nostack)) };
    let value = action();
    // SAFETY: the same.
    unsafe { asm!("msr daifset, #2", "isb", options(nostack)) };
    value
}

/// Inside [`with_interrupts`]: waits for an interrupt unless there is a reason not to, and takes it. Masked while
/// looking, so that the reason cannot come between the look and the wait.
pub(in crate::el1) fn doze(reason: impl FnOnce() -> bool) {
    // SAFETY: masking changes nothing but when an interrupt is taken.
    unsafe { asm!("msr daifset, #2", "isb", options(nostack)) };
    if !reason() {
        wait_for_interrupt();
    }
    // SAFETY: the same as in `with_interrupts`.
    unsafe { asm!("msr daifclr, #2", "isb", options(nostack)) };
}

/// Waits for an interrupt, masked or not.
pub(in crate::el1) fn wait_for_interrupt() {
    // SAFETY: what is pending wakes it; the caller has seen to that.
    unsafe { asm!("dsb sy", "wfi", "isb", options(nostack)) };
}
