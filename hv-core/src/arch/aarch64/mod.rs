//! EL2 of an AArch64 core, always with `HCR_EL2.E2H` = 1 (Apple cores have no other mode).
//!
//! The machine is identity-mapped: a [`Pa`](crate::Pa) is also the address at which EL2 finds it.

pub mod barrier;
pub mod cache;
pub mod core;
pub mod failure;
pub mod gic;
pub mod guest;
pub mod memory;
pub mod mmio;
pub mod mmu;
pub mod timer;
pub mod tlb;
pub mod translate;
mod traps;

::core::arch::global_asm!(include_str!("entry.S"), options(raw));
::core::arch::global_asm!(include_str!("vectors.S"), options(raw));
::core::arch::global_asm!(include_str!("simd.S"), options(raw));

/// Reads a system register by a name the assembler knows.
macro_rules! read_register {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: an MRS of a register that EL2 may read on every core this code is entered on; reading has no
        // effect besides the result.
        unsafe {
            ::core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags));
        }
        value
    }};
}

/// Writes a system register that steers the guest, not Oche's own execution: the caller's safety does not depend on it.
macro_rules! write_register {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the register affects EL1 and EL0 alone (EL1 state, traps, stage 2, timers, PMU); no memory that
        // Rust knows of changes its mapping or its contents.
        unsafe {
            ::core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags));
        }
    }};
}

pub(crate) use {read_register, write_register};
