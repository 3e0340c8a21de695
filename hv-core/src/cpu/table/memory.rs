//! `ID_AA64MMFR*_EL1`.

use super::bits::*;
use crate::cpu::control::Control::{AboveEl1, Untrapped};
use crate::cpu::field::{Field, IdRegister};

const STAGE1: &str = "of stage 1";
const STAGE2: &str = "of stage 2 or of EL2";
const CORE: &str = "a property of the core";

pub(super) const MMFR0: IdRegister = IdRegister::new(
    "ID_AA64MMFR0_EL1",
    7,
    0,
    &[
        Field::new("ECV", 60).up_to(1, "self-synchronised counters; 2 is CNTPOFF_EL2"),
        Field::new("FGT", 56).hide(&[AboveEl1], STAGE2),
        Field::new("ExS", 44).up_to(1, "SCTLR_EL1.{EIS,EOS}"),
        Field::new("TGran4_2", 40).hide(&[AboveEl1], STAGE2),
        Field::new("TGran64_2", 36).hide(&[AboveEl1], STAGE2),
        Field::new("TGran16_2", 32).hide(&[AboveEl1], STAGE2),
        Field::new("TGran4", 28)
            .signed()
            .up_to(0, "1 is 52 bits, as PARange"),
        Field::new("TGran64", 24).signed().up_to(0, STAGE1),
        Field::new("TGran16", 20).up_to(1, "2 is 52 bits, as PARange"),
        Field::new("BigEndEL0", 16).up_to(1, "SCTLR_EL1.E0E"),
        Field::new("SNSMem", 12).hide(&[AboveEl1], "no Secure state"),
        Field::new("BigEnd", 8).up_to(1, "SCTLR_EL1.EE"),
        Field::new("ASIDBits", 4).up_to(2, STAGE1),
        Field::new("PARange", 0).up_to(2, "40 bits, which is what stage 2 translates at most"),
    ],
);

pub(super) const MMFR1: IdRegister = IdRegister::new(
    "ID_AA64MMFR1_EL1",
    7,
    1,
    &[
        Field::new("ECBHB", 60).up_to(1, CORE),
        Field::new("CMOW", 56).up_to(1, "SCTLR_EL1.CMOW"),
        Field::new("TIDCP1", 52).up_to(1, "SCTLR_EL1.TIDCP"),
        Field::new("nTLBPA", 48).up_to(1, CORE),
        Field::new("AFP", 44).up_to(1, "FPCR"),
        Field::new("HCX", 40).hide(&[AboveEl1], STAGE2),
        Field::new("ETS", 36).up_to(3, CORE),
        Field::new("TWED", 32).hide(&[AboveEl1], STAGE2),
        Field::new("XNX", 28).hide(&[AboveEl1], STAGE2),
        Field::new("SpecSEI", 24).up_to(1, CORE),
        Field::new("PAN", 20).up_to(3, STAGE1),
        Field::new("LO", 16).hide(&[HCR_TLOR], "regions are of physical addresses"),
        Field::new("HPDS", 12).up_to(2, STAGE1),
        Field::new("VH", 8).hide(&[AboveEl1], STAGE2),
        Field::new("VMIDBits", 4).hide(&[AboveEl1], STAGE2),
        Field::new("HAFDBS", 0).up_to(2, "3 and 4 have controls in TCR2_EL1 and at EL2"),
    ],
);

pub(super) const MMFR2: IdRegister = IdRegister::new(
    "ID_AA64MMFR2_EL1",
    7,
    2,
    &[
        Field::new("E0PD", 60).up_to(1, STAGE1),
        Field::new("EVT", 56).hide(&[AboveEl1], STAGE2),
        Field::new("BBM", 52).up_to(2, STAGE1),
        Field::new("TTL", 48).up_to(1, STAGE1),
        Field::new("FWB", 40).hide(&[AboveEl1], STAGE2),
        Field::new("IDS", 36).up_to(1, CORE),
        Field::new("AT", 32).up_to(1, CORE),
        Field::new("ST", 28).up_to(1, STAGE1),
        Field::new("NV", 24).hide(&[HCR_NV], "a guest has no guests"),
        Field::new("CCIDX", 20).up_to(1, CORE),
        Field::new("VARange", 16).up_to(1, STAGE1),
        Field::new("IESB", 12).hide(&[Untrapped], "as RAS; SCTLR_EL1.IESB adds barriers"),
        Field::new("LSM", 8).up_to(1, "SCTLR_EL1.{LSMAOE,nTLSMD}"),
        Field::new("UAO", 4).up_to(1, "PSTATE.UAO"),
        Field::new("CnP", 0).up_to(1, STAGE1),
    ],
);

pub(super) const MMFR3: IdRegister = IdRegister::new(
    "ID_AA64MMFR3_EL1",
    7,
    3,
    &[
        Field::new("ADERR, SDERR", 52)
            .wide(8)
            .hide(&[HCRX_ENSDERR], "as RAS"),
        Field::new("ANERR, SNERR", 40)
            .wide(8)
            .hide(&[HCRX_ENSNERR], "as RAS"),
        Field::new("D128_2", 36).hide(&[AboveEl1], STAGE2),
        Field::new("D128", 32).hide(&[HCRX_D128EN], "untested"),
        Field::new("MEC", 28).hide(&[AboveEl1], STAGE2),
        Field::new("AIE", 24).hide(&[HFGR_AIE, HFGW_AIE, HCRX_TCR2EN], "untested"),
        Field::new("S2POE", 20).hide(&[HFGR_S2POR, HFGW_S2POR], STAGE2),
        Field::new("S1POE", 16).hide(&[HFGR_POR, HFGW_POR, CPTR_E0POE, HCRX_TCR2EN], "untested"),
        Field::new("S2PIE", 12).hide(&[AboveEl1], STAGE2),
        Field::new("S1PIE", 8).hide(&[HFGR_PIR, HFGW_PIR, HCRX_TCR2EN], "untested"),
        Field::new("SCTLRX", 4).hide(&[HCRX_SCTLR2EN], "its state is not reset between guests"),
        Field::new("TCRX", 0).hide(&[HCRX_TCR2EN], "its state is not reset between guests"),
    ],
);

pub(super) const MMFR4: IdRegister = IdRegister::new(
    "ID_AA64MMFR4_EL1",
    7,
    4,
    &[
        Field::new("E3DSE", 36).hide(&[AboveEl1], "of EL3"),
        Field::new("E2H0, NV_frac, FGWTE3, HACDBS", 12)
            .wide(16)
            .hide(&[AboveEl1], STAGE2),
        Field::new("ASID2", 8).hide(&[HCRX_TCR2EN], "as TCRX"),
        Field::new("EIESB", 4).hide(&[Untrapped], "as RAS"),
    ],
);
