//! What no guest sees is undefined, whatever the machine has.

use core::arch::asm;

use crate::el1::bench::{Bench, Failure, fact};
use crate::el1::console::say;
use crate::el1::cpu::read_register;
use crate::el1::exceptions::expecting;

/// A register or an instruction, and how to use it.
type Hidden = (&'static str, fn());

macro_rules! read {
    ($($name:literal $encoding:literal),* $(,)?) => {
        [$(($name, || { read_register!($encoding); })),*]
    };
}

macro_rules! execute {
    ($($name:literal: $text:literal),* $(,)?) => {
        [$(($name, || {
            // SAFETY: undefined, or the test fails: none of these touches memory of the payload with these operands.
            unsafe {
                asm!(
                    ".arch armv9.5-a+mops+ls64+sve+sme+memtag+d128",
                    $text,
                    inout("x0") 0_u64 => _, inout("x1") 0_u64 => _, inout("x2") 0_u64 => _, inout("x3") 0_u64 => _,
                    inout("x4") 0_u64 => _, inout("x5") 0_u64 => _, inout("x6") 0_u64 => _, inout("x7") 0_u64 => _,
                    options(nostack)
                )
            }
        })),*]
    };
}

/// By encoding, because an assembler has a name for a register only if it knows the feature.
const REGISTERS: [Hidden; 60] = read![
    "ZCR_EL1" "s3_0_c1_c2_0",
    "SMCR_EL1" "s3_0_c1_c2_6",
    "SVCR" "s3_3_c4_c2_2",
    "PMCR_EL0" "s3_3_c9_c12_0",
    "PMCNTENSET_EL0" "s3_3_c9_c12_1",
    "PMCEID0_EL0" "s3_3_c9_c12_6",
    "PMCCNTR_EL0" "s3_3_c9_c13_0",
    "PMUSERENR_EL0" "s3_3_c9_c14_0",
    "PMINTENSET_EL1" "s3_0_c9_c14_1",
    "PMMIR_EL1" "s3_0_c9_c14_6",
    "PMCCFILTR_EL0" "s3_3_c14_c15_7",
    "PMSCR_EL1" "s3_0_c9_c9_0",
    "PMSIDR_EL1" "s3_0_c9_c9_7",
    "PMBLIMITR_EL1" "s3_0_c9_c10_0",
    "PMBIDR_EL1" "s3_0_c9_c10_7",
    "TRCPRGCTLR" "s2_1_c0_c1_0",
    "TRFCR_EL1" "s3_0_c1_c2_1",
    "TRBLIMITR_EL1" "s3_0_c9_c11_0",
    "TRBIDR_EL1" "s3_0_c9_c11_7",
    "BRBCR_EL1" "s2_1_c9_c0_0",
    "BRBIDR0_EL1" "s2_1_c9_c2_0",
    "GCR_EL1" "s3_0_c1_c0_6",
    "RGSR_EL1" "s3_0_c1_c0_5",
    "TFSR_EL1" "s3_0_c5_c6_0",
    "LORC_EL1" "s3_0_c10_c4_3",
    "LORID_EL1" "s3_0_c10_c4_7",
    "AMCR_EL0" "s3_3_c13_c2_0",
    "AMEVCNTR00_EL0" "s3_3_c13_c4_0",
    "MPAM1_EL1" "s3_0_c10_c5_0",
    "MPAMIDR_EL1" "s3_0_c10_c4_4",
    "ERRIDR_EL1" "s3_0_c5_c3_0",
    "ERRSELR_EL1" "s3_0_c5_c3_1",
    "ERXSTATUS_EL1" "s3_0_c5_c4_2",
    "ERXPFGF_EL1" "s3_0_c5_c4_4",
    "SCXTNUM_EL1" "s3_0_c13_c0_7",
    "SCXTNUM_EL0" "s3_3_c13_c0_7",
    "TCR2_EL1" "s3_0_c2_c0_3",
    "SCTLR2_EL1" "s3_0_c1_c0_3",
    "PIR_EL1" "s3_0_c10_c2_3",
    "POR_EL1" "s3_0_c10_c2_4",
    "POR_EL0" "s3_3_c10_c2_4",
    "MAIR2_EL1" "s3_0_c10_c2_1",
    "GCSCR_EL1" "s3_0_c2_c5_0",
    "RCWMASK_EL1" "s3_0_c13_c0_6",
    "FPMR" "s3_3_c4_c4_2",
    "ACCDATA_EL1" "s3_0_c13_c0_5",
    "PFAR_EL1" "s3_0_c6_c0_5",
    "MDSELR_EL1" "s2_0_c0_c4_2",
    "SPMCR_EL0" "s2_3_c9_c12_0",
    "PMICNTR_EL0" "s3_3_c9_c4_0",
    "TRCITECR_EL1" "s3_0_c1_c2_3",
    "HCR_EL2" "s3_4_c1_c1_0",
    "VTTBR_EL2" "s3_4_c2_c1_0",
    "ICH_HCR_EL2" "s3_4_c12_c11_0",
    "VBAR_EL12" "s3_5_c12_c0_0",
    "CNTV_CTL_EL02" "s3_5_c14_c3_1",
    "SP_EL1" "s3_4_c4_c1_0",
    "SCR_EL3" "s3_6_c1_c1_0",
    "its maker's, c11" "s3_0_c11_c0_0",
    "its maker's, c15" "s3_1_c15_c0_7",
];

/// Reads of the ID space that are undefined may say so as a trapped `MRS` (FEAT_IDST).
const IDENTIFICATION: [Hidden; 2] = read![
    "GMID_EL1" "s3_1_c0_c0_4",
    "SMIDR_EL1" "s3_1_c0_c0_6",
];

/// Only fine-grained traps hide these, which the architecture requires beside SME; QEMU 7.2 has SME without them.
const FINE_GRAINED: [Hidden; 2] = read![
    "TPIDR2_EL0" "s3_3_c13_c0_5",
    "SMPRI_EL1" "s3_0_c1_c2_4",
];

const INSTRUCTIONS: [Hidden; 16] = execute![
    "RDVL": "rdvl x0, #1",
    "PTRUE": "ptrue p0.b",
    "SMSTART": "smstart",
    "RDSVL": "rdsvl x0, #1",
    "LD64B": "ld64b x0, [x0]",
    "ST64B": "st64b x0, [x0]",
    "SETP": "setp [x0]!, x1!, x2",
    "CPYFP": "cpyfp [x0]!, [x1]!, x2!",
    "TSTART": ".inst 0xd5233060",
    "AT S1E2R": "at s1e2r, x0",
    "AT S12E1R": "at s12e1r, x0",
    "TLBI ALLE1": "tlbi alle1",
    "TLBI IPAS2E1": "tlbi ipas2e1, x0",
    "MSR ALLINT": "msr s3_0_c4_c3_0, x0",
    "MSR PMCR_EL0": "msr s3_3_c9_c12_0, x0",
    "MSR ERRSELR_EL1": "msr s3_0_c5_c3_1, x0",
];

/// Tries all of it.
pub(super) fn all(bench: &mut Bench) -> Result<(), Failure> {
    let mut right = true;
    for (name, access) in REGISTERS.iter().chain(&INSTRUCTIONS) {
        let ((), syndrome) = expecting(access);
        if !syndrome.is_some_and(|it| it.is_undefined()) {
            fact!(bench, "{name} is not undefined: {syndrome:x?}");
            right = false;
        }
    }
    for (name, access) in IDENTIFICATION {
        let ((), syndrome) = expecting(access);
        if !syndrome.is_some_and(|it| it.is_undefined() || it.is_trapped_register()) {
            fact!(bench, "{name} is not undefined: {syndrome:x?}");
            right = false;
        }
    }
    for (name, access) in FINE_GRAINED {
        let ((), syndrome) = expecting(access);
        if syndrome.is_none() {
            fact!(
                bench,
                "{name} is there: this machine has SME without FEAT_FGT"
            );
        }
    }
    fact!(
        bench,
        "{} registers and {} instructions of hidden features tried",
        REGISTERS.len(),
        INSTRUCTIONS.len()
    );
    if right {
        Ok(())
    } else {
        Err(Failure::Wrong("something hidden is there"))
    }
}
