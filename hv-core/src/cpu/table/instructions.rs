//! `ID_AA64ISAR*_EL1`.

use super::bits::*;
use crate::cpu::control::Control::AboveEl1;
use crate::cpu::field::{Field, IdRegister};

/// An instruction that works on registers and on memory as loads and stores do.
const PLAIN: &str = "plain instructions";
const HINT: &str = "hints";
const PAUTH: &str = "keys are the guest's own";

pub(super) const ISAR0: IdRegister = IdRegister::new(
    "ID_AA64ISAR0_EL1",
    6,
    0,
    &[
        Field::new("RNDR", 60).up_to(1, PLAIN),
        Field::new("TLB", 56).up_to(2, "of EL1's own translations"),
        Field::new("TS", 52).up_to(2, PLAIN),
        Field::new("FHM", 48).up_to(1, PLAIN),
        Field::new("DP", 44).up_to(1, PLAIN),
        Field::new("SM4", 40).up_to(1, PLAIN),
        Field::new("SM3", 36).up_to(1, PLAIN),
        Field::new("SHA3", 32).up_to(1, PLAIN),
        Field::new("RDM", 28).up_to(1, PLAIN),
        Field::new("TME", 24).hide(&[HCR_TME], "withdrawn from the architecture"),
        Field::new("Atomic", 20).up_to(3, PLAIN),
        Field::new("CRC32", 16).up_to(1, PLAIN),
        Field::new("SHA2", 12).up_to(2, PLAIN),
        Field::new("SHA1", 8).up_to(1, PLAIN),
        Field::new("AES", 4).up_to(2, PLAIN),
    ],
);

pub(super) const ISAR1: IdRegister = IdRegister::new(
    "ID_AA64ISAR1_EL1",
    6,
    1,
    &[
        Field::new("LS64", 60).hide(
            &[HCRX_LS64, HFGR_ACCDATA, HFGW_ACCDATA],
            "no device of a guest takes 64 bytes",
        ),
        Field::new("XS", 56).up_to(1, "barriers and TLB maintenance of EL1's own"),
        Field::new("I8MM", 52).up_to(1, PLAIN),
        Field::new("DGH", 48).up_to(1, HINT),
        Field::new("BF16", 44).up_to(2, PLAIN),
        Field::new("SPECRES", 40).up_to(2, "of the guest's own contexts"),
        Field::new("SB", 36).up_to(1, PLAIN),
        Field::new("FRINTTS", 32).up_to(1, PLAIN),
        Field::new("GPI", 28)
            .up_to(1, PAUTH)
            .given(&[HCR_API, HCR_APK]),
        Field::new("GPA", 24)
            .up_to(1, PAUTH)
            .given(&[HCR_API, HCR_APK]),
        Field::new("LRCPC", 20).up_to(3, PLAIN),
        Field::new("FCMA", 16).up_to(1, PLAIN),
        Field::new("JSCVT", 12).up_to(1, PLAIN),
        Field::new("API", 8)
            .up_to(5, PAUTH)
            .given(&[HCR_API, HCR_APK]),
        Field::new("APA", 4)
            .up_to(5, PAUTH)
            .given(&[HCR_API, HCR_APK]),
        Field::new("DPB", 0).up_to(2, PLAIN),
    ],
);

pub(super) const ISAR2: IdRegister = IdRegister::new(
    "ID_AA64ISAR2_EL1",
    6,
    2,
    &[
        Field::new("ATS1A", 60).hide(&[HFGI_ATS1A], "untested"),
        Field::new("LUT", 56).up_to(1, PLAIN),
        Field::new("CSSC", 52).up_to(1, PLAIN),
        Field::new("RPRFM", 48).up_to(1, HINT),
        Field::new("PRFMSLC", 40).up_to(1, HINT),
        Field::new("SYSINSTR_128", 36).hide(&[HCRX_D128EN], "untested"),
        Field::new("SYSREG_128", 32).hide(&[HCRX_ENIDCP128, HCRX_D128EN], "untested"),
        Field::new("CLRBHB", 28).up_to(1, HINT),
        Field::new("PAC_frac", 24).up_to(1, PAUTH),
        Field::new("BC", 20).up_to(1, PLAIN),
        Field::new("MOPS", 16).hide(
            &[HCRX_MSCEN],
            "an abort in the middle of a copy cannot be answered for a device",
        ),
        Field::new("APA3", 12)
            .up_to(5, PAUTH)
            .given(&[HCR_API, HCR_APK]),
        Field::new("GPA3", 8)
            .up_to(1, PAUTH)
            .given(&[HCR_API, HCR_APK]),
        Field::new("RPRES", 4).up_to(1, PLAIN),
        Field::new("WFxT", 0)
            .up_to(2, "waits do not trap")
            .given(&[HCR_WAITS]),
    ],
);

pub(super) const ISAR3: IdRegister = IdRegister::new(
    "ID_AA64ISAR3_EL1",
    6,
    3,
    &[
        Field::new("PACM", 12).hide(&[HCRX_PACMEN], "untested"),
        Field::new("TLBIW", 8).hide(&[AboveEl1], "of stage 2"),
        Field::new("FAMINMAX", 4).up_to(1, PLAIN),
        Field::new("CPA", 0)
            .up_to(1, "plain instructions; 2 has controls in SCTLR2_EL1")
            .given(&[HCRX_SCTLR2EN]),
    ],
);
