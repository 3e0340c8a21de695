//! The controls that rows of the table name.

use crate::cpu::control::Control;
use crate::cpu::control::TrapRegister::{
    Cptr, Hcr, Hcrx, Hdfgrtr, Hdfgrtr2, Hdfgwtr, Hdfgwtr2, Hfgitr, Hfgrtr, Hfgrtr2, Hfgwtr,
    Hfgwtr2, Mdcr, Mpam2,
};

const fn bit(n: u32) -> u64 {
    1 << n
}

macro_rules! controls {
    ($($name:ident = $way:ident $register:ident $mask:expr, $text:literal;)*) => {
        $(pub(super) const $name: Control = Control::$way($register, $mask, $text);)*
    };
}

// HCR_EL2
controls! {
    HCR_TLOR = set Hcr bit(35), "HCR.TLOR";
    HCR_TERR = set Hcr bit(36), "HCR.TERR";
    HCR_TME = clear Hcr bit(39), "HCR.TME";
    HCR_APK = set Hcr bit(40), "HCR.APK";
    HCR_API = set Hcr bit(41), "HCR.API";
    HCR_NV = clear Hcr bit(42) | bit(43) | bit(45), "HCR.{NV,NV1,NV2}";
    HCR_FIEN = clear Hcr bit(47), "HCR.FIEN";
    HCR_ENSCXT = clear Hcr bit(53), "HCR.EnSCXT";
    HCR_ATA = clear Hcr bit(56), "HCR.ATA";
    HCR_TID5 = set Hcr bit(58), "HCR.TID5";
    HCR_WAITS = clear Hcr bit(13) | bit(14), "HCR.{TWI,TWE}";
}

// HCRX_EL2
controls! {
    HCRX_LS64 = clear Hcrx bit(0) | bit(1) | bit(2), "HCRX.{EnAS0,EnALS,EnASR}";
    HCRX_SMPME = clear Hcrx bit(5), "HCRX.SMPME";
    HCRX_TALLINT = set Hcrx bit(6), "HCRX.TALLINT";
    HCRX_VNMI = clear Hcrx bit(7) | bit(8), "HCRX.{VINMI,VFNMI}";
    HCRX_MSCEN = clear Hcrx bit(11), "HCRX.MSCEn";
    HCRX_TCR2EN = clear Hcrx bit(14), "HCRX.TCR2En";
    HCRX_SCTLR2EN = clear Hcrx bit(15), "HCRX.SCTLR2En";
    HCRX_D128EN = clear Hcrx bit(17), "HCRX.D128En";
    HCRX_ENSNERR = clear Hcrx bit(18), "HCRX.EnSNERR";
    HCRX_ENSDERR = clear Hcrx bit(20), "HCRX.EnSDERR";
    HCRX_ENIDCP128 = clear Hcrx bit(21), "HCRX.EnIDCP128";
    HCRX_GCSEN = clear Hcrx bit(22), "HCRX.GCSEn";
    HCRX_ENFPM = clear Hcrx bit(23), "HCRX.EnFPM";
    HCRX_PACMEN = clear Hcrx bit(24), "HCRX.PACMEn";
}

// CPTR_EL2 with E2H = 1
controls! {
    CPTR_ZEN = clear Cptr bit(16) | bit(17), "CPTR.ZEN";
    CPTR_FPEN = set Cptr bit(20) | bit(21), "CPTR.FPEN";
    CPTR_SMEN = clear Cptr bit(24) | bit(25), "CPTR.SMEN";
    CPTR_TTA = set Cptr bit(28), "CPTR.TTA";
    CPTR_E0POE = clear Cptr bit(29), "CPTR.E0POE";
    CPTR_TAM = set Cptr bit(30), "CPTR.TAM";
}

// MDCR_EL2
controls! {
    MDCR_TPMCR = set Mdcr bit(5), "MDCR.TPMCR";
    MDCR_TPM = set Mdcr bit(6), "MDCR.TPM";
    MDCR_DEBUG = clear Mdcr bit(8) | bit(9), "MDCR.{TDE,TDA}";
    MDCR_TDOSA = set Mdcr bit(10), "MDCR.TDOSA";
    MDCR_E2PB = clear Mdcr bit(12) | bit(13), "MDCR.E2PB";
    MDCR_TPMS = set Mdcr bit(14), "MDCR.TPMS";
    MDCR_ENSPM = clear Mdcr bit(15), "MDCR.EnSPM";
    MDCR_TTRF = set Mdcr bit(19), "MDCR.TTRF";
    MDCR_E2TB = clear Mdcr bit(24) | bit(25), "MDCR.E2TB";
    MDCR_EBWE = clear Mdcr bit(43), "MDCR.EBWE";
}

