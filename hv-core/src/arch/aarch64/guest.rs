//! A vCPU on its core: what it is entered with, what it traps on, and the registers Oche changes for it.

use super::{barrier, read_register, timer, tlb, traps, write_register};
use crate::trap::access::{GeneralRegisters, VectorRegisters, stepped};
use crate::trap::{GuestEntry, Injected, enter_el1};

/// The registers that a trap saves and an entry restores; laid out as `vectors.S` expects.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct GuestFrame {
    /// `x0` to `x30`.
    pub x: [u64; 31],
    /// `ELR_EL2`: where the guest goes on.
    pub pc: u64,
    /// `SPSR_EL2`: its PSTATE.
    pub pstate: u64,
    /// `ESR_EL2` of the trap it came out by; an interrupt leaves the last one's there. An entry does not look at it.
    pub esr: u64,
}

const _: () = assert!(size_of::<GuestFrame>() == 34 * 8);

/// EL1 with SP_EL1, all interrupts masked: the state in which a kernel or a woken CPU starts.
const EL1H_MASKED: u64 = 0x3c5;

impl GuestFrame {
    /// A vCPU's first entry: at `pc`, with `x0`, everything else zero.
    pub const fn at(pc: u64, x0: u64) -> Self {
        let mut x = [0; 31];
        x[0] = x0;
        Self {
            x,
            pc,
            pstate: EL1H_MASKED,
            esr: 0,
        }
    }

    /// General register `n`; 31 reads as zero.
    pub fn get(&self, n: u8) -> u64 {
        self.x.get(usize::from(n)).copied().unwrap_or(0)
    }

    /// Sets general register `n`; 31 is dropped.
    pub fn set(&mut self, n: u8, value: u64) {
        if let Some(register) = self.x.get_mut(usize::from(n)) {
            *register = value;
        }
    }

    /// Steps over the trapped instruction of 32 (`long`) or 16 bits.
    pub const fn step(&mut self, long: bool) {
        (self.pc, self.pstate) = stepped(self.pc, self.pstate, long);
    }

    /// Is the guest at EL0?
    pub const fn at_el0(&self) -> bool {
        self.pstate & 0b1_1111 == 0 || self.pstate & (1 << 4) != 0
    }

    /// Makes the guest take an exception at EL1 when it goes on.
    pub fn inject(&mut self, what: Injected) {
        let vbar = read_register!("s3_5_c12_c0_0"); // VBAR_EL12
        let sctlr = read_register!("s3_5_c1_c0_0"); // SCTLR_EL12
        let GuestEntry {
            pc,
            pstate,
            esr,
            far,
        } = enter_el1(what, self.pstate, vbar, sctlr);
        write_register!("s3_5_c4_c0_1", self.pc); // ELR_EL12
        write_register!("s3_5_c4_c0_0", self.pstate); // SPSR_EL12
        write_register!("s3_5_c5_c2_0", esr); // ESR_EL12
        if let Some(far) = far {
            write_register!("s3_5_c6_c0_0", far); // FAR_EL12
        }
        self.pc = pc;
        self.pstate = pstate;
    }
}

impl GuestFrame {
    /// Is the guest in AArch32? Only EL0 can be.
    pub const fn is_aarch32(&self) -> bool {
        self.pstate & (1 << 4) != 0
    }

    /// Are its data accesses big-endian?
    pub fn is_big_endian(&self) -> bool {
        if self.is_aarch32() {
            return self.pstate & (1 << 9) != 0;
        }
        // SCTLR_EL1.E0E and EE.
        let bit = if self.at_el0() { 24 } else { 25 };
        read_register!("s3_5_c1_c0_0") & (1 << bit) != 0
    }

    /// PSTATE.SP: the stack pointer in use is `SP_EL1`. Never at EL0.
    const fn uses_sp_el1(&self) -> bool {
        self.pstate & 0b1_1111 == 0b101
    }
}

impl GeneralRegisters for GuestFrame {
    fn read(&self, n: u8) -> u64 {
        self.get(n)
    }

    fn write(&mut self, n: u8, value: u64) {
        self.set(n, value);
    }

    fn read_sp(&self) -> u64 {
        if self.uses_sp_el1() {
            read_register!("sp_el1")
        } else {
            read_register!("sp_el0")
        }
    }

    fn write_sp(&mut self, value: u64) {
        if self.uses_sp_el1() {
            write_register!("sp_el1", value);
        } else {
            write_register!("sp_el0", value);
        }
    }
}

