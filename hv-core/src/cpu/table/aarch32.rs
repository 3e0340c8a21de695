//! `ID_*_EL1` and `MVFR*_EL1`: AArch32, which only EL0 can have.

use super::bits::*;
use crate::cpu::control::Control::AboveEl1;
use crate::cpu::field::{Field, IdRegister};

const PLAIN: &str = "plain instructions";
const CORE: &str = "a property of the core";
const EL1: &str = "AArch32 above EL0: none";

pub(super) const PFR0: IdRegister = IdRegister::new(
    "ID_PFR0_EL1",
    1,
    0,
    &[
        Field::new("RAS", 28).hide(&[HCR_TERR], "as in ID_AA64PFR0_EL1"),
        Field::new("DIT", 24).up_to(1, "state of the guest's own"),
        Field::new("AMU", 20).hide(&[CPTR_TAM], "as in ID_AA64PFR0_EL1"),
        Field::new("CSV2", 16).up_to(2, CORE),
        Field::new("State3", 12).up_to(1, PLAIN),
        Field::new("State2", 8).up_to(2, PLAIN),
        Field::new("State1", 4).show(PLAIN),
        Field::new("State0", 0).up_to(1, PLAIN),
    ],
);

pub(super) const PFR1: IdRegister = IdRegister::new(
    "ID_PFR1_EL1",
    1,
    1,
    &[
        Field::new("GIC", 28).hide(&[AboveEl1], EL1),
        Field::new("Virt_frac", 24).hide(&[AboveEl1], EL1),
        Field::new("Sec_frac", 20).hide(&[AboveEl1], EL1),
        Field::new("GenTimer", 16).up_to(2, "the guest's own timers"),
        Field::new("Virtualization", 12).hide(&[AboveEl1], EL1),
        Field::new("MProgMod", 8).hide(&[AboveEl1], EL1),
        Field::new("Security", 4).hide(&[AboveEl1], EL1),
        Field::new("ProgMod", 0).hide(&[AboveEl1], EL1),
    ],
);

pub(super) const DFR0: IdRegister = IdRegister::new(
    "ID_DFR0_EL1",
    1,
    2,
    &[
        Field::new("TraceFilt", 28).hide(&[MDCR_TTRF], "as in ID_AA64DFR0_EL1"),
        Field::new("PerfMon", 24).hide(&[MDCR_TPM, MDCR_TPMCR], "as PMUVer"),
        Field::new("MProfDbg", 20).hide(&[AboveEl1], "M profile"),
        Field::new("MMapTrc", 16).hide(&[AboveEl1], "no trace in memory"),
        Field::new("CopTrc", 12).hide(&[CPTR_TTA], "as TraceVer"),
        Field::new("MMapDbg", 8).hide(&[AboveEl1], "not of the A profile"),
        Field::new("CopSDbg", 4).hide(&[AboveEl1], "no Secure state"),
        Field::new("CopDbg", 0).up_to(10, "as DebugVer"),
    ],
);

macro_rules! whole {
    ($($constant:ident = $name:literal $crm:literal $op2:literal $why:expr;)*) => {
        $(
            pub(super) const $constant: IdRegister = IdRegister::new(
                $name,
                $crm,
                $op2,
                &[Field::new("(all)", 0).wide(32).show($why)],
            );
        )*
    };
}

// Older than ARMv8.0 or fixed by it: nothing in them can be switched off.
whole! {
    MMFR0 = "ID_MMFR0_EL1" 1 4 "fixed by ARMv8.0";
    MMFR1 = "ID_MMFR1_EL1" 1 5 "fixed by ARMv8.0";
    MMFR2 = "ID_MMFR2_EL1" 1 6 "fixed by ARMv8.0";
    MMFR3 = "ID_MMFR3_EL1" 1 7 "fixed by ARMv8.0, but for PAN, of stage 1";
    ISAR0 = "ID_ISAR0_EL1" 2 0 "fixed by ARMv8.0";
    ISAR1 = "ID_ISAR1_EL1" 2 1 "fixed by ARMv8.0";
    ISAR2 = "ID_ISAR2_EL1" 2 2 "fixed by ARMv8.0";
    ISAR3 = "ID_ISAR3_EL1" 2 3 "fixed by ARMv8.0";
    MVFR0 = "MVFR0_EL1" 3 0 "floating point of EL0";
    MVFR1 = "MVFR1_EL1" 3 1 "floating point of EL0";
    MVFR2 = "MVFR2_EL1" 3 2 "floating point of EL0";
}

