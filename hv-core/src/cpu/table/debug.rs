//! `ID_AA64DFR*_EL1`.

use super::bits::*;
use crate::cpu::control::Control::AboveEl1;
use crate::cpu::field::{Field, IdRegister};

const COUNTS: &str = "counts what the host does";

pub(super) const DFR0: IdRegister = IdRegister::new(
    "ID_AA64DFR0_EL1",
    5,
    0,
    &[
        Field::new("HPMN0", 60).hide(&[AboveEl1], "of EL2's share of the PMU"),
        Field::new("ExtTrcBuff", 56).hide(&[CPTR_TTA], "as TraceVer"),
        Field::new("BRBE", 52).hide(
            &[HDFGR_BRBE, HDFGW_BRBE, HFGI_BRBE],
            "its buffer would outlive a guest",
        ),
        Field::new("MTPMU", 48).hide(&[MDCR_TPM], "as PMUVer"),
        Field::new("TraceBuffer", 44).hide(&[MDCR_E2TB], "writes trace to memory while Oche runs"),
        Field::new("TraceFilt", 40).hide(&[MDCR_TTRF], "as TraceVer"),
        Field::new("DoubleLock", 36)
            .signed()
            .hide(&[MDCR_TDOSA], "OSDLR_EL1 reads as zero and ignores writes"),
        Field::new("PMSVer", 32).hide(
            &[MDCR_TPMS, MDCR_E2PB, HDFGR_PMSNEVFR, HDFGW_PMSNEVFR],
            "writes samples to memory while Oche runs",
        ),
        Field::new("CTX_CMPs", 28).show("as DebugVer"),
        Field::new("WRPs", 20).show("as DebugVer"),
        Field::new("BRPs", 12).show("as DebugVer"),
        Field::new("PMUVer", 8).hide(&[MDCR_TPM, MDCR_TPMCR], COUNTS),
        Field::new("TraceVer", 4).hide(&[CPTR_TTA], "sees what the host does"),
        Field::new("DebugVer", 0)
            .up_to(10, "breakpoints and watchpoints of the core are its vCPU's; 11 has more than MDSELR_EL1 shows")
            .given(&[MDCR_DEBUG, MDCR_EBWE, HDFGR2_MDSELR, HDFGW2_MDSELR]),
    ],
);

pub(super) const DFR1: IdRegister = IdRegister::new(
    "ID_AA64DFR1_EL1",
    5,
    1,
    &[
        Field::new("ABL_CMPs", 56)
            .wide(8)
            .hide(&[MDCR_EBWE], SELECTED),
        Field::new("DPFZS", 52).hide(&[MDCR_TPM], "as PMUVer"),
        Field::new("EBEP", 48).hide(&[HDFGR2_EBEP, HDFGW2_EBEP], "as PMUVer"),
        Field::new("ITE", 44).hide(&[HDFGR2_ITE, HDFGW2_ITE], "as TraceVer"),
        Field::new("ABLE", 40).hide(&[MDCR_EBWE], SELECTED),
        Field::new("PMICNTR", 36).hide(&[HDFGR2_PMICNTR, HDFGW2_PMICNTR], "as PMUVer"),
        Field::new("SPMU", 32).hide(&[MDCR_ENSPM, HDFGR2_SPM, HDFGW2_SPM], COUNTS),
        Field::new("CTX_CMPs, WRPs, BRPs", 8)
            .wide(24)
            .hide(&[HDFGR2_MDSELR, HDFGW2_MDSELR], SELECTED),
        Field::new("SYSPMUID", 0)
            .wide(8)
            .hide(&[MDCR_ENSPM], "as SPMU"),
    ],
);

const SELECTED: &str = "behind MDSELR_EL1, which is hidden";
