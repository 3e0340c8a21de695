//! The table itself, by group of registers.

mod aarch32;
mod bits;
mod debug;
mod instructions;
mod memory;
mod processor;

use super::field::IdRegister;

/// Every ID register of which a guest sees anything, and every field whose hiding takes a trap. Fields by Arm ARM D24.2
/// (`ID_AA64*_EL1`, `ID_*_EL1`, `MVFR*_EL1`); traps by the descriptions of the registers that the field speaks of.
pub const TABLE: &[IdRegister] = &[
    aarch32::PFR0,
    aarch32::PFR1,
    aarch32::DFR0,
    aarch32::MMFR0,
    aarch32::MMFR1,
    aarch32::MMFR2,
    aarch32::MMFR3,
    aarch32::ISAR0,
    aarch32::ISAR1,
    aarch32::ISAR2,
    aarch32::ISAR3,
    aarch32::ISAR4,
    aarch32::ISAR5,
    aarch32::MMFR4,
    aarch32::ISAR6,
    aarch32::MVFR0,
    aarch32::MVFR1,
    aarch32::MVFR2,
    aarch32::PFR2,
    aarch32::MMFR5,
    processor::PFR0,
    processor::PFR1,
    processor::PFR2,
    processor::ZFR0,
    processor::SMFR0,
    processor::FPFR0,
    debug::DFR0,
    debug::DFR1,
    instructions::ISAR0,
    instructions::ISAR1,
    instructions::ISAR2,
    instructions::ISAR3,
    memory::MMFR0,
    memory::MMFR1,
    memory::MMFR2,
    memory::MMFR3,
    memory::MMFR4,
];
