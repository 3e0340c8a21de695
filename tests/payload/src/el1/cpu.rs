//! Time, barriers and the registers that the tests look at.

use core::arch::asm;

macro_rules! read_register {
    ($name:expr) => {{
        let value: u64;
        // SAFETY: reading a register changes nothing, and one that is not there is an exception
        // that the caller expects.
        unsafe {
            ::core::arch::asm!(
                concat!("mrs {0}, ", $name), inout(reg) 0u64 => value,
                options(nostack, preserves_flags)
            )
        };
        value
    }};
}
pub(super) use read_register;

/// The affinity fields of `MPIDR_EL1` (Arm ARM D24.2, `MPIDR_EL1`).
pub(super) const AFFINITY: u64 = 0xff_00ff_ffff;

/// What was stored is seen by devices before what is stored after.
pub(super) fn barrier() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}

/// A moment by which something must have happened.
#[derive(Clone, Copy)]
pub(super) struct Deadline(u64);

impl Deadline {
    /// In so many milliseconds.
    pub(super) fn after_ms(ms: u64) -> Self {
        Self(ticks() + read_register!("cntfrq_el0") / 1000 * ms)
    }

    /// Is it past?
    pub(super) fn passed(self) -> bool {
        ticks() > self.0
    }
}

/// The virtual counter.
pub(super) fn ticks() -> u64 {
    // SAFETY: a barrier, so that the counter is not read early.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
    read_register!("cntvct_el0")
}

/// Ticks as nanoseconds.
pub(super) fn nanoseconds(ticks: u64) -> u64 {
    let frequency = read_register!("cntfrq_el0").max(1);
    ticks.saturating_mul(1_000_000) / (frequency / 1000).max(1)
}
