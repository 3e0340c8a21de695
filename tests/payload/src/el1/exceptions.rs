//! Exceptions: reported and final, but where one was expected.

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::console::say;
use super::gic::vector;
use super::psci;

/// Is a synchronous exception part of the test that is running?
static EXPECTED: AtomicBool = AtomicBool::new(false);
/// The syndrome of the one that came; 0 if none did (a real one is never 0 with IL set).
static SYNDROME: AtomicU64 = AtomicU64::new(0);

global_asm!(
    r#"
    .macro entry kind
    .balign 0x80
    sub     sp, sp, #0xc0
    stp     x0, x1, [sp, #0x00]
    mov     x0, #\kind
    b       common_exception
    .endm

    .section .text.vectors, "ax"
    .balign 0x800
    .globl payload_vectors
payload_vectors:
    entry 0
    entry 1
    entry 2
    entry 3
    entry 4
    entry 5
    entry 6
    entry 7
    entry 8
    entry 9
    entry 10
    entry 11
    entry 12
    entry 13
    entry 14
    entry 15

common_exception:
    stp     x2, x3, [sp, #0x10]
    stp     x4, x5, [sp, #0x20]
    stp     x6, x7, [sp, #0x30]
    stp     x8, x9, [sp, #0x40]
    stp     x10, x11, [sp, #0x50]
    stp     x12, x13, [sp, #0x60]
    stp     x14, x15, [sp, #0x70]
    stp     x16, x17, [sp, #0x80]
    stp     x18, x30, [sp, #0x90]
    mrs     x1, esr_el1
    mrs     x2, elr_el1
    mrs     x3, far_el1
    // An interrupt's handler may let others through.
    mrs     x4, spsr_el1
    str     x4, [sp, #0xa0]
    bl      {handler}
    ldr     x4, [sp, #0xa0]
    msr     spsr_el1, x4
    msr     elr_el1, x0
    ldp     x2, x3, [sp, #0x10]
    ldp     x4, x5, [sp, #0x20]
    ldp     x6, x7, [sp, #0x30]
    ldp     x8, x9, [sp, #0x40]
    ldp     x10, x11, [sp, #0x50]
    ldp     x12, x13, [sp, #0x60]
    ldp     x14, x15, [sp, #0x70]
    ldp     x16, x17, [sp, #0x80]
    ldp     x18, x30, [sp, #0x90]
    ldp     x0, x1, [sp, #0x00]
    add     sp, sp, #0xc0
    eret
    "#,
    handler = sym handler,
);

/// Returns where to go on.
extern "C" fn handler(kind: u64, esr: u64, elr: u64, far: u64) -> u64 {
    // 4 is: synchronous, from this level, on the stack in use (Arm ARM D1.4.1).
    if kind == 4 && EXPECTED.load(Ordering::Relaxed) {
        SYNDROME.store(esr, Ordering::Relaxed);
        return elr.wrapping_add(4);
    }
    // 5 is an IRQ from this level.
    if kind == 5 && vector::take() {
        return elr;
    }
    say!("oche-payload: exception {kind}: esr {esr:#x} elr {elr:#x} far {far:#x}");
    say!("oche-payload: done fail");
    psci::system_off()
}

/// Does something whose instructions may fault, and says with which syndrome the last one did. An
/// instruction that faults is stepped over.
pub(super) fn expecting<T>(action: impl FnOnce() -> T) -> (T, Option<Syndrome>) {
    SYNDROME.store(0, Ordering::Relaxed);
    EXPECTED.store(true, Ordering::Relaxed);
    let value = action();
    // SAFETY: barriers only; an asynchronous abort of the action must arrive before the flag falls.
    unsafe { asm!("dsb sy", "isb", options(nostack, preserves_flags)) };
    EXPECTED.store(false, Ordering::Relaxed);
    let syndrome = SYNDROME.load(Ordering::Relaxed);
    (value, (syndrome != 0).then_some(Syndrome(syndrome)))
}

/// `ESR_EL1` of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syndrome(u64);

impl Syndrome {
    /// The instruction is not one (Arm ARM D24.2.40, EC 0).
    pub(super) fn is_undefined(self) -> bool {
        self.class() == 0
    }

    /// `MRS` or `MSR` of a register that is not for this level (EC 0x18).
    pub(super) fn is_trapped_register(self) -> bool {
        self.class() == 0x18
    }

    /// A hardware breakpoint at this level (EC 0x31).
    pub(super) fn is_breakpoint(self) -> bool {
        self.class() == 0x31
    }

    /// A load or store was answered with an external abort (EC 0x25, DFSC 0x10).
    pub(super) fn is_external_abort(self) -> bool {
        self.is_data_abort_with(0x10)
    }

    /// A load or store ended in a data abort with this fault status code.
    pub(super) fn is_data_abort_with(self, status: u64) -> bool {
        self.class() == 0x25 && self.0 & 0x3f == status
    }

    fn class(self) -> u64 {
        self.0 >> 26 & 0x3f
    }
}
