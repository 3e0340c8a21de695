//! The ID registers, and the most that may be in them.

use crate::el1::bench::{Bench, Failure, fact};
use crate::el1::console::say;
use crate::el1::cpu::read_register;

/// CRm 1 to 7, op2 0 to 7 of op0 3, op1 0, CRn 0.
pub(super) struct Registers([[u64; 8]; 7]);

/// One register: CRm, op2, name, and the bits that may be set.
type Allowed = (u8, u8, &'static str, u64);

/// All others are zero. A field that has a largest value is in [`LARGEST`] too.
const ALLOWED: &[Allowed] = &[
    // DIT, CSV2, State3 to State0: no RAS, no AMU.
    (1, 0, "ID_PFR0_EL1", 0x0f0f_ffff),
    // The timer alone: AArch32 is at EL0 only.
    (1, 1, "ID_PFR1_EL1", 0x000f_0000),
    // The debug version alone: no PMU, no trace.
    (1, 2, "ID_DFR0_EL1", 0xf),
    (1, 4, "ID_MMFR0_EL1", 0xffff_ffff),
    (1, 5, "ID_MMFR1_EL1", 0xffff_ffff),
    (1, 6, "ID_MMFR2_EL1", 0xffff_ffff),
    (1, 7, "ID_MMFR3_EL1", 0xffff_ffff),
    (2, 0, "ID_ISAR0_EL1", 0xffff_ffff),
    (2, 1, "ID_ISAR1_EL1", 0xffff_ffff),
    (2, 2, "ID_ISAR2_EL1", 0xffff_ffff),
    (2, 3, "ID_ISAR3_EL1", 0xffff_ffff),
    // No SMC.
    (2, 4, "ID_ISAR4_EL1", 0xffff_0fff),
    (2, 5, "ID_ISAR5_EL1", 0xff0f_ffff),
    // CCIDX, LSM, SpecSEI.
    (2, 6, "ID_MMFR4_EL1", 0x0ff0_000f),
    (2, 7, "ID_ISAR6_EL1", 0xffff_ffff),
    (3, 0, "MVFR0_EL1", 0xffff_ffff),
    (3, 1, "MVFR1_EL1", 0xffff_ffff),
    (3, 2, "MVFR2_EL1", 0xffff_ffff),
    // SSBS, CSV3.
    (3, 4, "ID_PFR2_EL1", 0xff),
    (3, 6, "ID_MMFR5_EL1", 0xff),
    // CSV3, CSV2, DIT, GIC, AdvSIMD, FP, EL1, EL0: no RME, AMU, MPAM, SEL2, SVE, RAS, EL3, EL2.
    (4, 0, "ID_AA64PFR0_EL1", 0xff0f_0000_0fff_00ff),
    // CSV2_frac, SSBS, BT: no PFAR, DF2, MTEX, THE, GCS, MTE_frac, NMI, RNDR_trap, SME, MPAM_frac, RAS_frac, MTE.
    (4, 1, "ID_AA64PFR1_EL1", 0x0000_000f_0000_00ff),
    // DoubleLock (all ones: none), numbers of breakpoints and watchpoints, DebugVer.
    (5, 0, "ID_AA64DFR0_EL1", 0x0000_00f0_f0f0_f00f),
    // No TME.
    (6, 0, "ID_AA64ISAR0_EL1", 0xffff_ffff_f0ff_fff0),
    // No LS64.
    (6, 1, "ID_AA64ISAR1_EL1", 0x0fff_ffff_ffff_ffff),
    // LUT, CSSC, RPRFM, PRFMSLC, CLRBHB, PAC_frac, BC, APA3, GPA3, RPRES, WFxT: no MOPS, no 128 bits, no ATS1A.
    (6, 2, "ID_AA64ISAR2_EL1", 0x0fff_0f00_fff0_ffff),
    (6, 3, "ID_AA64ISAR3_EL1", 0xff),
    // ECV, ExS, granules of stage 1, endianness, ASIDBits, PARange: no FGT, no granules of stage 2.
    (7, 0, "ID_AA64MMFR0_EL1", 0xf000_f000_ffff_0fff),
    // No HCX, TWED, XNX, LO, VH, VMIDBits.
    (7, 1, "ID_AA64MMFR1_EL1", 0xffff_f0f0_0ff0_f00f),
    // No EVT, FWB, NV, IESB.
    (7, 2, "ID_AA64MMFR2_EL1", 0xf0ff_00ff_f0ff_0fff),
];

/// CRm, op2, lowest bit, largest value of an unsigned field.
const LARGEST: &[(u8, u8, u32, u64)] = &[
    (1, 2, 0, 10),
    (4, 0, 56, 1), // CSV2: no SCXTNUM_ELx
    (4, 0, 24, 1), // GIC
    (4, 0, 4, 1),  // EL1: AArch64 alone
    (4, 0, 0, 2),
    (4, 1, 32, 1), // CSV2_frac
    (5, 0, 0, 10), // DebugVer
    (6, 1, 4, 5),  // APA, API, APA3: no PAuth_LR
    (6, 1, 8, 5),
    (6, 2, 12, 5),
    (6, 3, 0, 1),  // CPA
    (7, 0, 60, 1), // ECV
    (7, 0, 0, 2),  // PARange
    (7, 0, 20, 1), // TGran16
    (7, 1, 0, 2),  // HAFDBS
    (7, 2, 16, 1), // VARange
];

impl Registers {
    /// Reads all 56.
    pub(super) fn read() -> Self {
        macro_rules! row {
            ($crm:literal) => {
                [
                    read_register!(concat!("s3_0_c0_c", $crm, "_0")),
                    read_register!(concat!("s3_0_c0_c", $crm, "_1")),
                    read_register!(concat!("s3_0_c0_c", $crm, "_2")),
                    read_register!(concat!("s3_0_c0_c", $crm, "_3")),
                    read_register!(concat!("s3_0_c0_c", $crm, "_4")),
                    read_register!(concat!("s3_0_c0_c", $crm, "_5")),
                    read_register!(concat!("s3_0_c0_c", $crm, "_6")),
                    read_register!(concat!("s3_0_c0_c", $crm, "_7")),
                ]
            };
        }
        Self([
            row!(1),
            row!(2),
            row!(3),
            row!(4),
            row!(5),
            row!(6),
            row!(7),
        ])
    }

    /// One of them.
    pub(super) fn get(&self, crm: u8, op2: u8) -> u64 {
        let row = crm
            .checked_sub(1)
            .and_then(|row| self.0.get(usize::from(row)));
        row.and_then(|row| row.get(usize::from(op2)))
            .copied()
            .unwrap_or(0)
    }

    /// A field of four bits.
    pub(super) fn field(&self, crm: u8, op2: u8, low: u32) -> u64 {
        self.get(crm, op2) >> low & 0xf
    }

    /// Those that a guest may see something in.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ALLOWED
            .iter()
            .map(|&(crm, op2, name, _)| (name, self.get(crm, op2)))
    }

    /// No bit is set that may not be.
    pub(super) fn check(&self, bench: &mut Bench) -> Result<(), Failure> {
        let mut right = true;
        for crm in 1..8 {
            for op2 in 0..8 {
                let allowed = ALLOWED
                    .iter()
                    .find(|row| (row.0, row.1) == (crm, op2))
                    .map_or(0, |row| row.3);
                let extra = self.get(crm, op2) & !allowed;
                if extra != 0 {
                    fact!(bench, "ID register c{crm}, {op2} has {extra:#x} too much");
                    right = false;
                }
            }
        }
        for &(crm, op2, low, largest) in LARGEST {
            if self.field(crm, op2, low) > largest {
                fact!(bench, "ID register c{crm}, {op2} has too much at bit {low}");
                right = false;
            }
        }
        if self.field(5, 0, 36) != 0xf {
            fact!(bench, "there is a double lock");
            right = false;
        }
        if right {
            Ok(())
        } else {
            Err(Failure::Wrong("the ID registers show what is hidden"))
        }
    }
}