// MPAM2_EL2: TRAPMPAM0EL1, TRAPMPAM1EL1, TIDR
controls! {
    MPAM2_TRAPS = set Mpam2 bit(48) | bit(49) | bit(58), "MPAM2.{TRAPMPAM0EL1,TRAPMPAM1EL1,TIDR}";
}

// Fine-grained traps. Names with an n trap while the bit is clear.
controls! {
    HFGR_ACCDATA = clear Hfgrtr bit(50), "HFGRTR.nACCDATA";
    HFGW_ACCDATA = clear Hfgwtr bit(50), "HFGWTR.nACCDATA";
    HFGR_GCS = clear Hfgrtr bit(52) | bit(53), "HFGRTR.nGCS";
    HFGW_GCS = clear Hfgwtr bit(52) | bit(53), "HFGWTR.nGCS";
    HFGI_GCS = clear Hfgitr bit(57) | bit(58) | bit(59), "HFGITR.nGCS";
    HFGR_SME = clear Hfgrtr bit(54) | bit(55), "HFGRTR.{nSMPRI,nTPIDR2}";
    HFGW_SME = clear Hfgwtr bit(54) | bit(55), "HFGWTR.{nSMPRI,nTPIDR2}";
    HFGR_RCWMASK = clear Hfgrtr bit(56), "HFGRTR.nRCWMASK";
    HFGW_RCWMASK = clear Hfgwtr bit(56), "HFGWTR.nRCWMASK";
    HFGR_PIR = clear Hfgrtr bit(57) | bit(58), "HFGRTR.{nPIRE0,nPIR}";
    HFGW_PIR = clear Hfgwtr bit(57) | bit(58), "HFGWTR.{nPIRE0,nPIR}";
    HFGR_POR = clear Hfgrtr bit(59) | bit(60), "HFGRTR.nPOR";
    HFGW_POR = clear Hfgwtr bit(59) | bit(60), "HFGWTR.nPOR";
    HFGR_S2POR = clear Hfgrtr bit(61), "HFGRTR.nS2POR";
    HFGW_S2POR = clear Hfgwtr bit(61), "HFGWTR.nS2POR";
    HFGR_AIE = clear Hfgrtr bit(62) | bit(63), "HFGRTR.{nMAIR2,nAMAIR2}";
    HFGW_AIE = clear Hfgwtr bit(62) | bit(63), "HFGWTR.{nMAIR2,nAMAIR2}";
    HFGI_BRBE = clear Hfgitr bit(55) | bit(56), "HFGITR.nBRB";
    HFGI_ATS1A = set Hfgitr bit(62), "HFGITR.ATS1E1A";
    HDFGR_BRBE = clear Hdfgrtr bit(59) | bit(60) | bit(61), "HDFGRTR.nBRB";
    HDFGW_BRBE = clear Hdfgwtr bit(60) | bit(61), "HDFGWTR.nBRB";
    HDFGR_PMSNEVFR = clear Hdfgrtr bit(62), "HDFGRTR.nPMSNEVFR";
    HDFGW_PMSNEVFR = clear Hdfgwtr bit(62), "HDFGWTR.nPMSNEVFR";
    HFGR2_PFAR = clear Hfgrtr2 bit(0), "HFGRTR2.nPFAR";
    HFGW2_PFAR = clear Hfgwtr2 bit(0), "HFGWTR2.nPFAR";
    HDFGR2_MDSELR = clear Hdfgrtr2 bit(5), "HDFGRTR2.nMDSELR";
    HDFGW2_MDSELR = clear Hdfgwtr2 bit(5), "HDFGWTR2.nMDSELR";
    HDFGR2_PMICNTR = clear Hdfgrtr2 bit(2) | bit(3), "HDFGRTR2.nPMIC";
    HDFGW2_PMICNTR = clear Hdfgwtr2 bit(2) | bit(3), "HDFGWTR2.nPMIC";
    HDFGR2_SPM = clear Hdfgrtr2 0x7_ff00, "HDFGRTR2.nSPM";
    HDFGW2_SPM = clear Hdfgwtr2 0x1_ff00, "HDFGWTR2.nSPM";
    HDFGR2_EBEP = clear Hdfgrtr2 bit(0) | bit(23), "HDFGRTR2.{nPMECR,nMDSTEPOP}";
    HDFGW2_EBEP = clear Hdfgwtr2 bit(0) | bit(23), "HDFGWTR2.{nPMECR,nMDSTEPOP}";
    HDFGR2_ITE = clear Hdfgrtr2 bit(20), "HDFGRTR2.nTRCITECR";
    HDFGW2_ITE = clear Hdfgwtr2 bit(20), "HDFGWTR2.nTRCITECR";
}
