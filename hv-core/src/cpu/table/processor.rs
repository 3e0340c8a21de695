//! `ID_AA64PFR*_EL1` and the registers of vector extensions.

use super::bits::*;
use crate::cpu::control::Control::{AboveEl1, Untrapped};
use crate::cpu::field::{Field, IdRegister};

const PLAIN: &str = "state of the guest's own";

pub(super) const PFR0: IdRegister = IdRegister::new(
    "ID_AA64PFR0_EL1",
    4,
    0,
    &[
        Field::new("CSV3", 60).up_to(1, "a property of the core"),
        Field::new("CSV2", 56)
            .up_to(1, "without SCXTNUM_ELx, which would outlive a guest")
            .given(&[HCR_ENSCXT]),
        Field::new("RME", 52).hide(&[AboveEl1], "of EL3"),
        Field::new("DIT", 48).up_to(1, PLAIN),
        Field::new("AMU", 44).hide(&[CPTR_TAM], "counts what the host does"),
        Field::new("MPAM", 40).hide(
            &[MPAM2_TRAPS],
            "shares of the host's caches are Oche's to give",
        ),
        Field::new("SEL2", 36).hide(&[AboveEl1], "no Secure state"),
        Field::new("SVE", 32).hide(
            &[CPTR_ZEN],
            "registers whose length EL2 would have to choose",
        ),
        Field::new("RAS", 28).hide(
            &[HCR_TERR, HCR_FIEN],
            "error records are the host's; ESB is a hint, DISR_EL1 stays readable",
        ),
        Field::new("GIC", 24).up_to(1, "GICv3 system registers; GICv4.1 is EL2's"),
        Field::new("AdvSIMD", 20)
            .signed()
            .up_to(1, PLAIN)
            .given(&[CPTR_FPEN]),
        Field::new("FP", 16)
            .signed()
            .up_to(1, PLAIN)
            .given(&[CPTR_FPEN]),
        Field::new("EL3", 12).hide(&[AboveEl1], "SMC is answered as HVC is"),
        Field::new("EL2", 8).hide(&[AboveEl1], "Oche is there"),
        Field::new("EL1", 4).up_to(1, "AArch64 alone (HCR.RW)"),
        Field::new("EL0", 0).up_to(2, PLAIN),
    ],
);

pub(super) const PFR1: IdRegister = IdRegister::new(
    "ID_AA64PFR1_EL1",
    4,
    1,
    &[
        Field::new("PFAR", 60).hide(&[HFGR2_PFAR, HFGW2_PFAR], "host addresses of errors"),
        Field::new("DF2", 56).hide(&[HCRX_SCTLR2EN], "its controls are in SCTLR2_EL1"),
        Field::new("MTEX", 52).hide(&[HCR_ATA], "as MTE"),
        Field::new("THE", 48).hide(
            &[HFGR_RCWMASK, HFGW_RCWMASK, HCRX_TCR2EN],
            "state that nobody saves; RCW instructions stay and check nothing",
        ),
        Field::new("GCS", 44).hide(
            &[HCRX_GCSEN, HFGR_GCS, HFGW_GCS, HFGI_GCS],
            "needs permission indirection, which is hidden",
        ),
        Field::new("MTE_frac", 40).hide(&[HCR_ATA], "as MTE"),
        Field::new("NMI", 36).hide(
            &[HCRX_TALLINT, HCRX_VNMI],
            "the virtual GIC has none; ALLINT can be read, not written",
        ),
        Field::new("CSV2_frac", 32)
            .up_to(1, "2 has SCXTNUM_ELx")
            .given(&[HCR_ENSCXT]),
        Field::new("RNDR_trap", 28).hide(&[AboveEl1], "of EL3"),
        Field::new("SME", 24).hide(
            &[CPTR_SMEN, HCRX_SMPME, HFGR_SME, HFGW_SME],
            "registers whose length EL2 would have to choose",
        ),
        Field::new("MPAM_frac", 16).hide(&[MPAM2_TRAPS], "as MPAM"),
        Field::new("RAS_frac", 12).hide(&[HCR_TERR, HCR_FIEN], "as RAS"),
        Field::new("MTE", 8).hide(
            &[HCR_ATA, HCR_TID5],
            "no tags in stage 2; IRG, ADDG, SUBP stay, with tag 0, and TCO",
        ),
        Field::new("SSBS", 4).up_to(2, PLAIN),
        Field::new("BT", 0).up_to(1, PLAIN),
    ],
);

pub(super) const PFR2: IdRegister = IdRegister::new(
    "ID_AA64PFR2_EL1",
    4,
    2,
    &[
        Field::new("FPMR", 32).hide(&[HCRX_ENFPM], "8-bit floating point is hidden"),
        Field::new("MTEFAR", 8).hide(&[HCR_ATA], "as MTE"),
        Field::new("MTESTOREONLY", 4).hide(&[HCR_ATA], "as MTE"),
        Field::new("MTEPERM", 0).hide(&[HCR_ATA], "as MTE"),
    ],
);

pub(super) const ZFR0: IdRegister = IdRegister::new(
    "ID_AA64ZFR0_EL1",
    4,
    4,
    &[Field::new("(all)", 0).wide(64).hide(&[CPTR_ZEN], "as SVE")],
);

pub(super) const SMFR0: IdRegister = IdRegister::new(
    "ID_AA64SMFR0_EL1",
    4,
    5,
    &[Field::new("(all)", 0).wide(64).hide(&[CPTR_SMEN], "as SME")],
);

pub(super) const FPFR0: IdRegister = IdRegister::new(
    "ID_AA64FPFR0_EL1",
    4,
    7,
    &[Field::new("(all)", 0).wide(64).hide(
        &[HCRX_ENFPM, Untrapped],
        "FPMR traps; instructions of a format that it does not choose stay",
    )],
);