/// The SIMD registers of the guest on this core: nothing at EL2 uses them, so they still hold what the guest left.
#[derive(Debug)]
pub struct Vectors;

impl VectorRegisters for Vectors {
    fn read(&self, n: u8) -> u128 {
        unsafe extern "C" {
            fn oche_read_vector(n: u64, to: *mut u128);
        }
        let mut value = 0;
        // SAFETY: the routine writes 16 bytes to `value` and changes no other memory; it masks the number.
        unsafe { oche_read_vector(n.into(), &raw mut value) };
        value
    }

    fn write(&mut self, n: u8, value: u128) {
        unsafe extern "C" {
            fn oche_write_vector(n: u64, from: *const u128);
        }
        // SAFETY: the routine reads 16 bytes of `value` into a register that only the guest uses.
        unsafe { oche_write_vector(n.into(), &raw const value) };
    }
}

/// Leaves EL2 for the guest. The stack that `frame` lies on is the one the next trap finds.
///
/// # Safety
/// [`prepare`] has run on this core, `frame` lies at the end of this core's stack (nothing above it is needed any
/// more), and the stage 2 that `prepare` was given maps nothing but what the guest may reach.
pub unsafe fn enter(frame: &mut GuestFrame) -> ! {
    unsafe extern "C" {
        fn oche_enter_guest(frame: *mut GuestFrame) -> !;
    }
    // SAFETY: the caller's promises are the ones the assembly needs.
    unsafe { oche_enter_guest(frame) }
}

/// Stage-2 registers of a guest.
#[derive(Clone, Copy, Debug)]
pub struct StageTwo {
    /// `VTCR_EL2`.
    pub vtcr: u64,
    /// `VTTBR_EL2`: root and VMID.
    pub vttbr: u64,
}

/// The guest's timers no longer interrupt this core.
pub fn stop_timers() {
    write_register!("s3_5_c14_c3_1", 0); // CNTV_CTL_EL02
    write_register!("s3_5_c14_c2_1", 0); // CNTP_CTL_EL02
    barrier::isb();
}

/// Asserts the guest's IRQ on this core, or no longer (`HCR_EL2.VI`).
pub fn signal_interrupt(asserted: bool) {
    const VI: u64 = 1 << 7;
    let now = read_register!("hcr_el2");
    let wanted = if asserted { now | VI } else { now & !VI };
    if now != wanted {
        write_register!("hcr_el2", wanted);
    }
}

/// Sets this core up to run a vCPU: traps, stage 2, timers, and an EL1 as after reset. The guest's virtual counter is
/// `counter_offset` ticks behind the physical one.
pub fn prepare(stage2: StageTwo, affinity: u64, counter_offset: u64) {
    write_register!("vtcr_el2", stage2.vtcr);
    write_register!("vttbr_el2", stage2.vttbr);
    traps::write();
    write_register!("vpidr_el2", read_register!("midr_el1"));
    write_register!("vmpidr_el2", affinity | (1 << 31));
    traps::reset_debug();
    timer::prepare(counter_offset);
    reset_el1();
    barrier::isb();
    // Firmware may have used the same VMID.
    tlb::invalidate_guest_here();
}

/// EL1 as a kernel may expect it: MMU and caches off, timers off. The `_EL12` and `_EL02` names reach EL1's own.
fn reset_el1() {
    // SCTLR_EL1: only bits that are RES1 in ARMv8.0 (and mean "as in ARMv8.0" later on).
    const LSMAOE_NTLSMD: u64 = 0b11 << 28;
    const SPAN_EIS: u64 = 0b11 << 22;
    const TSCXT: u64 = 1 << 20;
    const EOS: u64 = 1 << 11;
    write_register!("s3_5_c1_c0_0", LSMAOE_NTLSMD | SPAN_EIS | TSCXT | EOS);
    write_register!("s3_5_c1_c0_2", 0); // CPACR_EL12
    write_register!("s3_5_c14_c1_0", 0); // CNTKCTL_EL12
    write_register!("s3_5_c2_c0_2", 0); // TCR_EL12
    write_register!("s3_5_c2_c0_0", 0); // TTBR0_EL12
    write_register!("s3_5_c2_c0_1", 0); // TTBR1_EL12
    write_register!("s3_5_c12_c0_0", 0); // VBAR_EL12
    write_register!("s3_5_c14_c3_1", 0); // CNTV_CTL_EL02
    write_register!("s3_5_c14_c2_1", 0); // CNTP_CTL_EL02
    write_register!("tpidr_el1", 0);
    write_register!("tpidr_el0", 0);
    write_register!("tpidrro_el0", 0);
}