pub(super) const ISAR4: IdRegister = IdRegister::new(
    "ID_ISAR4_EL1",
    2,
    4,
    &[
        Field::new("SWP_frac, PSR_M, SynchPrim_frac, Barrier", 16)
            .wide(16)
            .show("fixed by ARMv8.0"),
        Field::new("SMC", 12).hide(&[AboveEl1], EL1),
        Field::new("Writeback, WithShifts, Unpriv", 0)
            .wide(12)
            .show("fixed by ARMv8.0"),
    ],
);

pub(super) const ISAR5: IdRegister = IdRegister::new(
    "ID_ISAR5_EL1",
    2,
    5,
    &[
        Field::new("VCMA", 28).up_to(1, PLAIN),
        Field::new("RDM", 24).up_to(1, PLAIN),
        Field::new("CRC32", 16).up_to(1, PLAIN),
        Field::new("SHA2", 12).up_to(1, PLAIN),
        Field::new("SHA1", 8).up_to(1, PLAIN),
        Field::new("AES", 4).up_to(2, PLAIN),
        Field::new("SEVL", 0).up_to(1, PLAIN),
    ],
);

pub(super) const MMFR4: IdRegister = IdRegister::new(
    "ID_MMFR4_EL1",
    2,
    6,
    &[
        Field::new("EVT", 28).hide(&[AboveEl1], "of EL2"),
        Field::new("CCIDX", 24).up_to(1, CORE),
        Field::new("LSM", 20).up_to(1, "SCTLR_EL1.{LSMAOE,nTLSMD}"),
        Field::new("HPDS", 16).hide(&[AboveEl1], EL1),
        Field::new("CnP", 12).hide(&[AboveEl1], EL1),
        Field::new("XNX", 8).hide(&[AboveEl1], "of stage 2"),
        Field::new("AC2", 4).hide(&[AboveEl1], EL1),
        Field::new("SpecSEI", 0).up_to(1, CORE),
    ],
);

pub(super) const ISAR6: IdRegister = IdRegister::new(
    "ID_ISAR6_EL1",
    2,
    7,
    &[
        Field::new("CLRBHB", 28).up_to(1, "hints"),
        Field::new("I8MM", 24).up_to(1, PLAIN),
        Field::new("BF16", 20).up_to(1, PLAIN),
        Field::new("SPECRES", 16).up_to(1, "of the guest's own contexts"),
        Field::new("SB", 12).up_to(1, PLAIN),
        Field::new("FHM", 8).up_to(1, PLAIN),
        Field::new("DP", 4).up_to(1, PLAIN),
        Field::new("JSCVT", 0).up_to(1, PLAIN),
    ],
);

pub(super) const PFR2: IdRegister = IdRegister::new(
    "ID_PFR2_EL1",
    3,
    4,
    &[
        Field::new("RAS_frac", 8).hide(&[HCR_TERR], "as in ID_AA64PFR1_EL1"),
        Field::new("SSBS", 4).up_to(1, "state of the guest's own"),
        Field::new("CSV3", 0).up_to(1, CORE),
    ],
);

pub(super) const MMFR5: IdRegister = IdRegister::new(
    "ID_MMFR5_EL1",
    3,
    6,
    &[
        Field::new("nTLBPA", 4).up_to(1, CORE),
        Field::new("ETS", 0).up_to(3, CORE),
    ],
);
