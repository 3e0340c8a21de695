//! What a failure of Oche's own finds on its core.

use super::read_register;

/// How many cores have a slot: a number that no two cores share, which picks a core's emergency stack (`vectors.S`
/// masks it with this less one).
pub const CORE_SLOTS: usize = 8;

/// The registers that an exception from EL2 interrupted; laid out as `vectors.S` stores them.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct OwnFrame {
    /// `x0` to `x30`.
    pub x: [u64; 31],
    /// `ELR_EL2`: the instruction that did not finish, or the one after it.
    pub pc: u64,
    /// `SPSR_EL2`.
    pub pstate: u64,
    /// Where the stack pointer was.
    pub sp: u64,
}

const _: () = assert!(size_of::<OwnFrame>() == 34 * 8);

/// How far into a guest's frame (`GuestFrame`) its `x29` and `x30` lie: where `x29` points while Oche handles a trap.
pub const GUEST_RECORD: u64 = 29 * 8;

/// The slot of this core, as `entry.S` set it. `CONTEXTIDR_EL2` holds it: with E2H it names Oche's own context to a
/// debugger, and does nothing else (Arm ARM D24.2.25).
pub fn core_slot() -> usize {
    // The mask leaves what fits any width.
    (read_register!("s3_4_c13_c0_1") & (CORE_SLOTS as u64 - 1)) as usize
}

/// The frame pointer of the function that asks.
#[inline(always)]
pub fn frame_pointer() -> u64 {
    let value: u64;
    // SAFETY: copies a register.
    unsafe {
        ::core::arch::asm!("mov {}, x29", out(reg) value, options(nomem, nostack, preserves_flags));
    }
    value
}

/// The return address that is in a frame record when the next record is the guest's frame.
pub fn guest_exit_returns() -> u64 {
    unsafe extern "C" {
        static oche_guest_exit_returns: u8;
    }
    // Only the address is taken.
    (&raw const oche_guest_exit_returns) as u64
}
