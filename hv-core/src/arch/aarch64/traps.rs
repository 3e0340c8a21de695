//! What a guest's core traps on: the values of [`CONTROLS`], in the registers that this CPU has.

use super::{read_register, write_register};
use crate::cpu::{CONTROLS, TrapRegister};

/// HCR_EL2.{FMO,IMO}: physical interrupts come to EL2. SErrors that a guest's own access caused are the guest's
/// (AMO = 0).
const INTERRUPTS: u64 = (1 << 3) | (1 << 4);

macro_rules! write_control {
    ($name:literal, $register:ident) => {
        write_register!($name, CONTROLS.get(TrapRegister::$register));
    };
}

/// Writes them all; a guest has not run yet, or never will again before [`super::guest::enter`].
pub(super) fn write() {
    write_register!("hcr_el2", CONTROLS.get(TrapRegister::Hcr) | INTERRUPTS);
    write_control!("cptr_el2", Cptr);
    write_register!("hstr_el2", 0);
    write_register!(
        "mdcr_el2",
        CONTROLS.get(TrapRegister::Mdcr) | event_counters()
    );
    if (read_register!("id_aa64mmfr1_el1") >> 40) & 0xf != 0 {
        write_control!("s3_4_c1_c2_2", Hcrx);
    }
    write_fine_grained();
    write_partitioning();
}

/// Fine-grained traps, by the levels of FEAT_FGT.
fn write_fine_grained() {
    let level = (read_register!("id_aa64mmfr0_el1") >> 56) & 0xf;
    if level >= 1 {
        write_control!("s3_4_c1_c1_4", Hfgrtr);
        write_control!("s3_4_c1_c1_5", Hfgwtr);
        write_control!("s3_4_c1_c1_6", Hfgitr);
        write_control!("s3_4_c3_c1_4", Hdfgrtr);
        write_control!("s3_4_c3_c1_5", Hdfgwtr);
    }
    if level >= 2 {
        write_control!("s3_4_c3_c1_2", Hfgrtr2);
        write_control!("s3_4_c3_c1_3", Hfgwtr2);
        write_control!("s3_4_c3_c1_0", Hdfgrtr2);
        write_control!("s3_4_c3_c1_1", Hdfgwtr2);
        write_control!("s3_4_c3_c1_7", Hfgitr2);
    }
}

/// MPAM2_EL2, where there is MPAM: a major version in PFR0 or a minor one in PFR1.
fn write_partitioning() {
    let major = (read_register!("id_aa64pfr0_el1") >> 40) & 0xf;
    let minor = (read_register!("id_aa64pfr1_el1") >> 16) & 0xf;
    if major | minor == 0 {
        return;
    }
    write_control!("s3_4_c10_c5_0", Mpam2);
    // MPAMIDR_EL1.HAS_HCR: MPAMHCR_EL2 exists, and traps MPAMIDR_EL1 where MPAM2_EL2.TIDR does not.
    const HAS_HCR: u64 = 1 << 17;
    const TRAP_MPAMIDR_EL1: u64 = 1 << 31;
    if read_register!("s3_0_c10_c4_4") & HAS_HCR != 0 {
        write_register!("s3_4_c10_c4_0", TRAP_MPAMIDR_EL1);
    }
}

/// MDCR_EL2.HPMN: the number of event counters, all of which are EL1's, who cannot reach them. A smaller number than
/// there are would be EL2's own to watch; zero needs FEAT_HPMN0.
fn event_counters() -> u64 {
    match (read_register!("id_aa64dfr0_el1") >> 8) & 0xf {
        0 | 0xf => 0,
        _ => (read_register!("pmcr_el0") >> 11) & 0x1f,
    }
}

/// Breakpoints, watchpoints and the OS Lock as a guest expects them: nothing armed, nothing left of another guest's,
/// and no lock, whose registers answer the guest without changing anything.
pub(super) fn reset_debug() {
    write_register!("mdscr_el1", 0);
    write_register!("osdlr_el1", 0);
    write_register!("oslar_el1", 0);
    let dfr0 = read_register!("id_aa64dfr0_el1");
    // BRPs and WRPs: one less than there are.
    let (breakpoints, watchpoints) = ((dfr0 >> 12) & 0xf, (dfr0 >> 20) & 0xf);
    disarm(breakpoints + 1, watchpoints + 1);
}

/// Clears control and value of so many breakpoints and watchpoints.
fn disarm(breakpoints: u64, watchpoints: u64) {
    macro_rules! clear {
        ($kind:literal, $count:ident: $($n:literal)*) => {
            $(if $n < $count {
                // SAFETY: the number says that the register exists, and it affects no exception level but the guest's:
                // MDCR_EL2.TDE = 0 makes EL1 the level that debugs.
                unsafe {
                    ::core::arch::asm!(
                        concat!("msr dbg", $kind, "cr", $n, "_el1, xzr"),
                        concat!("msr dbg", $kind, "vr", $n, "_el1, xzr"),
                        options(nomem, nostack, preserves_flags)
                    );
                }
            })*
        };
    }
    clear!("b", breakpoints: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    clear!("w", watchpoints: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}
