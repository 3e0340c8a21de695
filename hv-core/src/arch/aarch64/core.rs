//! This core: who it is, what it can do, what time it is.

use aarch64_cpu::registers::{
    CNTFRQ_EL0, CNTPCT_EL0, ESR_EL2, FAR_EL2, HCR_EL2, HPFAR_EL2, ID_AA64MMFR0_EL1,
    ID_AA64MMFR1_EL1, MPIDR_EL1, Readable, TPIDR_EL2, Writeable,
};

use super::{barrier, read_register};
use crate::Pa;
use crate::psci::AFFINITY;
use crate::trap::Encoding;

/// Its affinity (`MPIDR_EL1` without the flags).
pub fn affinity() -> u64 {
    MPIDR_EL1.get() & AFFINITY
}

/// Ticks of the physical counter.
pub fn ticks() -> u64 {
    barrier::isb();
    CNTPCT_EL0.get()
}

/// Ticks a second.
pub fn tick_frequency() -> u64 {
    CNTFRQ_EL0.get()
}

/// Microseconds between two readings of the counter.
pub fn microseconds(ticks: u64) -> u64 {
    let frequency = tick_frequency().max(1);
    let whole = (ticks / frequency).saturating_mul(1_000_000);
    whole.saturating_add((ticks % frequency).saturating_mul(1_000_000) / frequency)
}

/// Why Oche cannot run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// `HCR_EL2.E2H` does not stick: the core has no virtualization host extensions.
    NoHostExtensions,
    /// No 16 KiB granule at stage 1 or stage 2.
    NoGranule16K,
}

impl ::core::fmt::Display for Unfit {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.write_str(match self {
            Self::NoHostExtensions => {
                "this CPU has no virtualization host extensions (HCR_EL2.E2H does not stick): use -cpu neoverse-n1, max or cortex-a76"
            }
            Self::NoGranule16K => {
                "this CPU has no 16 KiB granule: use -cpu neoverse-n1, max or cortex-a76"
            }
        })
    }
}

/// Can Oche run on this core? Safe to ask with the MMU off.
pub fn fitness() -> Result<(), Unfit> {
    if HCR_EL2.read(HCR_EL2::E2H) == 0 {
        return Err(Unfit::NoHostExtensions);
    }
    let mmfr0 = ID_AA64MMFR0_EL1.get();
    let stage1 = (mmfr0 >> 20) & 0xf;
    // TGran16_2: 0 means "as at stage 1", 1 means "none".
    let stage2 = (mmfr0 >> 32) & 0xf;
    if stage1 == 0 || stage2 == 1 {
        Err(Unfit::NoGranule16K)
    } else {
        Ok(())
    }
}

/// `ID_AA64MMFR0_EL1.PARange`: the encoded number of physical address bits.
pub fn pa_range() -> u64 {
    ID_AA64MMFR0_EL1.get() & 0xf
}

/// FEAT_XNX: stage 2 tells EL0's fetches from EL1's.
pub fn has_xnx() -> bool {
    (ID_AA64MMFR1_EL1.get() >> 28) & 0xf != 0
}

/// The machine's own value of an ID register (op0 3, op1 0, CRn 0, CRm 1 to 7), of `REVIDR_EL1` or `AIDR_EL1`; 0 for
/// any other.
pub fn id_register(register: Encoding) -> u64 {
    match register {
        Encoding(3, 0, 0, 0, 6) => return read_register!("revidr_el1"),
        Encoding(3, 1, 0, 0, 7) => return read_register!("aidr_el1"),
        Encoding(3, 0, 0, ..) => {}
        _ => return 0,
    }
    macro_rules! rows {
        ($($crm:literal: $($name:literal)*);* $(;)?) => {
            match (register.3, register.4) {
                $( ($crm, op2) => rows!(@row op2, $($name)*), )*
                _ => 0,
            }
        };
        (@row $op2:expr, $a:literal $b:literal $c:literal $d:literal $e:literal $f:literal $g:literal $h:literal) => {
            match $op2 {
                0 => read_register!($a), 1 => read_register!($b), 2 => read_register!($c), 3 => read_register!($d),
                4 => read_register!($e), 5 => read_register!($f), 6 => read_register!($g), _ => read_register!($h),
            }
        };
    }
    // By encoding, because an assembler knows fewer names than the space has; unnamed ones read as zero at EL2.
    rows! {
        1: "s3_0_c0_c1_0" "s3_0_c0_c1_1" "s3_0_c0_c1_2" "s3_0_c0_c1_3" "s3_0_c0_c1_4" "s3_0_c0_c1_5" "s3_0_c0_c1_6" "s3_0_c0_c1_7";
        2: "s3_0_c0_c2_0" "s3_0_c0_c2_1" "s3_0_c0_c2_2" "s3_0_c0_c2_3" "s3_0_c0_c2_4" "s3_0_c0_c2_5" "s3_0_c0_c2_6" "s3_0_c0_c2_7";
        3: "s3_0_c0_c3_0" "s3_0_c0_c3_1" "s3_0_c0_c3_2" "s3_0_c0_c3_3" "s3_0_c0_c3_4" "s3_0_c0_c3_5" "s3_0_c0_c3_6" "s3_0_c0_c3_7";
        4: "s3_0_c0_c4_0" "s3_0_c0_c4_1" "s3_0_c0_c4_2" "s3_0_c0_c4_3" "s3_0_c0_c4_4" "s3_0_c0_c4_5" "s3_0_c0_c4_6" "s3_0_c0_c4_7";
        5: "s3_0_c0_c5_0" "s3_0_c0_c5_1" "s3_0_c0_c5_2" "s3_0_c0_c5_3" "s3_0_c0_c5_4" "s3_0_c0_c5_5" "s3_0_c0_c5_6" "s3_0_c0_c5_7";
        6: "s3_0_c0_c6_0" "s3_0_c0_c6_1" "s3_0_c0_c6_2" "s3_0_c0_c6_3" "s3_0_c0_c6_4" "s3_0_c0_c6_5" "s3_0_c0_c6_6" "s3_0_c0_c6_7";
        7: "s3_0_c0_c7_0" "s3_0_c0_c7_1" "s3_0_c0_c7_2" "s3_0_c0_c7_3" "s3_0_c0_c7_4" "s3_0_c0_c7_5" "s3_0_c0_c7_6" "s3_0_c0_c7_7";
    }
}

/// What EL2 reports of an exception: syndrome, faulting virtual address, faulting IPA register.
pub fn exception() -> (u64, u64, u64) {
    (ESR_EL2.get(), FAR_EL2.get(), HPFAR_EL2.get())
}

/// Remembers this core's number.
pub fn set_index(index: usize) {
    TPIDR_EL2.set(index as u64);
}

/// This core's number, as [`set_index`] was told.
pub fn index() -> usize {
    TPIDR_EL2.get() as usize
}

/// Goes on in `run` with an empty stack.
///
/// # Safety
/// `top` is the first address above this core's own stack, and nothing on that stack is needed any more.
pub unsafe fn restart_on(top: Pa, run: extern "C" fn() -> !) -> ! {
    // SAFETY: the caller's promise; `run` does not return, and the frame chain ends at it.
    unsafe {
        ::core::arch::asm!(
            "mov sp, {top}",
            "mov x29, xzr",
            "mov x30, xzr",
            "br {run}",
            top = in(reg) top.get(),
            run = in(reg) run,
            options(noreturn)
        )
    }
}
